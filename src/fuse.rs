//! The kernel's requests, translated to calls of [`Fs`] and back. No logic of its own.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    IoctlFlags, KernelConfig, LockOwner, OpenFlags, PollEvents, PollFlags, PollNotifier, ReplyAttr,
    ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek,
    ReplyOpen, ReplyPoll, ReplyStatfs, ReplyXattr, Request,
};

use crate::error::Error;
use crate::fs::{Fs, Handle};
use crate::inode::Ino;
use crate::meta::Kind;
use crate::node::Attr;

mod ways;

use ways::{Way, Ways};

/// The largest read that the kernel asks for at once, in bytes.
const MAX_READ: u32 = 1 << 20;

/// Read-ahead requests that may be under way at once.
const MAX_BACKGROUND: u16 = 64;

/// What `stat` names as the size to read by. With 64 KiB `np.load` needs one request less for the
/// header than with 4 KiB.
const BLOCK_SIZE: u32 = 64 << 10;

/// What other filesystems name a file whose number is not known yet.
const UNKNOWN_INO: u64 = 0xFFFF_FFFF;

/// A filesystem as the kernel sees it.
#[derive(Debug)]
pub struct Adapter {
    fs: Arc<Fs>,
    ttl: Duration,
    ways: Ways,
}

impl Adapter {
    /// Serves `fs`. What the kernel is told holds for `ttl`; whole files are left to the kernel if
    /// it can.
    pub fn new(fs: Arc<Fs>, ttl: Duration) -> Adapter {
        Adapter { fs, ttl, ways: Ways::default() }
    }
}

/// Runs a handler. If it panics, its reply was dropped on the way, which answers EIO; the worker
/// and the mount live on.
fn guarded(request: &str, handler: impl FnOnce()) {
    let handled = catch_unwind(AssertUnwindSafe(|| {
        // Inside, for a log that panics may bring down no worker either.
        log::trace!("{request}");
        handler();
    }));
    if handled.is_err() {
        log::error!("{request}: answered with EIO: the handler panicked");
    }
}

/// The one place where an error becomes a log line and an errno.
fn errno(request: &str, err: &Error) -> Errno {
    if err.is_answer() {
        log::debug!("{request}: {err}");
    } else {
        log::warn!("{request}: {err}");
    }
    Errno::from_i32(err.errno())
}

fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::Directory => FileType::Directory,
        Kind::File => FileType::RegularFile,
        Kind::Symlink => FileType::Symlink,
    }
}

fn file_attr(ino: Ino, attr: &Attr) -> FileAttr {
    FileAttr {
        ino: INodeNo(ino.0),
        size: attr.size,
        blocks: attr.size.div_ceil(512),
        atime: attr.accessed,
        mtime: attr.modified,
        ctime: attr.changed,
        crtime: attr.changed,
        kind: file_type(attr.kind),
        perm: attr.mode,
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        rdev: 0,
        blksize: BLOCK_SIZE,
        flags: 0,
    }
}

impl Filesystem for Adapter {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        for wanted in [
            InitFlags::FUSE_AUTO_INVAL_DATA,
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_READDIRPLUS_AUTO,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_CACHE_SYMLINKS,
        ] {
            // An older kernel does without.
            let _ = config.add_capabilities(wanted);
        }
        if config.set_max_stack_depth(1).is_ok()
            && config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok()
        {
            self.ways.allow_passthrough();
        }
        // Both lie within what the library allows; a refusal leaves its default.
        let _ = config.set_max_write(MAX_READ);
        let _ = config.set_max_background(MAX_BACKGROUND);
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        guarded("lookup", || match self.fs.lookup(Ino(parent.0), name) {
            Ok((ino, attr)) => reply.entry(&self.ttl, &file_attr(ino, &attr), Generation(0)),
            Err(err) => reply.error(errno("lookup", &err)),
        });
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        guarded("forget", || self.fs.forget(Ino(ino.0), nlookup));
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        guarded("getattr", || {
            let ino = Ino(ino.0);
            let attr = match fh {
                Some(handle) => self.fs.attr_of_open(ino, Handle(handle.0)),
                None => self.fs.attr(ino),
            };
            match attr {
                Ok(attr) => reply.attr(&self.ttl, &file_attr(ino, &attr)),
                Err(err) => reply.error(errno("getattr", &err)),
            }
        });
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        guarded("readlink", || match self.fs.read_link(Ino(ino.0)) {
            Ok(text) => reply.data(text.as_bytes()),
            Err(err) => reply.error(errno("readlink", &err)),
        });
    }

    fn open(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        guarded("open", || {
            let ino = Ino(ino.0);
            let handle = match self.fs.open(ino) {
                Ok(handle) => handle,
                Err(err) => return reply.error(errno("open", &err)),
            };
            let way = self
                .ways
                .open(ino, || self.fs.with_whole_file(handle, |file| reply.open_backing(file)));
            let handle_flags = match way {
                Way::Passed(id) => {
                    let flags = FopenFlags::FOPEN_NOFLUSH;
                    return reply.opened_passthrough(FileHandle(handle.0), flags, &id);
                }
                Way::Served if self.fs.may_keep_pages(handle) => {
                    FopenFlags::FOPEN_NOFLUSH | FopenFlags::FOPEN_KEEP_CACHE
                }
                Way::Served => FopenFlags::FOPEN_NOFLUSH,
            };
            reply.opened(FileHandle(handle.0), handle_flags);
        });
    }

    fn read(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        guarded("read", || {
            // The reply goes to whichever of the two comes to use it.
            let mut reply = Some(reply);
            let read = self.fs.read(Handle(fh.0), offset, size as usize, |bytes| {
                reply.take().map(|reply| reply.data(bytes))
            });
            if let (Err(err), Some(reply)) = (read, reply) {
                reply.error(errno("read", &err));
            }
        });
    }

    fn release(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        guarded("release", || {
            self.fs.release(Handle(fh.0));
            self.ways.close(Ino(ino.0));
            reply.ok();
        });
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        guarded("opendir", || match self.fs.open_directory(Ino(ino.0)) {
            Ok(handle) => reply.opened(FileHandle(handle.0), FopenFlags::empty()),
            Err(err) => reply.error(errno("opendir", &err)),
        });
    }

    fn readdir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        guarded("readdir", || {
            let read = self.fs.read_directory(Handle(fh.0), offset, |entry| {
                let ino = INodeNo(entry.ino.map_or(UNKNOWN_INO, |ino| ino.0));
                reply.add(ino, entry.next, file_type(entry.kind), &entry.name)
            });
            match read {
                Ok(()) => reply.ok(),
                Err(err) => reply.error(errno("readdir", &err)),
            }
        });
    }

    fn readdirplus(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        guarded("readdirplus", || {
            let read = self.fs.read_directory_plus(Handle(fh.0), offset, |entry, ino, attr| {
                let attr = file_attr(ino, attr);
                reply.add(attr.ino, entry.next, &entry.name, &self.ttl, &attr, Generation(0))
            });
            match read {
                Ok(()) => reply.ok(),
                Err(err) => reply.error(errno("readdirplus", &err)),
            }
        });
    }

    fn releasedir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        guarded("releasedir", || {
            self.fs.release_directory(Handle(fh.0));
            reply.ok();
        });
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        guarded("statfs", || match self.fs.statvfs() {
            Ok(stat) => reply.statfs(
                stat.f_blocks,
                stat.f_bfree,
                stat.f_bavail,
                stat.f_files,
                stat.f_ffree,
                u32::try_from(stat.f_bsize).unwrap_or(4096),
                u32::try_from(stat.f_namemax).unwrap_or(255),
                u32::try_from(stat.f_frsize).unwrap_or(4096),
            ),
            Err(err) => reply.error(errno("statfs", &err)),
        });
    }

    // What there is not. The kernel asks for each once and then no more.

    fn getxattr(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _name: &OsStr,
        _size: u32,
        reply: ReplyXattr,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn listxattr(&self, _req: &Request, _ino: INodeNo, _size: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    fn flush(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn fsync(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn fsyncdir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn lseek(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _offset: i64,
        _whence: i32,
        reply: ReplyLseek,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn poll(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _ph: PollNotifier,
        _events: PollEvents,
        _flags: PollFlags,
        reply: ReplyPoll,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn ioctl(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _flags: IoctlFlags,
        _cmd: u32,
        _in_data: &[u8],
        _out_size: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }
}
