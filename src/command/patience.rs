//! Questions that nobody may ever answer.
//!
//! A process that waits for a filesystem whose daemon hangs cannot be ended in every case. So another process asks, which
//! can be left behind.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// This very program, though it may have been moved or replaced since it was started.
pub(super) const THIS_PROGRAM: &str = "/proc/self/exe";

/// A process that has been asked something.
pub(super) struct Asked {
    process: OwnedFd,
    output: Receiver<io::Result<Output>>,
    until: Instant,
}

/// Asks by a command, whose output is the answer.
pub(super) fn ask(command: &mut Command, patience: Duration) -> io::Result<Asked> {
    let until = Instant::now() + patience;
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = piped.spawn()?;
    let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
    let (sender, output) = mpsc::channel();
    // It waits for as long as the process lives, and nobody has to wait for it.
    thread::spawn(move || sender.send(child.wait_with_output()));
    Ok(Asked { process, output, until })
}

impl Asked {
    /// The answer, if it comes in time.
    pub(super) fn answer(self) -> Option<io::Result<Output>> {
        let left = self.until.saturating_duration_since(Instant::now());
        let output = self.output.recv_timeout(left).ok();
        if output.is_none() {
            // It ends once it can.
            let _ = pidfd_send_signal(self.process, Signal::KILL);
        }
        output
    }
}
