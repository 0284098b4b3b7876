//! What directories list.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use super::text::USAGE;
use super::{Control, Node, Selection, Tree};
use crate::encoding::Encoding;
use crate::error::Error;
use crate::meta::Kind;
use crate::selection::Group;
use crate::source::{self, DirectoryVersion};

/// The entries of a directory. Each has a position, so that a reader can go on after any of them.
#[derive(Debug)]
pub enum Listing {
    /// Of a directory of the source
    Source(Arc<source::Listing>),
    /// Of the directory of an array, or one of selectors
    Made(Made),
}

/// A listing that we make. Names of selectors are made while they are read, so a long listing takes no
/// memory.
#[derive(Debug)]
pub struct Made {
    noted: Vec<(OsString, Kind)>,
    selectors: Option<Selectors>,
}

#[derive(Debug)]
struct Selectors {
    selection: Arc<Selection>,
    group: Group,
    places: u64,
    tile_bytes: u64,
}

/// The entries `.` and `..` come before all others, at the positions 1 and 2.
pub const DOTS: u64 = 2;

impl Listing {
    /// The entries after a position, each with its own position.
    pub fn entries_after(
        &self,
        after: u64,
    ) -> Box<dyn Iterator<Item = (u64, Cow<'_, OsStr>, Kind)> + '_> {
        match self {
            Listing::Source(listing) => Box::new(listing.entries_after(after)),
            Listing::Made(made) => Box::new(made.entries_after(after)),
        }
    }
}

impl Made {
    /// Each place has a position, but not every place has an entry.
    fn entries_after(&self, after: u64) -> impl Iterator<Item = (u64, Cow<'_, OsStr>, Kind)> {
        let places = self.selectors.as_ref().map_or(0, |selectors| selectors.places);
        let places = places.saturating_add(self.noted.len() as u64);
        (after.saturating_sub(DOTS)..places).filter_map(|place| {
            let (name, kind) = self.at(place)?;
            Some((place + DOTS + 1, name, kind))
        })
    }

    fn at(&self, place: u64) -> Option<(Cow<'_, OsStr>, Kind)> {
        let noted = self.noted.len() as u64;
        let Some(place) = place.checked_sub(noted) else {
            let (name, kind) = self.noted.get(place as usize)?;
            return Some((Cow::Borrowed(name), *kind));
        };
        let selectors = self.selectors.as_ref()?;
        let view = &selectors.selection.view;
        let stem = selectors.group.listed_at(place, view, selectors.tile_bytes)?;
        Some((Cow::Owned(OsString::from(stem + Encoding::Npy.extension())), Kind::File))
    }
}

fn noted<N: Into<OsString>>(
    names: impl IntoIterator<Item = N>,
    kind: Kind,
) -> impl Iterator<Item = (OsString, Kind)> {
    names.into_iter().map(move |name| (name.into(), kind))
}

impl Tree {
    /// Fails if a node cannot be listed.
    pub fn check_listable(&self, node: &Node) -> Result<(), Error> {
        match node {
            Node::Directory(directory) => self.source.check_listable(directory),
            other => self.list(other).map(drop),
        }
    }

    /// What a directory lists.
    pub fn list(&self, node: &Node) -> Result<Listing, Error> {
        self.list_known(node, |_| None).map(|(listing, _)| listing)
    }

    /// The same, for a reader that may know what a version of a source directory lists. It comes with that
    /// version, if it is one.
    pub fn list_known(
        &self,
        node: &Node,
        known: impl FnOnce(&DirectoryVersion) -> Option<Arc<source::Listing>>,
    ) -> Result<(Listing, Option<DirectoryVersion>), Error> {
        let made = match node {
            Node::Directory(directory) => {
                let (listing, version) = self.source.list(directory, known)?;
                return Ok((Listing::Source(listing), Some(version)));
            }
            Node::ArrayFile(file) => match self.source.array(file)?.0 {
                Ok(root) => of_array(&Selection::whole(file, root)),
                Err(unreadable) => {
                    let header = unreadable.header.as_ref().map(|_| "header.json");
                    let names = ["error.txt"].into_iter().chain(header);
                    Made { noted: noted(names, Kind::File).collect(), selectors: None }
                }
            },
            Node::Selection(selection) => {
                self.current(selection)?;
                of_array(selection)
            }
            Node::Group(selection, group) => {
                self.current(selection)?;
                let usage = group.has_usage().then_some(USAGE);
                let tile_bytes = self.options.tile_bytes;
                // Parts and windows stay: no walk leads there, so whoever lists them wants them.
                let is_walked = matches!(group, Group::Axis(_) | Group::Fields);
                let selectors = (!(self.options.no_tiles && is_walked)).then(|| Selectors {
                    places: group.places(&selection.view, tile_bytes),
                    selection: selection.clone(),
                    group: group.clone(),
                    tile_bytes,
                });
                Made { noted: noted(usage, Kind::File).collect(), selectors }
            }
            Node::Control(Control::Directory) => {
                let noted = noted(Control::listed(), Kind::File).collect();
                Made { noted, selectors: None }
            }
            Node::File(..)
            | Node::Symlink(..)
            | Node::Encoded(..)
            | Node::Text(..)
            | Node::Control(_) => return Err(Error::NotADirectory),
        };
        Ok((Listing::Made(made), None))
    }
}

fn of_array(selection: &Selection) -> Made {
    let texts = noted(["header.json", USAGE], Kind::File);
    let groups = noted(Group::listed(&selection.view), Kind::Directory);
    Made { noted: texts.chain(groups).collect(), selectors: None }
}
