//! The bytes of many files, end to end.
//!
//! A file is opened when some of its bytes are read, and stays open only as long as any file does that nobody
//! reads. Each read checks the files that it touches, and no others: that each still is the one that it was,
//! with the same header, and not cut off.

use std::io;
use std::sync::Arc;

use super::shards::Shards;
use crate::error::Error;
use crate::escape::shown;
use crate::meta::{FileId, Meta};
use crate::runs::Pieces;
use crate::source::{Extent, OpenFile, OpenStorage, Source, Version};
use crate::storage::{Joined, Parts, ReadError, Section, Storage};

/// From how many files at most bytes are given at an open. Each has to be opened.
const MAX_GIVING: usize = 8;

/// Many files as one array, open.
#[derive(Debug)]
pub(super) struct OpenJoin {
    name: String,
    joined: Joined<Files>,
}

#[derive(Clone, Debug)]
struct Files {
    source: Arc<Source>,
    shards: Arc<Shards>,
    /// Bytes of a row.
    row: u64,
}

/// The data of one of the files.
#[derive(Debug)]
struct Data {
    file: Arc<OpenFile>,
    section: Section,
    source: Arc<Source>,
    shards: Arc<Shards>,
    number: usize,
}

impl OpenJoin {
    pub(super) fn new(source: &Arc<Source>, shards: &Arc<Shards>) -> OpenJoin {
        let name = shown(&*shards.join.path).to_string();
        let (source, shards, row) = (source.clone(), shards.clone(), shards.row_bytes());
        let files = Files { source, shards, row };
        OpenJoin { name, joined: Joined::of(files) }
    }

    fn shards(&self) -> &Arc<Shards> {
        &self.joined.parts().shards
    }
}

impl Shards {
    /// An error about one of the files, which may be another by now.
    fn failed(&self, number: usize, why: impl std::fmt::Display) -> ReadError {
        self.suspect();
        let name = shown(self.names.get(number)).to_string();
        io::Error::other(format!("{name}: {why}")).into()
    }

    /// An error of the operating system about one of the files, whose number it keeps.
    fn failed_to_open(&self, number: usize, err: &Error) -> ReadError {
        match err {
            Error::Stale => self.failed(number, "it was removed or replaced; open the array anew"),
            // A descriptor for it may be there in a moment.
            Error::Io { source, .. } if source.raw_os_error().is_some_and(is_for_want_of_room) => {
                io::Error::from_raw_os_error(err.errno()).into()
            }
            Error::Io { source, .. } => self.failed(number, source),
            other => self.failed(number, other),
        }
    }
}

fn is_for_want_of_room(errno: i32) -> bool {
    [libc::EMFILE, libc::ENFILE, libc::ENOMEM].contains(&errno)
}

impl Parts for Files {
    type Part = Data;

    fn count(&self) -> usize {
        self.shards.count()
    }

    fn end(&self, number: usize) -> u64 {
        self.shards.files[number].end * self.row
    }

    fn open(&self, number: usize) -> Result<Data, ReadError> {
        let (shards, shard) = (self.shards.clone(), &self.shards.files[number]);
        let opened = self.source.open_file(&shards.path(number), shard.id);
        let (file, _) = opened.map_err(|err| shards.failed_to_open(number, &err))?;
        let start = number.checked_sub(1).map_or(0, |before| self.end(before));
        let len = self.end(number) - start;
        let section = Section::new(file.clone(), u64::from(shard.data_offset), len);
        let section = section.ok_or_else(|| shards.failed(number, "it is too large"))?;
        Ok(Data { file, section, source: self.source.clone(), shards, number })
    }

    fn check(&self, _number: usize, part: &Data) -> Result<(), ReadError> {
        part.check()
    }
}

impl Data {
    fn check(&self) -> Result<(), ReadError> {
        let (shards, number) = (&self.shards, self.number);
        let now =
            self.file.meta().and_then(|meta| Ok((self.file.version(&Extent::WHOLE, &meta)?, meta)));
        let (version, meta) = now.map_err(|err| shards.failed_to_open(number, &err))?;
        match version {
            Ok(version) if !shards.is_still(number, &version.header) => {
                Err(shards.failed(number, "its header was changed; open the array anew"))
            }
            Ok(_) if !shards.is_still_granted(number, &meta, &self.source) => {
                Err(shards.failed(number, "its permissions were changed; open the array anew"))
            }
            Ok(_) => Ok(()),
            Err(unreadable) => Err(shards.failed(number, &unreadable.why)),
        }
    }

    /// What is wrong with the file, if a read has failed.
    fn own(&self, err: ReadError) -> ReadError {
        self.check().err().unwrap_or_else(|| self.shards.failed(self.number, err))
    }
}

impl Storage for Data {
    fn size(&self) -> io::Result<u64> {
        self.section.size()
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), ReadError> {
        self.section.read_at(at, out).map_err(|err| self.own(err))
    }

    fn read_now(&self, at: u64, out: &mut [u8]) -> bool {
        self.section.read_now(at, out)
    }

    fn gather(&self, pieces: Pieces<'_>, out: &mut [u8], needs: u64) -> Result<(), ReadError> {
        self.section.gather(pieces, out, needs).map_err(|err| self.own(err))
    }
}

impl Storage for OpenJoin {
    /// All: whether a file has its bytes is found out when some of them are read.
    fn size(&self) -> io::Result<u64> {
        Ok(self.joined.len())
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), ReadError> {
        self.joined.read_at(at, out)
    }

    fn read_now(&self, at: u64, out: &mut [u8]) -> bool {
        let end = at.saturating_add(out.len() as u64);
        self.joined.parts_of(at..end) <= MAX_GIVING && self.joined.read_now(at, out)
    }

    fn gather(&self, pieces: Pieces<'_>, out: &mut [u8], needs: u64) -> Result<(), ReadError> {
        self.joined.gather(pieces, out, needs)
    }
}

impl OpenStorage for OpenJoin {
    fn name(&self) -> &str {
        &self.name
    }

    fn meta(&self) -> Result<Meta, Error> {
        Ok(self.shards().meta())
    }

    /// The files themselves are checked by each read.
    fn check(&self, version: &Version, _meta: &Meta) -> Result<(), Error> {
        let is_same = |shards: &Arc<Shards>| shards.is_same_as(self.shards());
        match version.joined.as_ref().is_some_and(is_same) {
            true => Ok(()),
            false => Err(Error::Rewritten { file: self.name.clone() }),
        }
    }

    fn file(&self) -> Option<&OpenFile> {
        None
    }

    fn may_hold(&self, file: &FileId) -> bool {
        self.shards().contains(file)
    }
}
