//! Storages: address spaces of bytes, in which views lie.
//!
//! A view says at which addresses its elements are, and a [`Storage`] has the bytes at an address. A
//! [`LocalFile`] is one. A [`Section`] of another storage is one (a member of an archive that is
//! stored as it is), and so are several of them end to end ([`Joined`], the shards of an array).
//!
//! [`Storage`] has what reading needs, and no more. What concerns a descriptor (attributes, leases,
//! maps, passthrough) is asked of a local file, and a [`Writer`] writes to one.

use std::fmt;
use std::fs::File;
use std::io;

use crate::runs::Pieces;

mod joined;
#[allow(unsafe_code)]
mod local;
mod section;
mod tmpfs;

pub use joined::{Joined, Parts, Sections};
pub use local::{LocalFile, Unwritten, Writer, await_closed, ignore_signals};
pub use section::Section;
pub use tmpfs::Tmpfs;

/// Bytes that have addresses from 0 on.
///
/// Other programs may change the bytes, and their number, at any time. What is not there is an
/// error: no implementation ever makes up a byte.
pub trait Storage: fmt::Debug + Send + Sync {
    /// Bytes that there are now.
    fn size(&self) -> io::Result<u64>;

    /// Fills `out` with the bytes from address `at` on.
    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), ReadError>;

    /// Fills `out` as [`Storage::read_at`] does if that takes no waiting, because the bytes are in
    /// memory. Says whether it did; a storage that cannot tell says no.
    fn read_now(&self, at: u64, out: &mut [u8]) -> bool;

    /// Writes the `len` bytes from address `at` on to `file`, from its byte `place` on, with one copy less than to read
    /// and write them takes. Says whether it did; a storage that knows no such way says no. Where it says no, some of
    /// them may have been written.
    fn copy_to(&self, _at: u64, _len: u64, _file: &File, _place: u64) -> bool {
        false
    }

    /// Copies the pieces, one after another, to `out`, which they must fill exactly. They must lie
    /// in the first `needs` bytes, and it is an error if there are fewer bytes than that.
    fn gather(&self, pieces: Pieces<'_>, out: &mut [u8], needs: u64) -> Result<(), ReadError> {
        check_size(self, needs)?;
        read_pieces(self, pieces, out)?;
        check_size(self, needs)
    }
}

/// Why bytes of a storage cannot be had.
#[derive(Debug)]
pub enum ReadError {
    /// The storage ends before them.
    Short {
        /// Bytes that it has.
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

fn check_size<S: Storage + ?Sized>(storage: &S, needs: u64) -> Result<(), ReadError> {
    let has = storage.size()?;
    if has < needs { Err(ReadError::Short { has }) } else { Ok(()) }
}

/// The error of a read beyond the end of a storage.
fn short<S: Storage + ?Sized>(storage: &S) -> ReadError {
    storage.size().map_or_else(ReadError::Io, |has| ReadError::Short { has })
}

/// Copies the pieces, one after another, to `out`, with a read for each stretch.
fn read_pieces<S: Storage + ?Sized>(
    storage: &S,
    pieces: Pieces<'_>,
    out: &mut [u8],
) -> Result<(), ReadError> {
    let wrong = || io::Error::from(io::ErrorKind::InvalidInput);
    let mut rest = out;
    for piece in pieces {
        for at in piece.stretches() {
            let room = rest.split_at_mut_checked(piece.len as usize);
            let (stretch, left) = room.ok_or_else(wrong)?;
            storage.read_at(at, stretch)?;
            rest = left;
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(wrong().into()) }
}
