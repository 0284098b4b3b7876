//! Directories of selectors: `rows`, `parts/4`, `fields` and their like.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use super::array::Array;
use super::describe::Described;
use super::listing::{Known, Listing, Made, Places};
use super::node::{Directory, Found};
use super::npy_stack::StackInfo;
use super::text::{Text, USAGE};
use super::{Backing, Node, Options, Tree, as_text};
use crate::encoding::Encoding;
use crate::error::Error;
use crate::meta::Kind;
use crate::selection::{Grid, Group};
use crate::text::npy_stack;

/// A directory of selectors of an array.
#[derive(Debug)]
pub(super) struct GroupDirectory {
    array: Arc<Array>,
    group: Group,
}

impl GroupDirectory {
    pub(super) fn node(array: &Arc<Array>, group: Group) -> Node {
        Node::Directory(Arc::new(GroupDirectory { array: array.clone(), group }))
    }

    fn entry(&self, name: &str, options: &Options) -> Result<Node, Error> {
        let (array, view) = (&self.array, &self.array.view);
        if name == USAGE && self.group.has_usage() {
            return Ok(Text::usage(array, Some(self.group.clone())));
        }
        if let (Group::PartsOf(n), npy_stack::INFO) = (&self.group, name) {
            return StackInfo::node(array, *n);
        }
        if let Some((stem, encoding)) = Encoding::strip(name) {
            if (&self.group, encoding) == (&Group::Chunks, Encoding::Zarr) {
                return array.in_chunks(Grid::named(stem, view).map_err(Error::NotFound)?);
            }
            let selector = self.group.select(stem, view).map_err(Error::NotFound)?;
            return array.selected(selector, Some(encoding), options);
        }
        if self.group.has_groups() {
            let inner = self.group.enter(name, view).map_err(Error::NotFound)?;
            return Ok(GroupDirectory::node(array, inner));
        }
        let selector = self.group.select(name, view).map_err(Error::NotFound)?;
        array.selected(selector, None, options)
    }
}

impl Directory for GroupDirectory {
    fn backing(&self) -> Backing<'_> {
        self.array.backing()
    }

    fn lookup(self: Arc<Self>, tree: &Tree, name: &OsStr) -> Result<Found, Error> {
        let meta = tree.current(&self.array.origin, &self.array.version)?;
        Ok((self.entry(as_text(name)?, &tree.options)?, Some(meta)))
    }

    fn list(self: Arc<Self>, tree: &Tree, _known: Known<'_>) -> Result<Listing, Error> {
        tree.current(&self.array.origin, &self.array.version)?;
        let usage = self.group.has_usage().then(|| (USAGE.into(), Kind::File));
        let made = Made::of(usage);
        // A walk through a whole mount leads to tiles and fields. Whoever lists parts or windows wants them.
        if tree.options.no_tiles && self.group.is_walked() {
            return Ok(Listing::Made(made));
        }
        let tile_bytes = tree.options.tile_bytes;
        Ok(Listing::Made(made.then(Selectors { directory: self, tile_bytes })))
    }

    fn describe(self: Arc<Self>, _tree: &Tree) -> Result<Described, Error> {
        Ok(Described::no_array("a directory of selections"))
    }

    fn weight(&self) -> usize {
        self.array.weight()
    }
}

/// The selectors that a group lists.
#[derive(Debug)]
struct Selectors {
    directory: Arc<GroupDirectory>,
    tile_bytes: u64,
}

impl Places for Selectors {
    fn count(&self) -> u64 {
        let GroupDirectory { array, group } = &*self.directory;
        group.places(&array.view, self.tile_bytes)
    }

    fn at(&self, place: u64) -> Option<(OsString, Kind)> {
        let GroupDirectory { array, group } = &*self.directory;
        let stem = group.listed_at(place, &array.view, self.tile_bytes)?;
        Some(((stem + Encoding::LISTED.extension()).into(), Kind::File))
    }
}
