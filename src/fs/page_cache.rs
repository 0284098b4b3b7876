//! Which of a file's pages the kernel keeps from one open to the next, and which it gets while the
//! file is opened, without having asked for them.
//!
//! For a reader of small slices each answer that it waits for costs more than the bytes. So what is
//! small, and in memory, is given to the kernel with the answer to the open.
//!
//! The kernel locks a page while it waits for us to read it, and to be given that page takes the same
//! lock: if both came together, our threads would wait for each other. They cannot: the kernel
//! closes a file (RELEASE) only when every read by it was answered, so a file that is open but once,
//! by the very open that is yet to be answered, has no locked page. Until it is given, no other open
//! of it is answered.

use std::sync::{Mutex, MutexGuard};

use super::{Fs, Handle, OpenedFile};
use crate::inode::Ino;
use crate::meta::Stamp;
use crate::sync::lock;

/// The largest file that is given, in bytes: as much as the kernel reads ahead of any file unless it is
/// told otherwise.
const MAX_GIVEN: usize = 128 << 10;

/// Locks under which files are given. A file has always the same one.
#[derive(Debug, Default)]
pub(super) struct Turns([Mutex<()>; 16]);

impl Turns {
    fn take(&self, ino: Ino) -> MutexGuard<'_, ()> {
        lock(&self.0[ino.0 as usize % self.0.len()])
    }
}

impl Fs {
    /// Whether the kernel may keep the pages that it has of an open file's inode: because they are
    /// still what the file holds, or because `store` has just replaced them all. To be asked once for
    /// each open, with no `store` if what is read does not come from pages.
    pub fn may_keep_pages(
        &self,
        handle: Handle,
        store: Option<impl FnOnce(&[u8]) -> bool>,
    ) -> bool {
        let Ok(file) = self.files.get(handle) else { return false };
        // At the first open there are none, and most slices are opened only once.
        let has_pages = file.was_open_before;
        if has_pages && self.has_fresh_pages(&file) {
            return true;
        }
        if store.is_some_and(|store| self.give(&file, store)) {
            self.note_pages(&file);
            return true;
        }
        !has_pages && self.has_fresh_pages(&file)
    }

    /// Whether pages that the kernel has are what the file holds.
    ///
    /// Not if the file changed since the last open, nor if somebody can write to it: through a map
    /// that leaves no trace in the timestamps, and so neither if somebody could when the pages were
    /// cached.
    fn has_fresh_pages(&self, file: &OpenedFile) -> bool {
        let Some((open, meta)) = file.content.open_file() else { return true };
        // From now on this handle is told of what others write here; what they wrote before shows.
        let stamp = match self.tree.is_writable() {
            true => open.meta().ok().map(|meta| meta.stamp()),
            false => Some(meta.stamp()),
        };
        let stamp = stamp.filter(Stamp::is_settled);
        let now = stamp.filter(|_| !open.may_have_unseen_changes());
        if now.is_some() && self.inodes().cached(file.ino) == now {
            return true;
        }
        // The kernel drops its pages when it gets this answer, but another open may be answered
        // before it has. When it reads, it has.
        self.inodes().note_cached(file.ino, None);
        *lock(&file.stamp) = now;
        false
    }

    /// Notes that pages are what the file held when its stamp was taken, or later.
    pub(super) fn note_pages(&self, file: &OpenedFile) {
        if let Some(stamp) = lock(&file.stamp).take() {
            self.inodes().note_cached(file.ino, Some(stamp));
        }
    }

    /// Gives the kernel all bytes of a file by `store`, if they are few and in memory, and if nobody
    /// else has it open. Not of a tree that is written to by paths: a change that is noted while the
    /// bytes are under way would be lost.
    fn give(&self, file: &OpenedFile, store: impl FnOnce(&[u8]) -> bool) -> bool {
        if self.tree.is_writable() || !file.content.is_made_of(MAX_GIVEN) {
            return false;
        }
        let _turn = self.giving.take(file.ino);
        self.inodes().is_open_once(file.ino) && file.content.read_now(store).unwrap_or(false)
    }
}
