//! Copies strided bytes of a map together.

use super::fault;
use crate::runs::{Axis, Piece, Pieces};

/// Some of the bytes are not there.
#[derive(Debug)]
pub(super) struct Missing;

/// One call of the guarded copy: pieces that were checked to lie in the map.
struct Job {
    map: *const u8,
    out: *mut u8,
    pieces: [Piece; BATCH],
    count: usize,
}

/// Pieces copied under one guard: enough that setting it up costs nothing.
const BATCH: usize = 64;

/// Copies `pieces` of `map`, one after another, to `out`, which they must fill exactly.
pub(super) fn gather(map: &[u8], pieces: Pieces<'_>, out: &mut [u8]) -> Result<(), Missing> {
    let guarded = map.as_ptr() as usize..map.as_ptr() as usize + map.len();
    let none = Axis { len: 0, stride: 0 };
    let empty = Piece { offset: 0, len: 0, inner: none, outer: none };
    let mut pieces = pieces.peekable();
    let mut rest = out;
    while pieces.peek().is_some() {
        let mut batch = [empty; BATCH];
        let (mut count, mut bytes) = (0, 0);
        for (place, piece) in batch.iter_mut().zip(pieces.by_ref().take(BATCH)) {
            bytes += size_in_map(&piece, map.len()).ok_or(Missing)?;
            *place = piece;
            count += 1;
        }
        let (filled, left) = rest.split_at_mut_checked(bytes).ok_or(Missing)?;
        let mut job = Job { map: map.as_ptr(), out: filled.as_mut_ptr(), pieces: batch, count };
        // SAFETY: `size_in_map` proved that every byte read lies in the map, and `filled` has as
        // many bytes as are written. `copy` owns nothing, and does not unwind.
        unsafe { fault::catch(guarded.clone(), copy, &mut job) }.map_err(|fault::Fault| Missing)?;
        rest = left;
    }
    if rest.is_empty() { Ok(()) } else { Err(Missing) }
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
/// Every byte of every piece must lie in the mapped range from `map` on, and as many bytes from
/// `out` on must be writable. The map may be changed by others meanwhile: then old bytes, new ones
/// or a mix are copied.
unsafe extern "C" fn copy(job: *mut Job) {
    // SAFETY: the caller passes a job that nobody else uses.
    let job = unsafe { &*job };
    let mut out = job.out;
    for piece in &job.pieces[..job.count] {
        // SAFETY: the piece's first byte lies in the map.
        let from = unsafe { job.map.add(piece.offset as usize) };
        // SAFETY: so do all others, for which `out` has room.
        unsafe { copy_piece(from, piece, out) };
        // SAFETY: at most one past the end of what is writable.
        out = unsafe { out.add(piece.bytes() as usize) };
    }
}

/// # Safety
///
/// As [`copy`], for one piece that starts at `from`.
unsafe fn copy_piece(from: *const u8, piece: &Piece, out: *mut u8) {
    // Items of the common sizes are copied by loops of that constant size, which measured 1.5 to 4
    // times as fast as calling memcpy for each.
    let copy_row = match piece.len {
        1 => copy_items::<1>,
        2 => copy_items::<2>,
        4 => copy_items::<4>,
        8 => copy_items::<8>,
        16 => copy_items::<16>,
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
            let from = unsafe { from.offset(near) };
            // SAFETY: its place in `out`.
            let out = unsafe { out.add(place) };
            // SAFETY: `count` stretches of a row of the piece, and their places.
            unsafe { copy_row(from, stride, count, len, out) };
        }
    }
}

/// # Safety
///
/// As [`copy`], for a row of `count` items of `N` bytes.
unsafe fn copy_items<const N: usize>(
    from: *const u8,
    stride: isize,
    count: usize,
    _len: usize,
    out: *mut u8,
) {
    for i in 0..count {
        // SAFETY: item i of the row.
        let item = unsafe { from.offset(i as isize * stride) };
        // SAFETY: its place in `out`.
        let place = unsafe { out.add(i * N) };
        // SAFETY: both are N bytes long, and `out` is not in the map.
        unsafe { std::ptr::copy_nonoverlapping(item, place, N) };
    }
}

/// # Safety
///
/// As [`copy`], for a row of `count` stretches of `len` bytes.
unsafe fn copy_stretches(from: *const u8, stride: isize, count: usize, len: usize, out: *mut u8) {
    for i in 0..count {
        // SAFETY: stretch i of the row.
        let stretch = unsafe { from.offset(i as isize * stride) };
        // SAFETY: its place in `out`.
        let place = unsafe { out.add(i * len) };
        // SAFETY: both are `len` bytes long, and `out` is not in the map.
        unsafe { std::ptr::copy_nonoverlapping(stretch, place, len) };
    }
}
