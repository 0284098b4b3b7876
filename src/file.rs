//! Virtual files: a header, then the bytes of a view in one order, at any position.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use crate::npy::header::Order;
use crate::runs::Runs;
use crate::storage::{ReadError, Storage, Unwritten, Writer};
use crate::view::View;

mod incoming;

pub use incoming::{Incoming, described};

/// A file that exists only as a layout over a backing file.
#[derive(Debug)]
pub struct VirtualFile {
    header: Box<[u8]>,
    runs: Runs,
    /// Bytes that the backing file must have for the array to be whole.
    needs: u64,
}

/// Why bytes cannot be written to a virtual file.
#[derive(Debug)]
pub enum WriteError {
    /// They would make the header another.
    Header,
    /// They are a header that describes something else, or none at all: what is wrong with it.
    Other(String),
    /// They reach past the end.
    TooFar,
    /// They are the beginning of a header, and too many others are waited for already.
    NoRoom,
    /// The operating system refused.
    Io(Unwritten),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteError::Header => {
                f.write_str("not written: the bytes of the header stay as they are")
            }
            WriteError::Other(what) => write!(f, "not written: {what}"),
            WriteError::TooFar => {
                f.write_str("not written: past the end, and sizes stay as they are")
            }
            WriteError::NoRoom => f.write_str(
                "not written: too many headers are begun and not yet whole; write each at once",
            ),
            WriteError::Io(err) => write!(f, "{}", err.why),
        }
    }
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

impl VirtualFile {
    /// `header`, then the elements of `view` in `order`.
    pub fn new(header: Vec<u8>, view: &View, order: Order) -> VirtualFile {
        let runs = Runs::new(view, order);
        VirtualFile { header: header.into(), runs, needs: view.data().end }
    }

    /// Bytes of the file.
    pub fn len(&self) -> u64 {
        self.header.len() as u64 + self.runs.len()
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
        let len = (self.len().saturating_sub(at)).min(len as u64);
        let header_len = self.header.len() as u64;
        let from_header = header_len.saturating_sub(at).min(len);
        let from_data = len - from_header;
        let data_at = at.saturating_sub(header_len);
        with_buffer(len as usize, |buffer| {
            let (head, data) = buffer.split_at_mut(from_header as usize);
            if !head.is_empty() {
                let start = at as usize;
                head.copy_from_slice(&self.header[start..start + head.len()]);
            }
            match self.runs.contiguous(data_at, from_data) {
                Some(offset) => storage.read_at(offset, data)?,
                None => storage.gather(self.runs.pieces(data_at, from_data), data, self.needs)?,
            }
            Ok(respond(buffer))
        })
    }

    /// Reads the whole file, which is to be small, and passes it to `respond`: if its data lie
    /// together, and in memory, so that nobody has to wait for them.
    pub fn read_now<R>(
        &self,
        storage: &(impl Storage + ?Sized),
        respond: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        let offset = self.runs.contiguous(0, self.runs.len())?;
        with_buffer(usize::try_from(self.len()).ok()?, |buffer| {
            let (head, data) = buffer.split_at_mut(self.header.len());
            head.copy_from_slice(&self.header);
            storage.read_now(offset, data).then(|| respond(buffer))
        })
    }

    /// The bytes of the backing file that belong to this file.
    pub fn runs(&self) -> &Runs {
        &self.runs
    }

    /// Where the data begin.
    pub fn data_at(&self) -> u64 {
        self.header.len() as u64
    }

    /// Writes `bytes` from `at` on, all of them or, if the operating system refuses, the first few;
    /// to no byte of the backing file but those that they stand for. Bytes of the header can only be
    /// written as they are.
    pub fn write_at(&self, writer: &Writer, at: u64, bytes: &[u8]) -> Result<(), WriteError> {
        let end = at.checked_add(bytes.len() as u64).ok_or(WriteError::TooFar)?;
        if end > self.len() && !bytes.is_empty() {
            return Err(WriteError::TooFar);
        }
        let of_header = self.header.get(at as usize..).unwrap_or_default();
        let (head, data) = bytes.split_at(of_header.len().min(bytes.len()));
        if *head != of_header[..head.len()] {
            return Err(WriteError::Header);
        }
        let data_at = at.saturating_sub(self.header.len() as u64);
        match self.runs.contiguous(data_at, data.len() as u64) {
            Some(offset) => writer.write_at(offset, data),
            None => writer.scatter(self.runs.pieces(data_at, data.len() as u64), data, self.needs),
        }
        .map_err(|err| WriteError::Io(Unwritten { written: head.len() + err.written, ..err }))
    }

    /// Writes zeros to `bytes` of the file, those of the header excepted.
    pub fn clear(&self, writer: &Writer, bytes: Range<u64>) -> Result<(), WriteError> {
        static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
        let mut at = bytes.start.max(self.data_at());
        // A hole can be as large as the file, and nobody is to wait for that.
        if at < bytes.end
            && let Some(offset) = self.runs.contiguous(at - self.data_at(), bytes.end - at)
            && writer.clear(offset, bytes.end - at)
        {
            return Ok(());
        }
        while at < bytes.end {
            let len = (bytes.end - at).min(ZEROS.len() as u64);
            self.write_at(writer, at, &ZEROS[..len as usize]).map_err(|err| match err {
                // Nothing of what is to follow them.
                WriteError::Io(err) => WriteError::Io(Unwritten { written: 0, ..err }),
                other => other,
            })?;
            at += len;
        }
        Ok(())
    }
}

/// Reads a backing file of `size` bytes as it is, as [`VirtualFile::read_at`] does a virtual one.
/// Where it has shrunk below the size that it was opened with, what is missing is an error.
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
