//! What is done for a mount beside answering requests, in threads of its own: the kernel may hold what
//! these ask for until a request is answered.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use fuser::{INodeNo, Notifier};

use super::End;
use crate::fs::Fs;
use crate::shown::shown;

/// How often to tidy up, when there was little to do the last time and when there was more.
const AT_REST: Duration = Duration::from_secs(1);
const BUSY: Duration = Duration::from_millis(20);

/// Tidies up now and then, until the other end of `stopped` is dropped. In a thread of its own, for
/// the kernel may hold a directory for a request that is yet to be answered.
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

/// Drops what the kernel keeps of files of which bytes were written by another path. In a thread of
/// its own, for it waits for requests that are under way.
pub(super) fn keep_fresh(fs: &Fs, notifier: &Notifier) {
    while let Some(outdated) = fs.await_outdated() {
        for ino in outdated {
            // Of all its bytes.
            if let Err(err) = notifier.inval_inode(INodeNo(ino.0), 0, 0) {
                log::debug!("pages not dropped: {err}");
            }
        }
    }
}

/// Lets the kernel write back what processes have stored through maps, and tells when it has. In a
/// thread of its own, since the source may not answer for longer than anybody would wait for the end.
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

/// Lets the thread go that keeps the kernel's pages fresh, when this is dropped.
pub(super) struct CloseChanges(pub(super) Arc<Fs>);

impl Drop for CloseChanges {
    fn drop(&mut self) {
        self.0.close_changes();
    }
}
