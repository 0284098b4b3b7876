//! Many files as one array: all `.npy` files directly in a directory, concatenated or stacked.
//!
//! Nothing is copied. The array's addresses are the data of the files end to end, in the natural order of their
//! names, and each file is opened when some of its bytes are read.
//!
//! Which files there are, and what their headers say, is one version of the array ([`Shards`]). A look at the
//! directory tells whether files came or went. Only now and then is each file looked at (the module `look`),
//! so that to open an array of many files costs about as much as to open one; but each read checks the files that
//! it touches. So what a reader of an outdated version gets is right, or an error.

use std::path::Path;
use std::sync::Arc;

use super::version::VersionOrWhy;
use super::{Entry, OpenStorage, Origin, Source, Which};
use crate::acl::{self, AccessList};
use crate::caller::Caller;
use crate::error::Error;
use crate::meta::{FileId, Meta};

mod known;
mod list;
mod look;
mod natural;
mod rights;
mod shards;
mod storage;

pub(super) use known::Joins;
pub use shards::Shards;

/// How many arrays are made one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// `np.concatenate`: along their first axis
    Concat,
    /// `np.stack`: along a new first axis
    Stack,
}

impl How {
    /// What a name in a directory asks for.
    pub fn named(name: &str) -> Option<How> {
        match name {
            "concat" => Some(How::Concat),
            "stack" => Some(How::Stack),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            How::Concat => "concat",
            How::Stack => "stack",
        }
    }
}

/// The files of a directory as one array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Its own path below the source.
    path: Arc<Path>,
    directory: Entry,
    how: How,
}

impl Join {
    /// The array of this name in a directory. None if that has no files for it, or the name is another.
    pub fn find(
        source: &Source,
        directory: &Entry,
        name: &str,
    ) -> Result<Option<(Join, Meta)>, Error> {
        let Some(how) = How::named(name) else { return Ok(None) };
        let path = Source::path_of(&directory.path, how.name().as_ref());
        let join = Join { path, directory: directory.clone(), how };
        match join.now(source) {
            Ok((shards, _)) => Ok(Some((join, shards.meta()))),
            Err(Error::NotFound(_)) => Ok(None),
            Err(err) => Err(err),
        }
    }

    fn now(&self, source: &Source) -> Result<(Arc<Shards>, VersionOrWhy), Error> {
        source.joins.now(self, source)
    }
}

impl Shards {
    /// Opens these very files, whatever others have come since. Returns the attributes too.
    pub fn open(self: &Arc<Self>, source: &Arc<Source>) -> (Arc<dyn OpenStorage>, Meta) {
        (Arc::new(storage::OpenJoin::new(source, self)), self.meta())
    }
}

impl Origin for Join {
    fn path(&self) -> &Path {
        &self.path
    }

    /// That of the directory.
    fn id(&self) -> FileId {
        self.directory.id
    }

    fn version(&self, source: &Source) -> Result<(VersionOrWhy, Meta), Error> {
        let (shards, version) = self.now(source)?;
        Ok((version, shards.meta()))
    }

    fn meta(&self, source: &Source) -> Result<Meta, Error> {
        self.now(source).map(|(shards, _)| shards.meta())
    }

    fn open(
        &self,
        source: &Arc<Source>,
        which: Which,
    ) -> Result<(Arc<dyn OpenStorage>, Meta), Error> {
        match self.now(source)? {
            (shards, Ok(_)) => Ok(shards.open(source)),
            // It was an array.
            (_, Err(_)) if which == Which::AtPath => Err(Error::Stale),
            (_, Err(why)) => Err(Error::not_found(why.sentence(self))),
        }
    }

    fn admit(&self, source: &Source, caller: Caller, _which: Which) -> Result<(), Error> {
        self.now(source)?.0.admit(source, caller)
    }

    fn access_list(&self, source: &Source, name: &str) -> Result<Option<AccessList>, Error> {
        let (shards, _) = self.now(source)?;
        Ok(shards.access_list().filter(|_| name == acl::ACCESS))
    }
}
