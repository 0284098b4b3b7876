//! The attributes of many files as one: the newest times, and the rights that all of them grant.
//!
//! Mode bits can say exactly that where all files have one owner and group: each bit is set that all of them
//! have. Where owners or groups differ, they can say it only of what is granted to everybody. Anything else is
//! closed, but to root and the owner of the mount.

use crate::acl::AccessList;
use crate::meta::{FileId, Kind, Meta};

/// How many kinds of rights the files of an array may have.
const MAX_KINDS: usize = 256;

const READ_BY_ALL: u16 = 0o444;

/// Files that the kernel opens to the same users, by the same directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kindred {
    uid: u32,
    gid: u32,
    mode: u16,
    /// A symlink may lead through other directories.
    is_link: bool,
    /// One of them, by its number.
    pub(super) one: usize,
}

/// The rights and times of files that were added up.
#[derive(Clone, Debug)]
pub(super) struct Together {
    id: FileId,
    /// The newest times, with the owner, the group and the list of the first.
    all: Option<Meta>,
    list: Option<AccessList>,
    /// The permission bits that all have.
    mode: u16,
    has_one_owner: bool,
    has_one_list: bool,
    kinds: Vec<Kindred>,
    is_closed: bool,
}

impl Together {
    /// No files, of a directory.
    pub(super) fn new(id: FileId) -> Together {
        Together {
            id,
            all: None,
            list: None,
            mode: 0o777,
            has_one_owner: true,
            has_one_list: true,
            kinds: Vec::new(),
            is_closed: false,
        }
    }

    /// Adds the file of a number. Returns the number of its kind of rights.
    pub(super) fn add(
        &mut self,
        number: usize,
        meta: &Meta,
        list: Option<AccessList>,
        is_link: bool,
    ) -> u16 {
        match &mut self.all {
            None => {
                self.all = Some(*meta);
                self.list = list;
            }
            Some(all) => {
                all.accessed = all.accessed.max(meta.accessed);
                all.modified = all.modified.max(meta.modified);
                all.changed = all.changed.max(meta.changed);
                self.has_one_owner &= (all.uid, all.gid) == (meta.uid, meta.gid);
                self.has_one_list &= self.list == list;
            }
        }
        self.mode &= meta.mode;
        let is_known = |kind: &Kindred| {
            !is_link
                && !kind.is_link
                && (kind.uid, kind.gid) == (meta.uid, meta.gid)
                && kind.mode == meta.mode
        };
        let kind = self.kinds.iter().position(is_known).unwrap_or(self.kinds.len());
        if kind == self.kinds.len() && kind < MAX_KINDS {
            let Meta { uid, gid, mode, .. } = *meta;
            self.kinds.push(Kindred { uid, gid, mode, is_link, one: number });
        }
        self.is_closed |= kind == MAX_KINDS;
        kind as u16
    }

    /// Counts in the directory that was listed: an array of its files says what they are called.
    pub(super) fn count_in_directory(&mut self, meta: &Meta, has_list: bool) {
        let Some(all) = &self.all else { return };
        if has_list {
            self.is_closed = true;
        } else if meta.mode & READ_BY_ALL != READ_BY_ALL {
            let is_alike = self.has_one_owner && (all.uid, all.gid) == (meta.uid, meta.gid);
            self.is_closed |= !is_alike || self.list.is_some();
            self.mode &= meta.mode | !READ_BY_ALL;
        }
    }

    /// The list that all files have, if it is one. None too if it cannot be said.
    pub(super) fn list(&self) -> Option<&Option<AccessList>> {
        self.has_one_list.then_some(&self.list)
    }

    /// The list that counts for the array.
    pub(super) fn granted_list(&self) -> Option<AccessList> {
        let can_say = self.has_one_owner && self.has_one_list && !self.is_closed;
        self.list.clone().filter(|_| can_say)
    }

    /// One file of each kind of rights.
    pub(super) fn kinds(&self) -> &[Kindred] {
        &self.kinds
    }

    /// Whether a file of a kind still grants at least what it did.
    pub(super) fn is_still_granted(&self, kind: u16, meta: &Meta) -> bool {
        self.kinds.get(usize::from(kind)).is_none_or(|was| {
            (was.uid, was.gid) == (meta.uid, meta.gid) && was.mode & READ_BY_ALL & !meta.mode == 0
        })
    }

    /// The attributes of the array, of `size` bytes.
    pub(super) fn meta(&self, size: u64) -> Meta {
        let ours = Meta::of_this_process();
        let all = self.all.unwrap_or(ours);
        let meta = Meta { id: self.id, kind: Some(Kind::File), size, nlink: 1, ..all };
        let to_everybody = self.mode & self.mode >> 3 & self.mode >> 6 & 0o5;
        let has_no_list = self.has_one_list && self.list.is_none();
        let (uid, gid) = (ours.uid, ours.gid);
        match self {
            Together { has_one_owner: true, has_one_list: true, is_closed: false, .. } => {
                Meta { mode: self.mode & 0o555, ..meta }
            }
            Together { is_closed: false, .. } if has_no_list && to_everybody & 0o4 != 0 => {
                Meta { uid, gid, mode: to_everybody * 0o111, ..meta }
            }
            _ => Meta { uid, gid, mode: 0o400, ..meta },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the mode, the owner and the group come to.
    fn together(files: &[(u32, u32, u16)], directory: (u32, u32, u16)) -> (u32, u32, u16) {
        let some = Meta::of_this_process();
        let meta = |(uid, gid, mode)| Meta { uid, gid, mode, ..some };
        let mut all = Together::new(some.id);
        for (number, file) in files.iter().enumerate() {
            all.add(number, &meta(*file), None, false);
        }
        all.count_in_directory(&meta(directory), false);
        let Meta { uid, gid, mode, .. } = all.meta(0);
        (uid, gid, mode)
    }

    #[test]
    fn what_is_granted_is_what_all_files_grant() {
        let Meta { uid: us, gid: ours, .. } = Meta::of_this_process();
        let open = (0, 0, 0o755);
        let closed = (us, ours, 0o400);
        let other = us + 7;
        assert_eq!(together(&[(other, 8, 0o644), (other, 8, 0o640)], open), (other, 8, 0o440));
        assert_eq!(together(&[(other, 8, 0o600), (other, 8, 0o040)], open), (other, 8, 0));
        assert_eq!(together(&[(other, 8, 0o644), (9, 8, 0o644)], open), (us, ours, 0o444));
        assert_eq!(together(&[(other, 8, 0o644), (other, 9, 0o644)], open), (us, ours, 0o444));
        assert_eq!(together(&[(other, 8, 0o644), (9, 8, 0o640)], open), closed);
        assert_eq!(together(&[(other, 8, 0o604), (9, 8, 0o644)], open), closed);
        let private = (other, 8, 0o711);
        assert_eq!(together(&[(other, 8, 0o644)], private), (other, 8, 0o400));
        assert_eq!(together(&[(other, 9, 0o644)], private), closed);
    }

    #[test]
    fn lists_that_differ_close_it() {
        let some = Meta { mode: 0o644, uid: 5, gid: 5, ..Meta::of_this_process() };
        let list = |permissions: u8| {
            let entry = [2, 0, 0, 0, 1, 0, permissions, 0, 255, 255, 255, 255];
            AccessList::parse(&entry).unwrap()
        };
        let mut all = Together::new(some.id);
        all.add(0, &some, Some(list(4)), false);
        all.add(1, &some, Some(list(4)), false);
        assert_eq!((all.granted_list(), all.meta(0).uid), (Some(list(4)), 5));
        let mut closed = all.clone();
        closed.add(2, &some, None, false);
        assert_eq!((closed.granted_list(), closed.meta(0).mode), (None, 0o400));
        all.count_in_directory(&some, true);
        assert_eq!((all.granted_list(), all.meta(0).mode), (None, 0o400));
    }

    #[test]
    fn files_of_the_same_rights_are_of_one_kind_and_each_link_is_its_own() {
        let some = Meta::of_this_process();
        let other = Meta { uid: some.uid + 1, ..some };
        let mut all = Together::new(some.id);
        let files = [(some, false), (other, false), (some, false), (some, true), (some, true)];
        let kinds: Vec<u16> = (0..)
            .zip(files)
            .map(|(number, (meta, is_link))| all.add(number, &meta, None, is_link))
            .collect();
        assert_eq!(kinds, [0, 1, 0, 2, 3]);
        assert!(all.is_still_granted(1, &other) && !all.is_still_granted(1, &some));
        assert!(!all.is_still_granted(0, &Meta { mode: 0, ..some }));
    }
}
