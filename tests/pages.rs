//! Which pages the kernel keeps of a file, and which it is given while the file is opened.

#![allow(unsafe_code)]

mod common;

use std::cell::Cell;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use common::{Mounted, TestEnv, counting, eventually, in_some_try, in_time, lookup, program};
use npyfs::caller::Caller;
use npyfs::error::Error;
use npyfs::fs::{Access, Fs, Handle, Kernel};
use npyfs::inode::Ino;
use npyfs::source::{self, Source};
use npyfs::tree::{Options, Tree};
use rustix::fs::Advice;

/// `big.npy`, and `large.npy` with 2000 rows of 100 numbers.
fn with_large() -> TestEnv {
    let env = TestEnv::new();
    std::fs::write(env.data().join("large.npy"), counting(&[2000, 100])).unwrap();
    env
}

/// A kernel that takes the bytes of files by this function.
struct Taking<F>(F);

impl<F: Fn(&[u8]) -> bool> Kernel for Taking<F> {
    fn give(&self, _: Ino, bytes: &[u8]) -> bool {
        (self.0)(bytes)
    }
}

/// Opens a file, and what is given of it meanwhile, if the kernel takes it.
fn open_given(fs: &Fs, path: &str) -> Result<(Handle, Option<Vec<u8>>), Error> {
    let all = Cell::new(None);
    let opened = fs.open(
        lookup(fs, path)?,
        Access::Read,
        Caller::ROOT,
        Some(&Taking(|bytes: &[u8]| {
            all.set(Some(bytes.to_vec()));
            true
        })),
    )?;
    let all = all.take();
    assert_eq!(opened.keeps_pages, all.is_some(), "there is nothing else to be kept");
    Ok((opened.handle, all))
}

/// What is given of a file that is opened.
fn given(fs: &Fs, path: &str) -> Option<Vec<u8>> {
    open_given(fs, path).unwrap().1
}

#[test]
fn what_is_given_is_the_whole_file() {
    let env = with_large();
    let fs = env.filesystem(Options::default());
    for path in [
        "big/rows/3-7.npy",
        "big/rows/9.raw",
        "big/T.npy",
        "large/rows/0-163.raw",
        "big/header.json",
    ] {
        let (handle, given) = open_given(&fs, path).unwrap();
        let size = fs.attr(lookup(&fs, path).unwrap()).unwrap().size as usize;
        let read = fs.read(handle, 0, 1 << 20, <[u8]>::to_vec).unwrap();
        assert_eq!(read.len(), size);
        assert_eq!(given, Some(read), "{path}");
    }
}

#[test]
fn large_files_whole_ones_and_empty_ones_are_not_given() {
    let env = with_large();
    let fs = env.filesystem(Options::default());
    for path in ["large/rows/0-164.raw", "large/T.npy", "big.npy", "big/rows/5-5.raw"] {
        assert_eq!(given(&fs, path), None, "{path}");
    }
    assert_eq!(given(&fs, "big/cols/2.raw"), None, "nor strided ones");
    let writable = env.filesystem(Options { writable: true, ..Options::default() });
    assert_eq!(given(&writable, "big/rows/3-7.npy"), None);
}

#[test]
fn a_file_is_given_only_while_nobody_else_has_it_open() {
    let env = TestEnv::new();
    let fs = env.filesystem(Options::default());
    let path = "big/rows/3-7.npy";
    // In whichever way: this one reads no pages.
    let first =
        fs.open(lookup(&fs, path).unwrap(), Access::Read, Caller::ROOT, None).unwrap().handle;
    let (second, nothing) = open_given(&fs, path).unwrap();
    assert_eq!(nothing, None);
    assert!(given(&fs, "big/rows/3-8.npy").is_some(), "others are");
    fs.release(first);
    assert_eq!(given(&fs, path), None);
    fs.release(second);
    assert_eq!(given(&fs, path), None, "two more have it open");
}

#[test]
fn until_a_file_is_given_no_other_open_of_it_is_answered() {
    let env = TestEnv::new();
    let fs = env.filesystem(Options::default());
    for path in ["big/rows/3-7.npy", "big/header.json"] {
        let (opened, wait_for_open) = mpsc::channel();
        let ino = lookup(&fs, path).unwrap();
        std::thread::scope(|scope| {
            let give = |_: &[u8]| {
                // Whatever kind of open: this one reads no pages.
                let (fs, opened) = (&fs, opened.clone());
                scope.spawn(move || {
                    fs.open(ino, Access::Read, Caller::ROOT, None).unwrap();
                    opened.send(()).unwrap();
                });
                let early = wait_for_open.recv_timeout(Duration::from_millis(200));
                assert!(early.is_err(), "{path}: the other open was answered first");
                true
            };
            assert!(
                fs.open(ino, Access::Read, Caller::ROOT, Some(&Taking(give))).unwrap().keeps_pages
            );
            wait_for_open.recv_timeout(Duration::from_secs(20)).unwrap();
        });
    }
}

#[test]
fn an_open_that_panics_while_it_gives_keeps_nobody_waiting() {
    let env = TestEnv::new();
    let fs = env.filesystem(Options::default());
    let ino = lookup(&fs, "big/rows/3-7.npy").unwrap();
    let panics =
        || fs.open(ino, Access::Read, Caller::ROOT, Some(&Taking(|_: &[u8]| panic!("on purpose"))));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
    fs.open(ino, Access::Read, Caller::ROOT, None).unwrap();
}

#[test]
fn pages_of_a_file_that_is_opened_again_and_again_are_kept_and_not_given_each_time() {
    let env = TestEnv::new();
    std::thread::sleep(Duration::from_millis(1100));
    let fs = env.filesystem(Options::default());
    let path = "big/rows/3-7.npy";
    let gives: Vec<_> = (0..2)
        .map(|_| {
            let (handle, given) = open_given(&fs, path).unwrap();
            fs.release(handle);
            given.is_some()
        })
        .collect();
    assert_eq!(gives, [true, true], "the first open says nothing of who writes to the file");
    let ino = lookup(&fs, path).unwrap();
    let third = fs
        .open(
            ino,
            Access::Read,
            Caller::ROOT,
            Some(&Taking(|_: &[u8]| panic!("they were to be kept"))),
        )
        .unwrap();
    assert!(third.keeps_pages);
    fs.release(third.handle);
    let file = File::options().write(true).open(env.data().join("big.npy")).unwrap();
    file.write_at(&[0], 200).unwrap();
    assert!(given(&fs, path).is_some(), "it was written to");
}

/// A file is asked whether anybody has it open for writing once for each state of it, and not at each open: to
/// ask is a lease, which another program's open without waiting would meet.
#[test]
fn who_opens_the_file_without_waiting_meets_no_lease_of_ours() {
    npyfs::storage::ignore_signals();
    let env = TestEnv::new();
    std::thread::sleep(Duration::from_millis(1100));
    let fs = env.filesystem(Options::default());
    let (path, stop) = (env.data().join("big.npy"), AtomicBool::new(false));
    let opens = AtomicUsize::new(0);
    let leases = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            // However long one lease is held, by a thread that must wait for a processor, it counts once.
            let (mut leases, mut was_refused) = (0, false);
            while !stop.load(Ordering::Relaxed) {
                let flags = libc::O_NONBLOCK;
                let is_refused = match File::options().write(true).custom_flags(flags).open(&path) {
                    Ok(_) => false,
                    Err(err) if err.kind() == std::io::ErrorKind::WouldBlock => true,
                    Err(err) => panic!("{err}"),
                };
                opens.fetch_add(1, Ordering::Relaxed);
                leases += usize::from(is_refused && !was_refused);
                was_refused = is_refused;
                std::thread::sleep(Duration::from_micros(20));
            }
            leases
        });
        // Nobody opens it for writing at this moment, as far as the first of these can tell.
        for round in 0.. {
            if round >= 30_000 && opens.load(Ordering::Relaxed) > 100 {
                break;
            }
            let row = round % 10;
            let path = format!("big/rows/{row}-{}.npy", row + 5);
            let handle = fs
                .open(lookup(&fs, &path).unwrap(), Access::Read, Caller::ROOT, None)
                .unwrap()
                .handle;
            fs.release(handle);
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    assert!(leases <= 3, "{leases} leases were met");
}

#[test]
fn what_the_kernel_does_not_take_is_not_given_and_read_all_the_same() {
    let env = TestEnv::new();
    let fs = env.filesystem(Options::default());
    let ino = lookup(&fs, "big/rows/3-7.raw").unwrap();
    let opened = fs.open(ino, Access::Read, Caller::ROOT, Some(&Taking(|_: &[u8]| false))).unwrap();
    assert!(!opened.keeps_pages);
    let number = fs.read(opened.handle, 0, 8, <[u8]>::to_vec).unwrap();
    assert_eq!(number, 30u64.to_le_bytes());
}

#[test]
fn an_array_that_is_cut_off_is_opened_not_given_and_an_error_to_who_reads_it() {
    let env = TestEnv::new();
    let fs = env.filesystem(Options::default());
    let ino = lookup(&fs, "big/rows/3-7.raw").unwrap();
    File::options().write(true).open(env.data().join("big.npy")).unwrap().set_len(200).unwrap();
    let opened = fs
        .open(ino, Access::Read, Caller::ROOT, Some(&Taking(|_: &[u8]| panic!("it is not whole"))))
        .unwrap();
    assert!(matches!(fs.read(opened.handle, 0, 8, |_| ()), Err(Error::Short { .. })));
}

/// The source is another mount, for which to bring something into memory takes an answer of its daemon; a disk can
/// be so fast that the bytes are there by the time they are looked for.
#[test]
fn what_is_not_in_memory_is_not_given_so_that_no_open_waits_for_a_disk() {
    let env = TestEnv::new();
    // Far more than what is read ahead of the header.
    std::fs::write(env.data().join("far.npy"), counting(&[20_000, 100])).unwrap();
    // Of a writable mount, no file is left to the kernel.
    let inner = env.mount(&["--writable"]);
    let source = Source::open(&inner.mountpoint, source::Options::default()).unwrap();
    let fs = Fs::new(Tree::new(source, Options::default()));
    // Its directory there is taken, by the other mount's.
    let (handle, given) = open_given(&fs, "far.npy.d/rows/15000-15100.raw").unwrap();
    assert_eq!(given, None);
    let read = fs.read(handle, 0, 8, <[u8]>::to_vec).unwrap();
    assert_eq!(read, 1_500_000u64.to_le_bytes());
}

/// A mount that logs every request, and the log.
fn mount_logged(env: &TestEnv, options: &[&str]) -> (Mounted, impl Fn(&str) -> usize + use<>) {
    let path = env.path("log");
    let mut command = Command::new(program());
    command.args(["mount", "-f"]).args(options);
    command.env("NPYFS_LOG", "npyfs=trace").stderr(File::create(&path).unwrap());
    let mounted = env.mount_by(&mut command);
    let count = move |request: &str| {
        let log = std::fs::read_to_string(&path).unwrap();
        log.lines().filter(|line| line.contains(&format!("] {request} for user "))).count()
    };
    (mounted, count)
}

#[test]
fn the_kernel_does_not_ask_for_what_it_was_given() {
    let env = with_large();
    // With one thread, a request that is logged has been answered when the next one comes.
    let (mounted, count) = mount_logged(&env, &["--threads=1"]);
    let expected = &counting(&[1000, 10])[128..];
    // The kernel may drop pages by itself where memory is short, and then asks for them.
    let mut stops = 10..;
    in_some_try("an open whose pages were given and not asked for", || {
        let stop = stops.next().unwrap();
        let before = (count("open"), count("read"));
        let path = format!("big/rows/2-{stop}.raw");
        assert_eq!(mounted.read(&path).unwrap(), expected[160..stop * 80]);
        assert_eq!(count("open"), before.0 + 1);
        eventually("it to be closed", || count("release") == before.0 + 1);
        // Again, with pages there already.
        mounted.read(&path).unwrap();
        eventually("it to be closed again", || count("release") == before.0 + 2);
        (count("open"), count("read")) == (before.0 + 2, before.1)
    });
    in_some_try("pages that two have of one file", || {
        // The second open drops the pages that the first was given, and what it reads is the first's too.
        let before = count("read");
        let mut first = File::open(mounted.path("big/rows/2-10.raw")).unwrap();
        let second = mounted.read("big/rows/2-10.raw").unwrap();
        assert_eq!(second, expected[160..800]);
        let asked = count("read") - before;
        let mut read = Vec::new();
        first.read_to_end(&mut read).unwrap();
        assert_eq!(read, second);
        asked == 1 && count("read") == before + 1
    });
    let before = count("read");
    mounted.read("large/rows/2-1000.raw").unwrap();
    assert!(count("read") > before);
}

/// To give takes the kernel's lock on each page, which it holds too while it waits for us to read:
/// if both came together, a mount with one thread would stand still.
#[test]
fn many_who_open_the_same_small_files_do_not_wait_for_ever() {
    for threads in ["1", "2", "4"] {
        let env = TestEnv::new();
        let (mounted, count) = mount_logged(&env, &["--threads", threads]);
        let paths: Vec<_> =
            (0..3).map(|row| mounted.path(&format!("big/rows/{row}-{}.raw", row + 5))).collect();
        in_time("readers of the same files", move || {
            std::thread::scope(|scope| {
                for reader in 0..8 {
                    let paths = &paths;
                    scope.spawn(move || {
                        for i in 0..300 {
                            let row = (reader + i) % paths.len();
                            open_in_some_way(&paths[row], row, reader + i / 3);
                        }
                    });
                }
            });
        });
        let (opens, reads) = (count("open"), count("read"));
        assert!(reads > 100 && reads + 100 < opens, "{reads} reads of {opens} prove nothing");
    }
}

/// Opens a slice of five rows in one of several ways, and reads it in most.
fn open_in_some_way(path: &Path, row: usize, way: usize) {
    let file = File::open(path).unwrap();
    let drop_pages = || rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    let mut read = vec![0; 400];
    match way % 4 {
        0 => {
            drop_pages();
            read = std::fs::read(path).unwrap();
        }
        1 => {
            drop_pages();
            // The kernel may read on after it is closed.
            return rustix::fs::fadvise(&file, 0, None, Advice::WillNeed).unwrap();
        }
        2 => {
            // SAFETY: nobody writes to the file.
            let map = unsafe { memmap2::Mmap::map(&file) }.unwrap();
            drop_pages();
            drop(file);
            read.copy_from_slice(&map[..400]);
        }
        _ => file.read_exact_at(&mut read, 0).unwrap(),
    }
    assert_eq!(read, counting(&[10, 10])[128 + row * 80..][..400]);
}

/// Whoever opens a file while somebody has it open, and its pages, sees what was written last.
#[test]
fn values_stored_since_it_was_given_are_seen_by_the_next_open() {
    let env = TestEnv::new();
    let mounted = env.mount(&[]);
    let path = env.data().join("big.npy");
    let file = File::options().read(true).write(true).open(&path).unwrap();
    // SAFETY: nobody cuts the file off.
    let mut map = unsafe { memmap2::MmapMut::map_mut(&file) }.unwrap();
    let mut store = |number: u64| map[128 + 160..][..8].copy_from_slice(&number.to_le_bytes());
    store(1);
    std::thread::sleep(Duration::from_millis(1100));
    let number = |file: &File| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, 0).unwrap();
        u64::from_le_bytes(bytes)
    };
    let mut held = Vec::new();
    for stored in 2..6 {
        held.push(File::open(mounted.path("big/rows/2-7.raw")).unwrap());
        assert_eq!(number(&held[held.len() - 1]), stored - 1);
        store(stored);
    }
    drop(map);
    drop(file);
    assert_eq!(number(&File::open(mounted.path("big/rows/2-7.raw")).unwrap()), 5);
}
