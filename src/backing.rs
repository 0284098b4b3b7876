//! Backing files: one shared memory map each, and every read of it.
//!
//! This is the only home of `mmap` and of the unsafe code that goes with it. The question it has to
//! answer is: *what if the file is truncated while it is mapped?* Then the pages past its new end
//! are gone, and touching them raises SIGBUS. So the map is touched in two ways only:
//!
//! * by the kernel, on our behalf: bytes that lie together are handed to a system call as they
//!   are, and the kernel answers a missing page with an error instead of a signal;
//! * by [`Backing::gather`], which copies strided bytes under a guard that turns the signal into an
//!   error (the module `fault`).
//!
//! The last page of a file is mapped whole, and reads as zeros beyond the file's end. That is why
//! the size is looked at before either of them (and after gathering, where it costs little).

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use memmap2::{Mmap, MmapOptions};

use crate::meta::Meta;
use crate::runs::Pieces;

mod fault;
mod gather;

/// A regular file, open for reading and mapped once.
#[derive(Debug)]
pub struct Backing {
    file: File,
    /// None of an empty file, and where there was no room for one.
    map: Option<Mmap>,
    /// The file's size when it was opened.
    size: u64,
    /// Its filesystem leaves a trace of every change in the times, but for pages already dirty.
    keeps_times: bool,
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

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Short { has } => write!(f, "the file has {has} bytes"),
            ReadError::Io(err) => write!(f, "{err}"),
        }
    }
}

impl Backing {
    /// Maps a regular file that is open for reading.
    pub fn new(file: File) -> io::Result<Backing> {
        let size = file.metadata()?.len();
        let map = match usize::try_from(size) {
            Ok(0) | Err(_) => None,
            Ok(len) => {
                // SAFETY: the map is read-only and shared, and other processes may change the file
                // meanwhile. No reference into it is ever read by Rust code: `bytes` hands one to
                // system calls only, `gather` copies through raw pointers under a guard.
                let map = unsafe { MmapOptions::new().len(len).map(&file) };
                // Not room for one: the file can still be read as it is, and says so otherwise.
                map.inspect_err(|err| log::warn!("a file of {size} bytes is not mapped: {err}"))
                    .ok()
            }
        };
        let keeps_times = keeps_times(&file);
        Ok(Backing { file, map, size, keeps_times })
    }

    /// The file's attributes now.
    pub fn meta(&self) -> io::Result<Meta> {
        Meta::of(&self.file)
    }

    /// The file's size when it was opened.
    pub fn size_at_open(&self) -> u64 {
        self.size
    }

    /// Bytes that are mapped: all that there were, or none.
    pub fn mapped(&self) -> u64 {
        self.map.as_ref().map_or(0, |map| map.len() as u64)
    }

    /// Reads through the file rather than the map: headers, and what was appended since.
    pub fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    /// The bytes at `offset..offset + len`, of which the file must have `needs` in all.
    ///
    /// They are meant for a system call, which alone can read them without being signalled if
    /// the file shrinks meanwhile. Between the look at the size here and that call the last page
    /// can lose its tail, which then reads as zeros: the one window that is left.
    pub fn bytes(&self, offset: u64, len: usize, needs: u64) -> Result<&[u8], ReadError> {
        self.check_size(needs)?;
        let map = self.map(needs)?;
        usize::try_from(offset)
            .ok()
            .and_then(|start| map.get(start..start.checked_add(len)?))
            .ok_or(ReadError::Short { has: self.mapped() })
    }

    /// Copies the pieces, one after another, to `out`, of which the file must have `needs` bytes
    /// in all.
    pub fn gather(&self, pieces: Pieces<'_>, out: &mut [u8], needs: u64) -> Result<(), ReadError> {
        self.check_size(needs)?;
        let map = self.map(needs)?;
        gather::gather(map, pieces, out).map_err(|gather::Missing| ReadError::Short {
            has: self.meta().map_or(0, |meta| meta.size),
        })?;
        self.check_size(needs)
    }

    /// The map, where any bytes are needed of it.
    fn map(&self, needs: u64) -> Result<&[u8], ReadError> {
        match &self.map {
            Some(map) => Ok(map),
            None if needs == 0 || self.size == 0 => Ok(&[]),
            None => Err(io::Error::from_raw_os_error(libc::ENOMEM).into()),
        }
    }

    fn check_size(&self, needs: u64) -> Result<(), ReadError> {
        let has = rustix::fs::fstat(&self.file).map_err(io::Error::from)?.st_size.cast_unsigned();
        if has < needs { Err(ReadError::Short { has }) } else { Ok(()) }
    }

    /// Whether the content may change, or may have changed, with no trace in the timestamps.
    ///
    /// That happens through a writable map, on pages that are dirty already; and on filesystems
    /// other than the usual ones of disks it may happen at any time (on tmpfs, to pages that were
    /// read before they were written).
    pub fn may_have_unseen_changes(&self) -> bool {
        !self.keeps_times || self.may_have_writer()
    }

    /// Whether anybody holds the file open for writing, or may, for all that can be told.
    ///
    /// A read lease is granted only where there is nobody; it is given back at once. A signal for
    /// its being broken in between is ignored (see [`ignore_lease_signal`]).
    fn may_have_writer(&self) -> bool {
        let fd = self.file.as_raw_fd();
        // SAFETY: F_SETLEASE takes an int and touches no memory of ours; `fd` is open.
        let granted = unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK) } == 0;
        if granted {
            // SAFETY: as above.
            unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) };
        }
        !granted
    }
}

/// The filesystems (ext2 to ext4, XFS, Btrfs, F2FS) that note every first store to a clean page of a
/// shared map in the file's times.
fn keeps_times(file: &File) -> bool {
    const TRUSTED: [u32; 4] = [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010];
    rustix::fs::fstatfs(file).is_ok_and(|fs| TRUSTED.contains(&(fs.f_type as u32)))
}

impl AsFd for Backing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Ignores SIGIO, which tells a process that its lease is being broken and by default ends it.
///
/// To be called once, by a process that asks [`Backing::may_have_unseen_changes`].
pub fn ignore_lease_signal() {
    // SAFETY: SIG_IGN is no handler, so nothing runs that would have to be async-signal-safe.
    unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
}

#[cfg(test)]
mod tests;
