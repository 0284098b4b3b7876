//! A FUSE connection as the kernel's `fusectl` shows it: whether requests wait, and a way to end it.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::processes::{self, Process, Work};

/// Where fusectl is mounted on most systems.
const FUSECTL: &str = "/sys/fs/fuse/connections";

/// How long a daemon may do nothing while requests wait before it counts as not answering, and how often to
/// look.
const SILENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(20);

/// The connection between the kernel and a daemon.
#[derive(Debug)]
pub(super) struct Connection {
    number: u32,
    /// Its directory in fusectl.
    control: OwnedFd,
}

impl Connection {
    /// The connection of a mount, by its device.
    pub(super) fn of(device: &str) -> io::Result<Connection> {
        let minor = device.strip_prefix("0:").and_then(|minor| minor.parse().ok());
        let number: u32 = minor.ok_or(io::ErrorKind::Unsupported)?;
        let directory =
            |fd: &OwnedFd| open(fd, &number.to_string(), OFlags::PATH | OFlags::DIRECTORY);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mounted = rustix::fs::open(FUSECTL, flags, Mode::empty());
        let control = mounted.and_then(|mounted| directory(&mounted));
        let control = control.or_else(|_| directory(&mounted_for_us()?))?;
        Ok(Connection { number, control })
    }

    /// How many requests have not been answered.
    fn waiting(&self) -> io::Result<u64> {
        let file = open(&self.control, "waiting", OFlags::RDONLY)?;
        let mut text = [0; 32];
        let len = rustix::io::read(&file, &mut text)?;
        let text = String::from_utf8_lossy(&text[..len]);
        text.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// Whether requests wait and nobody has worked on them for a while; if so, the processes that should.
    /// Returns as soon as there is any sign of life.
    pub(super) fn is_silent(&self) -> Option<Vec<Process>> {
        let mut waiting = self.waiting().ok().filter(|&waiting| waiting > 0)?;
        let daemon = processes::serving(self.number);
        let (before, end) = (Work::of(&daemon), Instant::now() + SILENCE);
        while Instant::now() < end {
            thread::sleep(LOOK);
            let now = self.waiting().ok().filter(|&now| now >= waiting)?;
            waiting = now.max(1);
            if Work::of(&daemon).is_progress_since(before) {
                return None;
            }
        }
        Some(daemon)
    }

    /// Ends it: whoever waits gets an error, now and later.
    pub(super) fn abort(&self) -> io::Result<()> {
        let file = open(&self.control, "abort", OFlags::WRONLY)?;
        rustix::io::write(&file, b"1")?;
        Ok(())
    }
}

fn open(directory: &OwnedFd, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(directory, name, flags | OFlags::CLOEXEC, Mode::empty())
}

/// fusectl, mounted nowhere, for us alone; only root may do that.
fn mounted_for_us() -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen("fusectl", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}
