//! Writes to a backing file, to exactly the bytes that are meant: who writes other bytes of the same
//! page meanwhile loses none of them.
//!
//! Bytes that lie together are written through the file (`pwrite`), so that a full disk is an error
//! of the call. So are strided bytes, one stretch at a time, but for those that lie close together:
//! a call for each of them takes many times as long as to store them in a map of the file. There a
//! full disk is a signal, as is a file that was cut off; it is caught, and the stretches are
//! written through the file after all, which says what is wrong.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::FallocateFlags;

use super::background_close::ClosedApart;
use super::filesystem::Filesystem;
use super::strided;
use crate::runs::Pieces;

/// A regular file, open for reading and writing, and mapped at most once.
#[derive(Debug)]
pub struct Writer {
    pub(super) open: ClosedApart<OpenToWrite>,
}

#[derive(Debug)]
pub(super) struct OpenToWrite {
    file: File,
    /// None where the filesystem cannot, or there is no room for it.
    pub(super) map: OnceLock<Option<MmapRaw>>,
}

/// A write that the operating system refused, or broke off.
#[derive(Debug)]
pub struct Unwritten {
    /// Bytes that were written before.
    pub written: usize,
    /// Why not more.
    pub why: io::Error,
}

impl From<io::Error> for Unwritten {
    fn from(why: io::Error) -> Self {
        Unwritten { written: 0, why }
    }
}

impl Writer {
    /// Takes a regular file that is open for reading and writing.
    pub fn new(file: File) -> Writer {
        let slow = Filesystem::of(&file).slow_device(&file);
        Writer { open: ClosedApart::new(OpenToWrite { file, map: OnceLock::new() }, slow) }
    }

    /// Writes `bytes` at `offset`.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Unwritten> {
        let mut written = 0;
        while written < bytes.len() {
            match self.open.file.write_at(&bytes[written..], offset + written as u64) {
                Ok(0) => return Err(Unwritten { written, why: io::ErrorKind::WriteZero.into() }),
                Ok(count) => written += count,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(Unwritten { written, why }),
            }
        }
        Ok(())
    }

    /// Writes `bytes` to the pieces, which they must fill exactly, one after another. The file must
    /// have `needs` bytes in all.
    pub fn scatter(&self, pieces: Pieces<'_>, bytes: &[u8], needs: u64) -> Result<(), Unwritten> {
        self.check_size(needs)?;
        if pieces.are_dense() && self.store(pieces.clone(), bytes) {
            // Its last page takes stores behind the file's end too, and forgets them.
            self.check_size(needs)?;
            // A store to a page that is dirty already moves no timestamp, but a write does. By it
            // others see that there are new values. (Of a whole stretch, lest an element be mixed
            // of this and of what somebody else has stored in between.)
            let Some((offset, len)) = pieces.last_stretch() else { return Ok(()) };
            let before = bytes.len() - len as usize;
            return self
                .write_at(offset, &bytes[before..])
                .map_err(|err| Unwritten { written: before + err.written, ..err });
        }
        let mut written = 0;
        for piece in pieces {
            for offset in piece.stretches() {
                let Some(stretch) = bytes.get(written..written + piece.len as usize) else {
                    return Err(Unwritten { written, why: io::ErrorKind::InvalidInput.into() });
                };
                self.write_at(offset, stretch)
                    .map_err(|err| Unwritten { written: written + err.written, ..err })?;
                written += stretch.len();
            }
        }
        Ok(())
    }

    /// Makes `len` bytes from `offset` on zeros without writing them, if the filesystem can.
    pub fn clear(&self, offset: u64, len: u64) -> bool {
        let ways = [FallocateFlags::ZERO_RANGE, FallocateFlags::PUNCH_HOLE];
        ways.into_iter().any(|way| {
            rustix::fs::fallocate(&self.open.file, way | FallocateFlags::KEEP_SIZE, offset, len)
                .is_ok()
        })
    }

    /// Stores `bytes` in a map of the file, if that is possible. If not, some may have been.
    pub(super) fn store(&self, pieces: Pieces<'_>, bytes: &[u8]) -> bool {
        let map = self.open.map.get_or_init(|| {
            // All of it, as long as it is now.
            MmapOptions::new().map_raw(&self.open.file).ok()
        });
        map.as_ref().is_some_and(|map| {
            // SAFETY: the map is writable and lives as long as `self`. Others may change the file
            // meanwhile; no reference into the map is ever made.
            unsafe { strided::scatter(map.as_mut_ptr(), map.len(), pieces, bytes) }.is_ok()
        })
    }

    fn check_size(&self, needs: u64) -> io::Result<()> {
        let has = self.open.file.metadata()?.len();
        if has < needs { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Returns when everything that was written is on the disk; of the file's attributes only what
    /// is needed to read it again, if `data_only`.
    pub fn sync(&self, data_only: bool) -> io::Result<()> {
        if data_only { self.open.file.sync_data() } else { self.open.file.sync_all() }
    }
}
