//! Who may open a node.

use super::{Node, Tree, Version};
use crate::caller::Caller;
use crate::error::Error;

impl Tree {
    /// An error if a caller may not read what a node stands for: the directory or file of the source
    /// that it is, or else the file that it was made of.
    pub fn admit(&self, node: &Node, caller: Caller, which: Version) -> Result<(), Error> {
        // Those whose own rights count pay nothing.
        if self.source.lent_by(caller).is_none() {
            return Ok(());
        }
        match (node, node.file()) {
            (Node::Directory(path), _) => self.source.admit_to_directory(path, caller),
            (_, Some((path, id))) if which == Version::AtPath => {
                self.source.admit_reader(path, id, self.meta(node)?.uid, caller)
            }
            // The kernel has only just let the caller come to it by its path.
            (_, Some((path, id))) => {
                let (open, _) = self.source.open_file(path, id)?;
                self.source.admit_to_open(&open, caller)
            }
            // Of a symlink that leads out of the source nothing is read.
            (_, None) => Ok(()),
        }
    }
}
