//! What a node is, in the words of `npyfs info`.

use std::sync::Arc;

use super::{Array, Node, Tree};
use crate::encoding::Encoding;
use crate::error::Error;
use crate::source::{Holds, Origin, VersionOrWhy};

/// A node, described.
#[derive(Debug)]
pub enum Described {
    /// It is an array.
    Array {
        /// Its `header.json`.
        header_json: String,
        /// Further remarks for its owner.
        notes: Vec<String>,
    },
    /// It is an archive of arrays.
    Archive {
        /// What is to be said of it.
        json: String,
        /// Further remarks for its owner.
        notes: Vec<String>,
    },
    /// It is no array, and why.
    NoArray(String),
}

impl Described {
    pub(super) fn no_array(why: &str) -> Described {
        Described::NoArray(why.to_owned())
    }

    pub(super) fn array(array: &Array) -> Described {
        // That an array is no image is no news.
        let expected = Encoding::ALL.into_iter().filter(|it| *it != Encoding::OmeZarr);
        let refused = expected.filter_map(|encoding| {
            let why = encoding.check(&array.view).err()?;
            Some(format!("there is no {} of it: {why}", encoding.extension()))
        });
        Described::Array { header_json: array.header_json(), notes: refused.collect() }
    }

    pub(super) fn of_version(
        origin: &Arc<dyn Origin>,
        version: VersionOrWhy,
        note: Option<String>,
    ) -> Described {
        match version {
            Ok(version) => {
                let mut described = Described::array(&Array::whole(origin, version));
                if let Described::Array { notes, .. } = &mut described {
                    notes.extend(note);
                }
                described
            }
            Err(unreadable) => Described::NoArray(unreadable.why.clone()),
        }
    }
}

impl Tree {
    /// Describes a node: a directory of an array, an array as a file, or the file that holds it.
    pub fn describe(&self, node: &Node) -> Result<Described, Error> {
        match node {
            Node::Directory(directory) => directory.clone().describe(self),
            Node::File(file) => file.describe(self),
            Node::Symlink(entry) => self.describe_entry(entry),
        }
    }

    /// Fails if the source cannot be read, or is a single file that is no array and no archive.
    pub fn check(&self) -> Result<(), Error> {
        let Some(found) = self.source.single() else { return self.source.check_readable() };
        let file = found?;
        let unreadable = match file.holds() {
            Holds::Array => file.version(&self.source)?.0.err(),
            Holds::Members => self.source.archive(&file)?.0.err(),
        };
        unreadable.map_or(Ok(()), |why| Err(Error::not_found(why.sentence(&file))))
    }
}
