//! A directory with arrays, and mounts of it that unmount when dropped.

// Each test file is a crate of its own, which uses a part of this.
#![allow(unreachable_pub, dead_code)]

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use npyfs::caller::Caller;
use npyfs::error::Error;
use npyfs::fs::Fs;
use npyfs::inode::{Ino, ROOT};
use npyfs::npy::dtype::DType;
use npyfs::npy::header::{self, Order};
use npyfs::npy::literal;
use npyfs::source::{self, Source};
use npyfs::tree::{Options, Tree};
use tempfile::TempDir;

pub mod model;
pub mod slow;

/// How long anything may take that should take no time, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a condition, and panics if it does not come true.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Does something until it succeeds, for what the machine may spoil by itself: the kernel writes a page back, or leaves
/// a process waiting, just then. One try of many is enough to show that it can succeed.
pub fn in_some_try(what: &str, mut attempt: impl FnMut() -> bool) {
    assert!((0..30).any(|_| attempt()), "in no try: {what}");
}

/// Does something that may never return, and panics if it does not.
pub fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    result.recv_timeout(PATIENCE).unwrap_or_else(|err| panic!("{what}: {err}"))
}

/// Waits for a process to end, and ends it itself if it does not.
pub fn wait(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("the process did not end by itself");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs the program to its end, with a limit on the time that takes.
pub fn npyfs<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    run(Command::new(program()).args(args))
}

/// Runs any command to its end, with a limit on the time that takes.
pub fn run(command: &mut Command) -> Output {
    let (stdout, stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().unwrap())
        .stderr(stderr.try_clone().unwrap())
        .spawn()
        .unwrap();
    let status = wait(&mut child);
    let text = |mut file: std::fs::File| {
        let mut bytes = Vec::new();
        std::io::Seek::rewind(&mut file).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    };
    Output { status, stdout: text(stdout), stderr: text(stderr) }
}

pub fn program() -> &'static str {
    env!("CARGO_BIN_EXE_npyfs")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn dtype(descr: &str) -> DType {
    DType::from_descr(&literal::parse(descr, false).unwrap()).unwrap()
}

/// Looks up a path as the kernel does, name by name.
pub fn lookup(fs: &Fs, path: &str) -> Result<Ino, Error> {
    let entry = |ino, name: &str| fs.lookup(ino, name.as_ref(), Caller::ROOT).map(|(ino, _)| ino);
    path.split('/').try_fold(ROOT, entry)
}

/// The bytes of a .npy file with the numbers 0, 1, 2, … as 64-bit integers.
pub fn counting(shape: &[u64]) -> Vec<u8> {
    let mut bytes = header::write(&dtype("'<i8'"), shape, Order::C);
    let size: u64 = shape.iter().product();
    bytes.extend((0..size).flat_map(u64::to_le_bytes));
    bytes
}

/// The bytes of an archive of these members, stored as they are.
pub fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in members {
        // Versions, flags, method, time and date, and a checksum that is none.
        let mut common = [[10, 0].as_slice(), &[0; 8], &[0; 4]].concat();
        common.extend([data.len() as u32; 2].map(u32::to_le_bytes).concat());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0; 2]);
        directory.extend([b"PK\x01\x02".as_slice(), &[10, 0], &common, &[0; 10]].concat());
        directory.extend((file.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        file.extend([b"PK\x03\x04".as_slice(), &common, name.as_bytes(), data].concat());
    }
    let count = (members.len() as u16).to_le_bytes();
    let lengths = [directory.len(), file.len()].map(|len| (len as u32).to_le_bytes()).concat();
    let end = [b"PK\x05\x06".as_slice(), &[0; 4], &count, &count, &lengths, &[0; 2]].concat();
    [file, directory, end].concat()
}

/// A directory `data` with an array `big.npy` of 1000 rows of 10, and a mountpoint `mnt`.
pub struct TestEnv {
    directory: TempDir,
}

impl TestEnv {
    pub fn new() -> TestEnv {
        TestEnv::with_data_in(&std::env::temp_dir())
    }

    pub fn with_data_in(parent: &Path) -> TestEnv {
        assert!(Path::new("/dev/fuse").exists(), "these tests need /dev/fuse");
        let env = TestEnv { directory: tempfile::tempdir_in(parent).unwrap() };
        std::fs::create_dir(env.data()).unwrap();
        std::fs::write(env.data().join("big.npy"), counting(&[1000, 10])).unwrap();
        env
    }

    /// Lets other users in.
    pub fn open_to_all(&self) {
        for directory in [self.path(""), self.data()] {
            std::fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub fn mountpoint(&self) -> PathBuf {
        self.path("mnt")
    }

    /// The tree over `data`.
    pub fn tree(&self, of_source: source::Options, options: Options) -> Tree {
        Tree::new(Source::open(&self.data(), of_source).unwrap(), options)
    }

    /// The filesystem over `data`, without a mount.
    pub fn filesystem(&self, options: Options) -> Fs {
        Fs::new(self.tree(source::Options::default(), options))
    }

    /// Mounts in the foreground, as a child of the test.
    pub fn mount(&self, options: &[&str]) -> Mounted {
        self.mount_by(Command::new(program()).args(["mount", "-f"]).args(options))
    }

    /// Mounts by a command that lacks source and mountpoint.
    pub fn mount_by(&self, command: &mut Command) -> Mounted {
        let mountpoint = self.mountpoint();
        let child =
            command.args([self.data(), mountpoint.clone()]).stdin(Stdio::null()).spawn().unwrap();
        let mut mounted = Mounted { child, mountpoint };
        eventually("the mount", || {
            assert!(mounted.child.try_wait().unwrap().is_none(), "npyfs mount ended at once");
            mount_count(&mounted.mountpoint) > 0
        });
        mounted
    }
}

/// How many mounts there are on top of one another at a path.
pub fn mount_count(mountpoint: &Path) -> usize {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.lines().filter(|line| line.split(' ').nth(4).map(Path::new) == Some(mountpoint)).count()
}

/// Ends the connection of a mount that hangs, so that whoever waits for it gets an error.
pub fn abort(mountpoint: &Path) {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let of_mount = |line: &&str| line.split(' ').nth(4).map(Path::new) == Some(mountpoint);
    let line = table.lines().find(of_mount).expect("it is mounted");
    let minor = line.split(' ').nth(2).and_then(|device| device.split(':').nth(1)).unwrap();
    let connections = tempfile::tempdir().unwrap();
    let control = connections.path();
    assert!(
        run(Command::new("mount").args(["-t", "fusectl", "none"]).arg(control)).status.success()
    );
    let aborted = std::fs::write(control.join(minor).join("abort"), "1");
    assert!(run(Command::new("umount").arg(control)).status.success());
    aborted.unwrap();
}

/// A mount whose daemon is a child of the test. Dropped, it is unmounted and has ended.
pub struct Mounted {
    pub child: Child,
    pub mountpoint: PathBuf,
}

impl Mounted {
    pub fn path(&self, name: &str) -> PathBuf {
        self.mountpoint.join(name)
    }

    pub fn read(&self, name: &str) -> std::io::Result<Vec<u8>> {
        std::fs::read(self.path(name))
    }

    /// Memory of the daemon that is its own, not pages of files it maps, in KiB.
    pub fn anonymous_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Where the daemon's descriptors lead.
    pub fn open_files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        let links = entries.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        links.map(|link| link.to_string_lossy().into_owned()).collect()
    }

    /// Sends the daemon a signal.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(run(Command::new("kill").args([signal, &pid])).status.success());
    }

    /// Stops the daemon, and returns when all its threads stand still.
    pub fn stop(&self) {
        self.signal("-STOP");
        let threads = format!("/proc/{}/task", self.child.id());
        eventually("the daemon to stop", || {
            std::fs::read_dir(&threads).unwrap().all(|thread| {
                let stat = std::fs::read_to_string(thread.unwrap().path().join("stat"));
                stat.is_ok_and(|stat| stat.contains(") T "))
            })
        });
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if mount_count(&self.mountpoint) > 0 {
            let _ = run(Command::new("umount").arg("-l").arg(&self.mountpoint));
        }
        let ended = Instant::now();
        while self.child.try_wait().ok().flatten().is_none() {
            if ended.elapsed() > PATIENCE {
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
