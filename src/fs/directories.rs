//! Directories: their entries, as they are read.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::sync::{Arc, Mutex};

use super::listings::Ticket;
use super::{Fs, Handle};
use crate::caller::Caller;
use crate::error::Error;
use crate::escape::shown;
use crate::inode::Ino;
use crate::locks::lock;
use crate::meta::Kind;
use crate::quota::Share;
use crate::source::Which;
use crate::tree::{Attr, DOTS, Listing, Node};

#[derive(Debug)]
pub(super) struct DirectoryHandle {
    ino: Ino,
    node: Node,
    reading: Mutex<Reading>,
    /// The thread that opened it; 0 if it is not known.
    opener: u32,
    /// Its share of what its user may have open.
    _share: Option<Share>,
}

impl DirectoryHandle {
    pub(super) fn opener(&self) -> u32 {
        self.opener
    }
}

/// How far a reader has come.
#[derive(Debug)]
enum Reading {
    /// Before the first entry, or to go on with a new listing
    Anew,
    /// In the middle of a directory of the source
    Shared(Ticket),
    /// In the middle of a directory that npyfs makes
    Made(Arc<Listing>),
    /// At the end, which was this position
    Ended(u64),
}

/// An entry of a directory as it is read.
#[derive(Debug)]
pub struct DirEntry<'a> {
    /// Its number, if there is one.
    pub ino: Option<Ino>,
    /// The position after it.
    pub next: u64,
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: Cow<'a, OsStr>,
}

impl Fs {
    /// Opens a directory, to be closed by [`Fs::release_directory`].
    pub fn open_directory(&self, ino: Ino, caller: Caller) -> Result<Handle, Error> {
        let (node, share) = self.opening(ino, caller, |attempt| {
            let which = attempt.which();
            let share = self.share(caller, 1)?;
            let node = self.with_node(ino, |node| {
                if which == Which::AtPath {
                    self.tree.check_place(node)?;
                }
                self.tree.admit(node, caller, which)?;
                self.tree.check_listable(node)?;
                Ok(node.clone())
            })?;
            Ok((node, share))
        })?;
        self.inodes().open(ino, false);
        let (reading, opener) = (Mutex::new(Reading::Anew), caller.thread);
        Ok(self.directories.add(DirectoryHandle { ino, node, reading, opener, _share: share }))
    }

    /// Reads entries from a position on, until `emit` says that it has no room for one.
    pub fn read_directory(
        &self,
        handle: Handle,
        from: u64,
        mut emit: impl FnMut(&DirEntry<'_>) -> bool,
    ) -> Result<(), Error> {
        let directory = self.directories.get(handle)?;
        self.each_entry(&directory, from, |entry| emit(&entry))
    }

    /// As [`Fs::read_directory`], but looks each entry up and passes its number and attributes to `emit` too.
    /// The number must be given back if there was room. Entries that are gone are left out.
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
                    // The trouble of one entry does not concern the others, unless it is the directory's:
                    // then no entry can be looked up, and there may be billions. That is reported at once, or
                    // by the next call if entries were emitted before.
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
        })?;
        failed.map_or(Ok(()), Err)
    }

    fn each_entry(
        &self,
        directory: &DirectoryHandle,
        from: u64,
        mut emit: impl FnMut(DirEntry<'_>) -> bool,
    ) -> Result<(), Error> {
        let Some(listing) = self.listing(directory, from)? else { return Ok(()) };
        let dots = [(".", directory.ino), ("..", self.inodes().parent(directory.ino))];
        for (next, (name, ino)) in (1..=DOTS).zip(dots).skip(from.min(DOTS) as usize) {
            let (ino, kind, name) = (Some(ino), Kind::Directory, Cow::Borrowed(name.as_ref()));
            if emit(DirEntry { ino, next, kind, name }) {
                return Ok(());
            }
        }
        let mut last = from.max(DOTS);
        for (next, name, kind) in listing.entries_after(last) {
            let ino = self.inodes().known(directory.ino, &name);
            if emit(DirEntry { ino, next, kind, name }) {
                return Ok(());
            }
            last = next;
        }
        self.set_reading(directory, Reading::Ended(last));
        Ok(())
    }

    /// The listing with which a reader goes on from a position; none at the end. From the beginning it is a
    /// new one.
    fn listing(
        &self,
        directory: &DirectoryHandle,
        from: u64,
    ) -> Result<Option<Arc<Listing>>, Error> {
        if from != 0 {
            match &*lock(&directory.reading) {
                Reading::Ended(last) if *last == from => return Ok(None),
                Reading::Made(listing) => return Ok(Some(listing.clone())),
                Reading::Shared(ticket) => {
                    if let Some((listing, version)) = self.listings.get(*ticket) {
                        return Ok(Some(Listing::Source(listing, version).into()));
                    }
                }
                Reading::Anew | Reading::Ended(_) => {}
            }
        }
        let known = |version: &_| self.listings.known(version);
        let listing = Arc::new(self.tree.list_known(&directory.node, &known)?);
        let reading = match &*listing {
            Listing::Source(shared, version) => {
                Reading::Shared(self.listings.hold(shared.clone(), *version))
            }
            Listing::Made(made) if made.is_kept() => Reading::Made(listing.clone()),
            Listing::Made(_) => Reading::Anew,
        };
        self.set_reading(directory, reading);
        Ok(Some(listing))
    }

    fn set_reading(&self, directory: &DirectoryHandle, reading: Reading) {
        let before = std::mem::replace(&mut *lock(&directory.reading), reading);
        if let Reading::Shared(ticket) = before {
            self.listings.let_go(ticket);
        }
    }

    /// Closes a directory.
    pub fn release_directory(&self, handle: Handle) {
        if let Some(directory) = self.directories.remove(handle) {
            self.set_reading(&directory, Reading::Anew);
            self.inodes().close(directory.ino);
        }
    }
}

/// How many entries of a listing may be missing before the directory itself is taken to be at fault: more
/// than a record has fields, each of which can fail for a reason of its own.
const MAX_LEFT_OUT: usize = 100_000;
