//! Staging: a large slice is copied into memory when it is opened, and the kernel reads the copy without us.
//!
//! The kernel's pages of our files are of 4 KiB, and each of them is filled by a request. A file on a tmpfs has pages of
//! 2 MiB, and the kernel reads it by itself. So to copy a slice once, and have it read from there, is faster than to
//! serve it, though its bytes are copied once more.
//!
//! 1. A copy is what its file held when that had the stamp `as_of`: the stamp was settled and nobody had the file open
//!    for writing before the copy was made, and the stamp is the same afterwards. So while the file has this
//!    stamp, the copy is what it holds.
//! 2. Memory that a copy takes cannot be taken back while anybody has it open or mapped. So all of them together take no
//!    more than the tmpfs has, which is a part of the memory there is; and none is made when little is available.
//! 3. At any time no more is being copied than the largest slice that is copied. That bounds how long an open takes.
//! 4. Only what is in memory is copied, as far as samples tell: no open waits for a disk.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};

use super::page_cache::MAX_GIVEN;
use super::{FileHandle, Fs};
use crate::error::Error;
use crate::inode::{Ino, Staged};
use crate::locks::lock;
use crate::meta::Stamp;
use crate::statistics::STATISTICS;
use crate::storage::Tmpfs;
use crate::tree::Content;
use memory::Available;

mod memory;

/// Bytes of the smallest file that is copied: smaller ones are given to the kernel's pages.
const MIN: u64 = MAX_GIVEN as u64 + 1;

/// A file of no more bytes than this is copied in the time that an answer to a read of it takes. So whoever opens it can
/// be answered at once.
const SHORT: u64 = 4 << 20;

/// How much of its file a strided slice may span, as a multiple of its own bytes.
const MAX_SPAN: u64 = 16;

/// Bytes that are copied at a time: a huge page, which then need not be cleared before.
const STEP: usize = 2 << 20;

/// How many slices are copied at a time.
const MAX_AT_ONCE: usize = 64;

/// All copies may take one part in so many of the memory, and none is made if no such part would be left available.
const PARTS: u64 = 8;

/// Bytes of the headers of all that is being copied, at most.
const HEADERS: u64 = 1 << 20;

/// Copies are no more than one in so many of the descriptors that this process may have.
const DESCRIPTORS: u64 = 4;

/// How long a copy is kept that nobody has open, and how many of them.
const KEPT: Duration = Duration::from_secs(5);
const MAX_KEPT: usize = 256;

/// Copies of slices.
#[derive(Debug)]
pub struct Staging {
    tmpfs: Tmpfs,
    available: Available,
    /// Bytes of the largest slice that is copied.
    max: u64,
    /// Bytes that must stay available.
    reserve: u64,
    /// How many copies there may be.
    max_count: usize,
    copies: Mutex<HashMap<Ino, Kept>>,
    under_way: Mutex<UnderWay>,
    /// Something has turned out not to be possible.
    is_off: AtomicBool,
}

#[derive(Debug)]
struct Kept {
    copy: Arc<Staged>,
    len: u64,
    closed: Instant,
}

#[derive(Debug, Default)]
struct UnderWay {
    count: usize,
    bytes: u64,
}

/// What the open of a file that is staged may do. It may take a while: it copies the file, or waits for another
/// open that does.
#[derive(Debug)]
pub struct Leave {
    staging: Arc<Staging>,
    is_long: bool,
    /// How many bytes it may copy; none while too many are being copied.
    bytes: Option<u64>,
}

impl Leave {
    /// Whether it may copy the file.
    pub fn copies(&self) -> bool {
        self.bytes.is_some()
    }

    /// Whether it takes so long that nobody else must wait for it.
    pub fn is_long(&self) -> bool {
        self.is_long
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        let Some(bytes) = self.bytes else { return };
        let mut under_way = lock(&self.staging.under_way);
        under_way.count -= 1;
        under_way.bytes -= bytes;
    }
}

impl Staging {
    /// Staging of slices of at most `max` bytes; or why it cannot be.
    pub fn new(max: u64) -> Result<Staging, String> {
        let total = memory::total().ok_or("it is not known how much memory there is")?;
        Staging::of_size(max, total / PARTS, total / PARTS)
    }

    /// Copies take at most `size` bytes, and leave `reserve` bytes available.
    pub fn of_size(max: u64, size: u64, reserve: u64) -> Result<Staging, String> {
        let tmpfs = Tmpfs::new(size).map_err(|err| format!("there is no tmpfs for it: {err}"))?;
        match tmpfs.has_huge_pages() {
            Ok(true) => {}
            Ok(false) => return Err("a tmpfs gets no huge pages".to_owned()),
            Err(err) => return Err(format!("a tmpfs cannot be used: {err}")),
        }
        let max = max.min(size / 2);
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let max_count = usize::try_from(descriptors / DESCRIPTORS).unwrap_or(usize::MAX);
        let (available, copies, under_way, is_off) = Default::default();
        Ok(Staging { tmpfs, available, max, reserve, max_count, copies, under_way, is_off })
    }

    /// Bytes of memory that all copies take, and may take.
    pub fn memory(&self) -> (u64, u64) {
        (self.tmpfs.used().unwrap_or(0), self.tmpfs.size())
    }

    /// From now on nothing is copied, for this reason.
    pub(super) fn end(&self, why: &str) {
        if !self.is_off.swap(true, Ordering::Relaxed) {
            log::info!("slices are not staged: {why}");
        }
    }

    /// Leave for a file of `bytes` if it is neither too small nor too large, to copy it if that is not too much with what is
    /// being copied already.
    fn leave(self: &Arc<Self>, bytes: u64) -> Option<Leave> {
        let is_staged = (MIN..=self.max + HEADERS).contains(&bytes);
        if !is_staged || self.is_off.load(Ordering::Relaxed) {
            return None;
        }
        let mut under_way = lock(&self.under_way);
        let fits = under_way.count < MAX_AT_ONCE && under_way.bytes + bytes <= self.max + HEADERS;
        if fits {
            under_way.count += 1;
            under_way.bytes += bytes;
        }
        let is_long = bytes > SHORT + HEADERS;
        Some(Leave { staging: self.clone(), is_long, bytes: fits.then_some(bytes) })
    }

    /// Of which stamp a copy of this file would be, if it is to be read from one.
    pub(super) fn as_of(&self, content: &Content) -> Option<Stamp> {
        if self.is_off.load(Ordering::Relaxed) {
            return None;
        }
        let Content::Array { open, layout, meta, .. } = content else { return None };
        let len = layout.len();
        let elements = len - layout.header().len() as u64;
        let is_large = len >= MIN && elements <= self.max;
        let is_scattered = || {
            let span = layout.span().map_or(0, |span| span.end - span.start);
            !layout.lies_together() && span / MAX_SPAN > elements
        };
        if !is_large || is_scattered() {
            return None;
        }
        let stamp = Some(meta.stamp()).filter(Stamp::is_settled)?;
        (!open.file()?.may_have_unseen_changes(stamp)).then_some(stamp)
    }

    /// A copy of an open file as of a stamp: one that is kept, or a new one if there is leave for that.
    pub(super) fn copy(&self, file: &FileHandle, as_of: Stamp, leave: bool) -> Option<Arc<Staged>> {
        let kept = lock(&self.copies).remove(&file.ino);
        let copy = match kept.map(|kept| kept.copy).filter(|copy| copy.as_of == as_of) {
            Some(copy) => copy,
            None if leave && file.content.is_in_memory() => Arc::new(self.make(file, as_of)?),
            None => return None,
        };
        let len = copy.file.metadata().map_or(0, |meta| meta.len());
        let kept = Kept { copy: copy.clone(), len, closed: Instant::now() };
        let other = lock(&self.copies).insert(file.ino, kept);
        drop(other);
        Some(copy)
    }

    fn make(&self, opened: &FileHandle, as_of: Stamp) -> Option<Staged> {
        let Content::Array { open, layout, .. } = &opened.content else { return None };
        if !self.make_room(layout.len()) {
            return None;
        }
        let file = self.tmpfs.file(layout.len()).map_err(|err| Error::io("a copy", err));
        let copied =
            file.and_then(|file| fill(&opened.content, layout.len(), &file).map(|()| file));
        match copied {
            Ok(file) => {
                let is_right = open.meta().is_ok_and(|meta| meta.stamp() == as_of);
                STATISTICS.bytes.staged.add(layout.len());
                self.count_memory();
                is_right.then_some(Staged { file, as_of })
            }
            Err(why) => {
                log::debug!("{}: not staged: {why}", open.name());
                None
            }
        }
    }

    /// Makes room for `len` bytes and all else that is being copied, and says whether there is.
    fn make_room(&self, len: u64) -> bool {
        // Some of it is there already, and counts twice.
        let wanted = lock(&self.under_way).bytes.max(len);
        while !self.has_room(len, wanted) {
            if !self.give_up_oldest() {
                return false;
            }
        }
        let needs = self.reserve + wanted;
        // To look at the memory takes a while, so that all go at once if it is scarce.
        self.available.take(len, needs) || self.give_up(|_| true) && self.available.take(len, needs)
    }

    /// Whether there may be one more copy, of `len` bytes, where `wanted` bytes are being copied.
    fn has_room(&self, len: u64, wanted: u64) -> bool {
        let copies = lock(&self.copies);
        let unused = copies.values().filter(|kept| kept.is_unused());
        let (count, bytes) =
            unused.fold((0, 0), |(count, bytes), kept| (count + 1, bytes + kept.len));
        // Memory that was just given back is used again. Other memory may be slow to get, on a virtual machine above
        // all, so that of copies that nobody has open is not left to them.
        let is_crowded = count >= MAX_KEPT || count > 0 && bytes + len > self.max;
        !is_crowded
            && copies.len() < self.max_count
            && self.tmpfs.used().is_ok_and(|used| used + wanted <= self.tmpfs.size())
    }

    /// Gives up the copy that nobody has had open for the longest time; or says that there is none.
    fn give_up_oldest(&self) -> bool {
        let mut copies = lock(&self.copies);
        let unused = copies.iter().filter(|(_, kept)| kept.is_unused());
        let oldest = unused.min_by_key(|(_, kept)| kept.closed).map(|(&ino, _)| ino);
        let given_up = oldest.and_then(|ino| copies.remove(&ino));
        // Its file is closed outside of the lock.
        drop(copies);
        given_up.is_some()
    }

    /// Gives up some of the copies that nobody has open, and says whether there were any.
    fn give_up(&self, some: impl Fn(&Kept) -> bool) -> bool {
        let mut copies = lock(&self.copies);
        let given_up: Vec<_> =
            copies.extract_if(|_, kept| kept.is_unused() && some(kept)).collect();
        // As above.
        drop(copies);
        !given_up.is_empty()
    }

    /// Somebody has closed a file that was read from its copy.
    pub(super) fn closed(&self, ino: Ino) {
        if let Some(kept) = lock(&self.copies).get_mut(&ino) {
            kept.closed = Instant::now();
        }
    }

    /// Gives up copies that nobody has had open for a while, or any that nobody has open if memory is scarce.
    pub(super) fn tidy(&self, now: Instant) {
        let is_scarce = memory::available().is_none_or(|left| left < self.reserve);
        self.give_up(|kept| is_scarce || now.saturating_duration_since(kept.closed) >= KEPT);
        self.count_memory();
    }

    fn count_memory(&self) {
        STATISTICS.in_use.staged_bytes.set(self.memory().0);
    }
}

impl Kept {
    /// Whether nobody else has it.
    fn is_unused(&self) -> bool {
        Arc::strong_count(&self.copy) == 1
    }
}

/// Copies all bytes of a file, by two threads if there are many.
fn fill(content: &Content, len: u64, to: &File) -> Result<(), Error> {
    const MANY: u64 = 8 << 20;
    if len < MANY {
        return fill_part(content, 0, len, to);
    }
    let middle = (len / 2).next_multiple_of(MANY);
    thread::scope(|scope| {
        let other = || fill_part(content, middle, len, to);
        // There may be no thread to be had.
        let started = thread::Builder::new().spawn_scoped(scope, other);
        fill_part(content, 0, middle, to)?;
        match started {
            Ok(started) => started
                .join()
                .unwrap_or_else(|_| Err(Error::io("a copy", io::Error::other("a thread ended")))),
            Err(_) => other(),
        }
    })
}

fn fill_part(content: &Content, from: u64, to: u64, file: &File) -> Result<(), Error> {
    for at in (from..to).step_by(STEP) {
        let len = STEP.min((to - at) as usize);
        content.copy_to(at, len, file)?;
    }
    Ok(())
}

impl Fs {
    /// The same filesystem, whose large slices are staged.
    pub fn with_staging(self, staging: Staging) -> Fs {
        Fs { staging: Some(Arc::new(staging)), ..self }
    }

    /// What the open of a file may do that is staged; none if it is not.
    pub fn leave_to_copy(&self, ino: Ino) -> Option<Leave> {
        let staging = self.staging.as_ref()?;
        let len = self.inodes().node(ino)?.len_of_elements()?;
        staging.leave(len)
    }

    /// Copies are of no use from now on, for this reason.
    pub fn end_staging(&self, why: &str) {
        if let Some(staging) = &self.staging {
            staging.end(why);
        }
    }

    /// Bytes of memory that copies of slices take, and may take.
    pub fn staged(&self) -> (u64, u64) {
        self.staging.as_ref().map_or((0, 0), |staging| staging.memory())
    }
}
