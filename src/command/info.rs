//! `npyfs info`: header.json of any path, or why there is none.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use npyfs::node::Described;

use super::locate::Located;
use super::{Outcome, unless_closed};

pub(crate) fn run(paths: &[PathBuf]) -> Outcome {
    let mut failed = None;
    for path in paths {
        if let Err(why) = describe(path) {
            // One path's failure keeps no other from being shown; the last is reported by `main`.
            if let Some(before) = failed.replace(why) {
                eprintln!("npyfs: {before}");
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

fn describe(path: &Path) -> Outcome {
    if npyfs::mount::enclosing(path).is_some() {
        // In a mount: the array's own directory is there, also of one that is named as a file.
        let headers = [path.join("header.json"), path.with_extension("").join("header.json")];
        if let Some(header) = headers.iter().find(|header| header.is_file()) {
            return unless_closed(io::stdout().write_all(&std::fs::read(header)?));
        }
    }
    let found = Located::new(path)?;
    match found.tree.describe(&found.node).map_err(|err| found.error(&err))? {
        Described::Array { header_json, note } => {
            unless_closed(io::stdout().write_all(header_json.as_bytes()))?;
            if let Some(note) = note {
                eprintln!("npyfs: {}: {note}", path.display());
            }
            Ok(())
        }
        Described::NoArray(why) => Err(format!("{}: {why}", path.display()).into()),
    }
}
