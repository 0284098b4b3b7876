//! Gives up what nobody uses any more.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Fs;
use crate::inode::Ino;
use crate::sync::lock;

/// How many bytes the nodes that the kernel remembers may take before it is asked to forget the oldest of
/// them; and how many those that can be forgotten may always take, which is also all that they may take when
/// nobody is at work. A slice of rows takes about 260 bytes, which the allocator keeps.
const MAX_AT_WORK: usize = 40 << 20;
const MAX_AT_REST: usize = 8 << 20;

/// Somebody is at work from so many lookups and opens a second on, until there were fewer for so long.
const WORK: f64 = 20.0;
const REST: Duration = Duration::from_secs(1);

/// What remains to be done after tidying up.
#[derive(Debug)]
pub struct Tidied {
    /// The entries, by parent and name, that the kernel should be asked to forget.
    pub surplus: Vec<(Ino, Arc<OsStr>)>,
    /// There may be more in a moment.
    pub soon: bool,
}

/// How many lookups and opens there had been when that was last looked at.
#[derive(Debug)]
pub(super) struct Pace {
    asked: u64,
    looked: Instant,
    worked: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        let now = Instant::now();
        Pace { asked: 0, looked: now, worked: now }
    }
}

impl Pace {
    /// Whether somebody is at work, when there have been `asked` lookups and opens in all.
    fn is_at_work(&mut self, asked: u64, now: Instant) -> bool {
        let time = now.saturating_duration_since(self.looked).as_secs_f64();
        if (asked - self.asked) as f64 > WORK * time {
            self.worked = now;
        }
        (self.asked, self.looked) = (asked, now);
        now.saturating_duration_since(self.worked) < REST
    }
}

/// How many bytes the nodes that can be forgotten may take, besides the `fixed` ones.
fn room(at_work: bool, fixed: usize) -> usize {
    if at_work { MAX_AT_WORK.saturating_sub(fixed).max(MAX_AT_REST) } else { MAX_AT_REST }
}

impl Fs {
    /// Closes files that nobody reads, and finds what the kernel should be asked to forget: on a large
    /// machine it remembers millions of entries, each of which takes memory here. Call it every second, and
    /// sooner if there is more.
    ///
    /// To forget a name takes the kernel as long as a lookup, and blocks all lookups in that directory. So
    /// that waits until nobody is at work, as long as there is room.
    pub fn tidy(&self, now: Instant) -> Tidied {
        self.retries.give_up(now);
        self.tree.source().files().close_idle();
        self.listings.tidy(now);
        let mut inodes = self.inodes();
        inodes.shrink();
        let at_work = lock(&self.pace).is_at_work(inodes.asked(), now);
        let keep = room(at_work, inodes.fixed_bytes());
        let surplus = inodes.surplus(keep);
        let soon = !surplus.is_empty() || (at_work && inodes.live_bytes() > keep / 2);
        Tidied { surplus, soon }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_forgotten_leaves_less_room_for_the_rest_but_always_some() {
        assert_eq!(room(true, 0), MAX_AT_WORK);
        assert_eq!(room(true, MAX_AT_WORK / 2), MAX_AT_WORK / 2);
        assert_eq!(room(true, 2 * MAX_AT_WORK), MAX_AT_REST);
        assert_eq!(room(false, 0), MAX_AT_REST);
    }
}
