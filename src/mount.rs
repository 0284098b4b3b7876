//! The life of a mount: made, served until it is unmounted, and never mistaken for another.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use fuser::{Config, Session, SessionACL};

use crate::escape::shown;
use crate::fs::{Fs, Staging};
use crate::fuse::Adapter;
use crate::source::{self, Source};
use crate::statistics::STATISTICS;
use crate::storage;
use crate::tree::{self, Tree};

mod connection;
mod device;
mod housekeeping;
mod mountpoint;
mod place;
mod privileges;
mod processes;
mod table;
mod users;

use connection::Connection;
use housekeeping::{CloseChanges, keep_fresh, keep_tidy, write_back};
use mountpoint::Mountpoint;
pub use place::{Gone, Place, at, unmount};
pub use privileges::give_up_privileges;
pub use processes::{Process, in_words};
pub use table::{Entry, enclosing, enclosing_mount, mounts};
pub use users::user_name;

/// How to mount.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Let other users in, as far as the files' permissions do.
    pub allow_other: bool,
    /// Serve the targets of symlinks as plain entries, wherever they are.
    pub follow_symlinks: bool,
    /// How the tree is served.
    pub tree: tree::Options,
    /// How long the kernel may rely on names and attributes that it got.
    pub ttl: Duration,
    /// Threads that answer requests.
    pub threads: usize,
    /// Bytes of the largest slice that is staged: copied into memory when it is opened, on root's read-only mounts.
    pub stage_bytes: u64,
    /// Do not let files be executed.
    pub no_exec: bool,
}

impl Default for Options {
    /// Read-only, for its owner alone, with a thread for each core, at most four.
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, |n| n.get());
        Options {
            allow_other: false,
            follow_symlinks: false,
            tree: tree::Options::default(),
            ttl: Duration::from_secs(1),
            threads: cores.min(4),
            stage_bytes: 256 << 20,
            no_exec: false,
        }
    }
}

/// Why there is no mount, or why it does not end.
#[derive(Debug)]
pub enum Error {
    /// About a path.
    Path(PathBuf, String),
    /// Of the source.
    Source(crate::error::Error),
}

impl Error {
    fn new(path: &Path, why: impl fmt::Display) -> Error {
        Error::Path(path.to_owned(), why.to_string())
    }
}

impl From<crate::error::Error> for Error {
    fn from(err: crate::error::Error) -> Self {
        Error::Source(err)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Path(path, why) => write!(f, "{}: {}", shown(path), shown(why)),
            Error::Source(err) => write!(f, "{err}"),
        }
    }
}

impl std::error::Error for Error {}

/// How far the kernel reads ahead, in KiB. It doubles the speed of first reads. The filesystem itself cannot
/// raise the 128 KiB that the kernel starts with.
const READ_AHEAD_KB: u32 = 4096;

/// How much of the memory for bytes that are not yet written may be taken by those stored through maps of a mount, in percent.
/// The kernel starts with 1 for FUSE, since a server may never write them.
const MAX_RATIO: u32 = 10;

/// How long open files are still served after the daemon was asked to end.
pub const GRACE: Duration = Duration::from_secs(2);

/// How long a writable mount may take at its end to write back what was stored through maps.
const WRITE_BACK: Duration = Duration::from_secs(20);

/// A mount that is ready to be served.
#[derive(Debug)]
pub struct Mount {
    session: Session<Adapter>,
    fs: Arc<Fs>,
    mounted: Mounted,
}

/// What ends a mount.
#[derive(Debug)]
pub enum End {
    /// The kernel has no more requests: it was unmounted.
    Unmounted(io::Result<()>),
    /// Somebody asked for it.
    Asked,
    /// What was stored through maps is written back, so it can be unmounted.
    WrittenBack,
}

/// A source and a mountpoint that are ready to be mounted.
#[derive(Debug)]
pub struct Prepared {
    fs: Fs,
    mountpoint: Mountpoint,
    options: Options,
}

/// Opens a source, and checks that it can be mounted on a directory, which is made if it is missing.
/// Everything that may take long, or fail because of what a user typed, is done here.
pub fn prepare(source: &Path, mountpoint: &Path, options: &Options) -> Result<Prepared, Error> {
    let Options { follow_symlinks, allow_other: for_others, .. } = *options;
    let opened = Source::open(source, source::Options { follow_symlinks, for_others })?;
    let tree = Tree::new(opened, options.tree);
    tree.check()?;
    let mountpoint = Mountpoint::check(source, mountpoint)?;
    Ok(Prepared { fs: Fs::new(tree), mountpoint, options: *options })
}

impl Prepared {
    /// Mounts it. Its path answers once [`Mount::serve`] runs; if it is dropped before, it is unmounted. This
    /// process ignores SIGIO and SIGXFSZ from now on.
    pub fn mount(self) -> Result<Mount, Error> {
        storage::ignore_signals();
        Mount::new(self.fs, self.mountpoint, &self.options)
    }
}

impl Mount {
    fn new(fs: Fs, mountpoint: Mountpoint, options: &Options) -> Result<Mount, Error> {
        let path = mountpoint.path().to_owned();
        let error = |err: io::Error| Error::new(&path, err);
        let source = fs.tree().source().path();
        let writable = fs.tree().is_writable();
        let descriptor = device::mount(source, &mountpoint, options, writable).map_err(error)?;
        // If it is not found, it ends with its descriptor.
        let place = mountpoint.place().map_err(error)?;
        drop(mountpoint);
        let mounted = Mounted(Some(place));
        let fs = Arc::new(staged(fs, options.stage_bytes));
        let mut config = Config::default();
        config.n_threads = Some(options.threads.max(1));
        // Each thread gets a channel of its own, if /dev/fuse can be opened for that.
        config.clone_fd = File::options().read(true).write(true).open("/dev/fuse").is_ok();
        let adapter = Adapter::new(fs.clone(), options.ttl);
        let notifier = adapter.notifier();
        // The kernel decides whom to let in, by the mount's options.
        let session =
            Session::from_fd(adapter, descriptor, SessionACL::All, config).map_err(error)?;
        // Empty until now.
        let _ = notifier.set(session.notifier());
        let mount = Mount { session, fs, mounted };
        STATISTICS.begin();
        if let Some(place) = mount.place() {
            tune(place.device());
            mount.fs.tree().source().leave_out(place.device(), place.mountpoint());
        }
        Ok(mount)
    }

    /// Which mount this is, for others who may have to unmount it.
    pub fn place(&self) -> Option<&Place> {
        self.mounted.0.as_ref()
    }

    /// Serves the mount until it is unmounted, or until `end` receives that somebody asks for it. Then it is
    /// unmounted. If it is in use, `in_use` gets the users that are known, and open files are served a moment
    /// longer; a second request ends that at once.
    pub fn serve(
        self,
        asked: mpsc::Sender<End>,
        end: &mpsc::Receiver<End>,
        in_use: impl Fn(&[Process]),
    ) -> Result<(), Error> {
        let Mount { session, fs, mut mounted } = self;
        let path =
            mounted.0.as_ref().map(|place| place.mountpoint().to_owned()).unwrap_or_default();
        // Taken while the number is known to be ours: once the mount is gone, another may get it.
        let connection = mounted.0.as_ref().map(|place| Connection::of(place.device()));
        let (_running, ended) = mpsc::channel::<()>();
        let notifier = session.notifier();
        // These threads are not joined at the end: they may wait for a request that is stuck in the source.
        if fs.tree().is_writable() {
            let (fs, notifier) = (fs.clone(), session.notifier());
            thread::spawn(move || keep_fresh(&fs, &notifier));
        }
        let _until_the_end = CloseChanges(fs.clone());
        thread::spawn({
            let fs = fs.clone();
            move || keep_tidy(&fs, &notifier, &ended)
        });
        thread::spawn({
            let asked = asked.clone();
            move || {
                let result = session.run();
                // The receiver is gone if it did not want to wait.
                let _ = asked.send(End::Unmounted(result));
            }
        });
        let mut end_of_mount = end.recv();
        if !matches!(end_of_mount, Ok(End::Unmounted(_))) {
            end_of_mount = mounted.come_down(&fs, asked, end, in_use)?;
        }
        match end_of_mount {
            Ok(End::Unmounted(Ok(()))) => {
                // It is gone, and its device may be another mount's by now.
                mounted.0 = None;
                Ok(())
            }
            // An error after the mount has gone is none.
            Ok(End::Unmounted(Err(err))) if mounted.is_there() => Err(Error::new(&path, err)),
            Ok(End::Unmounted(Err(_))) => {
                mounted.0 = None;
                Ok(())
            }
            Ok(End::Asked | End::WrittenBack) | Err(_) => {
                // Files are still open. The kernel answers them with errors once this process is gone, but a
                // source that does not answer can keep it from going.
                if let Some(Err(err)) = connection.map(|connection| connection?.abort()) {
                    log::debug!("the connection ends with this process: {err}");
                }
                Ok(())
            }
        }
    }
}

/// The same filesystem, whose slices of at most `max` bytes are staged if that is possible.
fn staged(fs: Fs, max: u64) -> Fs {
    if max == 0 || fs.tree().is_writable() || !rustix::process::geteuid().is_root() {
        return fs;
    }
    match Staging::new(max) {
        Ok(staging) => fs.with_staging(staging),
        Err(why) => {
            log::info!("slices are not staged: {why}");
            fs
        }
    }
}

/// Lets the kernel read far ahead, and keep more of what was stored through maps before whoever stores has to wait,
/// as far as that is permitted.
fn tune(device: &str) {
    for (name, value) in [("read_ahead_kb", READ_AHEAD_KB), ("max_ratio", MAX_RATIO)] {
        let path = format!("/sys/class/bdi/{device}/{name}");
        if let Err(err) = std::fs::write(&path, value.to_string()) {
            log::debug!("{path}: {err}");
        }
    }
}

/// A mount that is unmounted when this is dropped.
#[derive(Debug)]
struct Mounted(Option<Place>);

impl Mounted {
    fn is_there(&self) -> bool {
        self.0.as_ref().is_some_and(|place| place.is_there().unwrap_or(true))
    }

    /// Ends the mount because somebody asked, and waits until all users are done, or have had enough time, or
    /// somebody asks again.
    fn come_down(
        &mut self,
        fs: &Fs,
        asked: mpsc::Sender<End>,
        end: &mpsc::Receiver<End>,
        in_use: impl Fn(&[Process]),
    ) -> Result<Result<End, mpsc::RecvError>, Error> {
        let Some(place) = &self.0 else { return Ok(Ok(End::Asked)) };
        let mut users = place.users();
        for opener in fs.openers().into_iter().filter_map(Process::of_thread) {
            if !opener.is_this() && !users.contains(&opener) {
                users.push(opener);
            }
        }
        if !users.is_empty() {
            in_use(&users);
        }
        if fs.tree().is_writable() {
            write_back(place.mountpoint(), asked);
            match end.recv_timeout(WRITE_BACK) {
                Ok(End::WrittenBack) => {}
                Ok(End::Unmounted(result)) => return Ok(Ok(End::Unmounted(result))),
                Ok(End::Asked) => {
                    self.unmount()?;
                    return Ok(Ok(End::Asked));
                }
                Err(_) => {
                    log::warn!(
                        "{}: not everything was written back in time",
                        shown(place.mountpoint())
                    );
                }
            }
        }
        let gone = self.unmount()?;
        if users.is_empty() && gone != Gone::Wholly {
            in_use(&users);
        }
        let until = Instant::now() + GRACE;
        loop {
            match end.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(End::WrittenBack) => {}
                event => return Ok(event.or(Ok(End::Asked))),
            }
        }
    }

    fn unmount(&mut self) -> Result<Gone, Error> {
        self.0.take().map_or(Ok(Gone::Wholly), |place| place.unmount())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(err) = self.unmount() {
            log::warn!("{err}");
        }
    }
}
