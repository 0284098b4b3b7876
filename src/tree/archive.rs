//! Archives: a directory of their members, where each is a file, and has its array's directory beside it as
//! a file on disk has.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::array::{Array, OriginDirectory};
use super::describe::{Arrays, Described};
use super::listing::{Known, Listing, Made, Places};
use super::mirror::beside;
use super::node::{Directory, File, Found, Target};
use super::text::{about_unreadable, listed_of_unreadable};
use super::{Backing, Content, NoArray, Node, Tree, as_text, zarr};
use crate::archive::{self, Archive};
use crate::caller::Caller;
use crate::encoding::{Encoding, FileEncoding};
use crate::error::Error;
use crate::meta::{Kind, Meta};
use crate::source::{
    Holds, InArchive, MemberEntry, Origin, Which, entry_at, entry_of, member_of_stem, places_of,
};

/// A directory of members: `X` beside `X.npz`, or one in it, of whatever archive is there.
#[derive(Debug)]
pub(super) struct ArchiveDirectory {
    place: InArchive,
    /// The same.
    origin: Arc<dyn Origin>,
}

impl ArchiveDirectory {
    pub(super) fn node(place: InArchive) -> Node {
        let origin = Arc::new(place.clone());
        Node::Directory(Arc::new(ArchiveDirectory { place, origin }))
    }
}

impl Directory for ArchiveDirectory {
    fn backing(&self) -> Backing<'_> {
        Backing::Array(&self.origin)
    }

    fn lookup(self: Arc<Self>, tree: &Tree, name: &OsStr) -> Result<Found, Error> {
        let (archive, meta) = tree.source.archive(self.place.archive())?;
        let archive = match archive {
            Ok(archive) => archive,
            Err(unreadable) => {
                tree.note_refused(&*self.origin, &unreadable, &meta);
                // To a reader of Zarr that knows an array from before, what is missing is zeros.
                if let Some((_, Encoding::Zarr | Encoding::OmeZarr)) =
                    name.to_str().and_then(Encoding::strip)
                {
                    return Err(zarr::unreadable(&*self.origin, &unreadable));
                }
                let no_array = NoArray { origin: self.origin.clone(), unreadable, meta };
                return Ok((about_unreadable(no_array, as_text(name)?)?, Some(meta)));
            }
        };
        let directory = self.place.directory_in(&archive)?;
        let below = |name: &OsStr| self.place.below(name.as_bytes(), false);
        match entry_of(&archive, directory, name) {
            Some(MemberEntry::Member(_)) => return MemberFile::found(tree, below(name)),
            Some(MemberEntry::Directory) => {
                let place = self.place.below(name.as_bytes(), true);
                return Ok((ArchiveDirectory::node(place), Some(meta)));
            }
            Some(MemberEntry::Array(member)) => {
                let name = member.name().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
                let array = OriginDirectory::new(below(OsStr::from_bytes(name)));
                return Ok((Node::Directory(Arc::new(array)), Some(meta)));
            }
            None => {}
        }
        let not_found = || Error::not_found("there is no such member in the archive");
        // The encodings beside `a.npy`, which is itself the first of them.
        match name.to_str().and_then(Encoding::strip) {
            Some((_, Encoding::LISTED)) | None => Err(not_found()),
            Some((stem, encoding)) => {
                let member = member_of_stem(stem);
                match entry_of(&archive, directory, &member) {
                    Some(MemberEntry::Member(_)) => {
                        beside(tree, &(Arc::new(below(&member)) as Arc<dyn Origin>), Some(encoding))
                    }
                    _ => Err(not_found()),
                }
            }
        }
    }

    fn list(self: Arc<Self>, tree: &Tree, _known: Known<'_>) -> Result<Listing, Error> {
        Ok(match tree.source.archive(self.place.archive())?.0 {
            Ok(archive) => {
                let directory = self.place.directory_in(&archive)?;
                Listing::Made(Made::of([]).then(Members { archive, directory }).not_kept())
            }
            Err(unreadable) => listed_of_unreadable(&unreadable),
        })
    }

    fn describe(self: Arc<Self>, tree: &Tree) -> Result<Described, Error> {
        tree.describe_archive(&self.place, None)
    }

    fn arrays(self: Arc<Self>, tree: &Tree) -> Result<Option<Arrays<'_>>, Error> {
        let Ok(archive) = tree.source.archive(self.place.archive())?.0 else { return Ok(None) };
        let directory = self.place.directory_in(&archive)?;
        let array_at = move |at| {
            let name = archive.member_at(directory, at)?.name();
            let place = self.place.in_archive(name);
            let is_array = place.path().file_name().and_then(Holds::of) == Some(Holds::Array);
            let array = || Node::Directory(Arc::new(OriginDirectory::new(place)));
            is_array.then(|| Ok(array()))
        };
        Ok(Some(Box::new((0..directory.positions()).filter_map(array_at))))
    }
}

/// What a directory of members lists.
#[derive(Debug)]
struct Members {
    archive: Arc<Archive>,
    directory: archive::Directory,
}

impl Places for Members {
    fn count(&self) -> u64 {
        places_of(self.directory)
    }

    fn at(&self, place: u64) -> Option<(OsString, Kind)> {
        entry_at(&self.archive, self.directory, place)
    }
}

/// A member as it is, whatever it holds: an array of bytes with no header.
#[derive(Debug)]
struct MemberFile(Array);

impl MemberFile {
    fn found(tree: &Tree, member: InArchive) -> Result<Found, Error> {
        match member.bytes(&tree.source)? {
            (Ok(version), meta) => {
                let origin: Arc<dyn Origin> = Arc::new(member);
                let bytes = Array::whole(&origin, version);
                Ok((Node::File(Arc::new(MemberFile(bytes))), Some(meta)))
            }
            (Err(unreadable), _) => Err(Error::not_found(unreadable.sentence(&member))),
        }
    }
}

impl File for MemberFile {
    fn backing(&self) -> Backing<'_> {
        self.0.backing()
    }

    fn len(&self, _behind: &Meta) -> u64 {
        self.0.view.nbytes()
    }

    fn open(&self, tree: &Tree, _caller: Caller, which: Which) -> Result<Content, Error> {
        let Array { origin, version, view, .. } = &self.0;
        let (open, meta) = tree.open_version(origin, version, which)?;
        let layout = FileEncoding::Raw.layout(view);
        Ok(Content::Array { open, version: version.clone(), layout, meta })
    }

    fn target(&self, _opened: &Content) -> Result<Target, Error> {
        let why = self.0.origin.why_read_only().unwrap_or_default();
        Err(Error::NotPermitted(format!("{}: {why}", self.shown())))
    }

    fn describe(&self, tree: &Tree) -> Result<Described, Error> {
        let name = self.0.origin.path().file_name();
        if name.and_then(Holds::of) != Some(Holds::Array) {
            return Ok(Described::no_array("not an array: its name does not end in .npy"));
        }
        let origin = &self.0.origin;
        Ok(Described::of_version(tree, origin, origin.version(&tree.source)?.0, None))
    }

    fn weight(&self) -> usize {
        1 + self.0.version.footprint() / super::SLICE
    }
}

impl Tree {
    /// What an archive is, given a directory of it.
    pub(super) fn describe_archive(
        &self,
        place: &InArchive,
        note: Option<String>,
    ) -> Result<Described, Error> {
        Ok(match self.source.archive(place.archive())?.0 {
            Ok(archive) => {
                let left_out = Some(archive.left_out().to_string()).filter(|it| !it.is_empty());
                let notes = note.into_iter().chain(left_out).collect();
                let directory = ArchiveDirectory::node(place.clone());
                Described::Archive { directory, members: archive.len(), notes }
            }
            Err(unreadable) => Described::NoArray(unreadable.why.clone()),
        })
    }
}
