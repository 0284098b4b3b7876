//! Files open for reading.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::error::Error;
use crate::layout::{self, Layout};
use crate::meta::Meta;
use crate::source::{OpenFile, OpenStorage, Version};
use crate::storage::ReadError;

/// A file open for reading.
#[derive(Debug)]
pub enum Content {
    /// A file of the source, as it is
    Whole {
        /// Where the bytes are.
        open: Arc<OpenFile>,
        /// Its attributes when it was opened.
        meta: Meta,
    },
    /// Elements of an array
    Array {
        /// Where the bytes are.
        open: Arc<dyn OpenStorage>,
        /// The version of the array that was opened.
        version: Arc<Version>,
        /// The bytes of the file.
        layout: Layout,
        /// The attributes of the backing file when it was opened.
        meta: Meta,
    },
    /// A small text
    Text(String),
    /// A text made for its opener, of a length that `stat` cannot know: it must be read past the kernel's
    /// pages
    Report(String),
}

impl Content {
    /// The backing file, if this is a whole one.
    pub fn whole_file(&self) -> Option<&OpenFile> {
        match self {
            Content::Whole { open, .. } => Some(open),
            _ => None,
        }
    }

    /// Where the bytes are, with the attributes that that had when it was opened; none for texts.
    pub fn open_storage(&self) -> Option<(&dyn OpenStorage, &Meta)> {
        match self {
            Content::Whole { open, meta } => Some((&**open, meta)),
            Content::Array { open, meta, .. } => Some((&**open, meta)),
            Content::Text(_) | Content::Report(_) => None,
        }
    }

    /// Whether this is a file that we make, so that its length never changes, of 1 to `max` bytes.
    pub fn is_made_of(&self, max: usize) -> bool {
        let len = match self {
            Content::Whole { .. } | Content::Report(_) => return false,
            Content::Array { layout, .. } => layout.len(),
            Content::Text(text) => text.len() as u64,
        };
        (1..=max as u64).contains(&len)
    }

    /// Whether any element of another file may be among those that it reads, where both have the same
    /// backing file.
    pub fn may_overlap(&self, other: &Layout) -> bool {
        match self {
            Content::Whole { .. } => true,
            Content::Array { layout, .. } => layout.may_overlap(other),
            Content::Text(_) | Content::Report(_) => false,
        }
    }

    /// Returns when everything written to the backing file is on the disk.
    pub fn sync(&self, data_only: bool) -> Result<(), Error> {
        match self.open_storage().and_then(|(open, _)| open.file()) {
            Some(file) => file.sync(data_only),
            None => Ok(()),
        }
    }

    /// Reads a small file as a whole and passes it to `respond`, if all of it is in memory and nothing is
    /// wrong. What is wrong is reported by [`Content::read_at`].
    pub fn read_now<R>(&self, respond: impl FnOnce(&[u8]) -> R) -> Option<R> {
        match self {
            Content::Text(text) => Some(respond(text.as_bytes())),
            Content::Whole { .. } | Content::Report(_) => None,
            Content::Array { open, version, layout, .. } => layout.read_now(&**open, |bytes| {
                let is_right = open.meta().and_then(|meta| open.check(version, &meta)).is_ok();
                is_right.then(|| respond(bytes))
            })?,
        }
    }

    /// Whether all that it reads is in memory, as far as samples tell.
    pub fn is_in_memory(&self) -> bool {
        const APART: usize = 128 << 10;
        match self {
            Content::Text(_) | Content::Report(_) => true,
            Content::Whole { .. } => false,
            Content::Array { open, layout, .. } => {
                let mut samples = layout.span().unwrap_or_default().step_by(APART);
                samples.all(|at| open.read_now(at, &mut [0]))
            }
        }
    }

    /// Reads `len` bytes at `at`, fewer only at the end, and passes them to `respond`.
    pub fn read_at<R>(
        &self,
        at: u64,
        len: usize,
        respond: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, Error> {
        match self {
            Content::Text(text) | Content::Report(text) => {
                let bytes = text.as_bytes();
                let from = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                let to = from.saturating_add(len).min(bytes.len());
                Ok(respond(&bytes[from..to]))
            }
            Content::Whole { open, meta } => {
                let now = open.meta()?.size;
                let read = layout::read_whole(&**open, now, meta.size, at, len, respond);
                read.map_err(|err| match err {
                    ReadError::Short { has } => {
                        Error::Cut { file: open.name().to_owned(), had: meta.size, has }
                    }
                    ReadError::Io(err) => Error::io(open.name(), err),
                })
            }
            Content::Array { open, version, layout, .. } => {
                // What was read is this array's if it is still whole afterwards, with the same header.
                let read = layout.read_at(&**open, at, len, |bytes| {
                    open.check(version, &open.meta()?)?;
                    Ok(respond(bytes))
                });
                read.unwrap_or_else(|err| Err(why_not(&**open, version, err)))
            }
        }
    }

    /// Writes `len` bytes from `at` on, fewer only at the end, to a file, where they have the same places.
    pub fn copy_to(&self, at: u64, len: usize, file: &File) -> Result<(), Error> {
        let Content::Array { open, version, layout, .. } = self else {
            let written = self.read_at(at, len, |bytes| file.write_all_at(bytes, at))?;
            return written.map_err(|err| Error::io("a copy", err));
        };
        let copied = layout.copy_to(&**open, at, len, file);
        copied.map_err(|err| why_not(&**open, version, err))?;
        open.check(version, &open.meta()?)
    }
}

/// Why elements of an array could not be read.
fn why_not(open: &dyn OpenStorage, version: &Version, err: ReadError) -> Error {
    let checked = open.meta().and_then(|meta| open.check(version, &meta));
    checked.err().unwrap_or_else(|| match err {
        ReadError::Short { has } => version.short(open, has),
        ReadError::Io(err) => Error::io(open.name(), err),
    })
}
