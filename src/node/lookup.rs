//! From a node and a name to the node of that name.

use std::ffi::OsStr;
use std::sync::Arc;

use super::text::USAGE;
use super::{About, Attr, Control, Encoded, Node, Selection, Text, Tree, as_text};
use crate::encoding::Encoding;
use crate::error::Error;
use crate::meta::{Kind, Meta, NAME_MAX};
use crate::selection::{Group, Selector};
use crate::source::{ArrayFile, Found, OpenFile, Source, SourceDirectory, Unreadable};

/// The longest expression of a directory, in bytes: about as long as a path can be. Selections of selections
/// could otherwise take memory without end. The expression of a file is longer by its name's part.
const MAX_EXPRESSION: usize = 4096;

impl Tree {
    /// The entry `name` of a directory, and its attributes.
    pub fn lookup(&self, parent: &Node, name: &OsStr) -> Result<(Node, Attr), Error> {
        if name.len() > NAME_MAX {
            return Err(Error::NameTooLong);
        }
        match self.find(parent, name) {
            Ok((node, meta)) => {
                let attr = self.attr_by(&node, &meta);
                Ok((node, attr))
            }
            Err(Error::NotFound(why)) => match self.control(parent, name) {
                Some(control) => Ok((Node::Control(control), control.attr())),
                None => Err(Error::NotFound(why)),
            },
            Err(err) => Err(err),
        }
    }

    /// The entry `name` of a directory, and the attributes of its file.
    fn find(&self, parent: &Node, name: &OsStr) -> Result<(Node, Meta), Error> {
        match parent {
            Node::Directory(directory) => self.in_directory(directory, name),
            Node::ArrayFile(file) => {
                let (array, meta) = self.source.array(file)?;
                let name = as_text(name)?;
                let node = match array {
                    Ok(root) => in_array(&Arc::new(Selection::whole(file, root)), &meta, name)?,
                    Err(unreadable) => about_unreadable(file, &meta, &unreadable, name)?,
                };
                Ok((node, meta))
            }
            Node::Selection(selection) => {
                let meta = self.current(selection)?;
                Ok((in_array(selection, &meta, as_text(name)?)?, meta))
            }
            Node::Group(selection, group) => {
                let meta = self.current(selection)?;
                Ok((in_group(selection, &meta, group, as_text(name)?)?, meta))
            }
            Node::Control(Control::Directory) => Err(Error::not_found("there is no such file")),
            Node::File(..)
            | Node::Symlink(..)
            | Node::Encoded(..)
            | Node::Text(..)
            | Node::Control(_) => Err(Error::NotADirectory),
        }
    }

    /// The file of a node, held open so that this version stays; none if it has no file, or it cannot be
    /// opened.
    pub fn hold(&self, node: &Node) -> Result<Option<Arc<OpenFile>>, Error> {
        let Some((path, id)) = node.file() else { return Ok(None) };
        match self.source.open_file(path, id) {
            Ok((open, _)) => Ok(Some(open)),
            Err(Error::Stale) => Err(Error::Stale),
            Err(_) => Ok(None),
        }
    }

    fn in_directory(
        &self,
        directory: &SourceDirectory,
        name: &OsStr,
    ) -> Result<(Node, Meta), Error> {
        let not_found = match self.source.find(directory, name) {
            Ok(Found::Entry(meta)) => {
                let (path, id) = (Source::path_of(&directory.path, name), meta.id);
                let node = match meta.kind {
                    Some(Kind::Directory) => Node::Directory(SourceDirectory { path, id }),
                    Some(Kind::Symlink) => Node::Symlink(path, id),
                    _ => Node::File(path, id),
                };
                return Ok((node, meta));
            }
            Ok(Found::Array(file, meta)) => return Ok((Node::ArrayFile(file.into()), meta)),
            Err(err @ Error::NotFound(_)) => err,
            Err(err) => return Err(err),
        };
        // The encodings beside `X.npy`, which is itself the first of them.
        match name.to_str().and_then(Encoding::strip) {
            Some((_, Encoding::Npy)) | None => Err(not_found),
            Some((stem, encoding)) => {
                let (file, meta) = self.source.array_of_stem(directory, stem)?;
                match self.source.array(&file)?.0 {
                    Ok(root) => {
                        let whole = Arc::new(Selection::whole(&file.into(), root));
                        Ok((Node::Encoded(Encoded::new(&whole, None, encoding)?), meta))
                    }
                    Err(unreadable) => Err(Error::not_found(unreadable.sentence(&file))),
                }
            }
        }
    }
}

/// An entry of an array's directory.
fn in_array(selection: &Arc<Selection>, meta: &Meta, name: &str) -> Result<Node, Error> {
    if name == "header.json" {
        let about = About::Header(selection.clone());
        return Ok(Node::Text(Text::new(&selection.file, meta, about).into()));
    }
    if name == USAGE {
        let about = About::Usage(selection.clone(), None);
        return Ok(Node::Text(Text::new(&selection.file, meta, about).into()));
    }
    if let Ok(group) = Group::named(name, &selection.view) {
        return Ok(Node::Group(selection.clone(), group));
    }
    let (selector, encoding) = match Encoding::strip(name) {
        Some((stem, encoding)) => (Selector::named(stem), Some(encoding)),
        None => (Selector::named(name), None),
    };
    match selector {
        Ok(selector) => selected(selection, selector, encoding),
        // If it is no selector either, the reason why it is no group says more.
        Err(refusal) => {
            Err(Error::NotFound(Group::named(name, &selection.view).err().unwrap_or(refusal)))
        }
    }
}

/// An entry of a directory of selectors.
fn in_group(
    selection: &Arc<Selection>,
    meta: &Meta,
    group: &Group,
    name: &str,
) -> Result<Node, Error> {
    let view = &selection.view;
    if name == USAGE && group.has_usage() {
        let about = About::Usage(selection.clone(), Some(group.clone()));
        return Ok(Node::Text(Text::new(&selection.file, meta, about).into()));
    }
    if let Some((stem, encoding)) = Encoding::strip(name) {
        let selector = group.select(stem, view).map_err(Error::NotFound)?;
        return selected(selection, selector, Some(encoding));
    }
    if let Group::Parts | Group::Windows = group {
        let inner = group.enter(name, view).map_err(Error::NotFound)?;
        return Ok(Node::Group(selection.clone(), inner));
    }
    let selector = group.select(name, view).map_err(Error::NotFound)?;
    selected(selection, selector, None)
}

/// What a selector selects of an array: a file, or a directory if there is no encoding.
fn selected(
    selection: &Arc<Selection>,
    selector: Selector,
    encoding: Option<Encoding>,
) -> Result<Node, Error> {
    if let Some(encoding) = encoding {
        return Encoded::new(selection, Some(selector), encoding).map(Node::Encoded);
    }
    let inner = selection.select(&selector)?;
    if inner.expression.len() > MAX_EXPRESSION {
        return Err(Error::NameTooLong);
    }
    Ok(Node::Selection(inner.into()))
}

/// An entry in the directory of an array that cannot be served.
fn about_unreadable(
    file: &Arc<ArrayFile>,
    meta: &Meta,
    unreadable: &Arc<Unreadable>,
    name: &str,
) -> Result<Node, Error> {
    let about = match (name, &unreadable.header) {
        ("error.txt", _) => About::Error(unreadable.clone()),
        ("header.json", Some(_)) => About::HeaderOfUnreadable(unreadable.clone()),
        _ => return Err(Error::not_found(unreadable.sentence(file))),
    };
    Ok(Node::Text(Text::new(file, meta, about).into()))
}
