//! Small texts about arrays, as nodes.

use std::sync::Arc;

use super::Selection;
use crate::meta::Meta;
use crate::selection::Group;
use crate::source::{ArrayFile, Unreadable};
use crate::text;

/// The name of the texts that show what names there are.
pub(super) const USAGE: &str = "USAGE.txt";

/// A small text about an array. It is made when it is read: the kernel may remember very many.
#[derive(Debug)]
pub struct Text {
    /// The file that holds the array.
    pub(super) file: Arc<ArrayFile>,
    /// The attributes of the file when the text was looked up.
    pub(super) meta: Meta,
    pub(super) about: About,
    /// Its bytes.
    pub(super) len: u64,
}

/// What a text says.
#[derive(Debug)]
pub(super) enum About {
    /// `header.json`
    Header(Arc<Selection>),
    /// `USAGE.txt` of an array, or of a directory of selectors
    Usage(Arc<Selection>, Option<Group>),
    /// `error.txt`
    Error(Arc<Unreadable>),
    /// `header.json` of a file that is no array
    HeaderOfUnreadable(Arc<Unreadable>),
}

impl Text {
    pub(super) fn new(file: &Arc<ArrayFile>, meta: &Meta, about: About) -> Text {
        let mut text = Text { file: file.clone(), meta: *meta, about, len: 0 };
        text.len = text.content().len() as u64;
        text
    }

    /// About how many bytes of memory it takes, the text not counted.
    pub(super) fn footprint(&self) -> usize {
        let about = match &self.about {
            About::Header(selection) | About::Usage(selection, _) => selection.footprint(),
            About::Error(unreadable) | About::HeaderOfUnreadable(unreadable) => {
                unreadable.footprint()
            }
        };
        size_of::<Text>() + about
    }

    /// The text itself.
    pub(super) fn content(&self) -> String {
        match &self.about {
            About::Header(selection) => selection.header_json(),
            About::Usage(selection, None) => Group::usage_of_array(&selection.view),
            About::Usage(selection, Some(group)) => {
                group.usage(&selection.view).unwrap_or_default()
            }
            About::Error(unreadable) => format!("{}\n", unreadable.sentence(&self.file)),
            About::HeaderOfUnreadable(unreadable) => {
                let source = self.file.path.to_string_lossy();
                let header = unreadable.header.as_ref();
                header.map(|h| text::header_json_of_unreadable(&source, h)).unwrap_or_default()
            }
        }
    }
}
