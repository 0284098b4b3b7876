//! `npyfs ls`: what directories list, with or without a mount.
//!
//! A listing is written while it is read, since it may have no end.

use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use npyfs::escape::shown;
use npyfs::meta::Kind;
use npyfs::npy::dtype::DType;
use npyfs::tree::{Described, Node};

use super::locate::Located;
use super::{Failures, Outcome, unless_closed};
use crate::cli::LsArgs;

mod form;

use form::{Form, Writer};

pub(crate) fn run(args: &LsArgs) -> Outcome {
    let mut failures = Failures::default();
    unless_closed(write(args, &mut failures))?;
    failures.end()
}

/// Only standard output makes it fail.
fn write(args: &LsArgs, failures: &mut Failures) -> io::Result<()> {
    let form = match args {
        LsArgs { json: true, .. } => Form::Json,
        LsArgs { long: true, .. } => Form::Long,
        _ => Form::Names,
    };
    let mut writer = Writer::new(form);
    let mut directories = Vec::new();
    // Files first, as by `ls`, and then each directory below its name.
    for path in &args.paths {
        match Place::find(path) {
            Ok(place) if place.is_directory() => directories.push((path, place)),
            Ok(place) => writer.entry(place.itself(path, form))?,
            Err(why) => failures.add(why),
        }
    }
    for (path, place) in directories {
        writer.directory(path, args.paths.len() > 1)?;
        place.list(path, form, &mut writer, failures)?;
    }
    writer.end()
}

/// What is listed.
struct Entry {
    name: OsString,
    kind: Kind,
    facts: Facts,
}

/// What is known of a file, where that is asked for.
#[derive(Default)]
struct Facts {
    size: Option<u64>,
    /// The dtype and shape of the array in it.
    array: Option<(Arc<DType>, Vec<u64>)>,
}

/// What a path means.
struct Place {
    found: Located,
    /// It is a directory of a mount, where it is what it is: the arrays' directories stand there.
    is_in_mount: bool,
    /// It is a directory of the source, which is sorted.
    is_of_source: bool,
}

impl Place {
    fn find(path: &Path) -> Result<Place, Box<dyn Error>> {
        let found = Located::new(path)?;
        Ok(match npyfs::mount::enclosing(path) {
            Some((source, within)) if path.is_dir() => {
                Place { found, is_in_mount: true, is_of_source: source.join(within).is_dir() }
            }
            _ => {
                let is_of_source = found.node.is_source_directory();
                Place { found, is_in_mount: false, is_of_source }
            }
        })
    }

    fn is_directory(&self) -> bool {
        self.found.node.is_directory()
    }

    /// A file, by the name that it was given.
    fn itself(&self, path: &Path, form: Form) -> Entry {
        let Located { tree, node, .. } = &self.found;
        let facts = match form.has_facts() {
            true => self.facts(node, tree.attr(node).ok().map(|attr| attr.size)),
            false => Facts::default(),
        };
        Entry { name: path.into(), kind: node.kind(), facts }
    }

    /// Writes what a directory lists.
    fn list(
        &self,
        path: &Path,
        form: Form,
        writer: &mut Writer,
        failures: &mut Failures,
    ) -> io::Result<()> {
        if self.is_in_mount {
            let failed = |err: io::Error| format!("{}: {err}", shown(path)).into();
            let entries = match std::fs::read_dir(path) {
                Ok(entries) => entries,
                Err(err) => {
                    failures.add(failed(err));
                    return Ok(());
                }
            };
            let entries = entries.map_while(|entry| {
                let entry = entry.map_err(|err| failures.add(failed(err))).ok()?;
                Some((entry.file_name(), entry.file_type().map_or(Kind::File, kind)))
            });
            self.write_all(entries, form, writer)
        } else {
            let listing = match self.found.tree.list(&self.found.node) {
                Ok(listing) => listing,
                Err(err) => {
                    failures.add(self.found.error(&err).into());
                    return Ok(());
                }
            };
            let entries = listing.entries_after(0);
            let entries = entries.map(|(_, name, kind)| (name.into_owned(), kind));
            self.write_all(entries, form, writer)
        }
    }

    fn write_all(
        &self,
        entries: impl Iterator<Item = (OsString, Kind)>,
        form: Form,
        writer: &mut Writer,
    ) -> io::Result<()> {
        let mut write = |(name, kind)| writer.entry(self.entry(name, kind, form));
        if self.is_of_source {
            let mut entries: Vec<_> = entries.collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            entries.into_iter().try_for_each(write)
        } else {
            entries.into_iter().try_for_each(&mut write)
        }
    }

    fn entry(&self, name: OsString, kind: Kind, form: Form) -> Entry {
        let facts = match form.has_facts() && kind != Kind::Directory {
            true => match self.found.tree.lookup(&self.found.node, &name) {
                Ok((node, attr)) => self.facts(&node, Some(attr.size)),
                // It is gone.
                Err(_) => Facts::default(),
            },
            false => Facts::default(),
        };
        Entry { name, kind, facts }
    }

    fn facts(&self, node: &Node, size: Option<u64>) -> Facts {
        let array = match self.found.tree.describe(node) {
            Ok(Described::Array { array, .. }) => {
                Some((array.view().dtype().clone(), array.view().shape().to_vec()))
            }
            _ => None,
        };
        Facts { size, array }
    }
}

fn kind(kind: std::fs::FileType) -> Kind {
    if kind.is_dir() {
        Kind::Directory
    } else if kind.is_symlink() {
        Kind::Symlink
    } else {
        Kind::File
    }
}

/// The path of an entry of a directory, to be typed where the directory was.
fn path_of(directory: &Path, name: &OsString) -> PathBuf {
    if directory == Path::new(".") { name.into() } else { directory.join(name) }
}
