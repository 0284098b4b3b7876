//! Arrays as files.

use std::sync::Arc;

use super::array::Array;
use super::describe::Described;
use super::node::{File, Target};
use super::{Backing, Content, Node, Tree};
use crate::caller::Caller;
use crate::encoding::FileEncoding;
use crate::error::Error;
use crate::meta::Meta;
use crate::selection::Selector;
use crate::source::Which;
use crate::view::View;

/// An array as a file. Its view is made only when it is needed: the kernel may remember very many.
#[derive(Debug)]
pub(super) struct Encoded {
    /// The array that it is a selection of.
    of: Arc<Array>,
    /// The last selector; none if it is all of `of`.
    selector: Option<Selector>,
    encoding: FileEncoding,
    /// Its bytes.
    len: u64,
}

impl Encoded {
    pub(super) fn node(
        of: &Arc<Array>,
        selector: Option<Selector>,
        encoding: FileEncoding,
    ) -> Result<Node, Error> {
        let mut encoded = Encoded { of: of.clone(), selector, encoding, len: 0 };
        encoded.len = encoding.len(&encoded.view()?);
        Ok(Node::File(Arc::new(encoded)))
    }

    fn view(&self) -> Result<View, Error> {
        match &self.selector {
            Some(selector) => selector.apply(&self.of.view).map_err(Error::NotFound),
            None => Ok(self.of.view.clone()),
        }
    }

    /// Why the array is not written on any mount, if that is so.
    fn why_read_only(&self) -> Option<&'static str> {
        match self.of.version.joined {
            Some(_) => Some("many files as one array are not written; write the files themselves"),
            None => self.of.origin.why_read_only(),
        }
    }

    /// The array that is in the file.
    fn array(&self) -> Result<Arc<Array>, Error> {
        match &self.selector {
            Some(selector) => self.of.select(selector).map(Arc::new),
            None => Ok(self.of.clone()),
        }
    }
}

impl File for Encoded {
    fn backing(&self) -> Backing<'_> {
        self.of.backing()
    }

    fn len(&self, _behind: &Meta) -> u64 {
        self.len
    }

    fn len_of_elements(&self) -> Option<u64> {
        Some(self.len)
    }

    fn open(&self, tree: &Tree, _caller: Caller, which: Which) -> Result<Content, Error> {
        let (open, meta) = tree.open_version(&self.of.origin, &self.of.version, which)?;
        let layout = self.encoding.layout(&self.view()?);
        Ok(Content::Array { open, version: self.of.version.clone(), layout, meta })
    }

    fn target(&self, _opened: &Content) -> Result<Target, Error> {
        if let Some(why) = self.why_read_only() {
            return Err(Error::NotPermitted(format!("{}: {why}", self.shown())));
        }
        let array = self.array()?;
        Ok(Target {
            version: array.version.clone(),
            view: array.view.clone(),
            expression: array.expression.clone(),
            layout: self.encoding.layout(&array.view),
        })
    }

    fn is_writable(&self) -> bool {
        self.why_read_only().is_none()
    }

    fn describe(&self, tree: &Tree) -> Result<Described, Error> {
        Ok(Described::array(tree, self.array()?))
    }

    fn weight(&self) -> usize {
        match &self.selector {
            Some(selector) => 1 + selector.footprint() / super::SLICE,
            // It alone may keep the header of a file that is closed.
            None => self.of.version.footprint() / super::SLICE + 1,
        }
    }
}
