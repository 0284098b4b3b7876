//! A look at the files of a directory: which there are, and what their headers say.
//!
//! The header of a file that is known already, and has not changed since, is not read again. So a look at
//! many files is mostly one system call for each.

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustix::fs::{FileType, OFlags};

use super::known::Known;
use super::natural::{self, Names};
use super::rights::Together;
use super::shards::{Contribution, Each, Now, Seen, Shard, Shards};
use super::Join;
use crate::acl::{self, AccessList};
use crate::error::Error;
use crate::meta::{Kind, Meta, Stamp};
use crate::npy::header::Header;
use crate::shown::shown;
use crate::source::border::Directory;
use crate::source::version::Parsed;
use crate::source::{ArrayFile, Entry, Source, Unreadable, Version, names};
use crate::sync::lock;

/// The most files that are made one array.
const MAX_FILES: usize = 1 << 20;

/// How often a directory is listed again that has changed meanwhile.
const LISTINGS: usize = 4;

/// A name in a directory that may be one of the files.
#[derive(Clone, Debug)]
pub(super) struct Name {
    name: OsString,
    /// The number of the file, as the directory has it.
    number: u64,
    is_link: bool,
}

/// The names in a directory, in natural order.
pub(super) struct List {
    pub(super) names: Vec<Name>,
    /// The directory before it was listed.
    meta: Meta,
}

/// Why files are no array.
struct Wrong {
    why: Arc<Unreadable>,
    /// The file that is the reason.
    failing: Option<(OsString, Option<Stamp>)>,
}

impl Shards {
    /// Whether a listing has these files and no others.
    pub(super) fn are_listed(&self, names: &[Name]) -> bool {
        // What a link leads to is not in the listing.
        let is_same = |(number, listed): (usize, &Name)| {
            let file = &self.files[number];
            !listed.is_link && file.id.number() == listed.number && self.names.get(number) == listed.name
        };
        names.len() == self.files.len() && names.iter().enumerate().all(is_same)
    }

    /// The access list of the array.
    pub(super) fn access_list(&self) -> Option<AccessList> {
        lock(&self.now).together.granted_list()
    }
}

impl Join {
    /// Lists the directory.
    pub(super) fn list(&self, source: &Source) -> Result<List, Error> {
        let directory = source.directory(&self.directory, OFlags::RDONLY)?;
        let about = |err: io::Error| Error::io(&*self.directory.path, err);
        let mut meta = Meta::of(&directory.fd).map_err(about)?;
        for _ in 0..LISTINGS {
            let names = source.names_of(&directory).map_err(about)?;
            let after = Meta::of(&directory.fd).map_err(about)?;
            if after.stamp() == meta.stamp() {
                return Ok(List { names, meta });
            }
            meta = after;
        }
        Ok(List { names: source.names_of(&directory).map_err(about)?, meta })
    }

    /// Looks at the files, given what was known of them. [`Error::Stale`] if some went away meanwhile, and
    /// [`Error::NotFound`] if there are none.
    pub(super) fn look(&self, source: &Source, before: Option<&Known>) -> Result<Known, Error> {
        let began = Instant::now();
        let directory = source.directory(&self.directory, OFlags::PATH)?;
        let meta = Meta::of(&directory.fd).map_err(|err| Error::io(&*self.directory.path, err))?;
        let unchanged = before
            .filter(|known| known.is_complete && known.is_settled && known.stamp == meta.stamp());
        let List { names, meta } = match unchanged {
            Some(known) => List { names: known.shards.listed(), meta },
            None => self.list(source)?,
        };
        let is_settled = meta.stamp().is_settled();
        let mut look = Look::new(self, source, &directory, before.map(|known| &*known.shards));
        let wrong = look.all(&names)?;
        if look.files.is_empty() && wrong.is_none() {
            return Err(Error::not_found("there are no .npy files in the directory"));
        }
        let is_complete = look.files.len() == names.len();
        look.together.count_in_directory(&meta, source.has_list(&self.directory));
        let (shards, version, failing) = look.end(wrong);
        let (stamp, looked, took) = (meta.stamp(), Instant::now(), began.elapsed());
        // The same array as before stays the same to those who have it.
        if let Some(known) = before.filter(|known| known.shards.is_same_as(&shards)) {
            let now = shards.now.into_inner().unwrap_or_else(|err| err.into_inner());
            *lock(&known.shards.now) = now;
            known.shards.is_suspect.store(false, Relaxed);
            let (shards, version) = (known.shards.clone(), known.version.clone());
            return Ok(Known {
                stamp, is_settled, looked, took, shards, version, is_complete, failing,
            });
        }
        let shards = Arc::new(shards);
        let version = version.map(|version| {
            Arc::new(Version { joined: Some(shards.clone()), ..version })
        });
        Ok(Known { stamp, is_settled, looked, took, shards, version, is_complete, failing })
    }
}

impl Shards {
    /// The names of the files, as a listing has them.
    fn listed(&self) -> Vec<Name> {
        let name = |(number, file): (usize, &Shard)| Name {
            name: self.names.get(number).to_owned(),
            number: file.id.number(),
            is_link: file.is_link,
        };
        self.files.iter().enumerate().map(name).collect()
    }
}

impl Source {
    /// The names of `.npy` files and symlinks in a directory, but for hidden ones, in natural order.
    fn names_of(&self, directory: &Directory<'_>) -> io::Result<Vec<Name>> {
        let mut found = Vec::new();
        for entry in rustix::fs::Dir::read_from(&directory.fd)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name.as_bytes().starts_with(b".") || !names::is_npy(name) {
                continue;
            }
            let file_type = match entry.file_type() {
                FileType::Unknown => Meta::of_entry(&directory.fd, name)?.kind,
                known => crate::meta::kind_of(known),
            };
            if !matches!(file_type, Some(Kind::File | Kind::Symlink))
                || self.is_left_out(directory, name)
            {
                continue;
            }
            let name = OsString::from_vec(name.as_bytes().to_vec());
            let is_link = file_type == Some(Kind::Symlink);
            found.push(Name { name, number: entry.ino(), is_link });
        }
        found.sort_unstable_by(|a, b| natural::compare(&a.name, &b.name));
        Ok(found)
    }

    /// Whether a directory has an access list that others must know of.
    fn has_list(&self, directory: &Entry) -> bool {
        self.for_others && !matches!(self.list_of_directory(directory, acl::ACCESS), Ok(None))
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
        }
    }

    /// Looks at each file, up to the first that does not fit.
    fn all(&mut self, names: &[Name]) -> Result<Option<Wrong>, Error> {
        if names.len() > MAX_FILES {
            let why = format!("there are more than {MAX_FILES} .npy files in the directory");
            return Ok(Some(Wrong { why: Unreadable::new(why, None), failing: None }));
        }
        for name in names {
            if let Err((why, stamp)) = self.one(name)? {
                let shown = shown(&name.name).to_string();
                let why = Unreadable::new(format!("{shown}: {why}"), None);
                return Ok(Some(Wrong { why, failing: Some((name.name.clone(), stamp)) }));
            }
        }
        Ok(None)
    }

    /// Looks at one file: why it does not fit, with its stamp if that is settled.
    fn one(&mut self, listed: &Name) -> Result<Result<(), (String, Option<Stamp>)>, Error> {
        let name = &*listed.name;
        let (file, meta) = match self.found(listed)? {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Ok(())),
            Err(why) => return Ok(Err((why, None))),
        };
        let stamp = Some(meta.stamp()).filter(Stamp::is_settled);
        let known = self.known(name, &file, &meta);
        let list = self.list(&file, known.is_some());
        let number = self.files.len();
        let kind = self.together.add(number, &meta, list, listed.is_link);
        let (contribution, data_offset) = match known {
            Some(known) => known,
            None => match self.read(&file)? {
                Ok(header) => match Contribution::of(self.join.how, &header) {
                    Ok(contribution) => (contribution, header.data_offset as u32),
                    Err(why) => return Ok(Err((why, stamp))),
                },
                // A link's own stamp says nothing of the file.
                Err(why) => return Ok(Err((why, stamp.filter(|_| !listed.is_link)))),
            },
        };
        let Contribution { rows, each } = contribution;
        let first = self.each.get_or_insert_with(|| each.clone());
        if let Some(why) = first.differs(self.join.how, rows, &each) {
            return Ok(Err((why, stamp.filter(|_| !listed.is_link))));
        }
        first.order = first.order.or(each.order);
        let start = self.files.last().map_or(0, |last| last.end);
        let too_large = || "with this file the array is larger than any can be".to_owned();
        let Some(end) = start.checked_add(rows) else { return Ok(Err((too_large(), None))) };
        if self.names.push(name).is_none() {
            return Ok(Err((too_large(), None)));
        }
        self.files.push(Shard { id: file.id, end, data_offset, is_link: listed.is_link });
        self.seen.push(Seen { stamp, kind });
        Ok(Ok(()))
    }

    /// What a name stands for, if it is one of the files; or why it cannot be one.
    fn found(&self, listed: &Name) -> Result<Result<Option<(ArrayFile, Meta)>, String>, Error> {
        match self.source.array_at(self.directory, &listed.name) {
            Some((file, _)) if file.is_refused => {
                Ok(Err(self.source.why_refused(&file.path)?.why.clone()))
            }
            Some(found) => Ok(Ok(Some(found))),
            // A link to something else is none of the files; but data that is missing is not left out.
            None if listed.is_link => match self.source.target(self.directory, &listed.name) {
                Ok(_) => Ok(Ok(None)),
                Err(_) => Ok(Err("the symlink leads nowhere".to_owned())),
            },
            None => Err(Error::Stale),
        }
    }

    /// What is known of a file that has not changed since.
    fn known(&mut self, name: &OsStr, file: &ArrayFile, meta: &Meta) -> Option<(Contribution, u32)> {
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
        let order = each.order.filter(|_| rows > 0);
        Some((Contribution { rows, each: Each { order, ..each.clone() } }, shard.data_offset))
    }

    /// The access list of a file, where others must know of it. None too if it cannot be had.
    fn list(&mut self, file: &ArrayFile, is_known: bool) -> Option<AccessList> {
        if !self.source.for_others {
            return None;
        }
        match &self.list_before {
            Some(list) if is_known => list.clone(),
            _ => match self.source.list_of_file(&file.path, file.id, acl::ACCESS) {
                Ok(list) => list,
                // A list that nobody has: it closes the array.
                Err(_) => AccessList::parse(&2u32.to_le_bytes()),
            },
        }
    }

    /// Reads the header of a file, or why it is no array.
    fn read(&mut self, file: &ArrayFile) -> Result<Result<Header, String>, Error> {
        let open = match self.source.open_backing(&file.path, file.id) {
            Ok(open) => open,
            Err(Error::Io { source, .. }) => match source.kind() {
                io::ErrorKind::NotFound => return Err(Error::Stale),
                io::ErrorKind::PermissionDenied => return Ok(Err(source.to_string())),
                _ => return Err(Error::io(&*file.path, source)),
            },
            Err(err) => return Err(err),
        };
        let size = open.size_at_open();
        if !self.last.as_ref().is_some_and(|last| last.is_still(&open, size)) {
            self.last = Some(Parsed::read(&open, size, &file.path.to_string_lossy())?);
        }
        let version = self.last.as_ref().map(Parsed::version);
        Ok(match version {
            Some(Ok(version)) => Ok(version.header.clone()),
            Some(Err(unreadable)) => Err(unreadable.why.clone()),
            None => Err("it was not read".to_owned()),
        })
    }

    /// The files, the array that they are or why they are none, and the file that is the reason.
    fn end(
        self,
        wrong: Option<Wrong>,
    ) -> (Shards, Result<Version, Arc<Unreadable>>, Option<(OsString, Option<Stamp>)>) {
        let Look { join, mut names, mut files, mut seen, together, each, .. } = self;
        let rows = files.last().map_or(0, |last| last.end);
        let made = each.as_ref().and_then(|each| each.whole(rows));
        let (wrong, failing) = match wrong {
            None if made.is_none() => {
                let why = "all files together are larger than an array can be, or have too many axes";
                (Some(Unreadable::new(why, None)), None)
            }
            None => (None, None),
            Some(Wrong { why, failing }) => (Some(why), failing),
        };
        let version = match (made, &wrong) {
            (Some(version), None) => Ok(version),
            (_, wrong) => Err(wrong.clone().unwrap_or_else(|| Unreadable::new("no files", None))),
        };
        names.shrink();
        files.shrink_to_fit();
        seen.shrink_to_fit();
        let meta = together.meta(rows.saturating_mul(each.as_ref().map_or(0, Each::bytes)));
        let (now, is_suspect) = (Mutex::new(Now { seen, together, meta }), AtomicBool::new(false));
        let join = join.clone();
        (Shards { join, names, files, each, wrong, now, is_suspect }, version, failing)
    }
}
