//! How the kernel reads and writes each file that is opened: through its pages, past them, or from the backing file
//! without us. While a file is open, everybody reads it in the same way.

mod common;

use std::cell::RefCell;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use common::{TestEnv, in_time, lookup};
use npyfs::caller::Caller;
use npyfs::fs::{Access, Fs, Kernel, Opened, Way};
use npyfs::inode::{Ino, Registration};
use npyfs::tree::Options;

/// A kernel that can do everything. It registers files by this function.
struct Able<F>(F);

impl<F: Fn() -> Option<Registration>> Kernel for Able<F> {
    fn give(&self, _: Ino, _: &[u8]) -> bool {
        true
    }

    fn passes_through(&self) -> bool {
        true
    }

    fn register(&self, _: BorrowedFd<'_>) -> Option<Registration> {
        (self.0)()
    }

    fn maps_direct(&self) -> bool {
        true
    }
}

fn token() -> Registration {
    Arc::new(())
}

fn open(fs: &Fs, path: &str, access: Access, kernel: &dyn Kernel) -> Opened {
    fs.open(lookup(fs, path).unwrap(), access, Caller::ROOT, Some(kernel)).unwrap()
}

#[test]
fn the_kernel_reads_whole_files_alone_and_writes_nothing_by_its_pages() {
    let env = TestEnv::new();
    let fs = env.filesystem(Options::default());
    let able = Able(|| Some(token()));
    for access in [Access::Read, Access::ReadDirect] {
        let opened = open(&fs, "big.npy", access, &able);
        assert!(matches!(opened.way, Way::PassedThrough(_)) && !opened.keeps_pages);
        let opened = open(&fs, "big/T.npy", access, &able);
        assert!(matches!(opened.way, Way::Pages) && !opened.flushes);
        let opened = open(&fs, ".npyfs/log", access, &able);
        assert!(matches!(opened.way, Way::Direct) && !opened.keeps_pages && !opened.flushes);
    }

    let writable = env.filesystem(Options { writable: true, ..Options::default() });
    let untouched = Able(|| panic!("it would be written past us"));
    for path in ["big.npy", "big/T.npy"] {
        let opened = open(&writable, path, Access::Read, &untouched);
        assert!(matches!(opened.way, Way::Pages) && !opened.flushes, "{path}");
        for access in [Access::Write, Access::ReadWrite] {
            let opened = open(&writable, path, access, &untouched);
            assert!(matches!(opened.way, Way::Direct) && opened.flushes, "{path}");
        }
        let opened =
            writable.open(lookup(&writable, path).unwrap(), Access::ReadWrite, Caller::ROOT, None);
        assert!(matches!(opened.unwrap().way, Way::Pages), "{path}: it could not be mapped");
    }
}

#[test]
fn a_registration_is_shared_until_the_last_close_and_then_dropped() {
    let env = TestEnv::new();
    let fs = env.filesystem(Options::default());
    let registration = token();
    let first = open(&fs, "big.npy", Access::Read, &Able(|| Some(registration.clone())));
    let again = Able(|| panic!("it is registered"));
    let second = open(&fs, "big.npy", Access::Read, &again);
    let [first, second] = [first, second].map(|opened| {
        let Way::PassedThrough(shared) = opened.way else { panic!("{:?}", opened.way) };
        assert!(Arc::ptr_eq(&shared, &registration));
        opened.handle
    });
    fs.release(first);
    assert_eq!(Arc::strong_count(&registration), 2);
    let third = open(&fs, "big.npy", Access::Read, &again).handle;
    [second, third].into_iter().for_each(|handle| fs.release(handle));
    assert_eq!(Arc::strong_count(&registration), 1);
}

#[test]
fn a_file_that_cannot_be_registered_is_read_from_us_until_nobody_has_it_open() {
    let env = TestEnv::new();
    let fs = env.filesystem(Options::default());
    let asked = AtomicUsize::new(0);
    let refuses = Able(|| {
        asked.fetch_add(1, Ordering::Relaxed);
        None
    });
    let handles = [(); 2].map(|()| {
        let opened = open(&fs, "big.npy", Access::Read, &refuses);
        assert!(matches!(opened.way, Way::Pages));
        opened.handle
    });
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    fs.release(handles[0]);
    let registers = Able(|| Some(token()));
    let third = open(&fs, "big.npy", Access::Read, &registers);
    assert!(matches!(third.way, Way::Pages), "another still reads it from us");
    [handles[1], third.handle].into_iter().for_each(|handle| fs.release(handle));
    let opened = open(&fs, "big.npy", Access::Read, &registers);
    assert!(matches!(opened.way, Way::PassedThrough(_)));
}

#[test]
fn who_opens_a_file_while_it_is_being_registered_waits_and_gets_the_same() {
    let env = TestEnv::new();
    let fs = env.filesystem(Options::default());
    for registration in [Some(token()), None] {
        let ino = lookup(&fs, "big.npy").unwrap();
        let (opened, wait_for_open) = mpsc::channel();
        let handles = std::thread::scope(|scope| {
            let waits = Able(|| {
                let (fs, opened) = (&fs, opened.clone());
                scope.spawn(move || {
                    let never = Able(|| panic!("it is not the first"));
                    let other = fs.open(ino, Access::Read, Caller::ROOT, Some(&never)).unwrap();
                    opened.send(other).unwrap();
                });
                let early = wait_for_open.recv_timeout(Duration::from_millis(200));
                assert!(early.is_err(), "the other open was answered first");
                registration.clone()
            });
            let first = fs.open(ino, Access::Read, Caller::ROOT, Some(&waits)).unwrap();
            let second = wait_for_open.recv_timeout(Duration::from_secs(20)).unwrap();
            [first, second].map(|opened| {
                let is_passed = matches!(opened.way, Way::PassedThrough(_));
                assert_eq!(is_passed, registration.is_some());
                opened.handle
            })
        });
        handles.into_iter().for_each(|handle| fs.release(handle));
    }
}

/// A registration whose end needs the filesystem, as the system call does that ends a real one where the source is
/// another mount of ours.
struct NeedsUnlocked(Arc<Fs>);

impl Drop for NeedsUnlocked {
    fn drop(&mut self) {
        self.0.remembered();
    }
}

#[test]
fn no_lock_is_held_while_a_file_is_registered_or_no_longer_registered() {
    let env = TestEnv::new();
    let fs = Arc::new(env.filesystem(Options::default()));
    in_time("a lock is held", move || {
        let ended = RefCell::new(None);
        let registers = Able(|| {
            fs.remembered();
            let registration: Registration = Arc::new(NeedsUnlocked(fs.clone()));
            *ended.borrow_mut() = Some(Arc::downgrade(&registration));
            Some(registration)
        });
        let Opened { handle, way, .. } = open(&fs, "big.npy", Access::Read, &registers);
        drop(way);
        let ended = ended.take().unwrap();
        assert!(ended.upgrade().is_some());
        fs.release(handle);
        assert!(ended.upgrade().is_none());
    });
}
