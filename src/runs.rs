//! Byte runs: where the bytes of a view lie in its backing file, from any position on.
//!
//! Written one after another in C or Fortran order, the elements of a view form a string of bytes.
//! [`Runs`] maps any part of that string to the file. Axes that continue one another are merged
//! once, so that a contiguous view is a single run however many axes it has; what remains is
//! O(ndim), whatever the size.

use std::ops::Range;

use crate::npy::header::Order;
use crate::view::View;

/// The bytes of a view in one order.
#[derive(Clone, Debug)]
pub struct Runs {
    /// The file's byte where the first element starts.
    start: u64,
    /// Bytes that lie together.
    run: u64,
    /// The axes over which runs repeat, outermost first.
    axes: Vec<Axis>,
    /// All bytes.
    len: u64,
}

/// A direction in which bytes repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// How often.
    pub len: u64,
    /// Bytes from one to the next.
    pub stride: i64,
}

impl Axis {
    const SINGLE: Axis = Axis { len: 1, stride: 0 };
}

/// Stretches of bytes in two directions: for each step of `outer`, one stretch of `len` bytes for
/// each step of `inner`.
///
/// Two directions, so that an array whose innermost axis is short, such as the colours of an image,
/// is not taken apart into very many pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The file's byte where the first stretch starts.
    pub offset: u64,
    /// Bytes of each stretch.
    pub len: u64,
    /// From one stretch to the next.
    pub inner: Axis,
    /// From one row of stretches to the next.
    pub outer: Axis,
}

impl Piece {
    /// All bytes of all stretches.
    pub fn bytes(&self) -> u64 {
        self.len * self.inner.len * self.outer.len
    }

    /// Where each stretch starts, in order.
    pub fn stretches(&self) -> impl Iterator<Item = u64> {
        let Piece { offset, inner, outer, .. } = *self;
        (0..outer.len.cast_signed()).flat_map(move |row| {
            let start = offset.wrapping_add_signed(row.wrapping_mul(outer.stride));
            (0..inner.len.cast_signed())
                .map(move |i| start.wrapping_add_signed(i.wrapping_mul(inner.stride)))
        })
    }
}

impl Runs {
    /// The runs of `view` when its elements are written in `order`.
    pub fn new(view: &View, order: Order) -> Runs {
        let (itemsize, len) = (view.dtype().itemsize(), view.nbytes());
        let mut runs = Runs { start: view.offset(), run: itemsize, axes: Vec::new(), len };
        if len == 0 {
            return runs;
        }
        let mut inner_first: Vec<Axis> = Vec::new();
        for i in 0..view.ndim() {
            let i = if order == Order::C { view.ndim() - 1 - i } else { i };
            let axis = Axis { len: view.shape()[i], stride: view.strides()[i] };
            match inner_first.last_mut() {
                _ if axis.len == 1 => {}
                None if axis.stride == runs.run.cast_signed() => runs.run *= axis.len,
                // A step of this axis is as far as the whole inner axis reaches: they are one. How far
                // that is may be more than there can be bytes: then they are not.
                Some(inner)
                    if inner.stride.checked_mul(inner.len.cast_signed()) == Some(axis.stride) =>
                {
                    inner.len *= axis.len;
                }
                _ => inner_first.push(axis),
            }
        }
        inner_first.reverse();
        runs.axes = inner_first;
        runs
    }

    /// All bytes of the view.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Bytes of each run: as many as lie together everywhere in the view.
    pub fn run(&self) -> u64 {
        self.run
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether views of one file may have a byte in common. They have none where this says no; that
    /// it can say of rows, columns, fields, and of what is interleaved in steps of one size.
    pub fn may_overlap(&self, other: &Runs) -> bool {
        if self.is_empty() || other.is_empty() {
            return false;
        }
        let steps = |runs: &Runs| {
            runs.axes.iter().map(|axis| axis.stride.unsigned_abs()).collect::<Vec<_>>()
        };
        // Beyond the end of any file: no bytes are seen as one.
        let apart = u64::MAX / 4;
        let periods = steps(self).into_iter().chain(steps(other)).chain([apart]);
        !periods.filter(|&period| period > 0).any(|period| {
            let [(a, a_len), (b, b_len)] = [self.modulo(period), other.modulo(period)];
            // From the start of one: the other must begin after its end, and end before it
            // begins again.
            let distance = (b + period - a) % period;
            a_len <= distance && b_len <= period - distance
        })
    }

    /// The part of the file from the first byte of the view to the last.
    pub fn span(&self) -> Range<u64> {
        if self.is_empty() {
            return self.start..self.start;
        }
        let (mut first, mut last) = (self.start, self.start + self.run);
        for axis in &self.axes {
            let reach = (axis.len - 1).cast_signed().wrapping_mul(axis.stride);
            first = first.wrapping_add_signed(reach.min(0));
            last = last.wrapping_add_signed(reach.max(0));
        }
        first..last
    }

    /// Where the bytes of the view lie within a period, round and round: from where on, and how many
    /// at most.
    fn modulo(&self, period: u64) -> (u64, u64) {
        let (mut first, mut len) = (self.start, self.run);
        for axis in &self.axes {
            if axis.stride.unsigned_abs() % period != 0 {
                let reach = (axis.len - 1).cast_signed().wrapping_mul(axis.stride);
                first = first.wrapping_add_signed(reach.min(0));
                len += reach.unsigned_abs();
            }
        }
        (first % period, len)
    }

    /// The file's byte where bytes `at..at + len` of the view start, if they lie together there.
    pub fn contiguous(&self, at: u64, len: u64) -> Option<u64> {
        if at.checked_add(len).is_none_or(|end| end > self.len) {
            return None;
        }
        if len == 0 {
            return Some(self.start);
        }
        let (index, within) = (at / self.run, at % self.run);
        (within + len <= self.run).then(|| self.offset_of(index) + within)
    }

    /// The file's byte where a run starts, by its number.
    fn offset_of(&self, mut index: u64) -> u64 {
        let mut offset = self.start;
        for axis in self.axes.iter().rev() {
            let i = index % axis.len;
            index /= axis.len;
            // Every run of a view lies inside the data, so none of this can wrap.
            offset = offset.wrapping_add_signed(i.cast_signed().wrapping_mul(axis.stride));
        }
        offset
    }

    /// Bytes `at..at + len` of the view as pieces of the file, in order. What lies beyond the
    /// view's end is left out.
    pub fn pieces(&self, at: u64, len: u64) -> Pieces<'_> {
        let end = at.saturating_add(len).min(self.len);
        Pieces { runs: self, at, end, moved: 0 }
    }
}

/// See [`Runs::pieces`].
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    runs: &'a Runs,
    at: u64,
    end: u64,
    /// What is added to each address.
    moved: u64,
}

impl Pieces<'_> {
    /// The same pieces, `by` bytes further on.
    pub fn moved(self, by: u64) -> Self {
        Pieces { moved: self.moved.wrapping_add(by), ..self }
    }

    /// How many bytes they are.
    pub fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }

    /// Some bytes of these, counted from the first.
    pub fn within(self, range: Range<u64>) -> Self {
        let place = |at: u64| self.at.saturating_add(at).min(self.end);
        Pieces { at: place(range.start), end: place(range.end), ..self }
    }

    /// The same pieces, and those of the next `len` bytes of the view.
    pub fn followed_by(self, len: u64) -> Self {
        Pieces { end: self.end.saturating_add(len).min(self.runs.len), ..self }
    }

    /// Whether there are many runs, several of them to a page of memory.
    pub fn are_dense(&self) -> bool {
        const PAGE: u64 = 4096;
        const MANY: u64 = 16;
        let near = |axis: &Axis| axis.stride.unsigned_abs() < PAGE;
        self.runs.axes.last().is_some_and(near)
            && self.end.saturating_sub(self.at) > MANY * self.runs.run
    }

    /// The last of all stretches: the file's byte where it starts, and how many bytes of the end
    /// lie in it. None if there are no bytes.
    pub fn last_stretch(&self) -> Option<(u64, u64)> {
        let last = self.end.checked_sub(1).filter(|&last| last >= self.at)?;
        let run = self.runs.run;
        let start = (last / run * run).max(self.at);
        let len = self.end - start;
        Some((self.runs.contiguous(start, len)?.wrapping_add(self.moved), len))
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let left = self.end.checked_sub(self.at).filter(|&left| left > 0)?;
        let run = self.runs.run;
        let (index, within) = (self.at / run, self.at % run);
        let offset = self.runs.offset_of(index).wrapping_add(self.moved);
        let mut piece = Piece { offset, len: run, inner: Axis::SINGLE, outer: Axis::SINGLE };
        let (outer, inner) = match &self.runs.axes[..] {
            [.., outer, inner] => (*outer, *inner),
            [inner] => (Axis::SINGLE, *inner),
            [] => (Axis::SINGLE, Axis::SINGLE),
        };
        if within > 0 || left < run {
            // The run itself may begin before address 0, in the part before.
            piece.offset = offset.wrapping_add(within);
            piece.len = (run - within).min(left);
        } else if index % inner.len > 0 || left < run * inner.len {
            // Whole runs, up to the end of the innermost axis.
            let len = (inner.len - index % inner.len).min(left / run);
            piece.inner = Axis { len, ..inner };
        } else {
            // The whole innermost axis, as often as the one around it has left.
            let done = index / inner.len % outer.len;
            let len = (outer.len - done).min(left / (run * inner.len));
            piece.inner = inner;
            piece.outer = Axis { len, ..outer };
        }
        self.at += piece.bytes();
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::header::Header;
    use crate::view::Steps;
    use proptest::prelude::*;
    use std::sync::Arc;

    /// The file's byte of every byte of the view, by nested loops over the elements.
    fn naive(view: &View, order: Order) -> Vec<u64> {
        let mut axes: Vec<usize> = (0..view.ndim()).collect();
        if order == Order::Fortran {
            axes.reverse();
        }
        let mut offsets = vec![view.offset().cast_signed()];
        for axis in axes {
            offsets = offsets
                .into_iter()
                .flat_map(|base| {
                    (0..view.shape()[axis].cast_signed())
                        .map(move |i| base + i * view.strides()[axis])
                })
                .collect();
        }
        let itemsize = view.dtype().itemsize();
        offsets
            .into_iter()
            .flat_map(|at| (0..itemsize).map(move |b| at.cast_unsigned() + b))
            .collect()
    }

    fn flattened(runs: &Runs, at: u64, len: u64) -> Vec<u64> {
        let mut out = Vec::new();
        for piece in runs.pieces(at, len) {
            for start in piece.stretches() {
                out.extend(start..start + piece.len);
            }
        }
        out
    }

    prop_compose! {
        fn some_view()(
            shape in prop::collection::vec(0u64..5, 0..5),
            itemsize in 1u64..5,
            fortran: bool,
            picks in prop::collection::vec((0u64..5, -3i64..4, 0u64..5), 0..5),
            transpose: bool,
        ) -> View {
            let header = Header {
                version: (1, 0),
                dtype: Arc::new(crate::npy::dtype::DType::Scalar(format!("|V{itemsize}").parse().unwrap())),
                order: if fortran { Order::Fortran } else { Order::C },
                shape,
                data_offset: 7,
            };
            let mut view = View::of_header(&header).unwrap();
            for (axis, (start, step, len)) in picks.into_iter().enumerate() {
                view = view.steps(axis, Steps { start, step, len }).unwrap_or(view);
            }
            if transpose { view.transposed() } else { view }
        }
    }

    proptest! {
        #[test]
        fn pieces_are_what_nested_loops_visit(
            view in some_view(), fortran: bool, at in 0u64..300, len in 0u64..300,
        ) {
            let order = if fortran { Order::Fortran } else { Order::C };
            let (runs, all) = (Runs::new(&view, order), naive(&view, order));
            prop_assert_eq!(runs.len(), all.len() as u64);
            let from = (at as usize).min(all.len());
            let to = ((at + len) as usize).min(all.len());
            let wanted = &all[from..to];
            prop_assert_eq!(flattened(&runs, at, len), wanted);
            let last = runs.pieces(at, len).last_stretch();
            let ends = last.map(|(offset, len)| (offset..offset + len).collect::<Vec<_>>());
            prop_assert!(wanted.ends_with(&ends.clone().unwrap_or_default()));
            prop_assert_eq!(ends.is_none_or(|ends| ends.is_empty()), wanted.is_empty());
            let together = wanted.windows(2).all(|pair| pair[0] + 1 == pair[1]);
            if let Some(offset) = runs.contiguous(at, len) {
                prop_assert!(at + len <= runs.len() && together);
                prop_assert!(len == 0 || offset == wanted[0]);
            }
        }
    }

    proptest! {
        #[test]
        fn views_that_are_said_to_be_apart_have_no_byte_in_common(
            one in some_view(), other in some_view(),
        ) {
            let bytes: Vec<u64> = naive(&one, Order::C);
            let common = naive(&other, Order::C).iter().any(|at| bytes.contains(at));
            let [one, other] = [&one, &other].map(|view| Runs::new(view, Order::C));
            prop_assert!(!common || one.may_overlap(&other));
            prop_assert_eq!(one.may_overlap(&other), other.may_overlap(&one));
        }
    }

    proptest! {
        /// As large as they come: no bytes are visited, but no number overflows either.
        #[test]
        fn the_largest_arrays_have_runs(
            bits in prop::collection::vec(0u32..62, 1..5),
            start in 0u64..3, step in -3i64..4,
            axis in 0usize..4, fortran: bool, transpose: bool,
        ) {
            let mut left = 63;
            let shape: Vec<u64> = bits.into_iter().map(|bits| {
                let bits = bits.min(left);
                left -= bits;
                (1u64 << bits) - u64::from(bits > 2)
            }).collect();
            let header = Header {
                version: (1, 0),
                dtype: Arc::new(crate::npy::dtype::DType::Scalar("|u1".parse().unwrap())),
                order: if fortran { Order::Fortran } else { Order::C },
                shape,
                data_offset: 128,
            };
            // Beyond what a file can hold there is no view.
            let Some(mut view) = View::of_header(&header) else { return Ok(()) };
            let axis = axis % view.ndim();
            let len = (view.shape()[axis].saturating_sub(start)) / step.unsigned_abs().max(1);
            let start = if step < 0 { view.shape()[axis].saturating_sub(1) } else { start };
            view = view.steps(axis, Steps { start, step, len }).unwrap_or(view);
            if transpose {
                view = view.transposed();
            }
            for order in [Order::C, Order::Fortran] {
                let runs = Runs::new(&view, order);
                prop_assert_eq!(runs.len(), view.nbytes());
                for at in [0, runs.len() / 2, runs.len().saturating_sub(1)] {
                    let first: u64 = runs.pieces(at, 1).map(|piece| piece.bytes()).sum();
                    prop_assert_eq!(first, u64::from(at < runs.len()));
                    let rest = runs.pieces(at, u64::MAX).next().map_or(0, |piece| piece.bytes());
                    prop_assert!(rest <= runs.len() - at);
                }
                prop_assert!(runs.is_empty() || runs.may_overlap(&runs));
            }
        }
    }

    #[test]
    fn an_axis_that_reaches_further_than_any_file_is_an_axis_of_its_own() {
        let header = Header {
            version: (1, 0),
            dtype: Arc::new(crate::npy::dtype::DType::Scalar("|u1".parse().unwrap())),
            order: Order::C,
            shape: vec![3, 1 << 61],
            data_offset: 128,
        };
        let view = View::of_header(&header).unwrap();
        let turned = view.steps(0, Steps { start: 0, step: 2, len: 2 }).unwrap().transposed();
        let runs = Runs::new(&turned, Order::C);
        assert_eq!(runs.contiguous(1, 1), Some(128 + (2 << 61)));
        assert_eq!(runs.contiguous(2, 1), Some(129));
    }

    #[test]
    fn what_is_interleaved_is_seen_to_be_apart() {
        let header = Header {
            version: (1, 0),
            dtype: Arc::new(crate::npy::dtype::DType::Scalar("|V17".parse().unwrap())),
            order: Order::C,
            shape: vec![60, 10, 3],
            data_offset: 128,
        };
        let whole = View::of_header(&header).unwrap();
        let pick = |axis, start, step, len| whole.steps(axis, Steps { start, step, len }).unwrap();
        let apart = |one: &View, other: &View| {
            !Runs::new(one, Order::C).may_overlap(&Runs::new(other, Order::Fortran))
        };
        assert!(apart(&pick(0, 0, 1, 30), &pick(0, 30, 1, 30)), "halves");
        assert!(apart(&pick(0, 3, 16, 4), &pick(0, 52, -16, 4)), "every 16th row, and the next");
        assert!(apart(&pick(1, 0, 1, 4), &pick(1, 4, 1, 6)), "columns");
        assert!(apart(&pick(2, 1, 1, 1), &pick(2, 2, 1, 1)), "the last axis");
        assert!(apart(&pick(1, 4, 1, 2).transposed(), &pick(1, 6, 1, 2)), "transposed");
        assert!(!apart(&pick(0, 0, 1, 31), &pick(0, 30, 1, 30)));
        assert!(!apart(&pick(1, 0, 1, 5), &pick(1, 4, 1, 6)));
        assert!(!apart(&pick(0, 7, 1, 1), &pick(1, 4, 1, 6)), "a row and columns");
    }

    #[test]
    fn a_contiguous_view_is_one_run_however_many_axes_it_has() {
        let header = Header {
            version: (1, 0),
            dtype: Arc::new(crate::npy::dtype::DType::Scalar("<f8".parse().unwrap())),
            order: Order::C,
            shape: vec![1 << 20, 1 << 10, 1 << 5],
            data_offset: 128,
        };
        let view = View::of_header(&header).unwrap();
        let rows = view.steps(0, Steps { start: 7, step: 1, len: 1 << 19 }).unwrap();
        let runs = Runs::new(&rows, Order::C);
        let offset = 128 + 7 * (1 << 18);
        assert_eq!(runs.contiguous(5, runs.len() - 5), Some(offset + 5));
        assert_eq!(
            Runs::new(&view.transposed(), Order::Fortran).contiguous(0, runs.len()),
            Some(128)
        );
    }
}
