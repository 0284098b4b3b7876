//! Slices without end leave nothing behind: what was opened and forgotten takes no memory.

mod common;

use std::time::{Duration, Instant};

use common::{Mounted, TestEnv, counting};
use npyfs::caller::Caller;
use npyfs::fs::{Access, Fs};
use npyfs::inode::{Ino, ROOT};
use npyfs::source::{self, Source};
use npyfs::tree::{Options, Tree};

/// The distinct slices of an array of 1500 rows by their names, of which there are more than a million.
fn slices() -> impl Iterator<Item = String> {
    (0..1500).flat_map(|start| (start..=1500).map(move |stop| format!("{start}-{stop}")))
}

fn make_array(env: &TestEnv) {
    std::fs::write(env.data().join("long.npy"), counting(&[1500])).unwrap();
}

fn filesystem(env: &TestEnv) -> Fs {
    let source = Source::open(&env.data(), source::Options::default()).unwrap();
    Fs::new(Tree::new(source, Options::default()))
}

fn lookup(fs: &Fs, parent: Ino, name: &str) -> Ino {
    fs.lookup(parent, name.as_ref(), Caller::ROOT).unwrap().0
}

/// A million takes seconds if the program is optimised, and a minute if it is not.
const MANY: usize = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };

#[test]
fn a_million_slices_opened_and_forgotten_leave_no_trace() {
    let env = TestEnv::new();
    make_array(&env);
    let fs = filesystem(&env);
    let rows = lookup(&fs, lookup(&fs, ROOT, "long"), "rows");
    let before = fs.remembered();
    let mut last = rows;
    for name in slices().take(MANY) {
        let ino = lookup(&fs, rows, &(name + ".raw"));
        assert!(ino > last, "a number never comes back");
        last = ino;
        let handle = fs.open(ino, Access::Read, Caller::ROOT, None).unwrap().handle;
        fs.read(handle, 0, 8, |_| ()).unwrap();
        fs.release(handle);
        fs.forget(ino, 1);
    }
    assert_eq!(fs.remembered(), before);
    assert!(
        fs.tidy(Instant::now()).surplus.is_empty(),
        "nor is there anything that the kernel could be asked to forget"
    );
}

#[test]
fn the_kernel_is_asked_to_forget_when_nobody_is_at_work_or_there_is_no_more_room() {
    let env = TestEnv::new();
    make_array(&env);
    let fs = filesystem(&env);
    let rows = lookup(&fs, lookup(&fs, ROOT, "long"), "rows");
    let (mut names, mut now) = (slices(), Instant::now());
    let mut work = |count, millis| {
        for name in names.by_ref().take(count) {
            lookup(&fs, rows, &(name + ".npy"));
        }
        now += Duration::from_millis(millis);
        fs.tidy(now)
    };
    let tidied = work(15_000, 1000);
    assert!(tidied.surplus.is_empty() && !tidied.soon);
    let mut all = 15_000;
    let mut has_room = |all: &mut usize| {
        *all += 10_000;
        let tidied = work(10_000, 300);
        (tidied.surplus.len(), tidied.soon)
    };
    while !has_room(&mut all).1 {}
    assert!((40_000..120_000).contains(&all), "there is room until the work is done: {all}");
    let mut surplus = 0;
    while surplus == 0 {
        surplus = has_room(&mut all).0;
    }
    assert!((100_000..250_000).contains(&all), "there is no more room: {all}");
    let mut rest = |millis| {
        let tidied = work(0, millis);
        surplus += tidied.surplus.len();
        (all - surplus, tidied.soon)
    };
    assert!(rest(0).0 > 100_000 && rest(900).0 > 100_000, "a moment is no rest");
    while rest(200).1 {}
    let kept = rest(0).0;
    assert!((20_000..60_000).contains(&kept), "at rest some are kept: {kept}");
    let tidied = work(10, 1000);
    let count = tidied.surplus.len();
    assert!((5..=20).contains(&count) && tidied.soon, "some come and go all the time: {count}");
    assert!(!work(0, 1000).soon);
}

/// How many of the names that end in this may be remembered, while somebody is at work, before the kernel is
/// asked to forget any.
fn room_for(further: &str) -> usize {
    let env = TestEnv::new();
    make_array(&env);
    let fs = filesystem(&env);
    let rows = lookup(&fs, lookup(&fs, ROOT, "long"), "rows");
    let (mut names, mut now, mut count) = (slices(), Instant::now(), 0);
    while fs.tidy(now).surplus.is_empty() {
        for name in names.by_ref().take(1000) {
            lookup(&fs, rows, &(name + further));
        }
        count += 1000;
        now += Duration::from_millis(100);
    }
    count
}

#[test]
fn what_takes_more_memory_is_forgotten_sooner() {
    let [files, directories] = [".npy", ""].map(room_for);
    // By some 250 and 720 bytes each, of which 220 are what the directory selects.
    assert!(files > 5 * directories / 2, "{files} files, {directories} directories");
}

/// Memory of a process that is its own, not pages of files it maps, in KiB.
fn anonymous_kib(mounted: &Mounted) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", mounted.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn memory_has_a_bound_however_many_slices_there_were() {
    let env = TestEnv::new();
    make_array(&env);
    let mounted = env.mount(&[]);
    let start = anonymous_kib(&mounted);
    let mut names = slices();
    // Each of them takes memory for as long as the kernel remembers it, and a directory of slices
    // three times as much.
    for further in [".npy", "/T.npy", ".raw", "/slice/::2.npy"] {
        for (count, name) in names.by_ref().take(50_000).enumerate() {
            std::fs::metadata(mounted.path(&format!("long/rows/{name}{further}"))).unwrap();
            let is_small = || anonymous_kib(&mounted) < start + (64 << 10);
            assert!(!count.is_multiple_of(1000) || is_small(), "after {count} of {further}");
        }
    }
}

/// Where the descriptors of a mount's process lead.
fn open_files(mounted: &Mounted) -> Vec<String> {
    let entries = std::fs::read_dir(format!("/proc/{}/fd", mounted.child.id())).unwrap();
    let links = entries.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    links.map(|link| link.to_string_lossy().into_owned()).collect()
}

#[test]
fn a_file_stays_open_for_a_while_and_a_deleted_one_gives_its_space_back() {
    let env = TestEnv::new();
    make_array(&env);
    std::fs::copy(env.data().join("long.npy"), env.data().join("deleted.npy")).unwrap();
    let mounted = env.mount(&[]);
    let begin = Instant::now();
    for name in ["long", "deleted"] {
        std::fs::read(mounted.path(&format!("{name}/rows/0-1.npy"))).unwrap();
    }
    std::fs::remove_file(env.data().join("deleted.npy")).unwrap();
    let is_open = |name: &str| open_files(&mounted).iter().any(|link| link.contains(name));
    assert!(is_open("deleted.npy"));
    while is_open("deleted.npy") {
        assert!(begin.elapsed() < Duration::from_secs(8), "that is as long as others stay open");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(is_open("long.npy"));
}
