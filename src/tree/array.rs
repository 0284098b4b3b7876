//! Arrays: those of the source, and every selection of one; and their directories.

use std::ffi::OsStr;
use std::sync::Arc;

use super::describe::Described;
use super::encoded::Encoded;
use super::group::GroupDirectory;
use super::listing::{Known, Listing, Made};
use super::node::{Directory, Found};
use super::text::{HEADER, SOURCES, Text, USAGE, about_unreadable, place_of};
use super::{Backing, NoArray, Node, Options, Tree, as_text};
use crate::encoding::Encoding;
use crate::error::Error;
use crate::meta::Kind;
use crate::selection::{Group, Selector};
use crate::source::{Origin, Shards, Version};
use crate::text::{self, Place};
use crate::view::View;

/// The expression of an origin's whole array.
pub(super) const WHOLE: &str = "a";

/// The longest expression of a directory, in bytes: about as long as a path can be. Selections of selections
/// could otherwise take memory without end. The expression of a file is longer by its name's part.
const MAX_EXPRESSION: usize = 4096;

/// An array reached by a path: all of one in the source, or a selection of it.
#[derive(Debug)]
pub struct Array {
    /// Where it was looked up.
    pub(super) origin: Arc<dyn Origin>,
    /// What was found there.
    pub(super) version: Arc<Version>,
    /// The elements that are selected.
    pub(super) view: View,
    /// The Python expression for them, in terms of the whole array `a`.
    pub(super) expression: String,
}

impl Array {
    /// The whole array of a version.
    pub(super) fn whole(origin: &Arc<dyn Origin>, version: Arc<Version>) -> Array {
        let view = version.view.clone();
        Array { origin: origin.clone(), version, view, expression: WHOLE.to_owned() }
    }

    /// What a selector selects of this.
    pub(super) fn select(&self, selector: &Selector) -> Result<Array, Error> {
        let view = selector.apply(&self.view).map_err(Error::NotFound)?;
        let expression = self.expression.clone() + &selector.expression(&self.view);
        let (origin, version) = (self.origin.clone(), self.version.clone());
        Ok(Array { origin, version, view, expression })
    }

    /// The elements that are selected.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The Python expression for them, in terms of the whole array `a`.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// Whether it is the whole array.
    pub fn is_whole(&self) -> bool {
        self.expression == WHOLE
    }

    /// Where it was looked up.
    pub fn origin(&self) -> &Arc<dyn Origin> {
        &self.origin
    }

    /// What was found there.
    pub fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// The text of its `header.json`.
    pub fn header_json(&self) -> String {
        let place = match &self.version.joined {
            Some(shards) => Place::Joined {
                directory: shards.directory().to_string_lossy(),
                files: shards.count(),
            },
            None => place_of(&*self.origin),
        };
        text::header_json(&place, &self.expression, self.version.header.version, &self.view)
    }

    /// The text of its `sources.json`, if it is all of many files.
    pub(super) fn sources_json(&self) -> Option<String> {
        let shards = self.sources()?;
        let files = shards
            .iter()
            .map(|(name, start, stop, offset)| (name.to_string_lossy(), start, stop, offset));
        let directory = shards.directory().to_string_lossy();
        Some(text::sources_json(&directory, shards.order(), files))
    }

    /// The files that it is all of, if it is many.
    fn sources(&self) -> Option<&Arc<Shards>> {
        self.version.joined.as_ref().filter(|_| self.is_whole())
    }

    /// What is behind every node of it.
    pub(super) fn backing(&self) -> Backing<'_> {
        Backing::Version(&self.origin, &self.version)
    }

    /// What a selector selects of an array: a file, or a directory if there is no encoding.
    pub(super) fn selected(
        self: &Arc<Self>,
        selector: Selector,
        encoding: Option<Encoding>,
        options: &Options,
    ) -> Result<Node, Error> {
        if let Some(Encoding::File(encoding)) = encoding {
            return Encoded::node(self, Some(selector), encoding);
        }
        let inner = self.select(&selector)?;
        if inner.expression.len() > MAX_EXPRESSION {
            return Err(Error::NameTooLong);
        }
        match encoding {
            Some(encoding) => Arc::new(inner).encoded(encoding, options),
            None => Ok(Node::Directory(Arc::new(inner))),
        }
    }

    /// All of this in an encoding.
    pub(super) fn encoded(
        self: &Arc<Self>,
        encoding: Encoding,
        options: &Options,
    ) -> Result<Node, Error> {
        match encoding {
            Encoding::File(encoding) => Encoded::node(self, None, encoding),
            Encoding::Zarr => self.as_zarr(options),
            Encoding::OmeZarr => self.as_image(options),
        }
    }

    /// The entry of this name in its directory.
    fn entry(self: &Arc<Self>, name: &str, options: &Options) -> Result<Node, Error> {
        match name {
            HEADER => return Ok(Text::header(self)),
            USAGE => return Ok(Text::usage(self, None)),
            SOURCES if self.sources().is_some() => return Ok(Text::sources(self)),
            _ => {}
        }
        if let Ok(group) = Group::named(name, &self.view) {
            return Ok(GroupDirectory::node(self, group));
        }
        let (selector, encoding) = match Encoding::strip(name) {
            Some((stem, encoding)) => (Selector::named(stem), Some(encoding)),
            None => (Selector::named(name), None),
        };
        match selector {
            Ok(selector) => self.selected(selector, encoding, options),
            // If it is no selector either, the reason why it is no group says more.
            Err(refusal) => {
                Err(Error::NotFound(Group::named(name, &self.view).err().unwrap_or(refusal)))
            }
        }
    }

    /// What its directory lists.
    fn listing(&self) -> Listing {
        let sources = self.sources().map(|_| SOURCES);
        let texts = [HEADER, USAGE].into_iter().chain(sources);
        let texts = texts.map(|name| (name.into(), Kind::File));
        let groups = Group::listed(&self.view).into_iter();
        let groups = groups.map(|name| (name.into(), Kind::Directory));
        Listing::Made(Made::of(texts.chain(groups)))
    }
}

/// The directory of an array, or of a selection.
impl Directory for Array {
    fn backing(&self) -> Backing<'_> {
        self.backing()
    }

    fn lookup(self: Arc<Self>, tree: &Tree, name: &OsStr) -> Result<Found, Error> {
        let meta = tree.current(&self.origin, &self.version)?;
        Ok((self.entry(as_text(name)?, &tree.options)?, Some(meta)))
    }

    fn list(self: Arc<Self>, tree: &Tree, _known: Known<'_>) -> Result<Listing, Error> {
        tree.current(&self.origin, &self.version)?;
        Ok(self.listing())
    }

    fn describe(self: Arc<Self>, tree: &Tree) -> Result<Described, Error> {
        Ok(Described::array(tree, self))
    }

    /// The whole array keeps the header even when the file is closed; selections of it share that.
    fn weight(&self) -> usize {
        let axes = self.view.ndim() * (size_of::<u64>() + size_of::<i64>());
        let header = if self.is_whole() { self.version.footprint() } else { 0 };
        1 + (axes + self.expression.len() + header) / super::SLICE
    }
}

/// The directory `X` beside `X.npy`: of whatever array is there. The header is read when something in it is
/// asked for.
#[derive(Debug)]
pub(super) struct OriginDirectory(Arc<dyn Origin>);

impl OriginDirectory {
    pub(super) fn new(origin: impl Origin + 'static) -> OriginDirectory {
        OriginDirectory(Arc::new(origin))
    }
}

impl Directory for OriginDirectory {
    fn backing(&self) -> Backing<'_> {
        Backing::Array(&self.0)
    }

    fn lookup(self: Arc<Self>, tree: &Tree, name: &OsStr) -> Result<Found, Error> {
        let (version, meta) = self.0.version(&tree.source)?;
        let name = as_text(name)?;
        let node = match version {
            Ok(version) => {
                let whole = Arc::new(Array::whole(&self.0, version));
                // Where the mount is one array, nothing stands beside it.
                match Encoding::strip(name) {
                    Some(("", encoding)) if tree.source.is_single(self.0.path()) => {
                        whole.encoded(encoding, &tree.options)?
                    }
                    _ => whole.entry(name, &tree.options)?,
                }
            }
            Err(unreadable) => {
                let origin = self.0.clone();
                tree.note_refused(&*origin, &unreadable, &meta);
                about_unreadable(NoArray { origin, unreadable, meta }, name)?
            }
        };
        Ok((node, Some(meta)))
    }

    fn list(self: Arc<Self>, tree: &Tree, _known: Known<'_>) -> Result<Listing, Error> {
        Ok(match self.0.version(&tree.source)?.0 {
            Ok(version) => Array::whole(&self.0, version).listing(),
            Err(unreadable) => super::text::listed_of_unreadable(&unreadable),
        })
    }

    fn describe(self: Arc<Self>, tree: &Tree) -> Result<Described, Error> {
        Ok(Described::of_version(tree, &self.0, self.0.version(&tree.source)?.0, None))
    }
}
