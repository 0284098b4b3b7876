//! The files that are one array: which they are, in order, and what they have in common.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::natural::Names;
use super::rights::Together;
use super::{How, Join};
use crate::acl::{self, AccessList};
use crate::caller::Caller;
use crate::error::Error;
use crate::escape::shown;
use crate::locks::lock;
use crate::meta::{FileId, Meta, Stamp};
use crate::npy::dtype::DType;
use crate::npy::header::{Header, Order};
use crate::source::{Entry, Extent, Source, Unreadable, Version};
use crate::view::View;

/// The files of one version of an array, whatever their values and attributes are. It takes about a hundred
/// bytes for each.
#[derive(Debug)]
pub struct Shards {
    pub(super) join: Join,
    pub(super) names: Names,
    pub(super) files: Vec<Shard>,
    /// None if there are no files that fit.
    pub(super) each: Option<Each>,
    /// Why they are no array: the file after the last one, most often.
    pub(super) wrong: Option<Arc<Unreadable>>,
    pub(super) now: Mutex<Now>,
    /// A read has found a file to be another.
    pub(super) is_suspect: AtomicBool,
}

/// One of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) id: FileId,
    /// The row of the array after its last one.
    pub(super) end: u64,
    /// Where its data starts. A header is never that long.
    pub(super) data_offset: u32,
    pub(super) is_link: bool,
}

/// What changes while the array stays the same.
#[derive(Debug)]
pub(super) struct Now {
    pub(super) seen: Vec<Seen>,
    pub(super) together: Together,
    /// The attributes of the array.
    pub(super) meta: Meta,
}

/// What a file looked like when its header was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// None if it may have changed since and left no trace.
    pub(super) stamp: Option<Stamp>,
    /// The kind of its rights.
    pub(super) kind: u16,
}

/// What is the same in each file: the dtype, and the shape and order of a row of the array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Each {
    pub(super) version: (u8, u8),
    pub(super) dtype: Arc<DType>,
    pub(super) row: Vec<u64>,
    /// None if a row is the same in both.
    pub(super) order: Option<Order>,
}

/// What a file is, in terms of the array.
#[derive(Clone, Debug)]
pub(super) struct Contribution {
    pub(super) rows: u64,
    pub(super) each: Each,
}

impl Contribution {
    /// What the file with a header adds, or why it cannot.
    pub(super) fn of(how: How, header: &Header) -> Result<Contribution, String> {
        let Header { version, dtype, order, shape, .. } = header;
        let (rows, row) = match (how, shape.split_first()) {
            (How::Stack, _) => (1, &**shape),
            (How::Concat, Some((rows, row))) => (*rows, row),
            (How::Concat, None) => {
                let why = "it is 0-d, and has no axis to be concatenated along (stack has one)";
                return Err(why.to_owned());
            }
        };
        if how == How::Concat && rows > 1 && order.of_new(shape) == Order::Fortran {
            let why = "it is in Fortran order, in which the rows are interleaved: to concatenate \
                       them would be to copy them";
            return Err(why.to_owned());
        }
        let matters = rows > 0 && Order::Fortran.of_new(row) == Order::Fortran;
        let order = matters.then(|| order.of_new(row));
        let each = Each { version: *version, dtype: dtype.clone(), row: row.to_vec(), order };
        Ok(Contribution { rows, each })
    }
}

impl Each {
    /// Why a file's rows are not like those of the first file, which is called `first`; nothing if they are.
    pub(super) fn differs(
        &self,
        first: &OsStr,
        how: How,
        rows: u64,
        other: &Each,
    ) -> Option<String> {
        let name = shown(first);
        if self.dtype != other.dtype {
            let [first, other] = [self, other].map(|each| each.dtype.descr());
            return Some(format!("its dtype is {other}, and that of {name} is {first}"));
        }
        if self.row != other.row {
            let shape = |each: &Each, rows: &str| {
                let head = [rows.to_owned()].into_iter().filter(|rows| !rows.is_empty());
                let row = each.row.iter().map(u64::to_string);
                let all: Vec<String> = head.chain(row).collect();
                format!("({}{})", all.join(", "), if all.len() == 1 { "," } else { "" })
            };
            return Some(match how {
                How::Concat => format!(
                    "its shape is {}, and that of {name} is {}",
                    shape(other, &rows.to_string()),
                    shape(self, "…"),
                ),
                How::Stack => format!(
                    "its shape is {}, and that of {name} is {}",
                    shape(other, ""),
                    shape(self, ""),
                ),
            });
        }
        let is_mixed = self.order.zip(other.order).is_some_and(|(one, other)| one != other);
        is_mixed.then(|| {
            let name = |order| if order == Some(Order::C) { "C" } else { "Fortran" };
            format!(
                "it is in {} order, and files before it are in {} order: to join them would be to copy \
                 them",
                name(other.order),
                name(self.order)
            )
        })
    }

    /// The array of so many rows. None if it is too large, or has too many axes.
    pub(super) fn whole(&self, rows: u64) -> Option<Version> {
        let Each { version, dtype, row, order } = self;
        let view = View::of_stack(dtype, rows, row, order.unwrap_or(Order::C))?;
        let (version, dtype) = (*version, dtype.clone());
        let shape = view.shape().to_vec();
        let header = Header { version, dtype, order: Order::C, shape, data_offset: 0 };
        Some(Version { header, bytes: Vec::new(), extent: Extent::WHOLE, view, joined: None })
    }

    /// Bytes of a row.
    pub(super) fn bytes(&self) -> u64 {
        self.row.iter().fold(self.dtype.itemsize(), |n, &len| n.saturating_mul(len))
    }
}

impl Shards {
    /// Whether they are the same files with the same headers.
    pub(in crate::source) fn is_same_as(&self, other: &Shards) -> bool {
        std::ptr::eq(self, other)
            || self.join == other.join
                && self.files == other.files
                && self.names == other.names
                && self.each == other.each
                && self.wrong == other.wrong
    }

    /// How many files there are.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// The directory that they are in, below the source.
    pub fn directory(&self) -> &Path {
        match &*self.join.directory.path {
            root if root.as_os_str().is_empty() => Path::new("."),
            path => path,
        }
    }

    /// The first row of a file.
    pub(super) fn start(&self, number: usize) -> u64 {
        number.checked_sub(1).map_or(0, |before| self.files[before].end)
    }

    /// Each file: its name, its range of rows, and the byte at which its data starts.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, u64, u64, u32)> {
        self.files.iter().enumerate().map(|(number, file)| {
            (self.names.get(number), self.start(number), file.end, file.data_offset)
        })
    }

    /// The order of the items of a row in the files.
    pub fn order(&self) -> Order {
        self.each.as_ref().and_then(|each| each.order).unwrap_or(Order::C)
    }

    /// Bytes of a row.
    pub(super) fn row_bytes(&self) -> u64 {
        self.each.as_ref().map_or(0, Each::bytes)
    }

    /// The path of a file below the source.
    pub(super) fn path(&self, number: usize) -> Arc<Path> {
        Source::path_of(&self.join.directory.path, self.names.get(number))
    }

    /// Whether a header is still that of a file.
    pub(super) fn is_still(&self, number: usize, header: &Header) -> bool {
        let file = &self.files[number];
        let rows = file.end - self.start(number);
        let same = |now: Contribution| {
            let is_alike = |each: &Each| {
                each.differs(self.names.get(0), self.join.how, rows, &now.each).is_none()
            };
            now.rows == rows && self.each.as_ref().is_some_and(is_alike)
        };
        header.data_offset == u64::from(file.data_offset)
            && Contribution::of(self.join.how, header).is_ok_and(same)
    }

    /// Whether a file still grants what it did.
    pub(super) fn is_still_granted(&self, number: usize, meta: &Meta, source: &Source) -> bool {
        let (is_granted, list) = {
            let now = lock(&self.now);
            let Some(seen) = now.seen.get(number) else { return false };
            let as_seen = seen.stamp == Some(meta.stamp());
            let list = now.together.list().cloned().filter(|_| source.for_others && !as_seen);
            (now.together.is_still_granted(seen.kind, meta), list)
        };
        let has = || source.list_of_file(&self.path(number), self.files[number].id, acl::ACCESS);
        is_granted && list.is_none_or(|list| has().is_ok_and(|has| has == list))
    }

    /// Something is another than it was, so the files are looked at again at the next lookup.
    pub(super) fn suspect(&self) {
        self.is_suspect.store(true, Ordering::Relaxed);
    }

    /// The attributes of the array, as of the last look.
    pub(super) fn meta(&self) -> Meta {
        lock(&self.now).meta
    }

    /// The access list of the array, as of the last look.
    pub(super) fn access_list(&self) -> Option<AccessList> {
        lock(&self.now).together.granted_list()
    }

    /// Whether one of them is this file.
    pub(super) fn contains(&self, file: &FileId) -> bool {
        self.files.iter().any(|shard| shard.id.has_number_of(file))
    }

    /// An error if a caller may not read one of them: of each kind of rights one is tried.
    pub(super) fn admit(&self, source: &Source, caller: Caller) -> Result<(), Error> {
        source.admit_to_directory(&self.join.directory, caller)?;
        let kinds = lock(&self.now).together.kinds().to_vec();
        for kind in kinds {
            let Some(file) = self.files.get(kind.one) else { continue };
            let entry = Entry { path: self.path(kind.one), id: file.id };
            let admitted = source.admit_array(&entry, caller);
            admitted.inspect_err(|_| self.suspect())?;
        }
        Ok(())
    }

    /// About how many bytes of memory they take.
    pub(super) fn footprint(&self) -> usize {
        size_of::<Shards>()
            + self.names.footprint()
            + self.files.capacity() * (size_of::<Shard>() + size_of::<Seen>())
    }
}
