//! Inode numbers, by which the kernel calls nodes for as long as it remembers them.
//!
//! A number stands for one node under one name of one parent, and is never given out again. When the name
//! comes to mean another version of a file, it gets another number, so the kernel never mixes the pages of
//! both.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::sync::Arc;

use crate::meta::Stamp;
use crate::tree::{Backing, Node};

mod pages;

use pages::Pages;
pub use pages::{Opening, Registration};

/// An inode number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ino(pub u64);

/// The number of the root, which the kernel knows from the start and never forgets.
pub const ROOT: Ino = Ino(1);

/// How many nodes the kernel is asked to forget at a time.
const MAX_SURPLUS: usize = 4096;

/// All numbers that the kernel remembers.
#[derive(Debug)]
pub struct Inodes {
    last: u64,
    /// How many lookups and opens there have been.
    asked: u64,
    /// Boxed, since half of the table can be empty.
    by_number: HashMap<Ino, Box<Inode>>,
    /// Two levels, directory and then name, so that a lookup needs no owned name.
    by_name: HashMap<Ino, HashMap<Arc<OsStr>, Ino>>,
    /// The nodes that the kernel can be asked to forget, oldest first. One that it was asked for is taken
    /// out; one that it has forgotten by itself may still be in.
    queue: VecDeque<Ino>,
    /// How many in `queue` it still remembers, and about how many bytes of memory they take.
    live: usize,
    live_bytes: usize,
    /// About how many bytes the nodes take that it is never asked to forget.
    fixed_bytes: usize,
}

#[derive(Debug)]
struct Inode {
    node: Node,
    parent: Ino,
    name: Arc<OsStr>,
    /// How many lookups the kernel has not forgotten yet.
    lookups: u64,
    pages: Pages,
    /// It is in `queue`.
    queued: bool,
}

/// About what a number takes besides its inode: in the tables, in the queue, and in the allocator. A
/// directory also has a table of its names.
const OVERHEAD: usize = 128;
const OVERHEAD_OF_DIRECTORY: usize = 256;

impl Inode {
    /// About how many bytes of memory it takes.
    fn footprint(&self) -> usize {
        let tables = if self.node.is_directory() { OVERHEAD_OF_DIRECTORY } else { 0 };
        OVERHEAD + tables + size_of::<Inode>() + self.name.len() + 256 * self.node.weight()
    }
}

impl Default for Inodes {
    fn default() -> Self {
        Inodes {
            last: ROOT.0,
            asked: 0,
            by_number: HashMap::new(),
            by_name: HashMap::new(),
            queue: VecDeque::new(),
            live: 0,
            live_bytes: 0,
            fixed_bytes: 0,
        }
    }
}

impl Inodes {
    /// The number of a node that the kernel looked up, and so will forget once more.
    pub fn remember(&mut self, parent: Ino, name: &OsStr, node: Node) -> Ino {
        self.asked += 1;
        let siblings = self.by_name.entry(parent).or_default();
        if let Some(ino) = siblings.get(name)
            && let Some(inode) =
                self.by_number.get_mut(ino).filter(|old| old.node.is_same_as(&node))
        {
            if inode.queued {
                self.live_bytes -= inode.footprint();
            } else if node.is_made() {
                inode.queued = true;
                self.queue.push_back(*ino);
                self.live += 1;
            }
            // Nodes made from the old one share it, so it stays. But a text describes its file as it is now.
            if matches!(node.backing(), Backing::NoArray(_)) {
                inode.node = node;
            }
            inode.lookups += 1;
            if inode.queued {
                self.live_bytes += inode.footprint();
            }
            return *ino;
        }
        self.last += 1;
        let ino = Ino(self.last);
        let name: Arc<OsStr> = name.into();
        siblings.insert(name.clone(), ino);
        let queued = node.is_made();
        let inode = Inode { node, parent, name, lookups: 1, pages: Pages::default(), queued };
        if queued {
            self.queue.push_back(ino);
            self.live += 1;
            self.live_bytes += inode.footprint();
        } else {
            self.fixed_bytes += inode.footprint();
        }
        self.by_number.insert(ino, inode.into());
        ino
    }

    /// The kernel forgets `count` of its lookups of a number.
    pub fn forget(&mut self, ino: Ino, count: u64) {
        let Some(inode) = self.by_number.get_mut(&ino) else { return };
        inode.lookups = inode.lookups.saturating_sub(count);
        if inode.lookups > 0 {
            return;
        }
        if let Some(inode) = self.by_number.remove(&ino) {
            if inode.queued {
                self.live -= 1;
                self.live_bytes -= inode.footprint();
            } else if !inode.node.is_made() {
                self.fixed_bytes -= inode.footprint();
            }
            let Entry::Occupied(mut siblings) = self.by_name.entry(inode.parent) else { return };
            // The name may mean a newer version by now.
            if siblings.get().get(&inode.name) == Some(&ino) {
                siblings.get_mut().remove(&inode.name);
            }
            if siblings.get().is_empty() {
                siblings.remove();
            }
        }
    }

    /// The node of a number.
    pub fn node(&self, ino: Ino) -> Option<&Node> {
        self.by_number.get(&ino).map(|inode| &inode.node)
    }

    /// The number of an entry, if the kernel remembers one.
    pub fn known(&self, parent: Ino, name: &OsStr) -> Option<Ino> {
        self.by_name.get(&parent)?.get(name).copied()
    }

    /// The number of the directory in which a node was looked up.
    pub fn parent(&self, ino: Ino) -> Ino {
        self.by_number.get(&ino).map_or(ROOT, |inode| inode.parent)
    }

    /// The directory and the name in it under which a node was looked up.
    pub fn place(&self, ino: Ino) -> Option<(Ino, Arc<OsStr>)> {
        self.by_number.get(&ino).map(|inode| (inode.parent, inode.name.clone()))
    }

    /// Notes the stamp of the backing file when pages of an inode begin to be read anew; none if no stamp
    /// vouches for them.
    pub fn note_pages(&mut self, ino: Ino, stamp: Option<Stamp>) {
        if let Some(inode) = self.by_number.get_mut(&ino) {
            inode.pages.note(stamp);
        }
    }

    /// The stamp that the backing file had when the pages in the kernel were read, or before.
    pub fn pages_as_of(&self, ino: Ino) -> Option<Stamp> {
        self.by_number.get(&ino)?.pages.as_of()
    }

    /// How many lookups and opens there have been.
    pub fn asked(&self) -> u64 {
        self.asked
    }

    /// About how many bytes the nodes take that the kernel can be asked to forget.
    pub fn live_bytes(&self) -> usize {
        self.live_bytes
    }

    /// About how many bytes the nodes take that it is never asked to forget.
    pub fn fixed_bytes(&self) -> usize {
        self.fixed_bytes
    }

    /// Gives back the room of forgotten numbers, if there is much of it.
    pub fn shrink(&mut self) {
        let room = 2 * self.by_number.len() + MAX_SURPLUS;
        if self.by_number.capacity() > 2 * room {
            self.by_number.shrink_to(room);
            self.by_name.shrink_to(room);
            self.by_name.values_mut().for_each(HashMap::shrink_to_fit);
            self.queue.shrink_to(room);
        }
    }

    /// The nodes, by parent and name, that the kernel should be asked to forget, so that the rest takes about
    /// `keep` bytes. They are the oldest that are not open and lead to no others; each is named once, and not
    /// very many at a time. Directories of the source stay, since somebody may be working in one.
    pub fn surplus(&mut self, keep: usize) -> Vec<(Ino, Arc<OsStr>)> {
        if self.queue.len() > 2 * self.live + MAX_SURPLUS {
            self.queue.retain(|ino| self.by_number.get(ino).is_some_and(|inode| inode.queued));
        }
        let mut asked = Vec::new();
        for _ in 0..self.queue.len() {
            if self.live_bytes <= keep || asked.len() == MAX_SURPLUS {
                break;
            }
            let Some(ino) = self.queue.pop_front() else { break };
            let Some(inode) = self.by_number.get_mut(&ino) else { continue };
            if inode.pages.are_in_use() || self.by_name.contains_key(&ino) {
                self.queue.push_back(ino);
                continue;
            }
            inode.queued = false;
            self.live -= 1;
            self.live_bytes -= inode.footprint();
            asked.push((inode.parent, inode.name.clone()));
        }
        asked
    }

    /// Opens an inode once more, or says that the caller must wait. With `alone` the open has its turn until
    /// [`Inodes::settle`] is called, unless others have the inode open.
    pub fn open(&mut self, ino: Ino, alone: bool) -> Opening {
        let Some(inode) = self.by_number.get_mut(&ino) else { return Opening::Shared };
        let opening = inode.pages.open(alone);
        self.asked += u64::from(!matches!(opening, Opening::Wait));
        opening
    }

    /// The kernel reads an inode without us, until the last close. Only for an open that has its turn.
    pub fn pass_through(&mut self, ino: Ino, registration: Registration) {
        if let Some(inode) = self.by_number.get_mut(&ino) {
            inode.pages.pass_through(registration);
        }
    }

    /// The turn of an open is over.
    pub fn settle(&mut self, ino: Ino) {
        if let Some(inode) = self.by_number.get_mut(&ino) {
            inode.pages.settle();
        }
    }

    /// Closes an inode once. After the last close its registration is given back, if it has one.
    pub fn close(&mut self, ino: Ino) -> Option<Box<Registration>> {
        self.by_number.get_mut(&ino)?.pages.close()
    }

    /// Whether an inode is open.
    pub fn is_open(&self, ino: Ino) -> bool {
        self.by_number.get(&ino).is_some_and(|inode| inode.pages.are_in_use())
    }

    /// How many numbers the kernel remembers, besides the root's.
    pub fn len(&self) -> usize {
        self.by_number.len()
    }

    /// Whether it remembers none.
    pub fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::{FileId, Kind};
    use crate::source::Entry;
    use std::ffi::OsString;
    use std::path::Path;

    fn directory(path: &str) -> Node {
        let id = crate::meta::Meta::of_path(Path::new("/")).unwrap().id;
        Node::of_entry(Entry { path: Path::new(path).into(), id }, Kind::Directory)
    }

    fn file_node(path: impl AsRef<Path>, id: FileId) -> Node {
        Node::of_entry(Entry { path: path.as_ref().into(), id }, Kind::File)
    }

    #[test]
    fn a_name_keeps_its_number_while_it_means_the_same() {
        let mut inodes = Inodes::default();
        let name = OsStr::new("a");
        let first = inodes.remember(ROOT, name, directory("a"));
        assert_eq!(inodes.remember(ROOT, name, directory("a")), first);
        inodes.forget(first, 1);
        assert_eq!(inodes.known(ROOT, name), Some(first));
        inodes.forget(first, 1);
        assert_eq!((inodes.known(ROOT, name), inodes.len()), (None, 0));
        assert!(inodes.by_name.is_empty(), "nor is anything left of its directory");
        assert_ne!(inodes.remember(ROOT, name, directory("a")), first);
    }

    #[test]
    fn another_meaning_gets_another_number_and_the_old_one_keeps_its_own() {
        let mut inodes = Inodes::default();
        let name = OsStr::new("a");
        let old = inodes.remember(ROOT, name, directory("a"));
        let new = inodes.remember(ROOT, name, directory("b"));
        assert_ne!(old, new);
        assert!(matches!(inodes.node(old), Some(Node::Directory(_))));
        inodes.forget(old, 1);
        assert_eq!(inodes.known(ROOT, name), Some(new));
        inodes.forget(new, 5);
        assert!(inodes.is_empty());
        assert_eq!(inodes.fixed_bytes(), 0);
    }

    #[test]
    fn the_oldest_files_are_surplus() {
        let mut inodes = Inodes::default();
        inodes.remember(ROOT, OsStr::new("directory"), directory("directory"));
        let file = |name: &str, inodes: &mut Inodes| {
            let id = crate::meta::Meta::of(std::fs::File::open("/").unwrap()).unwrap().id;
            inodes.remember(ROOT, OsStr::new(name), file_node(name, id));
        };
        for name in ["a", "b", "c"] {
            file(name, &mut inodes);
        }
        let each = inodes.live_bytes() / 3;
        let mut names = |keep| -> Vec<String> {
            let surplus = inodes.surplus(keep).into_iter();
            surplus.map(|(_, name)| name.to_string_lossy().into_owned()).collect()
        };
        assert!(names(3 * each).is_empty());
        assert_eq!(names(each), ["a", "b"]);
        assert_eq!(names(0), ["c"], "none of them twice");
        file("a", &mut inodes);
        let a = inodes.known(ROOT, OsStr::new("a")).unwrap();
        inodes.open(a, false);
        assert!(inodes.surplus(0).is_empty(), "it is open");
        inodes.close(a);
        assert_eq!(inodes.surplus(0).len(), 1, "it was looked up again");
        for round in 0..20_000 {
            let name = OsString::from(round.to_string());
            let id = crate::meta::Meta::of_path(Path::new("/")).unwrap().id;
            let ino = inodes.remember(ROOT, &name, file_node(&name, id));
            inodes.forget(ino, 1);
        }
        inodes.surplus(100 * each);
        assert_eq!(inodes.live_bytes(), 0);
        assert!(inodes.fixed_bytes() > 0, "the directory is there");
        assert!(inodes.queue.len() < 20_000, "what was forgotten leaves no trace");
    }

    #[test]
    fn forgetting_what_is_not_remembered_does_nothing() {
        let mut inodes = Inodes::default();
        inodes.forget(Ino(77), 1);
        inodes.forget(ROOT, 1);
        assert!(inodes.is_empty());
    }
}
