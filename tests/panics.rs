//! A panic while a request is handled costs that request and nothing else.

mod common;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use common::{TestEnv, eventually, in_time, mount_count};
use log::{Level, LevelFilter, Log, Metadata, Record};
use npyfs::mount::{End, Error, Options, prepare};
use npyfs::tree;
use rustix::fs::{Advice, fadvise, getxattr, listxattr, statvfs};
use rustix::io::Errno;

const WORKERS: usize = 2;

/// How often each handler is made to panic, at least. If that took a worker, none would be left.
const ROUNDS: usize = 8 * WORKERS;

/// A log that panics at the message with which the armed handler begins, and counts what is
/// reported of that.
#[derive(Default)]
struct Saboteur {
    armed: Mutex<String>,
    reported: AtomicUsize,
}

static SABOTEUR: Saboteur =
    Saboteur { armed: Mutex::new(String::new()), reported: AtomicUsize::new(0) };

impl Saboteur {
    fn arm(&self, handler: &str) {
        self.reported.store(0, Ordering::SeqCst);
        handler.clone_into(&mut self.armed.lock().unwrap());
    }

    fn reported(&self) -> usize {
        self.reported.load(Ordering::SeqCst)
    }
}

impl Log for Saboteur {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("npyfs::fuse")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = record.args().to_string();
        let armed = self.armed.lock().unwrap().clone();
        match record.level() {
            Level::Trace if message.starts_with(&format!("{armed} for user ")) => {
                // As a panic, without its words on the terminal.
                resume_unwind(Box::new("injected"));
            }
            Level::Error if message.starts_with(&format!("{armed}: ")) => {
                self.reported.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
    }

    fn flush(&self) {}
}

/// A mount that is served by this process.
struct Served {
    asked: Sender<End>,
    serving: Option<JoinHandle<Result<(), Error>>>,
}

impl Served {
    fn new(env: &TestEnv) -> Served {
        let options = Options {
            // Only such a mount is asked for access lists.
            allow_other: true,
            tree: tree::Options { writable: true, ..Default::default() },
            // The kernel believes nothing for long, so that every call comes to us.
            ttl: Duration::ZERO,
            threads: WORKERS,
            ..Default::default()
        };
        let mount = prepare(&env.data(), &env.mountpoint(), &options).unwrap().mount().unwrap();
        let (asked, end) = mpsc::channel();
        let serving = thread::spawn({
            let asked = asked.clone();
            move || mount.serve(asked, &end, |_| {})
        });
        Served { asked, serving: Some(serving) }
    }

    fn end(&mut self) -> Result<(), Error> {
        let _ = self.asked.send(End::Asked);
        self.serving.take().map_or(Ok(()), |serving| serving.join().unwrap())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// What calls are made on.
struct World {
    data: PathBuf,
    mountpoint: PathBuf,
    slice: File,
    /// Open for writing.
    written: File,
}

/// A call, and the handlers without which it fails.
type Call = (&'static [&'static str], fn(&World) -> io::Result<()>);

/// Calls by path need `getattr` too: the kernel checks permissions by itself, on attributes that it
/// does not believe for long. So do reads, for the size.
const CALLS: [Call; 13] = [
    (&["lookup", "getattr"], |on| std::fs::metadata(on.path("big/rows/1-2.npy")).map(drop)),
    (&["getattr"], |on| on.slice.metadata().map(drop)),
    (&["lookup", "getattr", "readlink"], |on| {
        std::fs::read_link(on.path(&on.new_link())).map(drop)
    }),
    (&["lookup", "getattr", "open"], |on| File::open(on.path("big/cols/1.npy")).map(drop)),
    (&["getattr", "read"], |on| {
        // Without the pages that the kernel has of it.
        fadvise(&on.slice, 0, None, Advice::DontNeed)?;
        on.slice.read_exact_at(&mut [0; 100], 0)
    }),
    // More names than one answer holds: the kernel wants attributes with the first of them only.
    (&["lookup", "getattr", "opendir", "readdirplus", "readdir"], |on| {
        let names: io::Result<Vec<_>> = std::fs::read_dir(on.path("big/parts/400"))?.collect();
        names.map(|names| assert_eq!(names.len(), 400))
    }),
    (&["statfs"], |on| Ok(statvfs(&on.mountpoint).map(drop)?)),
    (&["write"], |on| on.written.write_all_at(&[0; 8], 0)),
    (&["lookup", "getattr", "open", "flush"], |on| {
        let to = format!("of={}", on.path("big/rows/2.raw").display());
        let dd = Command::new("dd").args(["if=/dev/null", &to, "conv=notrunc"]).output()?;
        // It tells in words what closing the file has told it.
        if dd.status.success() { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EIO)) }
    }),
    (&["lookup", "getattr", "getxattr"], |on| {
        match getxattr(on.path("big.npy"), "system.posix_acl_access", &mut [0u8; 100]) {
            Err(Errno::NODATA) => Ok(()),
            found => Ok(found.map(|len| panic!("a list of {len} bytes"))?),
        }
    }),
    (&["lookup", "getattr", "listxattr"], |on| {
        Ok(listxattr(on.path("big.npy"), &mut [0u8; 100]).map(|len| assert_eq!(len, 0))?)
    }),
    (&["fsync"], |on| on.written.sync_all()),
    (&["lookup", "getattr", "open", "setattr"], |on| {
        File::create(on.path("big/cols/2.npy")).map(drop)
    }),
];

impl World {
    fn path(&self, name: &str) -> PathBuf {
        self.mountpoint.join(name)
    }

    /// A symlink whose text the kernel has not kept.
    fn new_link(&self) -> String {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let name = format!("link{}", MADE.fetch_add(1, Ordering::Relaxed));
        std::os::unix::fs::symlink("big.npy", self.data.join(&name)).unwrap();
        name
    }

    /// A name that was looked up and is gone: the kernel forgets it.
    fn forget_one(&self) {
        let gone = self.data.join("gone");
        std::fs::write(&gone, "").unwrap();
        let _ = std::fs::metadata(self.path("gone"));
        std::fs::remove_file(&gone).unwrap();
        let _ = std::fs::metadata(self.path("gone"));
    }

    /// Makes every call, while one handler panics or none.
    fn make_all_calls(&self, panicking: &str) {
        for (needs, call) in CALLS {
            let errno = call(self).map_err(|err| err.raw_os_error());
            let expected = if needs.contains(&panicking) { Err(Some(libc::EIO)) } else { Ok(()) };
            assert_eq!(errno, expected, "a call that needs {needs:?}; {panicking} panics");
        }
        self.forget_one();
    }
}

/// The names of all handlers, from the source: none is left out here.
fn handlers() -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/fuse.rs");
    let text = std::fs::read_to_string(source).unwrap();
    let names = text.split("guarded(req, ").skip(1).map(|rest| rest.split('"').nth(1).unwrap());
    names.map(str::to_owned).collect()
}

#[test]
fn a_panic_in_a_handler_is_one_answer_of_eio_and_harms_no_other_call() {
    log::set_logger(&SABOTEUR).unwrap();
    log::set_max_level(LevelFilter::Trace);
    let env = TestEnv::new();
    let mut served = Served::new(&env);
    let (data, mountpoint) = (env.data(), env.mountpoint());
    let (slice, written) = in_time("the first opens", {
        let rows = mountpoint.join("big/rows");
        move || {
            let slice = File::open(rows.join("0-1000.npy")).unwrap();
            (slice, File::options().write(true).open(rows.join("7.raw")).unwrap())
        }
    });
    let world = Arc::new(World { data, mountpoint, slice, written });

    let handlers = handlers();
    assert!(handlers.len() == 18 && handlers.contains("release"), "{handlers:?}");
    for handler in handlers {
        SABOTEUR.arm(&handler);
        let (armed, on) = (handler.clone(), world.clone());
        in_time(&handler, move || (0..ROUNDS).for_each(|_| on.make_all_calls(&armed)));
        // Nobody waits for the answers to some of them, such as `release`.
        eventually(&format!("{handler} to panic"), || SABOTEUR.reported() >= ROUNDS);
        SABOTEUR.arm("");
        let on = world.clone();
        in_time("all calls, when it is over", move || on.make_all_calls(""));
    }

    drop(world);
    served.end().unwrap();
    assert_eq!(mount_count(&env.mountpoint()), 0);
}
