//! References: where the chunks of an array lie in its file, for readers that fetch ranges of bytes from a
//! web server or a bucket.
//!
//! A chunk must be one range. The grid takes care of that: see [`Grid::even_blocks`]. At the end of an
//! axis a chunk is longer than its elements. Zarr readers ignore what comes after them, so the range simply
//! goes on into the elements of the next row. Only where it would end after the array must the chunk be
//! written out, and that is the very last one at most.

use std::ops::Range;

use super::Array;
use crate::layout::Layout;
use crate::runs::Runs;
use crate::selection::Grid;
use crate::view::View;

/// An array whose chunks are ranges of its file.
#[derive(Clone, Debug)]
pub struct References {
    array: Array,
}

/// Where the bytes of a chunk are.
#[derive(Clone, Debug)]
pub enum Reference {
    /// In the array's file, from the first byte to before the last
    Range(Range<u64>),
    /// In no range of the file: this is the chunk
    Inline(Layout),
}

impl References {
    /// `view` in chunks of about `chunk_bytes`. `None` if its elements do not lie together, as those of a
    /// whole array do.
    pub fn new(view: View, chunk_bytes: u64) -> Option<References> {
        Runs::new(&view, view.order()).contiguous(0, view.nbytes())?;
        let grid = Grid::even_blocks(&view, chunk_bytes);
        Some(References { array: Array::new(view, grid) })
    }

    /// The array.
    pub fn array(&self) -> &Array {
        &self.array
    }

    /// All chunks, each with its place along each axis.
    pub fn chunks(&self) -> impl Iterator<Item = (Vec<u64>, Reference)> {
        let counts = self.array.grid().counts();
        let first = (!counts.contains(&0)).then(|| vec![0; counts.len()]);
        let indices = std::iter::successors(first, move |index| next(index, &counts));
        indices
            .filter_map(|index| Some((self.chunk(&index)?, index)))
            .map(|(at, index)| (index, at))
    }

    fn chunk(&self, index: &[u64]) -> Option<Reference> {
        let view = self.array.view();
        let start = self.array.grid().chunk(view, index)?.offset();
        let end = start.checked_add(self.array.chunk_len())?;
        match end <= view.data().end {
            true => Some(Reference::Range(start..end)),
            false => self.array.chunk(index).map(Reference::Inline),
        }
    }
}

/// The index after this one, the last axis running fastest.
fn next(index: &[u64], counts: &[u64]) -> Option<Vec<u64>> {
    let mut index = index.to_vec();
    for (i, &count) in index.iter_mut().zip(counts).rev() {
        *i += 1;
        if *i < count {
            return Some(index);
        }
        *i = 0;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::tests;
    use super::*;
    use crate::npy::header::Order;
    use crate::view::Steps;

    /// The start of each chunk by its key; none of one that is written out.
    fn starts(shape: &[u64], order: Order, chunk_bytes: u64) -> Vec<(String, Option<u64>)> {
        let references = References::new(tests::view("'<f8'", shape, order), chunk_bytes).unwrap();
        let len = references.array().chunk_len();
        let start = |reference| match reference {
            Reference::Range(range) => {
                assert_eq!(range.end - range.start, len);
                Some(range.start)
            }
            Reference::Inline(layout) => {
                assert_eq!(layout.len(), len);
                None
            }
        };
        let chunks = references.chunks();
        chunks.map(|(index, reference)| (super::super::v3::key(&index), start(reference))).collect()
    }

    fn plain(expected: &[(&str, Option<u64>)]) -> Vec<(String, Option<u64>)> {
        expected.iter().map(|(key, start)| (key.to_string(), *start)).collect()
    }

    #[test]
    fn whole_rows_are_ranges() {
        let expected = plain(&[("c/0/0", Some(128)), ("c/1/0", Some(368))]);
        assert_eq!(starts(&[6, 10], Order::C, 250), expected);
        let expected = plain(&[("c/0/0", Some(128)), ("c/0/1", Some(368))]);
        assert_eq!(starts(&[10, 6], Order::Fortran, 250), expected);
    }

    #[test]
    fn only_the_last_chunk_of_all_is_written_out() {
        let expected = plain(&[
            ("c/0/0", Some(128)),
            ("c/0/1", Some(160)),
            ("c/1/0", Some(184)),
            // On into nothing that there is.
            ("c/1/1", None),
        ]);
        assert_eq!(starts(&[2, 7], Order::C, 40), expected);
        assert_eq!(starts(&[7], Order::C, 40), plain(&[("c/0", Some(128)), ("c/1", None)]));
    }

    #[test]
    fn an_array_without_axes_is_one_range_and_an_empty_one_none() {
        assert_eq!(starts(&[], Order::C, 1), plain(&[("c", Some(128))]));
        assert_eq!(starts(&[3, 0], Order::C, 1), []);
    }

    #[test]
    fn a_view_that_is_scattered_over_the_file_has_no_references() {
        let view = tests::view("'<f8'", &[6, 10], Order::C);
        let columns = view.steps(1, Steps { start: 0, step: 1, len: 5 }).unwrap();
        assert!(References::new(columns, 80).is_none());
        let rows = view.steps(0, Steps { start: 2, step: 1, len: 3 }).unwrap();
        assert!(References::new(rows, 80).is_some());
    }
}
