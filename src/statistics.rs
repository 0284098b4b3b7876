//! What this process has done since it began to serve, and what it holds: the numbers of `.npyfs/stats.json`.
//!
//! They are always counted. Each is an atomic of its own, so counting takes no lock and a few nanoseconds; numbers that
//! are read while requests are answered may be of slightly different moments.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

/// One for the whole process, as the log is.
pub static STATISTICS: Statistics = Statistics::new();

/// The kinds of request that are counted apart, those that come most often first. The last stands for all others: they
/// are always refused.
const KINDS: [&str; 20] = [
    "lookup",
    "open",
    "read",
    "release",
    "getattr",
    "forget",
    "ioctl",
    "flush",
    "write",
    "opendir",
    "readdir",
    "readdirplus",
    "releasedir",
    "setattr",
    "getxattr",
    "listxattr",
    "readlink",
    "fsync",
    "statfs",
    "other",
];

macro_rules! errnos {
    ($($name:ident)*) => { &[$((libc::$name, stringify!($name))),*] };
}

/// The errors that are counted apart: those that npyfs answers with itself, and what filesystems of the source may
/// answer. All others are counted together.
const ERRNOS: &[(i32, &str)] = errnos![
    ENOENT ESTALE ENOTTY ENODATA ENOSYS EIO EPERM EACCES EROFS EINVAL ENOTDIR EISDIR ENAMETOOLONG EBADF EFBIG
    ENOSPC EDQUOT ENOBUFS ENFILE EMFILE ENOMEM EAGAIN EINTR ERANGE ELOOP ENXIO ENODEV EBUSY ETXTBSY EOVERFLOW
    EOPNOTSUPP ENOTCONN ECONNABORTED ECONNREFUSED ECONNRESET ETIMEDOUT EHOSTDOWN EHOSTUNREACH ENETUNREACH
    EREMOTEIO ENOKEY EKEYEXPIRED EUCLEAN ENOLCK EDEADLK
];

/// The name of an errno, such as `ENOENT`; of one that is not counted apart, `other`.
pub fn errno_name(errno: i32) -> &'static str {
    position(errno).map_or("other", |at| ERRNOS[at].1)
}

fn position(errno: i32) -> Option<usize> {
    ERRNOS.iter().position(|(known, _)| *known == errno)
}

/// A number that many threads count.
#[derive(Debug)]
pub struct Number(AtomicU64);

impl Number {
    const fn new() -> Number {
        Number(AtomicU64::new(0))
    }

    /// Counts so many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Counts so many less, which were counted before.
    pub fn sub(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    /// Is this many now.
    pub fn set(&self, now: u64) {
        self.0.store(now, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All numbers.
#[derive(Debug)]
pub struct Statistics {
    began: OnceLock<Instant>,
    requests: [Requests; KINDS.len()],
    errors: [Number; ERRNOS.len()],
    other_errors: Number,
    /// Opens of files that the kernel then reads without asking.
    pub opens: Opens,
    /// Bytes, by how they were served.
    pub bytes: Bytes,
    /// What there is at the moment.
    pub in_use: InUse,
}

/// Requests of one kind.
#[derive(Debug)]
struct Requests {
    count: Number,
    nanoseconds: Number,
}

/// Opens of files that the kernel then reads without asking, by the reason why it need not.
#[derive(Debug)]
pub struct Opens {
    /// It was given all bytes as the file was opened.
    pub given: Number,
    /// It reads the file of the source by itself.
    pub passed_through: Number,
    /// It reads a copy in memory by itself.
    pub staged: Number,
}

/// Bytes, by how they were served.
#[derive(Debug)]
pub struct Bytes {
    /// Given to the kernel as a file was opened
    pub given: Number,
    /// Read from where they lie together
    pub read: Number,
    /// Gathered from where they lie apart
    pub gathered: Number,
    /// Copied into memory as a file was opened
    pub staged: Number,
    /// Of texts that npyfs makes
    pub made: Number,
    /// Written to arrays
    pub written: Number,
}

/// What there is at the moment.
#[derive(Debug)]
pub struct InUse {
    /// Open files of the mount
    pub files: Number,
    /// Open directories of the mount
    pub directories: Number,
    /// Nodes that the kernel remembers, except the root
    pub inodes: Number,
    /// Bytes of memory that copies take, as of a second ago
    pub staged_bytes: Number,
}

impl Statistics {
    const fn new() -> Statistics {
        Statistics {
            began: OnceLock::new(),
            requests: [const { Requests { count: Number::new(), nanoseconds: Number::new() } };
                KINDS.len()],
            errors: [const { Number::new() }; ERRNOS.len()],
            other_errors: Number::new(),
            opens: Opens {
                given: Number::new(),
                passed_through: Number::new(),
                staged: Number::new(),
            },
            bytes: Bytes {
                given: Number::new(),
                read: Number::new(),
                gathered: Number::new(),
                staged: Number::new(),
                made: Number::new(),
                written: Number::new(),
            },
            in_use: InUse {
                files: Number::new(),
                directories: Number::new(),
                inodes: Number::new(),
                staged_bytes: Number::new(),
            },
        }
    }

    /// The process begins to serve.
    pub fn begin(&self) {
        self.began.get_or_init(Instant::now);
    }

    /// A request of this kind was answered, perhaps with an error.
    pub fn answered(&self, kind: &str, took: Duration, errno: Option<i32>) {
        let at = KINDS.iter().position(|known| *known == kind).unwrap_or(KINDS.len() - 1);
        let Requests { count, nanoseconds } = &self.requests[at];
        count.add(1);
        // Less than 584 years.
        nanoseconds.add(took.as_nanos() as u64);
        if let Some(errno) = errno {
            position(errno).map_or(&self.other_errors, |at| &self.errors[at]).add(1);
        }
    }

    /// `stats.json`: one JSON object, whose keys are described in `contrib/SEMANTICS.md`. So many files of the source
    /// are open, and so many of them mapped.
    pub fn json(&self, source_files: usize, maps: usize) -> String {
        let uptime = self.began.get().map_or(Duration::ZERO, Instant::elapsed);
        let requests = KINDS.iter().zip(&self.requests).map(|(kind, of_kind)| {
            let microseconds = of_kind.nanoseconds.get() / 1000;
            let value = json!({"count": of_kind.count.get(), "microseconds": microseconds});
            ((*kind).to_owned(), value)
        });
        let named = ERRNOS.iter().zip(&self.errors).map(|((_, name), number)| (*name, number));
        let errors = named
            .chain([("other", &self.other_errors)])
            .map(|(name, number)| (name.to_owned(), number.get()))
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| (name, Value::from(count)));
        let Opens { given, passed_through, staged } = &self.opens;
        let bytes = &self.bytes;
        let InUse { files, directories, inodes, staged_bytes } = &self.in_use;
        let all = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "uptime_seconds": uptime.as_millis() as f64 / 1000.0,
            "requests": requests.collect::<Map<_, _>>(),
            "errors": errors.collect::<Map<_, _>>(),
            "opens": {
                "given": given.get(),
                "passed_through": passed_through.get(),
                "staged": staged.get(),
            },
            "bytes": {
                "given": bytes.given.get(),
                "read": bytes.read.get(),
                "gathered": bytes.gathered.get(),
                "staged": bytes.staged.get(),
                "made": bytes.made.get(),
                "written": bytes.written.get(),
            },
            "in_use": {
                "files": files.get(),
                "directories": directories.get(),
                "inodes": inodes.get(),
                "staged_bytes": staged_bytes.get(),
                "source_files": source_files,
                "maps": maps,
            },
        });
        format!("{all:#}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_read() {
        let statistics = Statistics::new();
        statistics.begin();
        let took = Duration::from_nanos(1600);
        statistics.answered("lookup", took, None);
        statistics.answered("lookup", took, Some(libc::ENOENT));
        statistics.answered("mknod", took, Some(libc::EPERM));
        statistics.answered("rename", took, Some(12_345));
        statistics.bytes.gathered.add(10);
        statistics.in_use.files.add(3);
        statistics.in_use.files.sub(1);
        let read: Value = serde_json::from_str(&statistics.json(4, 2)).unwrap();
        // Parts of a microsecond are not lost, however many requests there are.
        assert_eq!(read["requests"]["lookup"], json!({"count": 2, "microseconds": 3}));
        assert_eq!(read["requests"]["other"]["count"], 2);
        assert_eq!(read["requests"].as_object().unwrap().len(), KINDS.len());
        assert_eq!(read["errors"], json!({"ENOENT": 1, "EPERM": 1, "other": 1}));
        assert_eq!((&read["bytes"]["gathered"], &read["in_use"]["files"]), (&10.into(), &2.into()));
        assert_eq!(
            (&read["in_use"]["source_files"], &read["in_use"]["maps"]),
            (&4.into(), &2.into())
        );
        assert_eq!(read["pid"], std::process::id());
    }
}
