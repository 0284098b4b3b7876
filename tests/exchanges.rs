//! Mounting and unmounting beneath a directory that somebody else exchanges for a symlink all the
//! while: no other place is mounted on, and no other filesystem is unmounted.

mod common;

use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use common::{
    Mounted, PATIENCE, TestEnv, eventually, mount_count, npyfs, program, run, stderr, wait,
};
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// How often each of them is tried.
const ROUNDS: usize = 40;

/// A directory `theirs`, in which one mounts, that can be exchanged for a symlink to `other`, in which
/// there is a filesystem at the same name.
struct Place {
    env: TestEnv,
}

impl Place {
    fn new() -> Place {
        let place = Place { env: TestEnv::new() };
        std::fs::create_dir_all(place.env.path("theirs/mnt")).unwrap();
        std::fs::create_dir_all(place.env.path("other/mnt")).unwrap();
        symlink("other", place.env.path("link")).unwrap();
        let mounted = run(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(place.other()));
        assert!(mounted.status.success(), "{}", stderr(&mounted));
        // So that it is not mounted on for being empty.
        File::create(place.other().join("file")).unwrap();
        place
    }

    fn mountpoint(&self) -> PathBuf {
        self.env.path("theirs/mnt")
    }

    fn other(&self) -> PathBuf {
        self.env.path("other/mnt")
    }

    fn mount(&self, options: &[&str]) -> Mounted {
        let mountpoint = self.mountpoint();
        let child = Command::new(program())
            .args(["mount", "-f"])
            .args(options)
            .args([self.env.data(), mountpoint.clone()])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mounted = Mounted { child, mountpoint };
        // It answers only once it is served, and everything else was started.
        eventually("the mount", || mounted.path("big.npy").exists());
        mounted
    }

    /// Where npyfs is mounted beneath this directory.
    fn mounts(&self) -> Vec<PathBuf> {
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let ours = table.lines().filter(|line| line.contains(" - fuse.npyfs "));
        let paths = ours.filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
        paths.filter(|path| path.starts_with(self.env.path(""))).collect()
    }

    /// Exchanges the directory and the symlink without a pause until this is dropped.
    fn exchange(&self) -> Exchanging {
        let (a, b) = (self.env.path("theirs"), self.env.path("link"));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || {
                let mut exchanged = 0;
                // An even number of times, so that all is as it was.
                while !stop.load(Ordering::Relaxed) || exchanged % 2 == 1 {
                    renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).unwrap();
                    exchanged += 1;
                }
            }
        });
        Exchanging { stop, thread: Some(thread) }
    }

    fn assert_other_is_there(&self, round: usize) {
        assert_eq!(mount_count(&self.other()), 1, "the other one was unmounted in round {round}");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for path in self.mounts().into_iter().chain([self.other()]) {
            let _ = run(Command::new("umount").arg("-l").arg(path));
        }
    }
}

struct Exchanging {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Exchanging {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[test]
fn umount_takes_no_other_filesystem_when_a_parent_is_exchanged() {
    let place = Place::new();
    for round in 0..ROUNDS {
        let mut mounted = place.mount(&[]);
        let exchanging = place.exchange();
        let start = Instant::now();
        // Where the path leads to the other one just then, it is refused.
        while !npyfs(["umount".into(), place.mountpoint()]).status.success() {
            assert!(start.elapsed() < PATIENCE, "it is never unmounted");
        }
        drop(exchanging);
        place.assert_other_is_there(round);
        assert!(place.mounts().is_empty());
        assert!(wait(&mut mounted.child).success());
    }
}

#[test]
fn a_daemon_s_end_takes_no_other_filesystem_when_a_parent_is_exchanged() {
    let place = Place::new();
    for round in 0..ROUNDS {
        let mut mounted = place.mount(&[]);
        let exchanging = place.exchange();
        mounted.signal("-TERM");
        let status = wait(&mut mounted.child);
        drop(exchanging);
        place.assert_other_is_there(round);
        assert!(status.success());
        assert!(place.mounts().is_empty());
    }
}

#[test]
fn the_watcher_takes_no_other_filesystem_when_a_parent_is_exchanged() {
    let place = Place::new();
    for round in 0..ROUNDS {
        let mut mounted = place.mount(&["--auto-unmount"]);
        let exchanging = place.exchange();
        mounted.signal("-KILL");
        wait(&mut mounted.child);
        eventually("the watcher to unmount", || {
            place.assert_other_is_there(round);
            place.mounts().is_empty()
        });
        drop(exchanging);
    }
}

#[test]
fn no_other_place_is_mounted_on_when_a_parent_is_exchanged() {
    let place = Place::new();
    let mut mounted = 0;
    for round in 0..4 * ROUNDS {
        let exchanging = place.exchange();
        let mut daemon = Command::new(program())
            .args(["mount".into(), place.env.data(), place.mountpoint()])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let status = wait(&mut daemon);
        drop(exchanging);
        let mounts = place.mounts();
        assert_eq!(mounts.len(), usize::from(status.success()), "round {round}: {mounts:?}");
        for path in mounts {
            assert_eq!(path, place.mountpoint(), "round {round}");
            assert!(npyfs(["umount".into(), path]).status.success());
            mounted += 1;
        }
    }
    assert!(mounted > 0, "it was refused every time");
}
