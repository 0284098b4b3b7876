//! The life of a mount: made, served until it is unmounted, and never taken for somebody else's.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use fuser::{Config, Session, SessionACL};

use crate::fs::Fs;
use crate::fuse::Adapter;
use crate::meta::{FileId, Meta};
use crate::shown::shown;

mod device;
mod privileges;
mod table;
mod upkeep;

pub use privileges::give_up_privileges;
use table::FILESYSTEM_TYPE;
pub use table::enclosing;
use upkeep::{CloseChanges, keep_fresh, keep_tidy, write_back};

/// How to mount.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Let other users in, as far as the files' permissions do.
    pub allow_other: bool,
    /// How long the kernel may believe what it was told of names and attributes.
    pub ttl: Duration,
    /// Threads that answer requests.
    pub threads: usize,
    /// Let no file be executed.
    pub no_exec: bool,
}

/// An error about a path.
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    why: String,
}

impl Error {
    fn new(path: &Path, why: impl fmt::Display) -> Error {
        Error { path: path.to_owned(), why: why.to_string() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", shown(&self.path), shown(&self.why))
    }
}

impl std::error::Error for Error {}

/// How far the kernel reads ahead, in KiB. It doubles the speed of first reads; the 128 KiB that
/// the kernel starts with cannot be raised by the filesystem itself.
const READ_AHEAD_KB: u32 = 4096;

/// How long open files are served on after the daemon was told to end.
const GRACE: Duration = Duration::from_secs(2);

/// Where a mount is, and which one it is there.
#[derive(Clone, Debug)]
pub struct Place {
    mountpoint: PathBuf,
    device: String,
}

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
}

/// Checks that a filesystem over `source` can be mounted at `mountpoint`, which is made if it is
/// missing, and returns its absolute path.
pub fn prepare(source: &Path, mountpoint: &Path) -> Result<PathBuf, Error> {
    let made = match std::fs::create_dir(mountpoint) {
        Ok(()) => true,
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => false,
        Err(err) => return Err(Error::new(mountpoint, err)),
    };
    let checked = check_mountpoint(mountpoint).and_then(|absolute| {
        check_apart(source, &absolute)?;
        check_empty(&absolute)?;
        Ok(absolute)
    });
    if made && checked.is_err() {
        // As it was. If that fails, an empty directory stays.
        let _ = std::fs::remove_dir(mountpoint);
    }
    checked
}

fn check_mountpoint(mountpoint: &Path) -> Result<PathBuf, Error> {
    let error = |why: &dyn fmt::Display| Error::new(mountpoint, why);
    let by_parent = table::absolute(mountpoint).map_err(|err| error(&err))?;
    let on_top = table::at(&by_parent).map_err(|err| error(&err))?;
    let is_npyfs = on_top.is_some_and(|entry| entry.kind == FILESYSTEM_TYPE);
    let meta = match std::fs::metadata(mountpoint) {
        Err(err) if err.kind() == io::ErrorKind::NotConnected => {
            let remedy = if is_npyfs { "npyfs umount" } else { "umount" };
            let path = shown(mountpoint);
            return Err(error(&format!("a dead mount is in the way; {remedy} {path} removes it")));
        }
        result => result.map_err(|err| error(&err))?,
    };
    if !meta.is_dir() {
        return Err(error(&"not a directory"));
    }
    if is_npyfs {
        return Err(error(&format!(
            "npyfs is mounted there already; npyfs umount {} unmounts it",
            shown(mountpoint)
        )));
    }
    // Resolved whole, now that it is known to be alive.
    mountpoint.canonicalize().map_err(|err| error(&err))
}

fn check_empty(mountpoint: &Path) -> Result<(), Error> {
    let mut entries = std::fs::read_dir(mountpoint).map_err(|err| Error::new(mountpoint, err))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(Error::new(
            mountpoint,
            "the mountpoint is not empty; mount on an empty directory, or on a new one",
        )),
    }
}

/// A source inside the mountpoint, or the reverse, would be served through itself and deadlock.
/// Directories are compared by identity, so that a bind mount does not hide it.
fn check_apart(source: &Path, mountpoint: &Path) -> Result<(), Error> {
    let identities = |path: &Path| -> io::Result<Vec<FileId>> {
        let path = path.canonicalize()?;
        path.ancestors().map(|path| Ok(Meta::of_path(path)?.id)).collect()
    };
    let of_source = identities(source).map_err(|err| Error::new(source, err))?;
    let of_mountpoint = identities(mountpoint).map_err(|err| Error::new(mountpoint, err))?;
    let (source_id, mountpoint_id) = (of_source.first(), of_mountpoint.first());
    if source_id == mountpoint_id {
        let why = "the source and the mountpoint are the same; mount on another directory";
        return Err(Error::new(mountpoint, why));
    }
    if mountpoint_id.is_some_and(|id| of_source.contains(id)) {
        return Err(Error::new(mountpoint, "the source lies inside the mountpoint"));
    }
    if source_id.is_some_and(|id| of_mountpoint.contains(id)) {
        return Err(Error::new(mountpoint, "the mountpoint lies inside the source"));
    }
    Ok(())
}

impl Mount {
    /// Mounts a filesystem at a path that [`prepare`] has returned. From now on the path answers
    /// once [`Mount::serve`] runs. Dropped before, it is unmounted.
    pub fn new(fs: Fs, mountpoint: &Path, options: &Options) -> Result<Mount, Error> {
        let error = |err: io::Error| Error::new(mountpoint, err);
        let source = fs.tree().source().path();
        let writable = fs.tree().is_writable();
        let descriptor = device::mount(source, mountpoint, options, writable).map_err(error)?;
        let place = Place::of(mountpoint).inspect_err(|_| {
            // Only just mounted, so it is on top. That it cannot be found is reported.
            let _ = device::unmount(mountpoint, true);
        })?;
        let mounted = Mounted(Some(place));
        let fs = Arc::new(fs);
        let mut config = Config::default();
        config.n_threads = Some(options.threads.max(1));
        // Each thread gets a channel of its own, where /dev/fuse can be opened for that.
        config.clone_fd = File::options().read(true).write(true).open("/dev/fuse").is_ok();
        let adapter = Adapter::new(fs.clone(), options.ttl);
        let notifier = adapter.notifier();
        // Whom to let in is decided by the kernel, by the mount's options.
        let session =
            Session::from_fd(adapter, descriptor, SessionACL::All, config).map_err(error)?;
        // Empty until now.
        let _ = notifier.set(session.notifier());
        let mount = Mount { session, fs, mounted };
        if let Some(place) = mount.place() {
            place.raise_read_ahead();
            mount.fs.tree().source().leave_out(place.device(), place.mountpoint());
        }
        Ok(mount)
    }

    /// Which mount this is, for others who may have to unmount it.
    pub fn place(&self) -> Option<&Place> {
        self.mounted.0.as_ref()
    }

    /// Serves the mount until it is unmounted, or until `end` receives that somebody asks for it;
    /// then it is unmounted, and files that are open are served for a moment more.
    pub fn serve(self, asked: mpsc::Sender<End>, end: &mpsc::Receiver<End>) -> Result<(), Error> {
        let Mount { session, fs, mut mounted } = self;
        let path = mounted.0.as_ref().map(|place| place.mountpoint.clone()).unwrap_or_default();
        let (_running, ended) = mpsc::channel::<()>();
        let notifier = session.notifier();
        // Not waited for in the end: they may themselves wait for a request that is stuck in the
        // source.
        let is_writable = fs.tree().is_writable();
        if is_writable {
            let (fs, notifier) = (fs.clone(), session.notifier());
            thread::spawn(move || keep_fresh(&fs, &notifier));
        }
        let _until_the_end = CloseChanges(fs.clone());
        thread::spawn(move || keep_tidy(&fs, &notifier, &ended));
        thread::spawn(move || {
            let result = session.run();
            // The receiver is gone if it did not want to wait for this.
            let _ = asked.send(End::Unmounted(result));
        });
        let mut end_of_mount = end.recv();
        if !matches!(end_of_mount, Ok(End::Unmounted(_))) {
            if is_writable {
                write_back(&path);
            }
            mounted.unmount()?;
            end_of_mount = end.recv_timeout(GRACE).or(Ok(End::Asked));
        }
        match end_of_mount {
            Ok(End::Unmounted(Ok(()))) => {
                // It is gone, and its device may be another mount's by now.
                mounted.0 = None;
                Ok(())
            }
            // An error as it goes is none.
            Ok(End::Unmounted(Err(err))) if mounted.is_there() => Err(Error::new(&path, err)),
            Ok(End::Unmounted(Err(_))) => {
                mounted.0 = None;
                Ok(())
            }
            // Files are still open: the kernel answers them with errors when this process is gone.
            Ok(End::Asked) | Err(_) => Ok(()),
        }
    }
}

/// A mount that is there, and is unmounted when this is dropped.
#[derive(Debug)]
struct Mounted(Option<Place>);

impl Mounted {
    fn is_there(&self) -> bool {
        self.0.as_ref().is_some_and(|place| place.is_on_top().unwrap_or(true))
    }

    fn unmount(&mut self) -> Result<(), Error> {
        self.0.take().map_or(Ok(()), |place| place.unmount())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(err) = self.unmount() {
            log::warn!("{err}");
        }
    }
}

impl Place {
    /// The mount that is on top at an absolute path.
    fn of(mountpoint: &Path) -> Result<Place, Error> {
        match table::at(mountpoint).map_err(|err| Error::new(mountpoint, err))? {
            Some(entry) => Ok(Place { mountpoint: mountpoint.to_owned(), device: entry.device }),
            None => Err(Error::new(mountpoint, "the mount is not in /proc/self/mountinfo")),
        }
    }

    /// The mountpoint.
    pub fn mountpoint(&self) -> &Path {
        &self.mountpoint
    }

    /// The device of the mount, `major:minor`, by which another process knows it.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// A mount as another process has described it.
    pub fn described(mountpoint: PathBuf, device: String) -> Place {
        Place { mountpoint, device }
    }

    /// Unmounts lazily, if it is still this very mount that is on top at its path.
    pub fn unmount(&self) -> Result<(), Error> {
        let error =
            |err: io::Error| Error::new(&self.mountpoint, format!("it cannot be unmounted: {err}"));
        if self.is_on_top().map_err(error)? {
            device::unmount(&self.mountpoint, true).map_err(error)?;
        }
        Ok(())
    }

    /// Whether it is this very mount that is on top at its path.
    fn is_on_top(&self) -> io::Result<bool> {
        Ok(table::at(&self.mountpoint)?.is_some_and(|on_top| on_top.device == self.device))
    }

    /// Lets the kernel read far ahead, where that is permitted.
    fn raise_read_ahead(&self) {
        let path = format!("/sys/class/bdi/{}/read_ahead_kb", self.device);
        if let Err(err) = std::fs::write(&path, READ_AHEAD_KB.to_string()) {
            log::debug!("{path}: {err}");
        }
    }
}

/// How a mount was taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Nobody was using it.
    Wholly,
    /// Files in it are open, and are served until they are closed.
    Lazily,
}

/// Unmounts the npyfs mount at a path, a dead one too; lazily where it is busy.
pub fn unmount(mountpoint: &Path) -> Result<Gone, Error> {
    let error = |why: &dyn fmt::Display| Error::new(mountpoint, why);
    let by_parent = table::absolute(mountpoint).map_err(|err| error(&err))?;
    let mut entry = table::at(&by_parent).map_err(|err| error(&err))?;
    let mut absolute = by_parent;
    if entry.is_none() {
        // Perhaps a symlink to the mountpoint.
        if let Ok(resolved) = mountpoint.canonicalize() {
            entry = table::at(&resolved).map_err(|err| error(&err))?;
            absolute = resolved;
        }
    }
    match entry {
        Some(entry) if entry.kind == FILESYSTEM_TYPE => {}
        Some(entry) => return Err(error(&format!("mounted there is {}, not npyfs", entry.kind))),
        None => return Err(error(&"nothing is mounted there")),
    }
    match device::unmount(&absolute, false) {
        Err(err) if err.kind() == io::ErrorKind::ResourceBusy => {
            device::unmount(&absolute, true).map(|()| Gone::Lazily)
        }
        result => result.map(|()| Gone::Wholly),
    }
    .map_err(|err| error(&err))
}
