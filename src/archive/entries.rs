//! The members of an archive, made of the entries of its central directory.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use rawzip::{CompressionMethod, ZipFileHeaderRecord};

use super::{Archive, ArchiveError, MAX_MEMBERS};
use crate::escape::shown;

/// The longest name of a member, in bytes, and the longest component of one. No path is longer.
const MAX_NAME: usize = 4096;
const MAX_COMPONENT: usize = 255;

/// What is kept of a member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// Where its local header is said to be.
    pub(super) header: u64,
    /// Bytes that it is said to have.
    pub(super) size: u64,
    /// Where the next local header is said to be, or the central directory: the member ends before.
    pub(super) limit: u64,
    name_at: u32,
    name_len: u16,
    pub(super) form: Form,
}

impl Record {
    pub(super) fn name(self, names: &[u8]) -> &[u8] {
        let at = self.name_at as usize;
        &names[at..at + usize::from(self.name_len)]
    }
}

/// How the bytes of a member are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    AsTheyAre,
    /// As they are, though they are said to take more or less room than there are.
    OtherSize,
    Compressed,
    Encrypted,
}

impl Form {
    fn of(entry: &ZipFileHeaderRecord<'_>) -> Form {
        let flags = entry.flags();
        if flags.is_encrypted() || flags.has_strong_encryption() || flags.is_masked() {
            Form::Encrypted
        } else if entry.compression_method() != CompressionMethod::STORE {
            Form::Compressed
        } else if entry.compressed_size_hint() != entry.uncompressed_size_hint() {
            Form::OtherSize
        } else {
            Form::AsTheyAre
        }
    }
}

/// Why a member is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFault {
    /// Absolute, or with a component that is empty, `.` or `..`, or with a NUL.
    NoPath,
    /// Longer than a path may be, or with a component that is longer than a name may be.
    Long,
    /// Other members are in a directory of this name.
    Directory,
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameFault::NoPath => "is not a path below the archive",
            NameFault::Long => "is too long for a path",
            NameFault::Directory => "is a directory too",
        })
    }
}

/// Members that are left out because of their names.
#[derive(Debug, Default)]
pub struct LeftOut {
    count: u64,
    first: Option<(Box<[u8]>, NameFault)>,
}

impl LeftOut {
    fn add(&mut self, name: &[u8], fault: NameFault) {
        self.count += 1;
        self.first.get_or_insert_with(|| (name.into(), fault));
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }
}

/// A sentence about them; nothing where there are none.
impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((name, fault)) = &self.first else { return Ok(()) };
        let name = shown(OsStr::from_bytes(name));
        match self.count {
            1 => write!(f, "a member is left out: its name '{name}' {fault}"),
            count => write!(f, "{count} members are left out: the name of one, '{name}', {fault}"),
        }
    }
}

/// Whether a name is a path below the archive.
///
/// A backslash is a character like others, as it is for NumPy where files are.
fn check_name(name: &[u8]) -> Result<(), NameFault> {
    if name.len() > MAX_NAME {
        return Err(NameFault::Long);
    }
    for component in components(name) {
        if matches!(component, b"" | b"." | b"..") || component.contains(&0) {
            return Err(NameFault::NoPath);
        }
        if component.len() > MAX_COMPONENT {
            return Err(NameFault::Long);
        }
    }
    Ok(())
}

/// The components of a name.
pub(super) fn components(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(|&byte| byte == b'/')
}

/// The order of names, component by component: a slash is before every other character. No name has
/// a NUL.
pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let slash_first = |&byte: &u8| if byte == b'/' { 0 } else { byte };
    a.iter().map(slash_first).cmp(b.iter().map(slash_first))
}

/// Makes an archive of the entries of its central directory, in any order.
#[derive(Default)]
pub(super) struct Builder {
    names: Vec<u8>,
    records: Vec<Record>,
    /// Of every entry, also of those that are left out.
    headers: Vec<u64>,
    left_out: LeftOut,
}

impl Builder {
    pub(super) fn push(&mut self, entry: &ZipFileHeaderRecord<'_>) -> Result<(), ArchiveError> {
        if self.headers.len() as u64 == MAX_MEMBERS {
            return Err(ArchiveError::Many);
        }
        let header = entry.local_header_offset();
        self.headers.push(header);
        let path = entry.file_path();
        let name: &[u8] = path.as_ref();
        let size = entry.uncompressed_size_hint();
        // An entry of a directory. Those that hold something are known from that.
        if size == 0 && name.ends_with(b"/") {
            return Ok(());
        }
        match check_name(name) {
            Err(fault) => self.left_out.add(name, fault),
            Ok(()) => {
                self.records.push(Record {
                    header,
                    size,
                    limit: 0,
                    name_at: self.names.len() as u32,
                    name_len: name.len() as u16,
                    form: Form::of(entry),
                });
                self.names.extend_from_slice(name);
            }
        }
        Ok(())
    }

    /// The archive, whose central directory begins at this byte.
    pub(super) fn finish(self, directory: u64) -> Archive {
        let Builder { mut names, mut records, mut headers, mut left_out } = self;
        headers.sort_unstable();
        for record in &mut records {
            let next = headers.partition_point(|&header| header <= record.header);
            record.limit = headers.get(next).map_or(directory, |&next| next.min(directory));
        }
        records.sort_unstable_by(|a, b| {
            compare(a.name(&names), b.name(&names)).then(a.name_at.cmp(&b.name_at))
        });
        // Members of one name lie together, the last of the archive last; what is in a directory
        // follows a member of its name.
        records.dedup_by(|next, kept| {
            let (name, next_name) = (kept.name(&names), next.name(&names));
            let rest = next_name.strip_prefix(name);
            let replaced = match rest {
                Some([]) => true,
                Some([b'/', ..]) => {
                    left_out.add(name, NameFault::Directory);
                    true
                }
                _ => false,
            };
            if replaced {
                *kept = *next;
            }
            replaced
        });
        records.shrink_to_fit();
        names.shrink_to_fit();
        Archive { names, records, left_out }
    }
}
