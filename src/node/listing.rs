//! What directories list.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use super::{Control, Node, Selection, Tree};
use crate::encoding::Encoding;
use crate::error::Error;
use crate::meta::Kind;
use crate::selection::Group;
use crate::source::Entry;

/// The entries of a directory, each at a place of its own, so that a reader can go on from any.
///
/// Entries of the source are noted as they were when the directory was opened. Those of a group are
/// made as they are read, so a listing costs no memory however long it is.
#[derive(Debug)]
pub struct Listing {
    noted: Vec<Entry>,
    made: Option<Made>,
}

#[derive(Debug)]
struct Made {
    selection: Arc<Selection>,
    group: Group,
    places: u64,
    tile_bytes: u64,
}

impl Listing {
    /// How many places there are. Not every one has an entry.
    pub fn places(&self) -> u64 {
        self.noted.len() as u64 + self.made.as_ref().map_or(0, |made| made.places)
    }

    /// The name and the kind of the entry at a place.
    pub fn at(&self, place: u64) -> Option<(Cow<'_, OsStr>, Kind)> {
        if let Some(entry) = usize::try_from(place).ok().and_then(|place| self.noted.get(place)) {
            return Some((Cow::Borrowed(&entry.name), entry.kind));
        }
        let made = self.made.as_ref()?;
        let place = place.checked_sub(self.noted.len() as u64).filter(|&p| p < made.places)?;
        let stem = made.group.listed_at(place, &made.selection.view, made.tile_bytes)?;
        let name = OsString::from(stem + Encoding::Npy.extension());
        Some((Cow::Owned(name), Kind::File))
    }

    fn of(names: impl IntoIterator<Item = impl AsRef<OsStr>>, kind: Kind) -> Vec<Entry> {
        names.into_iter().map(|name| Entry { name: name.as_ref().to_owned(), kind }).collect()
    }
}

impl Tree {
    /// What a directory lists.
    pub fn list(&self, node: &Node) -> Result<Listing, Error> {
        let (noted, made) = match node {
            Node::Directory(directory) => (self.source.list(directory)?, None),
            Node::ArrayFile(file) => match self.source.array(file)?.0 {
                Ok(root) => (of_array(&Selection::whole(file, root)), None),
                Err(unreadable) => {
                    let header = unreadable.header.as_ref().map(|_| "header.json");
                    (Listing::of(["error.txt"].into_iter().chain(header), Kind::File), None)
                }
            },
            Node::Selection(selection) => {
                self.current(selection)?;
                (of_array(selection), None)
            }
            Node::Group(selection, group) => {
                self.current(selection)?;
                let usage = group.usage(&selection.view).map(|_| "USAGE.txt");
                let tile_bytes = self.options.tile_bytes;
                let made = Made {
                    places: group.places(&selection.view, tile_bytes),
                    selection: selection.clone(),
                    group: group.clone(),
                    tile_bytes,
                };
                (Listing::of(usage, Kind::File), Some(made))
            }
            Node::Control(Control::Directory) => (Listing::of(Control::listed(), Kind::File), None),
            Node::File(..)
            | Node::Symlink(..)
            | Node::Encoded(..)
            | Node::Text(..)
            | Node::Control(_) => return Err(Error::NotADirectory),
        };
        Ok(Listing { noted, made })
    }
}

fn of_array(selection: &Selection) -> Vec<Entry> {
    let mut entries = Listing::of(["header.json"], Kind::File);
    entries.extend(Listing::of(Group::listed(&selection.view), Kind::Directory));
    entries
}
