//! Our own types in those of the FUSE library.

use fuser::{Errno, FileAttr, FileType, INodeNo, Request};
use log::Level;

use super::answering;
use crate::caller::Caller;
use crate::error::Error;
use crate::inode::Ino;
use crate::meta::Kind;
use crate::tree::Attr;

/// The size to read by that `stat` names. With 64 KiB `np.load` needs one request fewer for the header than
/// with 4 KiB.
const BLOCK_SIZE: u32 = 64 << 10;

/// The one place where an error becomes a log line and an errno.
pub(super) fn errno(request: &str, err: &Error) -> Errno {
    let level = match err {
        // Nothing is wrong, but whoever is refused can read why.
        Error::NotPermitted(_) => Level::Info,
        _ if err.is_answer() => Level::Debug,
        _ => Level::Warn,
    };
    log::log!(level, "{request}: {err}");
    answering::error(err.errno())
}

/// Who asks.
pub(super) fn caller(request: &Request) -> Caller {
    Caller { thread: request.pid(), user: request.uid(), group: request.gid() }
}

pub(super) fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::Directory => FileType::Directory,
        Kind::File => FileType::RegularFile,
        Kind::Symlink => FileType::Symlink,
    }
}

pub(super) fn file_attr(ino: Ino, attr: &Attr) -> FileAttr {
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
