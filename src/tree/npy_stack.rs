//! `parts/<n>/info`, which Dask reads (see [`crate::text::npy_stack`]). Nobody looks for it, so it is not listed.

use std::sync::Arc;

use super::array::Array;
use super::describe::Described;
use super::node::{Directory, File};
use super::{Backing, Content, Node, Tree};
use crate::caller::Caller;
use crate::error::Error;
use crate::layout::Layout;
use crate::meta::Meta;
use crate::source::Which;
use crate::text::npy_stack;

/// The file for the parts of an array. It is made when it is read: the kernel may remember very many.
#[derive(Debug)]
pub(super) struct StackInfo {
    array: Arc<Array>,
    /// How many parts.
    n: u64,
    /// Its bytes.
    len: u64,
}

impl StackInfo {
    pub(super) fn node(array: &Arc<Array>, n: u64) -> Result<Node, Error> {
        let mut info = StackInfo { array: array.clone(), n, len: 0 };
        info.len = info.layout()?.len();
        Ok(Node::File(Arc::new(info)))
    }

    fn layout(&self) -> Result<Layout, Error> {
        npy_stack::info(&self.array.view, self.n).map_err(Error::NotFound)
    }
}

impl File for StackInfo {
    fn backing(&self) -> Backing<'_> {
        self.array.backing()
    }

    fn len(&self, _behind: &Meta) -> u64 {
        self.len
    }

    fn open(&self, tree: &Tree, _caller: Caller, which: Which) -> Result<Content, Error> {
        let (open, meta) = tree.open_version(&self.array.origin, &self.array.version, which)?;
        let layout = self.layout()?;
        Ok(Content::Array { open, version: self.array.version.clone(), layout, meta })
    }

    fn describe(&self, _tree: &Tree) -> Result<Described, Error> {
        Ok(Described::no_array("what dask.array.from_npy_stack reads of these parts"))
    }

    fn shown(&self) -> String {
        format!("info of the parts of {}", self.backing().shown())
    }

    fn weight(&self) -> usize {
        Directory::weight(&*self.array)
    }
}
