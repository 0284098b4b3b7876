//! Files that change under their readers, and what the kernel remembers of them.

#![allow(unsafe_code)]

mod common;

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{TestEnv, counting, in_some_try, lookup};
use npyfs::acl::ACCESS;
use npyfs::caller::Caller;
use npyfs::error::Error;
use npyfs::fs::{Access, Fs};
use npyfs::inode::{Ino, ROOT};
use npyfs::source;
use npyfs::tree::Options;

fn replace(env: &TestEnv, content: &[u8]) {
    std::fs::write(env.path("new"), content).unwrap();
    std::fs::rename(env.path("new"), env.data().join("big.npy")).unwrap();
}

#[test]
fn a_replaced_file_is_a_new_array_and_readers_of_the_old_one_keep_it() {
    let env = TestEnv::new();
    let fs = env.filesystem(Options::default());
    let old = lookup(&fs, "big/rows/2.raw").unwrap();
    let handle = fs.open(old, Access::Read, Caller::ROOT, None).unwrap().handle;
    let whole = lookup(&fs, "big.npy").unwrap();
    let json = lookup(&fs, "big/header.json").unwrap();
    replace(&env, &counting(&[5]));
    let read = |at| fs.read(handle, at, 8, <[u8]>::to_vec);
    assert_eq!(read(0).unwrap(), 20u64.to_le_bytes());
    assert_eq!(fs.attr(old).unwrap().size, 80, "the old version is open, so it has its size");
    for known in [old, whole, json] {
        let opened = fs.open(known, Access::Read, Caller::ROOT, None);
        assert!(matches!(opened, Err(Error::Stale)), "but what is opened is what is there");
    }
    let new = lookup(&fs, "big/rows/2.raw").unwrap();
    assert_ne!(old, new);
    assert_eq!(fs.attr(new).unwrap().size, 8);
    fs.release(handle);
    fs.tree().source().files().close_idle();
    assert!(lookup(&fs, "big/cols").is_err(), "the new array has one axis");
}

/// Who has dirty pages of a file mapped changes them with no trace in its timestamps, its header too.
#[test]
fn a_header_that_is_changed_with_no_trace_is_another_array_all_the_same() {
    in_some_try("no trace", || {
        let env = TestEnv::new();
        let path = env.data().join("big.npy");
        let file = File::options().read(true).write(true).open(&path).unwrap();
        // SAFETY: nobody cuts the file off.
        let mut map = unsafe { memmap2::MmapMut::map_mut(&file) }.unwrap();
        let other = counting(&[10, 1000]);
        map[100] = b' ';
        std::thread::sleep(Duration::from_millis(1100));
        let fs = env.filesystem(Options { writable: true, ..Options::default() });
        let ino = lookup(&fs, "big/rows/2.raw").unwrap();
        let reader = fs.open(ino, Access::Read, Caller::ROOT, None).unwrap().handle;
        assert_eq!(fs.read(reader, 0, 8, <[u8]>::to_vec).unwrap(), 20u64.to_le_bytes());
        let writer = fs.open(ino, Access::Write, Caller::ROOT, None).unwrap().handle;
        let before = file.metadata().unwrap().modified().unwrap();
        map[..128].copy_from_slice(&other[..128]);
        let left_a_trace = file.metadata().unwrap().modified().unwrap() != before;
        assert!(matches!(fs.read(reader, 0, 8, |_| ()), Err(Error::Rewritten { .. })));
        assert!(matches!(fs.write(writer, 0, &[9; 80], false), Err(Error::Rewritten { .. })));
        assert_eq!(map[128..], other[128..], "nothing was written");
        assert!(matches!(fs.open(ino, Access::Read, Caller::ROOT, None), Err(Error::Stale)));
        let row = lookup(&fs, "big/rows/2.raw").unwrap();
        assert_eq!(fs.attr(row).unwrap().size, 8000, "it has rows of another length now");
        !left_a_trace
    });
}

/// The open is tried again by the kernel, once. Two replacements within one open are seldom: so they are made.
#[test]
fn what_the_second_walk_of_an_open_finds_is_opened_though_it_is_replaced_again() {
    let env = TestEnv::new();
    let fs = env.filesystem(Options::default());
    let caller = Caller { thread: 77, ..Caller::ROOT };
    let walk = |path: &str, caller| {
        let entry = |ino, name: &str| fs.lookup(ino, name.as_ref(), caller).map(|(ino, _)| ino);
        path.split('/').try_fold(ROOT, entry).unwrap()
    };
    for (path, at) in [("big/rows/2.raw", 0), ("big.npy", 128), ("big.raw", 0), ("big/T.npy", 128)]
    {
        replace(&env, &counting(&[1000, 10]));
        let old = walk(path, caller);
        replace(&env, &counting(&[3, 7]));
        assert!(matches!(fs.open(old, Access::Read, caller, None), Err(Error::Stale)));
        let found = walk(path, caller);
        let size = fs.attr(found).unwrap().size;
        replace(&env, &counting(&[1000]));
        // Another thread's call began later.
        let other = Caller { thread: 78, ..caller };
        assert!(matches!(fs.open(found, Access::Read, other, None), Err(Error::Stale)));
        let opened = fs.open(found, Access::Read, caller, None).unwrap().handle;
        let read = fs.read(opened, 0, 1 << 20, <[u8]>::to_vec).unwrap();
        assert_eq!(read.len() as u64, size, "{path}: it is of the version that was found");
        assert!(read.len() > at && read.len() < 500, "{path}");
        fs.release(opened);
        // But no later call: it began after that.
        assert!(matches!(fs.open(found, Access::Read, caller, None), Err(Error::Stale)), "{path}");
        let lost = Caller { thread: 79, ..caller };
        assert!(matches!(fs.open(found, Access::Read, lost, None), Err(Error::Stale)), "{path}");
        // Nor one that begins in a directory which is known already, or after a failure.
        let rows = walk("big/rows", other);
        replace(&env, &counting(&[1000, 10]));
        let known = fs.lookup(rows, "1.raw".as_ref(), lost).unwrap().0;
        assert!(matches!(fs.open(known, Access::Read, lost, None), Err(Error::Stale)), "{path}");
        let found = walk(path, lost);
        replace(&env, &counting(&[7, 10]));
        assert!(fs.attr_for(Ino(1 << 40), lost).is_err());
        assert!(matches!(fs.open(found, Access::Read, lost, None), Err(Error::Stale)), "{path}");
        let found = walk(path, lost);
        replace(&env, &counting(&[1000, 10]));
        fs.tidy(Instant::now() + Duration::from_secs(2));
        assert!(
            matches!(fs.open(found, Access::Read, lost, None), Err(Error::Stale)),
            "it has been given up"
        );
    }
}

/// Nor are opens of directories tried again more often, nor those of which the kernel asks for the access list first.
#[test]
fn what_the_second_walk_finds_is_listed_and_has_its_access_list_though_it_is_replaced_again() {
    let env = TestEnv::new();
    let options = source::Options { for_others: true, ..source::Options::default() };
    let fs = Fs::new(env.tree(options, Options::default()));
    // One whose rights are asked for.
    let caller = Caller { thread: 77, user: 12345, group: 54321 };
    let walk = |path: &str| {
        let entry = |ino, name: &str| fs.lookup(ino, name.as_ref(), caller).map(|(ino, _)| ino);
        path.split('/').try_fold(ROOT, entry).unwrap()
    };
    let mut axes = 1;
    let mut replaced = || {
        axes = 3 - axes;
        replace(&env, &counting(&vec![10; axes]));
    };
    for path in ["big.npy", "big.raw", "big/rows/2.npy"] {
        replaced();
        let old = walk(path);
        replaced();
        assert_eq!(fs.access_list(old, ACCESS, caller).unwrap(), None, "{path}: what is there now");
        assert!(matches!(fs.open(old, Access::Read, caller, None), Err(Error::Stale)));
        let found = walk(path);
        replaced();
        assert_eq!(fs.access_list(found, ACCESS, caller).unwrap(), None, "{path}");
        let opened = fs.open(found, Access::Read, caller, None).unwrap().handle;
        fs.release(opened);
    }
    let old = walk("big/rows");
    for _ in 0..3 {
        replaced();
        let opened = fs.open_directory(old, caller).unwrap();
        fs.release_directory(opened);
    }
}

/// Whoever works in the directory of an array has that of the file which stands there now, also while others have the
/// old one open.
#[test]
fn the_directory_of_an_array_is_that_of_the_file_that_has_its_name_now() {
    let env = TestEnv::new();
    let fs = env.filesystem(Options::default());
    let directory = lookup(&fs, "big").unwrap();
    let old = lookup(&fs, "big/rows/2.raw").unwrap();
    let reader = fs.open(old, Access::Read, Caller::ROOT, None).unwrap().handle;
    replace(&env, &counting(&[5]));
    let (row, attr) = fs.lookup(directory, "rows".as_ref(), Caller::ROOT).unwrap();
    assert!(attr.kind == npyfs::meta::Kind::Directory);
    let (row, attr) = fs.lookup(row, "2.raw".as_ref(), Caller::ROOT).unwrap();
    assert_eq!(attr.size, 8);
    let opened = fs.open(row, Access::Read, Caller::ROOT, None).unwrap().handle;
    let listing = fs.open_directory(directory, Caller::ROOT).unwrap();
    let mut names = Vec::new();
    fs.read_directory(listing, 0, |entry| {
        names.push(entry.name.to_string_lossy().into_owned());
        false
    })
    .unwrap();
    assert!(names.contains(&"rows".to_owned()) && !names.contains(&"cols".to_owned()), "{names:?}");
    assert_eq!(fs.access_list(directory, ACCESS, Caller::ROOT).unwrap(), None);
    fs.release_directory(listing);
    [reader, opened].into_iter().for_each(|handle| fs.release(handle));
}

/// The kernel asks for the directory's access list before anybody may search it, once it has forgotten it.
#[test]
fn who_works_in_the_directory_of_an_array_goes_on_when_its_file_was_replaced() {
    let env = TestEnv::new();
    // Of another user than who works there, or no list would be asked for.
    let chown = |path: PathBuf| std::os::unix::fs::chown(path, Some(12345), None).unwrap();
    chown(env.data().join("big.npy"));
    let mounted = env.mount(&["--allow-other", "--ttl=0.05"]);
    let directory = File::open(mounted.path("big")).unwrap();
    let within = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    std::fs::write(env.path("next"), counting(&[5])).unwrap();
    chown(env.path("next"));
    std::fs::rename(env.path("next"), env.data().join("big.npy")).unwrap();
    // For longer than the old file stays open.
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        assert_eq!(std::fs::read(within.join("rows/2.raw")).unwrap(), 2u64.to_le_bytes());
        assert!(std::fs::metadata(&within).unwrap().is_dir());
        let names = std::fs::read_dir(&within).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(!names.into_iter().any(|name| name == "cols"));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// For so long the daemon remembers a walk, so that the kernel's second one is known for that.
const LOST: Duration = Duration::from_millis(250);

/// Four readers open what somebody replaces all the time. None of them ever fails.
#[test]
fn no_open_of_a_name_that_always_exists_fails_however_fast_it_is_replaced() {
    let env = TestEnv::new();
    let mounted = env.mount(&["--ttl=60"]);
    let contents = [counting(&[1000, 10]), counting(&[10, 1000]), counting(&[500, 20])];
    let (until, over) = (Instant::now() + Duration::from_secs(6), AtomicBool::new(false));
    let (replaced, opened) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                replace(&env, &contents[count % 3]);
                count += 1;
            }
            count
        });
        let readers: Vec<_> = ["big.npy", "big/rows/2.raw", "big/T.npy", "big/header.json"]
            .into_iter()
            .map(|name| {
                let path = mounted.path(name);
                scope.spawn(move || {
                    let (mut count, mut failed) = (0, Vec::new());
                    while Instant::now() < until || count < 100 {
                        count += 1;
                        let began = Instant::now();
                        let Err(err) = File::open(&path) else { continue };
                        // An open that takes as long as that, the daemon gives up for lost.
                        if began.elapsed() < LOST {
                            failed.push(err.to_string());
                        }
                    }
                    (name, count, failed)
                })
            })
            .collect();
        let opened: Vec<_> = readers.into_iter().map(|reader| reader.join()).collect();
        over.store(true, Ordering::Relaxed);
        let replaced = writer.join().unwrap();
        (replaced, opened.into_iter().map(Result::unwrap).collect::<Vec<_>>())
    });
    for (name, count, failed) in opened {
        assert!(
            failed.is_empty(),
            "{name}: {} of {count} opens failed beside {replaced} replacements: {}",
            failed.len(),
            failed[0]
        );
    }
}

#[test]
fn new_values_in_the_same_file_are_the_same_array() {
    let env = TestEnv::new();
    let fs = env.filesystem(Options::default());
    let before = lookup(&fs, "big/rows/2.raw").unwrap();
    let file = File::options().write(true).open(env.data().join("big.npy")).unwrap();
    file.write_all_at(&7u64.to_le_bytes(), 128 + 160).unwrap();
    let after = lookup(&fs, "big/rows/2.raw").unwrap();
    assert_eq!(before, after);
    let handle = fs.open(after, Access::Read, Caller::ROOT, None).unwrap().handle;
    assert_eq!(fs.read(handle, 0, 8, <[u8]>::to_vec).unwrap(), 7u64.to_le_bytes());
}

#[test]
fn another_header_in_the_same_file_is_another_array() {
    let env = TestEnv::new();
    let fs = env.filesystem(Options::default());
    let rows = lookup(&fs, "big/rows").unwrap();
    let old = lookup(&fs, "big/rows/2.raw").unwrap();
    let handle = fs.open(old, Access::Read, Caller::ROOT, None).unwrap().handle;
    // As np.save does: the file is cut to nothing, then the header comes, then the data.
    let mut file = File::create(env.data().join("big.npy")).unwrap();
    let short = fs.read(handle, 0, 8, <[u8]>::to_vec).unwrap_err();
    assert_eq!(short.to_string(), "big.npy: header says 80128 bytes, the file has 0");
    file.write_all(&counting(&[500, 20])).unwrap();
    let rewritten = fs.read(handle, 0, 8, <[u8]>::to_vec).unwrap_err();
    assert_eq!(rewritten.to_string(), "big.npy: the header changed while it was read");
    // Another size would end it for its reader, where there is to be an error.
    assert_eq!(fs.attr_of_open(old, handle).unwrap().size, 80);
    assert!(matches!(fs.attr(old), Err(Error::Stale)));
    let (row, attr) = fs.lookup(rows, "3.raw".as_ref(), Caller::ROOT).unwrap();
    assert_eq!(attr.size, 160, "what is looked up is of the array that is there");
    fs.open(row, Access::Read, Caller::ROOT, None).unwrap();
    assert!(matches!(fs.open(old, Access::Read, Caller::ROOT, None), Err(Error::Stale)));
    let new = lookup(&fs, "big/rows/2.raw").unwrap();
    assert_ne!(old, new);
    assert_eq!(fs.attr(new).unwrap().size, 160);
}

#[test]
fn a_whole_file_that_is_cut_off_is_an_error_and_no_end() {
    let env = TestEnv::new();
    let fs = env.filesystem(Options::default());
    let handle =
        fs.open(lookup(&fs, "big.npy").unwrap(), Access::Read, Caller::ROOT, None).unwrap().handle;
    let file = File::options().write(true).open(env.data().join("big.npy")).unwrap();
    file.set_len(500).unwrap();
    assert_eq!(fs.read(handle, 0, 500, <[u8]>::len).unwrap(), 500);
    let cut = fs.read(handle, 400, 200, <[u8]>::len).unwrap_err();
    assert_eq!(cut.to_string(), "big.npy: it had 80128 bytes when it was opened, and now has 500");
    file.set_len(100_000).unwrap();
    assert_eq!(fs.read(handle, 99_000, 5000, <[u8]>::len).unwrap(), 1000);
}

#[test]
fn what_the_kernel_forgets_leaves_no_trace() {
    let env = TestEnv::new();
    let fs = env.filesystem(Options::default());
    let rows = lookup(&fs, "big/rows").unwrap();
    let before = fs.remembered();
    for round in 0..10_000 {
        let name = format!("{}-1000.npy", round % 1000);
        let (ino, _) = fs.lookup(rows, name.as_ref(), Caller::ROOT).unwrap();
        let handle = fs.open(ino, Access::Read, Caller::ROOT, None).unwrap().handle;
        fs.read(handle, 0, 100, |_| ()).unwrap();
        fs.release(handle);
        fs.forget(ino, 1);
    }
    assert_eq!(fs.remembered(), before);
    let gone = Ino(rows.0 + 5);
    assert!(matches!(fs.attr(gone), Err(Error::Stale)));
    assert!(matches!(fs.read(npyfs::fs::Handle(1), 0, 1, |_| ()), Err(Error::BadHandle)));
}

#[test]
fn a_listing_without_end_costs_nothing_and_goes_on_from_anywhere() {
    let env = TestEnv::new();
    let rows: u64 = 1 << 40;
    let descr = npyfs::npy::literal::parse("'|u1'", false).unwrap();
    let dtype = npyfs::npy::dtype::DType::from_descr(&descr).unwrap();
    let header = npyfs::npy::header::write(&dtype, &[rows], npyfs::npy::header::Order::C);
    let mut file = File::create(env.data().join("long.npy")).unwrap();
    file.write_all(&header).unwrap();
    file.set_len(header.len() as u64 + rows).unwrap();
    let fs = env.filesystem(Options::default());
    let windows =
        fs.open_directory(lookup(&fs, "long/windows/10,1").unwrap(), Caller::ROOT).unwrap();
    let names = |from, count| {
        let mut names = Vec::new();
        fs.read_directory(windows, from, |entry| {
            names.push(entry.name.clone().into_owned().into_string().unwrap());
            names.len() == count
        })
        .unwrap();
        names
    };
    assert_eq!(names(0, 4), [".", "..", "0000000000000.npy", "0000000000001.npy"]);
    assert_eq!(names(1_000_000_002, 1), ["0001000000000.npy"]);
    let last = rows - 10;
    assert_eq!(names(last + 2, 5), [format!("{last}.npy")]);
    assert!(names(last + 3, 5).is_empty());
}

#[test]
fn a_listing_whose_array_is_gone_is_an_error_and_has_an_end() {
    let env = TestEnv::new();
    let fs = env.filesystem(Options::default());
    let parts =
        fs.open_directory(lookup(&fs, "big/parts/4294967296").unwrap(), Caller::ROOT).unwrap();
    std::fs::remove_file(env.data().join("big.npy")).unwrap();
    // A file stays open for a while after its last use; every look at it is a use.
    std::thread::sleep(Duration::from_millis(2100));
    fs.tidy(Instant::now());
    assert!(fs.read_directory_plus(parts, 2, |_, _, _| true).is_err());
}

/// Over a mount, the kernel keeps pages and attributes of its own.
#[test]
fn an_old_version_is_read_on_after_everything_known_of_it_has_expired() {
    let env = TestEnv::new();
    let mounted = env.mount(&["--ttl", "0.01"]);
    let (whole, slice, header) = (
        File::open(mounted.path("big.npy")).unwrap(),
        File::open(mounted.path("big/cols/3.raw")).unwrap(),
        File::open(mounted.path("big/header.json")).unwrap(),
    );
    replace(&env, &counting(&[5]));
    // The kernel was given all of it.
    rustix::fs::fadvise(&slice, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    let value = |file: &File, at| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, at).unwrap();
        u64::from_le_bytes(bytes)
    };
    assert_eq!(value(&whole, 128 + 8 * 9999), 9999);
    assert_eq!(value(&slice, 8 * 999), 9993);
    assert_eq!(slice.metadata().unwrap().len(), 8000);
    assert_eq!(whole.metadata().unwrap().len(), 80_128);
    header.read_exact_at(&mut [0; 50], 0).unwrap();
    assert_eq!(mounted.read("big/rows/4.raw").unwrap(), 4u64.to_le_bytes());
}

/// The first number of row 2, by a slice that is given to the kernel when it is opened and by one that
/// it asks for.
fn of_small_and_large(mounted: &common::Mounted) -> u64 {
    let [small, large] = ["big/rows/2.raw", "big/rows/2-10000.raw"].map(|path| {
        let bytes = mounted.read(path).unwrap();
        u64::from_le_bytes(bytes[..8].try_into().unwrap())
    });
    assert_eq!(small, large);
    small
}

/// A store to a page that is dirty already moves no timestamp. The reader's pages must go all the
/// same, both while the writer has the file open and at the first open after that.
#[test]
fn values_stored_through_a_map_are_seen_by_the_next_open() {
    store_through_a_map("/dev/shm");
    in_some_try("no trace", || store_through_a_map("/tmp"));
}

/// Returns whether the stores left no trace.
fn store_through_a_map(source: &str) -> bool {
    let env = TestEnv::with_data_in(source.as_ref());
    let mounted = env.mount(&[]);
    let path = env.data().join("big.npy");
    std::fs::write(&path, counting(&[10_000, 10])).unwrap();
    let value = || of_small_and_large(&mounted);
    assert_eq!(value(), 20);
    let file = File::options().read(true).write(true).open(&path).unwrap();
    // SAFETY: nobody cuts the file off.
    let mut map = unsafe { memmap2::MmapMut::map_mut(&file) }.unwrap();
    let mut store = |number: u64| map[128 + 160..][..8].copy_from_slice(&number.to_le_bytes());
    store(1);
    std::thread::sleep(Duration::from_millis(1100));
    let before = path.metadata().unwrap().modified().unwrap();
    for number in 2..5 {
        assert_eq!(value(), number - 1, "{source}");
        store(number);
        assert_eq!(value(), number, "{source}, while the writer has it open");
    }
    drop(map);
    drop(file);
    assert_eq!(value(), 4, "{source}, when it has closed it");
    path.metadata().unwrap().modified().unwrap() == before
}

/// On tmpfs a page that was read through a writable map before it is written leaves no trace at all.
#[test]
fn on_tmpfs_values_are_seen_though_no_timestamp_ever_moves() {
    let env = TestEnv::with_data_in("/dev/shm".as_ref());
    let mounted = env.mount(&[]);
    let path = env.data().join("big.npy");
    std::fs::write(&path, counting(&[10_000, 10])).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    let value = || of_small_and_large(&mounted);
    assert_eq!(value(), 20);
    let file = File::options().read(true).write(true).open(&path).unwrap();
    // SAFETY: nobody cuts the file off.
    let mut map = unsafe { memmap2::MmapMut::map_mut(&file) }.unwrap();
    let at = &mut map[128 + 160..][..8];
    assert_eq!(u64::from_le_bytes((&*at).try_into().unwrap()), 20);
    at.copy_from_slice(&77u64.to_le_bytes());
    drop(map);
    drop(file);
    assert_eq!(value(), 77);
}
