//! Files open for writing.

use std::collections::HashSet;

use super::changes::{But, Change};
use super::{Fs, Handle, OpenedFile};
use crate::error::Error;
use crate::inode::Ino;
use crate::meta::FileId;
use crate::node::{Attr, Writing};

/// What a file open for writing is besides.
#[derive(Debug)]
pub(super) struct OpenedToWrite {
    writing: Writing,
    file: FileId,
    /// The process, or rather the thread, that opened it.
    by: u32,
}

impl OpenedToWrite {
    /// What may have been written through its handle, past the kernel's pages.
    fn change(&self, handle: Handle) -> Change {
        let but = if self.writing.reads() { But::Nobody } else { But::Handle(handle) };
        Change { file: self.file, bytes: self.writing.runs(), but }
    }
}

impl Fs {
    /// Opens a file for writing, and for reading too if the process `by` `reads`; to be closed by
    /// [`Fs::release`].
    pub fn open_for_writing(&self, ino: Ino, reads: bool, by: u32) -> Result<Handle, Error> {
        let (content, writing) = self.tree.open_for_writing(&self.node(ino)?, reads)?;
        let (_, meta) = content.open_file().ok_or(Error::BadHandle)?;
        let file = meta.id;
        Ok(self.add_file(ino, content, Some(OpenedToWrite { writing, file, by })))
    }

    /// Writes `bytes` from `at` on, and returns how many: not all if the operating system refuses
    /// the rest. They are on the disk then if they are to be `synced`.
    pub fn write(
        &self,
        handle: Handle,
        at: u64,
        bytes: &[u8],
        synced: bool,
    ) -> Result<usize, Error> {
        let file = self.files.get(handle)?;
        let opened = file.to_write.as_ref().ok_or(Error::BadHandle)?;
        let count = opened.writing.write_at(at, bytes);
        self.changes.note(handle, opened.change(handle));
        if synced && count.is_ok() {
            opened.writing.sync(true)?;
        }
        count
    }

    /// Writes what the kernel has had in its pages of a map, from `at` on: all, or it is an error.
    pub fn write_back(&self, handle: Handle, at: u64, bytes: &[u8]) -> Result<(), Error> {
        let file = self.files.get(handle)?;
        let opened = file.to_write.as_ref().ok_or(Error::BadHandle)?;
        let written = opened.writing.write_back(at, bytes);
        let but = But::Inode(file.ino);
        self.changes.note(handle, Change { but, ..opened.change(handle) });
        written
    }

    /// Accepts a size that a file already has, and that of 0 with which a program begins to replace
    /// it, which changes nothing yet. Any other is an error.
    ///
    /// The kernel truncates a file right after it has opened it, for the same process `by`, but does
    /// not say that it is the same handle.
    pub fn set_size(
        &self,
        ino: Ino,
        handle: Option<Handle>,
        by: u32,
        size: u64,
    ) -> Result<Attr, Error> {
        let just_opened = |file: &OpenedFile| {
            let to_write = file.to_write.as_ref().filter(|to_write| to_write.by == by);
            file.ino == ino && to_write.is_some_and(|it| it.writing.is_untouched())
        };
        let handle = match size {
            0 => handle.or_else(|| self.files.newest(just_opened)),
            _ => handle,
        };
        let is_its_size = match handle {
            Some(handle) => {
                let file = self.files.get(handle)?;
                let opened = file.to_write.as_ref().ok_or(Error::BadHandle)?;
                if size == 0 {
                    opened.writing.truncate();
                }
                let ended = opened.writing.end(size);
                self.changes.note(handle, opened.change(handle));
                ended?
            }
            None => {
                self.tree.open_for_writing(&self.node(ino)?, true)?;
                size == self.attr(ino)?.size
            }
        };
        if size != 0 && !is_its_size {
            return Err(Error::NotPermitted("the size of an array stays as it is".to_owned()));
        }
        self.attr(ino)
    }

    /// What a process is told that closes a file: an error if it has replaced it by a part of one.
    pub fn flush(&self, handle: Handle) -> Result<(), Error> {
        let file = self.files.get(handle)?;
        file.to_write.as_ref().map_or(Ok(()), |opened| opened.writing.finish())
    }

    /// Returns when all that was written to an open file is on the disk, by whomever.
    pub fn sync(&self, handle: Handle, data_only: bool) -> Result<(), Error> {
        let file = self.files.get(handle)?;
        match &file.to_write {
            Some(opened) => opened.writing.sync(data_only),
            None => file.content.sync(data_only),
        }
    }

    /// Waits until something was written, and names the open files of which the kernel may have
    /// pages that are out of date by that; none when [`Fs::close_changes`] was called.
    pub fn await_outdated(&self) -> Option<HashSet<Ino>> {
        let changes = self.changes.wait()?;
        let mut outdated = HashSet::new();
        self.files.each(|handle, file| {
            if changes.iter().any(|change| change.concerns(handle, file.ino, &file.content)) {
                outdated.insert(file.ino);
            }
        });
        Some(outdated)
    }

    /// Lets go of who waits in [`Fs::await_outdated`].
    pub fn close_changes(&self) {
        self.changes.close();
    }
}
