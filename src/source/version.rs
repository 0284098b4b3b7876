//! Versions of arrays: what a header says, and how to see whether it still says that.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::sync::Arc;

use super::extent::{Extent, has_at};
use super::{OpenStorage, Origin, Shards};
use crate::error::{Error, shortened};
use crate::escape::shown;
use crate::meta::Meta;
use crate::npy::header::{Header, HeaderError, Order};
use crate::storage::Storage;
use crate::view::View;

/// One version of an array: what a file's header says, whatever path leads to it; or what many files are as one
/// array.
#[derive(Debug)]
pub struct Version {
    /// The header. Its data's offset is that in the whole file.
    pub header: Header,
    /// The header's bytes, up to the data; none if there is no header in the file.
    pub bytes: Vec<u8>,
    /// Where in the file it is.
    pub extent: Extent,
    /// The whole array.
    pub view: View,
    /// The files that it consists of, if they are many.
    pub joined: Option<Arc<Shards>>,
}

impl Version {
    /// The bytes of an extent as they are, an array of bytes; none where no file has so many.
    pub fn of_bytes(extent: Extent, size: u64) -> Option<Version> {
        let header = Header {
            version: (1, 0),
            dtype: View::of_bytes(0)?.dtype().clone(),
            order: Order::C,
            shape: vec![extent.len_in(size)],
            data_offset: extent.start(),
        };
        let view = View::of_header(&header)?;
        Some(Version { header, bytes: Vec::new(), extent, view, joined: None })
    }

    /// Whether another version has the same header at the same place, and is of the same files. Most often it is
    /// this very one.
    pub fn is_same_as(&self, other: &Version) -> bool {
        let is_of_same_files = || match (&self.joined, &other.joined) {
            (None, None) => true,
            (Some(shards), Some(others)) => shards.is_same_as(others),
            _ => false,
        };
        let is_equal = || self.header == other.header && self.extent == other.extent;
        std::ptr::eq(self, other) || is_equal() && is_of_same_files()
    }

    /// Whether a storage of `size` bytes still holds it, with the same bytes of header.
    pub(super) fn is_in(&self, storage: &dyn Storage, size: u64) -> bool {
        self.view.data().end <= size
            && self.extent.is_marked(storage)
            && has_at(storage, self.extent.start(), &self.bytes)
    }

    /// The error for a storage with too few bytes for the array.
    pub fn short(&self, open: &dyn OpenStorage, has: u64) -> Error {
        Error::Short { file: open.name().to_owned(), needs: self.view.data().end, has }
    }

    /// About how many bytes of memory it takes.
    pub fn footprint(&self) -> usize {
        // A record's field takes some ten bytes in the file; here it has a field, a dtype and a name
        // of its own.
        let fields = if self.header.dtype.as_record().is_some() { 16 } else { 0 };
        size_of::<Version>() + self.bytes.len() * (1 + fields) + self.extent.footprint()
    }
}

/// A version of an array, or why there is none.
pub type VersionOrWhy = Result<Arc<Version>, Arc<Unreadable>>;

/// Why a file is no array, with its header if that could be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// What is wrong with it.
    pub why: String,
    /// The header.
    pub header: Option<Header>,
}

/// The longest reason in bytes; a header can quote itself at any length.
const MAX_WHY: usize = 300;

impl Unreadable {
    /// A file that is no array for this reason.
    pub(super) fn new(why: impl fmt::Display, header: Option<Header>) -> Arc<Unreadable> {
        // A header may quote anything.
        let mut why = shown(&why.to_string()).to_string();
        if let Some((end, _)) = why.char_indices().nth(MAX_WHY) {
            why.truncate(end);
            why.push('…');
        }
        Arc::new(Unreadable { why, header })
    }

    /// One sentence that names where the array was to come from.
    pub fn sentence(&self, origin: &dyn Origin) -> String {
        format!("{}: {}", shortened(shown(origin.path()).to_string()), self.why)
    }
}

/// What a file turned out to be, with what must stay the same for that to hold.
#[derive(Clone, Debug)]
pub(super) enum Parsed {
    /// An array, while the file begins with the same header and is long enough.
    Whole(Arc<Version>),
    /// No array, while the file has the same size and begins with these bytes.
    Not { extent: Extent, size: u64, begins_with: Arc<[u8]>, why: Arc<Unreadable> },
    /// No array; but the file was cut off while it was read, so that says nothing of any later moment.
    Cut(Arc<Unreadable>),
}

impl Parsed {
    /// Reads the header at the beginning of an extent of a storage of `size` bytes, which messages call
    /// `name`.
    pub(super) fn read(
        storage: &dyn Storage,
        extent: &Extent,
        size: u64,
        name: &str,
    ) -> Result<Parsed, Error> {
        let (start, len) = (extent.start(), extent.len_in(size));
        // Everything that was read; none if the file was cut off meanwhile.
        let looked_at = RefCell::new(Some(Vec::new()));
        let read = |offset: u64, buf: &mut [u8]| {
            let read = storage.read_at(start + offset, buf);
            let mut looked_at = looked_at.borrow_mut();
            match &mut *looked_at {
                // The last read of a byte is what counts for the header.
                Some(bytes) if read.is_ok() => {
                    bytes.truncate(offset as usize);
                    bytes.extend_from_slice(buf);
                }
                bytes => *bytes = None,
            }
            Ok(read?)
        };
        let header = Header::read(len, read)
            .map(|header| Header { data_offset: start + header.data_offset, ..header });
        let looked_at = looked_at.into_inner();
        let (why, header) = match header {
            Ok(header) => match whole(&header, start, len) {
                Ok(view) => {
                    let (bytes, extent) = (looked_at.unwrap_or_default(), extent.clone());
                    let version = Version { header, bytes, extent, view, joined: None };
                    return Ok(Parsed::Whole(version.into()));
                }
                Err(why) => (why, Some(header)),
            },
            // It was cut off since its size was taken, and that is what is wrong.
            Err(HeaderError::Io(err)) if err.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(Error::io(name, err));
            }
            Err(err) => (err.to_string(), None),
        };
        let why = Unreadable::new(why, header);
        Ok(match looked_at {
            Some(bytes) => {
                Parsed::Not { extent: extent.clone(), size, begins_with: bytes.into(), why }
            }
            None => Parsed::Cut(why),
        })
    }

    /// Whether a storage of `size` bytes still is what this was read from.
    pub(super) fn is_still(&self, storage: &dyn Storage, size: u64) -> bool {
        match self {
            Parsed::Whole(version) => version.is_in(storage, size),
            Parsed::Not { extent, size: was, begins_with: bytes, .. } => {
                *was == size && extent.is_marked(storage) && has_at(storage, extent.start(), bytes)
            }
            Parsed::Cut(_) => false,
        }
    }

    /// Whether this was found in an extent, and may be found there again.
    pub(super) fn is_of(&self, extent: &Extent) -> bool {
        match self {
            Parsed::Whole(version) => version.extent == *extent,
            Parsed::Not { extent: own, .. } => own == extent,
            Parsed::Cut(_) => false,
        }
    }

    pub(super) fn version(&self) -> VersionOrWhy {
        match self {
            Parsed::Whole(version) => Ok(version.clone()),
            Parsed::Not { why, .. } | Parsed::Cut(why) => Err(why.clone()),
        }
    }
}

/// The array that a header describes in `len` bytes of a file from `start` on.
fn whole(header: &Header, start: u64, len: u64) -> Result<View, String> {
    if header.dtype.has_objects() {
        let why = "the array holds Python objects, which are pickled and have no bytes to slice";
        return Err(why.to_owned());
    }
    let view = View::of_header(header).ok_or_else(|| HeaderError::TooBig.to_string())?;
    match view.data().end - start {
        needs if needs > len => Err(format!("header says {needs} bytes, the file has {len}")),
        _ => Ok(view),
    }
}

/// Checks that an open file still holds a version of an array, and all of it.
pub(super) fn check(
    version: &Version,
    now: &VersionOrWhy,
    open: &dyn OpenStorage,
    meta: &Meta,
) -> Result<(), Error> {
    match now {
        Ok(now) if now.is_same_as(version) => Ok(()),
        Err(_) if meta.size < version.view.data().end => Err(version.short(open, meta.size)),
        _ => Err(Error::Rewritten { file: open.name().to_owned() }),
    }
}
