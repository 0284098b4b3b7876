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
//! Not among them: SYS_RESOURCE, which lets pass quotas and the blocks that a filesystem keeps back; FSETID,
//! which lets set-id bits outlive a write; LINUX_IMMUTABLE, FOWNER, CHOWN and whatever has nothing to do
//! with files. Nor can any program that the daemon starts have more.

use std::io;

use rustix::thread::{self, CapabilitySet, CapabilitySets};

use super::Options;

/// Keeps of root's privileges only what it takes to serve a mount, in this thread and those that it
/// starts from now on. Of an ordinary user nothing is taken: `fusermount3`, by which their mount is
/// unmounted, works with root's privileges.
pub fn give_up_privileges(options: &Options) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let keep = kept(options.allow_other, options.tree.writable);
    thread::set_no_new_privs(true)?;
    for bit in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        // The kernel knows no more of them.
        let Ok(is_there) = thread::capability_is_in_bounding_set(one) else { break };
        if is_there
            && !keep.contains(one)
            && let Err(err) = thread::remove_capability_from_bounding_set(one)
        {
            // It takes a capability that containers may lack. With no new privileges none comes back.
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
