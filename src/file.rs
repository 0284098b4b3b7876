//! Virtual files: a header, then the bytes of a view in one order, at any position.

use std::cell::RefCell;

use crate::backing::{Backing, ReadError};
use crate::npy::header::Order;
use crate::runs::Runs;
use crate::view::View;

/// A file that exists only as a layout over a backing file.
#[derive(Debug)]
pub struct VirtualFile {
    header: Box<[u8]>,
    runs: Runs,
    /// Bytes that the backing file must have for the array to be whole.
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
        backing: &Backing,
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
                Some(offset) => backing.read_at(offset, data)?,
                None => backing.gather(self.runs.pieces(data_at, from_data), data, self.needs)?,
            }
            Ok(respond(buffer))
        })
    }
}

/// Reads a backing file of `size` bytes as it is, as [`VirtualFile::read_at`] does a virtual one.
/// Where it has shrunk below the size that it was opened with, what is missing is an error.
pub fn read_whole<R>(
    backing: &Backing,
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
        backing.read_at(at, buffer)?;
        Ok(respond(buffer))
    })
}
