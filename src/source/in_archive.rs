//! Arrays in archives, and what else is in one: what was looked up ([`InArchive`]), and what the names in a
//! directory of an archive are.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Arc;

use super::names::{self, Holds};
use super::version::{Unreadable, Version, VersionOrWhy};
use super::{ArrayFile, Extent, OpenStorage, Origin, Source, Which};
use crate::acl::AccessList;
use crate::archive::{Archive, Directory, Entry, Fault, Member, MemberError, Place};
use crate::caller::Caller;
use crate::error::Error;
use crate::meta::{FileId, Kind, Meta};

/// Something in an archive: a member, the directory above some, or all of it.
///
/// Its attributes and its users' rights are those of the archive's file, whose bytes its bytes are.
#[derive(Clone, Debug)]
pub struct InArchive {
    archive: ArrayFile,
    /// Its name in the archive; that of a directory ends with a slash, and the whole has none.
    name: Arc<[u8]>,
    /// The path of the file, and then the name.
    path: Arc<Path>,
}

impl InArchive {
    /// All of an archive.
    pub fn all(archive: ArrayFile) -> InArchive {
        let path = archive.path.clone();
        InArchive { archive, name: [].into(), path }
    }

    /// An entry of this directory.
    pub fn below(&self, name: &[u8], is_directory: bool) -> InArchive {
        let path = self.path.join(OsStr::from_bytes(name)).into();
        let slash: &[u8] = if is_directory { b"/" } else { b"" };
        let name = [&*self.name, name, slash].concat().into();
        InArchive { archive: self.archive.clone(), name, path }
    }

    /// The member of the same archive that has this name.
    pub fn in_archive(&self, name: &[u8]) -> InArchive {
        InArchive::all(self.archive.clone()).below(name, false)
    }

    /// The archive's file.
    pub fn archive(&self) -> &ArrayFile {
        &self.archive
    }

    /// What this directory is in the archive as it is now. [`Error::Stale`] if there is no such directory
    /// any more.
    pub fn directory_in(&self, archive: &Archive) -> Result<Directory, Error> {
        archive.directory(&self.name).ok_or(Error::Stale)
    }

    /// The bytes of this member as they are: an array of bytes with no header. What is wrong where they
    /// cannot be served.
    pub fn bytes(&self, source: &Source) -> Result<(VersionOrWhy, Meta), Error> {
        self.read(source, |_, place, _| {
            let extent = Extent::of_member(place);
            match Version::of_bytes(extent, u64::MAX) {
                Some(version) => Ok(Ok(version.into())),
                None => Err(Error::Stale),
            }
        })
    }

    /// Finds this member, and reads something of it.
    fn read(
        &self,
        source: &Source,
        read: impl FnOnce(&super::OpenFile, Place, &Meta) -> Result<VersionOrWhy, Error>,
    ) -> Result<(VersionOrWhy, Meta), Error> {
        let (archive, meta) = source.archive(&self.archive)?;
        let archive = match archive {
            Ok(archive) => archive,
            Err(unreadable) => return Ok((Err(unreadable), meta)),
        };
        let member = archive.member(&self.name).ok_or(Error::Stale)?;
        let (open, meta) = source.open_file(&self.archive.path, self.archive.id)?;
        let version = match member.place(&*open) {
            Ok(place) => read(&open, place, &meta).map_err(|err| match err {
                Error::Rewritten { .. } => Error::Stale,
                err => err,
            })?,
            Err(MemberError { fault: Fault::Io(err), .. }) => {
                return Err(Error::io(&self.path, err));
            }
            Err(MemberError { fault, .. }) => {
                Err(Unreadable::new(format_args!("the member {fault}"), None))
            }
        };
        Ok((version, meta))
    }
}

impl Origin for InArchive {
    fn path(&self) -> &Path {
        &self.path
    }

    fn file_path(&self) -> &Path {
        &self.archive.path
    }

    fn member(&self) -> Option<Cow<'_, str>> {
        Some(String::from_utf8_lossy(&self.name))
    }

    fn why_read_only(&self) -> Option<&'static str> {
        Some(
            "an archive is not written, since its checksums would be wrong; write arrays in .npy files",
        )
    }

    fn id(&self) -> FileId {
        self.archive.id
    }

    fn version(&self, source: &Source) -> Result<(VersionOrWhy, Meta), Error> {
        self.read(source, |open, place, meta| open.version(&Extent::of_member(place), meta))
    }

    fn meta(&self, source: &Source) -> Result<Meta, Error> {
        self.archive.meta(source)
    }

    fn open(
        &self,
        source: &Arc<Source>,
        which: Which,
    ) -> Result<(Arc<dyn OpenStorage>, Meta), Error> {
        self.archive.open(source, which)
    }

    fn admit(&self, source: &Source, caller: Caller, which: Which) -> Result<(), Error> {
        self.archive.admit(source, caller, which)
    }

    fn access_list(&self, source: &Source, name: &str) -> Result<Option<AccessList>, Error> {
        self.archive.access_list(source, name)
    }
}

/// What a name in a directory of an archive is.
#[derive(Clone, Copy, Debug)]
pub enum MemberEntry<'a> {
    /// A member, as it is.
    Member(Member<'a>),
    /// A directory above members.
    Directory,
    /// The directory of the array in a member.
    Array(Member<'a>),
}

/// What `name` is in a directory of an archive: an entry first, then the directory of an array.
pub fn entry_of<'a>(
    archive: &'a Archive,
    directory: Directory,
    name: &OsStr,
) -> Option<MemberEntry<'a>> {
    let entry = |name: &OsStr| archive.entry(directory, name.as_bytes());
    match entry(name) {
        Some(Entry::Member(member)) => return Some(MemberEntry::Member(member)),
        Some(Entry::Directory(_)) => return Some(MemberEntry::Directory),
        None => {}
    }
    names::files_of(name).find_map(|file| {
        let Some(Entry::Member(member)) = entry(&file) else { return None };
        let directory = directory_of(archive, directory, &file)?;
        (directory == name).then_some(MemberEntry::Array(member))
    })
}

/// How many places a directory of an archive has for [`entry_at`].
pub fn places_of(directory: Directory) -> u64 {
    2 * directory.positions() as u64
}

/// What a directory of an archive lists at a place; not every place has something. A member whose bytes
/// cannot be served is not listed, and the directory of its array says why.
pub fn entry_at(archive: &Archive, directory: Directory, place: u64) -> Option<(OsString, Kind)> {
    let at = usize::try_from(place / 2).ok()?;
    let listed = archive.entry_at(directory, at)?;
    let name = || OsString::from_vec(listed.name.to_vec());
    match (listed.entry, place % 2) {
        (Entry::Directory(_), 0) => Some((name(), Kind::Directory)),
        (Entry::Member(member), 0) => member.size().is_ok().then(|| (name(), Kind::File)),
        (Entry::Member(_), _) => {
            let directory = directory_of(archive, directory, OsStr::from_bytes(listed.name))?;
            Some((directory, Kind::Directory))
        }
        (Entry::Directory(_), _) => None,
    }
}

/// The name of the directory of the array in a member, by the same rule as beside files. There is none of
/// an archive in an archive.
fn directory_of(archive: &Archive, directory: Directory, member: &OsStr) -> Option<OsString> {
    if Holds::of(member) != Some(Holds::Array) {
        return None;
    }
    names::directory_of(member, |name| archive.entry(directory, name.as_bytes()).is_some())
}

/// The member whose array is also reachable under this stem, in other encodings.
pub fn member_of_stem(stem: &str) -> OsString {
    names::file_of_stem(stem)
}
