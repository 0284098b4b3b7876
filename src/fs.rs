//! The filesystem in our own types: numbers and handles over the tree, with no mount in it.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::fs::StatVfs;

use crate::error::Error;
use crate::inode::{Ino, Inodes, ROOT};
use crate::meta::Stamp;
use crate::node::{Attr, Content, Node, Tree};
use crate::sync::lock;

mod changes;
mod directories;
mod giving;
mod handles;
mod writing;

use changes::Changes;
pub use directories::DirEntry;
use directories::OpenedDirectory;
use giving::Turns;
use handles::Handles;
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
    to_write: Option<OpenedToWrite>,
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

    /// Closes files that nobody reads, and finds what the kernel should be asked to forget: on a large
    /// machine it remembers millions of entries, each of which takes memory here. To be called now and
    /// then.
    ///
    /// To forget a name takes the kernel as long as a lookup, and no other name is looked up in that
    /// directory meanwhile. So it waits until nobody is at work, if there is room until then.
    pub fn tidy(&self) -> Tidied {
        self.tree.source().files().close_idle();
        let mut inodes = self.inodes();
        inodes.shrink();
        let at_work = inodes.newly_given() > AT_WORK;
        let surplus = inodes.surplus(if at_work { MAX_REMEMBERED } else { MAX_AT_REST });
        let soon = !surplus.is_empty() || (at_work && inodes.live() > MAX_AT_REST);
        Tidied { surplus, soon }
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
    pub fn open(&self, ino: Ino) -> Result<Handle, Error> {
        let content = self.tree.open(&self.node(ino)?)?;
        Ok(self.add_file(ino, content, None))
    }

    fn add_file(&self, ino: Ino, content: Content, to_write: Option<OpenedToWrite>) -> Handle {
        self.inodes().opened(ino);
        self.files.add(OpenedFile { ino, content, stamp: Mutex::default(), to_write })
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
        // From now on this handle is told of what others write here; what they wrote before shows.
        let stamp = match self.tree.is_writable() {
            true => open.meta().ok().map(|meta| meta.stamp()),
            false => Some(meta.stamp()),
        };
        let stamp = stamp.filter(Stamp::is_settled);
        let now = stamp.filter(|_| !open.may_have_unseen_changes());
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
            if let Some(err) = file.to_write.as_ref().and_then(OpenedToWrite::untold) {
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

/// What is to be done after tidying up.
#[derive(Debug)]
pub struct Tidied {
    /// The entries, by parent and name, that the kernel should be asked to forget.
    pub surplus: Vec<(Ino, Arc<OsStr>)>,
    /// There will be more of them in a moment.
    pub soon: bool,
}

/// How many nodes the kernel may remember before it is asked to forget the oldest, while new ones
/// are looked up all the time and after that. They take about 600 bytes each, and the allocator keeps
/// what they took.
const MAX_REMEMBERED: usize = 60_000;
const MAX_AT_REST: usize = 10_000;

/// So many new numbers since the last time show that somebody is at work.
const AT_WORK: u64 = 20;
