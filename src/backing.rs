//! Backing files: every read of them, and every write (the module `writer`).
//!
//! Bytes that lie together are read through the file (`pread`) into the caller's buffer. That is
//! one copy more than to hand the kernel a map of the file, and yet it is as fast for large reads
//! and much faster for small ones, since no page of a map has to be faulted in. And what it returns
//! is what the file has, no more: past its end there is nothing, rather than zeros or a signal.
//!
//! Strided bytes are gathered from a map of the file, one for all readers, made when the first of
//! them comes. This is the only home of `mmap` and of the unsafe code that goes with it. The
//! question it has to answer is: *what if the file is truncated while it is mapped?* Then the pages
//! past its new end are gone, and touching them raises SIGBUS. So a map is touched only by the module
//! `strided`, under a guard that turns the signal into an error (the module `fault`). The
//! last page of a file is mapped whole, and reads as zeros beyond the file's end; that is why the
//! size is looked at after gathering, too.

use std::fmt;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use memmap2::{MmapOptions, MmapRaw};
use rustix::io::ReadWriteFlags;

use crate::meta::Meta;
use crate::runs::Pieces;

mod closing;
mod fault;
mod strided;
mod writer;

use closing::ClosedApart;
pub use closing::await_closed;
pub use writer::{Unwritten, Writer};

/// A regular file, open for reading, and mapped at most once.
#[derive(Debug)]
pub struct Backing {
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

/// What is known of the filesystem that a file is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filesystem {
    /// One of the usual ones of disks (ext2 to ext4, XFS, Btrfs, F2FS), which note every first store to a
    /// clean page of a shared map in the file's times.
    OfDisks,
    /// overlayfs, on this machine most likely: the first open for writing makes a copy of a file, and a
    /// map that was made before stays one of the original
    Overlay,
    /// tmpfs or ZFS: of this machine too, most likely
    Local,
    /// Any other, of a network perhaps
    Other,
}

/// Why bytes of a backing file cannot be had.
#[derive(Debug)]
pub enum ReadError {
    /// The file ends before them.
    Short {
        /// Bytes that the file has.
        has: u64,
    },
    /// The operating system refused.
    Io(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(err: io::Error) -> Self {
        ReadError::Io(err)
    }
}

impl From<ReadError> for io::Error {
    fn from(err: ReadError) -> Self {
        match err {
            ReadError::Short { .. } => io::ErrorKind::UnexpectedEof.into(),
            ReadError::Io(err) => err,
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Short { has } => write!(f, "the file has {has} bytes"),
            ReadError::Io(err) => write!(f, "{err}"),
        }
    }
}

impl Backing {
    /// Takes a regular file that is open for reading.
    pub fn new(file: File) -> io::Result<Backing> {
        let filesystem = Filesystem::of(&file);
        let slow = filesystem.slow_device(&file);
        let open = ClosedApart::new(Open { file, map: OnceLock::new() }, slow);
        let size = open.file.metadata()?.len();
        Ok(Backing { open, size, filesystem })
    }

    /// The file's attributes now.
    pub fn meta(&self) -> io::Result<Meta> {
        Meta::of(&self.open.file)
    }

    /// The file's size when it was opened.
    pub fn size_at_open(&self) -> u64 {
        self.size
    }

    /// Fills `out` with the bytes from `offset` on, as the file has them.
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), ReadError> {
        self.open.file.read_exact_at(out, offset).map_err(|err| match err.kind() {
            io::ErrorKind::UnexpectedEof => self.short(),
            _ => err.into(),
        })
    }

    /// Fills `out` as [`Backing::read_at`] does, if the bytes are in memory; says whether they were.
    /// Some filesystems never tell.
    pub fn read_now(&self, offset: u64, out: &mut [u8]) -> bool {
        let (len, mut parts) = (out.len(), [IoSliceMut::new(out)]);
        let read = rustix::io::preadv2(&self.open.file, &mut parts, offset, ReadWriteFlags::NOWAIT);
        read.is_ok_and(|read| read == len)
    }

    /// Copies the pieces, one after another, to `out`, of which the file must have `needs` bytes
    /// in all.
    pub fn gather(&self, pieces: Pieces<'_>, out: &mut [u8], needs: u64) -> Result<(), ReadError> {
        self.check_size(needs)?;
        let map = self.map();
        if !map.is_ok_and(|map| strided::gather(map, pieces.clone(), out).is_ok()) {
            // Cut off; or a page cannot be had though it is not: the disk is broken, or a hole of a
            // file on tmpfs needs memory as soon as it is mapped, and there is none left. Or there
            // is no room for another map.
            self.check_size(needs)?;
            self.read_pieces(pieces, out)?;
        }
        self.check_size(needs)
    }

    /// Copies the pieces, one after another, to `out` with no map.
    fn read_pieces(&self, pieces: Pieces<'_>, out: &mut [u8]) -> Result<(), ReadError> {
        let wrong = || io::Error::from(io::ErrorKind::InvalidInput);
        let mut rest = out;
        for piece in pieces {
            for offset in piece.stretches() {
                let room = rest.split_at_mut_checked(piece.len as usize);
                let (stretch, left) = room.ok_or_else(wrong)?;
                self.read_at(offset, stretch)?;
                rest = left;
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(wrong().into()) }
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

    fn size(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.open.file)?.st_size.cast_unsigned())
    }

    fn check_size(&self, needs: u64) -> Result<(), ReadError> {
        let has = self.size()?;
        if has < needs { Err(ReadError::Short { has }) } else { Ok(()) }
    }

    fn short(&self) -> ReadError {
        self.size().map_or_else(ReadError::Io, |has| ReadError::Short { has })
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

impl Filesystem {
    fn of(file: &File) -> Filesystem {
        // The numbers are those of `statfs(2)`, and of ZFS's own source.
        match rustix::fs::fstatfs(file).map(|fs| fs.f_type as u32) {
            Ok(0xEF53 | 0x5846_5342 | 0x9123_683E | 0xF2F5_2010) => Filesystem::OfDisks,
            Ok(0x794C_7630) => Filesystem::Overlay,
            Ok(0x0102_1994 | 0x2FC1_2FC1) => Filesystem::Local,
            _ => Filesystem::Other,
        }
    }

    /// The device of a file on it, unless it is known to answer at once.
    fn slow_device(self, file: &File) -> Option<u64> {
        let is_slow = self == Filesystem::Other;
        is_slow.then(|| rustix::fs::fstat(file).map_or(0, |stat| stat.st_dev))
    }
}

impl AsFd for Backing {
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
