//! What an array is, on a screen.

use std::path::{Path, PathBuf};

use npyfs::escape::shown;
use npyfs::mount::Entry;
use npyfs::npy::dtype::DType;
use npyfs::npy::header::Order;
use npyfs::npy::shape_text;
use npyfs::runs::Runs;
use npyfs::selection::{Grid, Group, Refusal};
use npyfs::tree::Array;
use npyfs::view::View;

use super::table::{Cell, LABEL, TITLE, aligned};
use super::words::{counted, dtype_name, field_name, quoted, size};

/// So many fields of a record are shown.
const MAX_FIELDS: usize = 20;

/// An array, and what is to be known of where it is.
pub(super) struct Summary<'a> {
    /// The path that was typed.
    pub(super) path: &'a Path,
    pub(super) array: &'a Array,
    /// The file that has its bytes.
    pub(super) file: PathBuf,
    /// The chunks of its `.zarr`, or why it has none.
    pub(super) zarr: Result<Grid, Refusal>,
    /// Its directory, if it has one.
    pub(super) directory: Option<PathBuf>,
    pub(super) mount: Option<&'a Entry>,
}

impl Summary<'_> {
    pub(super) fn text(&self) -> String {
        let view = self.array.view();
        let mut lines = vec![("shape", shape_text(view.shape()))];
        if !self.array.is_whole() {
            lines.insert(0, ("array", self.expression()));
        }
        lines.push(("dtype", dtype(view.dtype())));
        lines.extend(fields(view.dtype()));
        let each = view.dtype().itemsize();
        let elements = counted(view.size(), "element", "elements");
        lines.push(("size", format!("{}, {elements} of {each} B", size(view.nbytes()))));
        let order = if view.order() == Order::Fortran { "Fortran" } else { "C" };
        lines.push(("order", order.to_owned()));
        lines.extend(self.place());
        lines.push(("zarr", self.zarr()));
        if self.directory.is_some() {
            let mut names = Group::listed(view);
            names.push("T".to_owned());
            lines.push(("paths", names.join("  ")));
        }
        lines.extend(self.mount.map(|mount| ("mount", served(mount))));
        let row = |(label, text)| vec![Cell::new(label).styled(LABEL), Cell::new(text)];
        let rows: Vec<_> = lines.into_iter().map(row).collect();
        let title = shown(self.path);
        let mut text = format!("{TITLE}{title}{TITLE:#}\n{}", aligned(&rows));
        if let Some(directory) = &self.directory {
            text.push('\n');
            text.push_str(&aligned(&self.examples(directory)));
        }
        text
    }

    fn expression(&self) -> String {
        let what = match self.array.origin().member() {
            Some(member) => shown(&*member).to_string(),
            None => shown(&self.file).to_string(),
        };
        format!("{}, where a is {what}", shown(self.array.expression()))
    }

    /// Where the bytes are.
    fn place(&self) -> Vec<(&'static str, String)> {
        let view = self.array.view();
        if let Some(shards) = &self.array.version().joined {
            let files = counted(shards.count() as u64, "file", "files");
            let directory = self.file.parent().unwrap_or(Path::new(""));
            let directory = match directory.as_os_str().is_empty() {
                true => "the current directory".to_owned(),
                false => shown(directory).to_string(),
            };
            return vec![("bytes", format!("in {files} of {directory}; sources.json says which"))];
        }
        let mut file = shown(&self.file).to_string();
        if let Some(member) = self.array.origin().member() {
            file.push_str(&format!(", member {}", shown(&*member)));
        }
        let is_together = Runs::new(view, view.order()).contiguous(0, view.nbytes()).is_some();
        let mut lines = vec![("bytes", format!("{file}, from byte {}", view.offset()))];
        match is_together {
            true => lines[0].1.push_str(" on, in one piece"),
            false => lines.push(("strides", strides(view))),
        }
        lines
    }

    fn zarr(&self) -> String {
        match &self.zarr {
            Ok(grid) => {
                let chunks = grid.counts().into_iter().fold(1, u64::saturating_mul);
                let counts = shape_text(&grid.counts());
                let shape = shape_text(&grid.chunk_shape());
                match chunks {
                    0 => format!("no chunks, since the array is empty; they would be of {shape}"),
                    1 if grid.counts().is_empty() => "one chunk".to_owned(),
                    1 => format!("1 chunk of {shape}"),
                    _ => format!("{chunks} chunks of {shape}, in a grid of {counts}"),
                }
            }
            Err(why) => format!("none: {why}"),
        }
    }

    /// Commands for this very array.
    fn examples(&self, directory: &Path) -> Vec<Vec<Cell>> {
        let examples = Group::examples(self.array.view());
        let of = |group: &str| examples.iter().position(|(path, _)| path.starts_with(group));
        let middle = of("fields/").or_else(|| of("slice/")).unwrap_or(examples.len() / 2);
        let chosen = [Some(0), Some(middle), examples.len().checked_sub(1)];
        let chosen = chosen.into_iter().map(|at| examples.get(at?));
        let forms =
            [("cat ", ".npy", " > slice.npy"), ("cat ", ".raw", " > slice.raw"), ("info ", "", "")];
        let command = |((before, encoding, after), example): (_, Option<&(String, String)>)| {
            let (path, meaning) = example?;
            let path = quoted(&directory.join(format!("{path}{encoding}")));
            let expression = format!("# {}{}", self.array.expression(), meaning.get(1..)?);
            let command = Cell::new(format!("npyfs {before}{path}{after}"));
            Some(vec![command, Cell::new(shown(&expression).to_string()).styled(LABEL)])
        };
        forms.into_iter().zip(chosen).filter_map(command).collect()
    }
}

fn dtype(dtype: &DType) -> String {
    match dtype {
        DType::Record(record) => format!("a record of {} bytes", record.itemsize()),
        other => {
            let (name, descr) = (dtype_name(other), other.descr().to_string());
            let descr = descr.trim_matches('\'');
            if name == descr { name } else { format!("{name} ({descr})") }
        }
    }
}

/// A line for each field of a record.
fn fields(dtype: &DType) -> Vec<(&'static str, String)> {
    let fields = dtype.as_record().map_or(&[][..], |record| record.fields());
    let cells = |field: &npyfs::npy::dtype::Field| {
        let at = format!("at byte {}", field.offset);
        vec![Cell::new(field_name(field)), Cell::new(dtype_name(&field.dtype)), Cell::new(at)]
    };
    let rows: Vec<_> = fields.iter().take(MAX_FIELDS).map(cells).collect();
    let mut lines: Vec<String> = aligned(&rows).lines().map(str::to_owned).collect();
    if let Some(more @ 1..) = fields.len().checked_sub(MAX_FIELDS) {
        lines.push(format!("and {more} more; --json has all of them"));
    }
    let labels = std::iter::once("fields").chain(std::iter::repeat(""));
    labels.zip(lines).collect()
}

fn strides(view: &View) -> String {
    let strides: Vec<String> = view.strides().iter().map(i64::to_string).collect();
    let comma = if strides.len() == 1 { "," } else { "" };
    format!("({}{comma}) bytes", strides.join(", "))
}

/// What a mount serves, and how.
pub(super) fn served(mount: &Entry) -> String {
    let Entry { mountpoint, source, read_only, allow_other, .. } = mount;
    let mode = if *read_only { "read-only" } else { "writable" };
    let whom = if *allow_other { ", also for other users" } else { "" };
    format!("{} serves {}, {mode}{whom}", shown(mountpoint), shown(source))
}
