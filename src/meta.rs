//! What the source's filesystem says about a file: its identity and its attributes.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp};

/// The identity of a file, whatever its name. Most filesystems give out numbers of deleted files again, but
/// not together with their time of birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    device: (u32, u32),
    number: u64,
    born: (i64, u32),
}

/// The longest name of a directory entry, in bytes.
pub const NAME_MAX: usize = 255;

/// What changes when a file's content does: size, and times of modification and change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    size: u64,
    modified: SystemTime,
    changed: SystemTime,
}

/// The kinds of file that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory
    Directory,
    /// A regular file
    File,
    /// A symbolic link
    Symlink,
}

/// The attributes of a file of the source.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    /// Which file.
    pub id: FileId,
    /// Its kind; none for sockets, FIFOs and devices.
    pub kind: Option<Kind>,
    /// Bytes.
    pub size: u64,
    /// Permission bits, setuid, setgid and sticky included.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Hard links.
    pub nlink: u32,
    /// Last access.
    pub accessed: SystemTime,
    /// Last modification.
    pub modified: SystemTime,
    /// Last change of attributes.
    pub changed: SystemTime,
}

/// A timestamp this young may hide a later change: it moves with the kernel's clock tick, and on network
/// filesystems even less often.
const SETTLED: Duration = Duration::from_secs(1);

impl FileId {
    /// Whether this has another file's number. If one of the two is held open they are the same file, since
    /// no number is given out again until then. On overlayfs a file gets another time of birth when it is
    /// first opened for writing: that of its copy.
    pub fn has_number_of(&self, other: &FileId) -> bool {
        (self.device, self.number) == (other.device, other.number)
    }

    /// The file's number on its filesystem.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The device of the file's filesystem, `major:minor`.
    pub fn device(&self) -> String {
        format!("{}:{}", self.device.0, self.device.1)
    }
}

impl Meta {
    /// The attributes of an open file, or of what an `O_PATH` descriptor stands for.
    pub fn of(file: impl AsFd) -> io::Result<Meta> {
        Meta::at(file, "", AtFlags::EMPTY_PATH)
    }

    /// The same, without asking a network or FUSE filesystem: only the device is reliable.
    pub fn of_unasked(file: impl AsFd) -> io::Result<Meta> {
        Meta::at(file, "", AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC)
    }

    /// The attributes of what stands at a path of this process.
    pub fn of_path(path: &std::path::Path) -> io::Result<Meta> {
        Meta::at(rustix::fs::CWD, path, AtFlags::empty())
    }

    /// The same, and no older ones that the kernel keeps of a network or FUSE filesystem.
    pub fn of_path_anew(path: &std::path::Path) -> io::Result<Meta> {
        Meta::at(rustix::fs::CWD, path, AtFlags::STATX_FORCE_SYNC)
    }

    /// The attributes of an entry of an open directory, not following a symlink there.
    pub fn of_entry(directory: impl AsFd, name: &std::ffi::OsStr) -> io::Result<Meta> {
        Meta::at(directory, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// The same, without asking a network or FUSE filesystem: only the identity is reliable.
    pub fn of_entry_unasked(directory: impl AsFd, name: &std::ffi::OsStr) -> io::Result<Meta> {
        Meta::at(directory, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_DONT_SYNC)
    }

    /// The attributes of something that this process makes up, which everybody may read.
    pub fn of_this_process() -> Meta {
        let now = SystemTime::now();
        Meta {
            id: FileId { device: (0, 0), number: 0, born: (0, 0) },
            kind: None,
            size: 0,
            mode: 0o444,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            nlink: 1,
            accessed: now,
            modified: now,
            changed: now,
        }
    }

    fn at(dir: impl AsFd, path: impl rustix::path::Arg, flags: AtFlags) -> io::Result<Meta> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        Ok(Meta::from_statx(&rustix::fs::statx(dir, path, flags, wanted)?))
    }

    fn from_statx(stat: &Statx) -> Meta {
        let mode = u32::from(stat.stx_mode);
        let born = &stat.stx_btime;
        Meta {
            id: FileId {
                device: (stat.stx_dev_major, stat.stx_dev_minor),
                number: stat.stx_ino,
                born: (born.tv_sec, born.tv_nsec),
            },
            kind: kind_of(FileType::from_raw_mode(mode)),
            size: stat.stx_size,
            mode: (mode & 0o7777) as u16,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            nlink: stat.stx_nlink,
            accessed: time(&stat.stx_atime),
            modified: time(&stat.stx_mtime),
            changed: time(&stat.stx_ctime),
        }
    }

    /// What to compare in order to see whether the content changed.
    pub fn stamp(&self) -> Stamp {
        Stamp { size: self.size, modified: self.modified, changed: self.changed }
    }
}

impl Stamp {
    /// Whether these are its times.
    pub fn has_times(&self, modified: SystemTime, changed: SystemTime) -> bool {
        (self.modified, self.changed) == (modified, changed)
    }

    /// Whether any later change would make another stamp.
    pub fn is_settled(&self) -> bool {
        let latest = self.modified.max(self.changed);
        SystemTime::now().duration_since(latest).is_ok_and(|age| age > SETTLED)
    }
}

/// The kind of file that is served, if it is one.
pub fn kind_of(file_type: FileType) -> Option<Kind> {
    match file_type {
        FileType::Directory => Some(Kind::Directory),
        FileType::RegularFile => Some(Kind::File),
        FileType::Symlink => Some(Kind::Symlink),
        _ => None,
    }
}

fn time(stamp: &StatxTimestamp) -> SystemTime {
    let nanos = Duration::from_nanos(u64::from(stamp.tv_nsec));
    let seconds = Duration::from_secs(stamp.tv_sec.unsigned_abs());
    let whole = if stamp.tv_sec < 0 {
        UNIX_EPOCH.checked_sub(seconds)
    } else {
        UNIX_EPOCH.checked_add(seconds)
    };
    whole.and_then(|time| time.checked_add(nanos)).unwrap_or(UNIX_EPOCH)
}
