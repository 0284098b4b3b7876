//! A filesystem that has the files of one directory, as a server far away would: each read takes a
//! while, and may fail. The kernel keeps pages of it and reads ahead as it does for a network's.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData,
    ReplyDirectory, ReplyEntry, ReplyOpen, Request,
};

/// What Linux reads ahead of an ordinary file, or of one on NFS.
const READ_AHEAD: u32 = 128 << 10;

/// As many requests as may be under way at once.
const THREADS: usize = 16;

pub struct Slow {
    directory: PathBuf,
    server: Arc<Server>,
    names: Mutex<HashMap<INodeNo, PathBuf>>,
}

/// How the server does.
#[derive(Default)]
pub struct Server {
    /// What each read takes.
    pub delay: Duration,
    /// How long the kernel may go without asking for attributes again.
    pub ttl: Duration,
    /// Whether reads fail.
    pub fails: AtomicBool,
    /// How many reads there were.
    pub reads: AtomicU64,
}

impl Slow {
    pub fn new(directory: &Path, server: Arc<Server>) -> Slow {
        Slow { directory: directory.to_owned(), server, names: Mutex::default() }
    }

    pub fn config() -> Config {
        let mut config = Config::default();
        config.n_threads = Some(THREADS);
        config.mount_options = vec![MountOption::RO, MountOption::FSName("slow".into())];
        config
    }

    fn path(&self, ino: INodeNo) -> io::Result<PathBuf> {
        if ino == INodeNo::ROOT {
            return Ok(self.directory.clone());
        }
        let path = self.names.lock().unwrap().get(&ino).cloned();
        path.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn attr(&self, ino: INodeNo) -> io::Result<FileAttr> {
        attr_of(ino, &fs::metadata(self.path(ino)?)?)
    }

    fn read(&self, ino: INodeNo, at: u64, len: u32) -> io::Result<Vec<u8>> {
        self.server.reads.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(self.server.delay);
        if self.server.fails.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Other.into());
        }
        let (file, mut bytes, mut filled) =
            (File::open(self.path(ino)?)?, vec![0; len as usize], 0);
        while filled < bytes.len() {
            match file.read_at(&mut bytes[filled..], at + filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

fn attr_of(ino: INodeNo, meta: &fs::Metadata) -> io::Result<FileAttr> {
    let changed = Duration::new(meta.ctime().cast_unsigned(), meta.ctime_nsec() as u32);
    Ok(FileAttr {
        ino,
        size: meta.size(),
        blocks: meta.blocks(),
        atime: meta.accessed()?,
        mtime: meta.modified()?,
        ctime: SystemTime::UNIX_EPOCH + changed,
        crtime: SystemTime::UNIX_EPOCH,
        kind: if meta.is_dir() { FileType::Directory } else { FileType::RegularFile },
        perm: (meta.mode() & 0o777) as u16,
        nlink: 1,
        uid: meta.uid(),
        gid: meta.gid(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    })
}

fn errno(err: &io::Error) -> Errno {
    if err.kind() == io::ErrorKind::NotFound { Errno::ENOENT } else { Errno::EIO }
}

impl Filesystem for Slow {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let _ = config.add_capabilities(InitFlags::FUSE_AUTO_INVAL_DATA);
        let _ = config.set_max_readahead(READ_AHEAD);
        Ok(())
    }

    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let path = self.directory.join(name);
        let found = fs::metadata(&path).and_then(|meta| {
            let ino = INodeNo(meta.ino());
            self.names.lock().unwrap().insert(ino, path);
            attr_of(ino, &meta)
        });
        match found {
            Ok(attr) => reply.entry(&self.server.ttl, &attr, Generation(0)),
            Err(err) => reply.error(errno(&err)),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attr(ino) {
            Ok(attr) => reply.attr(&self.server.ttl, &attr),
            Err(err) => reply.error(errno(&err)),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_NOFLUSH);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.read(ino, offset, size) {
            Ok(bytes) => reply.data(&bytes),
            Err(err) => reply.error(errno(&err)),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let Ok(entries) = fs::read_dir(&self.directory) else { return reply.error(Errno::EIO) };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for (entry, next) in entries.iter().zip(1..).skip(offset as usize) {
            let Ok(meta) = entry.metadata() else { continue };
            let kind = if meta.is_dir() { FileType::Directory } else { FileType::RegularFile };
            if reply.add(INodeNo(meta.ino()), next, kind, entry.file_name()) {
                break;
            }
        }
        reply.ok();
    }
}
