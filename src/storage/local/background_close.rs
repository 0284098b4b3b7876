//! Files are closed where nobody has to wait for it.
//!
//! To close a file, or to unmap it, can take for ever where a network or a FUSE server is asked about it.
//! So unless a filesystem is known to answer at once, its files are closed by a thread of their own:
//! one for each filesystem, which is there as long as it has something to close. If it hangs, it keeps
//! only other files of that filesystem open.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::sync::{Condvar, LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::locks::lock;

/// Something that is open on a filesystem, and is dropped where nobody has to wait for it, whoever
/// comes to be the last to let go of it.
#[derive(Debug)]
pub(super) struct ClosedApart<T: Send + 'static> {
    opened: Option<T>,
    /// The filesystem by its device, unless it answers at once.
    slow: Option<u64>,
}

impl<T: Send + 'static> ClosedApart<T> {
    /// Takes what is open on the filesystem `slow`, or on one that answers at once.
    pub(super) fn new(opened: T, slow: Option<u64>) -> ClosedApart<T> {
        ClosedApart { opened: Some(opened), slow }
    }
}

impl<T: Send + 'static> Deref for ClosedApart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.opened.as_ref().expect("it is taken only when this is dropped")
    }
}

impl<T: Send + 'static> Drop for ClosedApart<T> {
    fn drop(&mut self) {
        if let (Some(opened), Some(device)) = (self.opened.take(), self.slow) {
            CLOSING.hand_over(device, Box::new(opened));
        }
    }
}

static CLOSING: LazyLock<Closing> = LazyLock::new(Closing::default);

#[derive(Default)]
struct Closing {
    waiting: Mutex<Waiting>,
    closed: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// What is to be closed. A filesystem that is in here has a thread.
    by_device: HashMap<u64, VecDeque<Box<dyn Any + Send>>>,
    /// How many were closed so far.
    closed: u64,
}

impl Closing {
    fn hand_over(&'static self, device: u64, opened: Box<dyn Any + Send>) {
        let mut waiting = lock(&self.waiting);
        if let Some(queue) = waiting.by_device.get_mut(&device) {
            return queue.push_back(opened);
        }
        waiting.by_device.insert(device, VecDeque::from([opened]));
        drop(waiting);
        let thread = thread::Builder::new().name("closing".to_owned());
        if let Err(err) = thread.spawn(move || self.close_all(device)) {
            log::warn!("no thread to close files in: {err}");
            // To close them here could take for ever, and so they stay open.
            std::mem::forget(lock(&self.waiting).by_device.remove(&device));
        }
    }

    fn close_all(&self, device: u64) {
        loop {
            let mut waiting = lock(&self.waiting);
            let next = waiting.by_device.get_mut(&device).and_then(VecDeque::pop_front);
            let Some(opened) = next else {
                waiting.by_device.remove(&device);
                self.closed.notify_all();
                return;
            };
            drop(waiting);
            drop(opened);
            lock(&self.waiting).closed += 1;
            self.closed.notify_all();
        }
    }
}

/// Waits until a file was closed that others close, for no longer than `patience`; not at all where
/// there is none.
pub fn await_closed(patience: Duration) {
    let waiting = lock(&CLOSING.waiting);
    let before = waiting.closed;
    let none_yet =
        |waiting: &mut Waiting| waiting.closed == before && !waiting.by_device.is_empty();
    // However it ends, the caller tries again.
    let _ = CLOSING
        .closed
        .wait_timeout_while(waiting, patience, none_yet)
        .map_err(PoisonError::into_inner);
}
