//! Archives: what is in a zip file (an .npz is one), and where in it.
//!
//! [`Archive::read`] reads the central directory, the list at the end of the file, and nothing else.
//! A [`Member`] that is stored as it is, neither compressed nor encrypted, is some of the file's
//! bytes. [`Member::data_range`] says which, after a look at the header right before them.
//!
//! An archive is untrusted. Whatever is in it, reading it takes bounded memory and time, and:
//!
//! 1. The name of a member is a path of usual components below the archive.
//! 2. No two members have the same name: of several the last in the archive counts, as for
//!    `np.load`.
//! 3. No member has the name of a directory, which is what is above another member.
//! 4. The data of different members does not overlap, and lies before the central directory.
//!
//! A member that breaks 1 or 3 is left out. One whose bytes cannot be served has a
//! [`MemberError`]. Neither concerns the other members. Checksums are not looked at.

use std::fmt;
use std::io;
use std::ops::Range;

use rawzip::{ErrorKind, MAX_CENTRAL_DIRECTORY_RECORD_SIZE, ReaderAt, ZipLocator};

use crate::storage::Storage;

mod directory;
mod entries;
mod member;

pub use directory::{Directory, Entry, Listed};
use entries::{Builder, Record};
pub use entries::{LeftOut, NameFault};
pub use member::{Fault, Member, MemberError, Place};

/// The most members that an archive may have.
pub const MAX_MEMBERS: u64 = 1 << 20;

/// The longest central directory that is read, in bytes.
pub const MAX_DIRECTORY: u64 = 1 << 27;

/// The record at the end of an archive, before its comment.
const END_RECORD: usize = 22;

/// Where the record of a large archive (zip64) has the size of the central directory.
const LONG_SIZE_AT: u64 = 40;

/// The members of an archive, as trees of directories.
#[derive(Debug)]
pub struct Archive {
    /// The members' names, end to end.
    names: Vec<u8>,
    /// In the order of their names, component by component, so that a directory is a range.
    records: Vec<Record>,
    left_out: LeftOut,
}

impl Archive {
    /// Reads the central directory of an archive.
    pub fn read(storage: &dyn Storage) -> Result<Archive, ArchiveError> {
        let file = Positions { storage, size: storage.size()? };
        // `np.load` takes a file for an archive by these bytes; a self-extracting one is none.
        let mut start = [0; 4];
        let read = file.read_at(&mut start, 0)?;
        if read < start.len() || ![b"PK\x03\x04", b"PK\x05\x06"].contains(&&start) {
            return Err(ArchiveError::Start);
        }
        let mut buffer = vec![0; MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
        let search = END_RECORD as u64 + u64::from(u16::MAX);
        let locator = ZipLocator::new().max_search_space(search);
        let zip =
            locator.locate_in_reader(&file, &mut buffer, file.size).map_err(|(_, err)| err)?;

        let (start, end_record) = (zip.directory_offset(), zip.eocd_offset());
        let len = end_record.saturating_sub(start);
        if len > MAX_DIRECTORY {
            return Err(ArchiveError::Long(len));
        }
        let mut builder = Builder::default();
        let mut end = start;
        let mut entries = zip.entries(&mut buffer);
        while let Some(entry) = entries.next_entry()? {
            builder.push(&entry)?;
            end = end_of(&entry);
        }
        check_end_record(&file, end_record, start..end)?;
        Ok(builder.finish(start))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// About how many bytes of memory it takes.
    pub fn footprint(&self) -> usize {
        size_of::<Archive>() + self.names.capacity() + self.records.capacity() * size_of::<Record>()
    }

    /// The members that are left out because of their names.
    pub fn left_out(&self) -> &LeftOut {
        &self.left_out
    }
}

/// Checks that the archive is one file, and that its end record, which is at `at`, says of the
/// central directory what was found. NumPy goes by the record, and would find another directory.
fn check_end_record(
    file: &Positions<'_>,
    at: u64,
    directory: Range<u64>,
) -> Result<(), ArchiveError> {
    let mut record = [0; END_RECORD];
    file.read_exact_at(&mut record, at)?;
    let disks = [4, 6].map(|at| u16::from_le_bytes([record[at], record[at + 1]]));
    let [size, start] = [12, 16]
        .map(|at| u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]));
    // In a large archive the greatest number stands for one in another record.
    if disks.into_iter().any(|disk| !matches!(disk, 0 | u16::MAX)) {
        return Err(ArchiveError::Split);
    }
    let size = if size < u32::MAX {
        size.into()
    } else {
        let mut size = [0; 8];
        file.read_exact_at(&mut size, directory.end.saturating_add(LONG_SIZE_AT))?;
        u64::from_le_bytes(size)
    };
    // Where something stands before the archive, all of it is further on than it says.
    let is_there = start == u32::MAX || u64::from(start) <= directory.start;
    let is_whole = directory.start.checked_add(size) == Some(directory.end);
    if is_there && is_whole { Ok(()) } else { Err(ArchiveError::Damaged) }
}

/// Where an entry of the central directory ends.
fn end_of(entry: &rawzip::ZipFileHeaderRecord<'_>) -> u64 {
    const FIXED: usize = 46;
    let name = entry.file_path().as_ref().len();
    let extra = entry.extra_fields().remaining_bytes().len();
    let comment = entry.comment().as_bytes().len();
    entry.central_directory_offset() + (FIXED + name + extra + comment) as u64
}

/// A storage as the library reads it.
struct Positions<'a> {
    storage: &'a dyn Storage,
    size: u64,
}

impl ReaderAt for Positions<'_> {
    fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<usize> {
        let len = self.size.saturating_sub(at).min(out.len() as u64) as usize;
        if len > 0 {
            self.storage.read_at(at, &mut out[..len])?;
        }
        Ok(len)
    }
}

/// The ways in which a file is not an archive that can be served.
#[derive(Debug)]
pub enum ArchiveError {
    /// The file could not be read.
    Io(io::Error),
    /// The first bytes are not those of an archive.
    Start,
    /// There is no end record.
    NoEnd,
    /// One of several files.
    Split,
    /// The central directory is not what the end record says.
    Damaged,
    /// More bytes of central directory than [`MAX_DIRECTORY`].
    Long(u64),
    /// More members than [`MAX_MEMBERS`].
    Many,
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArchiveError::Io(err) => write!(f, "the archive cannot be read: {err}"),
            ArchiveError::Start => f.write_str("not a .npz file: it does not start with PK"),
            ArchiveError::NoEnd => {
                f.write_str("the archive is cut off: there is no end record in it")
            }
            ArchiveError::Split => f.write_str("the archive is one of several files"),
            ArchiveError::Damaged => f.write_str("the archive's central directory is damaged"),
            ArchiveError::Long(len) => {
                write!(f, "a central directory of {len} bytes; at most {MAX_DIRECTORY} are read")
            }
            ArchiveError::Many => write!(f, "more than {MAX_MEMBERS} members"),
        }
    }
}

impl From<io::Error> for ArchiveError {
    fn from(err: io::Error) -> Self {
        ArchiveError::Io(err)
    }
}

impl From<rawzip::Error> for ArchiveError {
    fn from(err: rawzip::Error) -> Self {
        match err.into_kind() {
            ErrorKind::IO(err) => ArchiveError::Io(err),
            ErrorKind::MissingEndOfCentralDirectory => ArchiveError::NoEnd,
            _ => ArchiveError::Damaged,
        }
    }
}

#[cfg(test)]
mod tests;
