//! How requests are handled: a panic costs no more than its own, and somebody waits for the next.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fuser::Request;

use super::Adapter;
use crate::inode::Ino;

impl Adapter {
    /// Answers a request that may take long.
    pub(super) fn answer(&self, request: &Request, name: &str, handler: impl FnOnce()) {
        self.answer_if_quick(request, name, || false, handler);
    }

    /// Answers a request about a number, which takes long only if what it is about is not at hand.
    pub(super) fn answer_about(
        &self,
        request: &Request,
        name: &str,
        ino: Ino,
        handler: impl FnOnce(),
    ) {
        self.answer_if_quick(request, name, || self.fs.is_at_hand(ino), handler);
    }

    /// Answers a request of which `is_quick` tells, if it matters, whether it takes long.
    pub(super) fn answer_if_quick(
        &self,
        request: &Request,
        name: &str,
        is_quick: impl FnOnce() -> bool,
        handler: impl FnOnce(),
    ) {
        let alone = self.crew.received(request.pid());
        guarded(name, || {
            if alone && !is_quick() {
                self.crew.step_aside();
            }
            handler();
        });
        self.crew.answered();
    }

    /// Handles what wants no answer. Thousands of these may come as one.
    pub(super) fn answer_nobody(&self, name: &str, handler: impl FnOnce()) {
        self.crew.distracted();
        guarded(name, handler);
    }
}

/// Runs a handler. If it panics, its reply was dropped on the way, which answers EIO; the worker
/// and the mount live on.
fn guarded(name: &str, handler: impl FnOnce()) {
    let handled = catch_unwind(AssertUnwindSafe(|| {
        // Inside, for a log that panics may bring down no worker either.
        log::trace!("{name}");
        handler();
    }));
    if handled.is_err() {
        log::error!("{name}: answered with EIO: the handler panicked");
    }
}
