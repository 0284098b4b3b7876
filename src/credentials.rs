//! With whose rights a thread works: its own, or for a while those of a caller.
//!
//! A daemon that runs as root may open everything. What others may open is up to the kernel, which knows mode
//! bits, access lists, closed directories and quotas. So for the system calls that decide, a thread takes on
//! the caller's user, group and supplementary groups; without root as effective user it has no capabilities
//! in effect either. Linux keeps credentials for each thread, and these calls change only this one's.
//!
//! A request names the caller's user and group. The supplementary groups are read from `/proc` of the calling
//! thread, which waits for the answer and so exists. A caller that is not visible there (in another
//! process-id namespace), or works for another user by now, counts as having none. A caller's capabilities
//! are never taken on.

use std::cell::Cell;
use std::fs;
use std::io;
use std::process;

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Gid, Uid, set_dumpable_behavior};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::caller::Caller;

/// Does `work` with all rights of a caller, supplementary groups included. Only for a daemon that runs as
/// root. If the rights cannot be had it is an error, and nothing was done.
pub fn with_rights_of<R>(caller: Caller, work: impl FnOnce() -> R) -> io::Result<R> {
    let rights = TakenOn::new(caller, &supplementary_groups(caller))?;
    let done = work();
    drop(rights);
    Ok(done)
}

/// Does `work` with a caller's user and group, in no other group. This is for files that are open already, to
/// write at the cost of the caller's quota and share of the disk.
pub fn as_user_of<R>(caller: Caller, work: impl FnOnce() -> R) -> io::Result<R> {
    let rights = TakenOn::new(caller, &[])?;
    let done = work();
    drop(rights);
    Ok(done)
}

/// Becomes a user for good, in no group but this one. Only for a process that has no other thread. The user's other
/// processes cannot look into it as long as it executes no program.
pub fn become_user(user: u32, group: u32) -> io::Result<()> {
    if user == u32::MAX || group == u32::MAX {
        return Err(Errno::ACCESS.into());
    }
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

thread_local! {
    /// This thread has given up the supplementary groups that it began with; root needs none.
    static HAS_NO_GROUPS: Cell<bool> = const { Cell::new(false) };
}

/// The rights of a caller, which this thread has until this is dropped.
struct TakenOn {
    own_user: Uid,
    own_group: Gid,
}

impl TakenOn {
    fn new(caller: Caller, groups: &[Gid]) -> io::Result<TakenOn> {
        // In the system calls this number means that nothing changes.
        if caller.user == u32::MAX || caller.group == u32::MAX {
            return Err(Errno::ACCESS.into());
        }
        // All groups, or nothing if the privilege for that is missing.
        if !groups.is_empty() || !HAS_NO_GROUPS.get() {
            set_thread_groups(groups)?;
            HAS_NO_GROUPS.set(groups.is_empty());
        }
        // From here on, whatever was changed is given back even if the rest fails.
        let taken_on =
            TakenOn { own_user: rustix::process::geteuid(), own_group: rustix::process::getegid() };
        set_thread_res_gid(None, Gid::from_raw(caller.group), None)?;
        // The user last: with it goes the right to change the rest.
        set_thread_res_uid(None, Uid::from_raw(caller.user), None)?;
        Ok(taken_on)
    }

    fn give_back(&self) -> Result<(), Errno> {
        set_thread_res_uid(None, self.own_user, None)?;
        set_thread_res_gid(None, self.own_group, None)?;
        if !HAS_NO_GROUPS.get() {
            set_thread_groups(&[])?;
            HAS_NO_GROUPS.set(true);
        }
        Ok(())
    }
}

impl Drop for TakenOn {
    fn drop(&mut self) {
        if let Err(err) = self.give_back() {
            // A thread that kept somebody else's rights would serve others with them.
            log::error!("cannot return from the caller's rights to our own: {err}");
            process::abort();
        }
    }
}

fn supplementary_groups(caller: Caller) -> Vec<Gid> {
    if caller.thread == 0 {
        return Vec::new();
    }
    let status = fs::read(format!("/proc/{}/status", caller.thread)).unwrap_or_default();
    groups_in(&status, caller).unwrap_or_default()
}

/// The supplementary groups in the text of `/proc/<thread>/status`, if that thread works for this user and
/// group.
fn groups_in(status: &[u8], caller: Caller) -> Option<Vec<Gid>> {
    let numbers = |name: &str| -> Option<Vec<u32>> {
        let mut lines = status.split(|&byte| byte == b'\n');
        let line = lines.find_map(|line| line.strip_prefix(name.as_bytes()))?;
        let words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
        words.map(|word| word.parse().ok()).collect()
    };
    // Real, effective, saved, and the one that counts for files.
    let works_for = (*numbers("Uid:")?.get(3)?, *numbers("Gid:")?.get(3)?);
    if works_for != (caller.user, caller.group) {
        return None;
    }
    let groups = numbers("Groups:")?;
    Some(groups.into_iter().filter(|&group| group != u32::MAX).map(Gid::from_raw).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{getegid, geteuid, getgroups};

    const SOMEBODY: Caller = Caller { thread: 0, user: 12345, group: 54321 };

    #[test]
    fn rights_are_taken_on_for_the_work_only_whatever_comes_of_it() {
        // A thread of its own, which gives up its groups.
        let work = || {
            let seen = as_user_of(SOMEBODY, || (geteuid(), getegid(), getgroups().unwrap()));
            assert_eq!(seen.unwrap(), (Uid::from_raw(12345), Gid::from_raw(54321), vec![]));
            let panicked = std::panic::catch_unwind(|| {
                as_user_of(SOMEBODY, || panic!("on the way")).unwrap();
            });
            assert!(panicked.is_err());
            let nobody = Caller { user: u32::MAX, ..SOMEBODY };
            assert!(with_rights_of(nobody, || unreachable!("as nobody")).is_err());
            (geteuid(), getegid())
        };
        let before = (geteuid(), getegid());
        assert_eq!(std::thread::spawn(work).join().unwrap(), before, "tests run as root");
    }

    #[test]
    fn the_groups_are_those_of_a_thread_that_works_for_the_caller() {
        let status =
            b"Name:\tx\\nUid:\t0\nUid:\t1\t2\t3\t12345\nGid:\t1\t2\t3\t54321\nGroups:\t4 54321 \n";
        let groups = |status: &[u8]| groups_in(status, SOMEBODY);
        assert_eq!(groups(status).unwrap(), [Gid::from_raw(4), Gid::from_raw(54321)]);
        let another = String::from_utf8_lossy(status).replace("12345", "0");
        assert_eq!(groups(another.as_bytes()), None, "the number is another thread's by now");
        let another = String::from_utf8_lossy(status).replace("3\t54321", "3\t0");
        assert_eq!(groups(another.as_bytes()), None);
        assert_eq!(groups(b"Uid:\t1\t2\t3\t12345\nGid:\t1\t2\t3\t54321\nGroups:\tx\n"), None);
        assert_eq!(groups(b""), None);
    }
}
