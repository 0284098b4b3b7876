//! `npyfs create`: the file of an array of zeros, its disk space reserved.
//!
//! The file is made under another name beside its own, which it gets last of all: whatever fails
//! on the way leaves nothing behind, and what has the name already keeps it.

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use npyfs::npy::header::{self, Header, HeaderError};
use npyfs::shown::shown;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
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
        return Err("to be an array in a mount, its name must end in .npy".into());
    }
    let (header, len) = layout(args).map_err(|err| err.to_string())?;
    // Before any work is done; what counts is the last step.
    if path.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let stop = Stop::on_signal()?;
    // Without the ending of arrays, so that a mount of the directory shows none yet.
    let mut file = tempfile::Builder::new().prefix(".npyfs-").make_in(directory, |path| {
        // All that the umask leaves, as any program that makes a file.
        File::options().write(true).create_new(true).mode(0o666).open(path)
    })?;
    if args.sparse {
        file.as_file().set_len(len)?;
    } else {
        reserve(file.as_file_mut(), len, &stop)?;
    }
    file.as_file().write_all_at(&header, 0)?;
    // Over a network a full disk is told no sooner.
    file.as_file().sync_all()?;
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

/// The header that `np.save` writes for these zeros, and the length of the whole file.
fn layout(args: &CreateArgs) -> Result<(Vec<u8>, u64), HeaderError> {
    let shape = args.shape.lengths();
    let header = header::write(&args.dtype, shape, args.order.of_new(shape));
    // What could not be served is not made: too long a header, or with it too long a file.
    let read = Header::read(i64::MAX.cast_unsigned(), |at, buffer| {
        let start = usize::try_from(at).map_err(io::Error::other)?;
        let bytes = header.get(start..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    })?;
    let len = read.data_offset + read.data_len()?;
    Ok((header, len))
}

/// Makes the file this long, of zeros that have their place on the disk.
fn reserve(file: &mut File, len: u64, stop: &Stop) -> io::Result<()> {
    loop {
        stop.check()?;
        match rustix::fs::fallocate(&*file, FallocateFlags::empty(), 0, len) {
            // Stopped and continued, perhaps.
            Err(Errno::INTR) => {}
            // The filesystem cannot: then zeros take the place.
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

/// Whether somebody wants this to end: the file is removed on the way out.
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn on_signal() -> io::Result<Stop> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, asked.clone())?;
        }
        // Sent beyond `ulimit -f`. It would end us at once; heard, it is an error as any other.
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
