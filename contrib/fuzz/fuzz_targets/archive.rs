//! Any bytes as an archive: its members are paths of a tree, found by listing and by name, and the data of
//! those that can be served lies in the file, apart from that of others.

#![no_main]

use std::io;

use libfuzzer_sys::fuzz_target;
use npyfs::archive::{Archive, Entry, Member};
use npyfs::storage::{ReadError, Storage};

#[derive(Debug)]
struct Bytes<'a>(&'a [u8]);

impl Storage for Bytes<'_> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), ReadError> {
        let start = usize::try_from(at).expect("a file has no such byte");
        let part = self.0.get(start..).and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(part.ok_or(ReadError::Short { has: self.0.len() as u64 })?);
        Ok(())
    }

    fn read_now(&self, _: u64, _: &mut [u8]) -> bool {
        false
    }
}

/// Every member, as it is found by listing.
fn walk(archive: &Archive) -> Vec<Member<'_>> {
    let (mut found, mut waiting) = (Vec::new(), vec![(archive.root(), Vec::new())]);
    while let Some((directory, above)) = waiting.pop() {
        let mut last = None;
        for listed in archive.entries(directory, 0) {
            assert!(!matches!(listed.name, b"" | b"." | b"..") && listed.name.len() <= 255);
            assert!(!listed.name.contains(&0) && !listed.name.contains(&b'/'));
            assert!(last < Some(listed.name), "each name once, in order");
            last = Some(listed.name);
            let path = [&above[..], listed.name].concat();
            match (listed.entry, archive.entry(directory, listed.name)) {
                (Entry::Member(member), Some(Entry::Member(same))) => {
                    assert_eq!(member.name(), path);
                    assert_eq!(same.name(), path);
                    assert_eq!(archive.member(&path).expect("a member").name(), path);
                    found.push(member);
                }
                (Entry::Directory(below), Some(Entry::Directory(same))) => {
                    assert_eq!(below, same);
                    assert!(archive.member(&path).is_none());
                    waiting.push((below, [&path[..], b"/"].concat()));
                }
                (listed, found) => panic!("{listed:?} is found as {found:?}"),
            }
        }
        assert!(last.is_some(), "no directory is empty but the root of an empty archive");
    }
    found
}

fuzz_target!(|file: &[u8]| {
    let storage = Bytes(file);
    let archive = match Archive::read(&storage) {
        Ok(archive) => archive,
        Err(err) => {
            assert!(!err.to_string().is_empty());
            return;
        }
    };
    assert_eq!(archive.left_out().count() == 0, archive.left_out().to_string().is_empty());
    if archive.is_empty() {
        return;
    }
    let members = walk(&archive);
    assert_eq!(members.len(), archive.len());
    let mut ranges = Vec::new();
    for member in members {
        match (member.size(), member.data_range(&storage)) {
            (Ok(size), Ok(range)) => {
                assert_eq!(range.end - range.start, size);
                // All of it, with the header, the name and what follows it.
                let name = member.name();
                let header =
                    file[..range.start as usize].windows(name.len()).rposition(|it| it == name);
                ranges.push(header.expect("the name is before the data") as u64..range.end);
            }
            (Ok(_), Err(err)) => assert!(!err.to_string().is_empty()),
            (Err(first), Err(second)) => assert_eq!(first.to_string(), second.to_string()),
            (Err(err), Ok(_)) => panic!("{err}"),
        }
    }
    ranges.sort_by_key(|range| range.start);
    assert!(ranges.iter().all(|range| range.end <= file.len() as u64));
    assert!(ranges.windows(2).all(|two| two[0].end <= two[1].start), "{ranges:?}");
});
