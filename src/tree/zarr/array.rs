//! `X.zarr`: an array as a directory of chunks. `zarr.json` and `c/…` are listed; the names that Zarr v2 has
//! for the same are not.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use super::text::{OfArray, Text};
use super::{Chunked, READ_ONLY, no_chunk};
use crate::caller::Caller;
use crate::error::Error;
use crate::meta::{Kind, Meta};
use crate::selection::number;
use crate::source::Which;
use crate::tree::describe::Described;
use crate::tree::listing::{Known, Listing, Made, Places};
use crate::tree::node::{Directory, File, Found, Target};
use crate::tree::{Backing, Content, Node, Tree, as_text};
use crate::zarr::{v2, v3};

/// The directory of an array.
#[derive(Debug)]
pub(super) struct ArrayDirectory(Arc<Chunked>);

/// A directory on the way to the chunks: `c/1` of an array with two axes.
#[derive(Debug)]
struct ChunksDirectory {
    of: Arc<Chunked>,
    /// The positions before it.
    index: Vec<u64>,
}

/// A chunk.
#[derive(Debug)]
struct ChunkFile {
    of: Arc<Chunked>,
    index: Vec<u64>,
}

impl ArrayDirectory {
    pub(super) fn node(chunked: Chunked) -> Node {
        Node::Directory(Arc::new(ArrayDirectory(chunked.into())))
    }

    fn entry(&self, name: &str) -> Result<Node, Error> {
        let of = self.0.clone();
        let text = |value| Text::node(OfArray { of: of.clone(), value });
        match name {
            v3::METADATA => text(Chunked::metadata),
            v2::ARRAY => text(Chunked::metadata_v2),
            v2::ATTRIBUTES => text(|chunked| Ok(chunked.attributes_v2())),
            v3::CHUNKS => Ok(ChunksDirectory::node(of, Vec::new())),
            _ => match v2::index(name, self.0.zarr.grid()) {
                Some(index) => Ok(ChunkFile::node(of, index)),
                None if name.split('.').all(is_number) => Err(no_chunk(&self.0.array)),
                None => {
                    Err(Error::not_found("a Zarr array has zarr.json and c, and no such entry"))
                }
            },
        }
    }
}

fn is_number(name: &str) -> bool {
    number::parse(name).is_some()
}

/// The kind of what is reached by so many positions.
fn kind_at(depth: usize, of: &Chunked) -> Kind {
    if depth == of.zarr.view().ndim() { Kind::File } else { Kind::Directory }
}

impl Directory for ArrayDirectory {
    fn backing(&self) -> Backing<'_> {
        self.0.array.backing()
    }

    fn lookup(self: Arc<Self>, tree: &Tree, name: &OsStr) -> Result<Found, Error> {
        let meta = tree.current(&self.0.array.origin, &self.0.array.version)?;
        Ok((self.entry(as_text(name)?)?, Some(meta)))
    }

    fn list(self: Arc<Self>, tree: &Tree, _known: Known<'_>) -> Result<Listing, Error> {
        tree.current(&self.0.array.origin, &self.0.array.version)?;
        let entries = [(v3::METADATA, Kind::File), (v3::CHUNKS, kind_at(0, &self.0))];
        Ok(Listing::Made(Made::of(entries.map(|(name, kind)| (name.into(), kind)))))
    }

    fn describe(self: Arc<Self>, _tree: &Tree) -> Result<Described, Error> {
        let Chunked { array, zarr, .. } = &*self.0;
        Ok(Described::Array { array: array.clone(), zarr: Ok(zarr.grid().clone()), note: None })
    }

    fn is_read_only(&self) -> bool {
        true
    }

    fn weight(&self) -> usize {
        self.0.weight() + Directory::weight(&*self.0.array)
    }
}

impl ChunksDirectory {
    /// What the positions of a chunk lead to, one or several.
    fn node(of: Arc<Chunked>, index: Vec<u64>) -> Node {
        match kind_at(index.len(), &of) {
            Kind::File => ChunkFile::node(of, index),
            _ => Node::Directory(Arc::new(ChunksDirectory { of, index })),
        }
    }
}

impl Directory for ChunksDirectory {
    fn backing(&self) -> Backing<'_> {
        self.of.array.backing()
    }

    fn lookup(self: Arc<Self>, tree: &Tree, name: &OsStr) -> Result<Found, Error> {
        let meta = tree.current(&self.of.array.origin, &self.of.array.version)?;
        let name = as_text(name)?;
        let position = match v3::position(name, self.index.len(), self.of.zarr.grid()) {
            Some(position) => position,
            None if is_number(name) => return Err(no_chunk(&self.of.array)),
            None => return Err(Error::not_found("chunks are called by their numbers")),
        };
        let index = [&self.index[..], &[position]].concat();
        Ok((ChunksDirectory::node(self.of.clone(), index), Some(meta)))
    }

    fn list(self: Arc<Self>, tree: &Tree, _known: Known<'_>) -> Result<Listing, Error> {
        tree.current(&self.of.array.origin, &self.of.array.version)?;
        Ok(Listing::Made(Made::of([]).then(Positions(self))))
    }

    fn describe(self: Arc<Self>, _tree: &Tree) -> Result<Described, Error> {
        Ok(Described::no_array("a directory of chunks of a Zarr array"))
    }

    fn is_read_only(&self) -> bool {
        true
    }

    fn weight(&self) -> usize {
        1 + size_of_val(&*self.index) / crate::tree::SLICE
    }
}

/// The positions that a directory of chunks lists.
#[derive(Debug)]
struct Positions(Arc<ChunksDirectory>);

impl Places for Positions {
    fn count(&self) -> u64 {
        let ChunksDirectory { of, index } = &*self.0;
        of.zarr.grid().counts().get(index.len()).copied().unwrap_or(0)
    }

    fn at(&self, place: u64) -> Option<(OsString, Kind)> {
        let kind = kind_at(self.0.index.len() + 1, &self.0.of);
        Some((place.to_string().into(), kind))
    }
}

impl ChunkFile {
    fn node(of: Arc<Chunked>, index: Vec<u64>) -> Node {
        Node::File(Arc::new(ChunkFile { of, index }))
    }
}

impl File for ChunkFile {
    fn backing(&self) -> Backing<'_> {
        self.of.array.backing()
    }

    fn len(&self, _behind: &Meta) -> u64 {
        self.of.zarr.chunk_len()
    }

    fn len_of_elements(&self) -> Option<u64> {
        Some(self.of.zarr.chunk_len())
    }

    fn open(&self, tree: &Tree, _caller: Caller, which: Which) -> Result<Content, Error> {
        let array = &self.of.array;
        let (open, meta) = tree.open_version(&array.origin, &array.version, which)?;
        let layout = self.of.zarr.chunk(&self.index);
        let layout = layout.ok_or_else(|| no_chunk(array))?;
        Ok(Content::Array { open, version: array.version.clone(), layout, meta })
    }

    fn target(&self, _opened: &Content) -> Result<Target, Error> {
        Err(Error::NotPermitted(format!("{}: {READ_ONLY}", self.backing().shown())))
    }

    fn describe(&self, _tree: &Tree) -> Result<Described, Error> {
        Ok(Described::no_array("a chunk of a Zarr array, which is bytes with no header"))
    }

    fn weight(&self) -> usize {
        // It alone may keep what is known of the array.
        self.of.weight() + size_of_val(&*self.index) / crate::tree::SLICE
    }
}
