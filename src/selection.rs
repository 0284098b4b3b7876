//! Selections: the part of a path that says which elements.
//!
//! In an array's directory stand *groups*, directories such as `rows` and `parts/4`, and in them
//! *selectors*, names such as `0-50`. A [`Selector`] is made by [`Group::select`] from such a name,
//! and its [`Selector::apply`] turns a view into a view. A new selector is one variant here with a
//! module of its own, and its function in [`crate::view`].

use std::fmt;

use crate::view::{Component, View};

mod axis;
mod chunks;
mod fields;
mod grid;
pub(crate) mod number;
mod parts;
mod slice;
mod usage;
mod windows;

use axis::OnAxis;
use chunks::Chunk;
use fields::Escaped;
pub use grid::Grid;
use parts::Part;
pub(crate) use parts::split;
use slice::Expression;
use usage::Usage;
use windows::{Window, Windows};

/// Why a name selects nothing, in words for the one who typed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn refuse<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(why.into()))
}

/// A directory of selectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    /// `rows`, `cols`, `axis<k>`: indices and ranges on an axis
    Axis(usize),
    /// `slice`: NumPy's basic indexing
    Slice,
    /// `parts`: the directories `<n>`
    Parts,
    /// `parts/<n>`: the parts of `numpy.array_split(a, n)`
    PartsOf(u64),
    /// `windows`: the directories `<size>,<step>`
    Windows,
    /// `windows/<size>,<step>`: windows on axis 0
    WindowsOf(Windows),
    /// `chunks`: the directories `<n>,<n>,…`
    Chunks,
    /// `chunks/<n>,<n>,…`: the chunks of a grid
    ChunksOf(Grid),
    /// `fields`: the fields of records, the parts of complex numbers
    Fields,
}

const NO_ENTRY: &str = "an array's directory has no such entry: it has header.json, USAGE.txt, rows, cols, \
                        axis<k>, slice, parts, windows, chunks, fields, T, as they apply";

/// One selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// `a[i]` or `a[start:stop]` on one axis
    OnAxis(OnAxis),
    /// `a[expression]`
    Slice(Expression),
    /// `numpy.array_split(a, n)[i]`
    Part(Part),
    /// `a[k*step : k*step+size]`
    Window(Window),
    /// `a[i*n:(i+1)*n, …]`, one range for each axis
    Chunk(Chunk),
    /// `a['name']`
    Field(Escaped),
    /// `a.real`, `a.imag`
    Component(Component),
    /// `a.T`
    Transpose,
}

impl Group {
    /// The group of this name in the directory of `view`.
    pub fn named(name: &str, view: &View) -> Result<Group, Refusal> {
        let ndim = view.ndim();
        let (group, axes) = match name {
            "rows" => (Group::Axis(0), 1),
            "cols" => (Group::Axis(1), 2),
            "slice" => (Group::Slice, 0),
            "parts" => (Group::Parts, 1),
            "windows" => (Group::Windows, 1),
            "chunks" => (Group::Chunks, 1),
            "fields" => return fields::check(view).map(|()| Group::Fields),
            _ => match name.strip_prefix("axis") {
                Some(k) => (Group::Axis(axis::from_name(k, ndim)?), 0),
                None => return refuse(NO_ENTRY),
            },
        };
        if ndim < axes {
            return refuse(format!("the array has {}", counted(ndim as u64, "axis", "axes")));
        }
        Ok(group)
    }

    /// The groups that the directory of `view` lists, by name.
    pub fn listed(view: &View) -> Vec<String> {
        let names = ["rows", "cols"].map(String::from).into_iter();
        let axes = (2..view.ndim()).map(|k| format!("axis{k}"));
        let others = ["slice", "parts", "windows", "chunks", "fields"].map(String::from);
        names
            .chain(axes)
            .chain(others)
            .filter(|name| match Group::named(name, view) {
                // There is no window on an empty axis.
                Ok(Group::Windows) => view.shape()[0] > 0,
                // Nor is there a chunk of nothing.
                Ok(Group::Chunks) => !view.shape().contains(&0),
                other => other.is_ok(),
            })
            .collect()
    }

    /// Whether its entries are groups again, rather than selections.
    pub fn has_groups(&self) -> bool {
        matches!(self, Group::Parts | Group::Windows | Group::Chunks)
    }

    /// Whether a walk through a whole mount reads what it lists.
    pub fn is_walked(&self) -> bool {
        matches!(self, Group::Axis(_) | Group::Fields)
    }

    /// The group of this name inside this group: `parts/<n>`, `windows/<size>,<step>`,
    /// `chunks/<n>,<n>,…`.
    pub fn enter(&self, name: &str, view: &View) -> Result<Group, Refusal> {
        match self {
            Group::Parts => parts::count_from_name(name).map(Group::PartsOf),
            Group::Windows => Windows::from_name(name, view).map(Group::WindowsOf),
            Group::Chunks => Grid::named(name, view).map(Group::ChunksOf),
            _ => refuse("there are no directories of selectors in it"),
        }
    }

    /// The selector of this name, which has no encoding.
    pub fn select(&self, name: &str, view: &View) -> Result<Selector, Refusal> {
        match self {
            Group::Axis(axis) => OnAxis::from_name(name, *axis, view).map(Selector::OnAxis),
            Group::Slice => Expression::from_name(name).map(Selector::Slice),
            Group::PartsOf(n) => Part::from_name(name, *n).map(Selector::Part),
            Group::WindowsOf(windows) => windows.window(name, view).map(Selector::Window),
            Group::Fields => fields::from_name(name, view),
            Group::ChunksOf(grid) => Chunk::from_name(name, grid).map(Selector::Chunk),
            Group::Parts | Group::Windows | Group::Chunks => {
                refuse(format!("{name:?} is one level too high: write {}", self.shape_of_names()))
            }
        }
    }

    fn shape_of_names(&self) -> &'static str {
        match self {
            Group::Parts => "parts/<n>/<i>",
            Group::Chunks => "chunks/<n>,<n>,…/<i>,<j>,…",
            _ => "windows/<size>,<step>/<k>",
        }
    }

    /// How many places the listing has; not every place holds a name.
    pub fn places(&self, view: &View, tile_bytes: u64) -> u64 {
        match self {
            Group::Axis(0) => axis::Tiles::new(view, tile_bytes).count(),
            Group::PartsOf(n) => *n,
            Group::WindowsOf(windows) => windows.count(view),
            Group::ChunksOf(grid) => chunks::count(grid),
            Group::Fields => fields::places(view),
            Group::Axis(_) | Group::Slice | Group::Parts | Group::Windows | Group::Chunks => 0,
        }
    }

    /// The selector listed at a place, without its encoding.
    pub fn listed_at(&self, place: u64, view: &View, tile_bytes: u64) -> Option<String> {
        match self {
            Group::Axis(0) => Some(axis::Tiles::new(view, tile_bytes).name(place)),
            Group::PartsOf(n) => Some(parts::listed_name(*n, place)),
            Group::WindowsOf(windows) => Some(windows.listed_name(place, view)),
            Group::ChunksOf(grid) => chunks::listed_name(grid, place),
            Group::Fields => fields::listed_at(place, view),
            Group::Axis(_) | Group::Slice | Group::Parts | Group::Windows | Group::Chunks => None,
        }
    }

    /// Whether it has a `USAGE.txt`: not where all there is is listed, and nothing else.
    pub fn has_usage(&self) -> bool {
        !matches!(self, Group::PartsOf(_) | Group::WindowsOf(_) | Group::ChunksOf(_))
    }

    /// The text of its `USAGE.txt`.
    pub fn usage(&self, view: &View) -> Option<String> {
        usage::of_group(self, view)
    }

    /// Some paths below the directory of an array, without an encoding, each with the Python expression of
    /// what it selects of the array a.
    pub fn examples(view: &View) -> Vec<(String, String)> {
        usage::examples(view)
    }

    /// The text of `USAGE.txt` in the directory of an array.
    pub fn usage_of_array(view: &View) -> String {
        usage::of_array(view)
    }
}

impl Selector {
    /// The selector of this name right in an array's directory, which has no encoding.
    pub fn named(name: &str) -> Result<Selector, Refusal> {
        match name {
            "T" => Ok(Selector::Transpose),
            _ => refuse(NO_ENTRY),
        }
    }

    /// How it is spelt in a path, the group before it not included. The only other way is to pad its
    /// numbers with zeros as the listing of the group does.
    pub fn name(&self) -> String {
        match self {
            Selector::OnAxis(on_axis) => on_axis.name(),
            Selector::Slice(expression) => expression.name().to_owned(),
            Selector::Part(part) => part.name(),
            Selector::Window(window) => window.name(),
            Selector::Chunk(chunk) => chunk.name(),
            Selector::Field(name) => name.name().to_owned(),
            Selector::Component(Component::Real) => "real".to_owned(),
            Selector::Component(Component::Imag) => "imag".to_owned(),
            Selector::Transpose => "T".to_owned(),
        }
    }

    /// Bytes of memory that it takes besides itself.
    pub fn footprint(&self) -> usize {
        match self {
            Selector::Slice(expression) => expression.footprint(),
            Selector::Field(name) => name.name().len(),
            Selector::Chunk(chunk) => chunk.footprint(),
            Selector::OnAxis(_)
            | Selector::Part(_)
            | Selector::Window(_)
            | Selector::Component(_)
            | Selector::Transpose => 0,
        }
    }

    /// The selected view.
    pub fn apply(&self, view: &View) -> Result<View, Refusal> {
        let selected = match self {
            Selector::OnAxis(on_axis) => on_axis.apply(view),
            Selector::Slice(expression) => return expression.apply(view),
            Selector::Part(part) => part.apply(view),
            Selector::Window(window) => window.apply(view),
            Selector::Chunk(chunk) => chunk.apply(view),
            Selector::Field(name) => name.apply(view),
            Selector::Component(component) => view.component(*component),
            Selector::Transpose => Some(view.transposed()),
        };
        selected.ok_or_else(|| Refusal("the selection lies outside the array".to_owned()))
    }

    /// What to write after the Python expression of `view` to select the same.
    pub fn expression(&self, view: &View) -> String {
        match self {
            Selector::OnAxis(on_axis) => on_axis.expression(view),
            Selector::Slice(expression) => expression.expression(view),
            Selector::Part(part) => part.expression(view),
            Selector::Window(window) => window.expression(),
            Selector::Chunk(chunk) => chunk.expression(),
            Selector::Field(name) => name.expression(),
            Selector::Component(Component::Real) => ".real".to_owned(),
            Selector::Component(Component::Imag) => ".imag".to_owned(),
            Selector::Transpose => ".T".to_owned(),
        }
    }
}

/// `1 row`, `2 rows`.
fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests;
