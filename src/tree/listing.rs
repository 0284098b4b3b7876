//! What directories list.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::sync::Arc;

use super::{Node, Tree};
use crate::error::Error;
use crate::meta::Kind;
use crate::source::{self, DirectoryVersion};

/// What a reader may know that a version of a source directory lists.
pub type Known<'a> = &'a dyn Fn(&DirectoryVersion) -> Option<Arc<source::Listing>>;

/// The entries of a directory. Each has a position, so that a reader can go on after any of them.
#[derive(Debug)]
pub enum Listing {
    /// Of a directory of the source, in this version of it
    Source(Arc<source::Listing>, DirectoryVersion),
    /// Of a directory that npyfs makes
    Made(Made),
}

/// A listing that npyfs makes: a few entries that are noted, and then any number of places, whose names are made
/// while they are read, so that a long listing takes no memory.
#[derive(Debug)]
pub struct Made {
    noted: Vec<(OsString, Kind)>,
    places: Option<Box<dyn Places>>,
    is_kept: bool,
}

/// Places that entries can be at.
pub trait Places: fmt::Debug + Send + Sync {
    /// How many there are.
    fn count(&self) -> u64;

    /// The entry at a place; not every place has one.
    fn at(&self, place: u64) -> Option<(OsString, Kind)>;
}

/// The entries `.` and `..` come before all others, at the positions 1 and 2.
pub const DOTS: u64 = 2;

/// An entry: its position, its name and its kind.
pub type Listed<'a> = (u64, Cow<'a, OsStr>, Kind);

impl Listing {
    /// The entries after a position.
    pub fn entries_after(&self, after: u64) -> Box<dyn Iterator<Item = Listed<'_>> + '_> {
        match self {
            Listing::Source(listing, _) => Box::new(listing.entries_after(after)),
            Listing::Made(made) => Box::new(made.entries_after(after)),
        }
    }
}

impl Made {
    /// These entries.
    pub fn of(noted: impl IntoIterator<Item = (OsString, Kind)>) -> Made {
        Made { noted: noted.into_iter().collect(), places: None, is_kept: true }
    }

    /// These entries, and then those of `places`.
    pub fn then(self, places: impl Places + 'static) -> Made {
        Made { places: Some(Box::new(places)), ..self }
    }

    /// The same, but made anew each time that a reader goes on: whoever only has a directory open must not keep the
    /// memory that it takes.
    pub fn not_kept(self) -> Made {
        Made { is_kept: false, ..self }
    }

    /// Whether a reader who goes on keeps it.
    pub fn is_kept(&self) -> bool {
        self.is_kept
    }

    fn entries_after(&self, after: u64) -> impl Iterator<Item = Listed<'_>> {
        let places = self.places.as_ref().map_or(0, |places| places.count());
        let places = places.saturating_add(self.noted.len() as u64);
        (after.saturating_sub(DOTS)..places).filter_map(|place| {
            let (name, kind) = self.at(place)?;
            Some((place + DOTS + 1, name, kind))
        })
    }

    fn at(&self, place: u64) -> Option<(Cow<'_, OsStr>, Kind)> {
        let Some(place) = place.checked_sub(self.noted.len() as u64) else {
            let (name, kind) = self.noted.get(place as usize)?;
            return Some((Cow::Borrowed(name), *kind));
        };
        let (name, kind) = self.places.as_ref()?.at(place)?;
        Some((Cow::Owned(name), kind))
    }
}

impl Tree {
    /// Fails if a node cannot be listed.
    pub fn check_listable(&self, node: &Node) -> Result<(), Error> {
        match node {
            Node::Directory(directory) => directory.clone().check_listable(self),
            _ => Err(Error::NotADirectory),
        }
    }

    /// What a directory lists.
    pub fn list(&self, node: &Node) -> Result<Listing, Error> {
        self.list_known(node, &|_| None)
    }

    /// The same, for a reader that may know it.
    pub fn list_known(&self, node: &Node, known: Known<'_>) -> Result<Listing, Error> {
        match node {
            Node::Directory(directory) => directory.clone().list(self, known),
            _ => Err(Error::NotADirectory),
        }
    }
}
