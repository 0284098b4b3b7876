//! `npyfs info`: header.json of any path, or why there is none.

use std::path::{Path, PathBuf};

use npyfs::node::Described;

use super::Outcome;
use super::locate::Located;

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
    let header = path.join("header.json");
    if npyfs::mount::is_npyfs(path) && header.is_file() {
        print!("{}", std::fs::read_to_string(header)?);
        return Ok(());
    }
    let found = Located::new(path)?;
    match found.tree.describe(&found.node).map_err(|err| found.error(&err))? {
        Described::Array { header_json, note } => {
            print!("{header_json}");
            if let Some(note) = note {
                eprintln!("npyfs: {}: {note}", path.display());
            }
            Ok(())
        }
        Described::NoArray(why) => Err(format!("{}: {why}", path.display()).into()),
    }
}
