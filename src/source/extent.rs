//! Extents: where in a file an array is. It is the whole file, or a member of an archive.

use std::sync::Arc;

use crate::archive::Place;
use crate::storage::Storage;

/// Bytes of a file in which an array is, with what must stand before them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    start: u64,
    end: u64,
    /// A header elsewhere in the file, that must stay the same: where it is, and its bytes.
    mark: Option<(u64, Arc<[u8]>)>,
}

impl Extent {
    /// The whole of a file, however long it is.
    pub const WHOLE: Extent = Extent { start: 0, end: u64::MAX, mark: None };

    /// A member of an archive. If the header before its data becomes another, the archive has been
    /// written anew, and what is there now is another member, or another version of it.
    pub(super) fn of_member(place: Place) -> Extent {
        let mark = Some((place.header_at, place.header.into()));
        Extent { start: place.data.start, end: place.data.end, mark }
    }

    /// The first of the bytes.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// How many there are in a file of `size` bytes.
    pub fn len_in(&self, size: u64) -> u64 {
        self.end.min(size).saturating_sub(self.start)
    }

    /// Whether a storage still has what must stand before the bytes.
    pub(super) fn is_marked(&self, storage: &dyn Storage) -> bool {
        self.mark.as_ref().is_none_or(|(at, bytes)| has_at(storage, *at, bytes))
    }

    /// Bytes of memory besides its own.
    pub(super) fn footprint(&self) -> usize {
        self.mark.as_ref().map_or(0, |(_, bytes)| bytes.len())
    }
}

/// Whether these bytes are at an address of a storage.
pub(super) fn has_at(storage: &dyn Storage, at: u64, bytes: &[u8]) -> bool {
    let mut now = [0; 4096];
    bytes.chunks(now.len()).zip(0u64..).all(|(chunk, number)| {
        let now = &mut now[..chunk.len()];
        let at = at.checked_add(number * 4096);
        at.is_some_and(|at| storage.read_at(at, now).is_ok()) && now == chunk
    })
}
