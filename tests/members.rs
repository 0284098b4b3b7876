//! Members of archives that change under their readers.

mod common;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use common::{TestEnv, archive, counting, lookup};
use npyfs::caller::Caller;
use npyfs::error::Error;
use npyfs::fs::{Access, Fs, Handle};
use npyfs::source::{self, ArrayFile, Found, Source};
use npyfs::tree::Options;

fn filesystem(env: &TestEnv) -> Fs {
    env.filesystem(Options::default())
}

fn open(fs: &Fs, path: &str) -> Handle {
    let ino = lookup(fs, path).unwrap();
    fs.open(ino, Access::Read, Caller::ROOT, None).unwrap().handle
}

fn read(fs: &Fs, handle: Handle) -> Result<Vec<u8>, Error> {
    fs.read(handle, 0, 1 << 20, <[u8]>::to_vec)
}

fn numbers(range: std::ops::Range<u64>) -> Vec<u8> {
    range.flat_map(u64::to_le_bytes).collect()
}

#[test]
fn a_replaced_archive_is_a_new_one_and_readers_of_the_old_one_keep_it() {
    let env = TestEnv::new();
    let path = env.data().join("x.npz");
    let (a, b) = (counting(&[10, 10]), counting(&[5]));
    std::fs::write(&path, archive(&[("a.npy", &a), ("old.txt", b"old")])).unwrap();
    let fs = filesystem(&env);
    let paths = ["x/a/rows/2.raw", "x/a.npy", "x/old.txt", "x/a.raw"];
    let handles = paths.map(|path| open(&fs, path));
    std::fs::write(env.path("new"), archive(&[("b.npy", &b), ("a.npy", &b)])).unwrap();
    std::fs::rename(env.path("new"), &path).unwrap();
    let kept = handles.map(|handle| read(&fs, handle).unwrap());
    assert_eq!(kept, [numbers(20..30), a, b"old".to_vec(), numbers(0..100)]);
    assert!(lookup(&fs, "x/old.txt").is_err() && lookup(&fs, "x/a/cols").is_err());
    assert_eq!(read(&fs, open(&fs, "x/a/rows/2.raw")).unwrap(), numbers(2..3));
    assert_eq!(read(&fs, open(&fs, "x/b.npy")).unwrap(), b);
}

/// The bytes of the array are those that they were, at the same place.
#[test]
fn a_member_of_another_name_at_the_same_place_is_another_one() {
    let env = TestEnv::new();
    let path = env.data().join("x.npz");
    let a = counting(&[10, 10]);
    std::fs::write(&path, archive(&[("a.npy", &a)])).unwrap();
    let fs = filesystem(&env);
    let paths = ["x/a/rows/2.raw", "x/a.npy", "x/a/T.npy"];
    let handles = paths.map(|path| open(&fs, path));
    assert_eq!(read(&fs, handles[0]).unwrap(), numbers(20..30));
    std::fs::write(&path, archive(&[("b.npy", &a)])).unwrap();
    for handle in handles {
        assert!(matches!(read(&fs, handle), Err(Error::Rewritten { .. })));
    }
    for path in paths {
        assert!(matches!(lookup(&fs, path), Err(Error::NotFound(_))), "{path}");
    }
    assert_eq!(read(&fs, open(&fs, "x/b/rows/2.raw")).unwrap(), numbers(20..30));
}

#[test]
fn a_member_at_another_place_is_another_version() {
    let env = TestEnv::new();
    let path = env.data().join("x.npz");
    let a = counting(&[10, 10]);
    std::fs::write(&path, archive(&[("a.npy", &a)])).unwrap();
    let fs = filesystem(&env);
    let ino = lookup(&fs, "x/a/rows/2.raw").unwrap();
    let handle = fs.open(ino, Access::Read, Caller::ROOT, None).unwrap().handle;
    std::fs::write(&path, archive(&[("first.txt", b"some text"), ("a.npy", &a)])).unwrap();
    assert!(matches!(read(&fs, handle), Err(Error::Rewritten { .. })));
    let now = lookup(&fs, "x/a/rows/2.raw").unwrap();
    assert_ne!(now, ino, "to the kernel it is another file");
    assert_eq!(read(&fs, open(&fs, "x/a/rows/2.raw")).unwrap(), numbers(20..30));
}

#[test]
fn a_member_that_is_cut_off_is_an_error_and_mended_it_is_there_again() {
    let env = TestEnv::new();
    let path = env.data().join("x.npz");
    let whole = archive(&[("a.npy", &counting(&[10, 10])), ("b.npy", &counting(&[10, 10]))]);
    std::fs::write(&path, &whole).unwrap();
    let fs = filesystem(&env);
    let handles =
        ["x/a/rows/2.raw", "x/a.npy", "x/b/rows/2.raw", "x/b.npy"].map(|it| open(&fs, it));
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(whole.len() as u64 / 2).unwrap();
    assert!(lookup(&fs, "x/a.npy").is_err(), "it is no archive");
    for (handle, is_there) in handles.into_iter().zip([true, true, false, false]) {
        match read(&fs, handle) {
            Ok(_) => assert!(is_there),
            Err(err) => assert!(!is_there && matches!(err, Error::Short { .. }), "{err}"),
        }
    }
    file.write_all_at(&whole, 0).unwrap();
    for handle in handles {
        read(&fs, handle).unwrap();
    }
}

/// More members than there are headers that are known of a file.
#[test]
fn every_one_of_many_members_is_read_as_it_is_now() {
    const COUNT: u64 = 30;
    let env = TestEnv::new();
    let path = env.data().join("x.npz");
    let names: Vec<String> = (0..COUNT).map(|i| format!("{i}.npy")).collect();
    let array = counting(&[4]);
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, &*array)).collect();
    let whole = archive(&members);
    std::fs::write(&path, &whole).unwrap();
    let fs = filesystem(&env);
    let handles: Vec<Handle> = (0..COUNT).map(|i| open(&fs, &format!("x/{i}/T.raw"))).collect();
    let file = File::options().write(true).open(&path).unwrap();
    // What follows the name where that is met first.
    let place = |i: u64| {
        let name = format!("{i}.npy");
        let at = whole.windows(name.len()).position(|it| it == name.as_bytes());
        (at.unwrap() + name.len()) as u64
    };
    for i in 10..COUNT {
        // Another value in one, another header in the next.
        match i % 2 {
            0 => file.write_all_at(&numbers(100 + i..101 + i), place(i) + 128).unwrap(),
            _ => file.write_all_at(b"<u8", place(i) + 21).unwrap(),
        }
    }
    for round in 0..2 {
        for (handle, i) in handles.iter().zip(0..COUNT) {
            let read = read(&fs, *handle);
            match (i < 10, i % 2) {
                (true, _) => assert_eq!(read.unwrap(), numbers(0..4), "{i} {round}"),
                (_, 0) => assert_eq!(read.unwrap()[..8], numbers(100 + i..101 + i), "{i} {round}"),
                _ => assert!(matches!(read, Err(Error::Rewritten { .. })), "{i} {round}"),
            }
        }
    }
}

#[test]
fn the_central_directory_is_read_once_for_each_version_of_the_file() {
    let env = TestEnv::new();
    let path = env.data().join("x.npz");
    let write = |members: &[(&str, &[u8])]| std::fs::write(&path, archive(members)).unwrap();
    write(&[("a.npy", &counting(&[5]))]);
    let source = Source::open(&env.data(), source::Options::default()).unwrap();
    let file = || -> ArrayFile {
        match source.find(&source.root(), "x".as_ref()).unwrap() {
            Found::Beside(file, _) => file,
            found @ Found::Entry(_) => panic!("{found:?}"),
        }
    };
    let read = || source.archive(&file()).unwrap().0.unwrap();
    assert!(!Arc::ptr_eq(&read(), &read()), "it may have changed, and left no trace");
    std::thread::sleep(Duration::from_millis(1100));
    let settled = read();
    assert!(Arc::ptr_eq(&settled, &read()));
    write(&[("a.npy", &counting(&[5])), ("b.npy", &counting(&[5]))]);
    assert_eq!((settled.len(), read().len()), (1, 2));
}
