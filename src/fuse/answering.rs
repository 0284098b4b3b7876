//! How requests are handled: a panic costs no more than its own, and somebody waits for the next.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Adapter;
use crate::inode::Ino;

impl Adapter {
    /// Answers a request that may take long.
    pub(super) fn answer(&self, request: &str, handler: impl FnOnce()) {
        self.answer_by(request, true, || false, handler);
    }

    /// Answers a request about a number, which takes long only if what it is about is not at hand.
    pub(super) fn answer_about(&self, request: &str, ino: Ino, handler: impl FnOnce()) {
        self.answer_by(request, true, || self.fs.is_at_hand(ino), handler);
    }

    /// Answers a request that somebody waits for or not, and that `is_quick`.
    pub(super) fn answer_by(
        &self,
        request: &str,
        awaited: bool,
        is_quick: impl FnOnce() -> bool,
        handler: impl FnOnce(),
    ) {
        let alone = self.crew.received();
        guarded(request, || {
            if alone && !is_quick() {
                self.crew.step_aside();
            }
            handler();
        });
        self.crew.answered(awaited);
    }
}

/// Runs a handler. If it panics, its reply was dropped on the way, which answers EIO; the worker
/// and the mount live on.
pub(super) fn guarded(request: &str, handler: impl FnOnce()) {
    let handled = catch_unwind(AssertUnwindSafe(|| {
        // Inside, for a log that panics may bring down no worker either.
        log::trace!("{request}");
        handler();
    }));
    if handled.is_err() {
        log::error!("{request}: answered with EIO: the handler panicked");
    }
}
