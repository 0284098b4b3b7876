//! Nodes: what paths can mean, a directory, a file or a symlink.
//!
//! Directories and files answer an interface each, so that a new kind of either is one file of this module.
//! What a node's attributes and its users' rights are follows from what is behind it (the module `backing`).

use std::ffi::OsStr;
use std::fmt;
use std::sync::Arc;

use super::backing::Backing;
use super::describe::{Arrays, Described};
use super::listing::{Known, Listing};
use super::{Content, Tree};
use crate::caller::Caller;
use crate::error::Error;
use crate::layout::Layout;
use crate::meta::{FileId, Kind, Meta};
use crate::source::{Entry, Version, Which};
use crate::view::View;

/// What a path means. It holds the version of the array that it was found with, and never means another.
#[derive(Clone, Debug)]
pub enum Node {
    /// A directory
    Directory(Arc<dyn Directory>),
    /// A file
    File(Arc<dyn File>),
    /// A symlink of the source, whose text never changes
    Symlink(Arc<Entry>),
}

/// What a name in a directory is, with the attributes of the file behind it, if there is one.
pub type Found = (Node, Option<Meta>);

/// A directory: what names in it mean, and which of them it lists.
pub trait Directory: fmt::Debug + Send + Sync {
    /// What is behind it.
    fn backing(&self) -> Backing<'_>;

    /// What a name means. [`Error::NotFound`] says why it means nothing.
    fn lookup(self: Arc<Self>, tree: &Tree, name: &OsStr) -> Result<Found, Error>;

    /// What it lists.
    fn list(self: Arc<Self>, tree: &Tree, known: Known<'_>) -> Result<Listing, Error>;

    /// Fails if it cannot be listed.
    fn check_listable(self: Arc<Self>, tree: &Tree) -> Result<(), Error> {
        self.list(tree, &|_| None).map(drop)
    }

    /// What it is, in the words of `npyfs info`.
    fn describe(self: Arc<Self>, tree: &Tree) -> Result<Described, Error>;

    /// The arrays of its own, if it is of a kind that has some; see [`Tree::arrays`].
    fn arrays(self: Arc<Self>, _tree: &Tree) -> Result<Option<Arrays<'_>>, Error> {
        Ok(None)
    }

    /// Whether nothing in it can be written, on any mount.
    fn is_read_only(&self) -> bool {
        false
    }

    /// What it is called in messages.
    fn shown(&self) -> String {
        self.backing().shown()
    }

    /// Its memory, as a multiple of what a slice takes.
    fn weight(&self) -> usize {
        1
    }
}

/// A file: its length, and what makes its bytes.
pub trait File: fmt::Debug + Send + Sync {
    /// What is behind it.
    fn backing(&self) -> Backing<'_>;

    /// Its bytes, where the file behind it has these attributes.
    fn len(&self, behind: &Meta) -> u64;

    /// Its bytes, if it is made of the elements of an array.
    fn len_of_elements(&self) -> Option<u64> {
        None
    }

    /// Opens it for reading.
    fn open(&self, tree: &Tree, caller: Caller, which: Which) -> Result<Content, Error>;

    /// What of the array behind it can be written by this file, given what it was opened as. Only the
    /// values of arrays can be.
    fn target(&self, _opened: &Content) -> Result<Target, Error> {
        let why = format!("{}: only the values of arrays can be written", self.shown());
        Err(Error::NotPermitted(why))
    }

    /// Whether it has values that can be written.
    fn is_writable(&self) -> bool {
        false
    }

    /// What it is, in the words of `npyfs info`.
    fn describe(&self, tree: &Tree) -> Result<Described, Error>;

    /// What it is called in messages.
    fn shown(&self) -> String {
        self.backing().shown()
    }

    /// Its memory, as a multiple of what a slice takes.
    fn weight(&self) -> usize {
        1
    }
}

/// The elements that are written by a file.
#[derive(Debug)]
pub struct Target {
    /// The version of their array.
    pub version: Arc<Version>,
    /// Which they are.
    pub view: View,
    /// The Python expression for them, in terms of the file's array `a`.
    pub expression: String,
    /// The file as it is read.
    pub layout: Layout,
}

impl Node {
    /// What is behind it.
    pub fn backing(&self) -> Backing<'_> {
        match self {
            Node::Directory(directory) => directory.backing(),
            Node::File(file) => file.backing(),
            Node::Symlink(entry) => Backing::Entry(entry),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Node::Directory(_) => Kind::Directory,
            Node::File(_) => Kind::File,
            Node::Symlink(_) => Kind::Symlink,
        }
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind() == Kind::Directory
    }

    /// Whether it is an entry of the source, as it is there.
    pub fn is_entry(&self) -> bool {
        matches!(self.backing(), Backing::Entry(_))
    }

    /// Whether it is a directory of the source.
    pub fn is_source_directory(&self) -> bool {
        self.is_directory() && self.is_entry()
    }

    /// Whether it is the directory of a file's array, whatever version of the array there is.
    pub fn is_array_directory(&self) -> bool {
        matches!(self.backing(), Backing::Array(_))
    }

    /// Whether a node found again at the same path is the same file to its users. It is not if the file was
    /// replaced, or its header means something else.
    ///
    /// Under one path, the same version of an array gives the same view.
    pub fn is_same_as(&self, other: &Node) -> bool {
        self.kind() == other.kind() && self.backing().is_same_as(&other.backing())
    }

    /// The identity of the file that it is or that holds its array.
    pub fn file_id(&self) -> Option<FileId> {
        match self.backing() {
            Backing::Entry(entry) => (self.kind() == Kind::File).then_some(entry.id),
            backing => backing.origin().map(|origin| origin.id()),
        }
    }

    /// Whether there can be any number of nodes like this: all but directories of the source and those of its
    /// arrays.
    pub fn is_made(&self) -> bool {
        !(self.is_source_directory() || self.is_array_directory())
    }

    /// The bytes of a file that is made of the elements of an array.
    pub fn len_of_elements(&self) -> Option<u64> {
        match self {
            Node::File(file) => file.len_of_elements(),
            Node::Directory(_) | Node::Symlink(_) => None,
        }
    }

    /// What it is called in messages: by its path in the source, or by what it is about.
    pub fn shown(&self) -> String {
        match self {
            Node::Directory(directory) => directory.shown(),
            Node::File(file) => file.shown(),
            Node::Symlink(_) => self.backing().shown(),
        }
    }

    /// Its memory, as a multiple of what a slice takes.
    pub fn weight(&self) -> usize {
        match self {
            Node::Directory(directory) => directory.weight(),
            Node::File(file) => file.weight(),
            Node::Symlink(_) => 1,
        }
    }
}
