//! The texts of `USAGE.txt`: what names there are, with examples that work on that very array.

use super::{Group, Selector, axis, chunks, fields, parts, slice, windows};
use crate::npy::shape_text;
use crate::view::View;

/// A title, and names in a directory of selectors that may serve as examples.
pub(super) type Usage = (String, Vec<String>);

/// The widest column for names; longer ones stick out of it.
const MAX_COLUMN: usize = 40;

/// The text for the directory of an array.
pub(super) fn of_array(view: &View) -> String {
    let mut examples = examples(view);
    let (whole, what) = examples.last().cloned().unwrap_or_default();
    examples.iter_mut().for_each(|(path, _)| path.push_str(".npy"));
    examples.push((format!("{whole}.raw"), format!("the bytes of {what}, with no header")));
    examples.push((format!("{whole}/header.json"), format!("what {what} is, and where it lies")));
    let groups = Group::listed(view).join(", ");
    format!(
        "An array of shape {}; header.json says what it is in full. Names below this directory\n\
         select from it as an index does in Python. Examples, with a for the array:\n\n{}\n\
         The ending says which form you get: .npy, a NumPy file; .raw, the bytes in C order; or .zarr, a\n\
         directory that readers of Zarr open (.ome.zarr, an image), where Zarr has such a dtype. Without\n\
         an ending, a name is a directory, in which the selection can be sliced in the same way.\n\n\
         Most names are not listed, but they can be opened. `npyfs info` of a path that does not exist\n\
         says why. For more, see USAGE.txt in {groups}.\n",
        shape_text(view.shape()),
        table(&examples),
    )
}

/// Paths below the directory of an array that each show something different, without an encoding, and what
/// they are.
pub(super) fn examples(view: &View) -> Vec<(String, String)> {
    let meant = |path: String| meaning(None, view, &path).map(|what| (path, what));
    candidates(view).into_iter().filter_map(meant).collect()
}

/// Paths that each show something different. The array may lack some of them.
fn candidates(view: &View) -> Vec<String> {
    let in_group = |name: &str| -> Vec<String> {
        let group = Group::named(name, view).ok();
        let names = group.and_then(|group| usage(&group, view)).map(|(_, names)| names);
        names.into_iter().flatten().map(|path| format!("{name}/{path}")).collect()
    };
    let rows: Vec<String> = in_group("rows").into_iter().take(2).collect();
    let mut paths = rows.clone();
    for name in ["cols", "axis2", "slice", "parts", "windows", "chunks", "fields"] {
        paths.extend(in_group(name).into_iter().next());
    }
    paths.push("T".to_owned());
    // The last is a selection of a selection.
    paths.push(match (rows.last(), in_group("cols").first()) {
        (Some(rows), Some(cols)) => format!("{rows}/{cols}"),
        (Some(rows), None) => format!("{rows}/slice/::-1"),
        (None, _) => "T/slice/None".to_owned(),
    });
    paths
}

/// The text for a directory of selectors; none for those that list everything they have.
pub(super) fn of_group(group: &Group, view: &View) -> Option<String> {
    let (title, names) = usage(group, view)?;
    let mut examples = Vec::new();
    let mut last = None;
    for name in names {
        let Some(what) = meaning(Some(group.clone()), view, &name) else { continue };
        examples.push((format!("{name}.npy"), what.clone()));
        examples.push((format!("{name}.raw"), format!("{what}, its bytes with no header")));
        last = Some(name);
    }
    // And a chain, to show that it goes on from there.
    let chained = last.map(|name| format!("{name}/T"));
    if let Some((path, what)) =
        chained.and_then(|path| meaning(Some(group.clone()), view, &path).map(|what| (path, what)))
    {
        examples.push((format!("{path}.npy"), what));
    }
    Some(format!(
        "{title}\nExamples of names in this directory, listed or not, with a for the array:\n\n{}\n\
         Without .npy or .raw, a name is a directory with the selection's header.json, in which the\n\
         selection can be sliced again.\n",
        table(&examples)
    ))
}

fn usage(group: &Group, view: &View) -> Option<Usage> {
    match group {
        Group::Axis(axis) => Some(axis::usage(*axis, view)),
        Group::Slice => Some(slice::usage(view)),
        Group::Parts => Some(parts::usage(view)),
        Group::Windows => Some(windows::usage(view)),
        Group::Chunks => Some(chunks::usage(view)),
        Group::Fields => Some(fields::usage(view)),
        Group::PartsOf(_) | Group::WindowsOf(_) | Group::ChunksOf(_) => None,
    }
}

/// Lines of names and what they mean.
fn table(examples: &[(String, String)]) -> String {
    let longest = examples.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let width = longest.min(MAX_COLUMN);
    examples.iter().map(|(name, what)| format!("    {name:width$}  {what}\n")).collect()
}

/// The Python expression of what a path without encoding selects, below the directory of an array or group;
/// none if that does not exist.
fn meaning(mut group: Option<Group>, view: &View, path: &str) -> Option<String> {
    let mut view = view.clone();
    let mut expression = "a".to_owned();
    for name in path.split('/') {
        let selector = match group.take() {
            Some(within) if within.has_groups() => {
                group = Some(within.enter(name, &view).ok()?);
                continue;
            }
            Some(within) => within.select(name, &view).ok()?,
            None => match Group::named(name, &view) {
                Ok(named) => {
                    group = Some(named);
                    continue;
                }
                Err(_) => Selector::named(name).ok()?,
            },
        };
        expression.push_str(&selector.expression(&view));
        view = selector.apply(&view).ok()?;
    }
    group.is_none().then_some(expression)
}
