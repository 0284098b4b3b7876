//! What `/proc` says about processes: which use a mount, which serve one, and whether that makes progress.
//!
//! Only links and tables are read, and nothing that they lead to is touched, so no request goes to a mount.
//! Only root may see all about other users' processes.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::table::Entry;
use crate::escape::shown;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    id: u32,
    name: String,
}

impl Process {
    /// The process that a thread belongs to, if it is still there.
    pub(super) fn of_thread(thread: u32) -> Option<Process> {
        let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
        let id = field(&status, "Tgid:")?;
        let name = std::fs::read(format!("/proc/{id}/comm")).ok()?;
        let name = String::from_utf8_lossy(name.trim_ascii_end()).into_owned();
        Some(Process { id, name })
    }

    /// Whether it is this process.
    pub(super) fn is_this(&self) -> bool {
        self.id == std::process::id()
    }
}

/// Its name and number. A process chooses its name, which may be anything.
impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", shown(&self.name), self.id)
    }
}

/// How many processes are named.
const NAMED: usize = 5;

/// Processes in words: the first of them, and how many more.
pub fn in_words(processes: &[Process]) -> String {
    let named: Vec<String> = processes.iter().take(NAMED).map(Process::to_string).collect();
    match processes.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// A number in a table of `/proc`, by the name of its line.
fn field<N: std::str::FromStr>(text: &str, name: &str) -> Option<N> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// The numbers of all processes.
fn all() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn open_files(process: u32) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(format!("/proc/{process}/fd"));
    entries.into_iter().flatten().flatten().map(|entry| entry.path())
}

/// The processes, other than this one, that use a mount: they have files in it open or mapped, or work or run
/// in it. Those found in time, since a process's maps may be locked.
pub(super) fn using(mount: &Entry, patience: Duration) -> Vec<Process> {
    let (found, users) = mpsc::channel();
    let mount = mount.clone();
    thread::spawn(move || {
        for process in all().filter(|&id| id != std::process::id() && uses(id, &mount)) {
            // Nobody listens any more if it took too long.
            if found.send(process).is_err() {
                return;
            }
        }
    });
    let end = Instant::now() + patience;
    let left = || users.recv_timeout(end.saturating_duration_since(Instant::now())).ok();
    std::iter::from_fn(left).filter_map(Process::of_thread).collect()
}

fn uses(process: u32, mount: &Entry) -> bool {
    let links = ["cwd", "root", "exe"].map(|link| PathBuf::from(format!("/proc/{process}/{link}")));
    let leads_there =
        |link: &PathBuf| link.read_link().is_ok_and(|target| target.starts_with(&mount.mountpoint));
    links.iter().any(leads_there)
        || open_files(process).any(|link| leads_there(&link))
        || maps(process, &mount.device)
}

fn maps(process: u32, device: &str) -> bool {
    let numbers = device
        .split_once(':')
        .and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
    let Some((major, minor)) = numbers else { return false };
    let device = format!("{major:02x}:{minor:02x}");
    let Ok(maps) = std::fs::File::open(format!("/proc/{process}/maps")) else { return false };
    let lines = BufReader::new(maps).split(b'\n').map_while(Result::ok);
    lines.into_iter().any(|line| line.split(|&b| b == b' ').nth(3) == Some(device.as_bytes()))
}

/// The processes that serve a FUSE connection; known since Linux 6.18.
pub(super) fn serving(connection: u32) -> Vec<Process> {
    let serves = |process: &u32| {
        open_files(*process).any(|link| {
            link.read_link().is_ok_and(|target| target == Path::new("/dev/fuse"))
                && link.file_name().is_some_and(|fd| {
                    let info = Path::new("/proc").join(process.to_string()).join("fdinfo").join(fd);
                    let info = std::fs::read_to_string(info).unwrap_or_default();
                    field(&info, "fuse_connection:") == Some(connection)
                })
        })
    };
    all().filter(serves).filter_map(Process::of_thread).collect()
}

/// How much processes have done: processor time in ticks, and how often a thread of theirs was switched to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    ticks: u64,
    calls: u64,
}

/// What threads do that only look now and then for something to do.
const IDLING: u64 = 10;

impl Work {
    pub(super) fn of(processes: &[Process]) -> Work {
        let mut work = Work::default();
        for process in processes {
            let threads = std::fs::read_dir(format!("/proc/{}/task", process.id));
            for thread in threads.into_iter().flatten().flatten() {
                let read = |file| std::fs::read_to_string(thread.path().join(file));
                let (stat, status) =
                    (read("stat").unwrap_or_default(), read("status").unwrap_or_default());
                // After the name, which may hold anything, come the state and 10 more fields.
                let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
                let times = after_name.split(' ').skip(11).take(2);
                work.ticks += times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>();
                let calls: Option<u64> = field(&status, "voluntary_ctxt_switches:");
                work.calls += calls.unwrap_or(0);
            }
        }
        work
    }

    /// Whether this is more than what a process does that only waits.
    pub(super) fn is_progress_since(&self, before: Work) -> bool {
        self.ticks > before.ticks || self.calls > before.calls + IDLING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_escaped_and_of_many_processes_only_some_are_named() {
        let process = |id: u32, name: &str| Process { id, name: name.to_owned() };
        assert_eq!(in_words(&[process(7, "a b"), process(8, "\x1b[2J")]), "a b (7), \\x1b[2J (8)");
        let many: Vec<Process> = (1..=7).map(|id| process(id, "x")).collect();
        assert_eq!(in_words(&many), "x (1), x (2), x (3), x (4), x (5) and 2 more");
    }

    #[test]
    fn this_process_is_known_by_its_threads_and_works() {
        let own = Process::of_thread(std::process::id()).unwrap();
        assert_eq!(own.id, std::process::id());
        assert!(Work::of(&[own]) != Work::default());
        assert_eq!(Process::of_thread(u32::MAX), None);
    }
}
