//! How much one user may have open, so that others can open something too.
//!
//! Each file of the source that is in use takes one of our descriptors. We count open files instead, which
//! may be more, since many slices can be of one file; but each of them takes memory as well. Root and the
//! owner of the mount may use all.

use std::sync::Arc;

use rustix::process::Resource;

use super::Fs;
use crate::caller::Caller;
use crate::error::Error;
use crate::quota::{Quota, Share};

/// Descriptors that we need ourselves.
const OWN: u64 = 32;

/// The most that may be open, however many descriptors there are.
const MAX_OPEN: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct Shares {
    quota: Arc<Quota>,
    owner: u32,
}

impl Default for Shares {
    fn default() -> Self {
        let limit = rustix::process::getrlimit(Resource::Nofile).current;
        let quota = Quota::new(limit.unwrap_or(MAX_OPEN).min(MAX_OPEN).saturating_sub(OWN));
        Shares { quota, owner: rustix::process::getuid().as_raw() }
    }
}

impl Fs {
    /// A share for something that takes so many descriptors; an error if its user has used up theirs.
    pub(super) fn share(&self, caller: Caller, descriptors: u64) -> Result<Option<Share>, Error> {
        if [0, self.shares.owner].contains(&caller.user) {
            return Ok(None);
        }
        let mut share = self.shares.quota.share(caller.user);
        if !share.resize(descriptors) {
            return Err(Error::TooManyOpen(format!(
                "user {} has so many files open that the rest are left to others; a higher limit of \
                 open files for npyfs (LimitNOFILE=, ulimit -Hn) allows more",
                caller.user
            )));
        }
        Ok(Some(share))
    }
}
