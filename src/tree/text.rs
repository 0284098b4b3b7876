//! Small texts about arrays. Each is made when it is read: the kernel may remember very many.

use std::sync::Arc;

use super::array::Array;
use super::describe::Described;
use super::listing::{Listing, Made};
use super::node::File;
use super::{Backing, Content, NoArray, Node, Tree};
use crate::caller::Caller;
use crate::encoding::Encoding;
use crate::error::Error;
use crate::meta::{Kind, Meta};
use crate::selection::Group;
use crate::source::{Origin, Unreadable, Which};
use crate::text;

/// What an array is.
pub(super) const HEADER: &str = "header.json";

/// What names there are.
pub(super) const USAGE: &str = "USAGE.txt";

/// Which files an array consists of.
pub(super) const SOURCES: &str = "sources.json";

/// Why something is no array.
const ERROR: &str = "error.txt";

/// A small text about an array, or about what is none.
#[derive(Debug)]
pub(super) struct Text {
    says: Says,
    /// Its bytes.
    len: u64,
}

/// What a text says.
#[derive(Debug)]
enum Says {
    /// What an array is
    Header(Arc<Array>),
    /// What names are in the directory of an array, or in one of selectors
    Usage(Arc<Array>, Option<Group>),
    /// Which files an array consists of
    Sources(Arc<Array>),
    /// Why something is no array
    Error(NoArray),
    /// What the header of something says that is no array
    HeaderOf(NoArray),
}

impl Text {
    fn node(says: Says) -> Node {
        let mut text = Text { says, len: 0 };
        text.len = text.content().len() as u64;
        Node::File(Arc::new(text))
    }

    pub(super) fn header(array: &Arc<Array>) -> Node {
        Text::node(Says::Header(array.clone()))
    }

    pub(super) fn usage(array: &Arc<Array>, group: Option<Group>) -> Node {
        Text::node(Says::Usage(array.clone(), group))
    }

    pub(super) fn sources(array: &Arc<Array>) -> Node {
        Text::node(Says::Sources(array.clone()))
    }

    fn content(&self) -> String {
        match &self.says {
            Says::Header(array) => array.header_json(),
            Says::Sources(array) => array.sources_json().unwrap_or_default(),
            Says::Usage(array, None) => Group::usage_of_array(&array.view),
            Says::Usage(array, Some(group)) => group.usage(&array.view).unwrap_or_default(),
            Says::Error(NoArray { origin, unreadable, .. }) => {
                format!("{}\n", unreadable.sentence(&**origin))
            }
            Says::HeaderOf(NoArray { origin, unreadable, .. }) => {
                let place = place_of(&**origin);
                let header = unreadable.header.as_ref();
                header.map(|h| text::header_json_of_unreadable(&place, h)).unwrap_or_default()
            }
        }
    }
}

/// Where the array of an origin is, which is no other than in one file.
pub(super) fn place_of(origin: &dyn Origin) -> text::Place<'_> {
    let file = origin.file_path().to_string_lossy();
    match origin.member() {
        Some(member) => text::Place::Member { file, member },
        None => text::Place::File(file),
    }
}

/// The entry of this name in the directory of what is no array.
pub(super) fn about_unreadable(no_array: NoArray, name: &str) -> Result<Node, Error> {
    match (name, &no_array.unreadable.header) {
        (ERROR, _) => Ok(Text::node(Says::Error(no_array))),
        (HEADER, Some(_)) => Ok(Text::node(Says::HeaderOf(no_array))),
        // Readers of Zarr may look for chunks beneath it.
        _ if name == "chunks" || Encoding::is_directory(name) => {
            Err(super::zarr::unreadable(&*no_array.origin, &no_array.unreadable))
        }
        _ => Err(Error::not_found(no_array.unreadable.sentence(&*no_array.origin))),
    }
}

/// What the directory of what is no array lists.
pub(super) fn listed_of_unreadable(unreadable: &Unreadable) -> Listing {
    let header = unreadable.header.as_ref().map(|_| HEADER);
    let names = [ERROR].into_iter().chain(header);
    Listing::Made(Made::of(names.map(|name| (name.into(), Kind::File))))
}

impl File for Text {
    fn backing(&self) -> Backing<'_> {
        match &self.says {
            Says::Header(array) | Says::Sources(array) | Says::Usage(array, _) => array.backing(),
            Says::Error(no_array) | Says::HeaderOf(no_array) => Backing::NoArray(no_array),
        }
    }

    fn len(&self, _behind: &Meta) -> u64 {
        self.len
    }

    fn open(&self, tree: &Tree, _caller: Caller, which: Which) -> Result<Content, Error> {
        match &self.says {
            Says::Header(array) | Says::Sources(array) | Says::Usage(array, _) => {
                tree.open_version(&array.origin, &array.version, which)?;
            }
            Says::Error(no_array) | Says::HeaderOf(no_array) => {
                let (version, _) = no_array.origin.version(&tree.source)?;
                let is_still = version.is_err_and(|now| now == no_array.unreadable);
                if which == Which::AtPath && !is_still {
                    return Err(Error::Stale);
                }
            }
        }
        Ok(Content::Text(self.content()))
    }

    fn describe(&self, _tree: &Tree) -> Result<Described, Error> {
        Ok(Described::no_array("a text about an array"))
    }

    fn shown(&self) -> String {
        format!("a text about {}", self.backing().shown())
    }

    fn weight(&self) -> usize {
        match &self.says {
            Says::Header(array) | Says::Sources(array) | Says::Usage(array, _) => {
                super::node::Directory::weight(&**array)
            }
            Says::Error(no_array) | Says::HeaderOf(no_array) => {
                let header = no_array.unreadable.header.as_ref();
                1 + header.map_or(0, |header| 16 * header.data_offset as usize) / super::SLICE
            }
        }
    }
}
