//! What a path means: a file of the source, an array or a selection of it, or a small text.
//!
//! A [`Node`] is found one component at a time ([`Tree::lookup`]). It holds the version of the array that it
//! was found with, and never means another. Once the file's header is another, the node is stale and its path
//! must be looked up again.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use crate::caller::Caller;
use crate::error::Error;
use crate::meta::{FileId, Kind, Meta};
use crate::quota::Quota;
use crate::selection::{Group, Selector};
use crate::shown::shown;
use crate::source::{ArrayFile, OpenFile, Root, Source, SourceDirectory};
use crate::view::View;

mod content;
mod control;
mod describe;
mod encoded;
mod listing;
mod lookup;
mod rights;
mod text;
mod writing;

pub use content::Content;
pub use control::Control;
pub use describe::Described;
pub use encoded::Encoded;
pub use listing::{DOTS, Listing};
use text::About;
pub use text::Text;
pub use writing::Writing;

/// The expression of a file's whole array.
const WHOLE: &str = "a";

/// Everything that a path can mean.
#[derive(Clone, Debug)]
pub enum Node {
    /// A directory of the source
    Directory(SourceDirectory),
    /// A regular file of the source
    File(Arc<Path>, FileId),
    /// A symlink of the source, whose text never changes
    Symlink(Arc<Path>, FileId),
    /// The directory of an array; the header is read when something in it is asked for
    ArrayFile(Arc<ArrayFile>),
    /// The directory of a selection
    Selection(Arc<Selection>),
    /// A directory of selectors
    Group(Arc<Selection>, Group),
    /// A selection as a file
    Encoded(Encoded),
    /// A small text about an array
    Text(Arc<Text>),
    /// Something about the mount itself
    Control(Control),
}

/// An array reached by a path: that of a file, or a selection of it.
#[derive(Debug)]
pub struct Selection {
    /// The file, by the path under which it was looked up.
    file: Arc<ArrayFile>,
    /// The version of its array.
    root: Arc<Root>,
    /// The elements that are selected.
    view: View,
    /// The Python expression for them, in terms of the file's array `a`.
    expression: String,
}

/// Which version of a file to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The one that was looked up, perhaps long ago, if it is still at its path.
    AtPath,
    /// The one that was looked up just now, whatever is at its path by now.
    LookedUp,
}

/// What a directory entry is, to its users.
#[derive(Clone, Copy, Debug)]
pub struct Attr {
    /// Its kind.
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// Permission bits: those of the backing file, without the write bits if nothing can be written. A
    /// directory of an array has an execute bit for each read bit.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Hard links.
    pub nlink: u32,
    /// Last access.
    pub accessed: SystemTime,
    /// Last modification.
    pub modified: SystemTime,
    /// Last change.
    pub changed: SystemTime,
}

/// How to serve what a source holds.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// About the size in bytes of the tiles that `rows` lists.
    pub tile_bytes: u64,
    /// List no tiles and no fields, which repeat what the array's file has.
    pub no_tiles: bool,
    /// The values of arrays may be written.
    pub writable: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { tile_bytes: 64 << 20, no_tiles: false, writable: false }
    }
}

/// The tree of all paths over a source.
#[derive(Debug)]
pub struct Tree {
    source: Source,
    options: Options,
    /// Room for headers that writers have begun and not finished.
    headers: Arc<Quota>,
}

/// How many bytes all unfinished headers may take.
const MAX_BEGUN: u64 = 16 << 20;

impl Tree {
    /// The tree over a source.
    pub fn new(source: Source, options: Options) -> Tree {
        Tree { source, options, headers: Quota::new(MAX_BEGUN) }
    }

    /// Where the files are.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Whether the values of arrays may be written.
    pub fn is_writable(&self) -> bool {
        self.options.writable
    }

    /// What the empty path means: the source directory, or the array of a single file.
    pub fn root(&self) -> Result<Node, Error> {
        match self.source.single() {
            Some(found) => found.map(|(file, _)| Node::ArrayFile(file.into())),
            None => Ok(Node::Directory(self.source.root())),
        }
    }

    /// The attributes of a node. [`Error::Stale`] if its file was replaced, or its header means something
    /// else now.
    pub fn attr(&self, node: &Node) -> Result<Attr, Error> {
        match node {
            Node::Control(control) => Ok(control.attr()),
            _ => Ok(self.attr_by(node, &self.meta(node)?)),
        }
    }

    /// The attributes that a node had when it was opened; none for a text.
    pub fn attr_as_opened(&self, node: &Node, content: &Content) -> Option<Attr> {
        content.open_file().map(|(_, meta)| self.attr_by(node, meta))
    }

    /// The attributes of a node whose file has `meta`.
    fn attr_by(&self, node: &Node, meta: &Meta) -> Attr {
        node.attr(&Meta { mode: self.mode(node, meta.mode), ..*meta })
    }

    fn meta(&self, node: &Node) -> Result<Meta, Error> {
        match node {
            Node::Directory(directory) => self.source.directory_meta(directory),
            // A reader that has the old version of a file open keeps it.
            Node::File(path, id) => match self.source.files().known(*id) {
                Some(open) => open.meta(),
                None => self.source.entry_meta(path, *id),
            },
            Node::Symlink(path, id) => self.source.entry_meta(path, *id),
            Node::ArrayFile(file) => self.source.array_meta(file),
            Node::Text(text) => self.source.array_meta(&text.file).or(Ok(text.meta)),
            Node::Selection(selection) | Node::Group(selection, _) => self.current(selection),
            Node::Encoded(encoded) => self.current(&encoded.of),
            // It has no file.
            Node::Control(_) => Err(Error::Stale),
        }
    }

    /// [`Error::Stale`] where the directory of an array is not that of the file which has its path now. Who has
    /// the file open that was replaced keeps that file alone.
    pub fn check_place(&self, node: &Node) -> Result<(), Error> {
        match node {
            Node::ArrayFile(file) => self.source.array_meta(file).map(drop),
            _ => Ok(()),
        }
    }

    /// The attributes of the file of a version of an array, by whatever path that file has now;
    /// [`Error::Stale`] if the header is another.
    fn current(&self, selection: &Selection) -> Result<Meta, Error> {
        let (open, meta) = self.source.open_file(&selection.file.path, selection.file.id)?;
        check_version(selection, &open, &meta)?;
        Ok(meta)
    }

    /// The open file of a version of an array, and its attributes.
    fn open_version(
        &self,
        selection: &Selection,
        which: Version,
    ) -> Result<(Arc<OpenFile>, Meta), Error> {
        let path = &selection.file.path;
        let (open, meta) = match which {
            Version::AtPath => {
                let meta = self.source.array_meta(&selection.file)?;
                (self.source.open_seen(path, &meta)?, meta)
            }
            Version::LookedUp => self.source.open_file(path, selection.file.id)?,
        };
        check_version(selection, &open, &meta)?;
        Ok((open, meta))
    }

    /// The text of a symlink.
    pub fn read_link(&self, node: &Node) -> Result<OsString, Error> {
        match node {
            Node::Symlink(path, id) => self.source.read_link(path, *id),
            _ => Err(Error::NotASymlink),
        }
    }

    /// Opens a node for reading. [`Error::Stale`] if another file is at its path by now, and `which` asks for
    /// the one at the path.
    pub fn open(&self, node: &Node, caller: Caller, which: Version) -> Result<Content, Error> {
        self.admit(node, caller, which)?;
        self.content(node, caller, which)
    }

    /// What a reader of a node gets.
    fn content(&self, node: &Node, caller: Caller, which: Version) -> Result<Content, Error> {
        match node {
            Node::File(path, id) => {
                let (open, meta) = match which {
                    Version::AtPath => {
                        let meta = self.source.entry_meta(path, *id)?;
                        (self.source.open_seen(path, &meta)?, meta)
                    }
                    Version::LookedUp => self.source.open_file(path, *id)?,
                };
                Ok(Content::Whole { open, meta })
            }
            Node::Encoded(encoded) => {
                let (open, meta) = self.open_version(&encoded.of, which)?;
                let layout = encoded.encoding.layout(&encoded.view()?);
                Ok(Content::Array { open, root: encoded.of.root.clone(), layout, meta })
            }
            Node::Text(text) => {
                match &text.about {
                    About::Header(selection) | About::Usage(selection, _) => {
                        self.open_version(selection, which)?;
                    }
                    _ => {
                        self.source.array_meta(&text.file)?;
                    }
                }
                Ok(Content::Text(text.content()))
            }
            Node::Control(control) => control.content(caller).ok_or(Error::IsADirectory),
            // With followed symlinks, only one that leads nowhere gets here.
            Node::Symlink(..) => Err(Error::not_found("the symlink leads nowhere")),
            Node::Directory(_) | Node::ArrayFile(_) | Node::Selection(_) | Node::Group(..) => {
                Err(Error::IsADirectory)
            }
        }
    }
}

impl Node {
    /// The attributes of this node. `meta` is its file's, with the mode of this node.
    fn attr(&self, meta: &Meta) -> Attr {
        let (kind, size, nlink) = match self {
            Node::Directory(_) => (Kind::Directory, meta.size, meta.nlink),
            Node::File(..) => (Kind::File, meta.size, meta.nlink),
            Node::Symlink(..) => (Kind::Symlink, meta.size, meta.nlink),
            Node::ArrayFile(_) | Node::Selection(_) | Node::Group(..) => (Kind::Directory, 0, 2),
            Node::Encoded(encoded) => (Kind::File, encoded.len, 1),
            Node::Text(text) => (Kind::File, text.len, 1),
            Node::Control(control) => return control.attr(),
        };
        Attr {
            kind,
            size,
            mode: meta.mode,
            uid: meta.uid,
            gid: meta.gid,
            nlink,
            accessed: meta.accessed,
            modified: meta.modified,
            changed: meta.changed,
        }
    }

    /// Whether a node found again at the same path is the same file to its users. It is not if the file was
    /// replaced, or its header means something else.
    pub fn is_same_as(&self, other: &Node) -> bool {
        let same_root =
            |a: &Selection, b: &Selection| a.file == b.file && a.root.is_same_as(&b.root);
        match (self, other) {
            (Node::Directory(a), Node::Directory(b)) => a == b,
            (Node::File(a, id), Node::File(b, other))
            | (Node::Symlink(a, id), Node::Symlink(b, other)) => a == b && id == other,
            (Node::ArrayFile(a), Node::ArrayFile(b)) => a == b,
            (Node::Control(a), Node::Control(b)) => a == b,
            // Under one path, the same version of an array gives the same view.
            (Node::Selection(a), Node::Selection(b)) => same_root(a, b),
            (Node::Group(a, group), Node::Group(b, other)) => same_root(a, b) && group == other,
            (Node::Encoded(a), Node::Encoded(b)) => {
                same_root(&a.of, &b.of) && a.encoding == b.encoding
            }
            (Node::Text(a), Node::Text(b)) => {
                a.file == b.file
                    && match (&a.about, &b.about) {
                        (About::Header(a), About::Header(b)) => same_root(a, b),
                        (About::Usage(a, _), About::Usage(b, _)) => same_root(a, b),
                        (About::Error(a), About::Error(b))
                        | (About::HeaderOfUnreadable(a), About::HeaderOfUnreadable(b)) => a == b,
                        _ => false,
                    }
            }
            _ => false,
        }
    }

    /// The file of the source that this is, or that holds its array.
    pub fn file(&self) -> Option<(&Path, FileId)> {
        fn of_array(file: &ArrayFile) -> Option<(&Path, FileId)> {
            (!file.is_refused).then_some((&*file.path, file.id))
        }
        match self {
            Node::Directory(_) | Node::Symlink(..) | Node::Control(_) => None,
            Node::File(path, id) => Some((path, *id)),
            Node::ArrayFile(file) => of_array(file),
            Node::Selection(selection) | Node::Group(selection, _) => of_array(&selection.file),
            Node::Encoded(encoded) => of_array(&encoded.of.file),
            Node::Text(text) => of_array(&text.file),
        }
    }

    /// Whether there can be any number of nodes like this: all but directories of the source and those of its
    /// arrays.
    pub fn is_made(&self) -> bool {
        !matches!(self, Node::Directory(_) | Node::ArrayFile(_))
    }

    /// Its path in the source, or what it is about, for messages.
    pub fn shown(&self) -> String {
        let path = match self {
            Node::Directory(directory) => &directory.path,
            Node::File(path, _) | Node::Symlink(path, _) => path,
            Node::ArrayFile(file) => &file.path,
            Node::Selection(selection) | Node::Group(selection, _) => &selection.file.path,
            Node::Encoded(encoded) => &encoded.of.file.path,
            Node::Text(text) => return format!("a text about {}", shown(&*text.file.path)),
            Node::Control(control) => return control.shown().to_owned(),
        };
        match path.as_os_str().is_empty() {
            true => "the source".to_owned(),
            false => shown(&**path).to_string(),
        }
    }

    /// About how many bytes of memory it takes besides the node itself.
    pub fn footprint(&self) -> usize {
        match self {
            Node::Directory(SourceDirectory { path, .. })
            | Node::File(path, _)
            | Node::Symlink(path, _) => path.as_os_str().len(),
            Node::ArrayFile(file) => file.footprint(),
            Node::Selection(selection) | Node::Group(selection, _) => selection.footprint(),
            Node::Encoded(encoded) => encoded.footprint(),
            Node::Text(text) => text.footprint(),
            Node::Control(_) => 0,
        }
    }

    /// Whether this is a directory.
    pub fn is_directory(&self) -> bool {
        match self {
            Node::Directory(_) | Node::ArrayFile(_) | Node::Selection(_) | Node::Group(..) => true,
            Node::Control(control) => *control == Control::Directory,
            Node::File(..) | Node::Symlink(..) | Node::Encoded(..) | Node::Text(..) => false,
        }
    }
}

impl Selection {
    /// The whole array of a version of a file.
    fn whole(file: &Arc<ArrayFile>, root: Arc<Root>) -> Selection {
        let view = root.view.clone();
        Selection { file: file.clone(), view, root, expression: WHOLE.to_owned() }
    }

    /// About how many bytes of memory it takes. A selection of the whole array owns the header even when the
    /// file is closed; selections of it share that.
    fn footprint(&self) -> usize {
        let axes = self.view.ndim() * (size_of::<u64>() + size_of::<i64>());
        let of_file = if self.expression == WHOLE { self.root.footprint() } else { 0 };
        size_of::<Selection>() + axes + self.expression.len() + self.file.footprint() + of_file
    }

    /// What a selector selects of this.
    fn select(&self, selector: &Selector) -> Result<Selection, Error> {
        let view = selector.apply(&self.view).map_err(Error::NotFound)?;
        let expression = self.expression.clone() + &selector.expression(&self.view);
        Ok(Selection { file: self.file.clone(), root: self.root.clone(), view, expression })
    }

    /// The text of its `header.json`.
    pub fn header_json(&self) -> String {
        let source = self.file.path.to_string_lossy();
        crate::text::header_json(&source, &self.expression, self.root.header.version, &self.view)
    }
}

/// Checks that a file still holds the version of a selection's array; [`Error::Stale`] if the header is
/// another. A file that is too short, such as one being saved over, may be looked at and opened; reading it
/// fails.
fn check_version(selection: &Selection, open: &OpenFile, meta: &Meta) -> Result<(), Error> {
    match selection.root.check(open, meta) {
        Ok(()) | Err(Error::Short { .. }) => Ok(()),
        Err(Error::Rewritten { .. }) => Err(Error::Stale),
        Err(err) => Err(err),
    }
}

/// A name as text. Only entries of the source have names that are not UTF-8.
fn as_text(name: &OsStr) -> Result<&str, Error> {
    name.to_str().ok_or_else(|| Error::not_found("the name is not UTF-8"))
}
