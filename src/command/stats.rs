//! `npyfs stats`: what a mount has done and holds.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::thread;

use indicatif::{BinaryBytes, HumanCount};
use npyfs::escape::shown;
use npyfs::mount::Entry;
use serde_json::Value;

use super::daemon::{self, FILE, Failure};
use super::table::{Cell, aligned};
use super::{Outcome, for_terminal, unless_closed};
use crate::cli::StatsArgs;

/// What errors mean that are ordinary answers.
const ORDINARY: [(&str, &str); 5] = [
    ("ENOENT", "there is no such name"),
    ("ENOTTY", "a program asked whether a file is a terminal"),
    ("ENODATA", "there is no access list"),
    ("ENOSYS", "the kernel asks for it only once"),
    ("ESTALE", "a file was replaced; the kernel looks it up again"),
];

/// Goes to the beginning of the terminal, and clears it.
const CLEAR: &str = "\x1b[H\x1b[J";

pub(crate) fn run(args: &StatsArgs) -> Outcome {
    let mount = npyfs::mount::at(&args.mountpoint)?;
    let in_place = args.watch.is_some() && !args.json && io::stdout().is_terminal();
    let mut before = None;
    loop {
        let text = read(&mount)?;
        let now: Value = serde_json::from_str(&text)
            .map_err(|err| format!("{}/{FILE}: {err}", shown(&mount.mountpoint)))?;
        let text = match args.json {
            true => for_terminal(text),
            false => in_words(&mount, &now, before.as_ref()),
        };
        let clear = if in_place { CLEAR } else { "" };
        let gap = if args.watch.is_some() && !in_place && !args.json { "\n" } else { "" };
        let mut out = io::stdout().lock();
        let written =
            out.write_all([clear, &text, gap].concat().as_bytes()).and_then(|()| out.flush());
        drop(out);
        let Some(pause) = args.watch.filter(|_| written.is_ok()) else {
            return unless_closed(written);
        };
        before = Some(now);
        thread::sleep(pause);
    }
}

fn read(mount: &Entry) -> Result<String, String> {
    let path = shown(&mount.mountpoint);
    let why = match daemon::answer(daemon::ask(mount)) {
        Ok(text) => return String::from_utf8(text).map_err(|err| format!("{path}/{FILE}: {err}")),
        Err(Failure::Silent) => {
            format!("its daemon does not answer; npyfs umount --force {path} cuts it off")
        }
        Err(Failure::Dead) => {
            format!("its daemon is dead; npyfs umount {path} removes the mount")
        }
        Err(Failure::NotLetIn) => {
            let owner = npyfs::mount::user_name(mount.owner.unwrap_or(0));
            format!(
                "{owner} mounted it for no other user; mount with --allow-other to let others in"
            )
        }
        Err(Failure::NoFile) => {
            format!("there is no {FILE}: a .npyfs in the source hides it, or the daemon is older")
        }
        Err(Failure::Other(err)) => err.to_string(),
    };
    Err(format!("{path}: {why}"))
}

/// For people: what there is, and if it was looked at before, how fast it grows.
fn in_words(mount: &Entry, now: &Value, before: Option<&Value>) -> String {
    let (source, mountpoint) = (shown(&mount.source), shown(&mount.mountpoint));
    let mut text = format!("{source} on {mountpoint}: {}\n", described(now));
    let seconds = |look: &Value| look["uptime_seconds"].as_f64().unwrap_or(0.0);
    let elapsed = before.map(|before| seconds(now) - seconds(before)).filter(|&s| s > 0.0);
    let rate = |group: &str, key: &str, count: fn(&Value) -> u64| {
        let grown = count(&now[group][key]).saturating_sub(count(&before?[group][key]));
        Some(grown as f64 / elapsed?)
    };
    let mut section = |title: &str, heads: &[&str], rows: Vec<Vec<Cell>>| {
        if !rows.is_empty() {
            let heads = heads.iter().map(|head| Cell::number(*head));
            let head = [Cell::new(title)].into_iter().chain(heads).collect();
            // Writing to a String does not fail.
            let _ = write!(text, "\n{}", aligned(&[vec![head], rows].concat()));
        }
    };
    let per_second = if elapsed.is_some() { "a second" } else { "" };

    let requests = counted(&now["requests"], count_of).map(|(kind, count)| {
        let took = now["requests"][kind]["microseconds"].as_f64().unwrap_or(0.0);
        let rate = rate("requests", kind, count_of).map(|rate| format!("{rate:.0}"));
        let cells = [HumanCount(count).to_string(), time(took / count as f64), time(took)];
        row(kind, cells.into_iter().chain(rate))
    });
    section("requests", &["number", "each", "together", per_second], requests.collect());

    let bytes = counted(&now["bytes"], itself).map(|(way, bytes)| {
        let rate = rate("bytes", way, itself).map(|rate| BinaryBytes(rate as u64).to_string());
        row(way, [BinaryBytes(bytes).to_string()].into_iter().chain(rate))
    });
    section("bytes", &["", per_second], bytes.collect());

    for (key, title) in
        [("opens", "opens of what the kernel then reads without asking"), ("in_use", "in use")]
    {
        let rows = counted(&now[key], itself);
        let rows = rows.map(|(name, count)| {
            let cell = match name.ends_with("_bytes") {
                true => BinaryBytes(count).to_string(),
                false => HumanCount(count).to_string(),
            };
            row(name, [cell])
        });
        section(title, &[], rows.collect());
    }

    let errors = counted(&now["errors"], itself).map(|(name, count)| {
        let meaning = ORDINARY.iter().find(|(ordinary, _)| *ordinary == name);
        let meaning = meaning.map(|(_, meaning)| Cell::new(format!("({meaning})")));
        row(name, [HumanCount(count).to_string()]).into_iter().chain(meaning).collect()
    });
    section("answers that were errors", &[], errors.collect());
    text
}

/// Which daemon it is, from its statistics.
pub(super) fn described(statistics: &Value) -> String {
    let version = shown(statistics["version"].as_str().unwrap_or("?")).to_string();
    let uptime = statistics["uptime_seconds"].as_f64().unwrap_or(0.0);
    let process = statistics["pid"].as_u64().unwrap_or(0);
    format!("npyfs {version}, process {process}, up {}", up(uptime as u64))
}

fn count_of(requests: &Value) -> u64 {
    requests["count"].as_u64().unwrap_or(0)
}

fn itself(number: &Value) -> u64 {
    number.as_u64().unwrap_or(0)
}

/// The keys of an object whose numbers are not 0.
fn counted(object: &Value, count: fn(&Value) -> u64) -> impl Iterator<Item = (&str, u64)> {
    let entries = object.as_object().into_iter().flatten();
    entries.map(move |(key, value)| (&**key, count(value))).filter(|(_, count)| *count > 0)
}

fn row(name: &str, numbers: impl IntoIterator<Item = String>) -> Vec<Cell> {
    let name = Cell::new(format!("  {}", shown(&name.replace('_', " "))));
    [name].into_iter().chain(numbers.into_iter().map(Cell::number)).collect()
}

/// A time, given in microseconds.
fn time(microseconds: f64) -> String {
    match microseconds {
        0.0..1e3 => format!("{microseconds:.1} µs"),
        1e3..1e6 => format!("{:.1} ms", microseconds / 1e3),
        _ => format!("{:.1} s", microseconds / 1e6),
    }
}

/// A long time, by its two largest units.
fn up(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_that_fits() {
        assert_eq!([0.4, 12.34, 1234.5, 2.5e6].map(time), ["0.4 µs", "12.3 µs", "1.2 ms", "2.5 s"]);
        let times = [59, 61, 3 * 3600 + 12 * 60 + 5, 50 * 3600].map(up);
        assert_eq!(times, ["59 s", "1 min 1 s", "3 h 12 min", "2 d 2 h"]);
    }
}
