//! One member of an archive: whether its bytes can be served, and where they are.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use super::Archive;
use super::entries::{Form, Record};
use crate::escape::shown;
use crate::storage::{ReadError, Storage};

/// A local header, without the name and the extra fields that follow.
const LOCAL_HEADER: usize = 30;

/// Where a member is in the archive's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where the header is that stands before its data.
    pub header_at: u64,
    /// That header, with the member's name and without its extra fields.
    pub header: Box<[u8]>,
    /// The bytes of the file that are its data.
    pub data: Range<u64>,
}

/// A member of an archive.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    archive: &'a Archive,
    record: &'a Record,
}

impl<'a> Member<'a> {
    pub(super) fn new(archive: &'a Archive, record: &'a Record) -> Member<'a> {
        Member { archive, record }
    }

    /// Its name in the archive: a path of usual components.
    pub fn name(self) -> &'a [u8] {
        self.record.name(&self.archive.names)
    }

    /// Its size, if what the central directory says of it is no reason against serving it.
    pub fn size(self) -> Result<u64, MemberError> {
        match self.record.form {
            Form::AsTheyAre => {}
            Form::OtherSize => return Err(self.error(Fault::Size)),
            Form::Compressed => return Err(self.error(Fault::Compressed)),
            Form::Encrypted => return Err(self.error(Fault::Encrypted)),
        }
        self.range_after(LOCAL_HEADER + self.name().len()).map(|range| range.end - range.start)
    }

    /// Which bytes of the archive's file are its data. Looks at the header before them.
    pub fn data_range(self, storage: &dyn Storage) -> Result<Range<u64>, MemberError> {
        self.place(storage).map(|place| place.data)
    }

    /// Where it is, from the header before its data.
    pub fn place(self, storage: &dyn Storage) -> Result<Place, MemberError> {
        self.size()?;
        let mut header = vec![0; LOCAL_HEADER + self.name().len()];
        storage.read_at(self.record.header, &mut header).map_err(|err| match err {
            ReadError::Short { .. } => self.error(Fault::Place),
            ReadError::Io(err) => self.error(Fault::Io(err)),
        })?;
        let (fixed, name) = header.split_at(LOCAL_HEADER);
        // Its sizes may be missing or be those of a large file. The lengths of what follows may be
        // others than in the central directory.
        let [name_len, extra_len] =
            [26, 28].map(|at| u16::from_le_bytes([fixed[at], fixed[at + 1]]));
        if !fixed.starts_with(b"PK\x03\x04") {
            return Err(self.error(Fault::Header));
        }
        if usize::from(name_len) != name.len() || name != self.name() {
            return Err(self.error(Fault::Name));
        }
        let data = self.range_after(header.len() + usize::from(extra_len))?;
        Ok(Place { header_at: self.record.header, header: header.into(), data })
    }

    /// Where its data is, after a header of this length.
    fn range_after(self, header: usize) -> Result<Range<u64>, MemberError> {
        let start = self.record.header.checked_add(header as u64);
        let end = start.and_then(|start| start.checked_add(self.record.size));
        match start.zip(end) {
            Some((start, end)) if end <= self.record.limit => Ok(start..end),
            _ => Err(self.error(Fault::Place)),
        }
    }

    fn error(self, fault: Fault) -> MemberError {
        MemberError { name: self.name().into(), fault }
    }
}

/// Why the bytes of a member cannot be served.
#[derive(Debug)]
pub struct MemberError {
    name: Box<[u8]>,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a member.
#[derive(Debug)]
pub enum Fault {
    /// It is compressed.
    Compressed,
    /// It is encrypted.
    Encrypted,
    /// It is not compressed, and yet has two sizes.
    Size,
    /// It reaches into another member, the central directory or what is beyond the end of the file.
    Place,
    /// There is no header where it should be.
    Header,
    /// The header before it is that of another member.
    Name,
    /// The archive could not be read.
    Io(io::Error),
}

impl fmt::Display for MemberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the member '{}' {}", shown(OsStr::from_bytes(&self.name)), self.fault)
    }
}

/// The end of a sentence about the member.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Compressed => f.write_str("is compressed; np.savez does not compress"),
            Fault::Encrypted => f.write_str("is encrypted"),
            Fault::Size => f.write_str("is not compressed, and yet has two sizes"),
            Fault::Place => f.write_str("reaches into what comes after it in the archive"),
            Fault::Header => f.write_str("has no header in its place"),
            Fault::Name => f.write_str("has the header of another one"),
            Fault::Io(err) => write!(f, "cannot be read: {err}"),
        }
    }
}
