//! Which files of a directory are one array, in which order.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::{FileType, OFlags};

use super::Join;
use super::natural;
use super::shards::{Shard, Shards};
use crate::error::Error;
use crate::meta::{Kind, Meta, kind_of};
use crate::source::border::Directory;
use crate::source::{Source, names};

/// How often a directory is listed again that has changed meanwhile.
const LISTINGS: usize = 4;

/// A name in a directory that may be one of the files.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) name: OsString,
    /// The number of the file, as the directory has it.
    number: u64,
    pub(super) is_link: bool,
}

/// The names in a directory, in natural order.
pub(super) struct List {
    pub(super) names: Vec<Name>,
    /// The directory before it was listed.
    pub(super) meta: Meta,
    /// Whether any change since makes another stamp of it.
    pub(super) is_settled: bool,
}

impl Join {
    /// Lists the directory.
    pub(super) fn list(&self, source: &Source) -> Result<List, Error> {
        let directory = source.directory(&self.directory, OFlags::RDONLY)?;
        let about = |err: io::Error| Error::io(&*self.directory.path, err);
        let mut meta = Meta::of(&directory.fd).map_err(about)?;
        for tries in 1.. {
            let is_settled = meta.stamp().is_settled();
            let names = source.names_of(&directory).map_err(about)?;
            let after = Meta::of(&directory.fd).map_err(about)?;
            if after.stamp() == meta.stamp() || tries == LISTINGS {
                return Ok(List { names, meta, is_settled });
            }
            meta = after;
        }
        Err(Error::Stale)
    }
}

impl Source {
    /// The names of `.npy` files and symlinks in a directory, without hidden ones, in natural order.
    fn names_of(&self, directory: &Directory<'_>) -> io::Result<Vec<Name>> {
        let mut found = Vec::new();
        for entry in rustix::fs::Dir::read_from(&directory.fd)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name.as_bytes().starts_with(b".") || !names::is_npy(name) {
                continue;
            }
            let kind = match entry.file_type() {
                // It may be gone by now.
                FileType::Unknown => {
                    Meta::of_entry(&directory.fd, name).ok().and_then(|meta| meta.kind)
                }
                known => kind_of(known),
            };
            let is_link = kind == Some(Kind::Symlink);
            if (is_link || kind == Some(Kind::File)) && !self.is_left_out(directory, name) {
                let name = OsString::from_vec(name.as_bytes().to_vec());
                found.push(Name { name, number: entry.ino(), is_link });
            }
        }
        found.sort_unstable_by(|a, b| natural::compare(&a.name, &b.name));
        Ok(found)
    }
}

impl Shards {
    /// The names of the files, as a listing has them.
    pub(super) fn listed(&self) -> Vec<Name> {
        let name = |(number, file): (usize, &Shard)| Name {
            name: self.names.get(number).to_owned(),
            number: file.id.number(),
            is_link: file.is_link,
        };
        self.files.iter().enumerate().map(name).collect()
    }

    /// Whether a listing has these very files and no others.
    pub(super) fn are_listed(&self, names: &[Name]) -> bool {
        // What a link leads to is not in the listing.
        let is_same = |(number, listed): (usize, &Name)| {
            let is_file = !listed.is_link && self.files[number].id.number() == listed.number;
            is_file && self.names.get(number) == listed.name
        };
        names.len() == self.files.len() && names.iter().enumerate().all(is_same)
    }
}
