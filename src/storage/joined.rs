//! Several storages end to end.

use std::fmt;
use std::io;
use std::ops::Range;

use super::{ReadError, Section, Storage, short};
use crate::concatenated::Concatenated;
use crate::runs::{Piece, Pieces};

/// Storages one after another: an array whose rows are spread over several files.
///
/// Where each one begins depends on what the ones before it are meant to have, so that no address
/// moves when a file shrinks or grows.
#[derive(Clone, Debug)]
pub struct Joined<P = Sections> {
    parts: P,
}

/// The storages that are joined. There may be very many, so each is opened when it is needed.
pub trait Parts: fmt::Debug + Send + Sync {
    /// One of them, open.
    type Part: Storage;

    /// How many there are.
    fn count(&self) -> usize;

    /// The address at which one of them ends, and the next begins.
    fn end(&self, number: usize) -> u64;

    /// Opens one.
    fn open(&self, number: usize) -> Result<Self::Part, ReadError>;

    /// Checks one after bytes of it were taken: they count only if this succeeds.
    fn check(&self, number: usize, part: &Self::Part) -> Result<(), ReadError>;
}

/// Sections that are open all the time.
#[derive(Clone, Debug)]
pub struct Sections(Concatenated<Section>);

impl Parts for Sections {
    type Part = Section;

    fn count(&self) -> usize {
        self.0.count()
    }

    fn end(&self, number: usize) -> u64 {
        self.0.end(number)
    }

    fn open(&self, number: usize) -> Result<Section, ReadError> {
        Ok(self.0.item(number).clone())
    }

    fn check(&self, _number: usize, _part: &Section) -> Result<(), ReadError> {
        Ok(())
    }
}

impl Joined {
    /// `None` where no storage can have so many bytes.
    pub fn new(parts: impl IntoIterator<Item = Section>) -> Option<Joined> {
        let with_len = |part: Section| {
            let len = part.len();
            (part, len)
        };
        let parts = Concatenated::new(parts.into_iter().map(with_len))?;
        (parts.len() <= i64::MAX as u64).then_some(Joined { parts: Sections(parts) })
    }
}

/// Bytes of a view, by their places in it, that lie in one part.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Share {
    part: usize,
    bytes: Range<u64>,
}

/// How many shares are sorted at once: about as many as a request of a MiB has elements of eight
/// bytes.
const MAX_SHARES: usize = 1 << 17;

impl<P: Parts> Joined<P> {
    /// All of these parts, which end at or before `i64::MAX`.
    pub fn of(parts: P) -> Joined<P> {
        Joined { parts }
    }

    /// What is joined.
    pub fn parts(&self) -> &P {
        &self.parts
    }

    /// Bytes that it is meant to have.
    pub fn len(&self) -> u64 {
        self.parts.count().checked_sub(1).map_or(0, |last| self.parts.end(last))
    }

    /// Whether it is meant to have none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where a part lies.
    fn place(&self, part: usize) -> Range<u64> {
        part.checked_sub(1).map_or(0, |before| self.parts.end(before))..self.parts.end(part)
    }

    /// The part that has the byte at an address: the first that ends after it.
    fn part_at(&self, at: u64) -> Option<usize> {
        let (mut low, mut high) = (0, self.parts.count());
        while low < high {
            let middle = low.midpoint(high);
            match self.parts.end(middle) <= at {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        (low < self.parts.count()).then_some(low)
    }

    /// The parts that a range of addresses meets, each with the range of its own that it does.
    fn within(&self, range: Range<u64>) -> impl Iterator<Item = (usize, Range<u64>)> {
        let first = self.part_at(range.start).unwrap_or(self.parts.count());
        (first..self.parts.count())
            .map(|part| (part, self.place(part)))
            .take_while(move |(_, place)| place.start < range.end)
            .map(move |(part, place)| {
                let (start, end) = (range.start.max(place.start), range.end.min(place.end));
                (part, start - place.start..end.max(start) - place.start)
            })
            .filter(|(_, bytes)| !bytes.is_empty())
    }

    /// How many parts these bytes are in.
    pub fn parts_of(&self, range: Range<u64>) -> usize {
        let Some(last) = range.end.checked_sub(1).filter(|last| *last >= range.start) else {
            return 0;
        };
        let [first, last] = [range.start, last].map(|at| self.part_at(at));
        first.zip(last).map_or(0, |(first, last)| last - first + 1)
    }

    /// Where these bytes are, if all of them lie inside.
    fn range(&self, at: u64, out: &[u8]) -> Option<Range<u64>> {
        let end = at.checked_add(out.len() as u64)?;
        (end <= self.len()).then_some(at..end)
    }

    /// An error of a part, as one of all. What is missing begins where that part ends too soon.
    fn own(&self, part: usize, err: ReadError) -> ReadError {
        match err {
            ReadError::Short { has } => ReadError::Short { has: self.place(part).start + has },
            ReadError::Io(err) => ReadError::Io(err),
        }
    }

    /// Gives the shares of the pieces to `take`, in order, with as many bytes to each as follow one another in
    /// the same part. None if some byte is in no part.
    fn each_share(
        &self,
        pieces: Pieces<'_>,
        mut take: impl FnMut(Share) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let beyond = || short(self);
        let mut at = 0;
        let mut last = Share { part: 0, bytes: 0..0 };
        let mut add = |part: usize, len: u64| -> Result<(), ReadError> {
            let bytes = at..at + len;
            at = bytes.end;
            if part == last.part {
                last.bytes.end = bytes.end;
                return Ok(());
            }
            let done = std::mem::replace(&mut last, Share { part, bytes });
            if done.bytes.is_empty() { Ok(()) } else { take(done) }
        };
        let mut hint = 0;
        for piece in pieces {
            let (part, place) = self.find(&mut hint, piece.offset).ok_or_else(beyond)?;
            if extent(&piece).is_some_and(|e| place.start <= e.start && e.end <= place.end) {
                add(part, piece.bytes())?;
                continue;
            }
            let Piece { len, inner, outer, .. } = piece;
            for row in 0..outer.len.cast_signed() {
                let start = piece.offset.wrapping_add_signed(row.wrapping_mul(outer.stride));
                let mut i = 0;
                while i < inner.len {
                    let step = i.cast_signed().wrapping_mul(inner.stride);
                    let first = start.wrapping_add_signed(step);
                    let (part, place) = self.find(&mut hint, first).ok_or_else(beyond)?;
                    let end = first.checked_add(len).ok_or_else(beyond)?;
                    if end > place.end {
                        if end > self.len() {
                            return Err(beyond());
                        }
                        for (part, bytes) in self.within(first..end) {
                            add(part, bytes.end - bytes.start)?;
                        }
                        i += 1;
                        continue;
                    }
                    // The stretches that follow in the same part.
                    let room = match inner.stride {
                        0.. => place.end - end,
                        _ => first - place.start,
                    };
                    let more = room.checked_div(inner.stride.unsigned_abs()).unwrap_or(u64::MAX);
                    let count = more.saturating_add(1).min(inner.len - i);
                    add(part, count * len)?;
                    i += count;
                }
            }
        }
        if last.bytes.is_empty() { Ok(()) } else { take(last) }
    }

    /// The part that has the byte at an address, most often the one that was found last.
    fn find(&self, hint: &mut usize, at: u64) -> Option<(usize, Range<u64>)> {
        if *hint < self.parts.count() && self.place(*hint).contains(&at) {
            return Some((*hint, self.place(*hint)));
        }
        *hint = self.part_at(at)?;
        Some((*hint, self.place(*hint)))
    }

    /// Gathers the shares, each part's by one that was opened once.
    fn gather_shares(
        &self,
        shares: &mut Vec<Share>,
        pieces: &Pieces<'_>,
        out: &mut [u8],
        needs: u64,
    ) -> Result<(), ReadError> {
        let wrong = || io::Error::from(io::ErrorKind::InvalidInput);
        shares.sort_by_key(|share| share.part);
        for of_part in shares.chunk_by(|one, next| one.part == next.part) {
            let part = of_part[0].part;
            let place = self.place(part);
            let needs = needs.clamp(place.start, place.end) - place.start;
            let own = |err| self.own(part, err);
            let open = self.parts.open(part).map_err(own)?;
            for Share { bytes, .. } in of_part {
                let from = place.start.wrapping_neg();
                let pieces = pieces.clone().within(bytes.clone()).moved(from);
                let out = out.get_mut(bytes.start as usize..bytes.end as usize);
                open.gather(pieces, out.ok_or_else(wrong)?, needs).map_err(own)?;
            }
            self.parts.check(part, &open).map_err(own)?;
        }
        shares.clear();
        Ok(())
    }
}

/// The addresses from the first byte of a piece to its last.
fn extent(piece: &Piece) -> Option<Range<u64>> {
    let reach = |len: u64, stride: i64| len.checked_sub(1)?.checked_mul(stride.unsigned_abs());
    let (mut start, mut end) = (piece.offset, piece.offset.checked_add(piece.len)?);
    for axis in [piece.inner, piece.outer] {
        let reach = reach(axis.len, axis.stride)?;
        match axis.stride {
            0.. => end = end.checked_add(reach)?,
            _ => start = start.checked_sub(reach)?,
        }
    }
    Some(start..end)
}

impl<P: Parts> Storage for Joined<P> {
    /// The bytes before the first one that is missing.
    fn size(&self) -> io::Result<u64> {
        for part in 0..self.parts.count() {
            let place = self.place(part);
            let has = self.parts.open(part)?.size()?;
            if has < place.end - place.start {
                return Ok(place.start + has);
            }
        }
        Ok(self.len())
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), ReadError> {
        let range = self.range(at, out).ok_or_else(|| short(self))?;
        let mut rest = out;
        for (part, bytes) in self.within(range) {
            let (some, left) = rest.split_at_mut((bytes.end - bytes.start) as usize);
            let own = |err| self.own(part, err);
            let open = self.parts.open(part).map_err(own)?;
            open.read_at(bytes.start, some).map_err(own)?;
            self.parts.check(part, &open).map_err(own)?;
            rest = left;
        }
        Ok(())
    }

    fn read_now(&self, at: u64, out: &mut [u8]) -> bool {
        let Some(range) = self.range(at, out) else { return false };
        let mut rest = out;
        for (part, bytes) in self.within(range) {
            let (some, left) = rest.split_at_mut((bytes.end - bytes.start) as usize);
            let Ok(open) = self.parts.open(part) else { return false };
            if !open.read_now(bytes.start, some) || self.parts.check(part, &open).is_err() {
                return false;
            }
            rest = left;
        }
        true
    }

    /// Each part gathers its own. Where elements of many parts alternate, they are sorted first, so that
    /// each part is opened once.
    fn gather(&self, pieces: Pieces<'_>, out: &mut [u8], needs: u64) -> Result<(), ReadError> {
        if needs > self.len() {
            return Err(short(self));
        }
        if pieces.bytes() != out.len() as u64 {
            return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
        }
        let mut shares = Vec::new();
        self.each_share(pieces.clone(), |share| {
            shares.push(share);
            match shares.len() {
                MAX_SHARES => self.gather_shares(&mut shares, &pieces, out, needs),
                _ => Ok(()),
            }
        })?;
        self.gather_shares(&mut shares, &pieces, out, needs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::header::{Header, Order};
    use crate::runs::Runs;
    use crate::storage::LocalFile;
    use crate::view::View;
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Bytes of 0, 1, 2, … in parts of some lengths, which count how often they are opened.
    #[derive(Debug)]
    struct Counted(Vec<(Section, u64)>, AtomicUsize);

    impl Parts for Counted {
        type Part = Section;

        fn count(&self) -> usize {
            self.0.len()
        }

        fn end(&self, number: usize) -> u64 {
            self.0[number].1
        }

        fn open(&self, number: usize) -> Result<Section, ReadError> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Ok(self.0[number].0.clone())
        }

        fn check(&self, _number: usize, _part: &Section) -> Result<(), ReadError> {
            Ok(())
        }
    }

    fn counted(lens: &[u8]) -> Joined<Counted> {
        let (mut parts, mut end) = (Vec::new(), 0u8);
        for len in lens {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&(end..end + len).collect::<Vec<u8>>()).unwrap();
            end += len;
            let file = Arc::new(LocalFile::new(file).unwrap());
            parts.push((Section::new(file, 0, u64::from(*len)).unwrap(), u64::from(end)));
        }
        Joined::of(Counted(parts, AtomicUsize::new(0)))
    }

    #[test]
    fn a_gather_opens_each_part_once_however_its_elements_alternate() {
        // Six rows of six bytes, two rows to a part.
        let joined = counted(&[12, 0, 12, 12]);
        let dtype = Arc::new(crate::npy::dtype::DType::Scalar("|u1".parse().unwrap()));
        let (version, shape) = ((1, 0), vec![6, 6]);
        let header = Header { version, dtype, order: Order::C, shape, data_offset: 0 };
        let runs = Runs::new(&View::of_header(&header).unwrap().transposed(), Order::C);
        let mut out = [0; 36];
        joined.gather(runs.pieces(0, 36), &mut out, 36).unwrap();
        let expected: Vec<u8> = (0..36).map(|i| i % 6 * 6 + i / 6).collect();
        assert_eq!(out[..], expected);
        assert_eq!(joined.parts.1.load(Ordering::Relaxed), 3);
        assert!(joined.gather(runs.pieces(0, 36), &mut out[1..], 36).is_err());
    }

    #[test]
    fn parts_are_counted_that_have_some_of_the_bytes() {
        let joined = counted(&[3, 0, 2, 4, 0]);
        let parts_of = |range| joined.parts_of(range);
        assert_eq!([parts_of(0..3), parts_of(2..4), parts_of(0..9)], [1, 3, 4]);
        assert_eq!([parts_of(4..4), parts_of(9..9)], [0, 0]);
        let mut out = [0; 4];
        joined.read_at(2, &mut out).unwrap();
        assert_eq!(out, [2, 3, 4, 5]);
        assert!(joined.read_at(6, &mut out).is_err());
    }
}
