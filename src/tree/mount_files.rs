//! `.npyfs` and `USAGE.txt`, which are about the mount itself. They are in the mount's root by name and not
//! listed, so that no copy of the mount includes them. An entry of the source hides them.

use std::ffi::OsStr;
use std::sync::Arc;

use super::describe::Described;
use super::listing::{Known, Listing, Made};
use super::node::{Directory, File, Found};
use super::text::USAGE;
use super::{Backing, Content, Node, Tree};
use crate::caller::Caller;
use crate::error::Error;
use crate::messages;
use crate::meta::{Kind, Meta};
use crate::source::Which;
use crate::statistics;
use crate::text;

/// The directory of files about the mount.
const DIRECTORY: &str = ".npyfs";

/// The last messages that the caller may read.
const LOG: &str = "log";

/// What has been done, counted. Everybody may read it: it names no file.
const STATISTICS: &str = "stats.json";

#[derive(Debug)]
struct MountDirectory;

#[derive(Debug)]
enum MountFile {
    /// `.npyfs/log`
    Log,
    /// `.npyfs/stats.json`
    Statistics,
    /// `USAGE.txt`: the names that a mount has
    Usage,
}

/// What a name means in the mount's root, where the source has no entry of this name.
pub(super) fn in_root(name: &OsStr) -> Option<Node> {
    match name.to_str()? {
        DIRECTORY => Some(Node::Directory(Arc::new(MountDirectory))),
        USAGE => Some(Node::File(Arc::new(MountFile::Usage))),
        _ => None,
    }
}

impl Directory for MountDirectory {
    fn backing(&self) -> Backing<'_> {
        Backing::Mount
    }

    fn lookup(self: Arc<Self>, _tree: &Tree, name: &OsStr) -> Result<Found, Error> {
        let file = match name.to_str() {
            Some(LOG) => MountFile::Log,
            Some(STATISTICS) => MountFile::Statistics,
            _ => return Err(Error::not_found("there is no such file")),
        };
        Ok((Node::File(Arc::new(file)), None))
    }

    fn list(self: Arc<Self>, _tree: &Tree, _known: Known<'_>) -> Result<Listing, Error> {
        Ok(Listing::Made(Made::of([LOG, STATISTICS].map(|name| (name.into(), Kind::File)))))
    }

    fn describe(self: Arc<Self>, _tree: &Tree) -> Result<Described, Error> {
        Ok(Described::no_array("a directory about the mount itself"))
    }

    fn shown(&self) -> String {
        DIRECTORY.to_owned()
    }
}

impl File for MountFile {
    fn backing(&self) -> Backing<'_> {
        Backing::Mount
    }

    /// The length of the log depends on who opens it, and when; that of the statistics on when.
    fn len(&self, _behind: &Meta) -> u64 {
        match self {
            MountFile::Log | MountFile::Statistics => 0,
            MountFile::Usage => text::NAMESPACE.len() as u64,
        }
    }

    fn open(&self, tree: &Tree, caller: Caller, _which: Which) -> Result<Content, Error> {
        Ok(match self {
            MountFile::Log => Content::Report(messages::seen_by(caller.user)),
            MountFile::Statistics => {
                let (files, maps) = tree.source.files().in_use();
                Content::Report(statistics::STATISTICS.json(files, maps))
            }
            MountFile::Usage => Content::Text(text::NAMESPACE.to_owned()),
        })
    }

    fn describe(&self, _tree: &Tree) -> Result<Described, Error> {
        Ok(Described::no_array("a file about the mount itself"))
    }

    fn shown(&self) -> String {
        match self {
            MountFile::Log => format!("{DIRECTORY}/{LOG}"),
            MountFile::Statistics => format!("{DIRECTORY}/{STATISTICS}"),
            MountFile::Usage => USAGE.to_owned(),
        }
    }
}
