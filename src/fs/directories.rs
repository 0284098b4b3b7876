//! Directories: their entries, as they are read.

use std::borrow::Cow;
use std::ffi::OsStr;

use super::{Fs, Handle};
use crate::caller::Caller;
use crate::error::Error;
use crate::inode::Ino;
use crate::meta::Kind;
use crate::node::{Attr, Listing, Node, Version};
use crate::shown::shown;

#[derive(Debug)]
pub(super) struct OpenedDirectory {
    ino: Ino,
    node: Node,
    listing: Listing,
    /// The thread that opened it; 0 if it is not known.
    opener: u32,
}

impl OpenedDirectory {
    pub(super) fn opener(&self) -> u32 {
        self.opener
    }
}

/// An entry of a directory as it is read.
#[derive(Debug)]
pub struct DirEntry<'a> {
    /// Its number, if there is one.
    pub ino: Option<Ino>,
    /// Where to go on reading behind it.
    pub next: u64,
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: Cow<'a, OsStr>,
}

impl Fs {
    /// Opens a directory, to be closed by [`Fs::release_directory`].
    pub fn open_directory(&self, ino: Ino, caller: Caller) -> Result<Handle, Error> {
        let node = self.node(ino)?;
        self.tree.admit(&node, caller, Version::AtPath)?;
        let listing = self.tree.list(&node)?;
        self.inodes().open(ino, false);
        Ok(self.directories.add(OpenedDirectory { ino, node, listing, opener: caller.thread }))
    }

    /// Reads entries from a position on, until `emit` says that it has no room for one.
    pub fn read_directory(
        &self,
        handle: Handle,
        from: u64,
        mut emit: impl FnMut(&DirEntry<'_>) -> bool,
    ) -> Result<(), Error> {
        let directory = self.directories.get(handle)?;
        self.each_entry(&directory, from, |entry| emit(&entry));
        Ok(())
    }

    /// As [`Fs::read_directory`], with each entry looked up: `emit` gets its number and attributes
    /// too, and the number is to be given back if it had room. Entries that are gone are left out.
    pub fn read_directory_plus(
        &self,
        handle: Handle,
        from: u64,
        mut emit: impl FnMut(&DirEntry<'_>, Ino, &Attr) -> bool,
    ) -> Result<(), Error> {
        let directory = self.directories.get(handle)?;
        let mut failed = None;
        let mut emitted = false;
        let mut left_out = 0;
        self.each_entry(&directory, from, |entry| {
            if let Some(ino) = entry.ino.filter(|_| entry.next <= DOTS) {
                let attr = self.attr(ino).or_else(|_| self.attr(directory.ino));
                return attr.is_ok_and(|attr| emit(&entry, ino, &attr));
            }
            let (node, attr) = match self.tree.lookup(&directory.node, &entry.name) {
                Ok(found) => found,
                Err(err) => {
                    // One entry's trouble is not the others', unless it is the directory's: then
                    // not one of its entries is left, and there may be billions. That is told at
                    // once, or where entries before have been taken, by the next call.
                    left_out += 1;
                    let gone = match self.tree.attr(&directory.node) {
                        Err(gone) => Some(gone),
                        Ok(_) if left_out > MAX_LEFT_OUT => Some(err),
                        Ok(_) => {
                            if !err.is_answer() {
                                log::warn!("{}: left out of a listing: {err}", shown(&entry.name));
                            }
                            None
                        }
                    };
                    let ends = gone.is_some();
                    failed = gone.filter(|_| !emitted);
                    return ends;
                }
            };
            let ino = self.inodes().remember(directory.ino, &entry.name, node);
            let full = emit(&entry, ino, &attr);
            if full {
                self.forget(ino, 1);
            }
            emitted |= !full;
            full
        });
        failed.map_or(Ok(()), Err)
    }

    fn each_entry(
        &self,
        directory: &OpenedDirectory,
        from: u64,
        mut emit: impl FnMut(DirEntry<'_>) -> bool,
    ) {
        for position in from..directory.listing.places().saturating_add(DOTS) {
            let next = position + 1;
            let (ino, kind, name) = match position {
                0 => (Some(directory.ino), Kind::Directory, Cow::Borrowed(".".as_ref())),
                1 => {
                    let parent = self.inodes().parent(directory.ino);
                    (Some(parent), Kind::Directory, Cow::Borrowed("..".as_ref()))
                }
                place => match directory.listing.at(place - DOTS) {
                    Some((name, kind)) => (self.inodes().known(directory.ino, &name), kind, name),
                    None => continue,
                },
            };
            if emit(DirEntry { ino, next, kind, name }) {
                return;
            }
        }
    }

    /// Closes a directory.
    pub fn release_directory(&self, handle: Handle) {
        if let Some(directory) = self.directories.remove(handle) {
            self.inodes().close(directory.ino);
        }
    }
}

/// How many entries of a listing may be missing before that is taken for the listing's own fault. It
/// is more than a record has fields, of which each can have a reason of its own.
const MAX_LEFT_OUT: usize = 100_000;

/// The entries `.` and `..` come before all others.
const DOTS: u64 = 2;
