//! The elements of a view, padded to the shape of a larger array.
//!
//! In the order of the larger array, a *row* is as many bytes as one step along the axes outside of
//! the innermost padded one takes. It begins with elements, if there are any in it, and ends with
//! fill; the elements of all rows, one after another, are those of the view in the same order. So
//! the elements of any range of bytes are a range of the view's, which is read at once; then each
//! row's are moved to their place, the last row first.

use std::ops::Range;

use crate::npy::header::Order;
use crate::runs::Runs;
use crate::view::View;

/// The elements of a view at the beginning of a larger array, and fill around them.
///
/// 1. The array has as many axes as the view, and each is at least as long.
/// 2. All bytes of the array are at most `i64::MAX`.
#[derive(Clone, Debug)]
pub struct Padded {
    runs: Runs,
    needs: u64,
    byte: u8,
    /// All bytes.
    len: u64,
    /// Bytes of a row, and how many of them are elements where it has any.
    row: u64,
    row_elements: u64,
    /// The axes over which rows repeat, outermost first.
    axes: Vec<Axis>,
}

#[derive(Clone, Copy, Debug)]
struct Axis {
    /// The view's length.
    len: u64,
    /// The array's.
    padded: u64,
}

impl Padded {
    pub(super) fn new(view: &View, order: Order, shape: &[u64], byte: u8) -> Option<Padded> {
        let is_inside = shape.len() == view.ndim()
            && view.shape().iter().zip(shape).all(|(len, padded)| len <= padded); // 1
        if !is_inside {
            return None;
        }
        let axes = view.shape().iter().zip(shape);
        let mut axes: Vec<Axis> = axes.map(|(&len, &padded)| Axis { len, padded }).collect();
        if order == Order::Fortran {
            axes.reverse();
        }
        let itemsize = view.dtype().itemsize();
        let (mut row, mut row_elements) = (itemsize, itemsize);
        // Up to the innermost axis that is padded.
        while row == row_elements
            && let Some(axis) = axes.pop()
        {
            row_elements = row.saturating_mul(axis.len);
            row = row.saturating_mul(axis.padded);
        }
        let is_empty = itemsize == 0 || shape.contains(&0);
        let rows = axes.iter().try_fold(row, |len, axis| len.checked_mul(axis.padded));
        let len = if is_empty { 0 } else { rows.filter(|&len| len <= i64::MAX as u64)? }; // 2
        let (runs, needs) = (Runs::new(view, order), view.data().end);
        Some(Padded { runs, needs, byte, len, row, row_elements, axes })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn needs(&self) -> u64 {
        self.needs
    }

    pub(super) fn runs(&self) -> &Runs {
        &self.runs
    }

    /// Which bytes of the view's elements are among `len` bytes from `at` on.
    pub(super) fn elements_within(&self, at: u64, len: u64) -> Range<u64> {
        self.elements_before(at)..self.elements_before(at + len)
    }

    /// How many bytes of elements come before a position.
    fn elements_before(&self, at: u64) -> u64 {
        if at >= self.len {
            return self.runs.len();
        }
        let (rows, within) = (at / self.row, at % self.row);
        // The row's place along each axis, from the innermost outwards: of the rows before it in
        // the same step, those that have elements.
        let (mut index, mut step, mut before) = (rows, 1, 0);
        let mut has_elements = true;
        for axis in self.axes.iter().rev() {
            let i = index % axis.padded;
            index /= axis.padded;
            if i >= axis.len {
                // All of the rows inside of this axis, whatever the place along the inner ones.
                (before, has_elements) = (axis.len * step, false);
            } else {
                before += i * step;
            }
            step *= axis.len;
        }
        let in_row = if has_elements { within.min(self.row_elements) } else { 0 };
        before * self.row_elements + in_row
    }

    /// Moves elements that are at the beginning of `out`, and are those of its bytes from `at` on,
    /// to their places, and fills the bytes around them.
    pub(super) fn spread(&self, at: u64, out: &mut [u8]) {
        let mut end = at + out.len() as u64;
        let first = self.elements_before(at);
        while end > at {
            let start = ((end - 1) / self.row * self.row).max(at);
            let elements = self.elements_within(start, end - start);
            let from = (elements.start - first) as usize..(elements.end - first) as usize;
            let (to, count) = ((start - at) as usize, from.len());
            // A place is never before that of the same element together with the others, so what
            // is overwritten was moved already.
            out.copy_within(from, to);
            out[to + count..(end - at) as usize].fill(self.byte);
            end = start;
        }
    }
}
