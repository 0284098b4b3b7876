//! A look at the files of a directory: which there are, and what their headers say.
//!
//! The header of a file that is known already, and has not changed since, is not read again. So a look at
//! many files is mostly one system call for each.

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rustix::fs::OFlags;

use super::Join;
use super::known::Known;
use super::list::{List, Name};
use super::natural::{self, Names};
use super::rights::Together;
use super::shards::{Contribution, Each, Now, Seen, Shard, Shards};
use crate::acl::{self, AccessList};
use crate::error::Error;
use crate::escape::shown;
use crate::locks::lock;
use crate::meta::{Meta, Stamp};
use crate::npy::header::Header;
use crate::source::border::Directory;
use crate::source::version::Parsed;
use crate::source::{ArrayFile, Extent, Source, Unreadable, Version};

/// The most files that are made one array.
const MAX_FILES: usize = 1 << 20;

/// A file because of which all of them are no array.
#[derive(Debug)]
pub(super) struct Failing {
    pub(super) name: OsString,
    /// None if the file may change and leave no trace in it.
    pub(super) stamp: Option<Stamp>,
}

/// Why a look ends at a file.
enum End {
    /// The file is no array, or does not fit.
    Wrong(String),
    Failed(Error),
}

impl From<Error> for End {
    fn from(err: Error) -> End {
        End::Failed(err)
    }
}

impl Join {
    /// Looks at the files, given what was known of them. [`Error::Stale`] if some went away meanwhile, and
    /// [`Error::NotFound`] if there are none.
    pub(super) fn look(&self, source: &Source, before: Option<&Known>) -> Result<Known, Error> {
        let began = Instant::now();
        let directory = source.directory(&self.directory, OFlags::PATH)?;
        let meta = Meta::of(&directory.fd).map_err(|err| Error::io(&*self.directory.path, err))?;
        let as_before = before
            .filter(|known| known.is_complete && known.is_settled && known.stamp == meta.stamp());
        let List { names, meta, is_settled } = match as_before {
            Some(known) => List { names: known.shards.listed(), meta, is_settled: true },
            None => self.list(source)?,
        };
        let stamp = meta.stamp();
        let mut look = Look::new(self, source, &directory, before.map(|known| &*known.shards));
        let wrong = look.all(&names)?;
        if look.files.is_empty() && wrong.is_none() {
            return Err(Error::not_found("there are no .npy files in the directory"));
        }
        let lists = |name| source.list_of_directory(&self.directory, name);
        let has_list = source.for_others && !matches!(lists(acl::ACCESS), Ok(None));
        look.together.count_in_directory(&meta, has_list);
        let is_complete = look.files.len() == names.len();
        let (wrong, failing) = wrong.unzip();
        let (shards, version) = look.end(wrong);
        let (shards, version) = match before {
            // The same array as before stays the same to those who have it.
            Some(known) if known.shards.is_same_as(&shards) => {
                let now = shards.now.into_inner().unwrap_or_else(PoisonError::into_inner);
                *lock(&known.shards.now) = now;
                known.shards.is_suspect.store(false, Relaxed);
                (known.shards.clone(), known.version.clone())
            }
            _ => {
                let shards = Arc::new(shards);
                let joined = Some(shards.clone());
                (shards, version.map(|version| Arc::new(Version { joined, ..version })))
            }
        };
        let (looked, took) = (Instant::now(), began.elapsed());
        Ok(Known { stamp, is_settled, looked, took, shards, version, is_complete, failing })
    }
}

/// A look that is under way.
struct Look<'a> {
    join: &'a Join,
    source: &'a Source,
    directory: &'a Directory<'a>,
    /// What was known, and how far it has been compared.
    before: Option<&'a Shards>,
    compared: usize,
    seen_before: Vec<Seen>,
    /// The list that all had before.
    list_before: Option<Option<AccessList>>,
    names: Names,
    files: Vec<Shard>,
    seen: Vec<Seen>,
    together: Together,
    each: Option<Each>,
    /// The last header that was read. Most are like it.
    last: Option<Parsed>,
    /// The stamp of the file that is being looked at, if any change of what was found makes another.
    stamp: Option<Stamp>,
}

impl<'a> Look<'a> {
    fn new(
        join: &'a Join,
        source: &'a Source,
        directory: &'a Directory<'a>,
        before: Option<&'a Shards>,
    ) -> Look<'a> {
        let (seen_before, list_before) = match before {
            Some(before) => {
                let now = lock(&before.now);
                (now.seen.clone(), now.together.list().cloned())
            }
            None => (Vec::new(), None),
        };
        Look {
            join,
            source,
            directory,
            before,
            compared: 0,
            seen_before,
            list_before,
            names: Names::default(),
            files: Vec::new(),
            seen: Vec::new(),
            together: Together::new(join.directory.id),
            each: None,
            last: None,
            stamp: None,
        }
    }

    /// Looks at each file, up to the first that does not fit: why it does not, and which it is.
    fn all(&mut self, names: &[Name]) -> Result<Option<(String, Failing)>, Error> {
        for listed in names {
            self.stamp = None;
            match self.one(listed) {
                Ok(()) => {}
                Err(End::Failed(err)) => return Err(err),
                Err(End::Wrong(why)) => {
                    let (name, stamp) = (listed.name.clone(), self.stamp);
                    return Ok(Some((format!("{}: {why}", shown(&name)), Failing { name, stamp })));
                }
            }
        }
        Ok(None)
    }

    fn one(&mut self, listed: &Name) -> Result<(), End> {
        let Name { name, is_link, .. } = listed;
        let Some((file, meta)) = self.found(listed)? else { return Ok(()) };
        let stamp = Some(meta.stamp()).filter(Stamp::is_settled);
        // A link's own stamp, by which a failing file is known again, says nothing of the file.
        self.stamp = stamp.filter(|_| !is_link);
        let known = self.known(name, &file, &meta);
        let list = self.list(&file, known.is_some());
        let number = self.files.len();
        let kind = self.together.add(number, &meta, list, *is_link);
        let (Contribution { rows, each }, data_offset) = match known {
            Some(known) => known,
            None => {
                let header = self.read(&file)?;
                let contribution = Contribution::of(self.join.how, &header);
                (contribution.map_err(End::Wrong)?, header.data_offset as u32)
            }
        };
        let first = self.each.get_or_insert_with(|| each.clone());
        if !self.files.is_empty()
            && let Some(why) = first.differs(self.names.get(0), self.join.how, rows, &each)
        {
            return Err(End::Wrong(why));
        }
        first.order = first.order.or(each.order);
        let end = self.files.last().map_or(0, |last| last.end).checked_add(rows);
        let room = end.filter(|_| number < MAX_FILES && self.names.push(name).is_some());
        let too_many = || "there are too many files, or rows, to be one array".to_owned();
        let end = room.ok_or_else(too_many).map_err(End::Wrong)?;
        self.files.push(Shard { id: file.id, end, data_offset, is_link: *is_link });
        self.seen.push(Seen { stamp, kind });
        Ok(())
    }

    /// What a name stands for, if it is one of the files.
    fn found(&self, listed: &Name) -> Result<Option<(ArrayFile, Meta)>, End> {
        match self.source.array_file_at(self.directory, &listed.name) {
            Some((file, _)) if file.is_refused => {
                Err(End::Wrong(self.source.why_refused(&file.path)?.why.clone()))
            }
            // A link to something else is none of the files; but data that is missing is not left out.
            None if listed.is_link => match self.source.target(self.directory, &listed.name) {
                Ok(_) => Ok(None),
                Err(_) => Err(End::Wrong("the symlink leads nowhere".to_owned())),
            },
            None => Err(Error::Stale.into()),
            found => Ok(found),
        }
    }

    /// What is known of a file that has not changed since.
    fn known(
        &mut self,
        name: &OsStr,
        file: &ArrayFile,
        meta: &Meta,
    ) -> Option<(Contribution, u32)> {
        let before = self.before?;
        while self.compared < before.files.len()
            && natural::compare(before.names.get(self.compared), name) == Ordering::Less
        {
            self.compared += 1;
        }
        let number = self.compared;
        let shard = before.files.get(number).filter(|_| before.names.get(number) == name)?;
        let is_same = shard.id == file.id && self.seen_before[number].stamp == Some(meta.stamp());
        let rows = shard.end - before.start(number);
        let each = before.each.as_ref().filter(|_| is_same)?;
        // Files without rows have none.
        let order = each.order.filter(|_| rows > 0);
        Some((Contribution { rows, each: Each { order, ..each.clone() } }, shard.data_offset))
    }

    /// The access list of a file, where others must know of it.
    fn list(&mut self, file: &ArrayFile, is_known: bool) -> Option<AccessList> {
        match &self.list_before {
            _ if !self.source.for_others => None,
            Some(list) if is_known => list.clone(),
            _ => match self.source.list_of_file(&file.path, file.id, acl::ACCESS) {
                Ok(list) => list,
                // One with no entries, which no file has: it closes the array.
                Err(_) => AccessList::parse(&2u32.to_le_bytes()),
            },
        }
    }

    /// Reads the header of a file.
    fn read(&mut self, file: &ArrayFile) -> Result<Header, End> {
        let open = self.source.open_backing(&file.path, file.id).map_err(|err| match err {
            Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                End::Failed(Error::Stale)
            }
            Error::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                End::Wrong(source.to_string())
            }
            err => End::Failed(err),
        })?;
        let size = open.size_at_open();
        let parsed = match self.last.take().filter(|last| last.is_still(&open, size)) {
            Some(parsed) => parsed,
            None => Parsed::read(&open, &Extent::WHOLE, size, &file.path.to_string_lossy())?,
        };
        let version = self.last.insert(parsed).version();
        match version {
            Ok(version) => Ok(version.header.clone()),
            Err(unreadable) => Err(End::Wrong(unreadable.why.clone())),
        }
    }

    /// The files, and the array that they are or why they are none.
    fn end(self, wrong: Option<String>) -> (Shards, Result<Version, Arc<Unreadable>>) {
        let Look { join, mut names, mut files, mut seen, together, each, .. } = self;
        let rows = files.last().map_or(0, |last| last.end);
        let version = match (wrong, each.as_ref().and_then(|each| each.whole(rows))) {
            (None, Some(version)) => Ok(version),
            (Some(why), _) => Err(Unreadable::new(why, None)),
            (None, None) => {
                let why =
                    "all files together are larger than an array can be, or have too many axes";
                Err(Unreadable::new(why, None))
            }
        };
        names.shrink();
        files.shrink_to_fit();
        seen.shrink_to_fit();
        let wrong = version.as_ref().err().cloned();
        let meta = together.meta(rows.saturating_mul(each.as_ref().map_or(0, Each::bytes)));
        let (now, is_suspect) = (Mutex::new(Now { seen, together, meta }), AtomicBool::new(false));
        let join = join.clone();
        (Shards { join, names, files, each, wrong, now, is_suspect }, version)
    }
}
