//! Which of a file's pages the kernel keeps from one open to the next, and which npyfs gives it when the file
//! is opened.
//!
//! A reader of small slices waits longer for each answer than for its bytes. So a slice that is small and in
//! memory is given to the kernel before its open is answered.
//!
//! Giving must not deadlock. The kernel locks each page that it is given, and each page that a read of ours
//! has yet to fill; so giving could wait for a read that waits for one of our threads, which waits here. It
//! cannot:
//!
//! 1. Pages are given only by an open that is the only one of the file. All other opens of it wait until that
//!    is done ([`Opening::Wait`]).
//! 2. A read needs an open that was answered, and the kernel closes a file only after all reads of it. So no
//!    page is locked while pages are given, and whoever waits here waits for a thread that waits for nobody.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::{Fs, OpenedFile};
use crate::inode::{Ino, Opening};
use crate::meta::Stamp;
use crate::sync::lock;

/// The largest file that is given, in bytes: what the kernel reads ahead of any file by default.
const MAX_GIVEN: usize = 128 << 10;

/// Puts all bytes of a file that is being opened into the kernel's pages, and says whether they are there.
pub type Give<'a> = &'a dyn Fn(Ino, &[u8]) -> bool;

/// The turn of an open that gives pages. When it is dropped, the opens that wait can go on.
struct Turn<'a> {
    fs: &'a Fs,
    ino: Ino,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut inodes = self.fs.inodes();
        inodes.given(self.ino);
        let somebody_waits = self.fs.waiting.load(Ordering::Relaxed) > 0;
        drop(inodes);
        // A system call, which is seldom needed.
        if somebody_waits {
            self.fs.given.notify_all();
        }
    }
}

impl Fs {
    /// Counts one more open of an inode, and says whether the kernel may keep its pages of it: they are still
    /// what the file holds, or `give` has just replaced them all. There is no `give` if reads bypass the
    /// pages.
    pub(super) fn open_pages(&self, file: &OpenedFile, give: Option<Give<'_>>) -> bool {
        // Not on a writable mount: a change that is noted while the bytes are on their way would be lost.
        let may_give = !self.tree.is_writable() && file.content.is_made_of(MAX_GIVEN);
        let give = give.filter(|_| may_give);
        let mut inodes = self.inodes();
        let opening = loop {
            match inodes.open(file.ino, give.is_some()) {
                Opening::Wait => {
                    self.waiting.fetch_add(1, Ordering::Relaxed);
                    inodes = self.given.wait(inodes).unwrap_or_else(PoisonError::into_inner);
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                }
                opening => break opening,
            }
        };
        drop(inodes);
        let give = give.filter(|_| opening != Opening::Shared);
        let _turn = give.map(|_| Turn { fs: self, ino: file.ino });
        // At the first open there are no pages, and most slices are opened only once.
        if opening != Opening::First && self.has_fresh_pages(file) {
            return true;
        }
        let given = give.and_then(|give| file.content.read_now(|bytes| give(file.ino, bytes)));
        if given == Some(true) {
            self.note_pages(file);
            return true;
        }
        opening == Opening::First && self.has_fresh_pages(file)
    }

    /// Whether the kernel's pages are what the file holds. If not, the kernel must drop them, and the stamp
    /// is noted with the next read.
    ///
    /// They are not if the file has changed since the last open, or if somebody can write to it, now or when
    /// the pages were read: a store through a map leaves no trace in the timestamps.
    fn has_fresh_pages(&self, file: &OpenedFile) -> bool {
        let Some((open, meta)) = file.content.open_storage() else { return true };
        // This handle gets the changes that others write here from now on. Earlier ones show in the stamp.
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
    pub(super) fn note_pages(&self, file: &OpenedFile) {
        if let Some(stamp) = lock(&file.stamp).take() {
            self.inodes().note_pages(file.ino, Some(stamp));
        }
    }
}
