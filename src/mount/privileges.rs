//! What a root daemon keeps of root's privileges once it has mounted.
//!
//! | capability | for |
//! |---|---|
//! | SYS_ADMIN | unmounting; telling the kernel which files it may read past the daemon |
//! | LEASE | asking whether anybody writes to a file that another user owns |
//! | DAC_READ_SEARCH | reading what root may read; of a read-only mount |
//! | DAC_OVERRIDE | the same, and writing; of a writable mount |
//! | SETUID, SETGID | working with the rights of whoever asks; of a mount for others |
//!
//! Not kept are SYS_RESOURCE, which passes quotas and the blocks that a filesystem keeps back; FSETID, which
//! lets set-id bits survive a write; LINUX_IMMUTABLE, FOWNER, CHOWN, and all that have nothing to do with
//! files. No program that the daemon starts can have more.

use std::io;

use rustix::thread::{self, CapabilitySet, CapabilitySets};

use super::Options;

/// Keeps only the privileges of root that serving a mount takes, in this thread and those that it starts from
/// now on. An ordinary user keeps all: `fusermount3`, which unmounts their mount, works with root's
/// privileges.
pub fn give_up_privileges(options: &Options) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let keep = kept(options.allow_other, options.tree.writable);
    thread::set_no_new_privs(true)?;
    for bit in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        // The kernel knows no further ones.
        let Ok(is_there) = thread::capability_is_in_bounding_set(one) else { break };
        if is_there
            && !keep.contains(one)
            && let Err(err) = thread::remove_capability_from_bounding_set(one)
        {
            // This takes a capability that containers may lack. With `no_new_privs` none comes back anyway.
            log::debug!("capability {bit} stays within bounds: {err}");
        }
    }
    let had = thread::capabilities(None)?;
    let kept = had.permitted & keep;
    let inheritable = CapabilitySet::empty();
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable };
    Ok(thread::set_capabilities(None, sets)?)
}

fn kept(for_others: bool, writable: bool) -> CapabilitySet {
    let mut kept = CapabilitySet::SYS_ADMIN | CapabilitySet::LEASE;
    kept |= match writable {
        true => CapabilitySet::DAC_OVERRIDE,
        false => CapabilitySet::DAC_READ_SEARCH,
    };
    if for_others {
        kept |= CapabilitySet::SETUID | CapabilitySet::SETGID;
    }
    kept
}
