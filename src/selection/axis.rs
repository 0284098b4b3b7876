//! `rows`, `cols`, `axis<k>`: an index or a range on one axis.

use super::number::{self, Width};
use super::slice::Expression;
use super::{Refusal, Usage, counted, refuse};
use crate::view::{Steps, View};

/// `a[i]` or `a[start:stop]` on an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnAxis {
    axis: usize,
    pick: Pick,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pick {
    Index(u64),
    Range { start: u64, stop: u64 },
}

/// The axis that the `<k>` of `axis<k>` names, counted from either end.
pub(super) fn from_name(k: &str, ndim: usize) -> Result<usize, Refusal> {
    let (digits, from_end) = match k.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (k, false),
    };
    match number::parse(digits).and_then(|k| usize::try_from(k).ok()) {
        Some(0) if from_end => refuse("-0 is not an axis"),
        Some(k) if from_end && k <= ndim => Ok(ndim - k),
        Some(k) if !from_end && k < ndim => Ok(k),
        Some(_) => refuse(format!("the array has {}", counted(ndim as u64, "axis", "axes"))),
        None => refuse(format!("{k:?} is not the number of an axis")),
    }
}

/// What the positions of an axis are called.
fn positions(axis: usize, len: u64) -> String {
    match axis {
        0 => counted(len, "row", "rows"),
        1 => counted(len, "column", "columns"),
        _ => {
            counted(len, &format!("position on axis {axis}"), &format!("positions on axis {axis}"))
        }
    }
}

/// What to write for a name that is Python's index or range.
fn python_spelling(name: &str, axis: usize) -> Option<String> {
    let in_slice = ":,".repeat(axis) + name;
    Expression::from_name(&in_slice).ok()?;
    let range = name
        .split_once(':')
        .filter(|(start, stop)| number::is_plain(start) && number::is_plain(stop));
    let in_group = range.map_or(String::new(), |(start, stop)| match axis {
        0 => format!("rows/{start}-{stop}, or "),
        1 => format!("cols/{start}-{stop}, or "),
        _ => format!("axis{axis}/{start}-{stop}, or "),
    });
    Some(format!("{in_group}slice/{in_slice}"))
}

impl OnAxis {
    pub(super) fn from_name(name: &str, axis: usize, view: &View) -> Result<OnAxis, Refusal> {
        let Some(&len) = view.shape().get(axis) else {
            return refuse(format!(
                "the array has {}",
                counted(view.ndim() as u64, "axis", "axes")
            ));
        };
        let outside = || Refusal(format!("the array has {}", positions(axis, len)));
        let width = Width::of(len);
        let spelled = |text: &str| match (width.parse(text), width.is_number(text)) {
            (Some(n), _) => Ok(n),
            (None, true) => Err(outside()),
            (None, false) => refuse(format!(
                "{name:?} is neither an index such as 7 nor a range such as 0-50, in plain decimal{}",
                python_spelling(name, axis).map_or_else(
                    || format!(" or padded with zeros to {width}"),
                    |write| format!("; write {write}")
                )
            )),
        };
        let pick = match name.split_once('-') {
            None => Pick::Index(spelled(name)?),
            Some((start, stop)) => Pick::Range { start: spelled(start)?, stop: spelled(stop)? },
        };
        match pick {
            Pick::Index(i) if i >= len => Err(outside()),
            Pick::Range { stop, .. } if stop > len => Err(outside()),
            Pick::Range { start, stop } if start > stop => {
                refuse(format!("the range starts at {start}, after its end {stop}"))
            }
            pick => Ok(OnAxis { axis, pick }),
        }
    }

    pub(super) fn name(&self) -> String {
        match self.pick {
            Pick::Index(i) => i.to_string(),
            Pick::Range { start, stop } => format!("{start}-{stop}"),
        }
    }

    pub(super) fn apply(&self, view: &View) -> Option<View> {
        match self.pick {
            Pick::Index(i) => view.index(self.axis, i),
            Pick::Range { start, stop } => {
                view.steps(self.axis, Steps { start, step: 1, len: stop - start })
            }
        }
    }

    pub(super) fn expression(&self, view: &View) -> String {
        let before = ":, ".repeat(self.axis);
        match self.pick {
            // With `...` the last axis, too, leaves an array and not a scalar.
            Pick::Index(i) if view.ndim() == 1 => format!("[{i}, ...]"),
            Pick::Index(i) => format!("[{before}{i}]"),
            Pick::Range { start, stop } => format!("[{before}{start}:{stop}]"),
        }
    }
}

/// The ranges that `rows` lists: whole rows of about the same size that cover the array.
pub(super) struct Tiles {
    rows: u64,
    per_tile: u64,
}

impl Tiles {
    pub(super) fn new(view: &View, tile_bytes: u64) -> Tiles {
        let rows = view.shape().first().copied().unwrap_or(0);
        let row_bytes = view.nbytes().checked_div(rows).unwrap_or(0);
        let per_tile = tile_bytes.checked_div(row_bytes).unwrap_or(rows).max(1);
        Tiles { rows, per_tile }
    }

    pub(super) fn count(&self) -> u64 {
        self.rows.div_ceil(self.per_tile).max(1)
    }

    pub(super) fn name(&self, place: u64) -> String {
        let start = place.saturating_mul(self.per_tile).min(self.rows);
        let stop = start.saturating_add(self.per_tile).min(self.rows);
        let width = Width::of(self.rows);
        format!("{}-{}", width.pad(start), width.pad(stop))
    }
}

pub(super) fn usage(axis: usize, view: &View) -> Usage {
    let len = view.shape().get(axis).copied().unwrap_or(0);
    let title = format!(
        "Positions on axis {axis}, an index or a half-open range. The array has {}.",
        positions(axis, len)
    );
    let names = match len {
        0 => vec!["0-0".to_owned()],
        _ => vec!["0".to_owned(), format!("0-{}", len.div_ceil(2)), format!("0-{len}")],
    };
    (title, names)
}
