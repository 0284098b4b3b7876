//! The arrays of many files that are known, so that the files need not all be looked at for each lookup.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::look::Failing;
use super::{Join, Shards};
use crate::error::Error;
use crate::locks::lock;
use crate::meta::{Meta, Stamp};
use crate::source::Source;
use crate::source::border::Directory;
use crate::source::version::VersionOrWhy;

/// How many arrays are known, and how many bytes of memory they take. One array may take more.
const MAX_JOINS: usize = 64;
const MAX_BYTES: usize = 64 << 20;

/// How many bytes all versions may take that are known or that somebody has open. One may always be there.
const MAX_LIVE: usize = 4 * MAX_BYTES;

/// The files are looked at again after this time at the earliest, and after so many times the time that it takes.
const LOOK_AFTER: Duration = Duration::from_secs(1);
const LOOK_SHARE: u32 = 100;

/// How often a look is repeated because files went away meanwhile.
const RETRIES: usize = 16;

/// The arrays that are known, the one that was asked for last at the end.
#[derive(Debug)]
pub(in crate::source) struct Joins {
    slots: Mutex<Vec<Arc<Slot>>>,
    /// All versions that there are, and how many bytes they may take.
    live: Mutex<Vec<Weak<Shards>>>,
    max_live: usize,
}

impl Default for Joins {
    fn default() -> Self {
        Joins { slots: Mutex::default(), live: Mutex::default(), max_live: MAX_LIVE }
    }
}

/// Room for one array. Whoever looks at its files holds the lock, so that all others wait for what comes of it.
#[derive(Debug)]
struct Slot {
    join: Join,
    footprint: AtomicUsize,
    known: Mutex<Option<Known>>,
}

/// An array as of the last look.
#[derive(Debug)]
pub(super) struct Known {
    /// The directory's stamp before it was listed, and whether any later change makes another.
    pub(super) stamp: Stamp,
    pub(super) is_settled: bool,
    pub(super) looked: Instant,
    pub(super) took: Duration,
    pub(super) shards: Arc<Shards>,
    pub(super) version: VersionOrWhy,
    /// The listing had no other names than these files.
    pub(super) is_complete: bool,
    /// The file because of which it is no array.
    pub(super) failing: Option<Failing>,
}

impl Joins {
    fn slot(&self, join: &Join) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        let found = slots.iter().position(|slot| slot.join == *join);
        let slot = match found {
            Some(place) => slots.remove(place),
            None => {
                let (footprint, known) = (AtomicUsize::new(0), Mutex::default());
                Slot { join: join.clone(), footprint, known }.into()
            }
        };
        slots.push(slot.clone());
        let footprint = |slot: &Arc<Slot>| slot.footprint.load(Ordering::Relaxed);
        let mut bytes: usize = slots.iter().map(footprint).sum();
        let surplus = slots.iter().take(slots.len() - 1).enumerate().take_while(|(place, slot)| {
            let is_surplus = slots.len() - place > MAX_JOINS || bytes > MAX_BYTES;
            bytes -= footprint(slot);
            is_surplus
        });
        let count = surplus.count();
        let surplus: Vec<_> = slots.drain(..count).collect();
        drop(slots);
        drop(surplus);
        slot
    }

    /// The files of an array as they are now, and the array or why they are none.
    pub(super) fn now(
        &self,
        join: &Join,
        source: &Source,
    ) -> Result<(Arc<Shards>, VersionOrWhy), Error> {
        let slot = self.slot(join);
        let mut known = lock(&slot.known);
        for tries in 1.. {
            let directory = source.directory(&join.directory, OFlags::PATH)?;
            if let Some(known) = &mut *known
                && known.stands(join, source, &directory)?
            {
                return Ok((known.shards.clone(), known.version.clone()));
            }
            match join.look(source, known.as_ref()) {
                Ok(now) => {
                    self.admit(&now.shards)?;
                    slot.footprint.store(now.shards.footprint(), Ordering::Relaxed);
                    let found = (now.shards.clone(), now.version.clone());
                    *known = Some(now);
                    return Ok(found);
                }
                Err(Error::Stale) if tries < RETRIES => {}
                Err(err) => {
                    if matches!(err, Error::NotFound(_)) {
                        *known = None;
                        slot.footprint.store(0, Ordering::Relaxed);
                    }
                    return Err(err);
                }
            }
        }
        Err(Error::Stale)
    }
}

impl Joins {
    /// Counts a new version, unless those that there are take too much memory. A version stays for as long as somebody has
    /// it open, and each change of a file makes another.
    fn admit(&self, new: &Arc<Shards>) -> Result<(), Error> {
        let mut live = lock(&self.live);
        live.retain(|shards| shards.strong_count() > 0);
        let taken: usize = live.iter().filter_map(Weak::upgrade).map(|it| it.footprint()).sum();
        if taken > 0 && taken + new.footprint() > self.max_live {
            let why = "too many versions of concatenated or stacked files are open";
            return Err(Error::TooManyOpen(why.to_owned()));
        }
        live.push(Arc::downgrade(new));
        Ok(())
    }
}

impl Known {
    /// Whether nothing is known to have changed, and the next look at the files is not due.
    fn stands(
        &mut self,
        join: &Join,
        source: &Source,
        directory: &Directory<'_>,
    ) -> Result<bool, Error> {
        let due = LOOK_AFTER.max(self.took.saturating_mul(LOOK_SHARE));
        let is_suspect = self.shards.is_suspect.load(Ordering::Relaxed);
        if is_suspect || self.looked.elapsed() >= due {
            return Ok(false);
        }
        // A file that is being written may be whole the next moment.
        if let Some(Failing { name, stamp }) = &self.failing {
            let now = Meta::of_entry(&directory.fd, name).ok().map(|meta| meta.stamp());
            if stamp.is_none() || now != *stamp {
                return Ok(false);
            }
        }
        let about = |err| Error::io(&*join.directory.path, err);
        let stamp = Meta::of(&directory.fd).map_err(about)?.stamp();
        if stamp != self.stamp || self.is_settled {
            return Ok(stamp == self.stamp);
        }
        // Files may have come and gone within one tick of the clock.
        let is_settled = stamp.is_settled();
        let is_same = self.is_complete && self.shards.are_listed(&join.list(source)?.names);
        self.is_settled = is_settled && is_same;
        Ok(is_same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Options;
    use std::fs;

    #[test]
    fn versions_that_are_open_take_no_more_memory_than_there_is_room_for() {
        let directory = tempfile::tempdir().unwrap();
        let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }";
        let file = format!("\u{93}NUMPY\u{1}\0v\0{header:117}\nx");
        let file: Vec<u8> = file.chars().map(|c| c as u8).collect();
        let write = |i: usize| fs::write(directory.path().join(format!("{i}.npy")), &file).unwrap();
        (0..100).for_each(write);
        let mut source = Source::open(directory.path(), Options::default()).unwrap();
        source.joins.max_live = 64 << 10;
        let root = source.root();
        let open =
            || Join::find(&source, &root, "concat").and_then(|found| found.unwrap().0.now(&source));
        let mut held = vec![open().unwrap().0];
        let mut next = 100;
        let refused = loop {
            write(next);
            next += 1;
            match open() {
                Ok((shards, _)) => held.push(shards),
                Err(err) => break err,
            }
            assert!(next < 120, "there is room for a few versions");
        };
        assert!(matches!(refused, Error::TooManyOpen(_)), "{refused}");
        assert!(held.len() > 1, "there is room for more than one");
        held.clear();
        assert!(open().unwrap().1.is_ok(), "what nobody has open takes nothing");
    }
}
