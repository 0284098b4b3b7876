//! A limited amount of something, shared among users so that each leaves some for the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::locks::lock;

/// The amount. A user may have three quarters of what the others leave, so there is always some left for one
/// more.
#[derive(Debug)]
pub struct Quota {
    all: u64,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    by_user: HashMap<u32, u64>,
    total: u64,
}

/// A user's share, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    quota: Arc<Quota>,
    user: u32,
    amount: u64,
}

impl Quota {
    /// `all` of something.
    pub fn new(all: u64) -> Arc<Quota> {
        Arc::new(Quota { all, taken: Mutex::default() })
    }

    /// A share for a user, of nothing yet.
    pub fn share(self: &Arc<Quota>, user: u32) -> Share {
        Share { quota: self.clone(), user, amount: 0 }
    }
}

impl Share {
    /// Changes the share to this amount. If there is not enough it says so, and the share stays as it was.
    pub fn resize(&mut self, amount: u64) -> bool {
        let mut taken = lock(&self.quota.taken);
        let of_user = taken.by_user.get(&self.user).copied().unwrap_or(0);
        let others = taken.total - of_user;
        let wanted = (of_user - self.amount).saturating_add(amount);
        let left = self.quota.all.saturating_sub(others);
        if amount > self.amount && wanted > left - left / 4 {
            return false;
        }
        taken.total = others + wanted;
        match wanted {
            0 => drop(taken.by_user.remove(&self.user)),
            _ => drop(taken.by_user.insert(self.user, wanted)),
        }
        self.amount = amount;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_leaves_some_for_the_next() {
        let quota = Quota::new(64);
        let [mut one, mut same, mut other] = [1, 1, 2].map(|user| quota.share(user));
        assert!(one.resize(40) && same.resize(8) && !same.resize(9));
        assert!(other.resize(12) && !other.resize(13));
        assert!(!one.resize(41), "there is less by now");
        assert!(!one.resize(u64::MAX));
        drop(other);
        assert!(one.resize(0) && same.resize(48));
        drop((one, same));
        let taken = lock(&quota.taken);
        assert!(taken.by_user.is_empty() && taken.total == 0);
    }

    #[test]
    fn of_very_little_the_first_may_have_one() {
        let quota = Quota::new(1);
        assert!(quota.share(1).resize(1));
    }
}
