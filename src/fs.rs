//! The filesystem in our own types: inode numbers and handles over the tree. It knows nothing of a mount.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use rustix::fs::StatVfs;

use crate::caller::Caller;
use crate::error::Error;
use crate::inode::{Ino, Inodes, ROOT};
use crate::locks::lock;
use crate::messages;
use crate::meta::Stamp;
use crate::quota::Share;
use crate::source::Which;
use crate::statistics::{Number, STATISTICS};
use crate::tree::{Attr, Content, Node, Tree};

mod directories;
mod eviction;
mod handle_quota;
mod handles;
mod invalidation;
mod listings;
mod opening;
mod page_cache;
mod retries;
mod staging;
mod writing;

pub use directories::DirEntry;
use directories::DirectoryHandle;
pub use eviction::Tidied;
use handle_quota::Shares;
use handles::Handles;
use invalidation::Changes;
use listings::Listings;
pub use opening::{Access, Kernel, Opened, Way};
use retries::Retries;
pub use staging::{Leave, Staging};
use writing::WriteHandle;

/// A filesystem over a tree. Every method may be called from any thread.
#[derive(Debug)]
pub struct Fs {
    tree: Tree,
    inodes: Mutex<Inodes>,
    files: Handles<FileHandle>,
    directories: Handles<DirectoryHandle>,
    listings: Listings,
    shares: Shares,
    changes: Changes,
    /// Signalled when the turn of some open is over.
    settled: Condvar,
    /// How many threads wait for that. Changed under the lock of the inodes only.
    waiting: AtomicUsize,
    retries: Retries,
    /// None if no slice is copied when it is opened.
    staging: Option<Arc<Staging>>,
}

/// How often an operation is tried again because a file was replaced meanwhile.
const RETRIES: usize = 16;

/// What a handle stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(pub u64);

/// Which of the kernel's attempts an open is. It answers ESTALE by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    First,
    /// The second, of what a walk has found since the first.
    AfterWalk,
    /// The second, where there is no path to walk.
    WithoutWalk,
}

impl Attempt {
    /// Which version of the file it opens.
    fn which(self) -> Which {
        match self {
            Attempt::AfterWalk => Which::LookedUp,
            Attempt::First | Attempt::WithoutWalk => Which::AtPath,
        }
    }
}

#[derive(Debug)]
struct FileHandle {
    ino: Ino,
    content: Content,
    /// The thread that opened it; 0 if it is not known.
    opener: u32,
    /// The backing file's stamp when its pages began to be cached anew. It is noted when the first of them is
    /// read.
    stamp: Mutex<Option<Stamp>>,
    /// Boxed, since few files have one.
    to_write: Option<Box<WriteHandle>>,
    /// Its share of what its user may have open.
    _share: Option<Share>,
}

impl FileHandle {
    fn new(
        ino: Ino,
        content: Content,
        to_write: Option<Box<WriteHandle>>,
        caller: Caller,
        share: Option<Share>,
    ) -> FileHandle {
        let (opener, stamp) = (caller.thread, Mutex::default());
        FileHandle { ino, content, opener, stamp, to_write, _share: share }
    }
}

impl Fs {
    /// A filesystem over a tree.
    pub fn new(tree: Tree) -> Fs {
        Fs {
            tree,
            inodes: Mutex::default(),
            files: Handles::new(&STATISTICS.in_use.files),
            directories: Handles::new(&STATISTICS.in_use.directories),
            listings: Listings::default(),
            shares: Shares::default(),
            changes: Changes::default(),
            settled: Condvar::default(),
            waiting: AtomicUsize::new(0),
            retries: Retries::default(),
            staging: None,
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

    /// Does something with the node of a number. Where its file was replaced, or its array became another, what its
    /// name means now takes its place: what stands beside a file is that of whatever file stands there. A directory of
    /// the source stays the one that was looked up.
    fn with_node<T>(&self, ino: Ino, work: impl Fn(&Node) -> Result<T, Error>) -> Result<T, Error> {
        let mut node = self.node(ino)?;
        for _ in 1..RETRIES {
            match work(&node) {
                Err(Error::Stale) if ino != ROOT && !node.is_source_directory() => {
                    match self.node_now(ino) {
                        Ok(now) => node = now,
                        Err(Error::Stale) => {}
                        Err(err) => return Err(err),
                    }
                }
                result => return result,
            }
        }
        work(&node)
    }

    /// What a number's name means now, looked up anew from the directory of the source that it lies in.
    fn node_now(&self, ino: Ino) -> Result<Node, Error> {
        let (mut at, mut names) = (ino, Vec::new());
        let mut node = loop {
            let (parent, name) = self.inodes().place(at).ok_or(Error::Stale)?;
            names.push(name);
            let node = self.node(parent)?;
            if parent == ROOT || node.is_source_directory() {
                break node;
            }
            at = parent;
        };
        for name in names.iter().rev() {
            node = self.tree.lookup(&node, name)?.0;
        }
        Ok(node)
    }

    /// Looks an entry up. The caller must give its number back by [`Fs::forget`].
    pub fn lookup(&self, parent: Ino, name: &OsStr, caller: Caller) -> Result<(Ino, Attr), Error> {
        if !self.retries.is_expected(caller) {
            let (node, attr) = self.with_node(parent, |directory| {
                self.tree.check_place(directory)?;
                self.tree.lookup(directory, name)
            })?;
            return Ok((self.inodes().remember(parent, name, node), attr));
        }
        let found = (0..RETRIES).find_map(|_| {
            let found = self.with_node(parent, |directory| {
                let is_held = directory.file_id().is_some_and(|id| self.retries.holds(caller, id));
                if !is_held {
                    self.tree.check_place(directory)?;
                }
                let (node, attr) = self.tree.lookup(directory, name)?;
                let is_at_path = !is_held && !directory.is_made();
                let file = if is_at_path { self.tree.hold(&node)? } else { None };
                Ok((node, attr, file))
            });
            (!matches!(found, Err(Error::Stale))).then_some(found)
        });
        match found.unwrap_or(Err(Error::Stale)) {
            Ok((node, attr, file)) => {
                let id = node.file_id();
                let mut inodes = self.inodes();
                // By its number, what is open and was copied before the file changed would be opened once more.
                if let Some(known) = inodes.known(parent, name)
                    && let Some(as_of) = inodes.copied_as_of(known)
                    && !as_of.has_times(attr.modified, attr.changed)
                {
                    inodes.retire(known);
                }
                let ino = inodes.remember(parent, name, node);
                drop(inodes);
                self.retries.found(caller, ino, id, file);
                Ok((ino, attr))
            }
            Err(err) => {
                self.retries.end(caller);
                Err(err)
            }
        }
    }

    /// Gives back `count` lookups of a number.
    pub fn forget(&self, ino: Ino, count: u64) {
        self.inodes().forget(ino, count);
    }

    /// How many numbers have not been given back.
    pub fn remembered(&self) -> usize {
        self.inodes().len()
    }

    /// The attributes of a number. While a file is open they are those of its own version: with another size it
    /// would end for its readers where the read is to fail.
    pub fn attr(&self, ino: Ino) -> Result<Attr, Error> {
        let node = self.node(ino)?;
        if !node.is_directory() && self.inodes().is_open(ino) {
            return self.tree.attr(&node);
        }
        self.with_node(ino, |node| self.tree.attr(node))
    }

    /// The attributes of a number, for a caller that may open it next.
    pub fn attr_for(&self, ino: Ino, caller: Caller) -> Result<Attr, Error> {
        self.attr(ino).inspect_err(|_| drop(self.retries.end(caller)))
    }

    /// The attributes of an open file. If its array has been rewritten it keeps those that it was opened
    /// with, so that the read fails and says why.
    pub fn attr_of_open(&self, ino: Ino, handle: Handle) -> Result<Attr, Error> {
        match self.attr(ino) {
            Err(Error::Stale) => {
                let file = self.files.get(handle)?;
                self.tree.attr_as_opened(&self.node(ino)?, &file.content).ok_or(Error::Stale)
            }
            attr => attr,
        }
    }

    /// The access list of this name of a number, in the kernel's form, if it has one. The kernel asks
    /// for that of a file when somebody is about to open it.
    pub fn access_list(
        &self,
        ino: Ino,
        name: &str,
        caller: Caller,
    ) -> Result<Option<Vec<u8>>, Error> {
        let list = self.with_node(ino, |node| self.tree.access_list(node, name));
        match &list {
            Err(Error::Stale) if !self.node(ino)?.is_directory() => {
                self.retries.expect(caller, ino)
            }
            Err(_) => drop(self.retries.end(caller)),
            Ok(_) => {}
        }
        list
    }

    /// The text of a symlink.
    pub fn read_link(&self, ino: Ino) -> Result<OsString, Error> {
        self.tree.read_link(&self.node(ino)?)
    }

    /// Opens a number by `open`: of its file the version that was looked up, where the kernel has only just done
    /// that again because the one before was replaced.
    fn opening<T>(
        &self,
        ino: Ino,
        caller: Caller,
        open: impl FnOnce(Attempt) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let attempt = match self.retries.end(caller) {
            Some(walk) if walk.ends_at(ino) => Attempt::AfterWalk,
            Some(walk) if walk.has_not_begun(ino) => Attempt::WithoutWalk,
            _ => Attempt::First,
        };
        let opened = open(attempt);
        if attempt == Attempt::First && matches!(opened, Err(Error::Stale)) {
            self.retries.expect(caller, ino);
        }
        opened
    }

    /// The threads that opened the files and directories that are open, as far as they are known.
    pub fn openers(&self) -> BTreeSet<u32> {
        let mut openers = BTreeSet::new();
        self.files.each(|_, file| openers.extend([file.opener]));
        self.directories.each(|_, directory| openers.extend([directory.opener()]));
        openers.remove(&0);
        openers
    }

    /// Reads `len` bytes at `at`, fewer only at the end of the file, and passes them to `respond`.
    pub fn read<R>(
        &self,
        handle: Handle,
        at: u64,
        len: usize,
        respond: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, Error> {
        let file = self.files.get(handle)?;
        self.note_pages(&file);
        let counted = counted(&file.content);
        file.content.read_at(at, len, |bytes| {
            counted.add(bytes.len() as u64);
            respond(bytes)
        })
    }

    /// Closes a file.
    pub fn release(&self, handle: Handle) {
        if let Some(file) = self.files.remove(handle) {
            if let Some(to_write) = &file.to_write
                && let Some(err) = to_write.unreported()
            {
                // The kernel does not say who closes it last, so it counts as its opener's.
                messages::for_user(to_write.user(), || log::warn!("{err}"));
            }
            // Taking a registration back is a system call, which must not hold the lock.
            let passage = self.inodes().close(file.ino);
            let was_copy = passage.as_ref().is_some_and(|passage| passage.copy.is_some());
            drop(passage);
            if let Some(staging) = self.staging.as_ref().filter(|_| was_copy) {
                staging.closed(file.ino);
            }
        }
    }

    /// The filesystem that the source is on.
    pub fn statvfs(&self) -> Result<StatVfs, Error> {
        self.tree.source().statvfs()
    }
}

/// By which number the bytes are counted that are read of a file.
fn counted(content: &Content) -> &'static Number {
    let bytes = &STATISTICS.bytes;
    match content {
        Content::Text(_) | Content::Report(_) => &bytes.made,
        Content::Whole { .. } => &bytes.read,
        Content::Array { layout, .. } if layout.lies_together() => &bytes.read,
        Content::Array { .. } => &bytes.gathered,
    }
}
