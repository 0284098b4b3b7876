//! Archives that somebody looks into. The central directory of each is read once for every version of the
//! file, and shared by all readers.
//!
//! The stamp of a file stands for its central directory. A change that leaves no trace in the stamp, such as
//! a store through a map, may go unseen there; but no member is served without a look at the header before
//! its data.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::version::Unreadable;
use super::{ArrayFile, OpenFile, OpenStorage, Origin, Source};
use crate::archive::{Archive, ArchiveError};
use crate::error::Error;
use crate::locks::lock;
use crate::meta::{FileId, Meta, Stamp};

/// How many bytes all archives may take, except that there may always be one.
const BUDGET: usize = 64 << 20;

/// How many there may be.
const MAX_ARCHIVES: usize = 64;

/// How long one is kept that nobody looks into.
const IDLE: Duration = Duration::from_secs(10);

/// What is in an archive, or why that cannot be said.
pub type ArchiveOrWhy = Result<Arc<Archive>, Arc<Unreadable>>;

/// The archives that were looked into last.
#[derive(Debug, Default)]
pub(super) struct Archives {
    /// The one used last comes last.
    slots: Mutex<Vec<Arc<Slot>>>,
}

/// One archive. Whoever wants it while it is read waits here, and for no other.
#[derive(Debug)]
struct Slot {
    id: FileId,
    read: Mutex<Read>,
    used: Mutex<(Instant, usize)>,
}

/// What was read.
#[derive(Debug, Default)]
struct Read {
    archive: Option<ArchiveOrWhy>,
    /// The stamp that the file had before; none if it may have changed since and left no trace.
    as_of: Option<Stamp>,
    /// What was logged of it.
    logged: String,
}

impl Source {
    /// What is in an archive now, and the file's attributes.
    pub fn archive(&self, file: &ArrayFile) -> Result<(ArchiveOrWhy, Meta), Error> {
        let unreadable = |why, meta| Ok((Err(why), meta));
        if file.is_refused {
            let meta = file.meta(self)?;
            return unreadable(self.why_refused(&file.path)?, meta);
        }
        match self.open_file(&file.path, file.id) {
            Ok((open, meta)) => Ok((self.archives.of(&open, &meta)?, meta)),
            // The archive's directory says so.
            Err(Error::Io { source: err, .. }) if err.kind() == io::ErrorKind::PermissionDenied => {
                unreadable(Unreadable::new(err, None), file.meta(self)?)
            }
            Err(err) => Err(err),
        }
    }
}

impl Archives {
    fn of(&self, open: &OpenFile, meta: &Meta) -> Result<ArchiveOrWhy, Error> {
        let slot = self.slot(meta.id);
        let mut read = lock(&slot.read);
        let stamp = Some(meta.stamp()).filter(Stamp::is_settled);
        if let Some(archive) = &read.archive
            && read.as_of.is_some()
            && read.as_of == stamp
        {
            return Ok(archive.clone());
        }
        // Not two of them at once, if nobody else uses the old one.
        read.archive = None;
        let archive = match Archive::read(open) {
            Ok(archive) => Ok(Arc::new(archive)),
            // It was cut off while it was read, and that is what is wrong.
            Err(ArchiveError::Io(err)) if err.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(Error::io(open.name(), err));
            }
            Err(err) => Err(Unreadable::new(err, None)),
        };
        if let Ok(archive) = &archive {
            let left_out = archive.left_out().to_string();
            if !left_out.is_empty() && left_out != read.logged {
                log::warn!("{}: {left_out}", open.name());
            }
            read.logged = left_out;
        }
        let bytes = archive.as_ref().map_or(0, |archive| archive.footprint());
        read.archive = Some(archive.clone());
        read.as_of = stamp;
        lock(&slot.used).1 = bytes;
        drop(read);
        let surplus = shrink(&mut lock(&self.slots));
        // A large one takes a moment to drop.
        drop(surplus);
        Ok(archive)
    }

    /// The slot of a file, which becomes the one used last.
    fn slot(&self, id: FileId) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        let slot = match slots.iter().position(|slot| slot.id == id) {
            Some(at) => slots.remove(at),
            None => {
                let (read, used) = (Mutex::default(), Mutex::new((Instant::now(), 0)));
                Arc::new(Slot { id, read, used })
            }
        };
        lock(&slot.used).0 = Instant::now();
        slots.push(slot.clone());
        slot
    }

    /// Forgets archives that nobody has looked into for a while, and nobody is reading a listing of.
    pub(super) fn forget_idle(&self, now: Instant) {
        let idle: Vec<_> = lock(&self.slots).extract_if(.., |slot| slot.is_idle(now)).collect();
        drop(idle);
    }
}

impl Slot {
    fn is_idle(&self, now: Instant) -> bool {
        if now.saturating_duration_since(lock(&self.used).0) < IDLE {
            return false;
        }
        // One that is being read is no idle one, and must not keep others waiting.
        self.read.try_lock().is_ok_and(|read| match &read.archive {
            Some(Ok(archive)) => Arc::strong_count(archive) == 1,
            _ => true,
        })
    }
}

/// Takes out what is too much, that used longest ago first.
fn shrink(slots: &mut Vec<Arc<Slot>>) -> Vec<Arc<Slot>> {
    let mut surplus = Vec::new();
    let bytes = |slots: &[Arc<Slot>]| slots.iter().map(|slot| lock(&slot.used).1).sum::<usize>();
    while slots.len() > 1 && (slots.len() > MAX_ARCHIVES || bytes(slots) > BUDGET) {
        surplus.push(slots.remove(0));
    }
    surplus
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(bytes: usize) -> Arc<Slot> {
        let id = Meta::of_this_process().id;
        Arc::new(Slot { id, read: Mutex::default(), used: Mutex::new((Instant::now(), bytes)) })
    }

    #[test]
    fn archives_take_no_more_than_there_is_for_them_but_one_may_take_anything() {
        for (bytes, kept) in [
            (&[1, 2, 3][..], &[1, 2, 3][..]),
            (&[BUDGET, 1, 2], &[1, 2]),
            (&[1, 2, BUDGET + 1], &[BUDGET + 1]),
            (&[BUDGET / 2; 3], &[BUDGET / 2; 2]),
            (&[0; MAX_ARCHIVES + 2], &[0; MAX_ARCHIVES]),
        ] {
            let mut slots: Vec<_> = bytes.iter().copied().map(slot).collect();
            let surplus = shrink(&mut slots).len();
            let left: Vec<usize> = slots.iter().map(|slot| lock(&slot.used).1).collect();
            assert_eq!(left, kept);
            assert_eq!(surplus, bytes.len() - kept.len());
        }
    }

    #[test]
    fn one_that_nobody_looks_into_is_forgotten_unless_somebody_has_it() {
        let archives = Archives::default();
        let held = slot(0);
        let archive = Archive::read(&crate::storage::LocalFile::new(empty()).unwrap()).unwrap();
        let archive = Arc::new(archive);
        lock(&held.read).archive = Some(Ok(archive.clone()));
        lock(&archives.slots).extend([slot(0), held]);
        archives.forget_idle(Instant::now());
        assert_eq!(lock(&archives.slots).len(), 2);
        archives.forget_idle(Instant::now() + IDLE);
        assert_eq!(lock(&archives.slots).len(), 1);
        drop(archive);
        archives.forget_idle(Instant::now() + IDLE);
        assert!(lock(&archives.slots).is_empty());
    }

    /// An archive of nothing.
    fn empty() -> std::fs::File {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &[b"PK\x05\x06", &[0; 18][..]].concat()).unwrap();
        file
    }
}
