//! Listings of directories of the source: what they cost, and what a reader finds in them who is slow, or begins
//! anew, while the directory changes.

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File, ReadDir};
use std::mem::MaybeUninit;
use std::path::Path;
use std::time::SystemTime;

use common::{TestEnv, eventually};
use rustix::fs::{Dir, RawDir};

/// Makes a directory of empty files `0.npy`, `1.npy`, …
fn many_files(directory: &Path, count: usize) {
    fs::create_dir(directory).unwrap();
    (0..count).for_each(|i| drop(File::create(directory.join(format!("{i:07}.npy"))).unwrap()));
}

/// Waits until a change of a directory would show in its times.
fn settled(directory: &Path) {
    let changed = fs::metadata(directory).unwrap().modified().unwrap();
    let age = || SystemTime::now().duration_since(changed).unwrap_or_default();
    eventually("the directory's times to be settled", || age().as_millis() > 1100);
}

/// Opens a directory, and reads its first entries.
fn begin(directory: &Path) -> ReadDir {
    let mut entries = fs::read_dir(directory).unwrap();
    entries.next().unwrap().unwrap();
    entries
}

const FILES: usize = 50_000;

#[test]
fn all_who_read_a_directory_share_one_listing_and_it_is_given_back() {
    let env = TestEnv::new();
    many_files(&env.data().join("many"), FILES);
    let mounted = env.mount(&[]);
    let many = mounted.path("many");
    let start = mounted.anonymous_kib() / 1024;
    // Sooner than a change would show, too.
    let mut readers: Vec<ReadDir> = (0..60).map(|_| begin(&many)).collect();
    settled(&env.data().join("many"));
    readers.extend((0..60).map(|_| begin(&many)));
    let held = (mounted.anonymous_kib() / 1024).saturating_sub(start);
    assert!(held < 32, "120 readers take {held} MiB");
    for reader in readers.iter_mut().take(3) {
        assert_eq!(reader.count(), 2 * FILES - 1);
    }
    drop(readers);
    eventually("the memory to be given back", || mounted.anonymous_kib() / 1024 < start + 16);
}

#[test]
fn a_directory_that_is_only_open_takes_nothing() {
    let env = TestEnv::new();
    many_files(&env.data().join("many"), FILES);
    let mounted = env.mount(&[]);
    let start = mounted.anonymous_kib() / 1024;
    let opened: Vec<File> = (0..300).map(|_| File::open(mounted.path("many")).unwrap()).collect();
    let held = (mounted.anonymous_kib() / 1024).saturating_sub(start);
    assert!(held < 4, "300 open directories take {held} MiB");
    drop(opened);
}

#[test]
fn a_directory_that_is_read_again_shows_what_is_there_now() {
    let env = TestEnv::new();
    let mounted = env.mount(&[]);
    let mut directory = Dir::read_from(File::open(&mounted.mountpoint).unwrap()).unwrap();
    let mut names = |rewind: bool| -> BTreeSet<String> {
        if rewind {
            directory.rewind();
        }
        let names = directory
            .by_ref()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| !name.starts_with('.')).collect()
    };
    let of = |names: &[&str]| -> BTreeSet<String> {
        names.iter().map(|name| name.to_string()).collect()
    };
    assert_eq!(names(false), of(&["big", "big.npy"]));
    fs::write(env.data().join("new.npy"), "").unwrap();
    fs::rename(env.data().join("big.npy"), env.data().join("other")).unwrap();
    assert_eq!(names(true), of(&["new", "new.npy", "other"]));
}

#[test]
fn what_stays_is_listed_once_for_whoever_reads_in_little_pieces_while_the_rest_comes_and_goes() {
    let env = TestEnv::new();
    let many = env.data().join("many");
    many_files(&many, 2000);
    let mounted = env.mount(&[]);
    for round in 0..4 {
        let directory = File::open(mounted.path("many")).unwrap();
        // Less than the daemon answers at once, so that a reader goes on from within its answers.
        let mut buffer = vec![MaybeUninit::uninit(); 700];
        let mut entries = RawDir::new(&directory, &mut buffer);
        let mut seen = Vec::new();
        while let Some(entry) = entries.next() {
            seen.push(entry.unwrap().file_name().to_string_lossy().into_owned());
            if seen.len() % 100 == 0 {
                let name = |of: &str| many.join(format!("{of}-{round}-{}.npy", seen.len()));
                fs::write(name("stays"), "").unwrap();
                fs::write(name("goes"), "").unwrap();
                fs::remove_file(name("goes")).unwrap();
            }
        }
        let once: BTreeSet<&str> = seen.iter().map(String::as_str).collect();
        assert_eq!(once.len(), seen.len(), "nothing is listed twice");
        for i in 0..2000 {
            let name = format!("{i:07}");
            assert!(once.contains(&*name) && once.contains(&*(name + ".npy")), "{i}");
        }
    }
}
