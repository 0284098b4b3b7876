//! Large slices are copied into memory when they are opened, and the kernel reads the copy. As root only, since it takes
//! a tmpfs of its own.

mod common;

use std::fs::File;
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{PATIENCE, TestEnv, counting, eventually, lookup, program};
use npyfs::caller::Caller;
use npyfs::error::Error;
use npyfs::fs::{Access, Fs, Kernel, Opened, Staging, Way};
use npyfs::inode::{Ino, Registration};
use npyfs::tree::Options;

const MIB: u64 = 1 << 20;

/// Rows of 1 KiB, 20 MiB in all.
const SHAPE: [u64; 2] = [20 << 10, 128];

/// A kernel that keeps what it gets. What is open counts as read from it.
#[derive(Default)]
struct Reads {
    /// What was registered last.
    file: Mutex<Option<File>>,
    has_no_time: bool,
    refuses: bool,
}

impl Kernel for Reads {
    fn give(&self, _: Ino, _: &[u8]) -> bool {
        true
    }

    fn passes_through(&self) -> bool {
        true
    }

    fn register(&self, file: BorrowedFd<'_>) -> Option<Registration> {
        let file = File::from(file.try_clone_to_owned().unwrap());
        *self.file.lock().unwrap() = Some(file.try_clone().unwrap());
        (!self.refuses).then(|| -> Registration { Arc::new(file) })
    }

    fn has_time(&self) -> bool {
        !self.has_no_time
    }
}

/// A directory with a large array that nobody has changed for a while, and its filesystem, which stages up to `max`
/// bytes at once and `size` in all.
fn filesystem(max: u64, size: u64) -> (TestEnv, Fs) {
    let env = TestEnv::new();
    std::fs::write(env.data().join("large.npy"), counting(&SHAPE)).unwrap();
    let fs =
        env.filesystem(Options::default()).with_staging(Staging::of_size(max, size, 0).unwrap());
    settle();
    (env, fs)
}

/// A change this young may hide a later one.
fn settle() {
    std::thread::sleep(Duration::from_millis(1100));
}

fn open(fs: &Fs, path: &str, kernel: &Reads) -> Result<Opened, Error> {
    fs.open(lookup(fs, path)?, Access::Read, Caller::ROOT, Some(kernel))
}

fn is_staged(opened: &Opened) -> bool {
    matches!(opened.way, Way::PassedThrough(_))
}

/// All bytes that the kernel reads of what it was given last.
fn bytes(kernel: &Reads) -> Vec<u8> {
    let file = kernel.file.lock().unwrap();
    let file = file.as_ref().unwrap();
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn served(fs: &Fs, opened: &Opened) -> Vec<u8> {
    let mut all = Vec::new();
    while fs
        .read(opened.handle, all.len() as u64, 1 << 20, |bytes| {
            all.extend_from_slice(bytes);
            !bytes.is_empty()
        })
        .unwrap()
    {}
    all
}

#[test]
fn a_copy_has_the_bytes_of_its_slice_whatever_that_is() {
    let (_env, fs) = filesystem(64 * MIB, 256 * MIB);
    for path in [
        "large/rows/3-4000.npy",
        "large/rows/3-4000.raw",
        "large/slice/1:.npy",
        "large/T.npy",
        "large/T.raw",
        "large/slice/::-1.npy",
        "large/cols/1-127.npy",
        "large/slice/:,:124/T.npy",
        "large/slice/::2.npy",
        "large.zarr/c/1/0",
        // At the edges, with zeros around it.
        "large/chunks/3000,100.zarr/c/6/1",
    ] {
        let kernel = Reads::default();
        let opened = open(&fs, path, &kernel).unwrap();
        assert!(is_staged(&opened), "{path}");
        let (copied, served) = (bytes(&kernel), served(&fs, &opened));
        assert_eq!(copied.len(), served.len(), "{path}");
        assert!(copied == served, "{path}: other bytes");
        fs.release(opened.handle);
    }
}

#[test]
fn only_slices_within_the_window_are_copied() {
    let (_env, fs) = filesystem(8 * MIB, 256 * MIB);
    for (path, expected) in [
        // Its bytes, and those of the header.
        ("large/rows/0-128.npy", true),
        ("large/rows/0-127.npy", false),
        ("large/rows/0-8192.npy", true),
        ("large/rows/0-8193.npy", false),
        // Their bytes do not lie together, and those of the last lie far apart.
        ("large/slice/::2.npy", false),
        ("large/slice/::4.npy", true),
        ("large/slice/:,:16.npy", true),
        ("large/slice/:,:7.npy", false),
        ("large/USAGE.txt", false),
        ("large.npy", true),
    ] {
        let opened = open(&fs, path, &Reads::default()).unwrap();
        assert_eq!(is_staged(&opened), expected, "{path}");
    }
    let in_haste = Reads { has_no_time: true, ..Reads::default() };
    assert!(!is_staged(&open(&fs, "large/rows/5-2000.npy", &in_haste).unwrap()));
}

#[test]
fn copies_take_no_more_than_there_is_for_them_and_the_oldest_make_room() {
    let (_env, fs) = filesystem(8 * MIB, 16 * MIB);
    let mut handles = Vec::new();
    let mut staged = 0;
    for i in 0..64 {
        let opened = open(&fs, &format!("large/rows/{i}-{}.npy", i + 4096), &Reads::default());
        let opened = opened.unwrap();
        staged += u32::from(is_staged(&opened));
        handles.push(opened.handle);
        let (used, size) = fs.staged();
        assert!(used <= size && size == 16 * MIB, "{used}");
    }
    // 4 MiB each, and their headers.
    assert_eq!(staged, 3);
    let kernel = Reads::default();
    let full = open(&fs, "large/rows/9-4100.raw", &kernel).unwrap();
    assert!(!is_staged(&full) && kernel.file.lock().unwrap().is_none());
    handles.into_iter().for_each(|handle| fs.release(handle));
    let opened = open(&fs, "large/rows/9-4101.raw", &Reads::default()).unwrap();
    assert!(is_staged(&opened), "nobody has the others open any more");
}

#[test]
fn of_copies_that_nobody_has_open_few_are_kept() {
    let (_env, fs) = filesystem(64 * MIB, 256 * MIB);
    let mut taken = Vec::new();
    for start in 0..300 {
        let path = format!("large/rows/{start}-{}.npy", start + 140);
        let opened = open(&fs, &path, &Reads::default()).unwrap();
        assert!(is_staged(&opened), "{path}");
        fs.release(opened.handle);
        taken.push(fs.staged().0);
    }
    assert_eq!((taken[1], taken[255], taken[299]), (2 * taken[0], 256 * taken[0], 256 * taken[0]));
}

#[test]
fn a_copy_is_kept_for_a_moment_and_its_memory_given_back() {
    let (_env, fs) = filesystem(64 * MIB, 256 * MIB);
    let path = "large/rows/0-8000.npy";
    let first = open(&fs, path, &Reads::default()).unwrap();
    assert!(is_staged(&first));
    let used = fs.staged().0;
    assert!(used >= 8000 << 10, "{used}");
    fs.tidy(Instant::now() + PATIENCE);
    assert_eq!(fs.staged().0, used, "it is open");
    let now = Instant::now();
    fs.release(first.handle);
    drop(first);
    // Whoever has no time to copy finds a copy.
    let in_haste = Reads { has_no_time: true, ..Reads::default() };
    let again = open(&fs, path, &in_haste).unwrap();
    assert!(is_staged(&again));
    fs.release(again.handle);
    drop((again, in_haste));
    fs.tidy(now);
    assert_eq!(fs.staged().0, used, "it is kept");
    fs.tidy(Instant::now() + Duration::from_secs(6));
    eventually("the memory is given back", || fs.staged().0 == 0);
}

/// Who has a slice open keeps what it was; whoever opens it next gets what the file holds now.
#[test]
fn the_next_open_sees_what_was_changed_while_a_copy_is_open() {
    let (env, fs) = filesystem(64 * MIB, 256 * MIB);
    let caller = Caller { thread: 4711, ..Caller::ROOT };
    let path = "large/rows/0-8000.raw";
    let ino = lookup(&fs, path).unwrap();
    let old = Reads::default();
    let held = fs.open(ino, Access::Read, caller, Some(&old)).unwrap();
    assert!(is_staged(&held));
    let file = File::options().write(true).open(env.data().join("large.npy")).unwrap();
    for value in 1..4_u64 {
        file.write_all_at(&value.to_le_bytes(), 128 + 800).unwrap();
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes[800..808].try_into().unwrap());
        // The kernel has its number still, and walks the path once more when that is out of date.
        let refused = fs.open(ino, Access::Read, caller, Some(&Reads::default()));
        assert!(matches!(refused, Err(Error::Stale)), "{refused:?}");
        let names = ["large", "rows", "0-8000.raw"];
        let mut found = npyfs::inode::ROOT;
        for name in names {
            found = fs.lookup(found, name.as_ref(), caller).unwrap().0;
        }
        assert_ne!(found, ino);
        let opened = fs.open(found, Access::Read, caller, Some(&Reads::default())).unwrap();
        assert_eq!(number(&served(&fs, &opened)), value);
        assert_eq!(number(&bytes(&old)), 100, "the copy of then stays as it is");
        fs.release(opened.handle);
    }
    // Where there is no path to walk, as in /proc/self/fd, what is open is opened once more.
    assert!(matches!(
        fs.open(ino, Access::Read, caller, Some(&Reads::default())),
        Err(Error::Stale)
    ));
    let again = fs.open(ino, Access::Read, caller, Some(&Reads::default())).unwrap();
    assert!(is_staged(&again));
}

/// A copy that is kept, with nobody reading it, is not what the next open gets of a file that has changed.
#[test]
fn a_copy_that_is_kept_is_of_no_use_once_the_file_has_changed() {
    let (env, fs) = filesystem(64 * MIB, 256 * MIB);
    let path = "large/rows/0-8000.raw";
    let before = open(&fs, path, &Reads::default()).unwrap();
    assert!(is_staged(&before));
    fs.release(before.handle);
    let file = File::options().write(true).open(env.data().join("large.npy")).unwrap();
    file.write_all_at(&77_u64.to_le_bytes(), 128 + 800).unwrap();
    drop(file);
    settle();
    let kernel = Reads::default();
    let after = open(&fs, path, &kernel).unwrap();
    assert!(is_staged(&after));
    assert_eq!(bytes(&kernel)[800..808], 77_u64.to_le_bytes());
}

#[test]
fn what_somebody_may_change_without_a_trace_is_not_copied() {
    let (env, fs) = filesystem(64 * MIB, 256 * MIB);
    let path = env.data().join("large.npy");
    let writer = File::options().write(true).open(&path).unwrap();
    assert!(!is_staged(&open(&fs, "large/rows/0-8000.npy", &Reads::default()).unwrap()));
    drop(writer);
    assert!(is_staged(&open(&fs, "large/rows/0-8001.npy", &Reads::default()).unwrap()));
    // It has just been changed: another change might have the same time.
    let now = File::options().write(true).open(&path).unwrap();
    now.write_all_at(&[1], 4000).unwrap();
    drop(now);
    assert!(!is_staged(&open(&fs, "large/rows/0-8002.npy", &Reads::default()).unwrap()));
}

#[test]
fn what_is_not_in_memory_is_not_copied() {
    let (env, fs) = filesystem(64 * MIB, 256 * MIB);
    let file = File::open(env.data().join("large.npy")).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    assert!(!is_staged(&open(&fs, "large/rows/0-8000.npy", &Reads::default()).unwrap()));
    std::fs::read(env.data().join("large.npy")).unwrap();
    assert!(is_staged(&open(&fs, "large/rows/0-8001.npy", &Reads::default()).unwrap()));
}

/// So that whoever waits for a copy holds up nobody else.
#[test]
fn an_open_that_may_have_to_wait_for_a_large_copy_is_one_that_takes_long() {
    let (_env, fs) = filesystem(8 * MIB, 256 * MIB);
    let ino = |path| lookup(&fs, path).unwrap();
    let first = fs.leave_to_copy(ino("large/rows/0-8000.npy")).unwrap();
    let second = fs.leave_to_copy(ino("large/rows/0-8000.npy")).unwrap();
    assert_eq!((first.copies(), second.copies()), (true, false));
    assert!(first.is_long() && second.is_long());
    assert!(fs.leave_to_copy(ino("large/rows/0-10.npy")).is_none());
    drop((first, second));
    assert!(fs.leave_to_copy(ino("large/rows/0-8000.npy")).unwrap().copies());
    assert!(!fs.leave_to_copy(ino("large/rows/0-4000.npy")).unwrap().is_long());
}

#[test]
fn a_kernel_that_refuses_a_copy_is_offered_no_other() {
    let (_env, fs) = filesystem(64 * MIB, 256 * MIB);
    let refuses = Reads { refuses: true, ..Reads::default() };
    let opened = open(&fs, "large/rows/0-8000.npy", &refuses).unwrap();
    assert!(matches!(opened.way, Way::Pages));
    let kernel = Reads::default();
    assert!(matches!(open(&fs, "large/rows/0-8001.npy", &kernel).unwrap().way, Way::Pages));
    assert!(kernel.file.lock().unwrap().is_none());
}

/// The copies that a daemon has open, and all that the system's table of mounts says.
fn copies(mounted: &common::Mounted) -> usize {
    mounted
        .open_files()
        .iter()
        .filter(|file| file.contains("/#") && file.contains("deleted"))
        .count()
}

/// The device of the filesystem that a daemon's only copy is on, as a table of mounts has it.
fn device_of_the_copy(mounted: &common::Mounted) -> String {
    let entries = std::fs::read_dir(format!("/proc/{}/fd", mounted.child.id())).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    let is_copy = |path: &std::path::PathBuf| {
        std::fs::read_link(path).is_ok_and(|link| link.to_string_lossy().starts_with("/#"))
    };
    let device = std::fs::metadata(paths.find(is_copy).unwrap()).unwrap().dev();
    format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device))
}

#[test]
fn a_mount_stages_what_is_read_in_any_way_and_nobody_sees_where() {
    let env = TestEnv::new();
    std::fs::write(env.data().join("large.npy"), counting(&SHAPE)).unwrap();
    settle();
    let mounted = env.mount(&[]);
    let expected = counting(&SHAPE)[128 + (5 << 10)..][..8000 << 10].to_vec();
    let path = mounted.path("large/rows/5-8005.raw");
    let mut file = File::open(&path).unwrap();
    assert_eq!(copies(&mounted), 1, "{:?}", mounted.open_files());
    let device = device_of_the_copy(&mounted);
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!table.contains(&format!(" {device} ")), "{table}");
    assert_eq!(file.metadata().unwrap().len(), expected.len() as u64);
    let mut read = Vec::new();
    file.read_to_end(&mut read).unwrap();
    assert!(read == expected, "read");
    // SAFETY: nobody cuts it off.
    #[expect(unsafe_code)]
    let map = unsafe { memmap2::Mmap::map(&file) }.unwrap();
    drop(file);
    assert!(map[..] == expected, "mmap");
    assert!(std::fs::read(&path).unwrap() == expected, "once more");
    let to = env.path("to");
    std::fs::copy(&path, &to).unwrap();
    assert!(std::fs::read(&to).unwrap() == expected, "copied by the kernel");
    let out = common::run(Command::new("dd").args([
        format!("if={}", path.display()),
        format!("of={}", to.display()),
        "bs=1M".to_owned(),
        "iflag=direct".to_owned(),
    ]));
    assert!(out.status.success(), "{}", common::stderr(&out));
    assert!(std::fs::read(&to).unwrap() == expected, "O_DIRECT");
    eventually("the copy is given up", || copies(&mounted) == 0);
    assert!(map[..] == expected, "a map outlives it");
}

#[test]
fn copies_leave_descriptors_for_what_else_is_opened() {
    const LIMIT: usize = 80;
    let env = TestEnv::new();
    std::fs::write(env.data().join("large.npy"), counting(&SHAPE)).unwrap();
    settle();
    let script = format!(r#"ulimit -n {LIMIT}; exec "$0" mount -f "$@""#);
    let mounted = env.mount_by(Command::new("bash").args(["-c", &script, program()]));
    let open = |start| {
        let path = mounted.path(&format!("large/rows/{start}-{}.raw", start + 140));
        File::open(path).unwrap_or_else(|err| panic!("{start}: {err}"))
    };
    let files: Vec<_> = (0..2 * LIMIT).map(open).collect();
    let expected = counting(&SHAPE);
    assert_eq!(copies(&mounted), LIMIT / 4);
    for (start, mut file) in files.into_iter().enumerate() {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert!(bytes == expected[128 + (start << 10)..][..140 << 10], "{start}");
    }
}

#[test]
fn a_mount_that_is_to_stage_nothing_or_is_writable_stages_nothing() {
    let env = TestEnv::new();
    std::fs::write(env.data().join("large.npy"), counting(&SHAPE)).unwrap();
    settle();
    for options in [&["-o", "stage_bytes=0"][..], &["--writable"]] {
        let mounted = env.mount(options);
        let _open = File::open(mounted.path("large/rows/5-8005.raw")).unwrap();
        assert_eq!(copies(&mounted), 0, "{options:?}");
    }
}
