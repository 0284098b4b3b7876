//! Some of the bytes of another storage.

use std::io;
use std::sync::Arc;

use super::{ReadError, Storage, short};
use crate::runs::Pieces;

/// `len` bytes of another storage, from its address `start` on: a member of an archive that is
/// stored as it is, or the data of a shard behind its header.
///
/// A section has at most `len` bytes, however many come after them in the storage, and fewer where
/// the storage ends within it.
#[derive(Clone, Debug)]
pub struct Section {
    of: Arc<dyn Storage>,
    start: u64,
    len: u64,
}

impl Section {
    /// `None` where no storage can have so many bytes.
    pub fn new(of: Arc<dyn Storage>, start: u64, len: u64) -> Option<Section> {
        let end = start.checked_add(len)?;
        (end <= i64::MAX as u64).then_some(Section { of, start, len })
    }

    /// Bytes that it is meant to have.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it is meant to have none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `len` bytes from `at` on lie inside.
    fn contains(&self, at: u64, len: usize) -> bool {
        at.checked_add(len as u64).is_some_and(|end| end <= self.len)
    }

    /// How many bytes of the section there are, where the storage has `has`.
    fn bytes_of(&self, has: u64) -> u64 {
        has.saturating_sub(self.start).min(self.len)
    }

    /// An error of the storage, as one of the section.
    fn own(&self, err: ReadError) -> ReadError {
        match err {
            ReadError::Short { has } => ReadError::Short { has: self.bytes_of(has) },
            ReadError::Io(err) => ReadError::Io(err),
        }
    }
}

impl Storage for Section {
    fn size(&self) -> io::Result<u64> {
        Ok(self.bytes_of(self.of.size()?))
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), ReadError> {
        if !self.contains(at, out.len()) {
            return Err(short(self));
        }
        self.of.read_at(self.start + at, out).map_err(|err| self.own(err))
    }

    fn read_now(&self, at: u64, out: &mut [u8]) -> bool {
        self.contains(at, out.len()) && self.of.read_now(self.start + at, out)
    }

    fn gather(&self, pieces: Pieces<'_>, out: &mut [u8], needs: u64) -> Result<(), ReadError> {
        if needs > self.len {
            return Err(short(self));
        }
        let gathered = self.of.gather(pieces.moved(self.start), out, self.start + needs);
        gathered.map_err(|err| self.own(err))
    }
}
