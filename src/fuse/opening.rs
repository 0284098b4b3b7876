//! Opens: what the filesystem has decided, in the kernel's flags.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use fuser::{BackingId, Errno, FileHandle, FopenFlags, INodeNo, OpenAccMode, OpenFlags, ReplyOpen};

use super::Adapter;
use super::translate::errno;
use crate::caller::Caller;
use crate::fs::{Access, Handle, Kernel, Opened, Way};
use crate::inode::{Ino, Registration};

/// The kernel during one open.
struct Asking<'a> {
    adapter: &'a Adapter,
    reply: &'a ReplyOpen,
}

impl Kernel for Asking<'_> {
    fn give(&self, ino: Ino, bytes: &[u8]) -> bool {
        let Some(notifier) = self.adapter.notifier.get() else { return false };
        let stored = notifier.store(INodeNo(ino.0), 0, bytes);
        if let Err(err) = &stored {
            log::debug!("open: not given: {err}");
        }
        stored.is_ok()
    }

    fn passes_through(&self) -> bool {
        self.adapter.passes_through
    }

    fn register(&self, file: BorrowedFd<'_>) -> Option<Registration> {
        let registered = self.reply.open_backing(file);
        registered.ok().map(|id| -> Registration { Arc::new(id) })
    }

    fn maps_direct(&self) -> bool {
        self.adapter.maps_direct
    }
}

impl Adapter {
    pub(super) fn open_file(&self, ino: Ino, flags: OpenFlags, caller: Caller, reply: ReplyOpen) {
        let asking = Asking { adapter: self, reply: &reply };
        let opened = match self.fs.open(ino, access(flags), caller, Some(&asking)) {
            Ok(opened) => opened,
            Err(err) => return reply.error(errno("open", &err)),
        };
        let Opened { handle: Handle(handle), way, keeps_pages, flushes } = opened;
        let mut flags = FopenFlags::empty();
        flags.set(FopenFlags::FOPEN_KEEP_CACHE, keeps_pages);
        flags.set(FopenFlags::FOPEN_NOFLUSH, !flushes);
        flags.set(FopenFlags::FOPEN_DIRECT_IO, matches!(way, Way::Direct));
        let handle = FileHandle(handle);
        match way {
            Way::Pages | Way::Direct => reply.opened(handle, flags),
            Way::PassedThrough(registration) => match registration.downcast_ref::<BackingId>() {
                Some(id) => reply.opened_passthrough(handle, flags, id),
                // Registrations are made above only.
                None => reply.error(Errno::EIO),
            },
        }
    }
}

fn access(flags: OpenFlags) -> Access {
    match flags.acc_mode() {
        OpenAccMode::O_RDONLY if flags.0 & libc::O_DIRECT != 0 => Access::ReadDirect,
        OpenAccMode::O_RDONLY => Access::Read,
        OpenAccMode::O_WRONLY => Access::Write,
        OpenAccMode::O_RDWR => Access::ReadWrite,
    }
}
