//! Changes that the kernel has not been told of yet.
//!
//! To the kernel every path is an inode with pages of its own. So when bytes of a backing file are written by
//! one path, the pages of the others must be dropped. A handler must not wait for that: the kernel may hold
//! such a page locked for a request that the handler's own thread has to answer. So writes are noted here,
//! and another thread waits for them.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::Handle;
use crate::inode::Ino;
use crate::layout::Layout;
use crate::locks::lock;
use crate::meta::FileId;
use crate::tree::Content;

/// Some bytes of a file that were written.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) file: FileId,
    /// They are among the elements of this.
    pub(super) among: Arc<Layout>,
    pub(super) but: But,
}

/// Whose pages need not be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum But {
    /// Those of an inode: the bytes were written back from them
    Inode(Ino),
    /// Those of a handle: it reads none
    Handle(Handle),
    /// Nobody's: the kernel drops its own pages before it passes on a write, so a reader may have filled them
    /// again meanwhile
    Nobody,
}

/// The changes not yet passed on, one for each handle.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pending: Mutex<Pending>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    by_handle: HashMap<Handle, Change>,
    closed: bool,
}

impl Changes {
    /// Notes what was written through a handle.
    pub(super) fn note(&self, handle: Handle, change: Change) {
        let mut pending = lock(&self.pending);
        let but = change.but;
        let noted = pending.by_handle.entry(handle).or_insert(change);
        if noted.but != but {
            noted.but = But::Nobody;
        }
        drop(pending);
        self.came.notify_one();
    }

    /// Waits for changes, and takes them; none when they are closed.
    pub(super) fn wait(&self) -> Option<Vec<Change>> {
        let mut pending = lock(&self.pending);
        while pending.by_handle.is_empty() && !pending.closed {
            pending = self.came.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
        if pending.closed {
            return None;
        }
        Some(pending.by_handle.drain().map(|(_, change)| change).collect())
    }

    /// Nobody must wait any more.
    pub(super) fn close(&self) {
        lock(&self.pending).closed = true;
        self.came.notify_all();
    }
}

impl Change {
    /// Whether this change may outdate the pages of an inode, of which `handle` has `content` open.
    pub(super) fn concerns(&self, handle: Handle, ino: Ino, content: &Content) -> bool {
        let spared = match self.but {
            But::Inode(but) => but == ino,
            But::Handle(but) => but == handle,
            But::Nobody => false,
        };
        let may_show = match content.open_storage() {
            Some((open, _)) if open.may_hold(&self.file) => true,
            Some((_, meta)) => {
                meta.id.has_number_of(&self.file) && content.may_overlap(&self.among)
            }
            None => false,
        };
        !spared && may_show
    }
}
