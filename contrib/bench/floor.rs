//! The floor: the least that a FUSE server can do to serve slices.
//!
//!     floor BIG.npy MOUNTPOINT THREADS [giving | LEN,STRIDE,COUNT,OUTER,OFFSET]
//!
//! Every name `<start>-<stop>.npy` exists and is what npyfs has at `big/rows/<start>-<stop>.npy`, if the
//! array is a 2-d one in C order. There is nothing else to it but the header: no table, no check, no look
//! at the file; the number of an inode is the slice. What a client sees of it beyond the native read is what the
//! kernel's side of FUSE costs on the machine, and the measure of what npyfs can reach there.
//!
//! With `giving` it puts small slices into the kernel's pages when they are opened, as npyfs does, but
//! with no care for who else may have them open: two who open one slice at once can make it stand still.
//!
//! With five numbers it serves items of `LEN` bytes that do not lie together, by the plainest loop over
//! a map of the file: `<start>-<stop>.npy` has `stop - start` of them, item i being
//! `(start + i % COUNT) * STRIDE + i / COUNT * OUTER` bytes behind byte `OFFSET` of the data.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, IoctlFlags, KernelConfig, LockOwner, MountOption, Notifier, OpenFlags, ReplyAttr,
    ReplyData, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyOpen, Request, Session,
};
use memmap2::Mmap;
use npyfs::npy::dtype::DType;
use npyfs::npy::header::{self, Header, Order};

struct Floor {
    file: File,
    header: Header,
    /// Bytes of a row, or of an item.
    row: u64,
    /// How the items lie, if they are not rows.
    items: Option<Items>,
    /// Where to put what is given, if anything is.
    kernel: Arc<OnceLock<Notifier>>,
}

struct Items {
    map: Mmap,
    stride: i64,
    count: u64,
    outer: i64,
    offset: i64,
}

impl Items {
    /// Bytes of a slice from `at` on.
    fn read<const LEN: usize>(&self, start: u64, mut at: u64, mut out: &mut [u8]) {
        while !out.is_empty() {
            let (i, within) = (at / LEN as u64, at as usize % LEN);
            let place = (start + i % self.count) as i64 * self.stride;
            let first = (self.offset + place + (i / self.count) as i64 * self.outer) as usize;
            let whole = (out.len() / LEN).min((self.count - i % self.count) as usize);
            let taken = if within > 0 || whole == 0 {
                let len = (LEN - within).min(out.len());
                out[..len].copy_from_slice(&self.map[first + within..][..len]);
                len
            } else {
                let (to, _) = out[..whole * LEN].as_chunks_mut::<LEN>();
                if self.stride > 0 {
                    let from = self.map[first..].chunks(self.stride as usize);
                    to.iter_mut().zip(from).for_each(|(to, from)| to.copy_from_slice(&from[..LEN]));
                } else {
                    let from = self.map[..first + LEN].rchunks(self.stride.unsigned_abs() as usize);
                    to.iter_mut()
                        .zip(from)
                        .for_each(|(to, from)| to.copy_from_slice(&from[from.len() - LEN..]));
                }
                whole * LEN
            };
            at += taken as u64;
            out = &mut out[taken..];
        }
    }
}

/// The number of an inode holds the first row above these bits and the number of rows in them.
const ROWS: u32 = 28;
/// The largest file that is given, in bytes.
const MAX_GIVEN: u64 = 128 << 10;
const TTL: Duration = Duration::from_secs(1);
const ROOT: FileAttr = FileAttr {
    ino: INodeNo(1),
    size: 0,
    blocks: 0,
    atime: UNIX_EPOCH,
    mtime: UNIX_EPOCH,
    ctime: UNIX_EPOCH,
    crtime: UNIX_EPOCH,
    kind: FileType::Directory,
    perm: 0o555,
    nlink: 2,
    uid: 0,
    gid: 0,
    rdev: 0,
    blksize: 64 << 10,
    flags: 0,
};

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 1 << 20]);
}

impl Floor {
    fn open(path: &OsStr, layout: Option<[i64; 5]>) -> io::Result<Floor> {
        let file = File::open(path)?;
        let read = |at, buf: &mut [u8]| file.read_exact_at(buf, at);
        let header = Header::read(file.metadata()?.len(), read)
            .map_err(|err| io::Error::other(err.to_string()))?;
        let kernel = Arc::default();
        let Some([len, stride, count, outer, offset]) = layout else {
            let row = header.dtype.itemsize() * header.shape[1];
            return Ok(Floor { file, header, row, items: None, kernel });
        };
        // SAFETY: the benchmark changes no file while it is served.
        #[expect(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }?;
        let offset = header.data_offset as i64 + offset;
        let items = Some(Items { map, stride, count: count as u64, outer, offset });
        Ok(Floor { file, header, row: len as u64, items, kernel })
    }

    /// The first row and the number of rows of an inode.
    fn slice(ino: INodeNo) -> (u64, u64) {
        ((ino.0 >> ROWS) - 1, ino.0 & ((1 << ROWS) - 1))
    }

    fn npy_header(&self, rows: u64) -> Vec<u8> {
        match &self.items {
            None => header::write(&self.header.dtype, &[rows, self.header.shape[1]], Order::C),
            Some(_) => {
                let byte = DType::Scalar("|u1".parse().unwrap());
                header::write(&byte, &[rows, self.row], Order::C)
            }
        }
    }

    /// Passes bytes of a slice to `respond`, fewer than `len` only at its end.
    fn read<R>(
        &self,
        ino: INodeNo,
        offset: u64,
        len: u64,
        respond: impl FnOnce(&[u8]) -> R,
    ) -> io::Result<R> {
        let (start, rows) = Floor::slice(ino);
        let header = self.npy_header(rows);
        let header_len = header.len() as u64;
        let len = len.min(header_len + rows * self.row - offset) as usize;
        BUFFER.with_borrow_mut(|buffer| {
            let from_header = header_len.saturating_sub(offset).min(len as u64) as usize;
            if from_header > 0 {
                buffer[..from_header].copy_from_slice(&header[offset as usize..][..from_header]);
            }
            let at = offset.saturating_sub(header_len);
            let out = &mut buffer[from_header..len];
            match (&self.items, self.row) {
                (None, row) => {
                    self.file.read_exact_at(out, self.header.data_offset + start * row + at)?;
                }
                (Some(items), 4) => items.read::<4>(start, at, out),
                (Some(items), 8) => items.read::<8>(start, at, out),
                (Some(items), 64) => items.read::<64>(start, at, out),
                (Some(items), 200) => items.read::<200>(start, at, out),
                (Some(items), 800) => items.read::<800>(start, at, out),
                (Some(_), _) => return Err(io::ErrorKind::InvalidInput.into()),
            }
            Ok(respond(&buffer[..len]))
        })
    }

    fn attr(&self, ino: INodeNo) -> FileAttr {
        if ino == ROOT.ino {
            return ROOT;
        }
        let rows = Floor::slice(ino).1;
        let size = self.npy_header(rows).len() as u64 + rows * self.row;
        let (kind, blocks) = (FileType::RegularFile, size.div_ceil(512));
        FileAttr { ino, size, blocks, kind, nlink: 1, ..ROOT }
    }
}

impl Filesystem for Floor {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let wanted = InitFlags::FUSE_AUTO_INVAL_DATA | InitFlags::FUSE_PARALLEL_DIROPS;
        let _ = config.add_capabilities(wanted);
        let _ = config.set_max_write(1 << 20);
        let _ = config.set_max_background(64);
        Ok(())
    }

    fn lookup(&self, _req: &Request, _parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let rows = name.to_str().and_then(|name| name.strip_suffix(".npy")?.split_once('-'));
        let slice = rows.and_then(|(a, b)| Some((a.parse::<u64>().ok()?, b.parse::<u64>().ok()?)));
        match slice {
            Some((start, stop)) => {
                let ino = INodeNo((start + 1) << ROWS | (stop - start));
                reply.entry(&TTL, &self.attr(ino), Generation(0));
            }
            None => reply.error(Errno::ENOENT),
        }
    }

    fn forget(&self, _req: &Request, _ino: INodeNo, _nlookup: u64) {}

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &self.attr(ino));
    }

    fn open(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        if let Some(kernel) = self.kernel.get().filter(|_| self.attr(ino).size <= MAX_GIVEN) {
            // If it fails, the kernel asks.
            let _ = self.read(ino, 0, MAX_GIVEN, |bytes| kernel.store(ino, 0, bytes));
        }
        // The file never changes.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_NOFLUSH | FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        // The reply goes to whichever of the two comes to use it.
        let mut reply = Some(reply);
        let read = self
            .read(ino, offset, size.into(), |bytes| reply.take().map(|reply| reply.data(bytes)));
        if let (Err(_), Some(reply)) = (read, reply) {
            reply.error(Errno::EIO);
        }
    }

    fn release(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        reply.ok();
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

fn main() -> io::Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let usage = "usage: floor BIG.npy MOUNTPOINT THREADS [giving | LEN,STRIDE,COUNT,OUTER,OFFSET]";
    let (big, mountpoint, threads, how) = match &args[..] {
        [big, mountpoint, threads] => (big, mountpoint, threads, ""),
        [big, mountpoint, threads, how] => (big, mountpoint, threads, &**how),
        _ => return Err(io::Error::other(usage)),
    };
    let gives = how == "giving";
    let numbers: Result<Vec<i64>, _> = how.split(',').map(str::parse).collect();
    let layout = numbers.ok().and_then(|numbers| <[i64; 5]>::try_from(numbers).ok());
    if layout.is_none() && !gives && !how.is_empty() {
        return Err(io::Error::other(usage));
    }
    let mut config = Config::default();
    config.n_threads = threads.parse().ok();
    config.clone_fd = true;
    config.mount_options = vec![MountOption::RO, MountOption::FSName("floor".into())];
    let floor = Floor::open(big.as_ref(), layout)?;
    let kernel = floor.kernel.clone();
    let session = Session::new(floor, mountpoint, &config)?;
    if gives {
        kernel.get_or_init(|| session.notifier());
    }
    session.run()
}
