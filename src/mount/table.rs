//! The table of mounts, `/proc/self/mountinfo`. Reading it touches no filesystem, so it cannot hang on a
//! mount whose daemon is gone.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{AtFlags, StatxFlags};

/// The filesystem type of our mounts.
pub(super) const FILESYSTEM_TYPE: &str = "fuse.npyfs";

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, which no other mount has at the same time.
    pub(super) id: u64,
    /// The number of the mount that it is mounted on.
    pub(super) parent: u64,
    /// The device of its filesystem, `major:minor`.
    pub(super) device: String,
    /// Where it is now.
    pub mountpoint: PathBuf,
    /// The filesystem's type.
    pub(super) kind: String,
    /// What is mounted; for our mounts, the path of the source.
    pub source: PathBuf,
    /// The user who has mounted it, if it is a FUSE mount.
    pub owner: Option<u32>,
    /// That user's group.
    pub group: Option<u32>,
    /// Nothing can be written.
    pub read_only: bool,
    /// Other users than its owner are let in.
    pub allow_other: bool,
    /// Its whole tree is there, and not a part that was bound to another place.
    pub whole: bool,
}

impl Entry {
    /// Whether it is mounted on the root of another mount.
    pub(super) fn covers(&self, other: &Entry) -> bool {
        self.parent == other.id && self.mountpoint == other.mountpoint
    }
}

/// The identity of a mount. After it is gone, another soon gets its number and device, often both. Its unique
/// number is never given out again, but exists only from Linux 6.8 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: u64,
    pub(super) device: String,
    pub(super) unique: Option<u64>,
}

impl Identity {
    /// Whether this line is about this mount, as far as the line can show.
    pub(super) fn is(&self, entry: &Entry) -> bool {
        (entry.id, &*entry.device, &*entry.kind) == (self.id, &*self.device, FILESYSTEM_TYPE)
    }

    /// Whether an open file is in this mount, whose line of the table is `entry`.
    pub(super) fn is_of(&self, file: impl AsFd) -> io::Result<bool> {
        Ok(id_of(&file)? == self.id && (self.unique.is_none() || unique_id_of(file) == self.unique))
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.id, self.device, self.unique.unwrap_or(0))
    }
}

impl FromStr for Identity {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "not the identity of a mount";
        let number = |text: &str| text.parse::<u64>().map_err(|_| wrong);
        match text.split('/').collect::<Vec<_>>()[..] {
            [id, device, unique] => Ok(Identity {
                id: number(id)?,
                device: device.to_owned(),
                unique: Some(number(unique)?).filter(|&unique| unique != 0),
            }),
            _ => Err(wrong),
        }
    }
}

/// All mounts.
pub(super) fn read() -> io::Result<Vec<Entry>> {
    let table = std::fs::read("/proc/self/mountinfo")?;
    Ok(table.split(|&byte| byte == b'\n').filter_map(parse).collect())
}

/// The npyfs mounts that this process can reach by a path, whether their daemons live or not, in the order in which they
/// were mounted.
pub fn mounts() -> io::Result<Vec<Entry>> {
    let table = read()?;
    let ours = table.iter().filter(|entry| entry.kind == FILESYSTEM_TYPE);
    Ok(ours.filter(|entry| !is_covered(entry, &table)).cloned().collect())
}

/// Whether no path leads to a mount, since another lies over its mountpoint or over a directory above that.
fn is_covered(entry: &Entry, table: &[Entry]) -> bool {
    let mounted_on = |mount: &&Entry| {
        // The uppermost one is mounted on itself.
        table.iter().find(|other| other.id == mount.parent && other.id != other.parent)
    };
    let mut way_up = std::iter::successors(Some(entry), mounted_on);
    let lies_over = |other: &Entry, mount: &Entry| {
        other.parent == mount.parent
            && ![mount.id, mount.parent].contains(&other.id)
            && mount.mountpoint.starts_with(&other.mountpoint)
    };
    table.iter().any(|other| other.covers(entry))
        || way_up.any(|mount| table.iter().any(|other| lies_over(other, mount)))
}

/// The mount on top at a path, if the path is a mountpoint.
fn at(mountpoint: &Path) -> io::Result<Option<Entry>> {
    Ok(read()?.into_iter().rfind(|entry| entry.mountpoint == mountpoint))
}

/// The number of the mount that an open file is in. This asks nothing of its filesystem.
pub(super) fn id_of(file: impl AsFd) -> io::Result<u64> {
    let path = format!("/proc/self/fdinfo/{}", file.as_fd().as_raw_fd());
    let info = std::fs::read_to_string(path)?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    id.ok_or_else(|| io::Error::other("/proc/self/fdinfo has no mnt_id"))
}

/// The unique number of the mount that an open file is in, if the kernel has it. This asks nothing of its
/// filesystem.
pub(super) fn unique_id_of(file: impl AsFd) -> Option<u64> {
    // STATX_MNT_ID_UNIQUE, of Linux 6.8.
    let wanted = StatxFlags::from_bits_retain(0x4000);
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let stat = rustix::fs::statx(file, "", flags, wanted).ok()?;
    (stat.stx_mask & wanted.bits() != 0).then_some(stat.stx_mnt_id)
}

/// The source of the npyfs mount that a path lies in, if any, and the path within it. The path itself need
/// not exist.
pub fn enclosing(path: &Path) -> Option<(PathBuf, PathBuf)> {
    enclosing_mount(path).map(|(mount, within)| (mount.source, within))
}

/// The npyfs mount that a path lies in, if any, and the path within it. The path itself need not exist.
pub fn enclosing_mount(path: &Path) -> Option<(Entry, PathBuf)> {
    let real = path.ancestors().find_map(|start| {
        let start = if start.as_os_str().is_empty() { Path::new(".") } else { start };
        Some((start.canonicalize().ok()?, path.strip_prefix(start).unwrap_or(path)))
    });
    let (start, rest) = real?;
    let path = start.join(rest);
    let entry = start.ancestors().find_map(|ancestor| at(ancestor).ok().flatten())?;
    let within = path.strip_prefix(&entry.mountpoint).ok()?.to_owned();
    (entry.kind == FILESYSTEM_TYPE && entry.whole).then_some((entry, within))
}

/// One line; its format is that of proc_pid_mountinfo(5).
fn parse(line: &[u8]) -> Option<Entry> {
    let fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let separator = fields.iter().position(|field| *field == b"-")?;
    let number = |at: usize| std::str::from_utf8(fields.get(at)?).ok()?.parse().ok();
    // Of the mount, and of its filesystem.
    let options = [5, separator + 3].map(|at| options(fields.get(at)));
    let id =
        |name: &str| options[1].iter().find_map(|option| option.strip_prefix(name)?.parse().ok());
    let has = |wanted: &str| options.iter().flatten().any(|option| *option == wanted);
    Some(Entry {
        id: number(0)?,
        parent: number(1)?,
        device: String::from_utf8(fields.get(2)?.to_vec()).ok()?,
        mountpoint: PathBuf::from(unescape(fields.get(4)?)),
        kind: String::from_utf8(fields.get(separator + 1)?.to_vec()).ok()?,
        source: PathBuf::from(unescape(fields.get(separator + 2)?)),
        owner: id("user_id="),
        group: id("group_id="),
        read_only: has("ro"),
        allow_other: has("allow_other"),
        whole: *fields.get(3)? == b"/",
    })
}

fn options<'a>(field: Option<&&'a [u8]>) -> Vec<&'a str> {
    let text = field.and_then(|field| std::str::from_utf8(field).ok()).unwrap_or_default();
    text.split(',').collect()
}

/// Blanks, line ends and backslashes are written as three octal digits.
fn unescape(field: &[u8]) -> OsString {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let digits = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match (byte, code) {
            (b'\\', Some(code)) => {
                out.push(code);
                rest = &tail[3..];
            }
            _ => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_its_mountpoint_is_called() {
        let line =
            br"36 35 0:51 / /mnt/a\040b\134 rw,nosuid shared:1 - fuse.npyfs /data,\040all ro,user_id=0,group_id=7,allow_other";
        assert_eq!(
            parse(line),
            Some(Entry {
                id: 36,
                parent: 35,
                device: "0:51".to_owned(),
                mountpoint: PathBuf::from("/mnt/a b\\"),
                kind: "fuse.npyfs".to_owned(),
                source: PathBuf::from("/data, all"),
                owner: Some(0),
                group: Some(7),
                read_only: true,
                allow_other: true,
                whole: true,
            })
        );
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn a_mount_is_covered_by_one_at_its_path_or_above() {
        let table = |lines: &[&str]| -> Vec<Entry> {
            let line = |line: &&str| parse(format!("{line} rw - fuse.npyfs x rw").as_bytes());
            lines.iter().filter_map(line).collect()
        };
        // Number, number of the mount below, device, root, mountpoint.
        let (top, below) = ("1 1 0:1 / /", "2 1 0:2 / /");
        for (lines, covered) in [
            (&[top, below, "3 2 0:3 / /a", "4 3 0:4 / /a/b"][..], &[1][..]),
            (&[below, "3 2 0:3 / /a", "4 3 0:4 / /a", "5 4 0:5 / /a/b"], &[3]),
            (&[below, "3 2 0:3 / /a/b", "4 2 0:4 / /a", "5 2 0:5 / /ab"], &[3]),
            (&[below, "3 2 0:3 / /a", "4 3 0:4 / /a/b/c", "5 3 0:5 / /a/b"], &[4]),
            (&[below, "3 2 0:3 / /a/b", "4 3 0:4 / /a/b/c", "5 2 0:5 / /a"], &[3, 4]),
            (&[below, "3 2 0:3 / /a", "4 3 0:4 / /a/b", "5 3 0:5 / /a"], &[3, 4]),
        ] {
            let table = table(lines);
            assert_eq!(table.len(), lines.len());
            let found = table.iter().filter(|entry| is_covered(entry, &table));
            assert_eq!(found.map(|entry| entry.id).collect::<Vec<_>>(), covered, "{lines:?}");
        }
    }

    #[test]
    fn an_identity_is_what_it_was_written_as() {
        for unique in [Some(7), None] {
            let identity = Identity { id: 36, device: "0:51".to_owned(), unique };
            assert_eq!(identity.to_string().parse(), Ok(identity));
        }
        assert!("36/0:51".parse::<Identity>().is_err());
        assert!("a/0:51/1".parse::<Identity>().is_err());
    }

    #[test]
    fn the_root_is_a_mountpoint_and_a_file_is_none() {
        assert!(at(Path::new("/")).unwrap().is_some());
        assert_eq!(at(Path::new("/proc/self/mountinfo")).unwrap(), None);
    }
}
