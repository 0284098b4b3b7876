//! Small files are given to the kernel whole while they are opened.

mod common;

use std::fs::File;
use std::io::Read;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use common::{Mounted, TestEnv, counting, in_time, program};
use npyfs::error::Error;
use npyfs::fs::{Fs, Handle};
use npyfs::inode::{Ino, ROOT};
use npyfs::node::{Options, Tree};
use npyfs::source::{self, Source};

/// `big.npy`, and `large.npy` with 2000 rows of 100 numbers.
fn with_large() -> TestEnv {
    let env = TestEnv::new();
    std::fs::write(env.data().join("large.npy"), counting(&[2000, 100])).unwrap();
    env
}

fn filesystem(env: &TestEnv, options: Options) -> Fs {
    Fs::new(Tree::new(Source::open(&env.data(), source::Options::default()).unwrap(), options))
}

fn open(fs: &Fs, path: &str) -> Result<(Ino, Handle), Error> {
    let ino = path
        .split('/')
        .try_fold(ROOT, |ino, name| fs.lookup(ino, name.as_ref()).map(|(ino, _)| ino))?;
    Ok((ino, fs.open(ino)?))
}

/// What is given of an open file, if the kernel takes it.
fn given(fs: &Fs, handle: Handle) -> Option<Vec<u8>> {
    let mut all = None;
    let given = fs.give(handle, |bytes| {
        all = Some(bytes.to_vec());
        true
    });
    assert_eq!(given, all.is_some(), "nothing else is said to be given");
    all
}

#[test]
fn what_is_given_is_the_whole_file() {
    let env = with_large();
    let fs = filesystem(&env, Options::default());
    for path in [
        "big/rows/3-7.npy",
        "big/cols/2.raw",
        "big/T.npy",
        "large/rows/0-163.raw",
        "big/header.json",
    ] {
        let (ino, handle) = open(&fs, path).unwrap();
        let size = fs.attr(ino).unwrap().size as usize;
        let read = fs.read(handle, 0, 1 << 20, <[u8]>::to_vec).unwrap();
        assert_eq!(read.len(), size);
        assert_eq!(given(&fs, handle), Some(read), "{path}");
    }
}

#[test]
fn large_files_whole_ones_and_empty_ones_are_not_given() {
    let env = with_large();
    let fs = filesystem(&env, Options::default());
    for path in ["large/rows/0-164.raw", "large/T.npy", "big.npy", "big/rows/5-5.raw"] {
        assert_eq!(given(&fs, open(&fs, path).unwrap().1), None, "{path}");
    }
    let writable = filesystem(&env, Options { writable: true, ..Options::default() });
    assert_eq!(given(&writable, open(&writable, "big/rows/3-7.npy").unwrap().1), None);
}

#[test]
fn a_file_is_given_only_while_nobody_else_has_it_open() {
    let env = TestEnv::new();
    let fs = filesystem(&env, Options::default());
    let path = "big/rows/3-7.npy";
    let (_, first) = open(&fs, path).unwrap();
    let (_, second) = open(&fs, path).unwrap();
    assert_eq!((given(&fs, first), given(&fs, second)), (None, None));
    assert!(given(&fs, open(&fs, "big/rows/3-8.npy").unwrap().1).is_some(), "others are");
    fs.release(first);
    assert!(given(&fs, second).is_some());
    fs.release(second);
    assert_eq!(given(&fs, second), None, "it is closed");
}

#[test]
fn until_a_file_is_given_no_other_open_of_it_is_answered() {
    let env = TestEnv::new();
    let fs = filesystem(&env, Options::default());
    let path = "big/rows/3-7.npy";
    let (_, first) = open(&fs, path).unwrap();
    let (begun, wait_for_begin) = mpsc::channel();
    let (ended, wait_for_end) = mpsc::channel();
    std::thread::scope(|scope| {
        let fs = &fs;
        scope.spawn(move || {
            wait_for_begin.recv().unwrap();
            let (_, second) = open(fs, path).unwrap();
            assert_eq!(given(fs, second), None);
            ended.send(()).unwrap();
        });
        let given = fs.give(first, |_| {
            begun.send(()).unwrap();
            let early = wait_for_end.recv_timeout(Duration::from_millis(200));
            assert!(early.is_err(), "the other open was answered first");
            true
        });
        assert!(given);
        wait_for_end.recv().unwrap();
    });
}

#[test]
fn what_the_kernel_does_not_take_is_not_given_and_read_all_the_same() {
    let env = TestEnv::new();
    let fs = filesystem(&env, Options::default());
    let (_, handle) = open(&fs, "big/rows/3-7.raw").unwrap();
    assert!(!fs.give(handle, |_| false));
    assert_eq!(fs.read(handle, 0, 8, <[u8]>::to_vec).unwrap(), 30u64.to_le_bytes());
}

#[test]
fn an_array_that_is_cut_off_is_opened_not_given_and_an_error_to_who_reads_it() {
    let env = TestEnv::new();
    let fs = filesystem(&env, Options::default());
    let (_, handle) = open(&fs, "big/rows/3-7.raw").unwrap();
    File::options().write(true).open(env.data().join("big.npy")).unwrap().set_len(200).unwrap();
    assert_eq!(given(&fs, handle), None);
    assert!(matches!(fs.read(handle, 0, 8, |_| ()), Err(Error::Short { .. })));
}

/// A mount that logs every request, and the log.
fn mount_logged(env: &TestEnv, options: &[&str]) -> (Mounted, impl Fn(&str) -> usize) {
    let path = env.path("log");
    let mut command = Command::new(program());
    command.args(["mount", "-f"]).args(options);
    command.env("NPYFS_LOG", "npyfs=trace").stderr(File::create(&path).unwrap());
    let mounted = env.mount_by(&mut command);
    let count = move |request: &str| {
        let log = std::fs::read_to_string(&path).unwrap();
        log.lines().filter(|line| line.ends_with(&format!("] {request}"))).count()
    };
    (mounted, count)
}

#[test]
fn the_kernel_does_not_ask_for_what_it_was_given() {
    let env = with_large();
    let (mounted, count) = mount_logged(&env, &[]);
    let expected = &counting(&[1000, 10])[128..];
    for stop in 10..20 {
        let read = mounted.read(&format!("big/rows/2-{stop}.raw")).unwrap();
        assert_eq!(read, expected[160..stop * 80]);
    }
    assert_eq!((count("open"), count("read")), (10, 0));
    // Again, with pages there already.
    mounted.read("big/rows/2-10.raw").unwrap();
    assert_eq!((count("open"), count("read")), (11, 0));
    // Two have it open, and the second open drops the pages that the first was given.
    let mut first = File::open(mounted.path("big/rows/2-10.raw")).unwrap();
    let second = mounted.read("big/rows/2-10.raw").unwrap();
    assert_eq!(second, expected[160..800]);
    assert_eq!(count("read"), 1);
    let mut read = Vec::new();
    first.read_to_end(&mut read).unwrap();
    assert_eq!(read, second);
    assert!(count("read") == 1, "the pages that the second has read are the first's too");
    mounted.read("large/rows/2-1000.raw").unwrap();
    assert!(count("read") > 1);
}

/// To give takes the kernel's lock on each page, which it holds too while it waits for us to read:
/// if both came together, a mount with one thread would stand still.
#[test]
fn many_who_open_the_same_small_files_do_not_wait_for_ever() {
    for threads in ["1", "2", "4"] {
        let env = TestEnv::new();
        let mounted = env.mount(&["--threads", threads]);
        let expected = counting(&[1000, 10]);
        let read = move |path: std::path::PathBuf, row: usize| {
            let held = File::open(&path).unwrap();
            rustix::fs::fadvise(&held, 0, None, rustix::fs::Advice::DontNeed).unwrap();
            let read = std::fs::read(&path).unwrap();
            assert_eq!(read, expected[128 + row * 80..][..5 * 80]);
        };
        let paths: Vec<_> =
            (0..3).map(|row| mounted.path(&format!("big/rows/{row}-{}.raw", row + 5))).collect();
        in_time("readers of the same files", move || {
            std::thread::scope(|scope| {
                for reader in 0..8 {
                    let (paths, read) = (&paths, &read);
                    scope.spawn(move || {
                        for i in 0..300 {
                            let row = (reader + i) % paths.len();
                            read(paths[row].clone(), row);
                        }
                    });
                }
            });
        });
    }
}
