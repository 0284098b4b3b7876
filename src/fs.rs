//! The filesystem in our own types: numbers and handles over the tree, with no mount in it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rustix::fs::StatVfs;

use crate::error::Error;
use crate::inode::{Ino, Inodes, ROOT};
use crate::meta::{Kind, Stamp};
use crate::node::{Attr, Content, Listing, Node, Tree};

/// A filesystem over a tree. Every method may be called from any thread.
#[derive(Debug)]
pub struct Fs {
    tree: Tree,
    inodes: Mutex<Inodes>,
    files: Handles<OpenedFile>,
    directories: Handles<OpenedDirectory>,
}

/// What a handle stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(pub u64);

#[derive(Debug)]
struct OpenedFile {
    ino: Ino,
    content: Content,
    /// What the backing file looked like as pages of it began to be cached anew: to be noted when
    /// the first of them is read.
    stamp: Mutex<Option<Stamp>>,
}

#[derive(Debug)]
struct OpenedDirectory {
    ino: Ino,
    node: Node,
    listing: Listing,
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
    /// A filesystem over a tree.
    pub fn new(tree: Tree) -> Fs {
        Fs {
            tree,
            inodes: Mutex::default(),
            files: Handles::default(),
            directories: Handles::default(),
        }
    }

    /// The tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    fn inodes(&self) -> MutexGuard<'_, Inodes> {
        lock(&self.inodes)
    }

    fn node(&self, ino: Ino) -> Result<Node, Error> {
        match ino {
            // The file that a mount consists of may have been replaced.
            ROOT => self.tree.root(),
            _ => self.inodes().node(ino).cloned().ok_or(Error::Stale),
        }
    }

    /// Looks an entry up. Its number is to be given back by [`Fs::forget`].
    pub fn lookup(&self, parent: Ino, name: &OsStr) -> Result<(Ino, Attr), Error> {
        let (node, attr) = self.tree.lookup(&self.node(parent)?, name)?;
        Ok((self.inodes().remember(parent, name, node), attr))
    }

    /// Gives back `count` lookups of a number.
    pub fn forget(&self, ino: Ino, count: u64) {
        self.inodes().forget(ino, count);
    }

    /// Closes files that nobody reads, and names the entries, by parent and name, that the kernel
    /// should be asked to forget: on a large machine it remembers millions, each of which takes
    /// memory here. To be called now and then.
    pub fn tidy(&self) -> Vec<(Ino, Arc<OsStr>)> {
        self.tree.source().files().close_idle();
        let mut inodes = self.inodes();
        inodes.shrink();
        inodes.surplus(MAX_REMEMBERED)
    }

    /// How many numbers have not been given back.
    pub fn remembered(&self) -> usize {
        self.inodes().len()
    }

    /// The attributes of a number.
    pub fn attr(&self, ino: Ino) -> Result<Attr, Error> {
        self.tree.attr(&self.node(ino)?)
    }

    /// The attributes of a number that is open. An open file whose array has been rewritten keeps
    /// those that it was opened with, so that it is the read that fails, and says why.
    pub fn attr_of_open(&self, ino: Ino, handle: Handle) -> Result<Attr, Error> {
        match self.attr(ino) {
            Err(Error::Stale) => {
                let file = self.files.get(handle)?;
                Tree::attr_as_opened(&self.node(ino)?, &file.content).ok_or(Error::Stale)
            }
            attr => attr,
        }
    }

    /// The text of a symlink.
    pub fn read_link(&self, ino: Ino) -> Result<OsString, Error> {
        self.tree.read_link(&self.node(ino)?)
    }

    /// Opens a file for reading, to be closed by [`Fs::release`].
    pub fn open(&self, ino: Ino) -> Result<Handle, Error> {
        let content = self.tree.open(&self.node(ino)?)?;
        self.inodes().opened(ino);
        Ok(self.files.add(OpenedFile { ino, content, stamp: Mutex::default() }))
    }

    /// Calls `use_file` with the descriptor of the backing file, where the open file is a file of
    /// the source as it is.
    pub fn with_whole_file<R>(
        &self,
        handle: Handle,
        use_file: impl FnOnce(BorrowedFd<'_>) -> R,
    ) -> Option<R> {
        let file = self.files.get(handle).ok()?;
        file.content.whole_file().map(|open| use_file(open.backing.as_fd()))
    }

    /// Whether pages that the kernel has of an open file's inode are still what the file holds, and
    /// so may be kept. To be asked once for each open.
    ///
    /// Not if the file changed since the last open, nor if somebody can write to it: through a map
    /// that leaves no trace in the timestamps, and so neither if somebody could when the pages were
    /// cached.
    pub fn may_keep_pages(&self, handle: Handle) -> bool {
        let Ok(file) = self.files.get(handle) else { return false };
        let Some((open, meta)) = file.content.open_file() else { return true };
        let stamp = Some(meta.stamp()).filter(|stamp| stamp.is_settled());
        let now = stamp.filter(|_| !open.backing.may_have_unseen_changes());
        if now.is_some() && self.inodes().cached(file.ino) == now {
            return true;
        }
        // The kernel drops its pages when it gets this answer, but another open may be answered
        // before it has. When it reads, it has.
        self.inodes().note_cached(file.ino, None);
        *lock(&file.stamp) = now;
        false
    }

    /// Reads `len` bytes from `at` on, fewer only at the end of the file, and passes them to
    /// `respond`.
    pub fn read<R>(
        &self,
        handle: Handle,
        at: u64,
        len: usize,
        respond: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, Error> {
        let file = self.files.get(handle)?;
        if let Some(stamp) = lock(&file.stamp).take() {
            self.inodes().note_cached(file.ino, Some(stamp));
        }
        file.content.read_at(at, len, respond)
    }

    /// Closes a file.
    pub fn release(&self, handle: Handle) {
        if let Some(file) = self.files.remove(handle) {
            self.inodes().closed(file.ino);
        }
    }

    /// Opens a directory, to be closed by [`Fs::release_directory`].
    pub fn open_directory(&self, ino: Ino) -> Result<Handle, Error> {
        let node = self.node(ino)?;
        let listing = self.tree.list(&node)?;
        self.inodes().opened(ino);
        Ok(self.directories.add(OpenedDirectory { ino, node, listing }))
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
                                log::warn!(
                                    "{}: left out of a listing: {err}",
                                    entry.name.display()
                                );
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
            self.inodes().closed(directory.ino);
        }
    }

    /// The filesystem that the source is on.
    pub fn statvfs(&self) -> Result<StatVfs, Error> {
        self.tree.source().statvfs()
    }
}

/// Locks, also after a panic elsewhere: what these locks guard is whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many nodes the kernel may remember before it is asked to forget the oldest. They take about
/// a kilobyte each, and the allocator keeps what they took.
const MAX_REMEMBERED: usize = 20_000;

/// How many entries of a listing may be missing before that is taken for the listing's own fault. It
/// is more than a record has fields, of which each can have a reason of its own.
const MAX_LEFT_OUT: usize = 100_000;

/// The entries `.` and `..` come before all others.
const DOTS: u64 = 2;

/// Open files or directories by their handles, which are never given out twice.
#[derive(Debug)]
struct Handles<T> {
    last: AtomicU64,
    open: RwLock<HashMap<Handle, Arc<T>>>,
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Handles { last: AtomicU64::new(0), open: RwLock::default() }
    }
}

impl<T> Handles<T> {
    fn add(&self, opened: T) -> Handle {
        let handle = Handle(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.insert(handle, Arc::new(opened));
        handle
    }

    fn get(&self, handle: Handle) -> Result<Arc<T>, Error> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.get(&handle).cloned().ok_or(Error::BadHandle)
    }

    /// What it stood for is dropped by the caller, outside of the lock: that may unmap a file.
    fn remove(&self, handle: Handle) -> Option<Arc<T>> {
        self.open.write().unwrap_or_else(PoisonError::into_inner).remove(&handle)
    }
}
