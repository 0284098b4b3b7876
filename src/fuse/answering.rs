//! How requests are answered: each is counted and timed, a panic costs only its own request, and log messages belong to
//! the caller.

use std::cell::Cell;
use std::ffi::OsStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use fuser::{Errno, INodeNo, Request};
use log::Level;

use super::Adapter;
use super::translate::caller;
use crate::caller::Caller;
use crate::escape::shown;
use crate::fs::Fs;
use crate::inode::Ino;
use crate::messages;
use crate::statistics::{STATISTICS, errno_name};

/// How a request was answered.
#[derive(Clone, Copy, Default)]
enum Answer {
    #[default]
    Done,
    /// With this errno.
    Error(i32),
    /// Not yet; another thread does that, and counts it.
    HandedOn,
}

thread_local! {
    /// The answer of this thread to the request at hand.
    static ANSWER: Cell<Answer> = const { Cell::new(Answer::Done) };
}

/// An error as the answer to the request at hand.
pub(super) fn error(errno: i32) -> Errno {
    ANSWER.set(Answer::Error(errno));
    Errno::from_i32(errno)
}

/// Another thread answers the request at hand, by [`answer`].
pub(super) fn handed_on() {
    ANSWER.set(Answer::HandedOn);
}

/// What a request is about: an inode, or a name in the directory that it is.
pub(super) struct About<'a>(Ino, Option<&'a OsStr>);

impl From<INodeNo> for About<'_> {
    fn from(ino: INodeNo) -> Self {
        About(Ino(ino.0), None)
    }
}

impl<'a> From<(INodeNo, &'a OsStr)> for About<'a> {
    fn from((directory, name): (INodeNo, &'a OsStr)) -> Self {
        About(Ino(directory.0), Some(name))
    }
}

impl Adapter {
    /// Answers a request by a handler.
    pub(super) fn guarded<'a>(
        &self,
        request: &Request,
        name: &str,
        about: impl Into<About<'a>>,
        handler: impl FnOnce(),
    ) {
        answer(&self.fs, (Instant::now(), caller(request)), name, about, handler);
    }
}

/// Answers a request by a handler, which came at this time from this caller. If the handler panics, dropping its reply
/// answers EIO; the worker and the mount live on.
pub(super) fn answer<'a>(
    fs: &Fs,
    from: (Instant, Caller),
    name: &str,
    about: impl Into<About<'a>>,
    handler: impl FnOnce(),
) {
    let mut handler = Some(handler);
    run(fs, from, name, &about.into(), &mut || {
        if let Some(handler) = handler.take() {
            handler();
        }
    });
}

/// Not generic, so that all requests run the same code, which then is in the processor's caches.
fn run(
    fs: &Fs,
    (began, caller): (Instant, Caller),
    name: &str,
    about: &About<'_>,
    handler: &mut dyn FnMut(),
) {
    let Caller { user, thread, .. } = caller;
    messages::for_user(user, || {
        let handled = catch_unwind(AssertUnwindSafe(|| {
            // Inside, so that even a log that panics ends no worker.
            log::trace!("{name} for user {user}, thread {thread}");
            // It may be forgotten by the request.
            let path = log::log_enabled!(Level::Debug).then(|| path_of(fs, about));
            handler();
            let outcome = match ANSWER.get() {
                Answer::Done => "done",
                Answer::Error(errno) => errno_name(errno),
                Answer::HandedOn => return,
            };
            if let Some(path) = path {
                let took = began.elapsed().as_micros();
                log::debug!(
                    "{name} {path}: {outcome} in {took} µs, for user {user}, thread {thread}"
                );
            }
        }));
        if handled.is_err() {
            log::error!("{name}: answered with EIO: the handler panicked");
            error(libc::EIO);
        }
    });
    let errno = match ANSWER.take() {
        Answer::Done => None,
        Answer::Error(errno) => Some(errno),
        Answer::HandedOn => return,
    };
    STATISTICS.answered(name, began.elapsed(), errno);
}

/// The path below the mountpoint, as far as it is known.
fn path_of(fs: &Fs, About(ino, name): &About<'_>) -> String {
    let directory = fs.path_of(*ino);
    let path = name.map_or_else(|| directory.clone(), |name| directory.join(name));
    match path.as_os_str().is_empty() {
        true => ".".to_owned(),
        false => shown(&path).to_string(),
    }
}
