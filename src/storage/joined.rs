//! Several storages end to end.

use std::io;
use std::ops::Range;

use super::{ReadError, Section, Storage, short};
use crate::end_to_end::EndToEnd;

/// Sections one after another: an array whose rows are spread over several files.
///
/// Where each one begins depends on what the ones before it are meant to have, so that no address
/// moves when a file shrinks or grows.
#[derive(Clone, Debug)]
pub struct Joined {
    parts: EndToEnd<Section>,
}

impl Joined {
    /// `None` where no storage can have so many bytes.
    pub fn new(parts: impl IntoIterator<Item = Section>) -> Option<Joined> {
        let with_len = |part: Section| {
            let len = part.len();
            (part, len)
        };
        let parts = EndToEnd::new(parts.into_iter().map(with_len))?;
        (parts.len() <= i64::MAX as u64).then_some(Joined { parts })
    }

    /// Bytes that it is meant to have.
    pub fn len(&self) -> u64 {
        self.parts.len()
    }

    /// Whether it is meant to have none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where these bytes are, if all of them lie inside.
    fn range(&self, at: u64, out: &[u8]) -> Option<Range<u64>> {
        let end = at.checked_add(out.len() as u64)?;
        (end <= self.len()).then_some(at..end)
    }
}

impl Storage for Joined {
    /// The bytes before the first one that is missing.
    fn size(&self) -> io::Result<u64> {
        let mut size = 0;
        for part in self.parts.iter() {
            let has = part.size()?;
            size += has;
            if has < part.len() {
                break;
            }
        }
        Ok(size)
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), ReadError> {
        let range = self.range(at, out).ok_or_else(|| short(self))?;
        let mut rest = out;
        for (part, bytes) in self.parts.within(range) {
            let (some, left) = rest.split_at_mut((bytes.end - bytes.start) as usize);
            part.read_at(bytes.start, some).map_err(|err| match err {
                ReadError::Short { .. } => short(self),
                ReadError::Io(err) => ReadError::Io(err),
            })?;
            rest = left;
        }
        Ok(())
    }

    fn read_now(&self, at: u64, out: &mut [u8]) -> bool {
        let Some(range) = self.range(at, out) else { return false };
        let mut rest = out;
        for (part, bytes) in self.parts.within(range) {
            let (some, left) = rest.split_at_mut((bytes.end - bytes.start) as usize);
            if !part.read_now(bytes.start, some) {
                return false;
            }
            rest = left;
        }
        true
    }
}
