//! Gives up what nobody uses any more.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Instant;

use super::Fs;
use crate::inode::Ino;

/// How many nodes the kernel may remember before it is asked to forget the oldest. Directories of the source and what
/// is open do not count; a larger node counts several times ([`Node::weight`](crate::tree::Node::weight)). A slice
/// takes about 300 bytes, so together they take some 40 MiB.
///
/// To forget a name takes the kernel as long as a lookup, and blocks all lookups in that directory. So the bound is
/// one that few readers reach.
const MAX_REMEMBERED: usize = 128 << 10;

/// What remains to be done after tidying up.
#[derive(Debug)]
pub struct Tidied {
    /// The entries, by parent and name, that the kernel should be asked to forget.
    pub surplus: Vec<(Ino, Arc<OsStr>)>,
    /// There may be more in a moment.
    pub soon: bool,
}

impl Fs {
    /// Closes files that nobody reads, and finds what the kernel should be asked to forget: on a large
    /// machine it remembers millions of entries, each of which takes memory here. Call it every second, and
    /// sooner if there is more.
    pub fn tidy(&self, now: Instant) -> Tidied {
        self.retries.give_up(now);
        self.tree.source().tidy();
        self.listings.tidy(now);
        if let Some(staging) = &self.staging {
            staging.tidy(now);
        }
        let mut inodes = self.inodes();
        inodes.shrink();
        let surplus = inodes.surplus(MAX_REMEMBERED);
        let soon = !surplus.is_empty();
        Tidied { surplus, soon }
    }
}
