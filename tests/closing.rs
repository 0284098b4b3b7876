//! A filesystem beneath the source that never answers when a file is closed. What is read from it, and
//! everything else, goes on.

mod common;

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use common::{Mounted, TestEnv, counting, eventually, in_time, mount_count, npyfs, run, wait};
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation,
    INodeNo, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, Request,
};

const TTL: Duration = Duration::from_secs(1);

/// The array files `1.npy`, `2.npy`, … in one directory, read-only; each FLUSH is left unanswered.
struct Silent {
    content: Vec<u8>,
    flushes: Arc<Flushes>,
}

#[derive(Default)]
struct Flushes {
    unanswered: Mutex<Vec<ReplyEmpty>>,
    asked: AtomicUsize,
}

impl Silent {
    fn attr(&self, ino: INodeNo) -> FileAttr {
        let is_root = ino == INodeNo::ROOT;
        FileAttr {
            ino,
            size: self.content.len() as u64,
            blocks: 1,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if is_root { FileType::Directory } else { FileType::RegularFile },
            perm: if is_root { 0o755 } else { 0o644 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            flags: 0,
            blksize: 4096,
        }
    }
}

impl Filesystem for Silent {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let number = name.to_str().and_then(|name| name.strip_suffix(".npy")?.parse::<u64>().ok());
        match number {
            Some(number) => {
                reply.entry(&TTL, &self.attr(INodeNo(number + 1)), Generation(0));
            }
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &self.attr(ino));
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let from = (offset as usize).min(self.content.len());
        let to = (from + size as usize).min(self.content.len());
        reply.data(&self.content[from..to]);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        self.flushes.unanswered.lock().unwrap().push(reply);
        self.flushes.asked.fetch_add(1, Ordering::Relaxed);
    }
}

/// That filesystem, mounted at `silent` in the source. Dropped, it has answered, and is unmounted.
struct Server {
    flushes: Arc<Flushes>,
    mountpoint: PathBuf,
    session: Option<BackgroundSession>,
}

impl Server {
    fn in_source_of(env: &TestEnv) -> Server {
        let flushes = Arc::<Flushes>::default();
        let silent = Silent { content: counting(&[10]), flushes: flushes.clone() };
        let mountpoint = env.data().join("silent");
        std::fs::create_dir(&mountpoint).unwrap();
        let session = fuser::spawn_mount(silent, &mountpoint, &Config::default()).unwrap();
        Server { flushes, mountpoint, session: Some(session) }
    }

    fn asked(&self) -> usize {
        self.flushes.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let session = self.session.take();
        let _ = run(Command::new("umount").arg("-l").arg(&self.mountpoint));
        // Each unanswered request is answered when it is dropped; others may come by that.
        eventually("the session's end", || {
            self.flushes.unanswered.lock().unwrap().clear();
            session.as_ref().is_none_or(|session| session.guard.is_finished())
        });
    }
}

/// How many of the daemon's descriptors are of files beneath here.
fn open_beneath(mounted: &Mounted, directory: &str) -> usize {
    mounted.open_files().iter().filter(|target| target.contains(directory)).count()
}

#[test]
fn a_close_that_is_never_answered_keeps_no_other_file_open() {
    let env = TestEnv::new();
    std::fs::create_dir(env.data().join("local")).unwrap();
    let mut mounted = env.mount(&["--threads=2"]);
    let server = Server::in_source_of(&env);
    mounted.read("silent/1/rows/3.npy").unwrap();
    eventually("the first close", || server.asked() == 1);

    for round in 0..2 {
        let mut held = Vec::new();
        for i in 0..10 {
            let file = env.data().join(format!("local/{round}-{i}.npy"));
            std::fs::write(&file, counting(&[10])).unwrap();
            let path = mounted.path(&format!("local/{round}-{i}/rows/3-5.npy"));
            held.push(in_time("an open", move || File::open(path)).unwrap());
            std::fs::remove_file(file).unwrap();
        }
        assert!(open_beneath(&mounted, "/local/") > 0);
        drop(held);
        eventually("what was deleted to be closed", || open_beneath(&mounted, "/local/") == 0);
    }
    assert_eq!(server.asked(), 1, "the next waits for the first");

    // The daemon's own end waits for the filesystem: the kernel closes there what is open.
    assert!(npyfs(["umount".as_ref(), mounted.mountpoint.as_os_str()]).status.success());
    assert_eq!(mount_count(&mounted.mountpoint), 0);
    drop(server);
    assert!(wait(&mut mounted.child).success());
}

#[test]
fn no_request_waits_for_a_close_that_is_never_answered() {
    const WORKERS: usize = 2;
    let env = TestEnv::new();
    let mut mounted = env.mount(&[&format!("--threads={WORKERS}")]);
    let server = Server::in_source_of(&env);
    let held: Vec<File> = (1..=WORKERS)
        .map(|i| File::open(mounted.path(&format!("silent/{i}/slice/::-1.raw"))).unwrap())
        .collect();
    // More than are kept open for the next reader: a new one drives out the oldest.
    for i in 10..100 {
        let path = mounted.path(&format!("silent/{i}/slice/::-1.raw"));
        assert_eq!(in_time("a read", move || std::fs::read(path)).unwrap().len(), 80);
    }
    assert!(server.asked() > 0, "nothing was closed");
    for file in &held {
        file.read_exact_at(&mut [0; 8], 0).unwrap();
    }
    // With its last reader a file is closed that is not kept open.
    drop(held);
    for i in 0..10 {
        let path = mounted.path(&format!("big/slice/{i}::-1.raw"));
        in_time("a read of another file", move || std::fs::read(path)).unwrap();
    }
    assert!(npyfs(["umount".as_ref(), mounted.mountpoint.as_os_str()]).status.success());
    drop(server);
    assert!(wait(&mut mounted.child).success());
}

#[test]
fn who_has_a_file_open_gets_errors_though_the_daemon_cannot_end() {
    let env = TestEnv::new();
    let mut mounted = env.mount(&[]);
    let server = Server::in_source_of(&env);
    let held = File::open(mounted.path("big/slice/::-1.raw")).unwrap();
    mounted.read("silent/1/rows/3.npy").unwrap();
    eventually("the close", || server.asked() == 1);
    mounted.signal("-TERM");
    let read = in_time("a read after the end", move || {
        loop {
            if let Err(err) = held.read_at(&mut [0], 70_000) {
                return err;
            }
        }
    });
    let errno = read.raw_os_error().unwrap();
    assert!([libc::ENOTCONN, libc::ECONNABORTED].contains(&errno), "{read}");
    assert!(mounted.child.try_wait().unwrap().is_none(), "the kernel waits for the close");
    drop(server);
    assert!(wait(&mut mounted.child).success());
}
