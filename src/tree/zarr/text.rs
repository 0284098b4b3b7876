//! The texts beside chunks. Each is made when it is read: the kernel may remember very many.

use std::sync::Arc;

use serde_json::Value;

use super::{Chunked, READ_ONLY};
use crate::caller::Caller;
use crate::error::Error;
use crate::meta::Meta;
use crate::selection::Refusal;
use crate::source::Which;
use crate::tree::describe::Described;
use crate::tree::node::{File, Target};
use crate::tree::{Array, Backing, Content, Node, Tree};
use crate::zarr::json;

/// What a text says.
pub(super) trait Says: std::fmt::Debug + Send + Sync {
    /// The array that it is about.
    fn array(&self) -> &Arc<Array>;

    /// The text.
    fn value(&self) -> Result<Value, Refusal>;

    /// Its memory, as a multiple of what a slice takes.
    fn weight(&self) -> usize;
}

/// A text about an array.
#[derive(Debug)]
pub(super) struct Text<T> {
    says: T,
    /// Its bytes.
    len: u64,
}

impl<T: Says + 'static> Text<T> {
    /// The text, unless it cannot be written.
    pub(super) fn node(says: T) -> Result<Node, Error> {
        let len = json::text(&says.value().map_err(Error::NotFound)?).len() as u64;
        Ok(Node::File(Arc::new(Text { says, len })))
    }
}

impl<T: Says> File for Text<T> {
    fn backing(&self) -> Backing<'_> {
        self.says.array().backing()
    }

    fn len(&self, _behind: &Meta) -> u64 {
        self.len
    }

    fn open(&self, tree: &Tree, _caller: Caller, which: Which) -> Result<Content, Error> {
        let array = self.says.array();
        tree.open_version(&array.origin, &array.version, which)?;
        Ok(Content::Text(json::text(&self.says.value().map_err(Error::NotFound)?)))
    }

    fn target(&self, _opened: &Content) -> Result<Target, Error> {
        Err(Error::NotPermitted(format!("{}: {READ_ONLY}", self.backing().shown())))
    }

    fn describe(&self, _tree: &Tree) -> Result<Described, Error> {
        Ok(Described::no_array("a text about a Zarr array"))
    }

    fn shown(&self) -> String {
        format!("a text about {}", self.backing().shown())
    }

    fn weight(&self) -> usize {
        self.says.weight()
    }
}

/// The texts of an array.
#[derive(Debug)]
pub(super) struct OfArray {
    pub(super) of: Arc<Chunked>,
    /// Which of them.
    pub(super) value: fn(&Chunked) -> Result<Value, Refusal>,
}

impl Says for OfArray {
    fn array(&self) -> &Arc<Array> {
        &self.of.array
    }

    fn value(&self) -> Result<Value, Refusal> {
        (self.value)(&self.of)
    }

    fn weight(&self) -> usize {
        self.of.weight()
    }
}
