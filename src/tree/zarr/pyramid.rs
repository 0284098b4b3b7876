//! `X.ome.zarr`: an array as an image, whose levels `0`, `1`, … are Zarr arrays of fewer and fewer of its pixels.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::text::{Says, Text};
use super::{ArrayDirectory, Chunked};
use crate::error::Error;
use crate::meta::Kind;
use crate::selection::{Grid, Refusal};
use crate::tree::array::Array;
use crate::tree::describe::Described;
use crate::tree::listing::{Known, Listing, Made};
use crate::tree::node::{Directory, Found};
use crate::tree::{Backing, Node, Tree, as_text};
use crate::view::View;
use crate::zarr::ome::Pyramid;
use crate::zarr::{self, v3};

/// An array as an image.
#[derive(Debug)]
struct Image {
    array: Arc<Array>,
    pyramid: Pyramid,
    chunk_bytes: u64,
}

/// The directory of an image.
#[derive(Debug)]
pub(super) struct PyramidDirectory(Arc<Image>);

impl Image {
    fn level(&self, view: View) -> Chunked {
        let grid = Grid::blocks(&view, self.chunk_bytes);
        Chunked {
            array: self.array.clone(),
            zarr: zarr::Array::new(view, grid),
            dimension_names: self.pyramid.dimension_names(),
        }
    }
}

/// The text `zarr.json` of an image holds those of its levels too.
#[derive(Debug)]
struct Metadata(Arc<Image>);

impl Says for Metadata {
    fn array(&self) -> &Arc<Array> {
        &self.0.array
    }

    fn value(&self) -> Result<Value, Refusal> {
        let pyramid = &self.0.pyramid;
        let levels = (0..pyramid.levels()).filter_map(|k| Some((k, pyramid.level(k)?)));
        let members = levels.map(|(k, view)| Ok((k.to_string(), self.0.level(view).metadata()?)));
        let members = members.collect::<Result<Map<_, _>, _>>()?;
        Ok(v3::group(pyramid.attributes(&self.0.array.name()), Some(members)))
    }

    fn weight(&self) -> usize {
        Directory::weight(&*self.0.array)
    }
}

impl PyramidDirectory {
    pub(super) fn node(array: &Arc<Array>, pyramid: Pyramid, chunk_bytes: u64) -> Node {
        let image = Image { array: array.clone(), pyramid, chunk_bytes };
        Node::Directory(Arc::new(PyramidDirectory(image.into())))
    }

    fn entry(&self, name: &str) -> Result<Node, Error> {
        if name == v3::METADATA {
            return Text::node(Metadata(self.0.clone()));
        }
        let level = self.0.pyramid.level_named(name);
        let level = level.ok_or_else(|| Error::not_found("the image has no such level"))?;
        Ok(ArrayDirectory::node(self.0.level(level)))
    }
}

impl Directory for PyramidDirectory {
    fn backing(&self) -> Backing<'_> {
        self.0.array.backing()
    }

    fn lookup(self: Arc<Self>, tree: &Tree, name: &OsStr) -> Result<Found, Error> {
        let meta = tree.current(&self.0.array.origin, &self.0.array.version)?;
        Ok((self.entry(as_text(name)?)?, Some(meta)))
    }

    fn list(self: Arc<Self>, tree: &Tree, _known: Known<'_>) -> Result<Listing, Error> {
        tree.current(&self.0.array.origin, &self.0.array.version)?;
        let metadata = (OsString::from(v3::METADATA), Kind::File);
        let levels = (0..self.0.pyramid.levels()).map(|k| (k.to_string().into(), Kind::Directory));
        Ok(Listing::Made(Made::of([metadata].into_iter().chain(levels))))
    }

    fn describe(self: Arc<Self>, tree: &Tree) -> Result<Described, Error> {
        Ok(Described::array(tree, self.0.array.clone()))
    }

    fn is_read_only(&self) -> bool {
        true
    }

    fn weight(&self) -> usize {
        1 + Directory::weight(&*self.0.array)
    }
}
