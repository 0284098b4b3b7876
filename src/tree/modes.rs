//! Who may open a node: its mode and access list, by which the kernel decides about entries it knows, and
//! what the source itself says.
//!
//! List and mode are derived from the file's in the same way, permission by permission: with a list, the
//! mode's group bits are the list's mask. The kernel looks at a list only if these are not all 0. If nothing
//! else is left of them, the write bit stands in: it permits nothing on a read-only mount or for what cannot
//! be written, and the list goes on to count.

use std::sync::Arc;

use super::{Backing, Node, Tree};
use crate::acl;
use crate::caller::Caller;
use crate::error::Error;
use crate::meta::Kind;
use crate::source::{Origin, Which};

const READ: u16 = 0o4;
const WRITE: u16 = 0o2;
const SEARCH: u16 = 0o1;

impl Tree {
    /// An error if a caller may not read what a node stands for: the entry of the source that it is, or the
    /// file that it was made from.
    pub fn admit(&self, node: &Node, caller: Caller, which: Which) -> Result<(), Error> {
        // Callers whose rights are ours pay nothing for this.
        if self.source.lent_by(caller).is_none() {
            return Ok(());
        }
        match (node.backing(), node.kind()) {
            (Backing::Entry(entry), Kind::Directory) | (Backing::Beneath(entry, _), _) => {
                self.source.admit_to_directory(entry, caller)
            }
            (Backing::Entry(entry), Kind::File) => self.source.admit_to_file(entry, caller, which),
            (Backing::Entry(_), Kind::Symlink) => Ok(()),
            (backing, _) => match backing.origin() {
                Some(origin) => origin.admit(&self.source, caller, which),
                None => Ok(()),
            },
        }
    }

    /// The mode of a node, given its file's.
    pub(super) fn mode(&self, node: &Node, of_file: u16) -> u16 {
        let special = if node.is_entry() { of_file & 0o7000 } else { 0 };
        let bits = |shift: u16| of_file >> shift & 0o7;
        special
            | self.permissions(node, bits(6)) << 6
            | self.permissions_of_group(node, bits(3)) << 3
            | self.permissions(node, bits(0))
    }

    /// The access list of this name of a node, as bytes, if its file has one.
    pub fn access_list(&self, node: &Node, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let list = match (node.backing(), node.kind()) {
            (Backing::Entry(entry), Kind::Directory) => {
                self.source.list_of_directory(entry, name)?
            }
            (Backing::Entry(entry), Kind::File) => {
                self.source.list_of_file(&entry.path, entry.id, name)?
            }
            (Backing::Entry(_), Kind::Symlink) => None,
            (Backing::Beneath(directory, _), _) if name != acl::DEFAULT => {
                self.source.list_of_directory(directory, name)?
            }
            (backing, _) => match backing.origin() {
                Some(origin) => origin.access_list(&self.source, name)?,
                None => None,
            },
        };
        Ok(list.map(|list| match name {
            acl::DEFAULT => list.to_bytes(),
            _ => {
                let of_mask = |mask| self.permissions_of_group(node, mask);
                list.with(|of_file| self.permissions(node, of_file), of_mask).to_bytes()
            }
        }))
    }

    /// The permissions of a node whose file has these.
    fn permissions(&self, node: &Node, of_file: u16) -> u16 {
        let is_never_written = |origin: &Arc<dyn Origin>| origin.why_read_only().is_some();
        let may_write =
            self.options.writable && !node.backing().origin().is_some_and(is_never_written);
        match node {
            _ if node.is_entry() && may_write => of_file,
            _ if matches!(node.backing(), Backing::Beneath(..)) => match node.kind() {
                Kind::Directory => of_file & (READ | SEARCH),
                // It says what is in the directory, and what that is.
                _ if of_file & (READ | SEARCH) == READ | SEARCH => READ,
                _ => 0,
            },
            // To read an array is to look around in it. Whoever may write the array may try to make
            // names there, and can then read why not; without the bit the kernel would answer for us,
            // and we could not say which slice is misspelt.
            Node::Directory(directory) if !node.is_entry() => match of_file & READ {
                0 => 0,
                _ if may_write && !directory.is_read_only() => READ | SEARCH | of_file & WRITE,
                _ => READ | SEARCH,
            },
            Node::File(file) if file.is_writable() && may_write => of_file,
            _ => of_file & !WRITE,
        }
    }

    /// The same for the owning group, and for the mask of a list.
    fn permissions_of_group(&self, node: &Node, of_file: u16) -> u16 {
        match self.permissions(node, of_file) {
            0 if of_file != 0 && self.source.is_for_others() => WRITE,
            permissions => permissions,
        }
    }
}
