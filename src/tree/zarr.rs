//! Zarr: arrays, groups of them and images as directories that any reader of Zarr opens.
//!
//! What is in them follows from the module [`crate::zarr`]; here is what they are as directories. They are
//! read-only, on writable mounts too, and list nothing that Zarr does not know.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::array::{Array, WHOLE};
use super::{Backing, Node, Options};
use crate::encoding::Encoding;
use crate::error::Error;
use crate::selection::{Grid, Refusal};
use crate::source::{Origin, Unreadable};
use crate::zarr::ome::Pyramid;
use crate::zarr::{self, v2, v3};

mod array;
mod group;
mod members;
mod pyramid;
mod text;

use array::ArrayDirectory;
pub(super) use group::in_mirror;
use pyramid::PyramidDirectory;

/// What is said of a file here that is to be written.
const READ_ONLY: &str = "what is in a .zarr directory is read-only; write the array's .npy or .raw";

/// An array in chunks, with what Zarr has to know of it.
#[derive(Debug)]
struct Chunked {
    /// The array that it was made of; a level of a pyramid is a part of that.
    array: Arc<Array>,
    zarr: zarr::Array,
    dimension_names: Vec<String>,
}

impl Chunked {
    /// An array in the chunks of a grid, if Zarr can hold it.
    fn new(array: &Arc<Array>, grid: Grid) -> Result<Chunked, Refusal> {
        let view = array.view.clone();
        Encoding::Zarr.check(&view)?;
        let stem = array.name();
        let dimension_names = (0..view.ndim()).map(|axis| format!("{stem}_{axis}")).collect();
        Ok(Chunked { array: array.clone(), zarr: zarr::Array::new(view, grid), dimension_names })
    }

    /// An array in blocks.
    fn in_blocks(array: &Arc<Array>, options: &Options) -> Result<Chunked, Refusal> {
        Chunked::new(array, Grid::blocks(&array.view, options.chunk_bytes))
    }

    /// Its `zarr.json`.
    fn metadata(&self) -> Result<Value, Refusal> {
        v3::array(&self.zarr, &self.dimension_names, Map::new())
    }

    /// Its `.zarray`.
    fn metadata_v2(&self) -> Result<Value, Refusal> {
        v2::array(&self.zarr)
    }

    /// Its `.zattrs`.
    fn attributes_v2(&self) -> Value {
        v2::attributes(&self.dimension_names, Map::new())
    }

    /// Its memory, as a multiple of what a slice takes.
    fn weight(&self) -> usize {
        let names: usize = self.dimension_names.iter().map(String::len).sum();
        let per_axis = size_of::<String>() + 6 * size_of::<u64>();
        1 + (names + self.dimension_names.len() * per_axis) / super::SLICE
    }
}

/// What is said of a chunk that an array does not have: of one that was replaced, perhaps.
fn no_chunk(array: &Array) -> Error {
    let why = "the array has no such chunk (if it was replaced, open it again)".to_owned();
    Error::NoData { file: array.backing().shown(), why }
}

/// What was to be an array in Zarr, and is none: while a file is being written, for instance. Its chunks must not
/// seem to be missing.
pub(super) fn unreadable(origin: &dyn Origin, unreadable: &Unreadable) -> Error {
    let file = Backing::shown_path(origin.path());
    Error::NoData { file, why: unreadable.why.clone() }
}

impl Array {
    /// What it is called where Zarr wants a name: by its file, and by its expression if it is not all of
    /// that. No two views of a source have the same name by that, so the names of their axes never clash in
    /// a dataset.
    pub fn name(&self) -> String {
        let file = self.origin.path().file_name().unwrap_or_default().to_string_lossy();
        let stem = file.strip_suffix(Encoding::LISTED.extension()).unwrap_or(&file);
        let selected = self.expression.strip_prefix(WHOLE).unwrap_or(&self.expression);
        format!("{stem}{selected}")
    }

    /// This array as a directory in an encoding that is one.
    pub(super) fn as_zarr(self: &Arc<Self>, options: &Options) -> Result<Node, Error> {
        let chunked = Chunked::in_blocks(self, options).map_err(Error::NotFound)?;
        Ok(ArrayDirectory::node(chunked))
    }

    /// This array in the chunks of a grid.
    pub(super) fn in_chunks(self: &Arc<Self>, grid: Grid) -> Result<Node, Error> {
        Ok(ArrayDirectory::node(Chunked::new(self, grid).map_err(Error::NotFound)?))
    }

    /// This array as an image.
    pub(super) fn as_image(self: &Arc<Self>, options: &Options) -> Result<Node, Error> {
        let image =
            Encoding::OmeZarr.check(&self.view).and_then(|()| Pyramid::new(self.view.clone()));
        let image = image.map_err(Error::NotFound)?;
        Ok(PyramidDirectory::node(self, image, options.chunk_bytes))
    }
}
