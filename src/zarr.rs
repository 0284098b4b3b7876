//! Zarr: an array as a directory of chunks, made of nothing but the bytes of the array's file.
//!
//! An [`Array`] is a view and a grid. Each of its chunks is a [`Layout`]: the elements, and zeros up to
//! the size that all chunks have. [`v3`] and [`v2`] write the texts beside the chunks and name the chunks,
//! for the two versions of the format, and [`Format`] is either; [`data_type`] says which dtypes they can hold. [`ome`] makes an
//! image pyramid of an array. [`references`] says where the chunks lie in the array's file. There are no
//! codecs but those that say how the bytes lie.

use crate::layout::{Layout, Segment};
use crate::npy::header::Order;
use crate::selection::Grid;
use crate::view::View;

pub mod data_type;
mod format;
pub mod json;
pub mod ome;
pub mod references;
pub mod v2;
pub mod v3;

pub use format::Format;

/// Bytes of a chunk, unless another number is asked for.
pub const CHUNK_BYTES: u64 = 4 << 20;

/// An array in chunks.
#[derive(Clone, Debug)]
pub struct Array {
    view: View,
    grid: Grid,
    /// The shape of every chunk, at the edges too.
    chunk_shape: Vec<u64>,
    /// Bytes of every chunk.
    chunk_len: u64,
}

impl Array {
    /// `view` in the chunks of its grid.
    pub fn new(view: View, grid: Grid) -> Array {
        let chunk_shape = grid.chunk_shape();
        // A chunk is no larger than the array, unless that is empty and has no chunks.
        let itemsize = view.dtype().itemsize();
        let chunk_len = chunk_shape.iter().fold(itemsize, |len, &axis| len.saturating_mul(axis));
        Array { view, grid, chunk_shape, chunk_len }
    }

    /// The elements.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// How they are cut into chunks.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The order of the elements within a chunk: the array's own, so that a chunk of whole blocks lies
    /// together in its file.
    pub fn order(&self) -> Order {
        self.view.order()
    }

    /// Bytes of a chunk: the same for all.
    pub fn chunk_len(&self) -> u64 {
        self.chunk_len
    }

    /// The bytes of a chunk. `None` where there is no such chunk.
    pub fn chunk(&self, index: &[u64]) -> Option<Layout> {
        let chunk = self.grid.chunk(&self.view, index)?;
        let segment = if *chunk.shape() == *self.chunk_shape {
            Segment::elements(&chunk, self.order())
        } else {
            Segment::padded(&chunk, self.order(), &self.chunk_shape, 0)?
        };
        Layout::new([segment])
    }
}

/// Whether a group can have a member of this name.
pub fn is_node_name(name: &str) -> bool {
    let is_reserved = name.starts_with("__") || name == v3::METADATA;
    !is_reserved && !name.contains('/') && !name.trim_matches('.').is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::dtype::DType;
    use crate::npy::header::Header;
    use std::sync::Arc;

    pub(super) fn view(descr: &str, shape: &[u64], order: Order) -> View {
        let descr = crate::npy::literal::parse(descr, false).unwrap();
        let dtype = Arc::new(DType::from_descr(&descr).unwrap());
        let header =
            Header { version: (1, 0), dtype, order, shape: shape.to_vec(), data_offset: 128 };
        View::of_header(&header).unwrap()
    }

    pub(super) fn array(descr: &str, shape: &[u64], order: Order, chunk: &str) -> Array {
        let view = view(descr, shape, order);
        let grid = Grid::named(chunk, &view).unwrap();
        Array::new(view, grid)
    }

    #[test]
    fn every_chunk_has_the_same_length() {
        let array = array("'<f8'", &[100, 10], Order::C, "30,4");
        assert_eq!(array.chunk_len(), 30 * 4 * 8);
        for index in [[0, 0], [3, 0], [0, 2], [3, 2]] {
            assert_eq!(array.chunk(&index).unwrap().len(), array.chunk_len());
        }
        assert!(array.chunk(&[4, 0]).is_none());
    }

    #[test]
    fn an_empty_array_has_no_chunks() {
        let empty = array("'|V7'", &[0, 1 << 30, 1 << 30], Order::C, "1,9999999999,9999999999");
        assert_eq!((empty.grid().counts(), empty.chunk_len()), (vec![0, 1, 1], 7 << 60));
        assert!(empty.chunk(&[0, 0, 0]).is_none());
    }

    #[test]
    fn an_array_of_any_size_has_chunks() {
        let array = array("'|u1'", &[1 << 31, (1 << 32) - 1], Order::C, "1,1");
        assert_eq!(array.grid().counts(), [1 << 31, (1 << 32) - 1]);
        assert_eq!(array.chunk(&[(1 << 31) - 1, (1 << 32) - 2]).unwrap().len(), 1);
    }

    #[test]
    fn names_that_zarr_reserves_are_no_members() {
        for name in ["", ".", "..", "...", "__x", "zarr.json", "a/b"] {
            assert!(!is_node_name(name), "{name:?}");
        }
        for name in ["a", ".a", "_a", "a b", "é", "c"] {
            assert!(is_node_name(name), "{name:?}");
        }
    }
}
