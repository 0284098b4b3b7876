//! What a path means: a file of the source, an array or a selection of it, or a small text.
//!
//! A [`Node`] is found one component at a time ([`Tree::lookup`]). It holds the version of the array that it
//! was found with, and never means another. Once the file's header is another, the node is stale and its path
//! must be looked up again.
//!
//! A new kind of directory or file is one module here, which implements [`Directory`] or [`File`].

use std::ffi::OsStr;
use std::sync::Arc;

use crate::caller::Caller;
use crate::error::Error;
use crate::meta::{Kind, Meta, NAME_MAX};
use crate::quota::Quota;
use crate::source::{Source, Which};

mod archive;
mod array;
mod backing;
mod content;
mod describe;
mod encoded;
mod group;
mod listing;
mod mirror;
mod modes;
mod mount_files;
mod node;
mod npy_stack;
mod refused;
mod text;
mod writing;
mod zarr;

pub use array::Array;
use array::WHOLE;
pub use backing::{Attr, Backing, NoArray};
pub use content::Content;
pub use describe::{Arrays, Described};
pub use listing::{DOTS, Known, Listed, Listing, Made, Places};
pub use node::{Directory, File, Found, Node, Target};
use refused::Refused;
pub use writing::Writing;

/// About how many bytes of memory a slice takes, by which other nodes are weighed.
const SLICE: usize = 256;

/// How to serve what a source holds.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// About the size in bytes of the tiles that `rows` lists.
    pub tile_bytes: u64,
    /// About the size in bytes of the chunks of Zarr arrays.
    pub chunk_bytes: u64,
    /// List no tiles and no fields, which repeat what the array's file has.
    pub no_tiles: bool,
    /// The values of arrays may be written.
    pub writable: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            tile_bytes: 64 << 20,
            chunk_bytes: crate::zarr::CHUNK_BYTES,
            no_tiles: false,
            writable: false,
        }
    }
}

/// The tree of all paths over a source.
#[derive(Debug)]
pub struct Tree {
    source: Arc<Source>,
    options: Options,
    /// Room for headers that writers have begun and not finished.
    headers: Arc<Quota>,
    refused: Refused,
}

/// How many bytes all unfinished headers may take.
const MAX_BEGUN: u64 = 16 << 20;

impl Tree {
    /// The tree over a source.
    pub fn new(source: Source, options: Options) -> Tree {
        let headers = Quota::new(MAX_BEGUN);
        Tree { source: Arc::new(source), options, headers, refused: Refused::default() }
    }

    /// Where the files are.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Whether the values of arrays may be written.
    pub fn is_writable(&self) -> bool {
        self.options.writable
    }

    /// What the empty path means: the source directory, or the directory beside a single file.
    pub fn root(&self) -> Result<Node, Error> {
        match self.source.single() {
            Some(file) => Ok(Node::beside(file?)),
            None => Ok(Node::of_entry(self.source.root(), Kind::Directory)),
        }
    }

    fn is_root(&self, node: &Node) -> bool {
        match node.backing() {
            Backing::Entry(entry) => node.is_directory() && entry.path.as_os_str().is_empty(),
            // If the source is one file, the directory beside it is the root.
            Backing::Array(origin) => self.source.is_single(origin.path()),
            _ => false,
        }
    }

    /// The entry `name` of a directory, and its attributes.
    pub fn lookup(&self, parent: &Node, name: &OsStr) -> Result<(Node, Attr), Error> {
        if name.len() > NAME_MAX {
            return Err(Error::NameTooLong);
        }
        let Node::Directory(directory) = parent else { return Err(Error::NotADirectory) };
        let (node, meta) = match directory.clone().lookup(self, name) {
            Err(Error::NotFound(why)) => {
                let of_mount = self.is_root(parent).then(|| mount_files::in_root(name)).flatten();
                (of_mount.ok_or(Error::NotFound(why))?, None)
            }
            found => found?,
        };
        let meta = meta.unwrap_or_else(Meta::of_this_process);
        let attr = self.attr_by(&node, &meta);
        Ok((node, attr))
    }

    /// Opens a node for reading. [`Error::Stale`] if another file is at its path by now, and `which` asks for
    /// the one at the path.
    pub fn open(&self, node: &Node, caller: Caller, which: Which) -> Result<Content, Error> {
        self.admit(node, caller, which)?;
        self.content(node, caller, which)
    }

    /// What a reader of a node gets.
    fn content(&self, node: &Node, caller: Caller, which: Which) -> Result<Content, Error> {
        match node {
            Node::File(file) => file.open(self, caller, which),
            Node::Directory(_) => Err(Error::IsADirectory),
            // With followed symlinks, only one that leads nowhere gets here.
            Node::Symlink(_) => Err(Error::not_found("the symlink leads nowhere")),
        }
    }

    /// The attributes that a node had when it was opened; none for a text.
    pub fn attr_as_opened(&self, node: &Node, content: &Content) -> Option<Attr> {
        content.open_storage().map(|(_, meta)| self.attr_by(node, meta))
    }
}

/// A name as text. Only entries of the source have names that are not UTF-8.
fn as_text(name: &OsStr) -> Result<&str, Error> {
    name.to_str().ok_or_else(|| Error::not_found("the name is not UTF-8"))
}
