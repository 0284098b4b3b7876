//! `npyfs cat`: a file of the tree, without a mount.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};

use npyfs::caller::Caller;
use npyfs::escape::shown;
use npyfs::source::Which;
use npyfs::tree::Described;

use super::locate::Located;
use super::{Outcome, advice, unless_closed};

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// Files from this size on show their progress.
const LARGE: u64 = 64 << 20;

pub(crate) fn run(path: &Path) -> Outcome {
    if let Some(mut file) = of_unknown_length(path) {
        let copied = io::copy(&mut file, &mut io::stdout());
        return unless_closed(copied.map(drop));
    }
    let found = Located::new(path)?;
    if found.node.is_directory()
        && let Ok(Described::Array { .. }) = found.tree.describe(&found.node)
    {
        let (path, file) = (shown(path).to_string(), advice::file_beside(path));
        return Err(format!("{path}: a directory; the array is {}", shown(&file)).into());
    }
    let content = found
        .tree
        .open(&found.node, Caller::ROOT, Which::AtPath)
        .map_err(|err| found.error(&err))?;
    let size = found.tree.attr(&found.node).map_err(|err| found.error(&err))?.size;
    // Not through the buffer of `io::stdout`, which would look for line ends.
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let is_terminal = out.is_terminal();
    let progress = progress_bar(size);
    let mut at = 0;
    loop {
        let write = |bytes: &[u8]| {
            if is_terminal && !is_text(bytes) {
                return Ok(None);
            }
            out.write_all(bytes).map(|()| Some(bytes.len()))
        };
        let written = content.read_at(at, CHUNK, write).map_err(|err| found.error(&err))?;
        let Some(written) = written.transpose() else {
            let path = shown(path);
            let why = "it is not text, and standard output is a terminal";
            return Err(format!(
                "{path}: {why}; write it to a file (> FILE), or show it anyway (| cat)"
            )
            .into());
        };
        match written {
            Ok(0) => break,
            Ok(len) => at += len as u64,
            Err(err) => return unless_closed(Err(err)),
        }
        progress.set_position(at);
    }
    progress.finish_and_clear();
    Ok(())
}

/// Whether a block of a file is text, which may be cut off within a character at either end.
fn is_text(bytes: &[u8]) -> bool {
    let mut chunks = bytes.utf8_chunks().peekable();
    let mut is_first = true;
    while let Some(chunk) = chunks.next() {
        let is_at_an_end = is_first || chunks.peek().is_none();
        is_first = false;
        let is_control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        if chunk.valid().contains(is_control) || !(chunk.invalid().is_empty() || is_at_an_end) {
            return false;
        }
    }
    true
}

/// A file about the mount itself: its length is known only once it is read.
fn of_unknown_length(path: &Path) -> Option<File> {
    npyfs::mount::enclosing(path)?;
    let is_empty = path.metadata().is_ok_and(|meta| meta.is_file() && meta.len() == 0);
    if is_empty { File::open(path).ok() } else { None }
}

fn progress_bar(size: u64) -> ProgressBar {
    if size < LARGE || !io::stderr().is_terminal() || io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = "{bar:40} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
    let bar = ProgressBar::new(size);
    match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
