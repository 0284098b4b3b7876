//! `npyfs create`: the file of an array of zeros, its disk space reserved.
//!
//! The file is made under another name beside its own, and gets its own at the very end. So a failure leaves
//! nothing behind, and an existing file keeps its name.

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::HumanBytes;
use npyfs::escape::shown;
use npyfs::npy::dtype::DType;
use npyfs::npy::header::{self, Header, HeaderError, Order};
use npyfs::npy::typed;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use rustix::process::Resource;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

use super::Outcome;
use crate::cli::CreateArgs;

/// Zeros written at once.
const CHUNK: usize = 1 << 20;

pub(crate) fn run(args: &CreateArgs) -> Outcome {
    create(args).map_err(|why| format!("{}: {why}", shown(&args.path)).into())
}

fn create(args: &CreateArgs) -> Result<(), Box<dyn Error>> {
    let path = &args.path;
    if !path.as_os_str().as_bytes().ends_with(b".npy") {
        return Err("to be an array in a mount, its name must end in .npy, in lower case".into());
    }
    // An early check, to save the work. The last step is the one that decides.
    if path.symlink_metadata().is_ok() {
        return Err(exists());
    }
    if let Some((source, within)) = npyfs::mount::enclosing(path) {
        let place = source.join(within);
        return Err(format!(
            "files cannot be made in a mount; make it in the source: {}",
            shown(&place)
        )
        .into());
    }
    let (header, len) = layout(&Wanted::of(args)?).map_err(|err| err.to_string())?;
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let stop = Stop::on_signal()?;
    if let Ok(false) = directory.try_exists() {
        return Err(format!("there is no directory {} to make it in", shown(directory)).into());
    }
    let room = Room::on_disk_of(directory, len)?;
    // Not named like an array, so that a mount of the directory shows none yet.
    let mut file = tempfile::Builder::new().prefix(".npyfs-").make_in(directory, |path| {
        // All permissions that the umask leaves, as for any new file.
        File::options().write(true).create_new(true).mode(0o666).open(path)
    })?;
    let filled = fill(file.as_file_mut(), &header, len, args.sparse, &stop);
    filled.map_err(|err| room.explain(&err))?;
    stop.check()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(err) if err.error.kind() == io::ErrorKind::AlreadyExists => Err(exists()),
        Err(err) => Err(err.error.into()),
    }
}

fn exists() -> Box<dyn Error> {
    "it exists already".into()
}

/// The array to make.
struct Wanted {
    dtype: Arc<DType>,
    shape: Vec<u64>,
    order: Order,
}

impl Wanted {
    /// What was typed, and the rest from another array.
    fn of(args: &CreateArgs) -> Result<Wanted, String> {
        let like = match &args.like {
            Some(file) => Some(header_of(file).map_err(|why| format!("{}: {why}", shown(file)))?),
            None => None,
        };
        let typed = (args.dtype.clone().map(Arc::new), args.shape.as_ref(), args.order);
        let (dtype, shape, order) = match (typed, like) {
            ((dtype, shape, order), Some(like)) => (
                dtype.unwrap_or(like.dtype),
                shape.map_or(like.shape, |shape| shape.lengths().to_vec()),
                order.unwrap_or(like.order),
            ),
            ((Some(dtype), Some(shape), order), None) => {
                (dtype, shape.lengths().to_vec(), order.unwrap_or(Order::C))
            }
            _ => return Err("a shape and a dtype are needed, or --like FILE".to_owned()),
        };
        if dtype.has_objects() {
            return Err(typed::NO_OBJECTS.to_owned());
        }
        Ok(Wanted { dtype, shape, order })
    }
}

/// The header of a .npy file.
fn header_of(file: &Path) -> Result<Header, HeaderError> {
    let opened = File::open(file).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (len, file) = opened.map_err(HeaderError::Io)?;
    Header::read(len, |at, buffer| file.read_exact_at(buffer, at))
}

/// The header that `np.save` writes for these zeros, and the length of the whole file.
fn layout(wanted: &Wanted) -> Result<(Vec<u8>, u64), HeaderError> {
    let shape = &wanted.shape;
    let header = header::write(&wanted.dtype, shape, wanted.order.of_new(shape));
    // What could not be served is not made: too long a header, or too long a file with it.
    let read = Header::read(i64::MAX.cast_unsigned(), |at, buffer| {
        let start = usize::try_from(at).map_err(io::Error::other)?;
        let bytes = header.get(start..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    })?;
    let len = read.data_offset + read.data_len()?;
    Ok((header, len))
}

/// What a file takes, and what there is for it.
struct Room {
    needed: u64,
    available: u64,
}

impl Room {
    fn on_disk_of(directory: &Path, needed: u64) -> io::Result<Room> {
        let stat = rustix::fs::statvfs(directory)?;
        // Some blocks are kept for root.
        let free = if rustix::process::geteuid().is_root() { stat.f_bfree } else { stat.f_bavail };
        Ok(Room { needed, available: free.saturating_mul(stat.f_frsize) })
    }

    /// The message of an error, and how much was too much.
    fn explain(&self, err: &io::Error) -> String {
        let (needed, available) = (size(self.needed), size(self.available));
        let limit = rustix::process::getrlimit(Resource::Fsize).current;
        match (err.raw_os_error(), limit) {
            (Some(libc::ENOSPC), _) => {
                format!("{err}: {needed} are needed, {available} are available")
            }
            (Some(libc::EFBIG), Some(limit)) if limit < self.needed => {
                format!("{err}: {needed} are needed, a file may have {} (ulimit -f)", size(limit))
            }
            (Some(libc::EFBIG), _) => {
                format!("{err}: {needed} are needed, more than the filesystem lets a file have")
            }
            (Some(libc::EDQUOT), _) => format!("{err}: {needed} are needed"),
            _ => err.to_string(),
        }
    }
}

/// Bytes, exactly and in a unit that says something.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        _ => format!("{bytes} bytes ({})", HumanBytes(bytes)),
    }
}

/// Gives the file its bytes, and returns when they are on the disk.
fn fill(file: &mut File, header: &[u8], len: u64, sparse: bool, stop: &Stop) -> io::Result<()> {
    if sparse {
        file.set_len(len)?;
    } else {
        reserve(file, len, stop)?;
    }
    file.write_all_at(header, 0)?;
    // On a network filesystem a full disk may be reported only now.
    file.sync_all()
}

/// Makes the file this long, of zeros that have disk space.
fn reserve(file: &mut File, len: u64, stop: &Stop) -> io::Result<()> {
    loop {
        stop.check()?;
        match rustix::fs::fallocate(&*file, FallocateFlags::empty(), 0, len) {
            // Perhaps it was stopped and continued.
            Err(Errno::INTR) => {}
            // The filesystem cannot reserve: write zeros.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return write_zeros(file, len, stop),
            done => return Ok(done?),
        }
    }
}

fn write_zeros(file: &mut File, len: u64, stop: &Stop) -> io::Result<()> {
    let zeros = vec![0; CHUNK];
    let mut left = len;
    while left > 0 {
        stop.check()?;
        let now = left.min(CHUNK as u64);
        file.write_all(&zeros[..now as usize])?;
        left -= now;
    }
    Ok(())
}

/// Whether a signal asks this to end: the file is removed on the way out.
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn on_signal() -> io::Result<Stop> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, asked.clone())?;
        }
        // Sent beyond `ulimit -f`. It would end us at once; handled, it becomes an error like any other.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        Ok(Stop(asked))
    }

    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted"));
        }
        Ok(())
    }
}
