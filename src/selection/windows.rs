//! `windows/<size>,<step>/<k>`: windows that slide over axis 0.

use super::number::{self, Width};
use super::{Refusal, Usage, counted, refuse};
use crate::view::{Steps, View};

/// Windows of `size` rows that start every `step` rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    size: u64,
    step: u64,
}

/// `a[k*step : k*step+size]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    k: u64,
    windows: Windows,
}

fn rows(view: &View) -> u64 {
    view.shape().first().copied().unwrap_or(0)
}

impl Windows {
    pub(super) fn from_name(name: &str, view: &View) -> Result<Windows, Refusal> {
        let numbers =
            name.split_once(',').map(|(size, step)| (number::parse(size), number::parse(step)));
        match numbers {
            Some((Some(size @ 1..), Some(step @ 1..))) if size <= rows(view) => {
                Ok(Windows { size, step })
            }
            Some((Some(1..), Some(1..))) => {
                refuse(format!("the array has {}", counted(rows(view), "row", "rows")))
            }
            _ => refuse(format!(
                "{name:?} is not <size>,<step>, two numbers from 1 on, such as 10,1"
            )),
        }
    }

    /// How many windows lie wholly inside the array.
    pub(super) fn count(&self, view: &View) -> u64 {
        rows(view).checked_sub(self.size).map_or(0, |room| room / self.step + 1)
    }

    fn width(&self, view: &View) -> Width {
        Width::of(self.count(view).saturating_sub(1))
    }

    /// The name that the listing has for a window.
    pub(super) fn listed_name(&self, k: u64, view: &View) -> String {
        self.width(view).pad(k)
    }

    pub(super) fn window(&self, name: &str, view: &View) -> Result<Window, Refusal> {
        let count = self.count(view);
        match self.width(view).parse(name) {
            Some(k) if k < count => Ok(Window { k, windows: self.clone() }),
            Some(_) => refuse(format!(
                "there {} of {} every {}",
                counted_is(count),
                counted(self.size, "row", "rows"),
                counted(self.step, "row", "rows"),
            )),
            None => refuse(format!("{name:?} is not the number of a window")),
        }
    }
}

fn counted_is(count: u64) -> String {
    let verb = if count == 1 { "is" } else { "are" };
    format!("{verb} {}", counted(count, "whole window", "whole windows"))
}

impl Window {
    pub(super) fn name(&self) -> String {
        self.k.to_string()
    }

    /// The first row. It cannot overflow: the window lies inside the array.
    fn start(&self) -> u64 {
        self.k * self.windows.step
    }

    pub(super) fn apply(&self, view: &View) -> Option<View> {
        view.steps(0, Steps { start: self.start(), step: 1, len: self.windows.size })
    }

    pub(super) fn expression(&self) -> String {
        format!("[{}:{}]", self.start(), self.start() + self.windows.size)
    }
}

pub(super) fn usage(view: &View) -> Usage {
    let title = format!(
        "Windows on axis 0, size,step/k: a[k*step : k*step+size]. The array has {}.",
        counted(rows(view), "row", "rows")
    );
    let size = rows(view).clamp(1, 10);
    let examples = [(size, 1), (size, size)].into_iter().filter_map(|(size, step)| {
        let windows = Windows::from_name(&format!("{size},{step}"), view).ok()?;
        let last = windows.count(view).checked_sub(1)?;
        Some(format!("{size},{step}/{last}"))
    });
    (title, examples.collect())
}
