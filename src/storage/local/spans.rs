//! Strided bytes gathered by few large reads, for files that a network may have to be asked for.
//!
//! There a request costs as much time as the transfer of many bytes, so stretches that lie near each
//! other are read together, with what lies between them: a *span*. And the filesystem is asked for
//! several spans before the first of them is waited for, so that their requests are under way at the
//! same time. No map is made: a server that fails is an error of the read, and never a signal.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::iter::Peekable;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::fs::Advice;

use crate::runs::{Axis, Piece, Pieces};

/// Bytes between two stretches that are read along with them rather than left out.
const GAP: u64 = 64 << 10;

/// Bytes of a span that has several stretches, at most.
const SPAN: u64 = 1 << 20;

/// Bytes that the filesystem is asked for before they are read.
const AHEAD: u64 = 8 << 20;

/// What a small span counts as among them. More than some ten requests at a time FUSE refuses.
const SMALL: u64 = AHEAD / 8;

/// Bytes of one such question: what Linux reads ahead of an ordinary file. Of a longer range it would
/// read the beginning only.
const ASKED: u64 = 128 << 10;

thread_local! {
    /// Where spans are read to; it grows to the largest one.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Copies `pieces` of the file, one after another, to `out`, which they must fill exactly. Asks for
/// what a reader that goes on in the same way will want next, too.
pub(super) fn gather(file: &File, pieces: Pieces<'_>, out: &mut [u8]) -> io::Result<()> {
    // A reader that goes elsewhere instead has cost no more than twice what it wanted.
    let mut coming = spans(pieces.clone().followed_by(out.len() as u64));
    let (mut asked, mut read, mut filled) = (0, 0, 0);
    for span in spans(pieces) {
        while asked < read + AHEAD {
            let Some(next) = coming.next() else { break };
            ask(file, &next.range);
            asked += length(&next.range).max(SMALL);
        }
        read += length(&span.range).max(SMALL);
        filled += span.read(file, out)?;
    }
    if filled == out.len() { Ok(()) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// Asks for bytes without waiting for them. Where that cannot be done, they come when they are read.
fn ask(file: &File, range: &Range<u64>) {
    for at in range.clone().step_by(ASKED as usize) {
        let len = NonZeroU64::new(ASKED.min(range.end - at));
        let _ = rustix::fs::fadvise(file, at, len, Advice::WillNeed);
    }
}

/// Stretches of a piece that lie near each other.
#[derive(Clone, Copy)]
struct Block {
    stretches: Piece,
    /// Where the first one goes.
    place: usize,
    /// Bytes from there to where the first one of the next row goes.
    row: usize,
}

/// The blocks of the pieces, which go one after another to a buffer.
fn blocks(pieces: Pieces<'_>) -> impl Iterator<Item = Block> + Clone {
    let placed = pieces.scan(0, |place, piece| {
        let start = *place;
        *place += piece.bytes();
        Some((piece, start))
    });
    placed.flat_map(|(piece, start)| {
        let Piece { offset, len, inner, outer } = piece;
        let (rows, columns) = near_each_other(&piece);
        (0..outer.len).step_by(rows as usize).flat_map(move |row| {
            (0..inner.len).step_by(columns as usize).map(move |column| {
                let offset = offset
                    .wrapping_add_signed(row.cast_signed().wrapping_mul(outer.stride))
                    .wrapping_add_signed(column.cast_signed().wrapping_mul(inner.stride));
                let inner = Axis { len: columns.min(inner.len - column), ..inner };
                let outer = Axis { len: rows.min(outer.len - row), ..outer };
                let place = start + (row * piece.inner.len + column) * len;
                let stretches = Piece { offset, len, inner, outer };
                Block { stretches, place: place as usize, row: (piece.inner.len * len) as usize }
            })
        })
    })
}

/// How many rows of a piece, and how many stretches of each, are near each other.
fn near_each_other(piece: &Piece) -> (u64, u64) {
    let Piece { len, inner, outer, .. } = *piece;
    let rows_are_nearer = outer.stride.unsigned_abs() < inner.stride.unsigned_abs();
    let (near, far) = if rows_are_nearer { (outer, inner) } else { (inner, outer) };
    let (in_near, reach) = fitting(near, len);
    // Only what is whole in one direction can go on in the other.
    let in_far = if in_near == near.len { fitting(far, reach).0 } else { 1 };
    if rows_are_nearer { (in_near, in_far) } else { (in_far, in_near) }
}

/// How many steps of an axis fit in a span, with `len` bytes at each; and how far they reach.
fn fitting(axis: Axis, len: u64) -> (u64, u64) {
    let stride = axis.stride.unsigned_abs();
    let count = if stride.saturating_sub(len) > GAP {
        1
    } else {
        (SPAN.saturating_sub(len) / stride.max(1) + 1).min(axis.len)
    };
    (count, (count - 1) * stride + len)
}

impl Block {
    /// From the first byte of a stretch to the last one of any.
    fn range(&self) -> Range<u64> {
        let Piece { offset, len, inner, outer } = self.stretches;
        let (mut first, mut last) = (offset, offset);
        for axis in [inner, outer] {
            let reach = (axis.len - 1).cast_signed().wrapping_mul(axis.stride);
            let end = if reach < 0 { &mut first } else { &mut last };
            *end = end.wrapping_add_signed(reach);
        }
        first..last.wrapping_add(len)
    }

    /// Copies the stretches out of a span, whose first byte is the file's byte `start`. `None` if they
    /// are not in there, or there is no room for them.
    fn copy(&self, span: &[u8], start: u64, out: &mut [u8]) -> Option<()> {
        let Piece { offset, len, inner, outer } = self.stretches;
        let copy_row = match len {
            1 => copy_items::<1>,
            2 => copy_items::<2>,
            4 => copy_items::<4>,
            8 => copy_items::<8>,
            16 => copy_items::<16>,
            _ => copy_stretches,
        };
        let len = len as usize;
        let mut from = offset.wrapping_sub(start) as usize;
        let mut place = self.place;
        for _ in 0..outer.len {
            let row = out.get_mut(place..place + inner.len as usize * len)?;
            copy_row(span, from, inner.stride as isize, row, len)?;
            from = from.wrapping_add_signed(outer.stride as isize);
            place += self.row;
        }
        Some(())
    }
}

/// Copies items of `N` bytes, the first one from `from` and each further one `stride` bytes on.
fn copy_items<const N: usize>(
    span: &[u8],
    mut from: usize,
    stride: isize,
    row: &mut [u8],
    _len: usize,
) -> Option<()> {
    for item in row.as_chunks_mut::<N>().0 {
        *item = *span.get(from..)?.first_chunk()?;
        from = from.wrapping_add_signed(stride);
    }
    Some(())
}

/// The same with stretches of `len` bytes.
fn copy_stretches(
    span: &[u8],
    mut from: usize,
    stride: isize,
    row: &mut [u8],
    len: usize,
) -> Option<()> {
    for stretch in row.chunks_exact_mut(len) {
        stretch.copy_from_slice(span.get(from..)?.get(..len)?);
        from = from.wrapping_add_signed(stride);
    }
    Some(())
}

/// Blocks that are read together.
struct Span<I> {
    range: Range<u64>,
    /// The first `count` of these.
    blocks: I,
    count: usize,
}

/// The spans of the pieces, in order.
fn spans(pieces: Pieces<'_>) -> Spans<impl Iterator<Item = Block> + Clone> {
    Spans { blocks: blocks(pieces).peekable() }
}

struct Spans<I: Iterator<Item = Block>> {
    blocks: Peekable<I>,
}

impl<I: Iterator<Item = Block> + Clone> Iterator for Spans<I> {
    type Item = Span<Peekable<I>>;

    fn next(&mut self) -> Option<Self::Item> {
        let blocks = self.blocks.clone();
        let mut range = self.blocks.next()?.range();
        let mut count = 1;
        while let Some(wider) = self.blocks.peek().and_then(|next| together(&range, &next.range()))
        {
            range = wider;
            count += 1;
            self.blocks.next();
        }
        Some(Span { range, blocks, count })
    }
}

/// Bytes of a range. What follows some pieces may lie before address 0, where there are none.
fn length(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

/// What has both ranges in it, if that is no more than a span, and they are near each other.
fn together(one: &Range<u64>, other: &Range<u64>) -> Option<Range<u64>> {
    let between = one.start.max(other.start).saturating_sub(one.end.min(other.end));
    let both = one.start.min(other.start)..one.end.max(other.end);
    (between <= GAP && length(&both) <= SPAN).then_some(both)
}

impl<I: Iterator<Item = Block>> Span<I> {
    /// Reads it, and copies its stretches to their places. Returns how many bytes they are.
    fn read(self, file: &File, out: &mut [u8]) -> io::Result<usize> {
        let wrong = || io::Error::from(io::ErrorKind::InvalidInput);
        let (start, len) = (self.range.start, length(&self.range));
        let mut blocks = self.blocks.take(self.count).peekable();
        if let Some(only) = blocks.next_if(|block| block.stretches.len == len) {
            // A single stretch, which may be longer than a span.
            let place = out.get_mut(only.place..only.place + len as usize).ok_or_else(wrong)?;
            file.read_exact_at(place, start)?;
            return Ok(place.len());
        }
        BUFFER.with_borrow_mut(|buffer| {
            let len = len as usize;
            if buffer.len() < len {
                buffer.resize(len, 0);
            }
            let span = &mut buffer[..len];
            file.read_exact_at(span, start)?;
            let mut copied = 0;
            for block in blocks {
                block.copy(span, start, out).ok_or_else(wrong)?;
                copied += block.stretches.bytes() as usize;
            }
            Ok(copied)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::dtype::DType;
    use crate::npy::header::{Header, Order};
    use crate::runs::Runs;
    use crate::view::{Steps, View};
    use proptest::prelude::*;
    use std::io::Write;
    use std::sync::{Arc, LazyLock};

    /// Bytes of the file: several spans.
    const LEN: usize = 5 << 20;

    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
        (0..LEN as u32).map(|i| (i.wrapping_mul(0x9E37_79B1) >> 24) as u8).collect()
    });

    static FILE: LazyLock<File> = LazyLock::new(|| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&BYTES).unwrap();
        file
    });

    fn whole(itemsize: u64, shape: Vec<u64>) -> View {
        let dtype = Arc::new(DType::Scalar(format!("|V{itemsize}").parse().unwrap()));
        let header = Header { version: (1, 0), dtype, order: Order::C, shape, data_offset: 7 };
        View::of_header(&header).unwrap()
    }

    prop_compose! {
        /// Items near to each other and far, in steps of any direction.
        fn some_view()(
            itemsize in prop::sample::select(vec![1, 2, 3, 4, 8, 16, 24, 5000, 70_000]),
            weights in prop::collection::vec(1u32..12, 3),
            steps in prop::collection::vec(prop::sample::select(vec![-60, -7, -1, 1, 2, 5, 300]), 3),
            transpose: bool,
        ) -> View {
            // All the room there is, divided among the axes; the tests take a part of what is left.
            let room = ((LEN as u64 - 7) / itemsize).ilog2();
            let all: u32 = weights.iter().sum();
            let shape = weights.iter().map(|weight| 1 << (room * weight / all)).collect();
            let mut view = whole(itemsize, shape);
            for (axis, step) in steps.into_iter().enumerate() {
                let len = view.shape()[axis];
                let start = if step < 0 { len - 1 } else { 0 };
                let len = len.div_ceil(i64::unsigned_abs(step));
                view = view.steps(axis, Steps { start, step, len }).unwrap();
            }
            if transpose { view.transposed() } else { view }
        }
    }

    fn naive(pieces: Pieces<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for piece in pieces {
            for start in piece.stretches() {
                bytes.extend_from_slice(&BYTES[start as usize..][..piece.len as usize]);
            }
        }
        bytes
    }

    proptest! {
        #[test]
        fn what_is_gathered_is_what_the_stretches_hold(
            view in some_view(), fortran: bool, at in 0.0..1.0, len in 0.0..1.0,
        ) {
            let order = if fortran { Order::Fortran } else { Order::C };
            let runs = Runs::new(&view, order);
            let part = |of: u64, share: f64| (of as f64 * share) as u64;
            let at = part(runs.len(), at);
            let len = (part(runs.len() - at, len) + 1).min(300_000);
            let expected = naive(runs.pieces(at, len));
            let mut out = vec![0; expected.len()];
            gather(&FILE, runs.pieces(at, len), &mut out).unwrap();
            prop_assert!(out == expected);
            out.push(0);
            prop_assert!(gather(&FILE, runs.pieces(at, len), &mut out).is_err());
        }
    }

    #[test]
    fn what_comes_next_may_be_in_another_file() {
        // Backwards from the middle, so that less than as many bytes again come before the first.
        let view = View::of_bytes(LEN as u64).unwrap();
        let runs = [-1, -300, -100_000].map(|step: i64| {
            let len = LEN as u64 / step.unsigned_abs();
            let steps = Steps { start: LEN as u64 - 1, step, len };
            Runs::new(&view.steps(0, steps).unwrap(), Order::C)
        });
        for runs in runs {
            let half = runs.len() / 2;
            let pieces = runs.pieces(0, half);
            // The last of them is byte 0 of this file, or near it.
            let before = LEN as u64 / 2;
            let pieces = pieces.moved(before.wrapping_neg());
            let expected = naive(pieces.clone());
            let mut out = vec![0; expected.len()];
            gather(&FILE, pieces, &mut out).unwrap();
            assert!(out == expected);
        }
    }

    fn ranges(view: &View, order: Order) -> Vec<Range<u64>> {
        let runs = Runs::new(view, order);
        spans(runs.pieces(0, runs.len())).map(|span| span.range).collect()
    }

    #[test]
    fn what_lies_near_is_read_together_and_what_lies_far_is_not() {
        // 4 MiB of rows of 8 KiB: a column is as few reads as there can be.
        let rows = whole(8, vec![512, 1024]);
        let column = rows.steps(1, Steps { start: 3, step: 1, len: 1 }).unwrap();
        for order in [Order::C, Order::Fortran] {
            let read = ranges(&column, order);
            assert_eq!(read.len(), 4);
            assert!(read.iter().all(|range| range.end - range.start <= SPAN), "{read:?}");
            assert_eq!(read.first().map(|range| range.start), Some(7 + 3 * 8));
            assert_eq!(read.last().map(|range| range.end), Some(7 + 511 * 8192 + 4 * 8));
        }
        // Rows that are 128 KiB apart, without what lies between them.
        let few = rows.steps(0, Steps { start: 0, step: 16, len: 32 }).unwrap();
        let expected: Vec<_> = (0..32).map(|i| 7 + i * 131_072..7 + i * 131_072 + 8192).collect();
        assert_eq!(ranges(&few, Order::C), expected);
        // The same read by columns: each row once, and not for each of its items.
        assert_eq!(ranges(&few, Order::Fortran), expected);
    }
}
