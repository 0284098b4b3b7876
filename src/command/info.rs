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
use npyfs::zarr::json;
use serde_json::Value;

use super::in_mount::{self, Said};
use super::locate::{Located, PathError};
use super::summary::Summary;
use super::words::quoted;
use super::{Failures, Outcome, advice, for_terminal, unless_closed, without_numbers};

mod listing;

use listing::Listing;

pub(crate) fn run(paths: &[PathBuf], json: bool, with_file: bool) -> Outcome {
    let for_people = !json && !with_file && io::stdout().is_terminal();
    let mut info = Info { for_people, with_file, is_first: true };
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
    /// JSON of an array says which file of this machine has its bytes.
    with_file: bool,
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
            && let Some(said) = Said::of(path).map_err(|err| format!("{}: {err}", shown(path)))?
        {
            return self.describe_in_mount(path, said, mount, within);
        }
        let found = match &mounted {
            // What the directories of a mount have is known from its source.
            Some((mount, within)) if path.is_dir() => {
                Located::in_mount(mount, within, path).or_else(|_| Located::new(path))
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
                    false => self.json(array.header_json(), &found.file_of(&array)),
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

    /// An array in a mount, which has said this of it. A summary is of the source, if that is on this machine.
    fn describe_in_mount(
        &mut self,
        path: &Path,
        said: Said,
        mount: &Entry,
        within: &Path,
    ) -> Outcome {
        let source = said.in_source(mount, within, path);
        let json = said.header.map_err(|why| format!("{}: {}", shown(path), why.trim_end()))?;
        let Some((found, Described::Array { array, zarr, .. })) = source else {
            return self.write(&for_terminal(json));
        };
        let file = found.file_of(&array);
        if !self.for_people {
            return self.write(&self.json(json, &file));
        }
        // The mount may have chunks of another size.
        let grid = |grid| grid_in_mount(path, &said.directory, array.view()).unwrap_or(grid);
        let (zarr, directory, mount) = (zarr.map(grid), Some(said.directory), Some(mount));
        self.write(&Summary { path, array: &array, file, zarr, directory, mount }.text())
    }

    /// What a program gets, of the `header.json` of an array and its file.
    fn json(&self, header: String, file: &Path) -> String {
        match self.with_file {
            true => with_file(&header, file).unwrap_or(header),
            false => header,
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

/// The `header.json` of an array, and with it the file that has its bytes, if JSON can have its path.
fn with_file(header: &str, file: &Path) -> Option<String> {
    // Not by a parser: a name of a field may have half of a surrogate pair.
    let members = header.trim_end().strip_suffix('}')?.trim_end();
    let file = file.canonicalize().ok().filter(|file| file.is_file())?;
    Some(format!("{members},\n  \"file\": {}\n}}\n", json::line(&file.to_str()?.into())))
}

/// The chunks of an array in a mount: those of the directory that was named, or of the one beside the array's.
fn grid_in_mount(path: &Path, directory: &Path, view: &View) -> Option<Grid> {
    let mut beside = directory.to_owned().into_os_string();
    beside.push(".zarr");
    let paths = [path.to_owned(), beside.into(), directory.join(".zarr")];
    let text = paths.iter().find_map(|path| in_mount::text(&path.join("zarr.json")).ok())?;
    let metadata: Value = serde_json::from_str(&text).ok()?;
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
