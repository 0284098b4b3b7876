//! The mirror: directories and files of the source as they are, and beside each `X.npy` what npyfs adds.

use std::ffi::OsStr;
use std::sync::Arc;

use super::archive::ArchiveDirectory;
use super::array::{Array, OriginDirectory};
use super::describe::{Arrays, Described};
use super::listing::{Known, Listing};
use super::node::{Directory, File, Found, Target};
use super::{Backing, Content, Node, Tree, zarr};
use crate::caller::Caller;
use crate::encoding::Encoding;
use crate::error::{Error, shortened};
use crate::escape::shown;
use crate::layout::Layout;
use crate::meta::{Kind, Meta};
use crate::source::{
    self, ArrayFile, Entry, Extent, Holds, InArchive, Join, Origin, Source, Which,
};

/// A directory of the source.
#[derive(Debug)]
struct SourceDirectory(Entry);

/// A regular file of the source.
#[derive(Debug)]
struct SourceFile(Entry);

impl Node {
    /// An entry of the source, as it is there.
    pub fn of_entry(entry: Entry, kind: Kind) -> Node {
        match kind {
            Kind::Directory => Node::Directory(Arc::new(SourceDirectory(entry))),
            Kind::Symlink => Node::Symlink(Arc::new(entry)),
            Kind::File => Node::File(Arc::new(SourceFile(entry))),
        }
    }

    /// The directory beside a file of the source.
    pub(super) fn beside(file: ArrayFile) -> Node {
        match file.holds() {
            Holds::Array => Node::Directory(Arc::new(OriginDirectory::new(file))),
            Holds::Members => ArchiveDirectory::node(InArchive::all(file)),
        }
    }
}

impl Directory for SourceDirectory {
    fn backing(&self) -> Backing<'_> {
        Backing::Entry(&self.0)
    }

    fn lookup(self: Arc<Self>, tree: &Tree, name: &OsStr) -> Result<Found, Error> {
        let directory = &self.0;
        let not_found = match tree.source.find(directory, name) {
            Ok(source::Found::Entry(meta)) => {
                let entry = Entry { path: Source::path_of(&directory.path, name), id: meta.id };
                let kind = meta.kind.unwrap_or(Kind::File);
                return Ok((Node::of_entry(entry, kind), Some(meta)));
            }
            Ok(source::Found::Beside(file, meta)) => return Ok((Node::beside(file), Some(meta))),
            Err(err @ Error::NotFound(_)) => err,
            Err(err) => return Err(err),
        };
        let Some(name) = name.to_str() else { return Err(not_found) };
        let (stem, encoding) = match Encoding::strip(name) {
            Some((stem, encoding)) => (stem, Some(encoding)),
            None => (name, None),
        };
        // The encodings beside `X.npy`, which is itself the first of them.
        if let ("", Some(Encoding::Zarr)) = (stem, encoding)
            && directory.path.as_os_str().is_empty()
        {
            return zarr::in_mirror(tree, directory, stem);
        }
        let of_file = match encoding {
            None | Some(Encoding::LISTED) => Err(not_found),
            Some(_) => tree.source.array_of_stem(directory, stem),
        };
        let mut why = match of_file {
            Ok(file) => return beside(tree, &(Arc::new(file) as Arc<dyn Origin>), encoding),
            Err(why @ Error::NotFound(_)) => why,
            Err(err) => return Err(err),
        };
        if encoding == Some(Encoding::Zarr) {
            match zarr::in_mirror(tree, directory, stem) {
                Err(no_group @ Error::NotFound(_)) => why = no_group,
                found => return found,
            }
        }
        match Join::find(&tree.source, directory, stem)? {
            Some((join, meta)) if encoding.is_none() => {
                Ok((Node::Directory(Arc::new(OriginDirectory::new(join))), Some(meta)))
            }
            Some((join, _)) => beside(tree, &(Arc::new(join) as Arc<dyn Origin>), encoding),
            None => Err(why),
        }
    }

    fn list(self: Arc<Self>, tree: &Tree, known: Known<'_>) -> Result<Listing, Error> {
        let (listing, version) = tree.source.list(&self.0, known)?;
        Ok(Listing::Source(listing, version))
    }

    fn check_listable(self: Arc<Self>, tree: &Tree) -> Result<(), Error> {
        tree.source.check_listable(&self.0)
    }

    fn describe(self: Arc<Self>, _tree: &Tree) -> Result<Described, Error> {
        Ok(Described::no_array("a directory"))
    }

    fn arrays(self: Arc<Self>, tree: &Tree) -> Result<Option<Arrays<'_>>, Error> {
        let (listing, _) = tree.source.list(&self.0, &|_| None)?;
        // The directories beside them are of the same arrays.
        let is_one = |name: &OsStr, kind| kind != Kind::Directory && Holds::of(name).is_some();
        let entries = listing.entries_after(0).filter(|(_, name, kind)| is_one(name, *kind));
        let mut names: Vec<_> = entries.map(|(_, name, _)| name.into_owned()).collect();
        names.sort();
        Ok(Some(Box::new(names.into_iter().filter_map(move |name| {
            match self.clone().lookup(tree, &name) {
                Ok((node, _)) => Some(Ok(node)),
                // It has just been removed.
                Err(Error::NotFound(_)) => None,
                Err(err) => Some(Err(err)),
            }
        }))))
    }
}

/// An array in an encoding, which stands beside its directory.
pub(super) fn beside(
    tree: &Tree,
    origin: &Arc<dyn Origin>,
    encoding: Option<Encoding>,
) -> Result<Found, Error> {
    let Some(encoding) = encoding else { return Err(Error::NotADirectory) };
    match origin.version(&tree.source)? {
        (Ok(version), meta) => {
            let whole = Arc::new(Array::whole(origin, version));
            Ok((whole.encoded(encoding, &tree.options)?, Some(meta)))
        }
        (Err(why), meta) => {
            tree.note_refused(&**origin, &why, &meta);
            Err(match encoding {
                Encoding::File(_) => Error::not_found(why.sentence(&**origin)),
                Encoding::Zarr | Encoding::OmeZarr => zarr::unreadable(&**origin, &why),
            })
        }
    }
}

impl File for SourceFile {
    fn backing(&self) -> Backing<'_> {
        Backing::Entry(&self.0)
    }

    fn len(&self, behind: &Meta) -> u64 {
        behind.size
    }

    fn open(&self, tree: &Tree, _caller: Caller, which: Which) -> Result<Content, Error> {
        let Entry { path, id } = &self.0;
        let (open, meta) = match which {
            Which::AtPath => {
                let meta = tree.source.entry_meta(&self.0)?;
                (tree.source.open_seen(path, &meta)?, meta)
            }
            Which::LookedUp => tree.source.open_file(path, *id)?,
        };
        Ok(Content::Whole { open, meta })
    }

    /// The array that the whole file is, with nothing behind it.
    fn target(&self, opened: &Content) -> Result<Target, Error> {
        let Content::Whole { open, meta } = opened else { return Err(Error::BadHandle) };
        let not = |why: String| {
            let path = shortened(shown(&*self.0.path).to_string());
            Err(Error::NotPermitted(format!("{path}: {why}")))
        };
        let version = match open.version(&Extent::WHOLE, meta)? {
            Ok(version) => version,
            Err(why) => return not(format!("only arrays can be written: {}", why.why)),
        };
        let rest = meta.size.saturating_sub(version.view.data().end);
        if rest > 0 {
            let why = "after the array would be lost; write its slices instead";
            return not(format!("the {rest} bytes {why}"));
        }
        let view = version.view.clone();
        // Its own header, whatever that looks like.
        let layout = Layout::with_header(version.bytes.clone(), &view, version.header.order);
        Ok(Target { version, view, expression: super::WHOLE.to_owned(), layout })
    }

    fn is_writable(&self) -> bool {
        true
    }

    fn describe(&self, tree: &Tree) -> Result<Described, Error> {
        tree.describe_entry(&self.0)
    }
}

impl Tree {
    /// What an entry that is no directory is.
    pub(super) fn describe_entry(&self, entry: &Entry) -> Result<Described, Error> {
        let Some((file, directory)) = self.source.array_file(&entry.path)? else {
            let name = entry.path.file_name();
            return Ok(Described::no_array(match name.and_then(Holds::of) {
                Some(_) => "the symlink does not lead to a file",
                None => "not an array: its name does not end in .npy",
            }));
        };
        let note = directory.is_none().then(|| {
            "it has no directory, since other entries already have the names for it".to_owned()
        });
        if file.holds() == Holds::Members {
            return self.describe_archive(&InArchive::all(file), note);
        }
        let origin: Arc<dyn Origin> = Arc::new(file);
        let version = origin.version(&self.source)?.0;
        Ok(Described::of_version(self, &origin, version, note))
    }
}
