//! How a file is opened: past the kernel's pages or through them, and which of them the kernel may keep.

use fuser::{FileHandle, FopenFlags, INodeNo, OpenAccMode, OpenFlags, ReplyOpen};

use super::Adapter;
use super::passthrough::Way;
use super::translate::errno;
use crate::caller::Caller;
use crate::fs::{Give, Opened};
use crate::inode::Ino;

impl Adapter {
    pub(super) fn open_by_mode(
        &self,
        ino: Ino,
        flags: OpenFlags,
        caller: Caller,
        reply: ReplyOpen,
    ) {
        let mode = flags.acc_mode();
        let reads_pages = mode == OpenAccMode::O_RDONLY && flags.0 & libc::O_DIRECT == 0;
        let give: Give<'_> = &|ino, bytes| self.give(ino, bytes);
        let opened = match mode {
            OpenAccMode::O_RDONLY => self.fs.open(ino, caller, reads_pages.then_some(give)),
            OpenAccMode::O_WRONLY => self.fs.open_for_writing(ino, false, caller),
            OpenAccMode::O_RDWR => self.fs.open_for_writing(ino, true, caller),
        };
        let Opened { handle, keeps_pages } = match opened {
            Ok(opened) => opened,
            Err(err) => return reply.error(errno("open", &err)),
        };
        let way = self
            .ways
            .open(ino, || self.fs.with_whole_file(handle, |file| reply.open_backing(file)));
        if let Way::Passed(id) = way {
            let flags = FopenFlags::FOPEN_NOFLUSH;
            return reply.opened_passthrough(FileHandle(handle.0), flags, &id);
        }
        if self.fs.is_report(handle) {
            let flags = FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_NOFLUSH;
            return reply.opened(FileHandle(handle.0), flags);
        }
        let mut answer = match mode {
            // Nothing needs to be written when it is closed.
            OpenAccMode::O_RDONLY => FopenFlags::FOPEN_NOFLUSH,
            // What is written may have another layout than the pages of the file.
            OpenAccMode::O_WRONLY => FopenFlags::FOPEN_DIRECT_IO,
            // A write may be refused, and then pages that others have mapped must not hold it.
            OpenAccMode::O_RDWR if self.maps_direct => FopenFlags::FOPEN_DIRECT_IO,
            OpenAccMode::O_RDWR => FopenFlags::empty(),
        };
        answer.set(FopenFlags::FOPEN_KEEP_CACHE, keeps_pages);
        reply.opened(FileHandle(handle.0), answer);
    }

    /// Puts bytes into the kernel's pages of an inode, from the first on. Returns whether they are there.
    fn give(&self, ino: Ino, bytes: &[u8]) -> bool {
        let Some(notifier) = self.notifier.get() else { return false };
        let stored = notifier.store(INodeNo(ino.0), 0, bytes);
        if let Err(err) = &stored {
            log::debug!("open: not given: {err}");
        }
        stored.is_ok()
    }
}
