//! The forms of a listing: names, lines with facts, JSON.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use npyfs::escape::shown;
use npyfs::meta::Kind;
use npyfs::npy::shape_text;
use npyfs::zarr::json;

use super::{Entry, Facts, path_of};
use crate::command::table::{Cell, DIRECTORY, aligned};
use crate::command::words::{dtype_name, size};

/// As many lines with facts are aligned together.
const BLOCK: usize = 1000;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A name on each line
    Names,
    /// The same with facts before the names
    Long,
    /// A list with an object for each entry
    Json,
}

impl Form {
    /// Whether it takes more than names.
    pub(super) fn has_facts(self) -> bool {
        self != Form::Names
    }
}

/// Writes entries to standard output in a form.
pub(super) struct Writer {
    form: Form,
    out: BufWriter<StdoutLock<'static>>,
    /// Names are escaped where a terminal would act on them; other programs get them unchanged.
    for_terminal: bool,
    /// Where the entries are.
    directory: PathBuf,
    /// Lines that are to be aligned.
    rows: Vec<Vec<Cell>>,
    is_empty: bool,
}

impl Writer {
    pub(super) fn new(form: Form) -> Writer {
        let stdout = io::stdout();
        Writer {
            form,
            for_terminal: stdout.is_terminal(),
            out: BufWriter::new(stdout.lock()),
            directory: PathBuf::new(),
            rows: Vec::new(),
            is_empty: true,
        }
    }

    /// Entries of a directory come next, below its name if there are several.
    pub(super) fn directory(&mut self, path: &Path, is_one_of_several: bool) -> io::Result<()> {
        self.directory = path.to_owned();
        if !is_one_of_several || self.form == Form::Json {
            return Ok(());
        }
        self.write_rows()?;
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.write_all(b"\n")?;
        }
        self.write_name(path.as_os_str().as_bytes(), b":\n")
    }

    pub(super) fn entry(&mut self, entry: Entry) -> io::Result<()> {
        let is_first = std::mem::replace(&mut self.is_empty, false);
        match self.form {
            Form::Names => {
                let slash: &[u8] = if entry.kind == Kind::Directory { b"/\n" } else { b"\n" };
                self.write_name(entry.name.as_bytes(), slash)
            }
            Form::Long => {
                self.rows.push(row(&entry));
                if self.rows.len() < BLOCK { Ok(()) } else { self.write_rows() }
            }
            Form::Json => {
                let before = if is_first { "[\n" } else { ",\n" };
                write!(self.out, "{before}  {}", self.object(&entry))
            }
        }
    }

    /// Writes what is left to write.
    pub(super) fn end(mut self) -> io::Result<()> {
        self.write_rows()?;
        match (self.form, self.is_empty) {
            (Form::Json, true) => self.out.write_all(b"[]\n")?,
            (Form::Json, false) => self.out.write_all(b"\n]\n")?,
            _ => {}
        }
        self.out.flush()
    }

    fn write_name(&mut self, name: &[u8], after: &[u8]) -> io::Result<()> {
        match self.for_terminal {
            true => write!(self.out, "{}", shown(std::ffi::OsStr::from_bytes(name)))?,
            false => self.out.write_all(name)?,
        }
        self.out.write_all(after)
    }

    fn write_rows(&mut self) -> io::Result<()> {
        let text = aligned(&std::mem::take(&mut self.rows));
        self.out.flush()?;
        anstream::AutoStream::auto(self.out.get_mut()).write_all(text.as_bytes())
    }

    fn object(&self, entry: &Entry) -> String {
        let Entry { name, kind, facts: Facts { size, array } } = entry;
        let path = path_of(&self.directory, name);
        let kind = match kind {
            Kind::Directory => "directory",
            Kind::File => "file",
            Kind::Symlink => "symlink",
        };
        let mut text = format!(
            "{{\"path\": {}, \"kind\": \"{kind}\"",
            json::line(&path.to_string_lossy().into())
        );
        if let Some(size) = size {
            text.push_str(&format!(", \"size\": {size}"));
        }
        if let Some((dtype, shape)) = array {
            let (descr, shape) = (dtype.descr().to_json(), json::line(&(&**shape).into()));
            text.push_str(&format!(", \"descr\": {descr}, \"shape\": {shape}"));
        }
        text + "}"
    }
}

fn row(entry: &Entry) -> Vec<Cell> {
    let name = shown(&entry.name).to_string();
    let name = match entry.kind {
        Kind::Directory => Cell::new(name + "/").styled(DIRECTORY),
        _ => Cell::new(name),
    };
    let (dtype, shape) = match &entry.facts.array {
        Some((dtype, shape)) => (dtype_name(dtype), shape_text(shape)),
        None => Default::default(),
    };
    let size = entry.facts.size.map(size).unwrap_or_default();
    vec![Cell::number(size), Cell::new(dtype), Cell::new(shape), name]
}
