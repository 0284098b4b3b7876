//! What a node is, in the words of `npyfs info`.

use std::ffi::OsString;
use std::sync::Arc;

use super::text::place_of;
use super::{Array, Backing, Node, Tree};
use crate::encoding::Encoding;
use crate::error::Error;
use crate::meta::Kind;
use crate::selection::{Grid, Refusal};
use crate::source::{Holds, Origin, VersionOrWhy};
use crate::text::{self, Place};

/// A node, described.
#[derive(Debug)]
pub enum Described {
    /// It is an array.
    Array {
        /// Which one.
        array: Arc<Array>,
        /// The chunks of its `.zarr`, or why it has none.
        zarr: Result<Grid, Refusal>,
        /// A further remark for its owner.
        note: Option<String>,
    },
    /// It is an archive of arrays.
    Archive {
        /// The directory of its members.
        directory: Node,
        /// How many it has.
        members: usize,
        /// Further remarks for its owner.
        notes: Vec<String>,
    },
    /// It is no array, and why.
    NoArray(String),
}

/// Nodes of arrays and archives, found one by one.
pub type Arrays<'a> = Box<dyn Iterator<Item = Result<Node, Error>> + 'a>;

impl Described {
    pub(super) fn no_array(why: &str) -> Described {
        Described::NoArray(why.to_owned())
    }

    /// An array whose `.zarr` has the chunks that it has everywhere in this tree.
    pub(super) fn array(tree: &Tree, array: Arc<Array>) -> Described {
        let zarr = Encoding::Zarr.check(&array.view);
        let zarr = zarr.map(|()| Grid::blocks(&array.view, tree.options.chunk_bytes));
        Described::Array { array, zarr, note: None }
    }

    pub(super) fn of_version(
        tree: &Tree,
        origin: &Arc<dyn Origin>,
        version: VersionOrWhy,
        its_note: Option<String>,
    ) -> Described {
        match version {
            Ok(version) => {
                let whole = Arc::new(Array::whole(origin, version));
                let mut described = Described::array(tree, whole);
                if let Described::Array { note, .. } = &mut described {
                    *note = its_note;
                }
                described
            }
            Err(unreadable) => Described::NoArray(unreadable.why.clone()),
        }
    }
}

impl Node {
    /// What is said in JSON of what is no array, and why.
    pub fn error_json(&self, why: &str) -> String {
        let backing = self.backing();
        let place = backing.origin().map_or_else(
            || Place::File(backing.path().unwrap_or("".as_ref()).to_string_lossy()),
            |origin| place_of(&**origin),
        );
        text::error_json(&place, why)
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

    /// The arrays and archives in a directory of the source, or the arrays below one of an archive, in the
    /// order of their names. `None` for what has none of its own, such as a directory of selections.
    pub fn arrays(&self, node: &Node) -> Result<Option<Arrays<'_>>, Error> {
        match node {
            Node::Directory(directory) => directory.clone().arrays(self),
            Node::File(_) | Node::Symlink(_) => Ok(None),
        }
    }

    /// The names of the directories of the source in one, in their order. Other directories have none.
    pub fn subdirectories(&self, node: &Node) -> Result<Vec<OsString>, Error> {
        let Backing::Entry(entry) = node.backing() else { return Ok(Vec::new()) };
        let (listing, _) = self.source.list(entry, &|_| None)?;
        let is_one = |name: &OsString| {
            let found = self.lookup(node, name);
            // Those beside arrays and archives have these for their backing.
            found
                .is_ok_and(|(it, _)| it.is_directory() && matches!(it.backing(), Backing::Entry(_)))
        };
        let entries = listing.entries_after(0).filter(|(_, _, kind)| *kind == Kind::Directory);
        let mut names: Vec<_> =
            entries.map(|(_, name, _)| name.into_owned()).filter(is_one).collect();
        names.sort();
        Ok(names)
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
