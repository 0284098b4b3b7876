//! What is behind a node: the entry of the source, or the version of an array, whose attributes and access
//! rights are the node's too.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Node, Tree};
use crate::error::Error;
use crate::escape::shown;
use crate::meta::{Kind, Meta};
use crate::source::{Entry, OpenStorage, Origin, Unreadable, Version, Which};

/// What is behind a node.
#[derive(Clone, Copy, Debug)]
pub enum Backing<'a> {
    /// An entry of the source, which the node is
    Entry(&'a Entry),
    /// Where an array comes from, whatever version of it is there
    Array(&'a Arc<dyn Origin>),
    /// Something that is no array
    NoArray(&'a NoArray),
    /// One version of an array
    Version(&'a Arc<dyn Origin>, &'a Arc<Version>),
    /// A directory of the source, of whose arrays the node is made; and the text that the node is, if it is one
    Beneath(&'a Entry, Option<&'a Arc<str>>),
    /// Nothing in the source: the mount itself
    Mount,
}

/// What was to be an array, and is none.
#[derive(Clone, Debug)]
pub struct NoArray {
    /// Where it was to come from.
    pub origin: Arc<dyn Origin>,
    /// Why it is none.
    pub unreadable: Arc<Unreadable>,
    /// The attributes that it had then.
    pub meta: Meta,
}

/// What a directory entry is, to its users.
#[derive(Clone, Copy, Debug)]
pub struct Attr {
    /// Its kind.
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// Permission bits: those of the backing file, without the write bits if nothing can be written. A
    /// directory of an array has an execute bit for each read bit.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Hard links.
    pub nlink: u32,
    /// Last access.
    pub accessed: SystemTime,
    /// Last modification.
    pub modified: SystemTime,
    /// Last change.
    pub changed: SystemTime,
}

fn is_same_origin(a: &Arc<dyn Origin>, b: &Arc<dyn Origin>) -> bool {
    Arc::ptr_eq(a, b) || a.id() == b.id() && a.path() == b.path()
}

impl<'a> Backing<'a> {
    /// Where the array comes from that is behind the node, or was to be.
    pub fn origin(self) -> Option<&'a Arc<dyn Origin>> {
        match self {
            Backing::Array(origin) | Backing::Version(origin, _) => Some(origin),
            Backing::NoArray(no_array) => Some(&no_array.origin),
            Backing::Entry(_) | Backing::Beneath(..) | Backing::Mount => None,
        }
    }

    /// Whether this is behind the same nodes as another.
    pub(super) fn is_same_as(&self, other: &Backing<'_>) -> bool {
        match (self, other) {
            (Backing::Entry(a), Backing::Entry(b)) => a == b,
            (Backing::Array(a), Backing::Array(b)) => is_same_origin(a, b),
            (Backing::NoArray(a), Backing::NoArray(b)) => {
                is_same_origin(&a.origin, &b.origin) && a.unreadable == b.unreadable
            }
            (Backing::Version(a, version), Backing::Version(b, other)) => {
                is_same_origin(a, b) && version.is_same_as(other)
            }
            (Backing::Beneath(a, text), Backing::Beneath(b, other)) => a == b && text == other,
            (Backing::Mount, Backing::Mount) => true,
            _ => false,
        }
    }

    /// Its path in the source.
    pub fn path(self) -> Option<&'a Path> {
        match self {
            Backing::Entry(entry) | Backing::Beneath(entry, _) => Some(&entry.path),
            backing => backing.origin().map(|origin| origin.path()),
        }
    }

    /// What it is called in messages.
    pub(super) fn shown(self) -> String {
        self.path().map_or_else(|| "the mount".to_owned(), Backing::shown_path)
    }

    /// What a path in the source is called in messages.
    pub(super) fn shown_path(path: &Path) -> String {
        match path.as_os_str().is_empty() {
            true => "the source".to_owned(),
            false => shown(path).to_string(),
        }
    }
}

impl Tree {
    /// The attributes of a node. [`Error::Stale`] if its file was replaced, or its header means something
    /// else now.
    pub fn attr(&self, node: &Node) -> Result<Attr, Error> {
        let meta = match node.backing() {
            Backing::Entry(entry) => self.entry_meta(node, entry)?,
            Backing::Array(origin) => origin.meta(&self.source)?,
            // Whatever has become of it, that is what the text is about.
            Backing::NoArray(NoArray { origin, meta, .. }) => {
                origin.meta(&self.source).unwrap_or(*meta)
            }
            Backing::Version(origin, version) => self.current(origin, version)?,
            Backing::Beneath(directory, _) => self.source.directory_meta(directory)?,
            Backing::Mount => Meta::of_this_process(),
        };
        Ok(self.attr_by(node, &meta))
    }

    fn entry_meta(&self, node: &Node, entry: &Entry) -> Result<Meta, Error> {
        match node.kind() {
            Kind::Directory => self.source.directory_meta(entry),
            Kind::Symlink => self.source.entry_meta(entry),
            // A reader that has the old version of a file open keeps it.
            Kind::File => match self.source.files().known(entry.id) {
                Some(open) => open.meta(),
                None => self.source.entry_meta(entry),
            },
        }
    }

    /// The attributes of a node whose file has `meta`.
    pub(super) fn attr_by(&self, node: &Node, meta: &Meta) -> Attr {
        let (size, nlink) = match node {
            _ if node.is_entry() => (meta.size, meta.nlink),
            Node::File(file) => (file.len(meta), 1),
            Node::Directory(_) | Node::Symlink(_) => (0, 2),
        };
        Attr {
            kind: node.kind(),
            size,
            mode: self.mode(node, meta.mode),
            uid: meta.uid,
            gid: meta.gid,
            nlink,
            accessed: meta.accessed,
            modified: meta.modified,
            changed: meta.changed,
        }
    }

    /// [`Error::Stale`] where the directory of an array is not that of what has its path now. Who has the file
    /// open that was replaced keeps that file alone.
    pub fn check_place(&self, node: &Node) -> Result<(), Error> {
        match node.backing() {
            Backing::Array(origin) => origin.meta(&self.source).map(drop),
            _ => Ok(()),
        }
    }

    /// The attributes of the file of a version of an array, by whatever path that file has now;
    /// [`Error::Stale`] if the header is another.
    pub(super) fn current(
        &self,
        origin: &Arc<dyn Origin>,
        version: &Version,
    ) -> Result<Meta, Error> {
        self.open_version(origin, version, Which::LookedUp).map(|(_, meta)| meta)
    }

    /// Opens a version of an array, and returns its attributes too; [`Error::Stale`] if the header is another.
    pub(super) fn open_version(
        &self,
        origin: &Arc<dyn Origin>,
        version: &Version,
        which: Which,
    ) -> Result<(Arc<dyn OpenStorage>, Meta), Error> {
        let (open, meta) = match &version.joined {
            // The files that were looked up, whichever there are by now.
            Some(shards) if which == Which::LookedUp => shards.open(&self.source),
            _ => origin.open(&self.source, which)?,
        };
        match open.check(version, &meta) {
            // A file that is too short, such as one being saved over, may be looked at and opened; reading it
            // fails.
            Ok(()) | Err(Error::Short { .. }) => Ok((open, meta)),
            Err(Error::Rewritten { .. }) => Err(Error::Stale),
            Err(err) => Err(err),
        }
    }

    /// What a node reads from, held open so that this version stays; none if it reads nothing, or that cannot
    /// be opened.
    pub fn hold(&self, node: &Node) -> Result<Option<Arc<dyn OpenStorage>>, Error> {
        let held = match (node.backing(), node.kind()) {
            (Backing::Entry(entry), Kind::File) => {
                let opened = self.source.open_file(&entry.path, entry.id);
                opened.map(|(open, _)| open as Arc<dyn OpenStorage>)
            }
            (backing, _) => match backing.origin() {
                Some(origin) => origin.open(&self.source, Which::LookedUp).map(|(open, _)| open),
                None => return Ok(None),
            },
        };
        match held {
            Ok(open) => Ok(Some(open)),
            Err(Error::Stale) => Err(Error::Stale),
            Err(_) => Ok(None),
        }
    }

    /// The text of a symlink.
    pub fn read_link(&self, node: &Node) -> Result<OsString, Error> {
        match node {
            Node::Symlink(link) => self.source.read_link(link),
            _ => Err(Error::NotASymlink),
        }
    }
}
