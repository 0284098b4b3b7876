//! Grids: an array cut into chunks of one shape. Chunks at the end of an axis are cut off there.

use std::ops::Range;

use super::{Refusal, counted, number, refuse};
use crate::npy::header::Order;
use crate::view::{Steps, View};

/// The chunks of an array.
///
/// Each axis is cut by itself: chunk `[i, j]` holds the `i`-th stretch of axis 0 and the `j`-th of
/// axis 1. The length of a stretch is from 1 to the axis's length, and 1 where the axis is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    axes: Vec<Axis>,
}

/// How many lengths are tried for one that divides an axis's.
const MAX_TRIED: usize = 1 << 22;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    /// The array's length.
    len: u64,
    /// A chunk's.
    chunk: u64,
}

impl Axis {
    /// Stretches of `chunk` at most, and of the axis's whole length at most.
    fn new(len: u64, chunk: u64) -> Axis {
        Axis { len, chunk: chunk.clamp(1, len.max(1)) }
    }

    fn count(self) -> u64 {
        self.len.div_ceil(self.chunk)
    }
}

impl Grid {
    /// Blocks of at most `bytes`, each of which lies together in memory if the array does: whole
    /// rows; or, where one row is larger, parts of a row; and of an array in Fortran order the same
    /// from its last axis on. An item larger than that is a chunk by itself.
    pub fn blocks(view: &View, bytes: u64) -> Grid {
        // Of nearly one length, so that there is little padding in the last one.
        Grid::cut(view, bytes, |len, most| len.div_ceil(len.div_ceil(most)))
    }

    /// The same, but the length of a block divides the axis's, so that no block needs padding: if that
    /// makes blocks of at least a quarter of `bytes`.
    pub fn even_blocks(view: &View, bytes: u64) -> Grid {
        Grid::cut(view, bytes, |len, most| {
            let lengths = (most.div_ceil(4)..=most).rev().take(MAX_TRIED);
            let divisor = lengths.into_iter().find(|&chunk| len.is_multiple_of(chunk));
            divisor.unwrap_or_else(|| len.div_ceil(len.div_ceil(most)))
        })
    }

    /// Blocks of at most `bytes`: of the axis that is cut, `cut` makes of its length and the longest that
    /// a block can be the one that a block has.
    fn cut(view: &View, bytes: u64, cut: impl Fn(u64, u64) -> u64) -> Grid {
        let mut axes: Vec<Axis> = view.shape().iter().map(|&len| Axis::new(len, 1)).collect();
        // How many items there is room for, from the innermost axis to the outermost.
        let mut room = (bytes / view.dtype().itemsize().max(1)).max(1);
        let shorten = |axis: &mut Axis| {
            let most = Axis::new(axis.len, room).chunk;
            axis.chunk = if most < axis.len { cut(axis.len, most) } else { most };
            room = if most < axis.len { 1 } else { room / most };
        };
        match view.order() {
            Order::C => axes.iter_mut().rev().for_each(shorten),
            Order::Fortran => axes.iter_mut().for_each(shorten),
        }
        Grid { axes }
    }

    /// Chunks of the shape that a name says: `512,512`.
    ///
    /// A length beyond the array's is the array's. (Zarr allows chunks that are larger than the array,
    /// but they would hold the same elements and more padding, of any size.)
    pub fn named(name: &str, view: &View) -> Result<Grid, Refusal> {
        // A number that does not fit 64 bits is beyond any length.
        let length = |text: &str| match number::is_plain(text) && text != "0" {
            true => Some(text.parse().unwrap_or(u64::MAX)),
            false => None,
        };
        let Some(chunk) = name.split(',').map(length).collect::<Option<Vec<u64>>>() else {
            return refuse(format!(
                "{name:?} is not the shape of a chunk: a number from 1 on for each axis, such as 512,512"
            ));
        };
        if chunk.len() != view.ndim() {
            return refuse(format!(
                "{name:?} is the shape of a chunk with {}; the array has {}",
                counted(chunk.len() as u64, "axis", "axes"),
                view.ndim()
            ));
        }
        let axes = view.shape().iter().zip(chunk);
        Ok(Grid { axes: axes.map(|(&len, chunk)| Axis::new(len, chunk)).collect() })
    }

    /// The length of each axis of a whole chunk.
    pub fn chunk_shape(&self) -> Vec<u64> {
        self.axes.iter().map(|axis| axis.chunk).collect()
    }

    /// How many chunks there are along each axis.
    pub fn counts(&self) -> Vec<u64> {
        self.axes.iter().map(|axis| axis.count()).collect()
    }

    /// The positions that a chunk has on each axis; none of them where there is no such chunk.
    pub fn ranges(&self, index: &[u64]) -> impl Iterator<Item = Range<u64>> {
        self.axes.iter().zip(index).map(|(axis, i)| {
            let start = i.saturating_mul(axis.chunk).min(axis.len);
            start..start.saturating_add(axis.chunk).min(axis.len)
        })
    }

    /// Bytes of memory that it takes besides itself.
    pub fn footprint(&self) -> usize {
        size_of_val(&*self.axes)
    }

    /// The elements of a chunk of `view`, the array that this is the grid of. `None` where there is no
    /// such chunk.
    pub fn chunk(&self, view: &View, index: &[u64]) -> Option<View> {
        if index.len() != self.axes.len() {
            return None;
        }
        let mut chunk = view.clone();
        for (k, range) in self.ranges(index).enumerate() {
            let len = range.end - range.start;
            chunk =
                (len > 0).then(|| chunk.steps(k, Steps { start: range.start, step: 1, len }))??;
        }
        Some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::dtype::DType;
    use crate::npy::header::Header;
    use std::sync::Arc;

    fn view(shape: &[u64], order: Order) -> View {
        let dtype = Arc::new(DType::Scalar("<f8".parse().unwrap()));
        let header =
            Header { version: (1, 0), dtype, order, shape: shape.to_vec(), data_offset: 64 };
        View::of_header(&header).unwrap()
    }

    fn blocks(shape: &[u64], order: Order, bytes: u64) -> Vec<u64> {
        Grid::blocks(&view(shape, order), bytes).chunk_shape()
    }

    #[test]
    fn blocks_are_whole_rows_or_parts_of_one() {
        assert_eq!(blocks(&[100, 10, 10], Order::C, 8000), [10, 10, 10]);
        assert_eq!(blocks(&[100, 10, 10], Order::C, 400), [1, 5, 10]);
        assert_eq!(blocks(&[100, 10, 10], Order::C, 24), [1, 1, 3]);
        assert_eq!(blocks(&[100, 10, 10], Order::C, 1), [1, 1, 1]);
        assert_eq!(blocks(&[100, 10, 10], Order::Fortran, 8000), [100, 10, 1]);
        assert_eq!(blocks(&[100, 10, 10], Order::Fortran, 400), [50, 1, 1]);
        assert_eq!(blocks(&[3, 2], Order::C, u64::MAX), [3, 2]);
        assert!(blocks(&[], Order::C, 0).is_empty());
    }

    #[test]
    fn blocks_have_nearly_one_length() {
        assert_eq!(blocks(&[11], Order::C, 80), [6]);
        assert_eq!(blocks(&[1001], Order::C, 8000), [501]);
        assert_eq!(blocks(&[3, 10], Order::C, 160), [2, 10]);
    }

    #[test]
    fn even_blocks_divide_the_axis_unless_they_would_be_small() {
        let even = |shape: &[u64], order, bytes| {
            Grid::even_blocks(&view(shape, order), bytes).chunk_shape()
        };
        assert_eq!(even(&[100, 10], Order::C, 2400), [25, 10]);
        assert_eq!(even(&[100, 10], Order::Fortran, 2400), [100, 2]);
        assert_eq!(even(&[3, 100], Order::C, 240), [1, 25]);
        assert_eq!(even(&[32], Order::C, 8 * 31), [16]);
        // 7 would be less than a quarter.
        assert_eq!(even(&[7 * 101], Order::C, 8 * 80), [79]);
        assert_eq!(even(&[7 * 101], Order::C, 8 * 28), [7]);
        assert_eq!(even(&[101], Order::C, 8 * 100), [51]);
        assert_eq!(even(&[3, 2], Order::C, u64::MAX), [3, 2]);
        assert_eq!(even(&[0, 4], Order::C, 8), [1, 1]);
        assert!(even(&[], Order::C, 1).is_empty());
    }

    #[test]
    fn the_chunks_of_an_empty_axis_have_length_1() {
        assert_eq!(blocks(&[0], Order::C, 80), [1]);
        assert_eq!(blocks(&[0, 1 << 20, 1 << 30], Order::C, 80), [1, 1, 10]);
        let grid = Grid::named("7,2", &view(&[0, 3], Order::C)).unwrap();
        assert_eq!((grid.chunk_shape(), grid.counts()), (vec![1, 2], vec![0, 2]));
        assert_eq!(grid.chunk(&view(&[0, 3], Order::C), &[0, 0]), None);
    }

    #[test]
    fn a_name_is_one_plain_number_for_each_axis() {
        let named = |name: &str| Grid::named(name, &view(&[100, 10], Order::C));
        assert_eq!(named("7,3").unwrap().counts(), [15, 4]);
        assert_eq!(named("100,99999999999999999999").unwrap().chunk_shape(), [100, 10]);
        for name in ["", "7", "7,", ",7", "7,3,1", "07,3", "0,3", "+7,3", "7, 3", "7,-3", "7,3.0"] {
            assert!(named(name).is_err(), "{name:?}");
        }
        assert_eq!(
            named("7").unwrap_err().0,
            "\"7\" is the shape of a chunk with 1 axis; the array has 2"
        );
        assert!(Grid::named("", &view(&[], Order::C)).is_err());
    }

    #[test]
    fn a_chunk_at_the_end_is_cut_off() {
        let array = view(&[100, 10], Order::C);
        let grid = Grid::named("30,10", &array).unwrap();
        let last = grid.chunk(&array, &[3, 0]).unwrap();
        assert_eq!((last.shape(), last.offset()), (&[10, 10][..], 64 + 90 * 80));
        for outside in [&[4, 0][..], &[0, 1], &[u64::MAX, 0], &[0], &[0, 0, 0]] {
            assert_eq!(grid.chunk(&array, outside), None, "{outside:?}");
        }
    }

    #[test]
    fn an_array_without_axes_is_one_chunk() {
        let array = view(&[], Order::C);
        assert_eq!(Grid::blocks(&array, 1).chunk(&array, &[]), Some(array));
    }
}
