//! The names that a source directory lists, its entries and the directories of its arrays, packed.
//!
//! A reader can go on in a listing that was made anew meanwhile: as in ext4 an entry's position is a hash of
//! its name, and entries are in that order. So entries that stay are neither left out nor repeated, and
//! nobody has to remember what a reader has had. (Two names of one directory share a position once in some
//! millions of directories of a million arrays each. The hash is keyed with a secret, so nobody can make such
//! names.)

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, RandomState};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::{Arc, LazyLock};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::border::Directory;
use super::names::{self, Holds};
use super::{Entry, Source};
use crate::error::Error;
use crate::meta::{FileId, Kind, Meta, Stamp, kind_of};

/// The first position: `.` and `..` come before it.
const FIRST: u64 = 3;

static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The position of a name. It fits the kernel's offset, which has a sign.
fn position(name: &[u8]) -> u64 {
    (KEYS.hash_one(name) >> 1).max(FIRST)
}

/// The entries of a directory, in the order of their positions.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The names of the source's entries, end to end.
    names: Vec<u8>,
    entries: Vec<Packed>,
    /// It depends on what symlinks lead to, which the directory's own times do not show.
    depends_on_links: bool,
}

/// An entry in eight bytes. The directory beside a file has no name of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Packed {
    start: u32,
    len: u16,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// An entry of the source
    Entry(Kind),
    /// An entry that is not served, but has its name
    LeftOut,
    /// The directory `X` of `X.npy` or `X.npz`, whose name is a part of that
    ArrayDirectory,
    /// Its directory `X.npy.d` or `X.npz.d`
    SecondDirectory,
}

/// The version of a directory.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryVersion {
    /// Which directory.
    pub id: FileId,
    /// What it looked like before it was read; none if it may have changed since and left no trace.
    pub stamp: Option<Stamp>,
}

impl Listing {
    /// The entries after a position, each with its own.
    pub fn entries_after(
        &self,
        after: u64,
    ) -> impl Iterator<Item = (u64, Cow<'_, OsStr>, Kind)> + '_ {
        let first = self.entries.partition_point(|entry| position(&self.name(*entry)) <= after);
        self.entries[first..].iter().map(|entry| {
            let kind = match entry.what {
                What::Entry(kind) => kind,
                _ => Kind::Directory,
            };
            let name = self.name(*entry);
            let at = position(&name);
            let name = match name {
                Cow::Borrowed(name) => Cow::Borrowed(OsStr::from_bytes(name)),
                Cow::Owned(name) => Cow::Owned(OsString::from_vec(name)),
            };
            (at, name, kind)
        })
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// About how many bytes of memory it takes.
    pub fn footprint(&self) -> usize {
        size_of::<Listing>() + self.names.capacity() + self.entries.capacity() * size_of::<Packed>()
    }

    fn name(&self, entry: Packed) -> Cow<'_, [u8]> {
        name_of(&self.names, entry)
    }
}

fn name_of(names: &[u8], entry: Packed) -> Cow<'_, [u8]> {
    let start = entry.start as usize;
    let name = &names[start..start + usize::from(entry.len)];
    match entry.what {
        What::SecondDirectory => Cow::Owned([name, names::SECOND].concat()),
        _ => Cow::Borrowed(name),
    }
}

/// A listing being made, with the positions of its entries.
#[derive(Default)]
struct Builder {
    names: Vec<u8>,
    entries: Vec<(u64, Packed)>,
}

impl Builder {
    fn add(&mut self, name: &[u8], what: What) -> Result<(), Errno> {
        let start = u32::try_from(self.names.len()).map_err(|_| Errno::OVERFLOW)?;
        let len = u16::try_from(name.len()).map_err(|_| Errno::NAMETOOLONG)?;
        self.names.extend_from_slice(name);
        self.entries.push((position(name), Packed { start, len, what }));
        Ok(())
    }

    fn sort(&mut self) {
        self.entries.sort_unstable_by_key(|(position, _)| *position);
    }

    /// Whether an entry of the source has this name. The names must be sorted.
    fn has(&self, name: &OsStr) -> bool {
        let at = position(name.as_bytes());
        let first = self.entries.partition_point(|(position, _)| *position < at);
        let alike = self.entries[first..].iter().take_while(|(position, _)| *position == at);
        alike.into_iter().any(|(_, entry)| *name_of(&self.names, *entry) == *name.as_bytes())
    }

    /// The directory beside a file of this listing.
    fn directory_of(&self, file: Packed) -> Option<(u64, Packed)> {
        let name = name_of(&self.names, file);
        let directory = names::directory_of(OsStr::from_bytes(&name), |name| self.has(name))?;
        let shorter = directory.len() < name.len();
        let (len, what) = match shorter {
            true => (directory.len() as u16, What::ArrayDirectory),
            false => (file.len, What::SecondDirectory),
        };
        Some((position(directory.as_bytes()), Packed { len, what, ..file }))
    }
}

impl Source {
    /// Fails if a directory cannot be listed.
    pub fn check_listable(&self, directory: &Entry) -> Result<(), Error> {
        self.directory(directory, OFlags::RDONLY).map(drop)
    }

    /// The listing of a directory, `known` for this version of it or new; and the version.
    pub fn list(
        &self,
        directory: &Entry,
        known: &dyn Fn(&DirectoryVersion) -> Option<Arc<Listing>>,
    ) -> Result<(Arc<Listing>, DirectoryVersion), Error> {
        let path = &directory.path;
        let directory = self.directory(directory, OFlags::RDONLY)?;
        let meta = Meta::of(&directory.fd).map_err(|err| Error::io(&**path, err))?;
        let stamp = Some(meta.stamp()).filter(Stamp::is_settled);
        let mut version = DirectoryVersion { id: meta.id, stamp };
        if let Some(listing) = known(&version) {
            return Ok((listing, version));
        }
        let listing = self.read_listing(&directory).map_err(|err| Error::io(&**path, err))?;
        version.stamp = version.stamp.filter(|_| !listing.depends_on_links);
        Ok((listing.into(), version))
    }

    fn read_listing(&self, directory: &Directory<'_>) -> Result<Listing, Errno> {
        let mut builder = Builder::default();
        let mut depends_on_links = false;
        for entry in rustix::fs::Dir::read_from(&directory.fd)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let name_here = OsStr::from_bytes(name);
            let is_symlink = entry.file_type() == FileType::Symlink;
            let follows = is_symlink && self.follow_symlinks;
            let kind = if follows || entry.file_type() == FileType::Unknown {
                self.entry(directory, name_here).ok().and_then(|meta| meta.kind)
            } else {
                kind_of(entry.file_type())
            };
            depends_on_links |=
                follows || kind == Some(Kind::Symlink) && Holds::of(name_here).is_some();
            let kind = kind.filter(|_| !self.is_left_out(directory, name_here));
            builder.add(name, kind.map_or(What::LeftOut, What::Entry))?;
        }
        builder.sort();
        let arrays: Vec<(u64, Packed)> = builder
            .entries
            .iter()
            .filter(|(_, entry)| match entry.what {
                What::Entry(Kind::File) => true,
                What::Entry(Kind::Symlink) => {
                    let name = name_of(&builder.names, *entry);
                    self.array_file_at(directory, OsStr::from_bytes(&name)).is_some()
                }
                _ => false,
            })
            .filter_map(|(_, entry)| builder.directory_of(*entry))
            .collect();
        builder.entries.retain(|(_, entry)| entry.what != What::LeftOut);
        builder.entries.extend(arrays);
        builder.sort();
        let Builder { mut names, entries } = builder;
        names.shrink_to_fit();
        let entries = entries.into_iter().map(|(_, entry)| entry);
        // Not in place, which would keep the room of the positions.
        let entries = entries.fold(Vec::new(), |mut packed: Vec<Packed>, entry| {
            packed.push(entry);
            packed
        });
        Ok(Listing { names, entries, depends_on_links })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Options;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    fn list(directory: &Path) -> Arc<Listing> {
        let source = Source::open(directory, Options::default()).unwrap();
        source.list(&source.root(), &|_| None).unwrap().0
    }

    fn names(listing: &Listing, after: u64) -> Vec<(u64, String, Kind)> {
        let entries = listing.entries_after(after);
        entries
            .map(|(at, name, kind)| (at, name.into_owned().into_string().unwrap(), kind))
            .collect()
    }

    #[test]
    fn a_listing_has_each_entry_and_each_array_s_directory_once() {
        let directory = tempfile::tempdir().unwrap();
        for name in [
            "a.npy",
            "b.npy",
            "b",
            ".npy",
            "c.NPY",
            "d.npy",
            "d",
            "d.npy.d",
            "long.npy.npy",
            "b.npz",
            "g.npz",
            "d.npz",
            "d.npz.d",
        ] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        fs::create_dir(directory.path().join("e.npy")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            directory.path().join("f"),
            FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        fs::write(directory.path().join("f.npy"), "").unwrap();
        let listing = list(directory.path());
        let mut listed = names(&listing, 0);
        listed.sort_by(|(_, a, _), (_, b, _)| a.cmp(b));
        let marked: Vec<String> = listed
            .iter()
            .map(|(_, name, kind)| {
                format!("{name}{}", if *kind == Kind::Directory { "/" } else { "" })
            })
            .collect();
        let expected = [
            ".npy",
            ".npy.d/",
            "a/",
            "a.npy",
            "b",
            "b.npy",
            "b.npy.d/",
            "b.npz",
            "b.npz.d/",
            "c.NPY",
            "d",
            "d.npy",
            "d.npy.d",
            "d.npz",
            "d.npz.d",
            "e.npy/",
            "f.npy",
            "f.npy.d/",
            "g/",
            "g.npz",
            "long.npy/",
            "long.npy.npy",
        ];
        assert_eq!(marked, expected);
    }

    #[test]
    fn a_listing_that_says_what_a_link_leads_to_is_of_no_version_that_is_known_again() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.npy"), "").unwrap();
        assert!(!list(directory.path()).depends_on_links);
        std::os::unix::fs::symlink("elsewhere", directory.path().join("link.txt")).unwrap();
        assert!(!list(directory.path()).depends_on_links);
        std::os::unix::fs::symlink("a.npy", directory.path().join("link.npy")).unwrap();
        let listing = list(directory.path());
        assert!(listing.depends_on_links && names(&listing, 0).len() == 5);
    }

    #[test]
    fn from_any_position_on_the_rest_is_listed_also_after_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let path = |i: usize| directory.path().join(format!("{i}.npy"));
        (0..200).for_each(|i| fs::write(path(i), "").unwrap());
        let before = list(directory.path());
        let all = names(&before, 0);
        assert_eq!(all.len(), 400);
        assert!(all.is_sorted_by_key(|(at, ..)| *at) && all[0].0 >= FIRST);
        (0..200).step_by(3).for_each(|i| fs::remove_file(path(i)).unwrap());
        (200..300).for_each(|i| fs::write(path(i), "").unwrap());
        let after = list(directory.path());
        let now: BTreeSet<String> = names(&after, 0).into_iter().map(|(_, name, _)| name).collect();
        for had in [0usize, 1, 150, 399, 400] {
            let position = had.checked_sub(1).map_or(0, |last| all[last].0);
            assert_eq!(names(&before, position), all[had..]);
            let mut seen: Vec<String> =
                all[..had].iter().map(|(_, name, _)| name.clone()).collect();
            seen.extend(names(&after, position).into_iter().map(|(_, name, _)| name));
            let once: BTreeSet<&String> = seen.iter().collect();
            assert_eq!(once.len(), seen.len(), "nothing twice");
            let stay = all.iter().map(|(_, name, _)| name).filter(|name| now.contains(*name));
            assert!(stay.into_iter().all(|name| once.contains(name)), "nothing left out");
        }
    }
}
