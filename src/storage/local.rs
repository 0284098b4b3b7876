//! Local files: every read of them, and every write (the module `writer`).
//!
//! Bytes that lie together are read through the file (`pread`) into the caller's buffer. That is
//! one copy more than to hand the kernel a map of the file, and yet it is as fast for large reads
//! and much faster for small ones, since no page of a map has to be faulted in. And what it returns
//! is what the file has, no more: past its end there is nothing, rather than zeros or a signal. Where
//! they go to another file, the kernel copies them by itself (`splice`), which is one copy.
//!
//! Strided bytes of a file that a network may have to be asked for are read in spans (the module
//! `spans`). Those of other files are gathered from a map of the file, one for all readers, made when
//! the first of them comes.
//!
//! This is the only home of `mmap` and of the unsafe code that goes with it. The question it has to
//! answer is: *what if the file is truncated while it is mapped?* Then the pages past its new end are
//! gone, and touching them raises SIGBUS. So a map is touched only by the module `strided`, under a
//! guard that turns the signal into an error (the module `sigbus`). The last page of a file is mapped
//! whole, and reads as zeros beyond the file's end; that is why the size is looked at after
//! gathering, too.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use memmap2::{MmapOptions, MmapRaw};
use rustix::io::ReadWriteFlags;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with};

use super::{ReadError, Storage, check_size, read_pieces, short};
use crate::meta::Meta;
use crate::runs::Pieces;

mod background_close;
mod filesystem;
mod sigbus;
mod spans;
mod strided;
mod writer;

use background_close::ClosedApart;
pub use background_close::await_closed;
use filesystem::Filesystem;
pub use writer::{Unwritten, Writer};

/// Bytes that a pipe can be made to hold, by the system's default settings.
const PIPE: usize = 1 << 20;

/// A regular file, open for reading, and mapped at most once.
#[derive(Debug)]
pub struct LocalFile {
    open: ClosedApart<Open>,
    /// The file's size when it was opened, and that of the map.
    size: u64,
    filesystem: Filesystem,
}

#[derive(Debug)]
struct Open {
    file: File,
    map: OnceLock<MmapRaw>,
}

impl LocalFile {
    /// Takes a regular file that is open for reading.
    pub fn new(file: File) -> io::Result<LocalFile> {
        let filesystem = Filesystem::of(&file);
        let slow = filesystem.slow_device(&file);
        let open = ClosedApart::new(Open { file, map: OnceLock::new() }, slow);
        let size = open.file.metadata()?.len();
        Ok(LocalFile { open, size, filesystem })
    }

    /// The file's attributes now.
    pub fn meta(&self) -> io::Result<Meta> {
        Meta::of(&self.open.file)
    }

    /// The file's size when it was opened.
    pub fn size_at_open(&self) -> u64 {
        self.size
    }

    /// The map: addresses, and never a reference, since others change what is there.
    fn map(&self) -> io::Result<&MmapRaw> {
        if let Some(map) = self.open.map.get() {
            return Ok(map);
        }
        // There may be no room for one; later there may be, and what lies together can be read
        // all the same.
        let len = usize::try_from(self.size).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let map = MmapOptions::new().len(len).map_raw_read_only(&self.open.file)?;
        Ok(self.open.map.get_or_init(|| map))
    }

    /// Whether it is mapped.
    pub fn is_mapped(&self) -> bool {
        self.open.map.get().is_some()
    }

    /// Whether it is on a filesystem that is known to answer at once what it is asked about the file.
    pub fn answers_at_once(&self) -> bool {
        self.filesystem != Filesystem::Other
    }

    /// Whether to be opened for writing may have made another file of it underneath, of which a map
    /// that was made before knows nothing.
    pub fn may_be_copied(&self) -> bool {
        self.filesystem == Filesystem::Overlay
    }

    /// Whether the content may change, or may have changed, with no trace in the timestamps.
    ///
    /// That happens through a writable map, on pages that are dirty already; and on filesystems
    /// other than the usual ones of disks it may happen at any time (on tmpfs, to pages that were
    /// read before they were written).
    pub fn may_have_unseen_changes(&self) -> bool {
        self.filesystem != Filesystem::OfDisks || self.may_have_writer()
    }

    /// Whether anybody holds the file open for writing, or may, for all that can be told.
    ///
    /// A read lease is granted only where there is nobody; it is given back at once. A signal for
    /// its being broken in between is ignored (see [`ignore_signals`]).
    fn may_have_writer(&self) -> bool {
        let fd = self.open.file.as_raw_fd();
        // SAFETY: F_SETLEASE takes an int and touches no memory of ours; `fd` is open.
        let granted = unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK) } == 0;
        if granted {
            // SAFETY: as above.
            unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) };
        }
        !granted
    }
}

impl Storage for LocalFile {
    fn size(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.open.file)?.st_size.cast_unsigned())
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), ReadError> {
        self.open.file.read_exact_at(out, at).map_err(|err| match err.kind() {
            io::ErrorKind::UnexpectedEof => short(self),
            _ => err.into(),
        })
    }

    /// Some filesystems never tell.
    fn read_now(&self, at: u64, out: &mut [u8]) -> bool {
        let (len, mut parts) = (out.len(), [IoSliceMut::new(out)]);
        let read = rustix::io::preadv2(&self.open.file, &mut parts, at, ReadWriteFlags::NOWAIT);
        read.is_ok_and(|read| read == len)
    }

    fn copy_to(&self, at: u64, len: u64, file: &File, place: u64) -> bool {
        let Some(end) = at.checked_add(len) else { return false };
        // Where the file now ends, a page in the pipe may have been cleared.
        splice(&self.open.file, at..end, file, place).is_ok() && check_size(self, end).is_ok()
    }

    fn gather(&self, pieces: Pieces<'_>, out: &mut [u8], needs: u64) -> Result<(), ReadError> {
        check_size(self, needs)?;
        let gathered = if self.answers_at_once() {
            self.map().is_ok_and(|map| strided::gather(map, pieces.clone(), out).is_ok())
        } else {
            spans::gather(&self.open.file, pieces.clone(), out).is_ok()
        };
        if !gathered {
            // Cut off; or a page cannot be had though it is not: the disk is broken (perhaps only
            // between the stretches), or a hole of a file on tmpfs needs memory as soon as it is
            // mapped, and there is none left. Or there is no room for another map.
            check_size(self, needs)?;
            read_pieces(self, pieces, out)?;
        }
        check_size(self, needs)
    }
}

/// Has the kernel copy some bytes of a file to another, from that one's byte `place` on. On the way they are pages of
/// the first that wait in a pipe.
fn splice(from: &File, mut bytes: Range<u64>, to: &File, mut place: u64) -> io::Result<()> {
    let (reads, writes) = pipe_with(PipeFlags::CLOEXEC)?;
    // It holds less if that is refused.
    let _ = fcntl_setpipe_size(&writes, PIPE);
    while bytes.start < bytes.end {
        let len = (bytes.end - bytes.start).min(PIPE as u64) as usize;
        let flags = SpliceFlags::empty();
        let mut waiting =
            rustix::pipe::splice(from, Some(&mut bytes.start), &writes, None, len, flags)?;
        if waiting == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while waiting > 0 {
            waiting -= rustix::pipe::splice(&reads, None, to, Some(&mut place), waiting, flags)?;
        }
    }
    Ok(())
}

impl AsFd for LocalFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.open.file.as_fd()
    }
}

/// Ignores signals that by default end a process: SIGIO, which tells that a lease is being broken,
/// and SIGXFSZ, for a write past the process's limit, which then is an error (EFBIG) instead.
///
/// To be called once, by a process that serves files.
pub fn ignore_signals() {
    for signal in [libc::SIGIO, libc::SIGXFSZ] {
        // SAFETY: SIG_IGN is no handler, so nothing runs that would have to be async-signal-safe.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

#[cfg(test)]
mod tests;
