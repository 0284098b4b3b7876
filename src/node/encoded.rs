//! Selections as files.

use std::sync::Arc;

use super::Selection;
use crate::encoding::Encoding;
use crate::error::Error;
use crate::selection::Selector;
use crate::view::View;

/// A selection as a file. Its view is made only when it is needed: the kernel may remember very many.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The array that it is a selection of.
    pub(super) of: Arc<Selection>,
    /// The last selector; none if it is all of `of`.
    selector: Option<Selector>,
    pub(super) encoding: Encoding,
    /// Its bytes.
    pub(super) len: u64,
}

impl Encoded {
    pub(super) fn new(
        of: &Arc<Selection>,
        selector: Option<Selector>,
        encoding: Encoding,
    ) -> Result<Encoded, Error> {
        let mut encoded = Encoded { of: of.clone(), selector, encoding, len: 0 };
        encoded.len = encoding.len(&encoded.view()?);
        Ok(encoded)
    }

    pub(super) fn view(&self) -> Result<View, Error> {
        match &self.selector {
            Some(selector) => selector.apply(&self.of.view).map_err(Error::NotFound),
            None => Ok(self.of.view.clone()),
        }
    }

    /// About how many bytes of memory it takes besides itself.
    pub(super) fn footprint(&self) -> usize {
        self.selector.as_ref().map_or_else(|| self.of.footprint(), Selector::footprint)
    }

    /// The array that is in the file.
    pub(super) fn selection(&self) -> Result<Arc<Selection>, Error> {
        match &self.selector {
            Some(selector) => self.of.select(selector).map(Arc::new),
            None => Ok(self.of.clone()),
        }
    }
}
