//! Writes to virtual files: to the bytes of a local file that their elements are.

use std::fmt;
use std::ops::Range;

use super::{Layout, Segment};
use crate::runs::Runs;
use crate::storage::{Unwritten, Writer};

/// Why bytes cannot be written to a virtual file.
#[derive(Debug)]
pub enum WriteError {
    /// They would make the header another.
    Header,
    /// They are a header that describes something else, or none at all: what is wrong with it.
    OtherHeader(String),
    /// They reach past the end.
    TooFar,
    /// They are the beginning of a header, and too many others are waited for already.
    NoRoom,
    /// The file is made of more than known bytes and elements.
    Padded,
    /// The operating system refused.
    Io(Unwritten),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteError::Header => {
                f.write_str("not written: the bytes of the header stay as they are")
            }
            WriteError::OtherHeader(what) => write!(f, "not written: {what}"),
            WriteError::TooFar => {
                f.write_str("not written: past the end, and sizes stay as they are")
            }
            WriteError::NoRoom => f.write_str(
                "not written: too many headers are begun and not yet whole; write each at once",
            ),
            WriteError::Padded => f.write_str(
                "not written: a file that pads an array can only be read; write to a slice",
            ),
            WriteError::Io(err) => write!(f, "{}", err.why),
        }
    }
}

impl Layout {
    /// Writes `bytes` from `at` on, all of them or, if the operating system refuses, the first few;
    /// to no byte of the storage but those that they stand for. Bytes that are no elements can only
    /// be written as they are.
    pub fn write_at(&self, writer: &Writer, at: u64, bytes: &[u8]) -> Result<(), WriteError> {
        let end = at.checked_add(bytes.len() as u64).ok_or(WriteError::TooFar)?;
        if end > self.len() && !bytes.is_empty() {
            return Err(WriteError::TooFar);
        }
        // Nothing is written before it is known that all may be.
        let mut rest = bytes;
        for (segment, part) in self.segments.within(at..end) {
            let (some, left) = rest.split_at((part.end - part.start) as usize);
            match segment {
                Segment::Bytes(own) if own[part.start as usize..part.end as usize] != *some => {
                    return Err(WriteError::Header);
                }
                Segment::Bytes(_) | Segment::Elements { .. } => {}
                Segment::Fill { .. } | Segment::Padded(_) => return Err(WriteError::Padded),
            }
            rest = left;
        }
        let mut written = 0;
        for (segment, part) in self.segments.within(at..end) {
            let some = &bytes[written..][..(part.end - part.start) as usize];
            if let Segment::Elements { runs, .. } = segment {
                self.write_elements(runs, writer, part.start, some).map_err(|err| {
                    WriteError::Io(Unwritten { written: written + err.written, ..err })
                })?;
            }
            written += some.len();
        }
        Ok(())
    }

    fn write_elements(
        &self,
        runs: &Runs,
        writer: &Writer,
        at: u64,
        bytes: &[u8],
    ) -> Result<(), Unwritten> {
        let len = bytes.len() as u64;
        match runs.contiguous(at, len) {
            Some(address) => writer.write_at(address, bytes),
            None => writer.scatter(runs.pieces(at, len), bytes, self.needs),
        }
    }

    /// Writes zeros to `range` of the file, except where no elements are.
    pub fn clear(&self, writer: &Writer, range: Range<u64>) -> Result<(), WriteError> {
        for (segment, part) in self.segments.within(range) {
            if let Segment::Elements { runs, .. } = segment {
                self.clear_elements(runs, writer, part).map_err(|err| {
                    // Nothing of what is to follow them.
                    WriteError::Io(Unwritten { written: 0, ..err })
                })?;
            }
        }
        Ok(())
    }

    fn clear_elements(
        &self,
        runs: &Runs,
        writer: &Writer,
        part: Range<u64>,
    ) -> Result<(), Unwritten> {
        static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
        // A hole can be as large as the file, and nobody is to wait for that.
        let len = part.end - part.start;
        if let Some(address) = runs.contiguous(part.start, len)
            && writer.clear(address, len)
        {
            return Ok(());
        }
        for at in part.clone().step_by(ZEROS.len()) {
            let len = (part.end - at).min(ZEROS.len() as u64);
            self.write_elements(runs, writer, at, &ZEROS[..len as usize])?;
        }
        Ok(())
    }
}
