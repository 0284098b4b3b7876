//! Which of a file's pages the kernel keeps from one open to the next, and which npyfs gives it when the file
//! is opened.
//!
//! A reader of small slices waits longer for each answer than for its bytes. So a slice that is small and in
//! memory is given to the kernel before its open is answered.
//!
//! Giving must not deadlock. The kernel locks each page that it is given, and each page that a read of ours
//! has yet to fill; so giving could wait for a read that waits for the very thread that gives. It
//! cannot:
//!
//! 1. Pages are given only by an open that has its turn (see `opening`): it is the only open of the file, and
//!    all others wait until it is settled.
//! 2. A read needs an open that was answered, and the kernel closes a file only after all reads of it. So no
//!    page is locked while pages are given, and the thread that gives them waits for nobody.

use super::opening::Kernel;
use super::{FileHandle, Fs};
use crate::inode::Opening;
use crate::locks::lock;
use crate::meta::Stamp;
use crate::statistics::STATISTICS;

/// The largest file that is given, in bytes: what the kernel reads ahead of any file by default.
pub(super) const MAX_GIVEN: usize = 128 << 10;

/// Whether a file is of a kind and size that is given.
pub(super) fn may_be_given(file: &FileHandle) -> bool {
    file.content.is_made_of(MAX_GIVEN)
}

impl Fs {
    /// Whether the kernel may keep its pages of a file that is being opened: they are still what the file
    /// holds, or `gives` has just replaced them all. There is no `gives` unless this open has its turn.
    pub(super) fn keeps_pages(
        &self,
        file: &FileHandle,
        opening: &Opening,
        gives: Option<&dyn Kernel>,
    ) -> bool {
        let is_first = matches!(opening, Opening::First);
        // At the first open there are no pages, and most slices are opened only once.
        if !is_first && self.has_fresh_pages(file) {
            return true;
        }
        let give = |kernel: &dyn Kernel| {
            file.content.read_now(|bytes| kernel.give(file.ino, bytes).then_some(bytes.len()))
        };
        if let Some(len) = gives.and_then(give).flatten() {
            STATISTICS.opens.given.add(1);
            STATISTICS.bytes.given.add(len as u64);
            self.note_pages(file);
            return true;
        }
        is_first && self.has_fresh_pages(file)
    }

    /// Whether the kernel's pages are what the file holds. If not, the kernel must drop them, and the stamp
    /// is noted with the next read.
    ///
    /// They are not if the file has changed since the last open, or if somebody can write to it, now or when
    /// the pages were read: a store through a map leaves no trace in the timestamps.
    fn has_fresh_pages(&self, file: &FileHandle) -> bool {
        let Some((open, meta)) = file.content.open_storage() else { return true };
        // Changes that are written through this mount from now on are noted for this handle.
        let stamp = match self.tree.is_writable() {
            true => open.meta().ok().map(|meta| meta.stamp()),
            false => Some(meta.stamp()),
        };
        let stamp = stamp.filter(Stamp::is_settled);
        let vouches =
            |stamp: &Stamp| open.file().is_some_and(|file| !file.may_have_unseen_changes(*stamp));
        let now = stamp.filter(vouches);
        if now.is_some() && self.inodes().pages_as_of(file.ino) == now {
            return true;
        }
        // The kernel drops its pages when it gets this answer, and another open may be answered before that.
        // Once it reads, it has dropped them.
        self.inodes().note_pages(file.ino, None);
        *lock(&file.stamp) = now;
        false
    }

    /// Notes that the pages are what the file held at its stamp, or later.
    pub(super) fn note_pages(&self, file: &FileHandle) {
        if let Some(stamp) = lock(&file.stamp).take() {
            self.inodes().note_pages(file.ino, Some(stamp));
        }
    }
}
