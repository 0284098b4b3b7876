//! Layouts: the bytes of a virtual file, from any position on.
//!
//! A file that exists only as a [`Layout`] is a short list of [`Segment`]s over the addresses of a
//! storage: a header, then the elements of a view; or the elements of a chunk, padded to the shape
//! that all chunks have. How long it is is known without reading anything. A read puts its bytes
//! together in a buffer of the thread, and each segment reads from the storage at most once for it.

use std::cell::RefCell;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::concatenated::Concatenated;
use crate::npy::header::Order;
use crate::runs::Runs;
use crate::storage::{ReadError, Storage};
use crate::view::View;

mod incoming;
mod padded;
mod segment;
mod writing;

pub use incoming::{Incoming, described};
pub use padded::Padded;
pub use segment::Segment;
pub use writing::WriteError;

/// The bytes of a virtual file.
#[derive(Clone, Debug)]
pub struct Layout {
    segments: Concatenated<Segment>,
    /// Bytes that the storage must have for the elements to be whole.
    needs: u64,
}

thread_local! {
    /// Where the bytes of a request are put together; it grows to the largest one.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn with_buffer<R>(len: usize, work: impl FnOnce(&mut [u8]) -> R) -> R {
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.len() < len {
            buffer.resize(len, 0);
        }
        work(&mut buffer[..len])
    })
}

impl Layout {
    /// `segments` one after another; `None` if they have more bytes than there can be.
    pub fn new(segments: impl IntoIterator<Item = Segment>) -> Option<Layout> {
        let mut needs = 0;
        let segments = segments.into_iter().map(|segment| {
            needs = needs.max(segment.needs());
            let len = segment.len();
            (segment, len)
        });
        let segments = Concatenated::new(segments)?;
        Some(Layout { segments, needs })
    }

    /// `header`, then the elements of `view` in `order`.
    pub fn with_header(header: Vec<u8>, view: &View, order: Order) -> Layout {
        let segments = [Segment::bytes(header), Segment::elements(view, order)];
        Layout::new(segments).expect("memory and a view have less than 2^63 bytes each")
    }

    /// Bytes of the file.
    pub fn len(&self) -> u64 {
        self.segments.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads `len` bytes from `at` on, fewer only at the end of the file, into a buffer of this
    /// thread, and passes them to `respond`.
    pub fn read_at<R>(
        &self,
        storage: &(impl Storage + ?Sized),
        at: u64,
        len: usize,
        respond: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, ReadError> {
        let len = self.len().saturating_sub(at).min(len as u64);
        with_buffer(len as usize, |buffer| {
            let mut rest = &mut *buffer;
            for (segment, part) in self.segments.within(at..at.saturating_add(len)) {
                let (out, left) = rest.split_at_mut((part.end - part.start) as usize);
                segment.read_at(storage, part.start, out, self.needs)?;
                rest = left;
            }
            Ok(respond(buffer))
        })
    }

    /// Writes `len` bytes from `at` on, fewer only at the end, to a file, where they have the same places. An error of
    /// that file is [`ReadError::Io`].
    pub fn copy_to(
        &self,
        storage: &(impl Storage + ?Sized),
        at: u64,
        len: usize,
        file: &File,
    ) -> Result<(), ReadError> {
        let mut place = at;
        for (segment, part) in self.segments.within(at..at.saturating_add(len as u64)) {
            let len = part.end - part.start;
            let address = segment.address(part.start, len);
            if !address.is_some_and(|address| storage.copy_to(address, len, file, place)) {
                with_buffer(len as usize, |buffer| {
                    segment.read_at(storage, part.start, buffer, self.needs)?;
                    Ok::<_, ReadError>(file.write_all_at(buffer, place)?)
                })?;
            }
            place += len;
        }
        Ok(())
    }

    /// Reads the whole file, which is to be small, and passes it to `respond`: if its elements lie
    /// together, and in memory, so that nobody has to wait for them.
    pub fn read_now<R>(
        &self,
        storage: &(impl Storage + ?Sized),
        respond: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        with_buffer(usize::try_from(self.len()).ok()?, |buffer| {
            let mut rest = &mut *buffer;
            for segment in self.segments.iter() {
                let (out, left) = rest.split_at_mut(segment.len() as usize);
                if !segment.read_now(storage, out) {
                    return None;
                }
                rest = left;
            }
            Some(respond(buffer))
        })
    }

    /// The bytes before the first element.
    pub fn header(&self) -> &[u8] {
        match self.segments.iter().next() {
            Some(Segment::Bytes(bytes)) => bytes,
            _ => &[],
        }
    }

    /// Where the elements are in the storage.
    fn runs(&self) -> impl Iterator<Item = &Runs> {
        self.segments.iter().filter_map(Segment::runs)
    }

    /// Whether all elements lie together in the storage.
    pub fn lies_together(&self) -> bool {
        let mut runs = self.runs();
        let first = runs.next();
        first.is_none_or(|runs| runs.contiguous(0, runs.len()).is_some()) && runs.next().is_none()
    }

    /// The part of the storage from the first element to the last; none if there are no elements.
    pub fn span(&self) -> Option<Range<u64>> {
        let spans = self.runs().filter(|runs| !runs.is_empty()).map(Runs::span);
        spans.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end))
    }

    /// Whether files of one storage may have the byte of an element in common, as
    /// [`Runs::may_overlap`] tells.
    pub fn may_overlap(&self, other: &Layout) -> bool {
        self.runs().any(|own| other.runs().any(|others| own.may_overlap(others)))
    }
}

/// Reads a storage of `size` bytes as it is, as [`Layout::read_at`] does a virtual file. Where it has
/// shrunk below the size that it was opened with, what is missing is an error.
pub fn read_whole<R>(
    storage: &(impl Storage + ?Sized),
    size: u64,
    size_at_open: u64,
    at: u64,
    len: usize,
    respond: impl FnOnce(&[u8]) -> R,
) -> Result<R, ReadError> {
    let asked = at.saturating_add(len as u64);
    if size < asked.min(size_at_open) {
        return Err(ReadError::Short { has: size });
    }
    let len = size.saturating_sub(at).min(len as u64);
    with_buffer(len as usize, |buffer| {
        storage.read_at(at, buffer)?;
        Ok(respond(buffer))
    })
}
