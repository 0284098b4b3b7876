//! Opens of files: how the kernel reads each of them, and what it is given before the answer.
//!
//! While an inode is open, everybody must read it in the same way, or the kernel answers EIO. And an open that gives
//! pages to the kernel must not wait for a reader of them (see `page_cache`). One rule serves both: an open that
//! registers its file, copies it or gives pages of it has a turn of its own. All other opens of that inode wait until the turn is
//! over ([`Opening::Wait`]). No lock is held meanwhile.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::page_cache::may_be_given;
use super::{Attempt, FileHandle, Fs, Handle};
use crate::caller::Caller;
use crate::error::Error;
use crate::inode::{Ino, Opening, Passage, Registration, Staged};
use crate::statistics::STATISTICS;
use crate::tree::Content;

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read it through the kernel's pages.
    Read,
    /// To read it past the kernel's pages.
    ReadDirect,
    /// To write it.
    Write,
    /// To read and write it.
    ReadWrite,
}

impl Access {
    fn writes(self) -> bool {
        matches!(self, Access::Write | Access::ReadWrite)
    }
}

/// What the kernel can do for an open before it is answered.
pub trait Kernel {
    /// Puts all bytes of a file into the kernel's pages, and says whether they are there.
    fn give(&self, ino: Ino, bytes: &[u8]) -> bool;

    /// Whether it can read backing files by itself.
    fn passes_through(&self) -> bool {
        false
    }

    /// Makes a backing file known to the kernel; none if it refuses, because of our rights or the filesystem.
    fn register(&self, _file: BorrowedFd<'_>) -> Option<Registration> {
        None
    }

    /// Whether the open may take as long as it takes to copy the file.
    fn has_time(&self) -> bool {
        false
    }

    /// Whether files that are read past its pages can be mapped.
    fn maps_direct(&self) -> bool {
        false
    }
}

/// How the kernel reads and writes an open file.
#[derive(Clone, Debug)]
pub enum Way {
    /// Through its pages, which we fill.
    Pages,
    /// By asking us each time, past its pages.
    Direct,
    /// From the backing file or a copy of it, without us.
    PassedThrough(Registration),
}

/// A file that was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The caller must give it back by [`Fs::release`].
    pub handle: Handle,
    /// How the kernel reads and writes it.
    pub way: Way,
    /// The kernel may keep the pages that it has of the file.
    pub keeps_pages: bool,
    /// Every close of a descriptor must be reported by [`Fs::flush`].
    pub flushes: bool,
}

/// The turn of an open that nobody shares. When it is dropped, the opens that wait can go on.
struct Turn<'a> {
    fs: &'a Fs,
    ino: Ino,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut inodes = self.fs.inodes();
        inodes.settle(self.ino);
        let somebody_waits = self.fs.waiting.load(Ordering::Relaxed) > 0;
        drop(inodes);
        // A system call, which is seldom needed.
        if somebody_waits {
            self.fs.settled.notify_all();
        }
    }
}

impl Fs {
    /// Opens a file. If there is a kernel between us and the caller, it may be given the file's bytes, or the
    /// backing file, on the way.
    pub fn open(
        &self,
        ino: Ino,
        access: Access,
        caller: Caller,
        kernel: Option<&dyn Kernel>,
    ) -> Result<Opened, Error> {
        if access.writes() {
            let file = self.open_to_write(ino, access == Access::ReadWrite, caller)?;
            return self.answer(file, access, kernel, Attempt::First);
        }
        self.opening(ino, caller, |attempt| {
            let share = self.share(caller, 1)?;
            let content = self.tree.open(&self.node(ino)?, caller, attempt.which())?;
            let file = FileHandle::new(ino, content, None, caller, share);
            self.answer(file, access, kernel, attempt)
        })
    }

    fn answer(
        &self,
        file: FileHandle,
        access: Access,
        kernel: Option<&dyn Kernel>,
        attempt: Attempt,
    ) -> Result<Opened, Error> {
        // Changes that others write concern this handle from here on. Earlier ones show in the stamp.
        let handle = self.files.add(file);
        let file = self.files.get(handle)?;
        let way = self.way(&file, access, kernel, attempt);
        let (way, keeps_pages) = way.inspect_err(|_| self.release(handle))?;
        if let Way::PassedThrough(_) = way {
            let opens = &STATISTICS.opens;
            // Only whole files are passed through as they are.
            let is_whole = file.content.whole_file().is_some();
            (if is_whole { &opens.passed_through } else { &opens.staged }).add(1);
        }
        Ok(Opened { handle, way, keeps_pages, flushes: access.writes() })
    }

    /// Counts an open, and decides how the kernel uses the file and whether it may keep its pages.
    /// [`Error::Stale`] if the kernel reads a copy that was made before the file changed: the inode stays as it is for
    /// those who have it open, and the name gets another.
    fn way(
        &self,
        file: &FileHandle,
        access: Access,
        kernel: Option<&dyn Kernel>,
        attempt: Attempt,
    ) -> Result<(Way, bool), Error> {
        // On a writable mount, a file passed through would be written past us, header and all, and a change
        // noted while bytes are on their way to the kernel would be lost.
        let may_help = kernel.filter(|_| !self.tree.is_writable());
        let registers =
            may_help.filter(|kernel| kernel.passes_through()).zip(file.content.whole_file());
        let gives = may_help.filter(|_| access == Access::Read && may_be_given(file));
        let stages = may_help.filter(|kernel| kernel.passes_through()).zip(self.staging.as_ref());
        let stages = stages
            .and_then(|(kernel, staging)| Some((kernel, staging, staging.as_of(&file.content)?)));
        let alone = registers.is_some() || gives.is_some() || stages.is_some();
        let (opening, turn) = self.begin(file.ino, alone);
        if let Opening::PassedThrough(Passage { registration, copy }) = opening {
            let now = file.content.open_storage().map(|(_, meta)| meta.stamp());
            let is_outdated = copy.is_some_and(|copy| Some(copy.as_of) != now);
            if is_outdated && attempt == Attempt::First {
                self.inodes().retire(file.ino);
                return Err(Error::Stale);
            }
            return Ok((Way::PassedThrough(registration), false));
        }
        if turn.is_some()
            && let Some((kernel, whole)) = registers
            && let Some(registration) = kernel.register(whole.local().as_fd())
        {
            return Ok(self.pass_through(file.ino, registration, None));
        }
        if turn.is_some()
            && let Some((kernel, staging, as_of)) = stages
            // What the kernel has pages of stays with them.
            && self.inodes().pages_as_of(file.ino) != Some(as_of)
            && let Some(copy) = staging.copy(file, as_of, kernel.has_time())
        {
            match kernel.register(copy.file.as_fd()) {
                Some(registration) => {
                    return Ok(self.pass_through(file.ino, registration, Some(copy)));
                }
                None => staging.end("the kernel does not read files of a tmpfs by itself"),
            }
        }
        // Its length and bytes are its opener's.
        if matches!(file.content, Content::Report(_)) {
            return Ok((Way::Direct, false));
        }
        let way = match access {
            Access::Read | Access::ReadDirect => Way::Pages,
            // What is written may have another layout than the pages of the file.
            Access::Write => Way::Direct,
            // A write may be refused, and then pages that others have mapped must not hold it.
            Access::ReadWrite if kernel.is_some_and(|kernel| kernel.maps_direct()) => Way::Direct,
            Access::ReadWrite => Way::Pages,
        };
        Ok((way, self.keeps_pages(file, &opening, gives.filter(|_| turn.is_some()))))
    }

    /// Only for an open that has its turn.
    fn pass_through(
        &self,
        ino: Ino,
        registration: Registration,
        copy: Option<Arc<Staged>>,
    ) -> (Way, bool) {
        self.inodes().pass_through(ino, Passage { registration: registration.clone(), copy });
        (Way::PassedThrough(registration), false)
    }

    /// Counts an open once no other has its turn. With `alone` it has its own, unless others have the inode open.
    fn begin(&self, ino: Ino, alone: bool) -> (Opening, Option<Turn<'_>>) {
        let mut inodes = self.inodes();
        let opening = loop {
            match inodes.open(ino, alone) {
                Opening::Wait => {
                    self.waiting.fetch_add(1, Ordering::Relaxed);
                    inodes = self.settled.wait(inodes).unwrap_or_else(PoisonError::into_inner);
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                }
                opening => break opening,
            }
        };
        drop(inodes);
        let has_turn = alone && matches!(opening, Opening::First | Opening::Alone);
        (opening, has_turn.then_some(Turn { fs: self, ino }))
    }
}
