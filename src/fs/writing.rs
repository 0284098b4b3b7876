//! Files open for writing.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::invalidation::{But, Change};
use super::{FileHandle, Fs, Handle};
use crate::caller::Caller;
use crate::error::{Error, shortened};
use crate::escape::shown;
use crate::inode::{Ino, ROOT};
use crate::meta::FileId;
use crate::statistics::STATISTICS;
use crate::tree::{Attr, Writing};

/// What a file that is open for writing has besides.
#[derive(Debug)]
pub(super) struct WriteHandle {
    writing: Writing,
    file: FileId,
    by: Caller,
    /// Its opener, or the log, has been told that the replacement is not complete.
    reported: AtomicBool,
}

impl WriteHandle {
    /// What may have been written through its handle, past the kernel's pages.
    fn change(&self, handle: Handle) -> Change {
        let but = if self.writing.reads() { But::Nobody } else { But::Handle(handle) };
        Change { file: self.file, among: self.writing.layout(), but }
    }

    /// The user who opened it.
    pub(super) fn user(&self) -> u32 {
        self.by.user
    }

    /// The error that nobody has been told of when the file is closed for good.
    pub(super) fn unreported(&self) -> Option<Error> {
        let reported = self.reported.load(Ordering::Relaxed) || self.writing.check().is_err();
        self.writing.check_whole().err().filter(|_| !reported)
    }
}

impl Fs {
    /// The user who has opened a file for writing.
    pub fn writer(&self, handle: Handle) -> Option<u32> {
        Some(self.files.get(handle).ok()?.to_write.as_ref()?.user())
    }

    /// Opens a file for writing, and for reading too if it `reads`.
    pub(super) fn open_to_write(
        &self,
        ino: Ino,
        reads: bool,
        by: Caller,
    ) -> Result<FileHandle, Error> {
        // Writing takes a second descriptor.
        let share = self.share(by, 2)?;
        let (content, writing) = self.tree.open_for_writing(&self.node(ino)?, reads, by)?;
        let (_, meta) = content.open_storage().ok_or(Error::BadHandle)?;
        let file = meta.id;
        let to_write = WriteHandle { writing, file, by, reported: AtomicBool::new(false) };
        Ok(FileHandle::new(ino, content, Some(to_write.into()), by, share))
    }

    /// Writes `bytes` at `at`, and returns how many: fewer if the operating system refuses the rest. If
    /// `synced`, they are on the disk then.
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
        STATISTICS.bytes.written.add(*count.as_ref().unwrap_or(&0) as u64);
        if synced && count.is_ok() {
            opened.writing.sync(true)?;
        }
        count
    }

    /// Writes back what the kernel has in its pages of a map, all of it or with an error.
    pub fn write_back(&self, handle: Handle, at: u64, bytes: &[u8]) -> Result<(), Error> {
        let file = self.files.get(handle)?;
        let opened = file.to_write.as_ref().ok_or(Error::BadHandle)?;
        let written = opened.writing.write_back(at, bytes);
        let but = But::Inode(file.ino);
        self.changes.note(handle, Change { but, ..opened.change(handle) });
        STATISTICS.bytes.written.add(if written.is_ok() { bytes.len() as u64 } else { 0 });
        written
    }

    /// Accepts the size that a file already has; and 0, with which a program begins to replace it, which
    /// changes nothing yet. Any other size is an error.
    ///
    /// The kernel truncates a file right after it has opened it for the same caller, but does not name the
    /// handle.
    pub fn set_size(
        &self,
        ino: Ino,
        handle: Option<Handle>,
        by: Caller,
        size: u64,
    ) -> Result<Attr, Error> {
        let handle = match size {
            0 => handle.or_else(|| self.just_opened(ino, by)),
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
                // Checks whether the caller could write it.
                self.tree.open_for_writing(&self.node(ino)?, false, by)?;
                size == self.attr(ino)?.size
            }
        };
        if size != 0 && !is_its_size {
            return Err(self.stays(ino, "the size of an array stays as it is"));
        }
        self.attr(ino)
    }

    /// The handle by which a caller has just opened an inode for writing: its newest, if nothing was written
    /// by it yet. If callers cannot be told apart, only when there is no other.
    fn just_opened(&self, ino: Ino, by: Caller) -> Option<Handle> {
        let mut found = Vec::new();
        self.files.each(|handle, file| {
            if file.ino == ino && file.to_write.as_ref().is_some_and(|it| it.by == by) {
                found.push(handle);
            }
        });
        let newest = found.iter().copied().max_by_key(|handle| handle.0)?;
        let is_sure = by.thread != 0 || found.len() == 1;
        let file = self.files.get(newest).ok().filter(|_| is_sure)?;
        file.to_write.as_ref().is_some_and(|it| it.writing.is_untouched()).then_some(newest)
    }

    /// Accepts attributes that a file already has: programs that copy a file copy its mode too.
    pub fn set_owner_and_mode(
        &self,
        ino: Ino,
        (uid, gid): (Option<u32>, Option<u32>),
        mode: Option<u32>,
    ) -> Result<Attr, Error> {
        let attr = self.attr(ino)?;
        let same = mode.is_none_or(|mode| mode & 0o7777 == u32::from(attr.mode))
            && uid.is_none_or(|uid| uid == attr.uid)
            && gid.is_none_or(|gid| gid == attr.gid);
        if same {
            return Ok(attr);
        }
        Err(self.stays(ino, "owner and mode stay as they are; change them in the source"))
    }

    /// The error for an attribute that cannot be changed through a mount.
    pub fn stays(&self, ino: Ino, what: &str) -> Error {
        let name = self.node(ino).map_or("a file".to_owned(), |node| node.shown());
        Error::NotPermitted(format!("{name}: {what}"))
    }

    /// The error for whatever would make, take away or change a name in a directory. Most often a slice
    /// is misspelt that was to be replaced, and the caller can read how.
    pub fn names_stay(&self, parent: Ino, name: &OsStr) -> Error {
        let path = shortened(shown(&self.path_of(parent).join(name)).to_string());
        let refusal = match self.node(parent) {
            Ok(directory) if directory.is_source_directory() => None,
            Err(_) => None,
            Ok(array) => match self.tree.lookup(&array, name) {
                Err(Error::NotFound(refusal)) => Some(refusal),
                _ => None,
            },
        };
        Error::NotPermitted(match refusal {
            Some(why) => format!("{path}: {why}; nothing is created through a mount"),
            None => format!(
                "{path}: nothing is created, removed or renamed through a mount; do it in the source"
            ),
        })
    }

    /// The path of an inode beneath the mountpoint, as far as it is known.
    pub fn path_of(&self, mut ino: Ino) -> PathBuf {
        let (inodes, mut names) = (self.inodes(), Vec::new());
        while ino != ROOT
            && let Some((parent, name)) = inodes.place(ino)
        {
            names.push(name);
            ino = parent;
        }
        names.iter().rev().map(|name| Path::new(&**name)).collect()
    }

    /// What the close of a descriptor reports: that a write has failed; or, to the thread that opened the file, that
    /// its replacement is not complete. Others may have the same handle: the commands of a shell write to one file
    /// in turn.
    pub fn flush(&self, handle: Handle, by: Caller) -> Result<(), Error> {
        let file = self.files.get(handle)?;
        let Some(opened) = &file.to_write else { return Ok(()) };
        opened.writing.check()?;
        match opened.writing.check_whole() {
            Err(err) if by == opened.by && by.thread != 0 => {
                let reported = opened.reported.swap(true, Ordering::Relaxed);
                Err(if reported { Error::Reported(err.errno()) } else { err })
            }
            _ => Ok(()),
        }
    }

    /// Returns when everything written to an open file is on the disk, whoever wrote it.
    pub fn sync(&self, handle: Handle, data_only: bool) -> Result<(), Error> {
        let file = self.files.get(handle)?;
        match &file.to_write {
            Some(opened) => opened.writing.sync(data_only),
            None => file.content.sync(data_only),
        }
    }

    /// Waits for changes, and returns the open inodes whose pages in the kernel they may outdate; none once
    /// [`Fs::close_changes`] was called.
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

    /// Ends the wait in [`Fs::await_outdated`].
    pub fn close_changes(&self) {
        self.changes.close();
    }
}
