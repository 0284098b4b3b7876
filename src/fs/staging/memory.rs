//! How much memory there is, for the machine and for the control group of this process.

use std::fs;
use std::path::Path;

/// Bytes of memory that this process may take: those of the machine, or what its control group allows.
pub(super) fn total() -> Option<u64> {
    let limit = fs::read_to_string("/proc/self/cgroup").ok().and_then(|groups| limit(&groups));
    let machine = of_machine("MemTotal:")?;
    Some(limit.map_or(machine, |limit| limit.min(machine)))
}

/// Bytes of memory that could be had now without swapping.
pub(super) fn available() -> Option<u64> {
    of_machine("MemAvailable:")
}

fn of_machine(name: &str) -> Option<u64> {
    value_of(&fs::read_to_string("/proc/meminfo").ok()?, name)
}

fn value_of(text: &str, name: &str) -> Option<u64> {
    let kib = text.lines().find_map(|line| line.strip_prefix(name))?;
    kib.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The least that a control group, or one that it is in, may take. `groups` is what `/proc/self/cgroup` says.
fn limit(groups: &str) -> Option<u64> {
    let files = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        match (parts.next()?, parts.next()?) {
            ("", path) => Some(("/sys/fs/cgroup", path, "memory.max")),
            ("memory", path) => Some(("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes")),
            _ => None,
        }
    });
    files
        .flat_map(|(root, path, file)| {
            Path::new(path).ancestors().map(move |group| {
                let group = group.strip_prefix("/").unwrap_or(group);
                Path::new(root).join(group).join(file)
            })
        })
        // Where there is no limit there is no number, or no file.
        .filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok())
        .min()
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
    fn what_names_no_group_has_no_limit() {
        for groups in ["", "nonsense", "1:cpu:/x", "0::/there/is/no/such/group/here"] {
            assert!(limit(groups).is_none_or(|limit| limit > 0), "{groups}");
        }
    }
}
