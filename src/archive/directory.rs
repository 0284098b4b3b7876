//! Directories of an archive: what is above its members.

use super::Archive;
use super::entries::{Record, compare, components};
use super::member::Member;

/// A directory of an archive: the members below it, which are in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directory {
    start: usize,
    end: usize,
    /// Bytes of its members' names that lead to it, with the last slash.
    depth: usize,
}

impl Directory {
    /// How many positions its entries may be at.
    pub fn positions(&self) -> usize {
        self.end - self.start
    }
}

/// What a directory has under a name.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// A member of the archive.
    Member(Member<'a>),
    /// Members are below it.
    Directory(Directory),
}

/// An entry, as it is listed.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// Its name in the directory.
    pub name: &'a [u8],
    /// What it is.
    pub entry: Entry<'a>,
    /// The position of the next entry.
    pub next: usize,
}

impl Archive {
    /// The directory that everything is in.
    pub fn root(&self) -> Directory {
        Directory { start: 0, end: self.records.len(), depth: 0 }
    }

    /// The directory of this path, which ends with a slash unless it is empty.
    pub fn directory(&self, path: &[u8]) -> Option<Directory> {
        let mut directory = self.root();
        for name in path.split_inclusive(|&byte| byte == b'/') {
            match self.entry(directory, name.strip_suffix(b"/")?)? {
                Entry::Directory(below) => directory = below,
                Entry::Member(_) => return None,
            }
        }
        Some(directory)
    }

    /// What a directory of this archive has under a name.
    pub fn entry(&self, directory: Directory, name: &[u8]) -> Option<Entry<'_>> {
        let records = self.records_of(directory);
        let at = records.partition_point(|&record| self.name_in(directory, record) < name);
        let listed = self.listed_at(directory, at)?;
        (listed.name == name).then_some(listed.entry)
    }

    /// What is in a directory of this archive, from a position on: 0, or what came with an entry.
    pub fn entries(&self, directory: Directory, from: usize) -> impl Iterator<Item = Listed<'_>> {
        let first = self.listed_at(directory, from);
        std::iter::successors(first, move |listed| self.listed_at(directory, listed.next))
    }

    /// The entry of a directory that begins at a position, any below [`Directory::positions`]; none
    /// if another goes on there.
    pub fn entry_at(&self, directory: Directory, at: usize) -> Option<Listed<'_>> {
        let records = self.records_of(directory);
        let name = self.name_in(directory, *records.get(at)?);
        let before = at.checked_sub(1).and_then(|before| records.get(before));
        let goes_on = before.is_some_and(|before| self.name_in(directory, *before) == name);
        if goes_on { None } else { self.listed_at(directory, at) }
    }

    /// The member at a position, any below [`Directory::positions`], however deep below the directory.
    pub fn member_at(&self, directory: Directory, at: usize) -> Option<Member<'_>> {
        self.records_of(directory).get(at).map(|record| Member::new(self, record))
    }

    /// The member of this name, through all directories.
    pub fn member(&self, name: &[u8]) -> Option<Member<'_>> {
        let by_name = |record: &Record| compare(record.name(&self.names), name);
        let at = self.records.binary_search_by(by_name).ok()?;
        let member = Member::new(self, &self.records[at]);
        // No member's name has a NUL, which would count as a slash here.
        (member.name() == name).then_some(member)
    }

    fn records_of(&self, directory: Directory) -> &[Record] {
        self.records.get(directory.start..directory.end).unwrap_or_default()
    }

    /// The component of a member's name that is in this directory.
    fn name_in(&self, directory: Directory, record: Record) -> &[u8] {
        let below = record.name(&self.names).get(directory.depth..).unwrap_or_default();
        components(below).next().unwrap_or_default()
    }

    fn listed_at(&self, directory: Directory, at: usize) -> Option<Listed<'_>> {
        let records = self.records_of(directory).get(at..)?;
        let record = records.first()?;
        let name = self.name_in(directory, *record);
        let end = directory.depth + name.len();
        if end == record.name(&self.names).len() {
            let entry = Entry::Member(Member::new(self, record));
            return Some(Listed { name, entry, next: at + 1 });
        }
        let count = records.partition_point(|&record| self.name_in(directory, record) == name);
        let start = directory.start + at;
        let below = Directory { start, end: start + count, depth: end + 1 };
        Some(Listed { name, entry: Entry::Directory(below), next: at + count })
    }
}
