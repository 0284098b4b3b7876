//! What a node is, in the words of `npyfs info`.

use std::sync::Arc;

use super::{Node, Selection, Tree};
use crate::error::Error;
use crate::source::{Array, ArrayFile};

/// A node, described.
#[derive(Debug)]
pub enum Described {
    /// It is an array.
    Array {
        /// Its `header.json`.
        header_json: String,
        /// A further remark for its owner.
        note: Option<String>,
    },
    /// It is no array, and why.
    NoArray(String),
}

impl Tree {
    /// Describes a node: a directory of an array, an array as a file, or the file that holds it.
    pub fn describe(&self, node: &Node) -> Result<Described, Error> {
        let no_array = |why: &str| Ok(Described::NoArray(why.to_owned()));
        match node {
            Node::Selection(selection) => {
                Ok(Described::Array { header_json: selection.header_json(), note: None })
            }
            Node::Encoded(encoded) => {
                let header_json = encoded.selection()?.header_json();
                Ok(Described::Array { header_json, note: None })
            }
            Node::ArrayFile(file) => Ok(of_array(file, self.source.array(file)?.0, None)),
            Node::File(path, _) | Node::Symlink(path, _) => match self.source.array_in(path)? {
                Some((file, directory)) => {
                    let note = directory.is_none().then(|| {
                        "it has no directory, since other entries already have the names for it"
                            .to_owned()
                    });
                    let array = self.source.array(&file)?.0;
                    Ok(of_array(&file.into(), array, note))
                }
                None => no_array("not an array: its name does not end in .npy"),
            },
            Node::Directory(_) => no_array("a directory"),
            Node::Group(..) => no_array("a directory of selections; each of them is an array"),
            Node::Text(..) => no_array("a text about an array"),
            Node::Control(..) => no_array("a file about the mount itself"),
        }
    }

    /// Fails if the source cannot be read, or is a single file that is no array.
    pub fn check(&self) -> Result<(), Error> {
        let Node::ArrayFile(file) = self.root()? else { return self.source.check_readable() };
        match self.source.array(&file)?.0 {
            Ok(_) => Ok(()),
            Err(unreadable) => Err(Error::not_found(unreadable.sentence(&file))),
        }
    }
}

fn of_array(file: &Arc<ArrayFile>, array: Array, note: Option<String>) -> Described {
    match array {
        Ok(root) => {
            Described::Array { header_json: Selection::whole(file, root).header_json(), note }
        }
        Err(unreadable) => Described::NoArray(unreadable.why.clone()),
    }
}
