//! What is no array is named in the log, once for each version of its file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::Tree;
use crate::locks::lock;
use crate::meta::{FileId, Meta, Stamp};
use crate::source::{Origin, Unreadable};

/// How many files are remembered. When there are more, all may be named once more.
const MAX_NAMED: usize = 4096;

/// The versions that were named.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<HashMap<PathBuf, (FileId, Stamp)>>);

impl Refused {
    /// Whether this version has not been named, from now on it has.
    fn is_new(&self, path: &Path, meta: &Meta) -> bool {
        let version = (meta.id, meta.stamp());
        let mut named = lock(&self.0);
        if named.get(path) == Some(&version) {
            return false;
        }
        if named.len() >= MAX_NAMED {
            named.clear();
        }
        named.insert(path.to_owned(), version);
        true
    }
}

impl Tree {
    /// Notes that something is no array.
    pub(super) fn note_refused(&self, origin: &dyn Origin, unreadable: &Unreadable, meta: &Meta) {
        if self.refused.is_new(origin.path(), meta) {
            log::info!("no array: {}", unreadable.sentence(origin));
        }
    }
}
