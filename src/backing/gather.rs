//! Copies strided bytes of a map together.

use super::fault;
use crate::runs::{Piece, Pieces};

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
    let empty = Piece { offset: 0, len: 0, count: 0, stride: 0 };
    let mut pieces = pieces.peekable();
    let mut rest = out;
    while pieces.peek().is_some() {
        let mut job =
            Job { map: map.as_ptr(), out: rest.as_mut_ptr(), pieces: [empty; BATCH], count: 0 };
        let mut filled = 0;
        for piece in pieces.by_ref().take(BATCH) {
            let bytes = size_in_map(&piece, map.len()).ok_or(Missing)?;
            filled += bytes;
            job.pieces[job.count] = piece;
            job.count += 1;
        }
        rest = rest.get_mut(filled..).ok_or(Missing)?;
        // SAFETY: `size_in_map` proved that every byte read lies in the map, and `get_mut` that
        // every byte written lies in `out`. `copy` owns nothing, and does not unwind.
        unsafe { fault::catch(guarded.clone(), copy, &mut job) }.map_err(|fault::Fault| Missing)?;
    }
    if rest.is_empty() { Ok(()) } else { Err(Missing) }
}

/// The bytes of a piece, if all of them lie in a map of `len` bytes.
fn size_in_map(piece: &Piece, len: usize) -> Option<usize> {
    let last = i64::try_from(piece.count.checked_sub(1)?).ok()?;
    let first = i64::try_from(piece.offset).ok()?;
    let far = first.checked_add(last.checked_mul(piece.stride)?)?;
    let end = first.max(far).checked_add(i64::try_from(piece.len).ok()?)?;
    let inside = first.min(far) >= 0 && end <= i64::try_from(len).ok()?;
    inside.then(|| usize::try_from(piece.len.checked_mul(piece.count)?).ok()).flatten()
}

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
        let (stride, count) = (piece.stride as isize, piece.count as usize);
        // SAFETY: so do all its stretches, for each of which `out` has room. Items of the common
        // sizes are copied by loops of that constant size, which measured 1.5 to 4 times as fast
        // as calling memcpy for each.
        unsafe {
            match piece.len {
                1 => copy_items::<1>(from, stride, count, out),
                2 => copy_items::<2>(from, stride, count, out),
                4 => copy_items::<4>(from, stride, count, out),
                8 => copy_items::<8>(from, stride, count, out),
                16 => copy_items::<16>(from, stride, count, out),
                len => copy_stretches(from, stride, count, len as usize, out),
            }
        }
        // SAFETY: at most one past the end of what is writable.
        out = unsafe { out.add((piece.len * piece.count) as usize) };
    }
}

/// # Safety
///
/// As [`copy`], for one piece of `count` items of `N` bytes.
unsafe fn copy_items<const N: usize>(from: *const u8, stride: isize, count: usize, out: *mut u8) {
    for i in 0..count {
        // SAFETY: item i of the piece.
        let item = unsafe { from.offset(i as isize * stride) };
        // SAFETY: its place in `out`.
        let place = unsafe { out.add(i * N) };
        // SAFETY: both are N bytes long, and `out` is not in the map.
        unsafe { std::ptr::copy_nonoverlapping(item, place, N) };
    }
}

/// # Safety
///
/// As [`copy`], for one piece of `count` stretches of `len` bytes.
unsafe fn copy_stretches(from: *const u8, stride: isize, count: usize, len: usize, out: *mut u8) {
    for i in 0..count {
        // SAFETY: stretch i of the piece.
        let stretch = unsafe { from.offset(i as isize * stride) };
        // SAFETY: its place in `out`.
        let place = unsafe { out.add(i * len) };
        // SAFETY: both are `len` bytes long, and `out` is not in the map.
        unsafe { std::ptr::copy_nonoverlapping(stretch, place, len) };
    }
}
