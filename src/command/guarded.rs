//! Reads the statistics of a mount whose daemon may be dead, or hang.
//!
//! A process that waits for an answer of a daemon cannot be ended in every case. So another process reads the file, which
//! can be left behind.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use npyfs::mount::Entry;

/// Where a mount has its statistics.
pub(super) const FILE: &str = ".npyfs/stats.json";

/// The most that is read: whoever may mount can call anything an npyfs mount.
const MAX_BYTES: u64 = 1 << 20;

/// How long a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Statistics that are being read.
pub(super) struct Reading {
    reader: Child,
    read: Receiver<io::Result<Vec<u8>>>,
    until: Instant,
}

/// Why they were not read.
#[derive(Debug)]
pub(super) enum Failure {
    /// The reader got an error.
    Io(io::Error),
    /// The daemon does not answer.
    Silence,
}

impl Reading {
    /// Begins to read those of a mount.
    pub(super) fn begin(mount: &Entry) -> io::Result<Reading> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("read").arg(mount.mountpoint.join(FILE));
        // Not even root is let into a mount that is for its owner alone.
        if let (false, Some(owner), Some(group)) = (mount.allow_other, mount.owner, mount.group)
            && rustix::process::geteuid().is_root()
        {
            command.uid(owner).gid(group);
        }
        let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut reader = piped.spawn()?;
        let (done, read) = mpsc::channel();
        let mut output = reader.stdout.take();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let end = output.as_mut().map_or(Ok(0), |output| output.read_to_end(&mut bytes));
            // Nobody listens any more if it took too long.
            let _ = done.send(end.map(|_| bytes));
        });
        Ok(Reading { reader, read, until: Instant::now() + PATIENCE })
    }

    /// What was read.
    pub(super) fn end(mut self) -> Result<Vec<u8>, Failure> {
        let left = self.until.saturating_duration_since(Instant::now());
        let Ok(bytes) = self.read.recv_timeout(left) else {
            // It ends once it can.
            let _ = self.reader.kill();
            return Err(Failure::Silence);
        };
        let status = self.reader.wait().map_err(Failure::Io)?;
        match status.code() {
            Some(0) => bytes.map_err(Failure::Io),
            Some(errno) => Err(Failure::Io(io::Error::from_raw_os_error(errno))),
            None => Err(Failure::Io(io::Error::other("its reader was killed"))),
        }
    }
}

/// Reads a file for the process that waits, and ends with the errno as the status.
pub(crate) fn read(path: &Path) -> ! {
    let copied =
        File::open(path).and_then(|file| io::copy(&mut file.take(MAX_BYTES), &mut io::stdout()));
    std::process::exit(copied.map_or_else(|err| err.raw_os_error().unwrap_or(libc::EIO), |_| 0))
}
