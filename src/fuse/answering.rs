//! How requests are handled: a panic costs only its own request, and log messages belong to the caller.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fuser::Request;

use crate::messages;

/// Runs a handler. If it panics, dropping its reply answers EIO; the worker and the mount live on.
pub(super) fn guarded(request: &Request, name: &str, handler: impl FnOnce()) {
    guarded_for((request.uid(), request.pid()), name, handler);
}

/// The same for a request of a user and a process.
pub(super) fn guarded_for((user, process): (u32, u32), name: &str, handler: impl FnOnce()) {
    messages::for_user(user, || {
        let handled = catch_unwind(AssertUnwindSafe(|| {
            // Inside, so that even a log that panics ends no worker.
            log::trace!("{name} for user {user}, process {process}");
            handler();
        }));
        if handled.is_err() {
            log::error!("{name}: answered with EIO: the handler panicked");
        }
    });
}
