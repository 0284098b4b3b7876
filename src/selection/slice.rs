//! `slice`: NumPy's basic indexing, to the letter.
//!
//! `expr = item {',' item}`; `item = int | [int]':'[int][':'[int]] | '...' | 'None'`.

use std::sync::Arc;

use super::{Refusal, Usage, counted, number, refuse};
use crate::npy::dtype::MAX_NDIM;
use crate::view::{Steps, View};

/// What stands in the brackets of `a[…]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    /// As written: a number may have more digits than an item can hold.
    text: Arc<str>,
    items: Arc<[Item]>,
}

/// Numbers beyond 64 bits are the nearest that fits: as a bound they clamp all the same, and as an
/// index they are outside of any axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Index(i64),
    Slice { start: Option<i64>, stop: Option<i64>, step: i64 },
    Ellipsis,
    NewAxis,
}

fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !number::is_plain(digits) || text == "-0" {
        return None;
    }
    let limit = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    Some(text.parse().unwrap_or(limit))
}

fn item(text: &str) -> Option<Item> {
    let bound = |text: &str| match text {
        "" => Some(None),
        _ => integer(text).map(Some),
    };
    let mut parts = text.split(':');
    Some(match (text, parts.next()?, parts.next(), parts.next(), parts.next()) {
        ("...", ..) => Item::Ellipsis,
        ("None", ..) => Item::NewAxis,
        (_, index, None, ..) => Item::Index(integer(index)?),
        (_, start, Some(stop), step, None) => Item::Slice {
            start: bound(start)?,
            stop: bound(stop)?,
            step: bound(step.unwrap_or_default())?.unwrap_or(1),
        },
        _ => return None,
    })
}

impl Expression {
    pub(super) fn from_name(name: &str) -> Result<Expression, Refusal> {
        let mut items = Vec::new();
        for text in name.split(',') {
            match item(text) {
                Some(Item::Slice { step: 0, .. }) => return refuse("a slice step cannot be zero"),
                Some(item) => items.push(item),
                None => {
                    return refuse(format!(
                        "{text:?} is none of 3, -1, 2:5, ::2, ... and None (with no blanks, plus signs, \
                         leading zeros or brackets)"
                    ));
                }
            }
        }
        if items.iter().filter(|item| **item == Item::Ellipsis).count() > 1 {
            return refuse("an index can only have a single ellipsis");
        }
        Ok(Expression { text: name.into(), items: items.into() })
    }

    pub(super) fn name(&self) -> &str {
        &self.text
    }

    pub(super) fn footprint(&self) -> usize {
        size_of_val(&*self.text) + size_of_val(&*self.items)
    }

    /// As written, in brackets. Where it leaves no axis, `...` is added: without one NumPy makes a
    /// scalar of the element, which is no array and loses its byte order.
    pub(super) fn expression(&self, view: &View) -> String {
        let all_indexed = self.items.iter().all(|item| matches!(item, Item::Index(_)));
        let rest = if all_indexed && self.items.len() == view.ndim() { ", ..." } else { "" };
        format!("[{}{rest}]", self.text)
    }

    pub(super) fn apply(&self, view: &View) -> Result<View, Refusal> {
        let taken =
            self.items.iter().filter(|item| matches!(item, Item::Index(_) | Item::Slice { .. }));
        let Some(covered) = view.ndim().checked_sub(taken.count()) else {
            return refuse(format!(
                "too many indices: the array has {}",
                counted(view.ndim() as u64, "axis", "axes")
            ));
        };
        let outside = || Refusal("the selection lies outside the array".to_owned());
        let mut selected = view.clone();
        // The axis of `selected` that the next item is about. New axes are inserted last, so that
        // the array never has more axes on the way than in the end.
        let mut axis = 0;
        let mut new_axes = Vec::new();
        for item in self.items.iter() {
            match *item {
                Item::Index(i) => {
                    let len = selected.shape()[axis];
                    let from_end = if i < 0 {
                        len.checked_sub(i.unsigned_abs())
                    } else {
                        Some(i.unsigned_abs())
                    };
                    let position = from_end.filter(|&position| position < len);
                    let Some(position) = position else {
                        return refuse(format!(
                            "index {i} is out of bounds for an axis of length {len}"
                        ));
                    };
                    selected = selected.index(axis, position).ok_or_else(outside)?;
                }
                Item::Slice { start, stop, step } => {
                    let steps = clamp(start, stop, step, selected.shape()[axis]);
                    selected = selected.steps(axis, steps).ok_or_else(outside)?;
                    axis += 1;
                }
                Item::Ellipsis => axis += covered,
                Item::NewAxis => new_axes.push(axis + new_axes.len()),
            }
        }
        if selected.ndim() + new_axes.len() > MAX_NDIM {
            return refuse(format!("the result would have more than {MAX_NDIM} axes"));
        }
        for axis in new_axes {
            selected = selected.insert_axis(axis).ok_or_else(outside)?;
        }
        Ok(selected)
    }
}

/// The positions that `start:stop:step` takes of an axis, as Python's `slice.indices` clamps them.
fn clamp(start: Option<i64>, stop: Option<i64>, step: i64, len: u64) -> Steps {
    let (n, wide_step) = (i128::from(len), i128::from(step));
    // Running backwards, positions end at -1, before the first.
    let (low, high) = if step < 0 { (-1, n - 1) } else { (0, n) };
    let place = |bound: Option<i64>, open: i128| {
        bound.map_or(open, |bound| {
            let bound = i128::from(bound);
            (if bound < 0 { bound + n } else { bound }).clamp(low, high)
        })
    };
    let (from, to) = if step < 0 {
        (place(start, high), place(stop, low))
    } else {
        (place(start, low), place(stop, high))
    };
    let span = if step < 0 { from - to } else { to - from };
    let count = if span <= 0 { 0 } else { (span - 1) / wide_step.abs() + 1 };
    // Both fit: positions of an axis, of which there are `len` at most.
    Steps { start: u64::try_from(from).unwrap_or(0), step, len: u64::try_from(count).unwrap_or(0) }
}

pub(super) fn usage(view: &View) -> Usage {
    let title = format!(
        "NumPy's basic indexing, a[...]: integers, start:stop:step, ... and None. The shape is {}.",
        crate::npy::shape_text(view.shape())
    );
    let halves = |len: u64| format!("0:{}", len.div_ceil(2));
    let names: Vec<String> = match view.shape() {
        // Not `...`, which as `....npy` looks like a mistake.
        [] => vec!["None".to_owned()],
        [len] => vec![halves(*len), "::-1".to_owned(), "...,None".to_owned()],
        [rows, cols, ..] => vec![
            format!("{},{}", halves(*rows), halves(*cols)),
            "::-1".to_owned(),
            "...,::2".to_owned(),
            "...,None".to_owned(),
        ],
    };
    (title, names)
}
