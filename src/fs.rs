//! The filesystem in our own types: numbers and handles over the tree, with no mount in it.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard};

use rustix::fs::StatVfs;

use crate::caller::Caller;
use crate::error::Error;
use crate::inode::{Ino, Inodes, ROOT};
use crate::meta::Stamp;
use crate::node::{Attr, Content, Node, Tree};
use crate::sync::lock;

mod changes;
mod directories;
mod handles;
mod pages;
mod tidying;
mod writing;

use changes::Changes;
pub use directories::DirEntry;
use directories::OpenedDirectory;
use handles::Handles;
use pages::Turns;
use tidying::Pace;
pub use tidying::Tidied;
use writing::OpenedToWrite;

/// A filesystem over a tree. Every method may be called from any thread.
#[derive(Debug)]
pub struct Fs {
    tree: Tree,
    inodes: Mutex<Inodes>,
    files: Handles<OpenedFile>,
    directories: Handles<OpenedDirectory>,
    changes: Changes,
    giving: Turns,
    pace: Mutex<Pace>,
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
    /// It had been open before, so that the kernel may have pages of it.
    was_open_before: bool,
    /// Of few, and so in a box.
    to_write: Option<Box<OpenedToWrite>>,
}

impl Fs {
    /// A filesystem over a tree.
    pub fn new(tree: Tree) -> Fs {
        Fs {
            tree,
            inodes: Mutex::default(),
            files: Handles::default(),
            directories: Handles::default(),
            changes: Changes::default(),
            giving: Turns::default(),
            pace: Mutex::default(),
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
    pub fn lookup(&self, parent: Ino, name: &OsStr, _caller: Caller) -> Result<(Ino, Attr), Error> {
        let (node, attr) = self.tree.lookup(&self.node(parent)?, name)?;
        Ok((self.inodes().remember(parent, name, node), attr))
    }

    /// Gives back `count` lookups of a number.
    pub fn forget(&self, ino: Ino, count: u64) {
        self.inodes().forget(ino, count);
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
                self.tree.attr_as_opened(&self.node(ino)?, &file.content).ok_or(Error::Stale)
            }
            attr => attr,
        }
    }

    /// The text of a symlink.
    pub fn read_link(&self, ino: Ino) -> Result<OsString, Error> {
        self.tree.read_link(&self.node(ino)?)
    }

    /// Opens a file for reading, to be closed by [`Fs::release`].
    pub fn open(&self, ino: Ino, caller: Caller) -> Result<Handle, Error> {
        let content = self.tree.open(&self.node(ino)?, caller)?;
        Ok(self.add_file(ino, content, None))
    }

    fn add_file(&self, ino: Ino, content: Content, to_write: Option<Box<OpenedToWrite>>) -> Handle {
        let was_open_before = self.inodes().opened(ino);
        let stamp = Mutex::default();
        self.files.add(OpenedFile { ino, content, stamp, was_open_before, to_write })
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
        self.note_pages(&file);
        file.content.read_at(at, len, respond)
    }

    /// Closes a file.
    pub fn release(&self, handle: Handle) {
        if let Some(file) = self.files.remove(handle) {
            if let Some(err) = file.to_write.as_deref().and_then(OpenedToWrite::untold) {
                log::warn!("{err}");
            }
            self.inodes().closed(file.ino);
        }
    }

    /// The filesystem that the source is on.
    pub fn statvfs(&self) -> Result<StatVfs, Error> {
        self.tree.source().statvfs()
    }
}
