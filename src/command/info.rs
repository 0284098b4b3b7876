//! `npyfs info`: what a path is. A terminal gets a summary of it, and another program JSON, which for an array
//! is its `header.json`.

use std::io::ErrorKind::NotConnected;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use npyfs::encoding::Encoding;
use npyfs::error::Error;
use npyfs::escape::shown;
use npyfs::mount::Entry;
use npyfs::selection::Grid;
use npyfs::tree::{Array, Backing, Described, Node};
use npyfs::view::View;

use super::locate::{Located, PathError};
use super::summary::Summary;
use super::words::quoted;
use super::{Failures, Outcome, advice, unless_closed, without_numbers};

mod listing;

use listing::Listing;

pub(crate) fn run(paths: &[PathBuf], json: bool) -> Outcome {
    let mut info = Info { for_people: !json && io::stdout().is_terminal(), is_first: true };
    let mut failures = Failures::default();
    for path in paths {
        // A path that fails must not hide the others.
        info.describe(path).unwrap_or_else(|why| failures.add(why));
    }
    failures.end()
}

/// How to say what paths are.
struct Info {
    for_people: bool,
    is_first: bool,
}

impl Info {
    fn describe(&mut self, path: &Path) -> Outcome {
        let mounted = npyfs::mount::enclosing_mount(path);
        if let Some((mount, _)) = &mounted
            && mount.mountpoint.metadata().is_err_and(|err| err.kind() == NotConnected)
        {
            let mountpoint = quoted(&mount.mountpoint);
            let why = format!("its daemon is dead; npyfs umount {mountpoint} removes the mount");
            return Err(format!("{}: {why}", shown(path)).into());
        }
        if let Some((mount, within)) = &mounted
            && let Some((directory, said)) = in_mount(path)?
        {
            let json = said.map_err(|why| format!("{}: {}", shown(path), why.trim_end()))?;
            let text = match self.for_people {
                true => summary_in_mount(path, directory, &json, mount, within),
                false => None,
            };
            return self.write(&text.unwrap_or(json));
        }
        let found = match &mounted {
            // What the directories of a mount have is known from its source.
            Some((mount, within)) if path.is_dir() => {
                Located::in_source(&mount.source, within, path).or_else(|_| Located::new(path))
            }
            _ => Located::new(path),
        }?;
        let mount = mounted.as_ref().map(|(mount, _)| mount);
        match found.tree.describe(&found.node).map_err(|err| found.error(&err))? {
            Described::Array { array, zarr, note } => {
                let refused = zarr.as_ref().err().filter(|_| !self.for_people);
                let refused = refused.map(|why| format!("there is no .zarr of it: {why}"));
                let text = match self.for_people {
                    true => {
                        let directory = directory_of(path, &found, &array);
                        let file = found.file_of(&array);
                        Summary { path, array: &array, file, zarr, directory, mount }.text()
                    }
                    false => array.header_json(),
                };
                self.write(&text)?;
                remark(path, refused.into_iter().chain(note));
                Ok(())
            }
            Described::Archive { directory, members, notes } => {
                // Another file may have its path by now.
                let listing = self.listing(&found, &directory)?;
                let listing = listing.ok_or_else(|| found.error(&Error::Stale))?;
                self.write(&listing.of_archive(path, members, mount))?;
                remark(path, notes);
                Ok(())
            }
            Described::NoArray(why) => match self.listing(&found, &found.node)? {
                Some(listing) => self.write(&listing.of_directory(path, mount)),
                None => {
                    let capitals = advice::for_capitals(path);
                    // Not that of an array which cannot be read.
                    let is_made =
                        matches!(found.node.backing(), Backing::Version(..) | Backing::Beneath(..));
                    let remedy = match is_made && found.node.is_directory() {
                        true => format!("; npyfs ls {} lists it", quoted(path)),
                        false => String::new(),
                    };
                    Err(capitals
                        .unwrap_or_else(|| format!("{}: {why}{remedy}", shown(path)))
                        .into())
                }
            },
        }
    }

    fn listing(&self, found: &Located, directory: &Node) -> Result<Option<Listing>, PathError> {
        let listing = Listing::read(&found.tree, directory, self.for_people);
        listing.map_err(|err| found.error(&err))
    }

    /// Writes what is said of a path: to people with a line between one and the next.
    fn write(&mut self, text: &str) -> Outcome {
        let is_first = std::mem::replace(&mut self.is_first, false);
        let between = if self.for_people && !is_first { "\n" } else { "" };
        unless_closed(match self.for_people {
            true => anstream::stdout().write_all(format!("{between}{text}").as_bytes()),
            false => io::stdout().write_all(text.as_bytes()),
        })
    }
}

fn remark(path: &Path, notes: impl IntoIterator<Item = String>) {
    for note in notes {
        eprintln!("npyfs: {}: {}", shown(path), without_numbers(&note));
    }
}

/// An array's own directory in a mount, and what that says, if the path is one, or an array as a file: its
/// header.json, or why there is none.
fn in_mount(path: &Path) -> io::Result<Option<(PathBuf, Result<String, String>)>> {
    let stem = path.to_str().and_then(Encoding::strip).map(|(stem, _)| Path::new(stem));
    for directory in [Some(path), stem].into_iter().flatten() {
        let (error, header) = (directory.join("error.txt"), directory.join("header.json"));
        let said = if error.is_file() {
            Err(std::fs::read_to_string(error)?)
        } else if header.is_file() {
            Ok(std::fs::read_to_string(header)?)
        } else {
            continue;
        };
        return Ok(Some((directory.to_owned(), said)));
    }
    Ok(None)
}

/// The summary of an array in a mount, which has said this of it; none if the source is not to be found, or
/// has another array there.
fn summary_in_mount(
    path: &Path,
    directory: PathBuf,
    json: &str,
    mount: &Entry,
    within: &Path,
) -> Option<String> {
    let found = Located::in_source(&mount.source, within, path).ok()?;
    let described = found.tree.describe(&found.node).ok()?;
    let Described::Array { array, zarr, .. } = described else { return None };
    if array.header_json() != json {
        return None;
    }
    // The mount may have chunks of another size.
    let zarr = zarr.map(|grid| grid_in_mount(path, &directory, array.view()).unwrap_or(grid));
    let (file, directory, mount) = (found.file_of(&array), Some(directory), Some(mount));
    Some(Summary { path, array: &array, file, zarr, directory, mount }.text())
}

/// The chunks of an array in a mount: those of the directory that was named, or of the one beside the array's.
fn grid_in_mount(path: &Path, directory: &Path, view: &View) -> Option<Grid> {
    let mut beside = directory.to_owned().into_os_string();
    beside.push(".zarr");
    let paths = [path.to_owned(), beside.into(), directory.join(".zarr")];
    let text = paths.iter().find_map(|path| std::fs::read(path.join("zarr.json")).ok())?;
    let metadata: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let shape = metadata.pointer("/chunk_grid/configuration/chunk_shape")?.as_array()?;
    let shape: Vec<String> = shape.iter().map(ToString::to_string).collect();
    Grid::named(&shape.join(","), view).ok()
}

/// The directory of an array that was named by a file or directory, without a mount.
fn directory_of(path: &Path, found: &Located, array: &Array) -> Option<PathBuf> {
    let is_its_own = |path: &Path| {
        let found = Located::new(path).ok()?;
        let described = found.tree.describe(&found.node).ok()?;
        let Described::Array { array: there, .. } = described else { return None };
        (found.node.is_directory() && there.header_json() == array.header_json()).then_some(())
    };
    let is_encoded = path.to_str().is_some_and(|path| Encoding::strip(path).is_some());
    if found.node.is_directory() && !is_encoded {
        return Some(path.to_owned());
    }
    advice::directories_beside(path)?.into_iter().find(|path| is_its_own(path).is_some())
}
