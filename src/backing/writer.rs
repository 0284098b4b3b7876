//! Writes to a backing file.
//!
//! All of them go through the file (`pwrite`), to exactly the bytes that are meant: who writes other
//! bytes of the same page meanwhile loses none of them, and a full disk is an error of the call.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::runs::Pieces;

/// A regular file, open for reading and writing.
#[derive(Debug)]
pub struct Writer {
    file: File,
}

/// A write that the operating system refused, or broke off.
#[derive(Debug)]
pub struct Unwritten {
    /// Bytes that were written before.
    pub written: usize,
    /// Why not more.
    pub why: io::Error,
}

impl Writer {
    /// Takes a regular file that is open for reading and writing.
    pub fn new(file: File) -> Writer {
        Writer { file }
    }

    /// Writes `bytes` at `offset`.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Unwritten> {
        let mut written = 0;
        while written < bytes.len() {
            match self.file.write_at(&bytes[written..], offset + written as u64) {
                Ok(0) => return Err(Unwritten { written, why: io::ErrorKind::WriteZero.into() }),
                Ok(count) => written += count,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(Unwritten { written, why }),
            }
        }
        Ok(())
    }

    /// Writes `bytes` to the pieces, which they must fill exactly, one after another.
    pub fn scatter(&self, pieces: Pieces<'_>, bytes: &[u8]) -> Result<(), Unwritten> {
        let mut written = 0;
        for piece in pieces {
            for offset in piece.stretches() {
                let Some(stretch) = bytes.get(written..written + piece.len as usize) else {
                    return Err(Unwritten { written, why: io::ErrorKind::InvalidInput.into() });
                };
                self.write_at(offset, stretch)
                    .map_err(|err| Unwritten { written: written + err.written, why: err.why })?;
                written += stretch.len();
            }
        }
        Ok(())
    }

    /// Returns when everything that was written is on the disk; of the file's attributes only what
    /// is needed to read it again, if `data_only`.
    pub fn sync(&self, data_only: bool) -> io::Result<()> {
        if data_only { self.file.sync_data() } else { self.file.sync_all() }
    }
}
