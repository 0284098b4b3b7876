//! Slices without end leave nothing behind: what was opened and forgotten takes no memory.

mod common;

use std::time::Instant;

use common::{TestEnv, counting, dtype, eventually, in_some_try, lookup};
use npyfs::caller::Caller;
use npyfs::fs::{Access, Fs};
use npyfs::inode::Ino;
use npyfs::npy::header::{self, Order};
use npyfs::tree::Options;

/// The distinct slices of an array of 1500 rows by their names, of which there are more than a million.
fn slices() -> impl Iterator<Item = String> {
    (0..1500).flat_map(|start| (start..=1500).map(move |stop| format!("{start}-{stop}")))
}

fn make_array(env: &TestEnv) {
    std::fs::write(env.data().join("long.npy"), counting(&[1500])).unwrap();
}

/// The filesystem of the environment, and its directory of the array's rows.
fn rows_of(env: &TestEnv) -> (Fs, Ino) {
    let fs = env.filesystem(Options::default());
    let rows = lookup(&fs, "long/rows").unwrap();
    (fs, rows)
}

fn entry(fs: &Fs, rows: Ino, name: &str) -> Ino {
    fs.lookup(rows, name.as_ref(), Caller::ROOT).unwrap().0
}

/// A million takes seconds if the program is optimised, and a minute if it is not.
const MANY: usize = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };

#[test]
fn a_million_slices_opened_and_forgotten_leave_no_trace() {
    let env = TestEnv::new();
    make_array(&env);
    let (fs, rows) = rows_of(&env);
    let before = fs.remembered();
    let mut last = rows;
    for name in slices().take(MANY) {
        let ino = entry(&fs, rows, &(name + ".raw"));
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

/// Looks up names in a directory until the kernel would be asked to forget some, and returns how many those were and
/// which it would be asked for.
fn fill(fs: &Fs, parent: Ino, names: impl Iterator<Item = String>) -> (usize, Vec<String>) {
    for (count, name) in names.enumerate() {
        entry(fs, parent, &name);
        if count.is_multiple_of(1000) {
            let surplus = fs.tidy(Instant::now()).surplus;
            if !surplus.is_empty() {
                let names = surplus.into_iter().map(|(_, name)| name.to_str().unwrap().to_owned());
                return (count + 1, names.collect());
            }
        }
    }
    panic!("there is no bound");
}

#[test]
fn the_oldest_that_nobody_uses_are_forgotten_once_there_are_very_many() {
    let env = TestEnv::new();
    make_array(&env);
    let (fs, rows) = rows_of(&env);
    let names = || slices().map(|name| name + ".npy");
    let first = entry(&fs, rows, &names().next().unwrap());
    let opened = fs.open(first, Access::Read, Caller::ROOT, None).unwrap().handle;
    let (count, oldest) = fill(&fs, rows, names());
    assert!((100_000..200_000).contains(&count), "{count}");
    assert!((1..=1000).contains(&oldest.len()), "{}", oldest.len());
    let expected = names().skip(1).take(oldest.len());
    assert!(oldest.iter().cloned().eq(expected), "the oldest but the one that is open");
    fs.release(opened);
}

#[test]
fn what_takes_more_memory_is_forgotten_sooner() {
    let env = TestEnv::new();
    make_array(&env);
    let room = |names: &mut dyn Iterator<Item = String>| {
        let (fs, rows) = rows_of(&env);
        fill(&fs, rows, names).0
    };
    let files = room(&mut slices().map(|name| name + ".npy"));
    // They also have their selection, and a table of names.
    let directories = room(&mut slices());
    assert!(2 * files > 3 * directories, "{files} files, {directories} directories");
}

#[test]
fn few_headers_are_kept_that_are_very_long() {
    let env = TestEnv::new();
    let fields: Vec<_> = (0..5000).map(|field| format!("('f{field}', '<f4')")).collect();
    let descr = format!("[{}]", fields.join(", "));
    let header = header::write(&dtype(&descr), &[0], Order::C);
    let fs = env.filesystem(Options::default());
    for count in 0..1000 {
        std::fs::write(env.data().join(format!("{count}.npy")), &header).unwrap();
        // Its directories of selectors own the header.
        lookup(&fs, &format!("{count}/rows")).unwrap();
        let surplus = fs.tidy(Instant::now()).surplus;
        if !surplus.is_empty() {
            assert!(count > 1, "some are kept");
            return;
        }
    }
    panic!("all headers are kept, {} bytes each", header.len());
}

#[test]
fn memory_has_a_bound_however_many_slices_there_were() {
    let env = TestEnv::new();
    make_array(&env);
    let mounted = env.mount(&[]);
    let start = mounted.anonymous_kib();
    let mut names = slices();
    // Each of them takes memory for as long as the kernel remembers it, and a directory of slices
    // three times as much.
    for further in [".npy", "/T.npy", ".raw", "/slice/::2.npy"] {
        for (count, name) in names.by_ref().take(50_000).enumerate() {
            std::fs::metadata(mounted.path(&format!("long/rows/{name}{further}"))).unwrap();
            // All of them together would take 130 MiB. What is remembered takes 40, and the allocator keeps what it
            // once had for those that came faster than others were forgotten.
            if count.is_multiple_of(1000) {
                let is_small = || mounted.anonymous_kib() < start + (96 << 10);
                eventually(&format!("little memory after {count} of {further}"), is_small);
            }
        }
    }
}

/// A deleted one is closed eight seconds before the other; a look that comes later than that sees neither.
#[test]
fn a_file_stays_open_for_a_while_and_a_deleted_one_gives_its_space_back() {
    let env = TestEnv::new();
    make_array(&env);
    let mounted = env.mount(&[]);
    in_some_try("the deleted file closed, and the other still open", || {
        std::fs::copy(env.data().join("long.npy"), env.data().join("deleted.npy")).unwrap();
        for name in ["long", "deleted"] {
            std::fs::read(mounted.path(&format!("{name}/rows/0-1.npy"))).unwrap();
        }
        std::fs::remove_file(env.data().join("deleted.npy")).unwrap();
        let mut is_open = [true; 2];
        eventually("the deleted file to be closed", || {
            let links = mounted.open_files();
            is_open = ["deleted.npy", "long.npy"]
                .map(|name| links.iter().any(|link| link.contains(name)));
            !is_open[0]
        });
        is_open[1]
    });
}
