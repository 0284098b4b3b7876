//! `npyfs refs`: kerchunk references, by which Zarr readers fetch the chunks of arrays from wherever their
//! files are served, with nothing mounted.
//!
//! The output is written while the source is read: an array can have very many chunks.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use base64::engine::general_purpose::STANDARD as BASE64;
use base64::write::EncoderWriter;
use npyfs::encoding::Encoding;
use npyfs::escape::shown;
use npyfs::layout::Layout;
use npyfs::meta::{Kind, Meta};
use npyfs::npy::header::Order;
use npyfs::selection::Refusal;
use npyfs::source::{
    self, ArrayFile, Entry, Found, Holds, OpenStorage, Origin, Source, Version, Which,
};
use npyfs::tree::{Content, Described};
use npyfs::view::View;
use npyfs::zarr::references::{Reference, References};
use npyfs::zarr::{self, Format, json, v3};
use serde_json::{Map, Value};

use super::locate::Located;
use super::{Outcome, unless_closed};
use crate::cli::RefsArgs;

mod locations;

use locations::Locations;

/// As many arrays and groups may a group describe, so that readers need not search for them.
const MAX_MEMBERS: usize = 1000;

/// Bytes of a chunk that is written out which are read at once. A multiple of 3, for base64.
const PIECE: usize = 3 << 18;

pub(crate) fn run(args: &RefsArgs) -> Outcome {
    match write(args) {
        // All others name a file of the source.
        Err(err) if err.is::<io::Error>() => {
            err.downcast::<io::Error>().map_or(Ok(()), |err| unless_closed(Err(*err)))
        }
        done => done,
    }
}

/// An [`io::Error`] is one of standard output.
fn write(args: &RefsArgs) -> Outcome {
    // Of a mount, what counts is its source: chunks lie in the files there.
    let mounted = match npyfs::mount::enclosing_mount(&args.source) {
        Some((mount, within)) => {
            let found = Located::in_mount(&mount, &within, &args.source)?;
            Some((mount.source.join(within), found))
        }
        None => None,
    };
    let path = mounted.as_ref().map_or(&args.source, |(path, _)| path);
    if !path.exists() {
        let found = match &mounted {
            Some((_, found)) => found,
            None => &Located::new(path)?,
        };
        return write_inside(found, path, args);
    }
    let about = |why: &dyn Display| format!("{}: {why}", shown(path));
    let options = source::Options { follow_symlinks: true, ..Default::default() };
    let source = Arc::new(Source::open(path, options).map_err(|err| err.to_string())?);
    let mut writer = Writer::new(source, path, args)?;
    match writer.source.single() {
        Some(file) => match file.map_err(|err| err.to_string())? {
            file if file.holds() == Holds::Members => return Err(about(&ARCHIVE).into()),
            file => writer.write_single(&file)?,
        },
        None => writer.write_tree()?,
    }
    writer.out.finish()?;
    match writer.left_out {
        0 => Ok(()),
        1 => Err(about(&"1 file or directory is left out").into()),
        many => Err(about(&format!("{many} files and directories are left out")).into()),
    }
}

/// What is said of a whole archive.
const ARCHIVE: &str =
    "an archive; give one of its arrays: X/weights is the array called weights in X.npz";

/// The array that a path means which is none on this machine: one of an archive, or a selection.
fn write_inside(found: &Located, path: &Path, args: &RefsArgs) -> Outcome {
    let about = |why: &dyn Display| format!("{}: {why}", shown(path));
    if path.file_name().and_then(OsStr::to_str).is_some_and(Encoding::is_directory) {
        let why = "give the array, without .zarr and chunks/…; --chunk-bytes says how large its chunks are";
        return Err(about(&why).into());
    }
    let array = match found.tree.describe(&found.node).map_err(|err| found.error(&err))? {
        Described::Array { array, .. } => array,
        Described::Archive { .. } => return Err(about(&ARCHIVE).into()),
        Described::NoArray(why) => return Err(about(&why).into()),
    };
    if array.version().joined.is_some() {
        let why = "many files as one array, and a reference is to one file; give a file, or the directory";
        return Err(about(&why).into());
    }
    let mut writer = Writer::new(found.tree.source().clone(), &found.file_of(&array), args)?;
    let (version, view) = (array.version().clone(), array.view().clone());
    let opened = writer.open(&**array.origin(), version, view, &array.name());
    writer.write_opened(&opened.map_err(|why| about(&why))?)?;
    Ok(writer.out.finish()?)
}

/// An array that Zarr can hold, open.
struct Opened {
    references: References,
    version: Arc<Version>,
    storage: Arc<dyn OpenStorage>,
    meta: Meta,
    /// The files that describe it, by name.
    metadata: Vec<(&'static str, Value)>,
    url: String,
}

struct Writer {
    source: Arc<Source>,
    locations: Locations,
    format: Format,
    chunk_bytes: u64,
    out: Output,
    /// The group that was written last, by its path.
    group: String,
    /// The `zarr.json` of all arrays and groups by path, unless there are too many.
    members: Option<Map<String, Value>>,
    left_out: u64,
}

impl Writer {
    /// For the files of a source, which is at this path, or for one of its files.
    fn new(source: Arc<Source>, path: &Path, args: &RefsArgs) -> Result<Writer, Box<dyn Error>> {
        let locations = Locations::new(path, args.url.as_deref())?;
        // Not through the buffer of `io::stdout`, which would look for line ends.
        let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Writer {
            source,
            locations,
            format: args.zarr_format,
            chunk_bytes: args.chunk_bytes,
            out: Output { out: BufWriter::new(out), is_empty: true },
            group: String::new(),
            // Zarr v2 has no such thing in its groups.
            members: (args.zarr_format == Format::V3).then(Map::new),
            left_out: 0,
        })
    }

    /// One array, which is all there is.
    fn write_single(&mut self, file: &ArrayFile) -> Outcome {
        let name = self.locations.single.as_deref().unwrap_or(file.path());
        let name = name.file_stem().unwrap_or_default().to_string_lossy();
        let array = self.open_file(file, &name);
        let array = array.map_err(|why| format!("{}: {why}", shown(self.source.path())))?;
        self.write_opened(&array)
    }

    fn write_opened(&mut self, array: &Opened) -> Outcome {
        for (file, text) in &array.metadata {
            self.out.text(file, text)?;
        }
        self.write_chunks("", array)
    }

    /// A group of all arrays beneath the source, with a group for each directory that has some.
    fn write_tree(&mut self) -> Outcome {
        // Directories to go through, each with its group; none if Zarr cannot have one of that name.
        let mut pending = vec![(self.source.root(), Some(String::new()))];
        while let Some((directory, group)) = pending.pop() {
            let entries = match self.entries(&directory) {
                Ok(entries) => entries,
                Err(why) if directory.path.as_os_str().is_empty() => return Err(why.into()),
                Err(why) => {
                    self.leave_out(&directory.path, &why);
                    continue;
                }
            };
            let mut directories = Vec::new();
            for (name, kind) in entries {
                let path = directory.path.join(&name);
                if kind != Kind::Directory {
                    self.write_member(&path, group.as_deref())?;
                } else if let Ok(Found::Entry(meta)) = self.source.find(&directory, &name) {
                    let inner = group.as_deref().and_then(|group| member(group, &name));
                    directories.push((Entry { path: path.into(), id: meta.id }, inner));
                }
            }
            pending.extend(directories.into_iter().rev());
        }
        let (file, text) = match self.members.take() {
            Some(members) => (v3::METADATA, v3::group(Map::new(), Some(members))),
            None => self.format.group(),
        };
        Ok(self.out.text(file, &text)?)
    }

    /// The entries of a directory by name.
    fn entries(&self, directory: &Entry) -> Result<Vec<(OsString, Kind)>, String> {
        let (listing, _) = self.source.list(directory, &|_| None).map_err(|err| err.to_string())?;
        let entries = listing.entries_after(0);
        let mut entries: Vec<_> =
            entries.map(|(_, name, kind)| (name.into_owned(), kind)).collect();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(entries)
    }

    /// What is at a path, if it is named like an array: a member of a group, or left out with the reason.
    fn write_member(&mut self, path: &Path, group: Option<&str>) -> Outcome {
        let opened = match self.source.array_file(path) {
            Ok(Some((file, name))) if file.holds() == Holds::Array => {
                let key = name.zip(group).and_then(|(name, group)| member(group, &name));
                let key = key.ok_or("Zarr cannot have a member of that name");
                key.map_err(str::to_owned).and_then(|key| {
                    let name = key.rsplit('/').next().unwrap_or(&key);
                    Ok((self.open_file(&file, name)?, key))
                })
            }
            // Archives are no members, nor is what holds no array.
            Ok(_) => return Ok(()),
            Err(err) => Err(err.to_string()),
        };
        match opened {
            Ok((array, key)) => {
                self.write_groups(group.unwrap_or_default())?;
                for (file, text) in &array.metadata {
                    self.write_metadata(&key, file, text)?;
                }
                self.write_chunks(&(key + "/"), &array)
            }
            Err(why) => {
                self.leave_out(path, &why);
                Ok(())
            }
        }
    }

    fn leave_out(&mut self, path: &Path, why: &str) {
        eprintln!("npyfs: {}: {}; left out", shown(&self.source.path().join(path)), shown(why));
        self.left_out += 1;
    }

    /// The groups down to this one that are not there yet. All arrays of a group come one after another.
    fn write_groups(&mut self, group: &str) -> io::Result<()> {
        let ends = group.match_indices('/').map(|(at, _)| at).chain([group.len()]);
        for outer in ends.map(|end| &group[..end]).filter(|outer| !outer.is_empty()) {
            let rest = self.group.strip_prefix(outer);
            if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                let (file, text) = self.format.group();
                self.write_metadata(outer, file, &text)?;
            }
        }
        self.group = group.to_owned();
        Ok(())
    }

    /// The array of a file.
    fn open_file(&self, file: &ArrayFile, name: &str) -> Result<Opened, String> {
        let version = file.version(&self.source).map_err(|err| err.to_string())?.0;
        let version = version.map_err(|unreadable| unreadable.why.clone())?;
        let view = version.view.clone();
        self.open(file, version, view, name)
    }

    /// An array whose axes are named after it, or why it is none that Zarr can hold.
    fn open(
        &self,
        origin: &dyn Origin,
        version: Arc<Version>,
        view: View,
        name: &str,
    ) -> Result<Opened, String> {
        let opened = origin.open(&self.source, Which::AtPath);
        let (storage, meta) = opened.map_err(|err| err.to_string())?;
        let names: Vec<String> = (0..view.ndim()).map(|axis| format!("{name}_{axis}")).collect();
        let refused = |refusal: Refusal| refusal.to_string();
        let chunk_bytes = self.most_in_a_chunk(&view);
        let references = References::new(view, chunk_bytes).map_err(refused)?;
        let metadata = self.format.array(references.array(), &names).map_err(refused)?;
        let url = json::line(&self.locations.of(origin.file_path())?.into());
        Ok(Opened { references, version, storage, meta, metadata, url })
    }

    /// Bytes. VirtualiZarr takes any array of v2 for one in C order: along a single axis that is the same.
    fn most_in_a_chunk(&self, view: &View) -> u64 {
        if (self.format, view.order()) != (Format::V2, Order::Fortran) {
            return self.chunk_bytes;
        }
        let first = view.shape().iter().copied().find(|&len| len > 1).unwrap_or(1);
        self.chunk_bytes.min(view.dtype().itemsize().saturating_mul(first))
    }

    /// A file that describes a member of the root.
    fn write_metadata(&mut self, path: &str, file: &str, text: &Value) -> io::Result<()> {
        self.out.text(&format!("{path}/{file}"), text)?;
        self.members = self.members.take().filter(|members| members.len() < MAX_MEMBERS);
        if let Some(members) = &mut self.members {
            members.insert(path.to_owned(), text.clone());
        }
        Ok(())
    }

    /// The chunks of an array beneath a path, which ends in `/` if it is not empty.
    fn write_chunks(&mut self, path: &str, array: &Opened) -> Outcome {
        for (index, reference) in array.references.chunks() {
            let out = self.out.key(&format!("{path}{}", self.format.key(&index)))?;
            match reference {
                Reference::Range(Range { start, end }) => {
                    write!(out, "[{}, {start}, {}]", array.url, end - start)?;
                }
                Reference::Inline(layout) => {
                    write_inline(out, array, layout)?;
                }
            }
        }
        Ok(())
    }
}

/// The path of a member of a group, if it can have one of that name.
fn member(group: &str, name: &OsStr) -> Option<String> {
    let name = name.to_str().filter(|name| zarr::is_node_name(name))?;
    Some(if group.is_empty() { name.to_owned() } else { format!("{group}/{name}") })
}

/// The bytes of a chunk, a piece at a time.
fn write_inline(out: &mut impl Write, array: &Opened, layout: Layout) -> Outcome {
    let len = layout.len();
    let content = Content::Array {
        open: array.storage.clone(),
        version: array.version.clone(),
        layout,
        meta: array.meta,
    };
    out.write_all(b"\"base64:")?;
    let mut encoder = EncoderWriter::new(&mut *out, &BASE64);
    let mut at = 0;
    while at < len {
        at += content
            .read_at(at, PIECE, |piece| encoder.write_all(piece).map(|()| piece.len() as u64))??;
    }
    encoder.finish()?;
    drop(encoder);
    Ok(out.write_all(b"\"")?)
}

/// The JSON object, member by member.
struct Output {
    out: BufWriter<File>,
    is_empty: bool,
}

impl Output {
    /// Begins a member; its value is to be written next.
    fn key(&mut self, key: &str) -> io::Result<&mut BufWriter<File>> {
        let before = if self.is_empty { "{\"version\": 1, \"refs\": {" } else { "," };
        self.is_empty = false;
        write!(self.out, "{before}\n{}: ", json::line(&key.into()))?;
        Ok(&mut self.out)
    }

    /// A member that is a file of JSON.
    fn text(&mut self, key: &str, value: &Value) -> io::Result<()> {
        let text = json::line(&json::line(value).into());
        self.key(key)?.write_all(text.as_bytes())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.write_all(b"\n}}\n")?;
        self.out.flush()
    }
}
