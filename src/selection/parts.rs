//! `parts/<n>/<i>`: part i of n nearly equal ones, as `numpy.array_split` makes them.

use super::number::{self, Width};
use super::{Refusal, Usage, refuse};
use crate::view::{Steps, View};

/// The most parts that have names.
const MAX_PARTS: u64 = 1 << 32;

/// `numpy.array_split(a, n)[i]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    n: u64,
    i: u64,
}

pub(super) fn count_from_name(name: &str) -> Result<u64, Refusal> {
    match number::parse(name) {
        Some(n @ 1..=MAX_PARTS) => Ok(n),
        _ => refuse(format!("{name:?} is not a number of parts from 1 to {MAX_PARTS}")),
    }
}

/// The width of the numbers of `n` parts.
fn width(n: u64) -> Width {
    Width::of(n.saturating_sub(1))
}

/// The name that the listing of `n` parts has for one of them.
pub(super) fn listed_name(n: u64, i: u64) -> String {
    width(n).pad(i)
}

/// How `len` rows become `n` parts: `(each, more)`, where the first `more` parts have `each + 1` rows, and
/// the others `each`.
pub(crate) fn split(len: u64, n: u64) -> (u64, u64) {
    (len / n, len % n)
}

impl Part {
    pub(super) fn from_name(name: &str, n: u64) -> Result<Part, Refusal> {
        match width(n).parse(name) {
            Some(i) if i < n => Ok(Part { n, i }),
            Some(_) => refuse(format!("the parts are 0 to {}", n - 1)),
            None => refuse(format!("{name:?} is not the number of a part, from 0 to {}", n - 1)),
        }
    }

    pub(super) fn name(&self) -> String {
        self.i.to_string()
    }

    /// The rows of the part.
    fn rows(&self, view: &View) -> Option<Steps> {
        let len = *view.shape().first()?;
        let (each, more) = split(len, self.n);
        let start = self.i * each + self.i.min(more);
        Some(Steps { start, step: 1, len: each + u64::from(self.i < more) })
    }

    pub(super) fn apply(&self, view: &View) -> Option<View> {
        view.steps(0, self.rows(view)?)
    }

    pub(super) fn expression(&self, view: &View) -> String {
        self.rows(view)
            .map(|rows| format!("[{}:{}]", rows.start, rows.start + rows.len))
            .unwrap_or_default()
    }
}

pub(super) fn usage(view: &View) -> Usage {
    let title = "Part i of n nearly equal parts along axis 0, for \"I am process i of n\": n/i.\n\
                 dask.array.from_npy_stack reads the directory n as one array, by n/info."
        .to_owned();
    // No part without rows, if there are any.
    let n = view.shape().first().map_or(1, |&rows| rows.clamp(1, 4));
    let names = [0, n - 1].map(|i| format!("{n}/{i}"));
    (title, names.into_iter().take(n.min(2) as usize).collect())
}
