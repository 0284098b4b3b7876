//! How requests are handled: a panic costs no more than its own, and what is logged is for who asks.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fuser::Request;

use crate::messages;

/// Runs a handler. If it panics, its reply was dropped on the way, which answers EIO; the worker
/// and the mount live on.
pub(super) fn guarded(request: &Request, name: &str, handler: impl FnOnce()) {
    messages::for_user(request.uid(), || {
        let handled = catch_unwind(AssertUnwindSafe(|| {
            // Inside, for a log that panics may bring down no worker either.
            log::trace!("{name} for user {}, process {}", request.uid(), request.pid());
            handler();
        }));
        if handled.is_err() {
            log::error!("{name}: answered with EIO: the handler panicked");
        }
    });
}
