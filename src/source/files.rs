//! Open backing files. Each is opened once, shared by all readers, and closed soon after the last of them.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use super::OpenStorage;
use super::extent::Extent;
use super::version::{self, Parsed, Version, VersionOrWhy};
use crate::error::{Error, shortened};
use crate::escape::shown;
use crate::locks::lock;
use crate::meta::{FileId, Meta, Stamp};
use crate::runs::Pieces;
use crate::storage::{LocalFile, ReadError, Storage, Writer, await_closed};

/// How long a file stays open that nobody reads. To map a large one again takes many page faults.
const IDLE: Duration = Duration::from_secs(10);

/// The same for a file that was deleted or replaced, since its disk space is kept until then; and for any on
/// a filesystem that cannot be asked quickly.
const IDLE_AND_GONE: Duration = Duration::from_secs(2);

/// How many files stay open that nobody reads.
const MAX_IDLE: usize = 64;

/// About how many closed files are remembered until the next tidying up.
const MAX_CLOSED: usize = 1024;

/// How long to wait, when no descriptor is left, for a file to close on a filesystem that may take any time
/// for it.
const PATIENCE: Duration = Duration::from_millis(100);

/// How many headers are known of a file. A member whose header is not among them is known again by the
/// bytes of its header.
const MAX_HEADERS: usize = 8;

/// What a header said.
#[derive(Clone, Debug)]
struct Known {
    /// The stamp that the file had then, if any change since shows in a later one.
    as_of: Option<Stamp>,
    parsed: Parsed,
}

/// A backing file that is open.
#[derive(Debug)]
pub struct OpenFile {
    local: LocalFile,
    /// The same file opened again, of which a copy has been made since.
    copy: OnceLock<LocalFile>,
    name: String,
    /// What the headers said that were read last, the latest one first: of the file, or of some members if it
    /// is an archive.
    headers: Mutex<Vec<Known>>,
    used: Mutex<Instant>,
    /// The file open for writing, while somebody writes.
    writer: Mutex<Weak<Writer>>,
    /// The stamp that it had when nobody had it open for writing.
    unwritten: Mutex<Option<Stamp>>,
}

impl OpenFile {
    /// The bytes.
    pub fn local(&self) -> &LocalFile {
        self.copy.get().unwrap_or(&self.local)
    }

    /// Returns when everything written to it is on the disk.
    pub fn sync(&self, data_only: bool) -> Result<(), Error> {
        let synced = match data_only {
            true => rustix::fs::fdatasync(self.local()),
            false => rustix::fs::fsync(self.local()),
        };
        synced.map_err(|err| Error::io(&self.name, err))
    }

    /// Whether the content may have changed, or may yet change, without changing this settled stamp.
    ///
    /// A program that has the file open for writing may store through a map that left its trace long ago.
    /// Once nobody has it open, the first store of a later one leaves a trace, which makes another stamp. So
    /// one look is enough for each stamp. That matters because the look is a lease, which gets in the way of
    /// an open without waiting at that moment.
    pub fn may_have_unseen_changes(&self, stamp: Stamp) -> bool {
        // The lock keeps the file from being opened for writing here meanwhile.
        let writer = lock(&self.writer);
        let mut unwritten = lock(&self.unwritten);
        if writer.strong_count() > 0 || *unwritten != Some(stamp) {
            let may = writer.strong_count() > 0 || self.local.may_have_unseen_changes();
            *unwritten = Some(stamp).filter(|_| !may);
        }
        unwritten.is_none()
    }

    /// The file open for writing. `open` is called each time, and its result decides.
    pub(super) fn writer(
        &self,
        open: impl FnOnce() -> Result<Writer, Error>,
    ) -> Result<Arc<Writer>, Error> {
        let mut known = lock(&self.writer);
        let opened = open()?;
        if let Some(writer) = known.upgrade() {
            return Ok(writer);
        }
        let writer = Arc::new(opened);
        *known = Arc::downgrade(&writer);
        Ok(writer)
    }

    /// Whether the file must be opened again by [`OpenFile::read_from`], now that it is open for writing.
    pub(super) fn may_be_a_copy(&self) -> bool {
        self.local.may_be_copied() && self.copy.get().is_none()
    }

    /// Whatever is read from now on is read from this, which is the same file.
    pub(super) fn read_from(&self, copy: LocalFile) {
        // It is made once; two who were as fast as each other have opened the same.
        let _ = self.copy.set(copy);
    }

    /// The array in an extent, as its header has it now: the same [`Version`] as before if the header is the
    /// same.
    ///
    /// The header is read again unless nothing can have changed it since. Reading it is quick; parsing it is not.
    pub fn version(&self, extent: &Extent, meta: &Meta) -> Result<VersionOrWhy, Error> {
        let stamp = Some(meta.stamp()).filter(Stamp::is_settled);
        let known = lock(&self.headers).iter().find(|known| known.parsed.is_of(extent)).cloned();
        if let Some(known) = &known
            && known.as_of.is_some()
            && known.as_of == stamp
        {
            return Ok(known.parsed.version());
        }
        // Before the header is read: whoever comes to write later leaves a trace.
        let as_of = stamp.filter(|stamp| !self.may_have_unseen_changes(*stamp));
        let known = known.map(|known| known.parsed);
        let parsed = match known.filter(|parsed| parsed.is_still(self, meta.size)) {
            Some(parsed) => parsed,
            None => {
                let parsed = Parsed::read(self, extent, meta.size, &self.name)?;
                // The archive may have been written anew since the extent was found.
                if !extent.is_marked(self) {
                    return Err(self.rewritten());
                }
                parsed
            }
        };
        let version = parsed.version();
        let mut headers = lock(&self.headers);
        headers.retain(|known| !known.parsed.is_of(extent));
        headers.truncate(MAX_HEADERS - 1);
        if !matches!(parsed, Parsed::Cut(_)) {
            headers.insert(0, Known { as_of, parsed });
        }
        Ok(version)
    }

    /// Whether the header of a version was read not long ago.
    fn is_known(&self, version: &Version) -> bool {
        lock(&self.headers).iter().any(|known| known.parsed.is_of(&version.extent))
    }

    fn rewritten(&self) -> Error {
        Error::Rewritten { file: self.name.clone() }
    }

    fn touch(&self) {
        *lock(&self.used) = Instant::now();
    }

    fn is_idle(&self, now: Instant) -> bool {
        let idle = now.saturating_duration_since(*lock(&self.used));
        idle >= IDLE || idle >= IDLE_AND_GONE && !(self.local.answers_at_once() && self.has_name())
    }

    /// Whether it still has a name, so has not been deleted.
    fn has_name(&self) -> bool {
        self.meta().is_ok_and(|meta| meta.nlink > 0)
    }
}

impl Storage for OpenFile {
    fn size(&self) -> io::Result<u64> {
        self.local().size()
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<(), ReadError> {
        self.local().read_at(at, out)
    }

    fn read_now(&self, at: u64, out: &mut [u8]) -> bool {
        self.local().read_now(at, out)
    }

    fn copy_to(&self, at: u64, len: u64, file: &File, place: u64) -> bool {
        self.local().copy_to(at, len, file, place)
    }

    fn gather(&self, pieces: Pieces<'_>, out: &mut [u8], needs: u64) -> Result<(), ReadError> {
        self.local().gather(pieces, out, needs)
    }
}

impl OpenStorage for OpenFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn meta(&self) -> Result<Meta, Error> {
        self.local.meta().map_err(|err| Error::io(&self.name, err))
    }

    fn check(&self, version: &Version, meta: &Meta) -> Result<(), Error> {
        if version.extent != Extent::WHOLE {
            if meta.size < version.view.data().end {
                return Err(version.short(self, meta.size));
            }
            let has_header = !version.bytes.is_empty();
            if !(has_header && self.is_known(version)) && version.is_in(self, meta.size) {
                return Ok(());
            }
            if !has_header {
                return Err(self.rewritten());
            }
        }
        version::check(version, &self.version(&version.extent, meta)?, self, meta)
    }

    fn file(&self) -> Option<&OpenFile> {
        Some(self)
    }
}

/// All files that are open.
#[derive(Debug, Default)]
pub struct Files {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    by_id: HashMap<FileId, Weak<OpenFile>>,
    /// Files kept open for the next reader.
    recent: Vec<Arc<OpenFile>>,
    /// How many files of `by_id` have been seen to be open.
    seen_open: usize,
}

impl Files {
    /// The file of this identity, if it is open.
    pub fn known(&self, id: FileId) -> Option<Arc<OpenFile>> {
        lock(&self.open).by_id.get(&id).and_then(Weak::upgrade)
    }

    /// The open file of this identity, opened by `open` if it is not, and its attributes: those `seen` just
    /// now, or those that it has.
    pub(super) fn get(
        &self,
        id: FileId,
        path: &Path,
        seen: Option<&Meta>,
        open: impl FnOnce() -> Result<LocalFile, Error>,
    ) -> Result<(Arc<OpenFile>, Meta), Error> {
        let now = |file: &OpenFile| seen.map_or_else(|| file.meta(), |meta| Ok(*meta));
        if let Some(file) = self.known(id) {
            file.touch();
            let meta = now(&file)?;
            // If it has grown, its map would be too short.
            if meta.size <= file.local.size_at_open() {
                return Ok((file, meta));
            }
        }
        let file = Arc::new(OpenFile {
            local: open()?,
            copy: OnceLock::new(),
            name: shortened(shown(path).to_string()),
            headers: Mutex::default(),
            used: Mutex::new(Instant::now()),
            writer: Mutex::default(),
            unwritten: Mutex::default(),
        });
        let meta = now(&file)?;
        let mut open = lock(&self.open);
        // Another thread may have been faster. The file must be open, and mapped, once.
        let other = open.by_id.get(&id).and_then(Weak::upgrade);
        if let Some(other) = other.filter(|f| f.local.size_at_open() >= file.local.size_at_open()) {
            return Ok((other, meta));
        }
        open.by_id.insert(id, Arc::downgrade(&file));
        // A reader of many files opens and closes them much faster than idle ones are tidied up.
        if open.by_id.len() > 2 * open.seen_open + MAX_CLOSED {
            open.by_id.retain(|_, file| file.strong_count() > 0);
            open.seen_open = open.by_id.len();
        }
        open.recent.push(file.clone());
        let surplus = (open.recent.len() > MAX_IDLE).then(|| open.take_oldest());
        // Unmapping takes time, and nobody should wait for it.
        drop(open);
        drop(surplus);
        Ok((file, meta))
    }

    /// An open file gets another identity.
    pub(super) fn has_become(&self, file: &OpenFile, was: FileId, is: FileId) {
        let mut open = lock(&self.open);
        let known = open.by_id.get(&was).cloned();
        if let Some(known) = known.filter(|known| known.as_ptr() == std::ptr::from_ref(file)) {
            open.by_id.insert(is, known);
        }
    }

    /// Closes files that nobody has open, and says whether there were any.
    pub(super) fn close_unused(&self) -> bool {
        let mut open = lock(&self.open);
        let unused: Vec<_> =
            open.recent.extract_if(.., |file| Arc::strong_count(file) == 1).collect();
        drop(open);
        let any = !unused.is_empty();
        drop(unused);
        if any {
            // Not all of them are closed by this thread.
            await_closed(PATIENCE);
        }
        any
    }

    /// How many files are open, and how many of them are mapped.
    pub fn in_use(&self) -> (usize, usize) {
        let open: Vec<_> = lock(&self.open).by_id.values().filter_map(Weak::upgrade).collect();
        let mapped = open.iter().filter(|file| file.local().is_mapped()).count();
        (open.len(), mapped)
    }

    /// Closes files that nobody has read for a while.
    pub fn close_idle(&self) {
        let now = Instant::now();
        let mut open = lock(&self.open);
        let idle: Vec<_> = open.recent.extract_if(.., |file| file.is_idle(now)).collect();
        drop(open);
        drop(idle);
        lock(&self.open).by_id.retain(|_, file| file.strong_count() > 0);
    }
}

impl Open {
    /// Takes out the file that has not been used for the longest time.
    fn take_oldest(&mut self) -> Option<Arc<OpenFile>> {
        let oldest = (0..self.recent.len()).min_by_key(|&i| *lock(&self.recent[i].used))?;
        Some(self.recent.swap_remove(oldest))
    }
}
