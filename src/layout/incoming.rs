//! What a writer makes of a file that it does not read: first its layout, by the header that it
//! writes, then its bytes.
//!
//! A program that replaces a file (`np.save`, `cp`) brings a header of its own. It may be padded
//! otherwise, be of another format version, or announce another order of the same elements; what
//! follows it then lies elsewhere than in the file that is read here. So each writer has its own
//! layout. The header arrives in pieces of any size, and nothing is written before it is known.

use std::io;
use std::sync::Arc;

use super::{Layout, WriteError};
use crate::npy::dtype::DType;
use crate::npy::header::{Header, HeaderError};
use crate::quota::Share;
use crate::storage::Writer;
use crate::view::View;

/// How much longer than the file's own a header may be. The dtype is spelled in about as many bytes, and what
/// is left is padding.
const MAX_LONGER: usize = 64 << 10;

/// One writer's view of a file.
#[derive(Debug)]
pub struct Incoming {
    view: View,
    /// The file as it is read.
    own: Arc<Layout>,
    header: HeaderState,
    /// What the beginning of a header takes of the memory that there is for all of them.
    held: Option<Share>,
    /// The file was truncated, so that what is skipped is to be zeros: how far it has been written.
    written: Option<u64>,
}

/// What is known of the header that a writer brings, and with it of the layout.
#[derive(Debug)]
enum HeaderState {
    /// The beginning of a header, which may yet turn out to be another than the file's own.
    Begun(Vec<u8>),
    Known(Arc<Layout>),
}

impl Incoming {
    /// Nothing was written yet to `own`, which holds `view`.
    pub fn new(view: View, own: Arc<Layout>) -> Incoming {
        let header = HeaderState::Begun(Vec::new());
        Incoming { view, own, header, held: None, written: None }
    }

    /// The same, where the beginning of a header takes of what there is for all of them.
    pub fn with_share(self, share: Share) -> Incoming {
        Incoming { held: Some(share), ..self }
    }

    /// Whether nothing was written yet.
    pub fn is_untouched(&self) -> bool {
        matches!(&self.header, HeaderState::Begun(begun) if begun.is_empty())
    }

    /// Notes that the file was truncated: the writer begins anew, and what it skips becomes zeros.
    pub fn truncate(&mut self) {
        self.header = HeaderState::Begun(Vec::new());
        self.written = Some(0);
        self.hold(0);
    }

    /// How many bytes are missing of a file that is replaced, when its writer closes it: of what
    /// was begun and not brought to its end. The file then has some new values and some old ones, or
    /// no new ones at all. None if nothing was begun, or if only a part was to be written.
    pub fn missing(&self) -> Option<u64> {
        match (&self.header, self.written) {
            (HeaderState::Begun(begun), written) => {
                let is_other = !self.own.header().starts_with(begun);
                let replaces = written.is_some() && !begun.is_empty();
                (is_other || replaces).then(|| self.own.len().saturating_sub(begun.len() as u64))
            }
            (HeaderState::Known(file), Some(written)) => {
                Some(file.len().saturating_sub(written)).filter(|&missing| missing > 0)
            }
            (HeaderState::Known(_), None) => None,
        }
    }

    /// Ends the file at `size`, which must be its size; what is missing becomes zeros if it was
    /// truncated before. Says whether that was its size.
    pub fn end(&mut self, writer: &Writer, size: u64) -> Result<bool, WriteError> {
        let file = match &self.header {
            HeaderState::Known(file) => file.clone(),
            HeaderState::Begun(_) => self.own.clone(),
        };
        if size != file.len() {
            return Ok(size == self.own.len());
        }
        if let Some(written) = self.written.filter(|&written| written < size) {
            file.clear(writer, written..size)?;
            self.written = Some(size);
        }
        Ok(true)
    }

    /// Writes `bytes` from `at` on, as [`Layout::write_at`] does.
    pub fn write_at(&mut self, writer: &Writer, at: u64, bytes: &[u8]) -> Result<(), WriteError> {
        let Some(file) = self.layout_for(at, bytes)? else { return Ok(()) };
        if let Some(written) = self.written {
            // Not before the write is known to be possible.
            if at.saturating_add(bytes.len() as u64) > file.len() {
                return Err(WriteError::TooFar);
            }
            file.clear(writer, written..at)?;
        }
        let wrote = file.write_at(writer, at, bytes);
        let count = match &wrote {
            Ok(()) => bytes.len(),
            // The writer goes on from here, and nothing of this is left out.
            Err(WriteError::Io(err)) => err.written,
            Err(_) => 0,
        };
        self.written = self.written.map(|written| written.max(at + count as u64));
        wrote
    }

    /// Notes how much the beginning of a header takes; not if there is no room for it.
    fn hold(&mut self, bytes: usize) -> bool {
        self.held.as_mut().is_none_or(|held| held.resize(bytes as u64))
    }

    /// Takes back what a write has added to the beginning of a header.
    fn forget_from(&mut self, before: usize) {
        if let HeaderState::Begun(begun) = &mut self.header {
            begun.truncate(before);
            begun.shrink_to_fit();
            let taken = begun.capacity();
            self.hold(taken);
        }
    }

    /// The layout by which to write these bytes; none while they are the beginning of a header.
    fn layout_for(&mut self, at: u64, bytes: &[u8]) -> Result<Option<Arc<Layout>>, WriteError> {
        let begun = match &mut self.header {
            HeaderState::Known(file) => return Ok(Some(file.clone())),
            HeaderState::Begun(begun) => begun,
        };
        let before = begun.len();
        let known = if at == before as u64 {
            let room = max_start(&self.own).saturating_sub(before);
            begun.extend_from_slice(&bytes[..bytes.len().min(room)]);
            layout_of(begun, &self.own, &self.view)
        } else if self.own.header().starts_with(begun) {
            // Not from the beginning on: what is changed is the file that is there.
            Ok(Some(self.own.clone()))
        } else {
            Err(WriteError::Header)
        };
        match known {
            Ok(Some(file)) => {
                self.header = HeaderState::Known(file.clone());
                self.hold(0);
                Ok(Some(file))
            }
            Ok(None) => {
                let taken = begun.capacity();
                if self.hold(taken) {
                    return Ok(None);
                }
                self.forget_from(before);
                Err(WriteError::NoRoom)
            }
            Err(err) => {
                self.forget_from(before);
                Err(err)
            }
        }
    }
}

/// The most bytes before the data that a writer may bring.
fn max_start(own: &Layout) -> usize {
    own.header().len().saturating_add(MAX_LONGER)
}

/// The layout of a file that begins with these bytes; none while that cannot be told.
fn layout_of(
    begun: &[u8],
    own: &Arc<Layout>,
    view: &View,
) -> Result<Option<Arc<Layout>>, WriteError> {
    if begun.starts_with(own.header()) {
        return Ok(Some(own.clone()));
    }
    if own.header().starts_with(begun) {
        return Ok(None);
    }
    let read = Header::read(begun.len() as u64, |at, out| {
        let bytes = begun.get(at as usize..at as usize + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    });
    let header = match read {
        Ok(header) => header,
        Err(HeaderError::HeaderCut { header, .. }) if header <= max_start(own) as u64 => {
            return Ok(None);
        }
        Err(HeaderError::HeaderCut { header, .. }) => {
            return Err(WriteError::OtherHeader(format!(
                "this has a header of {header} bytes, which is longer than any for this array"
            )));
        }
        Err(err) => return Err(WriteError::OtherHeader(format!("this is no array: {err}"))),
    };
    if header.dtype != *view.dtype() || header.shape != view.shape() {
        return Err(WriteError::OtherHeader(format!(
            "this is {}, and {} is expected",
            described(&header.dtype, &header.shape),
            described(view.dtype(), view.shape()),
        )));
    }
    let bytes = begun[..header.data_offset as usize].to_vec();
    Ok(Some(Arc::new(Layout::with_header(bytes, view, header.order))))
}

/// What an array is, in a few words.
pub fn described(dtype: &DType, shape: &[u64]) -> String {
    let mut descr = String::new();
    dtype.push_descr(&mut descr);
    let mut descr: String = descr.chars().take(MAX_DESCR + 1).collect();
    if descr.chars().count() > MAX_DESCR {
        descr.pop();
        descr.push('…');
    }
    format!("{} of shape {}", descr, crate::npy::shape_text(shape))
}

/// The longest dtype that a message quotes, in characters.
const MAX_DESCR: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::FileEncoding;
    use crate::npy::header::{self, Order};
    use std::fs::File;
    use std::io::Write;

    /// Two rows of three bytes, and a writer of them.
    struct World {
        file: tempfile::NamedTempFile,
        writer: Writer,
        view: View,
        data: usize,
        own: Vec<u8>,
    }

    impl World {
        fn new() -> World {
            let dtype = crate::npy::dtype::DType::Scalar("|u1".parse().unwrap());
            let own = header::write(&dtype, &[2, 3], Order::C);
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&own).unwrap();
            file.write_all(b"abcdef").unwrap();
            let len = own.len() as u64 + 6;
            let read = |at, out: &mut [u8]| {
                let at = at as usize;
                out.copy_from_slice(&own[at..at + out.len()]);
                Ok(())
            };
            let view = View::of_header(&Header::read(len, read).unwrap()).unwrap();
            let open = File::options().read(true).write(true).open(file.path()).unwrap();
            World { file, writer: Writer::new(open), view, data: own.len(), own }
        }

        fn incoming(&self) -> Incoming {
            Incoming::new(self.view.clone(), Arc::new(FileEncoding::Npy.layout(&self.view)))
        }

        /// The values, when the header is seen to be untouched.
        fn values(&self) -> String {
            let bytes = std::fs::read(self.file.path()).unwrap();
            assert_eq!(bytes[..self.data], self.own);
            String::from_utf8(bytes[self.data..].to_vec()).unwrap()
        }

        /// A header of another layout.
        fn foreign(&self, shape: &[u64], order: Order) -> Vec<u8> {
            let mut header = header::write(self.view.dtype(), shape, order);
            let end = header.len() - 1;
            header.splice(end..end, [b' '; 64]);
            header[8] += 64;
            header
        }
    }

    #[test]
    fn a_header_may_come_byte_by_byte() {
        let world = World::new();
        for header in [world.own.clone(), world.foreign(&[2, 3], Order::C)] {
            let mut incoming = world.incoming();
            for (at, byte) in [&header[..], b"ABCDEF"].concat().into_iter().enumerate() {
                incoming.write_at(&world.writer, at as u64, &[byte]).unwrap();
            }
            assert_eq!(world.values(), "ABCDEF");
            let past = incoming.write_at(&world.writer, header.len() as u64 + 6, b"G");
            assert!(matches!(past, Err(WriteError::TooFar)));
        }
    }

    #[test]
    fn the_order_is_that_of_the_header_that_was_written() {
        let world = World::new();
        let mut incoming = world.incoming();
        let stream = [&world.foreign(&[2, 3], Order::Fortran)[..], b"ADBECF"].concat();
        incoming.write_at(&world.writer, 0, &stream).unwrap();
        assert_eq!(world.values(), "ABCDEF");
        assert!(!incoming.is_untouched());
    }

    #[test]
    fn before_another_header_is_known_to_fit_nothing_is_written_and_if_not_nothing_ever_is() {
        let world = World::new();
        let mut incoming = world.incoming();
        let header = world.foreign(&[3, 2], Order::C);
        let (begin, end) = header.split_at(70);
        incoming.write_at(&world.writer, 0, begin).unwrap();
        for (at, bytes) in [(70, end), (0, b"x"), (header.len(), b"ABCDEF"), (0, &header)] {
            let written = incoming.write_at(&world.writer, at as u64, bytes);
            assert!(written.is_err(), "{} bytes at {at}", bytes.len());
        }
        assert_eq!(world.values(), "abcdef");
        // As far as it is the same, nothing has to be decided.
        let mut incoming = world.incoming();
        incoming.write_at(&world.writer, 0, &world.own[..30]).unwrap();
        incoming.write_at(&world.writer, world.data as u64 + 4, b"E").unwrap();
        assert_eq!(world.values(), "abcdEf");
    }

    #[test]
    fn what_is_no_header_is_refused_at_once_and_what_is_longer_than_any_too() {
        let world = World::new();
        let endless = [&b"\x93NUMPY\x02\x00\xff\xff\xff\xff"[..], &[b' '; 100]].concat();
        for bytes in [&b"no header"[..], b"\x93NUMPY\x09\x00\x01\x00", &endless] {
            let refused = world.incoming().write_at(&world.writer, 0, bytes);
            assert!(matches!(refused, Err(WriteError::OtherHeader(_))), "{bytes:?}");
        }
        let mut incoming = world.incoming();
        let header = incoming.write_at(&world.writer, 3, b"x");
        assert!(matches!(header, Err(WriteError::Header)));
    }

    #[test]
    fn a_replacement_that_is_cut_off_is_told_at_its_end() {
        let world = World::new();
        for header in [world.own.clone(), world.foreign(&[2, 3], Order::C)] {
            let stream = [&header[..], b"ABCDEF"].concat();
            for len in [0, 1, 10, header.len(), header.len() + 5, header.len() + 6] {
                let mut incoming = world.incoming();
                incoming.truncate();
                incoming.write_at(&world.writer, 0, &stream[..len]).unwrap();
                let whole = len == 0 || len == stream.len();
                assert_eq!(incoming.missing().is_none(), whole, "{len} of {}", stream.len());
            }
        }
        // Who has not truncated it writes what they want to, but no other header in part.
        let mut incoming = world.incoming();
        incoming.write_at(&world.writer, 0, &world.own[..64]).unwrap();
        assert_eq!(incoming.missing(), None);
        incoming.write_at(&world.writer, 64, &world.own[64..]).unwrap();
        assert_eq!(incoming.missing(), None);
        let mut incoming = world.incoming();
        incoming.write_at(&world.writer, 0, &world.foreign(&[2, 3], Order::C)[..64]).unwrap();
        assert!(incoming.missing().is_some());
    }

    #[test]
    fn what_a_writer_skips_is_kept_or_zero_if_it_has_truncated_the_file() {
        let data = World::new().data as u64;
        for (truncated, skipped, ended) in
            [(false, "abCdef", "abCdef"), (true, "\0\0Cdef", "\0\0C\0\0\0")]
        {
            let world = World::new();
            let mut incoming = world.incoming();
            if truncated {
                incoming.truncate();
            }
            incoming.write_at(&world.writer, 0, &world.own).unwrap();
            incoming.write_at(&world.writer, data + 2, b"C").unwrap();
            assert_eq!(world.values(), skipped);
            assert!(!incoming.end(&world.writer, data + 5).unwrap(), "not its size");
            assert_eq!(world.values(), skipped);
            assert!(incoming.end(&world.writer, data + 6).unwrap());
            assert_eq!(world.values(), ended);
        }
        // What reaches past the end leaves no zeros before it either.
        let world = World::new();
        let mut incoming = world.incoming();
        incoming.truncate();
        incoming.write_at(&world.writer, 0, &world.own).unwrap();
        assert!(incoming.write_at(&world.writer, data + 5, b"FG").is_err());
        assert_eq!(world.values(), "abcdef");
    }
}
