//! What a mount says of an array.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use npyfs::encoding::Encoding;
use npyfs::mount::Entry;
use npyfs::tree::Described;

use super::locate::Located;

/// More than any text about an array has: whoever may mount can call anything an npyfs mount.
const MAX_BYTES: u64 = 16 << 20;

/// What a mount says of an array.
pub(super) struct Said {
    /// The array's own directory.
    pub(super) directory: PathBuf,
    /// Its `header.json`, or why there is none.
    pub(super) header: Result<String, String>,
}

impl Said {
    /// Of the array whose own directory, or whose file, this is.
    pub(super) fn of(path: &Path) -> io::Result<Option<Said>> {
        let stem = path.to_str().and_then(Encoding::strip).map(|(stem, _)| Path::new(stem));
        for directory in [Some(path), stem].into_iter().flatten() {
            let (error, header) = (directory.join("error.txt"), directory.join("header.json"));
            let header = if error.is_file() {
                Err(text(&error)?)
            } else if header.is_file() {
                Ok(text(&header)?)
            } else {
                continue;
            };
            return Ok(Some(Said { directory: directory.to_owned(), header }));
        }
        Ok(None)
    }

    /// The same array in the source, if that is on this machine.
    pub(super) fn in_source(
        &self,
        mount: &Entry,
        within: &Path,
        path: &Path,
    ) -> Option<(Located, Described)> {
        let found = Located::in_mount(mount, within, path).ok()?;
        let described = found.tree.describe(&found.node).ok()?;
        let Described::Array { array, .. } = &described else { return None };
        (Ok(array.header_json()) == self.header).then_some((found, described))
    }
}

/// A text of a mount.
pub(super) fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    match text.len() as u64 {
        0..=MAX_BYTES => Ok(text),
        _ => Err(io::Error::from(io::ErrorKind::FileTooLarge)),
    }
}
