//! Opens: what the filesystem has decided, in the kernel's flags.

use std::os::fd::BorrowedFd;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Instant;

use fuser::{
    BackingId, FileHandle, FopenFlags, INodeNo, Notifier, OpenAccMode, OpenFlags, ReplyOpen,
};

use super::answering::{answer, error, handed_on};
use super::translate::errno;
use crate::caller::Caller;
use crate::fs::{Access, Fs, Handle, Kernel, Leave, Opened, Way};
use crate::inode::{Ino, Registration};
use crate::locks::lock;

/// Answers opens of files: with what it needs for that, and what the kernel can do for them.
#[derive(Clone, Debug)]
pub(super) struct Opener {
    pub(super) fs: Arc<Fs>,
    /// Empty until there is a session.
    pub(super) notifier: Arc<OnceLock<Notifier>>,
    /// The kernel can read backing files by itself, as far as our rights allow.
    pub(super) passes_through: bool,
    /// Files that are read past the kernel's pages can be mapped.
    pub(super) maps_direct: bool,
}

/// The kernel during one open.
struct Asking<'a> {
    opener: &'a Opener,
    reply: &'a ReplyOpen,
    leave: Option<Leave>,
}

impl Kernel for Asking<'_> {
    fn give(&self, ino: Ino, bytes: &[u8]) -> bool {
        let Some(notifier) = self.opener.notifier.get() else { return false };
        let stored = notifier.store(INodeNo(ino.0), 0, bytes);
        if let Err(err) = &stored {
            log::debug!("open: not given: {err}");
        }
        stored.is_ok()
    }

    fn passes_through(&self) -> bool {
        self.opener.passes_through
    }

    fn register(&self, file: BorrowedFd<'_>) -> Option<Registration> {
        let registered = self.reply.open_backing(file);
        registered.ok().map(|id| -> Registration { Arc::new(id) })
    }

    fn has_time(&self) -> bool {
        self.leave.as_ref().is_some_and(Leave::copies)
    }

    fn maps_direct(&self) -> bool {
        self.opener.maps_direct
    }
}

impl Opener {
    pub(super) fn open_file(
        &self,
        ino: INodeNo,
        flags: OpenFlags,
        caller: Caller,
        leave: Option<Leave>,
        reply: ReplyOpen,
    ) {
        let asking = Asking { opener: self, reply: &reply, leave };
        let opened = match self.fs.open(Ino(ino.0), access(flags), caller, Some(&asking)) {
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
                None => reply.error(error(libc::EIO)),
            },
        }
    }
}

/// Threads for opens that take long, so that other requests need not wait for them. None if no thread was to be had.
#[derive(Debug, Default)]
pub(super) struct LongOpens(OnceLock<Option<Sender<LongOpen>>>);

struct LongOpen {
    began: Instant,
    opener: Opener,
    ino: INodeNo,
    flags: OpenFlags,
    caller: Caller,
    leave: Leave,
    reply: ReplyOpen,
}

impl LongOpens {
    /// Opens a file by another thread, or by this one without copying it.
    pub(super) fn open_file(
        &self,
        opener: &Opener,
        ino: INodeNo,
        flags: OpenFlags,
        caller: Caller,
        leave: Leave,
        reply: ReplyOpen,
    ) {
        let queue = self.0.get_or_init(|| {
            let (queue, waiting) = mpsc::channel();
            let waiting = Arc::new(Mutex::new(waiting));
            let cores = thread::available_parallelism().map_or(1, |n| n.get());
            let start = |_: &usize| {
                let waiting = waiting.clone();
                thread::Builder::new().spawn(move || answer_all(&waiting)).is_ok()
            };
            let started = (0..cores.min(4)).filter(start).count();
            (started > 0).then_some(queue)
        });
        let Some(queue) = queue else {
            return opener.open_file(ino, flags, caller, None, reply);
        };
        handed_on();
        // If nobody receives it, its reply is dropped, which answers EIO.
        let (began, opener) = (Instant::now(), opener.clone());
        let _ = queue.send(LongOpen { began, opener, ino, flags, caller, leave, reply });
    }
}

fn answer_all(waiting: &Mutex<Receiver<LongOpen>>) {
    loop {
        // The lock is let go before it is answered.
        let received = lock(waiting).recv();
        let Ok(LongOpen { began, opener, ino, flags, caller, leave, reply }) = received else {
            return;
        };
        answer(&opener.fs, (began, caller), "open", ino, || {
            opener.open_file(ino, flags, caller, Some(leave), reply);
        });
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
