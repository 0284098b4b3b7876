//! `D.zarr`: all arrays beneath a directory of the source as a group, a tree in which there is nothing but Zarr.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::READ_ONLY;
use super::members::{self, Member};
use crate::caller::Caller;
use crate::error::Error;
use crate::meta::{Kind, Meta};
use crate::source::{self, Entry, Source, Which};
use crate::tree::describe::Described;
use crate::tree::listing::{Known, Listing, Made};
use crate::tree::node::{Directory, File, Found, Target};
use crate::tree::{Backing, Content, Node, Tree, as_text};
use crate::zarr::{json, v2, v3};

/// The directory of a group.
#[derive(Debug)]
pub(super) struct GroupDirectory(Entry);

/// A text about a group. It is made when it is looked up, since its length must be known, and kept: what is in it can
/// be another thing a moment later.
#[derive(Debug)]
struct GroupText {
    group: Entry,
    text: Arc<str>,
}

/// The group beside the directory `stem`; that of the directory itself, if there is no stem.
pub(in crate::tree) fn in_mirror(tree: &Tree, parent: &Entry, stem: &str) -> Result<Found, Error> {
    if stem.is_empty() {
        let meta = tree.source.directory_meta(parent)?;
        return Ok((GroupDirectory::node(parent.clone()), Some(meta)));
    }
    match tree.source.find(parent, OsStr::new(stem))? {
        source::Found::Entry(meta) if meta.kind == Some(Kind::Directory) => {
            let path = Source::path_of(&parent.path, OsStr::new(stem));
            Ok((GroupDirectory::node(Entry { path, id: meta.id }), Some(meta)))
        }
        _ => Err(Error::not_found("there is no such array or directory in the source")),
    }
}

/// `zarr.json` of a group.
pub(super) fn metadata(members: Option<Map<String, Value>>) -> Value {
    v3::group(Map::new(), members)
}

impl GroupDirectory {
    fn node(group: Entry) -> Node {
        Node::Directory(Arc::new(GroupDirectory(group)))
    }

    fn text(&self, value: &Value) -> Node {
        let (group, text) = (self.0.clone(), json::text(value).into());
        Node::File(Arc::new(GroupText { group, text }))
    }
}

impl Directory for GroupDirectory {
    fn backing(&self) -> Backing<'_> {
        Backing::Beneath(&self.0, None)
    }

    fn lookup(self: Arc<Self>, tree: &Tree, name: &OsStr) -> Result<Found, Error> {
        let name = as_text(name)?;
        let text = match name {
            v3::METADATA => metadata(members::consolidated(tree, &self.0)),
            v2::GROUP => v2::group(),
            _ => {
                return Ok(match members::named(tree, &self.0, name)? {
                    Member::Group(group, meta) => (GroupDirectory::node(group), Some(meta)),
                    Member::Array(array, meta) => (array.as_zarr(&tree.options)?, Some(meta)),
                });
            }
        };
        Ok((self.text(&text), Some(tree.source.directory_meta(&self.0)?)))
    }

    fn list(self: Arc<Self>, tree: &Tree, _known: Known<'_>) -> Result<Listing, Error> {
        let metadata = (OsString::from(v3::METADATA), Kind::File);
        let names = members::names(tree, &self.0)?.into_iter();
        let members = names.map(|name| (name.into(), Kind::Directory));
        Ok(Listing::Made(Made::of([metadata].into_iter().chain(members))))
    }

    fn check_listable(self: Arc<Self>, tree: &Tree) -> Result<(), Error> {
        tree.source.check_listable(&self.0)
    }

    fn describe(self: Arc<Self>, _tree: &Tree) -> Result<Described, Error> {
        Ok(Described::no_array("a directory of arrays, as a Zarr group"))
    }

    fn is_read_only(&self) -> bool {
        true
    }
}

impl File for GroupText {
    fn backing(&self) -> Backing<'_> {
        Backing::Beneath(&self.group, Some(&self.text))
    }

    fn len(&self, _behind: &Meta) -> u64 {
        self.text.len() as u64
    }

    fn open(&self, tree: &Tree, _caller: Caller, _which: Which) -> Result<Content, Error> {
        tree.source.directory_meta(&self.group)?;
        Ok(Content::Text(self.text.to_string()))
    }

    fn target(&self, _opened: &Content) -> Result<Target, Error> {
        Err(Error::NotPermitted(format!("{}: {READ_ONLY}", self.backing().shown())))
    }

    fn describe(&self, _tree: &Tree) -> Result<Described, Error> {
        Ok(Described::no_array("a text about a Zarr group"))
    }

    fn shown(&self) -> String {
        format!("a text about {}", self.backing().shown())
    }

    fn weight(&self) -> usize {
        1 + self.text.len() / crate::tree::SLICE
    }
}
