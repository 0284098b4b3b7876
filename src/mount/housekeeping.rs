//! Work for a mount besides answering requests. It has threads of its own, since the kernel may make them
//! wait until a request is answered.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use fuser::{INodeNo, Notifier};

use super::End;
use crate::escape::shown;
use crate::fs::Fs;

/// How often to tidy up, after there was little to do and after there was more.
const AT_REST: Duration = Duration::from_secs(1);
const BUSY: Duration = Duration::from_millis(20);

/// Tidies up now and then, until the other end of `stopped` is dropped. Needs its own thread: the kernel may
/// hold a directory for a request that is not answered yet.
pub(super) fn keep_tidy(fs: &Fs, notifier: &Notifier, stopped: &mpsc::Receiver<()>) {
    let mut pause = AT_REST;
    while stopped.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
        let tidied = fs.tidy(Instant::now());
        pause = if tidied.soon { BUSY } else { AT_REST };
        for (parent, name) in tidied.surplus {
            if stopped.try_recv() == Err(mpsc::TryRecvError::Disconnected) {
                return;
            }
            if let Err(err) = notifier.inval_entry(INodeNo(parent.0), &name) {
                log::debug!("{}: not forgotten: {err}", shown(&name));
            }
        }
    }
}

/// Drops the kernel's pages of files whose bytes were written by another path. Needs its own thread: it waits
/// for requests that are under way.
pub(super) fn keep_fresh(fs: &Fs, notifier: &Notifier) {
    while let Some(outdated) = fs.await_outdated() {
        for ino in outdated {
            // All pages of the inode.
            if let Err(err) = notifier.inval_inode(INodeNo(ino.0), 0, 0) {
                log::debug!("pages not dropped: {err}");
            }
        }
    }
}

/// Lets the kernel write back what processes stored through maps, and reports when it has. Needs its own
/// thread: the source may not answer for longer than anybody would wait.
pub(super) fn write_back(mountpoint: &Path, done: mpsc::Sender<End>) {
    let path = mountpoint.to_owned();
    thread::spawn(move || {
        if let Err(err) = File::open(&path).and_then(|root| Ok(rustix::fs::syncfs(&root)?)) {
            log::warn!("{}: not everything was written back: {err}", shown(&path));
        }
        // Nobody listens any more if it took too long.
        let _ = done.send(End::WrittenBack);
    });
}

/// Ends the thread that keeps the kernel's pages fresh, when this is dropped.
pub(super) struct CloseChanges(pub(super) Arc<Fs>);

impl Drop for CloseChanges {
    fn drop(&mut self) {
        self.0.close_changes();
    }
}
