//! Copies between strided bytes of a map and bytes that lie together.

use memmap2::MmapRaw;

use super::sigbus;
use crate::runs::{Axis, Piece, Pieces};

/// Some of the bytes are not there.
#[derive(Debug)]
pub(super) struct Missing;

/// One call of the guarded copy: pieces that were checked to lie in the map.
struct Job {
    map: *mut u8,
    together: *mut u8,
    into_map: bool,
    pieces: [Piece; BATCH],
    count: usize,
}

/// Pieces copied under one guard: enough that setting it up costs nothing.
const BATCH: usize = 64;

/// Copies `pieces` of `map`, one after another, to `out`, which they must fill exactly.
pub(super) fn gather(map: &MmapRaw, pieces: Pieces<'_>, out: &mut [u8]) -> Result<(), Missing> {
    // SAFETY: the map lives as long as the call and is only read, `out` only written.
    unsafe {
        copy_all(map.as_ptr().cast_mut(), map.len(), pieces, out.as_mut_ptr(), out.len(), false)
    }
}

/// Copies `bytes` to `pieces` of a map, which they must fill exactly. If some are missing, others
/// may have been written.
///
/// # Safety
///
/// From `map` on, `len` bytes must be mapped for writing and stay so.
pub(super) unsafe fn scatter(
    map: *mut u8,
    len: usize,
    pieces: Pieces<'_>,
    bytes: &[u8],
) -> Result<(), Missing> {
    // SAFETY: the map is writable, as the caller promises, and `bytes` are only read.
    unsafe { copy_all(map, len, pieces, bytes.as_ptr().cast_mut(), bytes.len(), true) }
}

/// # Safety
///
/// What is copied from must be `len` readable bytes, and what is copied to as many writable ones: a
/// map of `map_len` bytes, and `len` bytes that lie together outside of it.
unsafe fn copy_all(
    map: *mut u8,
    map_len: usize,
    pieces: Pieces<'_>,
    mut together: *mut u8,
    mut len: usize,
    into_map: bool,
) -> Result<(), Missing> {
    let guarded = map as usize..map as usize + map_len;
    let none = Axis { len: 0, stride: 0 };
    let empty = Piece { offset: 0, len: 0, inner: none, outer: none };
    let mut pieces = pieces.peekable();
    while pieces.peek().is_some() {
        let mut batch = [empty; BATCH];
        let (mut count, mut bytes) = (0, 0);
        for (place, piece) in batch.iter_mut().zip(pieces.by_ref().take(BATCH)) {
            bytes += size_in_map(&piece, map_len).ok_or(Missing)?;
            *place = piece;
            count += 1;
        }
        len = len.checked_sub(bytes).ok_or(Missing)?;
        let mut job = Job { map, together, into_map, pieces: batch, count };
        // SAFETY: `size_in_map` proved that every byte of the pieces lies in the map, and there are
        // as many at `together`. `copy` owns nothing, and does not unwind.
        unsafe { sigbus::catch(guarded.clone(), copy, &mut job) }
            .map_err(|sigbus::Fault| Missing)?;
        // SAFETY: at most one past the end.
        together = unsafe { together.add(bytes) };
    }
    if len == 0 { Ok(()) } else { Err(Missing) }
}

/// The bytes of a piece, if all of them lie in a map of `len` bytes.
fn size_in_map(piece: &Piece, len: usize) -> Option<usize> {
    let mut first = i64::try_from(piece.offset).ok()?;
    let mut last = first;
    for axis in [piece.inner, piece.outer] {
        let steps = i64::try_from(axis.len.checked_sub(1)?).ok()?;
        let reach = steps.checked_mul(axis.stride)?;
        let end = if reach < 0 { &mut first } else { &mut last };
        *end = end.checked_add(reach)?;
    }
    let end = last.checked_add(i64::try_from(piece.len).ok()?)?;
    let inside = first >= 0 && end <= i64::try_from(len).ok()?;
    let bytes = piece.len.checked_mul(piece.inner.len)?.checked_mul(piece.outer.len)?;
    inside.then(|| usize::try_from(bytes).ok()).flatten()
}

/// Stretches that are copied of one row before the next row's, where the rows lie closer together
/// than the stretches do: as many cache lines stay in reach until all rows have used them.
const BLOCK: usize = 64;

/// Copies the pieces of a job.
///
/// # Safety
///
/// Every byte of every piece must lie in the mapped range from `map` on, and as many bytes must be
/// there from `together` on; those that are copied to must be writable. The map may be changed by
/// others meanwhile: then old bytes, new ones or a mix are copied.
unsafe extern "C" fn copy(job: *mut Job) {
    // SAFETY: the caller passes a job that nobody else uses.
    let job = unsafe { &*job };
    let mut together = job.together;
    for piece in &job.pieces[..job.count] {
        // SAFETY: the piece's first byte lies in the map.
        let in_map = unsafe { job.map.add(piece.offset as usize) };
        // SAFETY: so do all others, and there are as many bytes together.
        unsafe { copy_piece(piece, in_map, together, job.into_map) };
        // SAFETY: at most one past the end of them.
        together = unsafe { together.add(piece.bytes() as usize) };
    }
}

/// Where stretches start, and how far each is from the one before.
#[derive(Clone, Copy)]
struct Row {
    start: *mut u8,
    stride: isize,
}

impl Row {
    /// The same stretches from the last to the first.
    ///
    /// # Safety
    ///
    /// The row must have `count` of them, one at least.
    unsafe fn reversed(self, count: usize) -> Row {
        // SAFETY: the last of them.
        let start = unsafe { self.start.offset((count as isize - 1) * self.stride) };
        Row { start, stride: -self.stride }
    }
}

/// # Safety
///
/// As [`copy`], for one piece that starts at `in_map`.
unsafe fn copy_piece(piece: &Piece, in_map: *mut u8, together: *mut u8, into_map: bool) {
    // Items of the common sizes are copied by loops of that constant size, which measured 1.2 (64
    // bytes) to 4 times as fast as calling memcpy for each.
    let copy_row = match piece.len {
        1 => copy_items::<1>,
        2 => copy_items::<2>,
        4 => copy_items::<4>,
        8 => copy_items::<8>,
        16 => copy_items::<16>,
        32 => copy_items::<32>,
        64 => copy_items::<64>,
        _ => copy_stretches,
    };
    let (len, stride) = (piece.len as usize, piece.inner.stride as isize);
    let (count, rows) = (piece.inner.len as usize, piece.outer.len as usize);
    let rows_are_near = piece.outer.stride.unsigned_abs() < piece.inner.stride.unsigned_abs();
    let block = if rows > 1 && rows_are_near { BLOCK } else { count };
    for start in (0..count).step_by(block) {
        let count = block.min(count - start);
        for row in 0..rows {
            let near = row as isize * piece.outer.stride as isize + start as isize * stride;
            let place = (row * piece.inner.len as usize + start) * len;
            // SAFETY: a stretch of the piece.
            let mut in_map = Row { start: unsafe { in_map.offset(near) }, stride };
            // SAFETY: its place among those together.
            let mut together = Row { start: unsafe { together.add(place) }, stride: len as isize };
            // Upwards in the map, whichever way the row runs: so the processor reads ahead of it.
            if stride < 0 {
                // SAFETY: the row has `count` stretches.
                in_map = unsafe { in_map.reversed(count) };
                // SAFETY: and as many places.
                together = unsafe { together.reversed(count) };
            }
            let (from, to) = if into_map { (together, in_map) } else { (in_map, together) };
            // SAFETY: `count` stretches of a row of the piece, and their places.
            unsafe { copy_row(from, to, count, len) };
        }
    }
}

/// # Safety
///
/// As [`copy`], for a row of `count` items of `N` bytes.
unsafe fn copy_items<const N: usize>(from: Row, to: Row, count: usize, _len: usize) {
    for i in 0..count as isize {
        // SAFETY: item i of the row.
        let item = unsafe { from.start.offset(i * from.stride) };
        // SAFETY: its place.
        let place = unsafe { to.start.offset(i * to.stride) };
        // SAFETY: both are N bytes long, and one of them is not in the map.
        unsafe { std::ptr::copy_nonoverlapping(item, place, N) };
    }
}

/// # Safety
///
/// As [`copy`], for a row of `count` stretches of `len` bytes.
unsafe fn copy_stretches(from: Row, to: Row, count: usize, len: usize) {
    for i in 0..count as isize {
        // SAFETY: stretch i of the row.
        let stretch = unsafe { from.start.offset(i * from.stride) };
        // SAFETY: its place.
        let place = unsafe { to.start.offset(i * to.stride) };
        // SAFETY: both are `len` bytes long, and one of them is not in the map.
        unsafe { std::ptr::copy_nonoverlapping(stretch, place, len) };
    }
}
