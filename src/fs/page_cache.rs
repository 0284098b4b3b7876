//! Which of a file's pages the kernel keeps from one open to the next, and which it is given while the
//! file is opened, without having asked for them.
//!
//! For a reader of small slices each answer that it waits for costs more than the bytes. So what is
//! small, and in memory, is given to the kernel before the open is answered.
//!
//! The kernel locks a page for as long as it waits for us to read it, and locks each page that it is given. So
//! giving could wait for a read, and the read for a thread of ours that waits for what is given. That is
//! impossible here: a file is given only by an open of which nobody else has the file open, and no other open
//! of it, of whatever kind, is counted or answered until that is done ([`Opening::Wait`]). A read needs an open
//! that was answered, and the kernel closes a file only after all reads of it were. So no page is locked while
//! it is given, and whoever waits here waits for a thread that waits for nobody.

use std::sync::PoisonError;

use super::{Fs, OpenedFile};
use crate::inode::{Ino, Opening};
use crate::meta::Stamp;
use crate::sync::lock;

/// The largest file that is given, in bytes: as much as the kernel reads ahead of any file unless it is
/// told otherwise.
const MAX_GIVEN: usize = 128 << 10;

/// Puts all bytes of the file that is being opened into the kernel's pages of it, and says whether they
/// are there.
pub type Give<'a> = &'a dyn Fn(Ino, &[u8]) -> bool;

/// An inode that is being given. Dropped, it is so no longer, and those who wait may open it.
struct Turn<'a> {
    fs: &'a Fs,
    ino: Ino,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.fs.inodes().given(self.ino);
        self.fs.given.notify_all();
    }
}

impl Fs {
    /// Counts one more open of an inode, and says whether the kernel may keep the pages that it has of it:
    /// because they are still what the file holds, or because `give` has just replaced them all. There is no
    /// `give` where what is read does not come from pages.
    pub(super) fn open_pages(&self, file: &OpenedFile, give: Option<Give<'_>>) -> bool {
        // Not where values are written by paths: a change that is noted while the bytes are under way
        // would be lost.
        let may_give = !self.tree.is_writable() && file.content.is_made_of(MAX_GIVEN);
        let give = give.filter(|_| may_give);
        let mut inodes = self.inodes();
        let opening = loop {
            match inodes.open(file.ino, give.is_some()) {
                Opening::Wait => {
                    inodes = self.given.wait(inodes).unwrap_or_else(PoisonError::into_inner);
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

    /// Whether pages that the kernel has are what the file holds. If not, they are to be dropped, and what is
    /// read after that is noted.
    ///
    /// They are not if the file changed since the last open, nor if somebody can write to it: through a map
    /// that leaves no trace in the timestamps, and so neither if somebody could when the pages were
    /// read.
    fn has_fresh_pages(&self, file: &OpenedFile) -> bool {
        let Some((open, meta)) = file.content.open_file() else { return true };
        // From now on this handle is told of what others write here; what they wrote before shows.
        let stamp = match self.tree.is_writable() {
            true => open.meta().ok().map(|meta| meta.stamp()),
            false => Some(meta.stamp()),
        };
        let stamp = stamp.filter(Stamp::is_settled);
        let now = stamp.filter(|stamp| !open.may_have_unseen_changes(*stamp));
        if now.is_some() && self.inodes().pages_as_of(file.ino) == now {
            return true;
        }
        // The kernel drops its pages when it gets this answer, but another open may be answered
        // before it has. When it reads, it has.
        self.inodes().note_pages(file.ino, None);
        *lock(&file.stamp) = now;
        false
    }

    /// Notes that pages are what the file held when its stamp was taken, or later.
    pub(super) fn note_pages(&self, file: &OpenedFile) {
        if let Some(stamp) = lock(&file.stamp).take() {
            self.inodes().note_pages(file.ino, Some(stamp));
        }
    }
}
