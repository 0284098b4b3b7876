//! `npyfs info`: header.json of any path, or why there is none.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use npyfs::encoding::Encoding;
use npyfs::escape::shown;
use npyfs::tree::Described;

use super::advice;
use super::locate::Located;
use super::{Outcome, unless_closed};

pub(crate) fn run(paths: &[PathBuf]) -> Outcome {
    let mut failed = None;
    for path in paths {
        if let Err(why) = describe(path) {
            // A path that fails must not hide the others; `main` reports the last.
            if let Some(before) = failed.replace(why) {
                eprintln!("npyfs: {}", shown(&before.to_string()));
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

/// What an array's own directory in a mount says, if the path is one, or an array as a file.
fn in_mount(path: &Path) -> io::Result<Option<Outcome>> {
    let stem = path.to_str().and_then(Encoding::strip).map(|(stem, _)| Path::new(stem));
    for directory in [Some(path), stem].into_iter().flatten() {
        let (error, header) = (directory.join("error.txt"), directory.join("header.json"));
        if error.is_file() {
            let why = std::fs::read_to_string(error)?;
            return Ok(Some(Err(format!("{}: {}", shown(path), why.trim_end()).into())));
        }
        if header.is_file() {
            return Ok(Some(unless_closed(io::stdout().write_all(&std::fs::read(header)?))));
        }
    }
    Ok(None)
}

fn describe(path: &Path) -> Outcome {
    if npyfs::mount::enclosing(path).is_some()
        && let Some(answer) = in_mount(path)?
    {
        return answer;
    }
    let found = Located::new(path)?;
    match found.tree.describe(&found.node).map_err(|err| found.error(&err))? {
        Described::Array { header_json: json, notes } | Described::Archive { json, notes } => {
            unless_closed(io::stdout().write_all(json.as_bytes()))?;
            for note in notes {
                eprintln!("npyfs: {}: {note}", shown(path));
            }
            Ok(())
        }
        Described::NoArray(why) => Err(match advice::for_capitals(path) {
            Some(capitals) => capitals,
            None => format!("{}: {why}", shown(path)),
        }
        .into()),
    }
}
