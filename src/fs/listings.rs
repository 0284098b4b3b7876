//! Listings of directories of the source, while somebody is reading them.
//!
//! All readers of one version of a directory share one listing. Together, listings take no more than
//! [`BUDGET`], or [`ACTIVE`] times that while all of them are being read. Beyond that, the listing read
//! longest ago is dropped, and its readers go on from their position in a new one. (A new one for each call
//! would take hours where two readers of a million entries each have room for one.)

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::locks::lock;
use crate::meta::FileId;
use crate::source::{DirectoryVersion, Listing};

/// How many bytes all listings may take, except that there may always be one.
const BUDGET: usize = 64 << 20;

/// By how many times they may exceed that if all of them were read within this time.
const ACTIVE: usize = 4;
const A_MOMENT: Duration = Duration::from_secs(1);

/// What a listing takes besides itself.
const OVERHEAD: usize = 256;

/// The ticket of a listing, which may have been dropped since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ticket(u64);

#[derive(Debug)]
pub(super) struct Listings {
    budget: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    held: HashMap<Ticket, Held>,
    /// The newest listing of each directory.
    newest: HashMap<FileId, Ticket>,
    bytes: usize,
    /// The last ticket.
    last: u64,
}

#[derive(Debug)]
struct Held {
    listing: Arc<Listing>,
    version: DirectoryVersion,
    readers: usize,
    read: Instant,
}

impl Held {
    fn footprint(&self) -> usize {
        OVERHEAD + self.listing.footprint()
    }
}

impl Default for Listings {
    fn default() -> Self {
        Listings { budget: BUDGET, table: Mutex::default() }
    }
}

impl Listings {
    /// The listing of a ticket, if it is still there, and what it is of.
    pub(super) fn get(&self, ticket: Ticket) -> Option<(Arc<Listing>, DirectoryVersion)> {
        let mut table = lock(&self.table);
        let held = table.held.get_mut(&ticket)?;
        held.read = Instant::now();
        Some((held.listing.clone(), held.version))
    }

    /// A listing of this very version, if there is one.
    pub(super) fn known(&self, version: &DirectoryVersion) -> Option<Arc<Listing>> {
        let table = lock(&self.table);
        let held = table.held.get(table.newest.get(&version.id)?)?;
        let is_same = version.stamp.is_some() && held.version.stamp == version.stamp;
        is_same.then(|| held.listing.clone())
    }

    /// Holds a listing for one more reader, who must let it go.
    pub(super) fn hold(&self, listing: Arc<Listing>, version: DirectoryVersion) -> Ticket {
        let (mut table, read) = (lock(&self.table), Instant::now());
        // An equal listing is shared even if its version could not be compared.
        if let Some(&ticket) = table.newest.get(&version.id)
            && let Some(held) = table.held.get_mut(&ticket)
            && (Arc::ptr_eq(&held.listing, &listing) || held.listing == listing)
        {
            held.readers += 1;
            (held.read, held.version) = (read, version);
            return ticket;
        }
        table.last += 1;
        let ticket = Ticket(table.last);
        let held = Held { listing, version, readers: 1, read };
        table.bytes += held.footprint();
        table.held.insert(ticket, held);
        table.newest.insert(version.id, ticket);
        table.shrink(self.budget, read);
        ticket
    }

    /// Drops listings that take too much and have not been read for a moment.
    pub(super) fn tidy(&self, now: Instant) {
        lock(&self.table).shrink(self.budget, now);
    }

    /// A reader is done with its listing.
    pub(super) fn let_go(&self, ticket: Ticket) {
        let mut table = lock(&self.table);
        let Some(held) = table.held.get_mut(&ticket) else { return };
        held.readers -= 1;
        if held.readers == 0 {
            table.remove(ticket);
        }
    }
}

impl Table {
    fn shrink(&mut self, budget: usize, now: Instant) {
        while self.bytes > budget && self.held.len() > 1 {
            let oldest = self.held.iter().min_by_key(|(ticket, held)| (held.read, ticket.0));
            let Some((&ticket, held)) = oldest else { break };
            let is_active = now.saturating_duration_since(held.read) < A_MOMENT;
            if is_active && self.bytes <= ACTIVE * budget {
                break;
            }
            self.remove(ticket);
        }
    }

    fn remove(&mut self, ticket: Ticket) {
        let Some(held) = self.held.remove(&ticket) else { return };
        self.bytes -= held.footprint();
        if self.newest.get(&held.version.id) == Some(&ticket) {
            self.newest.remove(&held.version.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::Caller;
    use crate::fs::{Fs, Handle};
    use crate::inode::ROOT;
    use crate::source::{self, Source};
    use crate::tree::{Options, Tree};
    use std::path::Path;

    fn filesystem(directory: &Path, budget: usize) -> Fs {
        let source = Source::open(directory, source::Options::default()).unwrap();
        let mut fs = Fs::new(Tree::new(source, Options::default()));
        fs.listings.budget = budget;
        fs
    }

    fn open(fs: &Fs, name: &str) -> Handle {
        let (ino, _) = fs.lookup(ROOT, name.as_ref(), Caller::ROOT).unwrap();
        fs.open_directory(ino, Caller::ROOT).unwrap()
    }

    /// Reads up to `count` entries from a position on, and returns where to go on.
    fn read(fs: &Fs, handle: Handle, from: u64, count: usize, names: &mut Vec<String>) -> u64 {
        let (mut next, mut had) = (from, 0);
        let emit = |entry: &crate::fs::DirEntry<'_>| {
            had += 1;
            if had > count {
                return true;
            }
            next = entry.next;
            names.push(entry.name.to_string_lossy().into_owned());
            false
        };
        fs.read_directory(handle, from, emit).unwrap();
        next
    }

    fn held(fs: &Fs) -> (usize, usize) {
        let table = lock(&fs.listings.table);
        assert_eq!(table.newest.len(), table.held.len());
        (table.held.len(), table.bytes)
    }

    #[test]
    fn whoever_s_listing_is_dropped_for_want_of_room_goes_on_where_they_were() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str, i: usize| directory.path().join(format!("{name}/{i}.npy"));
        for name in ["a", "b", "c"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
            (0..300).for_each(|i| std::fs::write(path(name, i), "").unwrap());
        }
        let fs = filesystem(directory.path(), 4 << 10);
        let readers = ["a", "b", "c"].map(|name| open(&fs, name));
        let mut seen = [const { Vec::new() }; 3];
        let mut positions = [0; 3];
        for round in 0..7 {
            for (i, reader) in readers.iter().enumerate() {
                positions[i] = read(&fs, *reader, positions[i], 90, &mut seen[i]);
                let (count, bytes) = held(&fs);
                assert!(count <= 2 && bytes <= 16 << 10, "{count} listings of {bytes} bytes");
                if round % 2 == 1 {
                    fs.listings.tidy(Instant::now() + A_MOMENT);
                    assert!(held(&fs).0 <= 1, "there is room for none that is not read");
                }
            }
            // Files come and go.
            std::fs::remove_file(path("a", round)).unwrap();
            std::fs::write(path("a", 1000 + round), "").unwrap();
        }
        for (i, names) in seen.iter_mut().enumerate() {
            let len = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), len, "nothing twice");
            for stays in 7..300 {
                let name = format!("{stays}.npy");
                assert!(names.binary_search(&name).is_ok(), "{name} of directory {i}");
            }
        }
        readers.into_iter().for_each(|reader| fs.release_directory(reader));
        assert_eq!(held(&fs), (0, 0));
    }

    #[test]
    fn a_listing_is_shared_while_the_directory_stays_as_it_is_and_let_go_at_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let name = |i: usize| directory.path().join(i.to_string());
        (0..100).for_each(|i| std::fs::write(name(i), "").unwrap());
        let fs = filesystem(directory.path(), BUDGET);
        let [one, other, third] = [(); 3].map(|()| fs.open_directory(ROOT, Caller::ROOT).unwrap());
        assert_eq!(held(&fs).0, 0, "what is only open has no listing");
        let mut names = Vec::new();
        let at = read(&fs, one, 0, 10, &mut names);
        read(&fs, other, 0, 50, &mut Vec::new());
        assert_eq!(held(&fs).0, 1);
        std::fs::write(name(100), "").unwrap();
        let mut of_third = Vec::new();
        read(&fs, third, 0, 90, &mut of_third);
        assert_eq!(lock(&fs.listings.table).held.len(), 2, "another version");
        let end = read(&fs, one, at, 1000, &mut names);
        assert_eq!(names.len(), 102, "who is in the middle goes on with what it was");
        assert_eq!(read(&fs, one, end, 1000, &mut names), end);
        assert_eq!(names.len(), 102);
        read(&fs, one, 0, 1000, &mut names);
        assert_eq!(names.len(), 102 + 103, "who begins again has what it is now");
        [one, other, third].into_iter().for_each(|reader| fs.release_directory(reader));
        assert_eq!(held(&fs), (0, 0));
    }
}
