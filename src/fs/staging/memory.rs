//! How much memory there is, for the machine and for the control groups of this process.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::locks::lock;

/// Bytes of memory that this process may take: those of the machine, or what its control groups allow.
pub(super) fn total() -> Option<u64> {
    let machine = of_machine("MemTotal:")?;
    Some(groups().iter().map(|group| group.limit).fold(machine, u64::min))
}

/// Bytes of memory that could be had now without swapping.
pub(super) fn available() -> Option<u64> {
    let machine = of_machine("MemAvailable:")?;
    Some(groups().iter().filter_map(Group::available).fold(machine, u64::min))
}

/// How long what was found out about the memory holds: to find out takes as long as to copy a MiB.
const HOLDS: Duration = Duration::from_millis(100);

/// What could be had lately.
#[derive(Debug, Default)]
pub(super) struct Available(Mutex<Option<Found>>);

#[derive(Clone, Copy, Debug)]
struct Found {
    when: Instant,
    bytes: u64,
}

impl Available {
    /// Whether `needs` bytes could be had, of which `takes` are taken.
    pub(super) fn take(&self, takes: u64, needs: u64) -> bool {
        let mut found = lock(&self.0);
        let holds = |it: &Found| it.when.elapsed() < HOLDS && it.bytes >= needs;
        let look = || Some(Found { when: Instant::now(), bytes: available()? });
        *found = found.filter(holds).or_else(look);
        let Some(found) = found.as_mut().filter(|found| found.bytes >= needs) else { return false };
        found.bytes = found.bytes.saturating_sub(takes);
        true
    }
}

fn of_machine(name: &str) -> Option<u64> {
    value_of(&fs::read_to_string("/proc/meminfo").ok()?, name)
}

fn value_of(text: &str, name: &str) -> Option<u64> {
    let kib = text.lines().find_map(|line| line.strip_prefix(name))?;
    kib.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// A control group that may take so much.
#[derive(Debug)]
struct Group {
    directory: PathBuf,
    names: &'static Names,
    limit: u64,
}

/// What a version of control groups calls its files, and the page cache that can be given back.
#[derive(Debug)]
struct Names {
    limit: &'static str,
    used: &'static str,
    inactive: &'static str,
}

const V1: Names = Names {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    inactive: "total_inactive_file ",
};

const V2: Names = Names { limit: "memory.max", used: "memory.current", inactive: "inactive_file " };

impl Group {
    fn available(&self) -> Option<u64> {
        let used: u64 = number(&self.directory.join(self.names.used))?;
        let statistics = fs::read_to_string(self.directory.join("memory.stat")).ok()?;
        let inactive = statistics.lines().find_map(|line| line.strip_prefix(self.names.inactive));
        let inactive = inactive.and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
        Some(self.limit.saturating_sub(used.saturating_sub(inactive)))
    }
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The control groups of this process that have a limit.
fn groups() -> Vec<Group> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    limited(&groups, Path::new("/sys/fs/cgroup"))
}

/// Those of the control groups that `/proc/self/cgroup` tells of, and of those that they are in, that have a limit. They
/// have directories below `root`.
fn limited(groups: &str, root: &Path) -> Vec<Group> {
    let named = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        match (parts.next()?, parts.next()?) {
            ("", path) => Some((root.to_owned(), path, &V2)),
            ("memory", path) => Some((root.join("memory"), path, &V1)),
            _ => None,
        }
    });
    named
        .flat_map(|(root, path, names)| {
            Path::new(path).ancestors().filter_map(move |group| {
                let directory = root.join(group.strip_prefix("/").unwrap_or(group));
                // Where there is no limit there is no number, or no file.
                let limit = number(&directory.join(names.limit))?;
                Some(Group { directory, names, limit })
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_this_machine_is_known() {
        let (total, available) = (total().unwrap(), available().unwrap());
        assert!(total > 1 << 20, "{total}");
        assert!(available > 1 << 20, "{available}");
        assert_eq!(value_of("MemTotal:  7 kB\nMemFree: 1 kB\n", "MemFree:"), Some(1024));
        assert_eq!(value_of("MemTotal:  7 kB\n", "MemFree:"), None);
    }

    #[test]
    fn what_was_taken_is_not_there_a_moment_later() {
        let now = Found { when: Instant::now() + Duration::from_secs(60), bytes: u64::MAX };
        let memory = Available(Mutex::new(Some(now)));
        assert!(memory.take(u64::MAX - 10, u64::MAX));
        assert!(memory.take(1, 10), "as it was found");
        assert!(!memory.take(1, u64::MAX), "looked at anew: no machine has so much");
        assert!(memory.take(1, 10), "and it has this");
    }

    #[test]
    fn what_was_found_long_ago_is_looked_at_anew() {
        let long_ago = Found { when: Instant::now() - 2 * HOLDS, bytes: u64::MAX };
        let memory = Available(Mutex::new(Some(long_ago)));
        assert!(!memory.take(1, u64::MAX));
    }

    #[test]
    fn what_names_no_group_has_no_limit() {
        let root = tempfile::tempdir().unwrap();
        for groups in ["", "nonsense", "1:cpu:/x", "0::/there/is/no/such/group/here"] {
            assert!(limited(groups, root.path()).is_empty(), "{groups}");
        }
    }

    #[test]
    fn a_group_has_what_its_limit_leaves_and_page_cache_can_be_given_back() {
        let root = tempfile::tempdir().unwrap();
        let files = [
            ("pod/memory.max", "1000\n"),
            ("pod/memory.current", "900\n"),
            ("pod/memory.stat", "anon 300\ninactive_file 400\n"),
            ("pod/inner/memory.max", "max\n"),
            ("memory/pod/memory.limit_in_bytes", "500\n"),
            ("memory/pod/memory.usage_in_bytes", "600\n"),
            ("memory/pod/memory.stat", "inactive_file 500\ntotal_inactive_file 50\n"),
        ];
        for (file, text) in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let of = |groups: &str| {
            let groups = limited(groups, root.path());
            groups.iter().map(|group| (group.limit, group.available())).collect::<Vec<_>>()
        };
        assert_eq!(of("0::/pod/inner\n"), [(1000, Some(500))]);
        assert_eq!(of("4:memory:/pod\n1:cpu:/\n"), [(500, Some(0))]);
    }
}
