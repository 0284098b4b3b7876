//! Finds what a path means without a mount. The real directories at its beginning are the source; the rest is
//! looked up in the tree over it. Symlinks are followed, since everything is read with the caller's own
//! rights.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use super::{advice, in_mount};
use npyfs::error::Error;
use npyfs::escape::shown;
use npyfs::meta::Meta;
use npyfs::mount::Entry;
use npyfs::source::{self, Source};
use npyfs::tree::{Array, Node, Options, Tree};

/// A path with what it means.
pub(super) struct Located {
    pub(super) tree: Tree,
    pub(super) node: Node,
    path: PathBuf,
    /// The directory that is the source, or that has it if it is a file, as the user calls it.
    directory: PathBuf,
}

/// A path and why it means nothing, or cannot be read.
#[derive(Debug)]
pub(super) struct PathError(String);

impl PathError {
    fn new(path: &Path, err: &Error) -> PathError {
        PathError(format!("{}: {}", shown(path), reason(err)))
    }
}

/// What is wrong with a path that is named beside it. Errors of the operating system name their file
/// relative to the source.
pub(super) fn reason(err: &Error) -> String {
    match err {
        Error::Io { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

/// What a mount says of the unreadable array that a path is beneath.
fn unreadable_in_mount(path: &Path, source: &Path, within: &Path) -> Option<String> {
    let beneath = path.ancestors().zip(within.ancestors()).skip(1);
    let (directory, within) = beneath.into_iter().find(|(directory, _)| directory.is_dir())?;
    // A directory of the source may have a file of that name.
    let is_made = !source.join(within).is_dir();
    is_made.then(|| in_mount::text(&directory.join("error.txt")).ok())?
}

/// What may have been meant by a path that goes on beneath the file of an array or of a slice.
fn within_file(path: &Path) -> Option<String> {
    let (file, name) = (path.parent()?, path.file_name()?);
    let is_directory = |path: &PathBuf| {
        Located::beneath_directory(path).is_ok_and(|found| found.node.is_directory())
    };
    let directory = advice::directories_beside(file)?.into_iter().find(is_directory)?;
    let meant = directory.join(name);
    Some(format!("{}: {} is a file; write {}", shown(path), shown(file), shown(&meant)))
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PathError {}

impl Located {
    pub(super) fn new(path: &Path) -> Result<Located, PathError> {
        let found = Located::beneath_directory(path);
        if let (Err(_), Some((source, within))) = (&found, npyfs::mount::enclosing(path)) {
            // A mount has nothing at that path: its source knows why.
            Located::in_source(&source, &within, path)?;
            // Or the mount does, that has no array where it does not follow a symlink.
            if let Some(why) = unreadable_in_mount(path, &source, &within) {
                return Err(PathError(format!("{}: {}", shown(path), why.trim_end())));
            }
        }
        found
    }

    fn beneath_directory(path: &Path) -> Result<Located, PathError> {
        // The longest beginning that is a directory, or else the current directory.
        let mut directory = path;
        while !directory.as_os_str().is_empty() && !directory.is_dir() {
            directory = directory.parent().unwrap_or(Path::new(""));
        }
        let rest = path.strip_prefix(directory).unwrap_or(Path::new(""));
        let directory = match directory.as_os_str().is_empty() {
            true => Path::new("."),
            false => directory,
        };
        Located::in_source(directory, rest, path)
    }

    /// Looks `rest` up in the tree over `source`, which the user knows as `path`.
    pub(super) fn in_source(source: &Path, rest: &Path, path: &Path) -> Result<Located, PathError> {
        let options = source::Options { follow_symlinks: true, ..Default::default() };
        let opened = Source::open(source, options).map_err(|err| PathError::new(source, &err))?;
        let tree = Tree::new(opened, Options::default());
        let mut node = tree.root().map_err(|err| PathError::new(source, &err))?;
        let mut walked = if source == Path::new(".") { PathBuf::new() } else { source.into() };
        for component in rest.components() {
            walked.push(component);
            let found = match component {
                Component::Normal(name) => tree.lookup(&node, name),
                _ => Err(Error::NotADirectory),
            };
            (node, _) = found.map_err(|err| {
                let advice = match err {
                    Error::NotFound(_) => advice::for_capitals(&walked),
                    Error::NotADirectory => within_file(&walked),
                    _ => None,
                };
                advice.map_or_else(|| PathError::new(&walked, &err), PathError)
            })?;
        }
        let mut directory = if source == Path::new(".") { PathBuf::new() } else { source.into() };
        if source.is_file() {
            directory.pop();
        }
        Ok(Located { tree, node, path: path.to_owned(), directory })
    }

    /// What a path in a mount is made of, if that is on this machine. The table of mounts has the source's path as
    /// its daemon knows it. In another mount namespace, something else may be there.
    pub(super) fn in_mount(
        mount: &Entry,
        within: &Path,
        path: &Path,
    ) -> Result<Located, PathError> {
        let found = Located::in_source(&mount.source, within, path);
        match (found, Meta::of_path_anew(path)) {
            (Ok(found), Ok(meta)) if found.has(&meta) => Ok(found),
            // Neither has it.
            (Err(why), Err(_)) => Err(why),
            _ => {
                let why = "where its file is on this machine is not known";
                Err(PathError(format!("{}: {why}", shown(path))))
            }
        }
    }

    /// Whether it would have this size and this time of modification in a mount.
    fn has(&self, meta: &Meta) -> bool {
        let attr = self.tree.attr(&self.node);
        attr.is_ok_and(|attr| (attr.size, attr.modified) == (meta.size, meta.modified))
    }

    /// The file that has the bytes of an array, as the user would call it.
    pub(super) fn file_of(&self, array: &Array) -> PathBuf {
        self.directory.join(array.origin().file_path())
    }

    /// An error about the path.
    pub(super) fn error(&self, err: &Error) -> PathError {
        PathError::new(&self.path, err)
    }
}
