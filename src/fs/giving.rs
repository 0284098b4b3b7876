//! Small files are given to the kernel whole while they are opened, so that it never asks for their
//! bytes: for a reader of small slices each answer that it waits for costs more than the bytes.
//!
//! The kernel locks a page while it waits for the bytes of it, and what it is given has to wait for
//! that lock. So a handler may give only what nobody can be waiting for: a file that is not open
//! elsewhere. And until it is given, no other open of it may be answered.

use std::sync::{Mutex, MutexGuard};

use super::{Fs, Handle};
use crate::inode::Ino;
use crate::sync::lock;

/// The largest file that is given, in bytes: as much as the kernel, left to itself, reads ahead.
const MAX_GIVEN: usize = 128 << 10;

/// Turns to give a file, of which those of one inode come one after the other.
#[derive(Debug, Default)]
pub(super) struct Turns([Mutex<()>; 16]);

impl Turns {
    fn take(&self, ino: Ino) -> MutexGuard<'_, ()> {
        lock(&self.0[ino.0 as usize % self.0.len()])
    }
}

impl Fs {
    /// Gives the kernel all bytes of a file that has just been opened for reading, by `store`, and
    /// says whether it has them now: if the file is small, open but once, and nobody writes to the
    /// tree by paths, since a change that is noted while the bytes are under way would be lost.
    pub fn give(&self, handle: Handle, store: impl FnOnce(&[u8]) -> bool) -> bool {
        let Ok(file) = self.files.get(handle) else { return false };
        let len = file.content.made_len().and_then(|len| usize::try_from(len).ok());
        let Some(len) = len.filter(|len| (1..=MAX_GIVEN).contains(len)) else { return false };
        if self.tree.is_writable() {
            return false;
        }
        let _turn = self.giving.take(file.ino);
        if !self.inodes().is_open_once(file.ino) {
            return false;
        }
        // Who reads it is told what is wrong with it.
        file.content.read_at(0, len, store).unwrap_or(false)
    }
}
