//! Where arrays come from.
//!
//! An array is looked up by a path, and what has the path can be another file a moment later. An
//! [`Origin`] stands for what was looked up: a file of the source ([`ArrayFile`]), a member of an archive
//! ([`super::InArchive`]), or many files as one array ([`super::Join`]). It can be asked what it holds now, and who
//! may read it; and it can be opened, as an [`OpenStorage`].

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::version::{Unreadable, Version, VersionOrWhy};
use super::{Extent, Holds, OpenFile, Source};
use crate::acl::AccessList;
use crate::caller::Caller;
use crate::error::Error;
use crate::meta::{FileId, Meta};
use crate::storage::Storage;

/// Which version of a file to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one that was looked up, perhaps long ago, if it is still at its path.
    AtPath,
    /// The one that was looked up just now, whatever is at its path by now.
    LookedUp,
}

/// What was looked up to be an array.
///
/// Every method returns [`Error::Stale`] if something else is at the path by now, and what was looked up is
/// not open.
pub trait Origin: fmt::Debug + Send + Sync {
    /// Its path in the source, by which messages call it.
    fn path(&self) -> &Path;

    /// The path of the file that has its bytes.
    fn file_path(&self) -> &Path {
        self.path()
    }

    /// What it is called in that file, if the file is an archive.
    fn member(&self) -> Option<Cow<'_, str>> {
        None
    }

    /// Why its values cannot be written on any mount, if that is so.
    fn why_read_only(&self) -> Option<&'static str> {
        None
    }

    /// Its identity.
    fn id(&self) -> FileId;

    /// What it holds now, and its attributes.
    fn version(&self, source: &Source) -> Result<(VersionOrWhy, Meta), Error>;

    /// The attributes of what is at its path now.
    fn meta(&self, source: &Source) -> Result<Meta, Error>;

    /// Opens it, and returns its attributes too.
    fn open(
        &self,
        source: &Arc<Source>,
        which: Which,
    ) -> Result<(Arc<dyn OpenStorage>, Meta), Error>;

    /// An error if a caller may not read it.
    fn admit(&self, source: &Source, caller: Caller, which: Which) -> Result<(), Error>;

    /// Its access list of this name, if it has one.
    fn access_list(&self, source: &Source, name: &str) -> Result<Option<AccessList>, Error>;
}

/// The storage of an origin, open.
pub trait OpenStorage: Storage {
    /// Its path in the source, as it is shown in messages.
    fn name(&self) -> &str;

    /// Its attributes now.
    fn meta(&self) -> Result<Meta, Error>;

    /// Checks that it still holds this version of an array, and all of it, given its attributes now:
    /// [`Error::Rewritten`] or [`Error::Short`] if not.
    fn check(&self, version: &Version, meta: &Meta) -> Result<(), Error>;

    /// The file that it is, if it is one: what concerns a descriptor is asked of that.
    fn file(&self) -> Option<&OpenFile>;

    /// Whether bytes of a file of the source may be among its own, if it is no file itself.
    fn may_hold(&self, _file: &FileId) -> bool {
        false
    }
}

/// A file that has a directory beside it: that of its array, or of its members if it is an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayFile {
    /// Its path below the source; that of the symlink if it is one.
    pub path: Arc<Path>,
    /// Its identity: that of a symlink's target, or of the symlink itself if that is refused.
    pub id: FileId,
    /// It is a symlink that is not followed, since it leads out of the source or through a closed directory.
    pub is_refused: bool,
}

impl ArrayFile {
    /// What it holds, by its name.
    pub fn holds(&self) -> Holds {
        self.path.file_name().and_then(Holds::of).unwrap_or(Holds::Array)
    }
}

impl Origin for ArrayFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn id(&self) -> FileId {
        self.id
    }

    fn version(&self, source: &Source) -> Result<(VersionOrWhy, Meta), Error> {
        if self.is_refused {
            let meta = self.meta(source)?;
            return Ok((Err(source.why_refused(&self.path)?), meta));
        }
        match source.open_file(&self.path, self.id) {
            Ok((open, meta)) => Ok((open.version(&Extent::WHOLE, &meta)?, meta)),
            // The array's directory says so.
            Err(Error::Io { source: err, .. }) if err.kind() == io::ErrorKind::PermissionDenied => {
                Ok((Err(Unreadable::new(err, None)), self.meta(source)?))
            }
            Err(err) => Err(err),
        }
    }

    fn meta(&self, source: &Source) -> Result<Meta, Error> {
        let meta = match self.is_refused {
            true => source.entry_itself(&self.path)?,
            // Of the target where it is a symlink.
            false => source.array_target(&self.path)?,
        };
        if meta.id == self.id { Ok(meta) } else { Err(Error::Stale) }
    }

    fn open(
        &self,
        source: &Arc<Source>,
        which: Which,
    ) -> Result<(Arc<dyn OpenStorage>, Meta), Error> {
        match which {
            _ if self.is_refused => Err(Error::not_found("the symlink is not followed")),
            Which::AtPath => {
                let meta = self.meta(source)?;
                Ok((source.open_seen(&self.path, &meta)?, meta))
            }
            Which::LookedUp => {
                let (open, meta) = source.open_file(&self.path, self.id)?;
                Ok((open, meta))
            }
        }
    }

    fn admit(&self, source: &Source, caller: Caller, which: Which) -> Result<(), Error> {
        match which {
            // Nothing is read of a symlink that leads out of the source.
            _ if self.is_refused => Ok(()),
            Which::AtPath => {
                let owner = self.meta(source)?.uid;
                source.admit_reader(&self.path, self.id, owner, caller)
            }
            Which::LookedUp => source.admit_to_looked_up(&self.path, self.id, caller),
        }
    }

    fn access_list(&self, source: &Source, name: &str) -> Result<Option<AccessList>, Error> {
        if self.is_refused {
            return Ok(None);
        }
        source.list_of_file(&self.path, self.id, name)
    }
}
