//! The chunks of Zarr arrays against a naive model: nested loops over the array, and zeros around it.

mod common;

use std::io;
use std::sync::Arc;

use common::model::{cases, indices};
use npyfs::npy::dtype::DType;
use npyfs::npy::header::{Header, Order};
use npyfs::selection::Grid;
use npyfs::storage::{ReadError, Storage};
use npyfs::view::{Steps, View};
use npyfs::zarr::Array;
use proptest::prelude::*;
use proptest::sample::Index;

/// Bytes that come before the array.
const DATA_OFFSET: u64 = 7;

/// A storage whose address `at` holds `byte_at(at)`.
#[derive(Debug)]
struct Memory {
    size: u64,
}

/// Never zero, which is what padding is.
fn byte_at(at: u64) -> u8 {
    (at.wrapping_mul(0x9E37_79B9) >> 13) as u8 | 1
}

impl Storage for Memory {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), ReadError> {
        if at + out.len() as u64 > self.size {
            return Err(ReadError::Short { has: self.size });
        }
        out.iter_mut().zip(at..).for_each(|(byte, at)| *byte = byte_at(at));
        Ok(())
    }

    fn read_now(&self, _: u64, _: &mut [u8]) -> bool {
        false
    }
}

prop_compose! {
    fn whole_array()(
        shape in prop::collection::vec(0u64..8, 0..5),
        itemsize in 1u64..10,
        fortran: bool,
    ) -> View {
        let header = Header {
            version: (1, 0),
            dtype: Arc::new(DType::Scalar(format!("|V{itemsize}").parse().unwrap())),
            order: if fortran { Order::Fortran } else { Order::C },
            shape,
            data_offset: DATA_OFFSET,
        };
        View::of_header(&header).unwrap()
    }
}

prop_compose! {
    /// An array, or some of its positions, backwards too.
    fn some_view()(
        array in whole_array(),
        picks in prop::collection::vec((0u64..8, -3i64..4, 0u64..8), 0..5),
        transpose: bool,
    ) -> View {
        let picked = picks.into_iter().enumerate().fold(array, |view, (axis, (start, step, len))| {
            view.steps(axis, Steps { start, step, len }).unwrap_or(view)
        });
        if transpose { picked.transposed() } else { picked }
    }
}

/// A grid of blocks of so many bytes, or one that is named.
#[derive(Clone, Debug)]
enum Cut {
    Blocks(u64),
    Named(Vec<u64>),
}

fn some_cut() -> impl Strategy<Value = Cut> {
    prop_oneof![
        (0u64..300).prop_map(Cut::Blocks),
        prop::collection::vec(1u64..10, 4).prop_map(Cut::Named),
    ]
}

impl Cut {
    fn grid(&self, view: &View) -> Grid {
        match self {
            Cut::Named(chunk) if view.ndim() > 0 => {
                let name: Vec<String> =
                    chunk.iter().take(view.ndim()).map(u64::to_string).collect();
                Grid::named(&name.join(","), view).unwrap()
            }
            Cut::Named(_) => Grid::blocks(view, 1),
            Cut::Blocks(bytes) => Grid::blocks(view, *bytes),
        }
    }
}

/// The bytes of a chunk.
fn model(view: &View, chunk_shape: &[u64], chunk: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for place in indices(chunk_shape, view.order()) {
        let axes = place.iter().zip(chunk).zip(chunk_shape);
        let index: Vec<u64> = axes.map(|((place, chunk), len)| chunk * len + place).collect();
        let is_inside = index.iter().zip(view.shape()).all(|(i, len)| i < len);
        let steps = index.iter().zip(view.strides()).map(|(&i, stride)| i as i64 * stride);
        let address = view.offset() as i64 + steps.sum::<i64>();
        for within in 0..view.dtype().itemsize() {
            bytes.push(if is_inside { byte_at(address as u64 + within) } else { 0 });
        }
    }
    bytes
}

fn read(array: &Array, chunk: &[u64], at: u64, len: u64) -> Vec<u8> {
    let storage = Memory { size: array.view().data().end };
    let layout = array.chunk(chunk).unwrap();
    layout.read_at(&storage, at, len as usize, <[u8]>::to_vec).unwrap()
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn a_chunk_holds_its_elements_and_zeros(
        view in some_view(),
        cut in some_cut(),
        at: Index,
        len: Index,
    ) {
        let grid = cut.grid(&view);
        let chunk_shape = grid.chunk_shape();
        let array = Array::new(view.clone(), grid);
        for chunk in indices(&array.grid().counts(), Order::C) {
            let expected = model(&view, &chunk_shape, &chunk);
            prop_assert_eq!(array.chunk_len(), expected.len() as u64);
            prop_assert_eq!(array.chunk(&chunk).unwrap().len(), array.chunk_len());
            prop_assert_eq!(&read(&array, &chunk, 0, u64::MAX >> 1), &expected);
            let at = at.index(expected.len());
            let end = at + len.index(expected.len() - at + 1);
            prop_assert_eq!(&read(&array, &chunk, at as u64, (end - at) as u64), &expected[at..end]);
        }
    }

    #[test]
    fn the_chunks_of_a_grid_are_the_array(view in some_view(), cut in some_cut()) {
        let grid = cut.grid(&view);
        let sizes = indices(&grid.counts(), Order::C).into_iter().map(|chunk| {
            let chunk = grid.chunk(&view, &chunk).unwrap();
            assert!(chunk.size() > 0);
            chunk.size()
        });
        prop_assert_eq!(sizes.sum::<u64>(), view.size());
        for (axis, count) in grid.counts().into_iter().enumerate() {
            let mut outside = vec![0; view.ndim()];
            outside[axis] = count;
            prop_assert_eq!(grid.chunk(&view, &outside), None);
        }
    }

    #[test]
    fn a_block_lies_together_in_the_file(array in whole_array(), bytes in 0u64..300) {
        let grid = Grid::blocks(&array, bytes);
        for chunk in indices(&grid.counts(), Order::C) {
            let block = grid.chunk(&array, &chunk).unwrap();
            prop_assert!(block.nbytes() <= bytes.max(array.dtype().itemsize()));
            let layout = Array::new(array.clone(), grid.clone()).chunk(&chunk).unwrap();
            let storage = Memory { size: array.data().end };
            let elements = layout.read_at(&storage, 0, block.nbytes() as usize, <[u8]>::to_vec);
            let in_file: Vec<u8> =
                (block.offset()..block.offset() + block.nbytes()).map(byte_at).collect();
            prop_assert_eq!(elements.unwrap(), in_file);
        }
    }
}
