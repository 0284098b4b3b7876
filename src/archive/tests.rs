use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::storage::ReadError;

/// Bytes in memory, and how many of them were read.
#[derive(Debug)]
struct Memory {
    bytes: Vec<u8>,
    read: AtomicU64,
}

fn memory(bytes: Vec<u8>) -> Memory {
    Memory { bytes, read: AtomicU64::new(0) }
}

impl Storage for Memory {
    fn size(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), ReadError> {
        let part = self.bytes.get(at as usize..).and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(part.ok_or(ReadError::Short { has: self.bytes.len() as u64 })?);
        self.read.fetch_add(out.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn read_now(&self, _: u64, _: &mut [u8]) -> bool {
        false
    }
}

/// A member as it is written to an archive, and what is said of it.
#[derive(Clone)]
struct Item {
    name: Vec<u8>,
    data: Vec<u8>,
    flags: u16,
    method: u16,
    /// Compressed and not, in the central directory.
    sizes: [u64; 2],
    /// Where its header is said to be, if elsewhere.
    header: Option<u64>,
    local_name: Vec<u8>,
    local_extra: usize,
}

fn item(name: impl AsRef<[u8]>, data: &[u8]) -> Item {
    let name = name.as_ref().to_vec();
    let sizes = [data.len() as u64; 2];
    let local_name = name.clone();
    Item {
        name,
        data: data.into(),
        flags: 0,
        method: 0,
        sizes,
        header: None,
        local_name,
        local_extra: 0,
    }
}

fn u16s(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn u32s(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn u64s(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// The local headers and the data of all, and the central directory.
fn parts(items: &[Item]) -> (Vec<u8>, Vec<u8>) {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for item in items {
        let at = item.header.unwrap_or(file.len() as u64);
        file.extend(b"PK\x03\x04");
        file.extend(u16s(&[20, item.flags, item.method, 0, 0]));
        file.extend(u32s(&[0, 0, 0]));
        file.extend(u16s(&[item.local_name.len() as u16, item.local_extra as u16]));
        file.extend(&item.local_name);
        file.extend(vec![0; item.local_extra]);
        file.extend(&item.data);
        directory.extend(b"PK\x01\x02");
        directory.extend(u16s(&[20, 20, item.flags, item.method, 0, 0]));
        directory.extend(u32s(&[0, u32::MAX, u32::MAX]));
        directory.extend(u16s(&[item.name.len() as u16, 28, 0, 0, 0]));
        directory.extend(u32s(&[0, u32::MAX]));
        directory.extend(&item.name);
        directory.extend(u16s(&[1, 24]));
        directory.extend(u64s(&[item.sizes[1], item.sizes[0], at]));
    }
    (file, directory)
}

/// The end record: of which disk, how much there is of the directory, and where.
fn end_record(disk: u16, count: u16, size: u32, at: u32) -> Vec<u8> {
    [b"PK\x05\x06".to_vec(), u16s(&[disk, 0, count, count]), u32s(&[size, at]), u16s(&[0])].concat()
}

fn archive_of(items: &[Item]) -> Vec<u8> {
    let (file, directory) = parts(items);
    let end = end_record(0, items.len() as u16, directory.len() as u32, file.len() as u32);
    [file, directory, end].concat()
}

fn read(items: &[Item]) -> (Memory, Archive) {
    let file = memory(archive_of(items));
    let archive = Archive::read(&file).unwrap();
    (file, archive)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// All members below the root, each as it is found by listing.
fn walk(archive: &Archive) -> Vec<String> {
    let (mut found, mut waiting) = (Vec::new(), vec![(archive.root(), String::new())]);
    while let Some((directory, above)) = waiting.pop() {
        for listed in archive.entries(directory, 0) {
            let path = format!("{above}{}", text(listed.name));
            match (listed.entry, archive.entry(directory, listed.name).unwrap()) {
                (Entry::Member(member), Entry::Member(same)) => {
                    assert_eq!(text(member.name()), path);
                    assert_eq!(member.name(), same.name());
                    assert_eq!(archive.member(path.as_bytes()).unwrap().name(), member.name());
                    found.push(path);
                }
                (Entry::Directory(below), Entry::Directory(same)) => {
                    assert_eq!(below, same);
                    waiting.push((below, path + "/"));
                }
                other => panic!("{path} is {other:?}"),
            }
        }
    }
    found.sort();
    found
}

fn data<'a>(file: &'a Memory, archive: &Archive, name: &str) -> &'a [u8] {
    let range = archive.member(name.as_bytes()).unwrap().data_range(file).unwrap();
    &file.bytes[range.start as usize..range.end as usize]
}

fn error(file: &Memory, archive: &Archive, name: &str) -> String {
    archive.member(name.as_bytes()).unwrap().data_range(file).unwrap_err().to_string()
}

#[test]
fn names_with_slashes_are_in_directories_in_whatever_order_they_come() {
    let names = [
        "b/c/2",
        "a-b",
        "a/x",
        "b/c/1",
        "a0",
        "a/b/c/d/e",
        "z",
        "b.npy",
        "a/xy",
        "b/a",
        "é",
        "a\\b",
    ];
    let items: Vec<Item> = names.iter().map(|name| item(name, name.as_bytes())).collect();
    let (file, archive) = read(&items);
    let mut sorted = names;
    sorted.sort();
    assert_eq!(walk(&archive), sorted);
    assert_eq!(archive.len(), names.len());
    for name in names {
        assert_eq!(data(&file, &archive, name), name.as_bytes());
    }
    for absent in ["", "a/x", "x", "zz", "A", "a/"] {
        assert!(archive.entry(archive.root(), absent.as_bytes()).is_none(), "{absent}");
    }
    for absent in ["", "a", "a/", "a/b", "b/c/3", "/z", "a\0x"] {
        assert!(archive.member(absent.as_bytes()).is_none(), "{absent}");
    }
}

#[test]
fn a_listing_goes_on_from_any_position() {
    let items = ["a/1", "a/2", "b", "c/1", "d"].map(|name| item(name, b""));
    let (_, archive) = read(&items);
    let all: Vec<_> =
        archive.entries(archive.root(), 0).map(|it| (text(it.name), it.next)).collect();
    assert_eq!(all.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    for (i, (_, next)) in all.iter().enumerate() {
        let rest: Vec<_> = archive.entries(archive.root(), *next).map(|it| text(it.name)).collect();
        assert_eq!(rest, ["a", "b", "c", "d"][i + 1..]);
    }
    assert_eq!(archive.entries(archive.root(), usize::MAX).count(), 0);
}

#[test]
fn data_is_where_the_local_header_says() {
    let mut second = item("b.npy", b"second");
    second.local_extra = 20;
    let (file, archive) = read(&[item("a.npy", b"first"), second, item("c.npy", b"")]);
    assert_eq!(data(&file, &archive, "a.npy"), b"first");
    assert_eq!(data(&file, &archive, "b.npy"), b"second");
    assert_eq!(data(&file, &archive, "c.npy"), b"");
}

#[test]
fn of_members_of_one_name_the_last_of_the_archive_counts() {
    let other = |i: u8| item([i % 7], b"");
    let items: Vec<Item> = (0..=100).flat_map(|i| [item("a.npy", &[i]), other(i)]).collect();
    let (file, archive) = read(&items);
    assert_eq!(data(&file, &archive, "a.npy"), [100]);
    assert_eq!(walk(&archive).len(), 7);
}

#[test]
fn entries_of_directories_are_nothing_by_themselves() {
    let (_, archive) = read(&[item("a/", b""), item("a/b", b""), item("empty/", b"")]);
    assert_eq!(walk(&archive), ["a/b"]);
    assert_eq!(archive.left_out().count(), 0);
}

#[test]
fn members_whose_names_are_no_paths_are_left_out_and_harm_no_other() {
    let path = |component: &str, times: usize| vec![component; times].join("/");
    for (name, why) in [
        ("", "is not a path below the archive"),
        (".", "is not a path below the archive"),
        ("..", "is not a path below the archive"),
        ("../x", "is not a path below the archive"),
        ("x/../y", "is not a path below the archive"),
        ("x/..", "is not a path below the archive"),
        ("x/./y", "is not a path below the archive"),
        ("/x", "is not a path below the archive"),
        ("x//y", "is not a path below the archive"),
        ("x/", "is not a path below the archive"),
        ("x\0y", "is not a path below the archive"),
        (&path(&"x".repeat(256), 1), "is too long for a path"),
        (&path("x", 2049), "is too long for a path"),
        ("a.npy", "is a directory too"),
    ] {
        let (file, archive) =
            read(&[item("a.npy/b.npy", b"b"), item(name, b"bad"), item("c", b"c")]);
        assert_eq!(walk(&archive), ["a.npy/b.npy", "c"], "{name:?}");
        assert_eq!(data(&file, &archive, "a.npy/b.npy"), b"b");
        let expected =
            format!("a member is left out: its name '{}' {why}", crate::escape::shown(name));
        assert_eq!(archive.left_out().to_string(), expected);
    }
    for name in [path(&"x".repeat(255), 16), path("x", 2048), "...".into(), " ".into()] {
        let (_, archive) = read(&[item(&name, b"good")]);
        assert_eq!(walk(&archive), [name]);
        assert_eq!(archive.left_out().to_string(), "");
    }
    let (_, archive) = read(&["a", "a/b", "a/b/c", "a", ".."].map(|name| item(name, b"")));
    assert_eq!(walk(&archive), ["a/b/c"]);
    let expected = "3 members are left out: the name of one, '..', is not a path below the archive";
    assert_eq!(archive.left_out().to_string(), expected);
}

#[test]
fn a_member_whose_bytes_cannot_be_served_says_why_and_harms_no_other() {
    const PLACE: &str = "reaches into what comes after it in the archive";
    type Change = fn(&mut Item);
    let changes: [(Change, &str); 14] = [
        (|bad| bad.method = 8, "is compressed; np.savez does not compress"),
        (|bad| bad.method = 99, "is compressed; np.savez does not compress"),
        (|bad| bad.flags = 1, "is encrypted"),
        (|bad| (bad.flags, bad.method) = (1 << 6, 8), "is encrypted"),
        (|bad| bad.flags = 1 << 13, "is encrypted"),
        (|bad| bad.sizes = [3, 4], "is not compressed, and yet has two sizes"),
        // One byte more than there is before the next member.
        (|bad| bad.sizes = [4; 2], PLACE),
        (|bad| bad.sizes = [1 << 40; 2], PLACE),
        (|bad| bad.sizes = [u64::MAX; 2], PLACE),
        (|bad| (bad.local_extra, bad.sizes) = (10, [4; 2]), PLACE),
        // In the header of another member; in the directory; beyond the end.
        (|bad| bad.header = Some(0), "has the header of another one"),
        (|bad| bad.header = Some(200), PLACE),
        (|bad| bad.header = Some(u64::MAX), PLACE),
        (|bad| bad.local_name = b"bat".into(), "has the header of another one"),
    ];
    for (i, (change, why)) in changes.into_iter().enumerate() {
        let mut bad = item("bad", b"bad");
        change(&mut bad);
        let (file, archive) = read(&[item("a.npy", b"some data"), bad, item("c.npy", b"c")]);
        assert_eq!(walk(&archive), ["a.npy", "bad", "c.npy"], "{i}");
        assert_eq!(error(&file, &archive, "bad"), format!("the member 'bad' {why}"), "{i}");
        assert_eq!(data(&file, &archive, "a.npy"), b"some data", "{i}");
        assert_eq!(data(&file, &archive, "c.npy"), b"c", "{i}");
    }
}

#[test]
fn members_that_overlap_are_not_both_served() {
    // An archive inside an archive, whose member is listed as one of the outer archive.
    let inner = archive_of(&[item("x", b"quoted")]);
    let mut quoted = item("x", b"quoted");
    quoted.header = Some(30 + 9);
    let (mut file, directory) = parts(&[item("inner.zip", &inner), quoted]);
    let outer = 30 + 9 + inner.len();
    file.truncate(outer);
    let end = end_record(0, 2, directory.len() as u32, outer as u32);
    let file = memory([file, directory, end].concat());
    let archive = Archive::read(&file).unwrap();
    let expected = "the member 'inner.zip' reaches into what comes after it in the archive";
    assert_eq!(error(&file, &archive, "inner.zip"), expected);
    assert_eq!(data(&file, &archive, "x"), b"quoted");

    let mut lost = item("lost", b"");
    lost.header = Some(30 + 7);
    let (file, archive) = read(&[item("a", b"1234567"), lost]);
    let expected = "the member 'a' reaches into what comes after it in the archive";
    assert_eq!(error(&file, &archive, "a"), expected);
    assert_eq!(error(&file, &archive, "lost"), "the member 'lost' has no header in its place");

    // Nor does one reach into what is not served itself, or into the directory.
    let mut compressed = item("b", b"");
    compressed.method = 8;
    let mut beyond = item("b", b"");
    beyond.header = Some(1 << 40);
    for (size, next) in [(8, compressed), (8, item("..", b"")), (8, item("b/", b"")), (39, beyond)]
    {
        let mut long = item("a", b"1234567");
        long.sizes = [size; 2];
        let (file, archive) = read(&[long, next]);
        assert_eq!(error(&file, &archive, "a"), expected);
    }

    let (file, archive) = read(&[item("inner.zip", &inner)]);
    assert_eq!(data(&file, &archive, "inner.zip"), inner);
}

#[test]
fn an_archive_that_is_cut_off_anywhere_is_none() {
    let whole = archive_of(&[item("a.npy", b"first"), item("b/c", b"second")]);
    for len in 0..whole.len() {
        let err = Archive::read(&memory(whole[..len].into())).unwrap_err();
        match err {
            ArchiveError::Start => assert!(len < 4),
            ArchiveError::NoEnd | ArchiveError::Damaged | ArchiveError::Io(_) => {}
            other => panic!("{len}: {other}"),
        }
    }
    assert_eq!(Archive::read(&memory(whole)).unwrap().len(), 2);
}

#[test]
fn an_archive_that_is_damaged_or_split_is_none() {
    let (file, directory) = parts(&[item("a.npy", b"first"), item("b/c", b"second")]);
    let (len, at) = (directory.len() as u32, file.len() as u32);
    let read = |end: Vec<u8>| Archive::read(&memory([&file[..], &directory, &end].concat()));
    assert_eq!(read(end_record(0, 2, len, at)).unwrap().len(), 2);
    // NumPy does not look at the count either.
    assert_eq!(read(end_record(0, 7, len, at)).unwrap().len(), 2);
    for (end, expected) in [
        (end_record(1, 2, len, at), "the archive is one of several files"),
        (end_record(0, 2, len - 1, at), "the archive's central directory is damaged"),
        (end_record(0, 2, len + 1, at), "the archive's central directory is damaged"),
        (end_record(0, 2, len, at + 1), "the archive's central directory is damaged"),
        (end_record(0, 2, len, u32::MAX), "the archive's central directory is damaged"),
        // Begins with the second entry.
        (end_record(0, 2, len, at + 79), "the archive's central directory is damaged"),
        (Vec::new(), "the archive is cut off: there is no end record in it"),
    ] {
        assert_eq!(read(end).unwrap_err().to_string(), expected);
    }
    let empty = Archive::read(&memory(end_record(0, 0, 0, 0))).unwrap();
    assert!(empty.is_empty() && empty.entries(empty.root(), 0).next().is_none());
}

#[test]
fn large_archives_state_where_things_are_in_a_record_of_their_own() {
    let (file, directory) = parts(&[item("a.npy", b"first"), item("b/c", b"second")]);
    let (at, len) = (file.len() as u64, directory.len() as u64);
    let with_size = |len: u64| {
        let record = [
            b"PK\x06\x06".to_vec(),
            u64s(&[44]),
            u16s(&[45, 45]),
            u32s(&[0, 0]),
            u64s(&[2, 2, len, at]),
        ];
        let locator = [
            b"PK\x06\x07".to_vec(),
            u32s(&[0]),
            u64s(&[(file.len() + directory.len()) as u64]),
            u32s(&[1]),
        ];
        let end = end_record(u16::MAX, u16::MAX, u32::MAX, u32::MAX);
        memory(
            [&file, &directory, &record.concat(), &locator.concat(), &end]
                .map(|part| &part[..])
                .concat(),
        )
    };
    let file = with_size(len);
    let archive = Archive::read(&file).unwrap();
    assert_eq!(data(&file, &archive, "b/c"), b"second");
    assert!(matches!(Archive::read(&with_size(len + 1)), Err(ArchiveError::Damaged)));
}

#[test]
fn only_the_directory_is_read_and_what_is_asked_for() {
    let large = vec![7; 1 << 20];
    let (file, archive) = read(&[item("a", &large), item("b", &large), item("c", &large)]);
    // A first look at the end, and 4 bytes and two records more.
    let directory = 3 * (46 + 1 + 28);
    let most = 1024 + 4 + 46 + 22 + directory;
    assert!(file.read.load(Ordering::Relaxed) <= most, "{}", file.read.load(Ordering::Relaxed));
    file.read.store(0, Ordering::Relaxed);
    assert_eq!(archive.member(b"b").unwrap().size().unwrap(), 1 << 20);
    assert_eq!(file.read.load(Ordering::Relaxed), 0);
    archive.member(b"b").unwrap().data_range(&file).unwrap();
    assert_eq!(file.read.load(Ordering::Relaxed), 31);
}

#[test]
fn what_is_too_much_is_refused_before_it_is_kept() {
    let start = || b"PK\x03\x04".to_vec();
    let mut long = start();
    long.resize(MAX_DIRECTORY as usize + 5, 0);
    long.extend(end_record(0, 2, MAX_DIRECTORY as u32 + 1, 4));
    let err = Archive::read(&memory(long)).unwrap_err();
    let expected = "a central directory of 134217729 bytes; at most 134217728 are read";
    assert_eq!(err.to_string(), expected);

    let (_, entry) = parts(&[item("", b"")]);
    let entries = entry.repeat(MAX_MEMBERS as usize);
    let read = |entries: Vec<u8>| {
        let end = end_record(0, 0, entries.len() as u32, 4);
        Archive::read(&memory([start(), entries, end].concat()))
    };
    assert_eq!(read(entries.clone()).unwrap().left_out().count(), MAX_MEMBERS);
    let err = read([entries, entry].concat()).unwrap_err();
    assert_eq!(err.to_string(), "more than 1048576 members");
}
