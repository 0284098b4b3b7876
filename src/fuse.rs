//! The kernel's requests, translated to calls of [`Fs`] and back. No logic of its own.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, CopyFileRangeFlags, FileHandle, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, IoctlFlags, KernelConfig, LockOwner, Notifier, OpenFlags, PollEvents, PollFlags,
    PollNotifier, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen, ReplyPoll,
    ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use crate::fs::{Fs, Handle};
use crate::inode::Ino;
use crate::messages;

mod access_lists;
mod answering;
mod opening;
mod translate;

use answering::error;
use opening::{LongOpens, Opener};
use translate::{caller, errno, file_attr, file_type};

/// The largest read or write that the kernel requests, in bytes.
const MAX_TRANSFER: u32 = 1 << 20;

/// Read-ahead requests that may be under way at once.
const MAX_BACKGROUND: u16 = 64;

/// What other filesystems name a file whose number is not known yet.
const UNKNOWN_INO: u64 = 0xFFFF_FFFF;

/// A filesystem as the kernel sees it.
#[derive(Debug)]
pub struct Adapter {
    fs: Arc<Fs>,
    ttl: Duration,
    opener: Opener,
    long_opens: LongOpens,
    /// The kernel enforces access lists.
    serves_lists: bool,
}

impl Adapter {
    /// Serves `fs`. The kernel may rely on answers for `ttl`, and reads whole files by itself if it can.
    pub fn new(fs: Arc<Fs>, ttl: Duration) -> Adapter {
        let (notifier, opens_fs) = (Arc::default(), fs.clone());
        let opener = Opener { fs: opens_fs, notifier, passes_through: false, maps_direct: false };
        Adapter { fs, ttl, opener, long_opens: LongOpens::default(), serves_lists: false }
    }

    /// Where the notifier goes, which exists only once a session has been made of this.
    pub fn notifier(&self) -> Arc<OnceLock<Notifier>> {
        self.opener.notifier.clone()
    }
}

/// Requests about an inode that are answered with one errno, whatever they ask.
macro_rules! refused {
    ($errno:ident: $($request:ident(INodeNo $(, $argument:ty)*) -> $reply:ty;)*) => {
        $(fn $request(&self, request: &Request, ino: INodeNo, $(_: $argument,)* reply: $reply) {
            self.guarded(request, stringify!($request), ino, || reply.error(error(libc::$errno)));
        })*
    };
}

/// Requests that would change a name in a directory, which stays as it is; before the directory, and
/// after the name, come what other arguments there are. The kernel asks on writable mounts only.
macro_rules! names_stay {
    ($($request:ident([$($before:ty),*] $($after:ty),*) -> $reply:ty;)*) => {
        $(fn $request(
            &self, request: &Request, $(_: $before,)* parent: INodeNo, name: &OsStr, $(_: $after,)* reply: $reply
        ) {
            self.guarded(request, stringify!($request), (parent, name), || {
                let err = self.fs.names_stay(Ino(parent.0), name);
                reply.error(errno(stringify!($request), &err));
            });
        })*
    };
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
            // Older kernels do without.
            let _ = config.add_capabilities(wanted);
        }
        // A writable mount has no use for it, and would only count as a stacked filesystem.
        self.opener.passes_through = !self.fs.tree().is_writable()
            && config.set_max_stack_depth(1).is_ok()
            && config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok();
        self.serves_lists = self.fs.tree().source().is_for_others()
            && config.add_capabilities(InitFlags::FUSE_POSIX_ACL).is_ok();
        if !self.opener.passes_through {
            self.fs.end_staging("the kernel does not read files by itself");
        }
        self.opener.maps_direct =
            config.add_capabilities(InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP).is_ok();
        // Both are within what the library allows; if refused, its default stays.
        let _ = config.set_max_write(MAX_TRANSFER);
        let _ = config.set_max_background(MAX_BACKGROUND);
        Ok(())
    }

    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.guarded(req, "lookup", (parent, name), || {
            match self.fs.lookup(Ino(parent.0), name, caller(req)) {
                Ok((ino, attr)) => reply.entry(&self.ttl, &file_attr(ino, &attr), Generation(0)),
                Err(err) => reply.error(errno("lookup", &err)),
            }
        });
    }

    fn forget(&self, req: &Request, ino: INodeNo, nlookup: u64) {
        self.guarded(req, "forget", ino, || self.fs.forget(Ino(ino.0), nlookup));
    }

    fn getattr(&self, req: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        self.guarded(req, "getattr", ino, || {
            let ino = Ino(ino.0);
            let attr = match fh {
                Some(handle) => self.fs.attr_of_open(ino, Handle(handle.0)),
                None => self.fs.attr_for(ino, caller(req)),
            };
            match attr {
                Ok(attr) => reply.attr(&self.ttl, &file_attr(ino, &attr)),
                Err(err) => reply.error(errno("getattr", &err)),
            }
        });
    }

    fn readlink(&self, req: &Request, ino: INodeNo, reply: ReplyData) {
        self.guarded(req, "readlink", ino, || match self.fs.read_link(Ino(ino.0)) {
            Ok(text) => reply.data(text.as_bytes()),
            Err(err) => reply.error(errno("readlink", &err)),
        });
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let caller = caller(req);
        self.guarded(req, "open", ino, || match self.fs.leave_to_copy(Ino(ino.0)) {
            Some(leave) if leave.is_long() => {
                self.long_opens.open_file(&self.opener, ino, flags, caller, leave, reply);
            }
            leave => self.opener.open_file(ino, flags, caller, leave, reply),
        });
    }

    fn read(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.guarded(req, "read", ino, || {
            // The reply goes to whichever of the two uses it.
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
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.guarded(req, "release", ino, || {
            self.fs.release(Handle(fh.0));
            reply.ok();
        });
    }

    fn opendir(&self, req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        self.guarded(req, "opendir", ino, || {
            match self.fs.open_directory(Ino(ino.0), caller(req)) {
                Ok(handle) => reply.opened(FileHandle(handle.0), FopenFlags::empty()),
                Err(err) => reply.error(errno("opendir", &err)),
            }
        });
    }

    fn readdir(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        self.guarded(req, "readdir", ino, || {
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
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        self.guarded(req, "readdirplus", ino, || {
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
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.guarded(req, "releasedir", ino, || {
            self.fs.release_directory(Handle(fh.0));
            reply.ok();
        });
    }

    fn statfs(&self, req: &Request, ino: INodeNo, reply: ReplyStatfs) {
        self.guarded(req, "statfs", ino, || match self.fs.statvfs() {
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

    fn write(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.guarded(req, "write", ino, || {
            // O_SYNC has that bit too. The kernel leaves syncing to us for writes that bypass its pages.
            let synced = flags.0 & libc::O_DSYNC != 0;
            let cached = write_flags.contains(WriteFlags::FUSE_WRITE_CACHE);
            let written = match cached {
                // The kernel takes what it writes back from a map for written, unless the answer is an error.
                true => self.fs.write_back(Handle(fh.0), offset, data).map(|()| data.len()),
                false => self.fs.write(Handle(fh.0), offset, data, synced),
            };
            match written {
                // At most what was asked for, which is less than 4 GiB.
                Ok(count) => reply.written(count as u32),
                Err(err) => {
                    // The kernel does not say who stored what it writes back.
                    let user = self.fs.writer(Handle(fh.0)).filter(|_| cached);
                    let errno = || errno("write", &err);
                    reply.error(messages::for_user(user.unwrap_or(req.uid()), errno));
                }
            }
        });
    }

    fn setattr(
        &self,
        req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        self.guarded(req, "setattr", ino, || {
            let (ino, owner) = (Ino(ino.0), (uid, gid));
            let set = match (size, mode, owner, atime, mtime) {
                // With a size come the times that a change of it sets.
                (Some(size), None, (None, None), ..) => {
                    self.fs.set_size(ino, fh.map(|fh| Handle(fh.0)), caller(req), size)
                }
                (None, mode, owner, None, None) => self.fs.set_owner_and_mode(ino, owner, mode),
                _ => Err(self
                    .fs
                    .stays(ino, "times cannot be set; only writing a value changes them")),
            };
            match set {
                Ok(attr) => reply.attr(&self.ttl, &file_attr(ino, &attr)),
                Err(err) => reply.error(errno("setattr", &err)),
            }
        });
    }

    fn flush(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        self.guarded(req, "flush", ino, || match self.fs.flush(Handle(fh.0), caller(req)) {
            Ok(()) => reply.ok(),
            Err(err) => reply.error(errno("flush", &err)),
        });
    }

    fn fsync(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        self.guarded(req, "fsync", ino, || match self.fs.sync(Handle(fh.0), datasync) {
            Ok(()) => reply.ok(),
            Err(err) => reply.error(errno("fsync", &err)),
        });
    }

    fn getxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        self.guarded(req, "getxattr", ino, || {
            self.list_by_name(Ino(ino.0), name, size, caller(req), reply)
        });
    }

    fn listxattr(&self, req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        self.guarded(req, "listxattr", ino, || {
            self.names_of_lists(Ino(ino.0), size, caller(req), reply)
        });
    }

    names_stay! {
        mknod([] u32, u32, u32) -> ReplyEntry;
        mkdir([] u32, u32) -> ReplyEntry;
        symlink([] &Path) -> ReplyEntry;
        link([INodeNo]) -> ReplyEntry;
        create([] u32, u32, i32) -> ReplyCreate;
        unlink([]) -> ReplyEmpty;
        rmdir([]) -> ReplyEmpty;
        rename([] INodeNo, &OsStr, RenameFlags) -> ReplyEmpty;
    }

    // Not implemented. The kernel asks for each once and then no more.
    refused! { ENOSYS:
        setxattr(INodeNo, &OsStr, &[u8], i32, u32) -> ReplyEmpty;
        removexattr(INodeNo, &OsStr) -> ReplyEmpty;
        fsyncdir(INodeNo, FileHandle, bool) -> ReplyEmpty;
        fallocate(INodeNo, FileHandle, u64, u64, i32) -> ReplyEmpty;
        lseek(INodeNo, FileHandle, i64, i32) -> ReplyLseek;
        poll(INodeNo, FileHandle, PollNotifier, PollEvents, PollFlags) -> ReplyPoll;
        copy_file_range(
            INodeNo, FileHandle, u64, INodeNo, FileHandle, u64, u64, CopyFileRangeFlags
        ) -> ReplyWrite;
    }

    refused! { ENOTTY: ioctl(INodeNo, FileHandle, IoctlFlags, u32, &[u8], u32) -> ReplyIoctl; }
}
