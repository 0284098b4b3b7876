//! References: where the chunks of an array lie in its file, for readers that fetch ranges of bytes from a
//! web server or a bucket.
//!
//! A chunk must be one range. The grid takes care of that: see [`Grid::even_blocks`]. Where the elements
//! of a selection are scattered over the file, no chunk is longer than a run of them. At the end of an
//! axis a chunk is longer than its elements. Zarr readers ignore what comes after them, so the range simply
//! goes on into the elements of the next row. Only where it would end after the array must the chunk be
//! written out, and that is the very last one at most.

use std::ops::Range;

use super::Array;
use crate::layout::Layout;
use crate::runs::Runs;
use crate::selection::{Grid, Refusal};
use crate::view::View;

/// Into how many pieces of a file an array may be scattered. Each of them takes some 60 bytes of JSON and a
/// request of whoever reads it.
const MAX_PIECES: u64 = 1 << 16;

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
    /// `view` in chunks of about `chunk_bytes`, and no longer than what lies together of it. Refused if those
    /// are too many.
    pub fn new(view: View, chunk_bytes: u64) -> Result<References, Refusal> {
        let runs = Runs::new(&view, view.order());
        let grid = if runs.contiguous(0, view.nbytes()).is_some() {
            Grid::even_blocks(&view, chunk_bytes)
        } else {
            let grid = Grid::even_blocks(&view, chunk_bytes.min(runs.run()));
            let pieces = grid.counts().into_iter().fold(1, u64::saturating_mul);
            if pieces > MAX_PIECES {
                return Err(Refusal(format!(
                    "its elements lie in {pieces} pieces of the file, and references are made to {MAX_PIECES} \
                     at most; take fewer rows, or all of each row"
                )));
            }
            grid
        };
        Ok(References { array: Array::new(view, grid) })
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
    fn no_chunk_of_a_selection_is_longer_than_what_lies_together() {
        let array = tests::view("'<f8'", &[6, 10], Order::C);
        let steps = |view: &View, axis, start, step, len| {
            view.steps(axis, Steps { start, step, len }).unwrap()
        };
        let columns = steps(&array, 1, 2, 1, 6);
        for (view, chunk_bytes, shape) in [
            (steps(&array, 0, 2, 1, 4), 160, [2, 10]),
            (columns.clone(), 160, [1, 6]),
            (columns.clone(), 24, [1, 3]),
            (steps(&array, 0, 5, -1, 6), 160, [1, 10]),
            (steps(&array, 1, 0, 2, 5), 160, [1, 1]),
            (columns.transposed(), 160, [6, 1]),
        ] {
            let references = References::new(view, chunk_bytes).unwrap();
            assert_eq!(references.array().grid().chunk_shape(), shape);
        }
        let places = |view| {
            let chunks = References::new(view, 160).unwrap();
            let start = |(_, reference)| match reference {
                Reference::Range(range) => range.start,
                Reference::Inline(_) => 0,
            };
            chunks.chunks().map(start).collect::<Vec<_>>()
        };
        assert_eq!(places(steps(&columns, 0, 5, -2, 3)), [128 + 416, 128 + 256, 128 + 96]);
    }

    #[test]
    fn what_lies_in_too_many_pieces_is_refused() {
        let array = tests::view("'<f8'", &[MAX_PIECES + 1, 2], Order::C);
        let column = |view: &View| view.index(1, 1).unwrap();
        let why = References::new(column(&array), 80).unwrap_err().to_string();
        assert!(why.starts_with("its elements lie in 65537 pieces of the file"), "{why}");
        let fewer = array.steps(0, Steps { start: 1, step: 1, len: MAX_PIECES }).unwrap();
        assert!(References::new(column(&fewer), 80).is_ok());
        // However many a whole array has.
        assert!(References::new(array, 8).is_ok());
    }
}
