//! Inode numbers, by which the kernel calls nodes for as long as it remembers them.
//!
//! A number stands for one node under one name of one parent, and is never given out again. When the name
//! comes to mean another version of a file, it gets another number, so the kernel never mixes the pages of
//! both.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::sync::Arc;

use crate::meta::Stamp;
use crate::statistics::STATISTICS;
use crate::tree::{Backing, Node};

mod forgettable;
mod pages;

use forgettable::Forgettable;
use pages::Pages;
pub use pages::{Opening, Passage, Registration, Staged};

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
    /// Boxed, since half of the table can be empty.
    by_number: HashMap<Ino, Box<Inode>>,
    /// Two levels, directory and then name, so that a lookup needs no owned name.
    by_name: HashMap<Ino, HashMap<Arc<OsStr>, Ino>>,
    forgettable: Forgettable,
}

#[derive(Debug)]
struct Inode {
    node: Node,
    parent: Ino,
    name: Arc<OsStr>,
    /// How many lookups the kernel has not forgotten yet.
    lookups: u64,
    pages: Pages,
}

impl Inode {
    /// Directories of the source are never forgotten, since somebody may be working in one.
    fn is_forgettable(&self) -> bool {
        self.node.is_made() && !self.pages.are_in_use()
    }

    /// Its memory, as a multiple of what a slice takes. A directory also has a table of its names.
    fn weight(&self) -> usize {
        self.node.weight() + usize::from(self.node.is_directory())
    }
}

impl Default for Inodes {
    fn default() -> Self {
        Inodes {
            last: ROOT.0,
            by_number: HashMap::new(),
            by_name: HashMap::new(),
            forgettable: Forgettable::default(),
        }
    }
}

impl Inodes {
    /// The number of a node that the kernel looked up, and so will forget once more.
    pub fn remember(&mut self, parent: Ino, name: &OsStr, node: Node) -> Ino {
        let siblings = self.by_name.entry(parent).or_default();
        if let Some(&ino) = siblings.get(name)
            && let Some(inode) =
                self.by_number.get_mut(&ino).filter(|old| old.node.is_same_as(&node))
        {
            // Nodes made from the old one share it, so it stays. But a text describes its file as it is now.
            if matches!(node.backing(), Backing::NoArray(_)) {
                inode.node = node;
            }
            inode.lookups += 1;
            if inode.is_forgettable() {
                self.forgettable.insert(ino, inode.weight());
            }
            return ino;
        }
        self.last += 1;
        let ino = Ino(self.last);
        let name: Arc<OsStr> = name.into();
        siblings.insert(name.clone(), ino);
        let inode = Inode { node, parent, name, lookups: 1, pages: Pages::default() };
        if inode.is_forgettable() {
            self.forgettable.insert(ino, inode.weight());
        }
        self.by_number.insert(ino, inode.into());
        STATISTICS.in_use.inodes.add(1);
        ino
    }

    /// The kernel forgets `count` of its lookups of a number.
    pub fn forget(&mut self, ino: Ino, count: u64) {
        let Some(inode) = self.by_number.get_mut(&ino) else { return };
        inode.lookups = inode.lookups.saturating_sub(count);
        if inode.lookups > 0 {
            return;
        }
        self.forgettable.remove(ino);
        if let Some(inode) = self.by_number.remove(&ino) {
            STATISTICS.in_use.inodes.sub(1);
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

    /// Gives back the room of forgotten numbers, if there is much of it.
    pub fn shrink(&mut self) {
        let room = 2 * self.by_number.len() + MAX_SURPLUS;
        if self.by_number.capacity() > 2 * room {
            self.by_number.shrink_to(room);
            self.by_name.shrink_to(room);
            self.by_name.values_mut().for_each(HashMap::shrink_to_fit);
        }
    }

    /// The nodes, by parent and name, that the kernel should be asked to forget, so that the rest weighs no more
    /// than `keep`. They are the oldest that are not open and lead to no others; each is named once, and not very
    /// many at a time.
    pub fn surplus(&mut self, keep: usize) -> Vec<(Ino, Arc<OsStr>)> {
        let leads_on = |ino| self.by_name.contains_key(&ino);
        let oldest = self.forgettable.take(keep, MAX_SURPLUS, leads_on);
        oldest.into_iter().filter_map(|ino| self.place(ino)).collect()
    }

    /// How much the nodes weigh that the kernel can be asked to forget.
    pub fn weight(&self) -> usize {
        self.forgettable.weight()
    }

    /// Opens an inode once more, or says that the caller must wait. With `alone` the open has its turn until
    /// [`Inodes::settle`] is called, unless others have the inode open.
    pub fn open(&mut self, ino: Ino, alone: bool) -> Opening {
        let Some(inode) = self.by_number.get_mut(&ino) else { return Opening::Shared };
        self.forgettable.remove(ino);
        inode.pages.open(alone)
    }

    /// The kernel reads an inode without us, until the last close. Only for an open that has its turn.
    pub fn pass_through(&mut self, ino: Ino, passage: Passage) {
        if let Some(inode) = self.by_number.get_mut(&ino) {
            inode.pages.pass_through(passage);
        }
    }

    /// The stamp that the backing file had when the copy was made that the kernel reads an inode from.
    pub fn copied_as_of(&self, ino: Ino) -> Option<Stamp> {
        self.by_number.get(&ino)?.pages.copied_as_of()
    }

    /// The next lookup of its name gives another number.
    pub fn retire(&mut self, ino: Ino) {
        let Some(inode) = self.by_number.get(&ino) else { return };
        let Some(siblings) = self.by_name.get_mut(&inode.parent) else { return };
        if siblings.get(&inode.name) == Some(&ino) {
            siblings.remove(&inode.name);
        }
        if siblings.is_empty() {
            self.by_name.remove(&inode.parent);
        }
    }

    /// The turn of an open is over.
    pub fn settle(&mut self, ino: Ino) {
        if let Some(inode) = self.by_number.get_mut(&ino) {
            inode.pages.settle();
        }
    }

    /// Closes an inode once. After the last close its passage is given back, if it has one.
    pub fn close(&mut self, ino: Ino) -> Option<Box<Passage>> {
        let inode = self.by_number.get_mut(&ino)?;
        let passage = inode.pages.close();
        if inode.is_forgettable() {
            self.forgettable.insert(ino, inode.weight());
        }
        passage
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
    }

    fn file(inodes: &mut Inodes, parent: Ino, name: &str) -> Ino {
        let id = crate::meta::Meta::of_path(Path::new("/")).unwrap().id;
        inodes.remember(parent, OsStr::new(name), file_node(name, id))
    }

    fn surplus(inodes: &mut Inodes, keep: usize) -> Vec<String> {
        let surplus = inodes.surplus(keep).into_iter();
        surplus.map(|(_, name)| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn the_oldest_that_nobody_uses_are_surplus() {
        let mut inodes = Inodes::default();
        inodes.remember(ROOT, OsStr::new("directory"), directory("directory"));
        let [_, b, ..] = ["a", "b", "c", "d"].map(|name| file(&mut inodes, ROOT, name));
        inodes.open(b, false);
        assert_eq!(inodes.weight(), 3, "what is open is not counted, nor is a directory");
        assert!(surplus(&mut inodes, 3).is_empty());
        assert_eq!(surplus(&mut inodes, 1), ["a", "c"]);
        assert_eq!(surplus(&mut inodes, 0), ["d"], "none of them twice");
        file(&mut inodes, ROOT, "a");
        inodes.close(b);
        assert_eq!(surplus(&mut inodes, 0), ["a", "b"], "looked up again, and closed");
    }

    #[test]
    fn what_leads_to_others_counts_and_stays_until_they_are_gone() {
        let mut inodes = Inodes::default();
        let parent = file(&mut inodes, ROOT, "parent");
        let child = file(&mut inodes, parent, "child");
        assert_eq!(inodes.weight(), 2);
        assert_eq!(surplus(&mut inodes, 1), ["child"]);
        assert!(surplus(&mut inodes, 0).is_empty());
        inodes.forget(child, 1);
        assert_eq!(surplus(&mut inodes, 0), ["parent"]);
    }

    #[test]
    fn what_was_forgotten_leaves_no_trace() {
        let mut inodes = Inodes::default();
        for round in 0..20_000 {
            let ino = file(&mut inodes, ROOT, &round.to_string());
            inodes.open(ino, false);
            inodes.close(ino);
            inodes.forget(ino, 1);
        }
        assert_eq!(inodes.weight(), 0);
        assert!(inodes.is_empty() && inodes.by_name.is_empty());
        inodes.shrink();
        assert!(inodes.by_number.capacity() < 20_000);
    }

    #[test]
    fn forgetting_what_is_not_remembered_does_nothing() {
        let mut inodes = Inodes::default();
        inodes.forget(Ino(77), 1);
        inodes.forget(ROOT, 1);
        assert!(inodes.is_empty());
    }
}
