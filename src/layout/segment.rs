//! The parts that a layout is made of.

use super::padded::Padded;
use crate::npy::header::Order;
use crate::runs::Runs;
use crate::storage::{ReadError, Storage};
use crate::view::View;

/// A part of a virtual file.
#[derive(Clone, Debug)]
pub enum Segment {
    /// Bytes that are known: a header, an index.
    Bytes(Box<[u8]>),
    /// The elements of a view in an order.
    Elements {
        /// Where they are.
        runs: Runs,
        /// Bytes that the storage must have for the array to be whole.
        needs: u64,
    },
    /// A number of equal bytes.
    Fill {
        /// Each of them.
        byte: u8,
        /// How many.
        len: u64,
    },
    /// The elements of a view with fill around them: what a chunk at the edge of an array is.
    Padded(Box<Padded>),
}

impl Segment {
    /// These bytes.
    pub fn bytes(bytes: impl Into<Box<[u8]>>) -> Segment {
        Segment::Bytes(bytes.into())
    }

    /// The elements of `view` in `order`.
    pub fn elements(view: &View, order: Order) -> Segment {
        Segment::Elements { runs: Runs::new(view, order), needs: view.data().end }
    }

    /// The elements of an array of this `shape` in `order`, of which `view` is the beginning along
    /// each axis and all other bytes are `byte`. `None` where the view is not inside such an array,
    /// or there can be no array so large.
    pub fn padded(view: &View, order: Order, shape: &[u64], byte: u8) -> Option<Segment> {
        Padded::new(view, order, shape, byte).map(|padded| Segment::Padded(padded.into()))
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Segment::Bytes(bytes) => bytes.len() as u64,
            Segment::Elements { runs, .. } => runs.len(),
            Segment::Fill { len, .. } => *len,
            Segment::Padded(padded) => padded.len(),
        }
    }

    pub(super) fn needs(&self) -> u64 {
        match self {
            Segment::Bytes(_) | Segment::Fill { .. } => 0,
            Segment::Elements { needs, .. } => *needs,
            Segment::Padded(padded) => padded.needs(),
        }
    }

    /// Where its elements are.
    pub(super) fn runs(&self) -> Option<&Runs> {
        match self {
            Segment::Bytes(_) | Segment::Fill { .. } => None,
            Segment::Elements { runs, .. } => Some(runs),
            Segment::Padded(padded) => Some(padded.runs()),
        }
    }

    /// Where `len` of its bytes from `at` on are in the storage, if they lie there as they are here.
    pub(super) fn address(&self, at: u64, len: u64) -> Option<u64> {
        match self {
            Segment::Elements { runs, .. } => runs.contiguous(at, len),
            Segment::Bytes(_) | Segment::Fill { .. } | Segment::Padded(_) => None,
        }
    }

    /// Fills `out` with its bytes from `at` on, all of which it must have. The storage must have
    /// `needs` bytes in all for elements that are scattered over it.
    pub(super) fn read_at(
        &self,
        storage: &(impl Storage + ?Sized),
        at: u64,
        out: &mut [u8],
        needs: u64,
    ) -> Result<(), ReadError> {
        match self {
            Segment::Bytes(bytes) => out.copy_from_slice(&bytes[at as usize..][..out.len()]),
            Segment::Elements { runs, .. } => read_elements(runs, storage, at, out, needs)?,
            Segment::Fill { byte, .. } => out.fill(*byte),
            Segment::Padded(padded) => {
                let elements = padded.elements_within(at, out.len() as u64);
                let count = (elements.end - elements.start) as usize;
                let runs = padded.runs();
                read_elements(runs, storage, elements.start, &mut out[..count], needs)?;
                padded.spread(at, out);
            }
        }
        Ok(())
    }

    /// Fills `out` with all of its bytes if that takes no waiting, and says whether it did.
    pub(super) fn read_now(&self, storage: &(impl Storage + ?Sized), out: &mut [u8]) -> bool {
        match self {
            Segment::Bytes(bytes) => out.copy_from_slice(bytes),
            Segment::Elements { .. } => {
                let address = self.address(0, self.len());
                return address.is_some_and(|address| storage.read_now(address, out));
            }
            Segment::Fill { byte, .. } => out.fill(*byte),
            Segment::Padded(_) => return false,
        }
        true
    }
}

/// Fills `out` with elements from byte `at` of them on: by one read if they lie together.
fn read_elements(
    runs: &Runs,
    storage: &(impl Storage + ?Sized),
    at: u64,
    out: &mut [u8],
    needs: u64,
) -> Result<(), ReadError> {
    let len = out.len() as u64;
    match runs.contiguous(at, len) {
        Some(address) => storage.read_at(address, out),
        None => storage.gather(runs.pieces(at, len), out, needs),
    }
}
