//! Opens that the kernel tries again.
//!
//! It answers ESTALE, the sign that a file was replaced, by walking the whole path anew and opening what it
//! finds, once. Where files are replaced fast, that may be replaced as well by then, and the caller would get ESTALE for
//! a name that was there all the time. So what the second walk finds is held, and is opened whatever has its path by
//! then: it was what the path meant after the call had begun.
//!
//! Only what is found in a directory of the source, or of an array, is known to be at its path at that moment; the rest
//! of the path belongs to the same file. Any request of the walk that fails ends it, so that the caller's next call begins anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::caller::Caller;
use crate::inode::Ino;
use crate::locks::lock;
use crate::meta::FileId;
use crate::source::OpenStorage;

/// How many threads may be at it at once. Any others get ESTALE if they have bad luck.
const MAX_THREADS: usize = 1024;

/// How many files are held for one walk. A path leads through few.
const MAX_HELD: usize = 8;

/// When a walk is given up that nothing more was heard of: that of a process that was killed, or of a call that
/// opens nothing. Not much later than an open comes after its walk, for the caller's next call may begin with what
/// this walk has found.
const LOST: Duration = Duration::from_millis(250);

/// The walks that are under way, by the threads that they are for.
#[derive(Debug, Default)]
pub(super) struct Retries(Mutex<HashMap<u32, Walk>>);

/// The second walk of an open.
#[derive(Debug)]
pub(super) struct Walk {
    /// When it was heard of last.
    heard: Instant,
    /// What was to be opened.
    of: Ino,
    held: Vec<(FileId, Arc<dyn OpenStorage>)>,
    /// Something was looked up.
    has_begun: bool,
    /// What was found last, if it is of a file that is held.
    last: Option<Ino>,
}

impl Walk {
    fn is_lost(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) > LOST
    }

    /// Whether this is what the walk has found.
    pub(super) fn ends_at(&self, ino: Ino) -> bool {
        self.last == Some(ino) && !self.is_lost(Instant::now())
    }

    /// Whether it was for this inode and nothing was looked up since: there is no path to walk where a descriptor is
    /// opened again by `/proc/self/fd`.
    pub(super) fn has_not_begun(&self, ino: Ino) -> bool {
        self.of == ino && !self.has_begun && !self.is_lost(Instant::now())
    }
}

impl Retries {
    /// The kernel was told that what a caller opens was replaced, and will walk its path once more.
    pub(super) fn expect(&self, caller: Caller, of: Ino) {
        let mut walks = lock(&self.0);
        // Where the thread is not known, its next lookup is not either.
        if caller.thread != 0 && walks.len() < MAX_THREADS {
            let heard = Instant::now();
            let walk = Walk { heard, of, held: Vec::new(), has_begun: false, last: None };
            walks.insert(caller.thread, walk);
        }
    }

    /// Whether a caller's lookups are a second walk.
    pub(super) fn is_expected(&self, caller: Caller) -> bool {
        lock(&self.0).contains_key(&caller.thread)
    }

    /// Whether a file is held for a caller's walk.
    pub(super) fn holds(&self, caller: Caller, id: FileId) -> bool {
        let walks = lock(&self.0);
        walks.get(&caller.thread).is_some_and(|walk| walk.held.iter().any(|(held, _)| *held == id))
    }

    /// A caller's walk has come to an inode of a file, which must be held if it was found at its path.
    pub(super) fn found(
        &self,
        caller: Caller,
        ino: Ino,
        id: Option<FileId>,
        file: Option<Arc<dyn OpenStorage>>,
    ) {
        if let Some(walk) = lock(&self.0).get_mut(&caller.thread) {
            walk.heard = Instant::now();
            walk.has_begun = true;
            // A name may be looked up several times, and what was found last is what counts.
            if file.is_some() && walk.held.len() == MAX_HELD {
                walk.held.remove(0);
            }
            walk.held.extend(id.zip(file));
            let is_held = walk.held.iter().any(|(held, _)| Some(*held) == id);
            walk.last = Some(ino).filter(|_| is_held);
        }
    }

    /// A caller's walk is at its end.
    pub(super) fn end(&self, caller: Caller) -> Option<Walk> {
        lock(&self.0).remove(&caller.thread)
    }

    /// Lets go of what is held for walks of which nothing more was heard.
    pub(super) fn give_up(&self, now: Instant) {
        let is_lost = |_: &u32, walk: &mut Walk| walk.is_lost(now);
        // Files are closed outside of the lock.
        let lost: Vec<_> = lock(&self.0).extract_if(is_lost).collect();
        drop(lost);
    }
}
