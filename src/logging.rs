//! The log: where it goes, and how much of it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use log::{Level, LevelFilter, Log, Metadata, Record};
use npyfs::escape::shown;
use npyfs::messages;
use serde_json::Value;

mod syslog;

use crate::cli::LogFormat;
use syslog::Syslog;

/// How often one warning or error is written in each period, and how many different ones from one origin.
/// Those beyond are counted.
const BURST: u32 = 5;
const MAX_DIFFERENT: usize = 200;
const PERIOD: Duration = Duration::from_secs(60);

/// Set once standard error leads nowhere.
static DETACHED: AtomicBool = AtomicBool::new(false);

/// Starts logging to standard error, or to a file. `NPYFS_LOG` sets the filter; without it warnings and
/// errors are written, and with `debug` every request in our own words: those of the FUSE library would be as many
/// again, and say less. The last messages can be read through the mount whatever the filter is.
pub(crate) fn start(debug: bool, format: LogFormat, file: Option<&Path>) -> io::Result<()> {
    let mut builder = env_logger::Builder::new();
    builder.filter_level(LevelFilter::Warn);
    if debug {
        builder.filter_module("npyfs", LevelFilter::Debug).format_timestamp_micros();
    }
    if format == LogFormat::Json {
        builder.format(|out, record| writeln!(out, "{}", record.args()));
    }
    if let Ok(filter) = std::env::var("NPYFS_LOG") {
        builder.parse_filters(&filter);
    }
    if let Some(path) = file {
        let file = open(path)?;
        builder.target(env_logger::Target::Pipe(Box::new(file)));
    }
    let inner = builder.build();
    log::set_max_level(inner.filter().max(KEPT));
    // Without a socket it is as if nobody listened.
    let syslog = if file.is_none() { Syslog::new().ok() } else { None };
    let limited = Limited { inner, format, syslog, seen: Mutex::default() };
    // Fails only if there is a logger already, which nothing else sets.
    let _ = log::set_boxed_logger(Box::new(limited));
    Ok(())
}

/// The daemon leaves the terminal: messages for standard error go to the system's log from now on.
pub(crate) fn detach() {
    DETACHED.store(true, Ordering::Relaxed);
}

/// The least important messages that can be read through the mount. They include why something was refused.
const KEPT: LevelFilter = LevelFilter::Info;

/// Whether a message is kept, whatever the filter is. Those of libraries, and those that answer nobody, only if they are
/// warnings.
fn is_kept(metadata: &Metadata<'_>) -> bool {
    let ours = metadata.target().split(':').next() == Some("npyfs");
    let kept = if ours && messages::is_for_user() { KEPT } else { LevelFilter::Warn };
    metadata.level() <= kept
}

/// Whether the FUSE library says that the kernel does not know the request that it has answered (ENOENT). That one has
/// been given up: the process that waited for it was ended and the request interrupted, or the mount was aborted.
fn answers_nobody(record: &Record<'_>) -> bool {
    let unknown = io::Error::from_raw_os_error(libc::ENOENT);
    record.target().starts_with("fuser")
        && record.args().to_string() == format!("Failed to send FUSE reply: {unknown}")
}

/// A message as an object of JSON.
fn json(metadata: &Metadata<'_>, message: &str, at: SystemTime) -> String {
    let [timestamp, level, target, message] =
        [&*messages::utc_millis(at), metadata.level().as_str(), metadata.target(), message]
            .map(Value::from);
    // In the order in which it is read.
    format!(r#"{{"timestamp":{timestamp},"level":{level},"target":{target},"message":{message}}}"#)
}

/// Opens a log. It names files that others may not be able to see, so a new one is for its owner alone. Its
/// directory may be open to everybody, so no symlink is followed.
fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).append(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options.open(path).map_err(|err| match err.raw_os_error() {
        Some(libc::ELOOP) => io::Error::other(
            "it is a symlink, which is not followed to write a log; name the file itself",
        ),
        _ => err,
    })
}

/// A log in which no message, and no origin of many messages, can drown the others.
struct Limited {
    inner: env_logger::Logger,
    format: LogFormat,
    /// Where messages go once we are detached; none if they go to a file.
    syslog: Option<Syslog>,
    seen: Mutex<HashMap<Origin, Count>>,
}

/// Where in the program a message comes from.
type Origin = (Option<&'static str>, Option<u32>);

/// What came from one origin in this period.
struct Count {
    since: Instant,
    left_out: u32,
    /// How often each message was written, numbers left out: one origin has the errors of all files, and a
    /// file that grows and shrinks has another size in each.
    messages: HashMap<String, u32>,
}

impl Count {
    fn new(since: Instant) -> Count {
        Count { since, left_out: 0, messages: HashMap::new() }
    }
}

impl Limited {
    /// Whether one more message from an origin may be written, and how many before it were not.
    fn admits(&self, origin: Origin, message: &str, now: Instant) -> Option<u32> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let count = seen.entry(origin).or_insert_with(|| Count::new(now));
        let mut left_out = 0;
        if now.saturating_duration_since(count.since) >= PERIOD {
            left_out = count.left_out;
            *count = Count::new(now);
        }
        // `read: big.npy: header says 8128 bytes, …`: only what comes after the file's name.
        let (who, what) = message.split_at(message.match_indices(": ").nth(1).map_or(0, |at| at.0));
        let kind = who.to_owned() + &what.replace(|c: char| c.is_ascii_digit(), "");
        let times = count.messages.get(&kind).copied().unwrap_or(0);
        if times >= BURST || times == 0 && count.messages.len() >= MAX_DIFFERENT {
            count.left_out += 1;
            return None;
        }
        count.messages.insert(kind, times + 1);
        Some(left_out)
    }

    fn write(&self, metadata: &Metadata<'_>, message: &str) {
        let message = &*match self.format {
            LogFormat::Text => Cow::Borrowed(message),
            LogFormat::Json => Cow::Owned(json(metadata, message, SystemTime::now())),
        };
        if let Some(syslog) = self.syslog.as_ref().filter(|_| DETACHED.load(Ordering::Relaxed)) {
            return syslog.send(metadata.level(), message);
        }
        let args = format_args!("{message}");
        self.inner.log(&Record::builder().args(args).metadata(metadata.clone()).build());
    }
}

impl Log for Limited {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata) || is_kept(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let (written, kept) = (self.inner.matches(record), is_kept(record.metadata()));
        if !written && !kept || answers_nobody(record) {
            return;
        }
        // Whatever a message quotes, it is one line.
        let message = shown(&record.args().to_string()).to_string();
        if kept {
            // These have a bound of their own for each user, so one user's messages take nothing from
            // another's.
            messages::note(record.level(), &message);
        }
        if !written {
            return;
        }
        if record.level() <= Level::Warn {
            let origin = (record.file_static(), record.line());
            match self.admits(origin, &message, Instant::now()) {
                None => return,
                Some(0) => {}
                Some(left_out) => self.write(
                    record.metadata(),
                    &format!("{left_out} messages from the same place were not written"),
                ),
            }
        }
        self.write(record.metadata(), &message);
    }

    fn flush(&self) {
        self.inner.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Limited {
        let inner = env_logger::Builder::new().build();
        Limited { inner, format: LogFormat::Text, syslog: None, seen: Mutex::default() }
    }

    #[test]
    fn a_storm_is_counted_and_not_written() {
        let log = log();
        let (here, there) = ((Some("a.rs"), Some(1)), (Some("b.rs"), Some(1)));
        let start = Instant::now();
        let written = (0..1000).filter(|_| log.admits(here, "x", start).is_some()).count();
        assert_eq!(written, 5);
        assert_eq!(log.admits(here, "y", start), Some(0), "another message of the same origin");
        assert_eq!(log.admits(there, "x", start), Some(0));
        assert_eq!(log.admits(here, "x", start + PERIOD), Some(995));
        assert_eq!(log.admits(here, "x", start + PERIOD), Some(0));
    }

    #[test]
    fn a_storm_of_many_messages_is_bounded_too() {
        let log = log();
        let (here, start) = ((Some("a.rs"), Some(1)), Instant::now());
        let admitted = |message: String| log.admits(here, &message, start).is_some();
        let of_one_file = |i: u32| format!("read: a.npy: the file has {i} bytes");
        assert_eq!((0..1000).filter(|&i| admitted(of_one_file(i))).count(), 5);
        let of_many_files = |i: u32| format!("read: {i}.npy: the file has 5 bytes");
        assert_eq!((0..1000).filter(|&i| admitted(of_many_files(i))).count(), 199);
        assert_eq!(log.seen.lock().unwrap()[&here].messages.len(), 200, "nor are they remembered");
    }

    #[test]
    fn an_answer_that_nobody_waits_for_is_no_error() {
        let answers_nobody = |target, message| {
            answers_nobody(
                &Record::builder().target(target).args(format_args!("{message}")).build(),
            )
        };
        let unknown = "Failed to send FUSE reply: No such file or directory (os error 2)";
        assert!(answers_nobody("fuser::reply", unknown));
        assert!(!answers_nobody("npyfs::fuse", unknown));
        let refused = "Failed to send FUSE reply: Invalid argument (os error 22)";
        assert!(!answers_nobody("fuser::reply", refused));
    }

    #[test]
    fn a_message_is_an_object_of_json_whatever_it_quotes() {
        let metadata = Metadata::builder().level(Level::Warn).target("npyfs::fs").build();
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_709_210_096_007);
        assert_eq!(
            json(&metadata, r#"open: "a\b""#, at),
            r#"{"timestamp":"2024-02-29T12:34:56.007Z","level":"WARN","target":"npyfs::fs","message":"open: \"a\\b\""}"#
        );
    }
}
