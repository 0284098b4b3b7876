//! Open backing files. Each is opened once, shared by all readers, and closed soon after the last of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use super::ArrayFile;
use crate::error::{Error, shortened};
use crate::meta::{FileId, Meta, Stamp};
use crate::npy::header::{Header, HeaderError};
use crate::shown::shown;
use crate::storage::{LocalFile, Storage, Writer, await_closed};
use crate::sync::lock;
use crate::view::View;

/// How long a file stays open that nobody reads. To map a large one again takes many page faults.
const IDLE: Duration = Duration::from_secs(10);

/// The same for a file that was deleted or replaced, since its disk space is kept until then; and for any on
/// a filesystem that cannot be asked quickly.
const IDLE_AND_GONE: Duration = Duration::from_secs(2);

/// How many files stay open that nobody reads.
const MAX_IDLE: usize = 64;

/// How long to wait, when no descriptor is left, for a file to close on a filesystem that may take any time
/// for it.
const PATIENCE: Duration = Duration::from_millis(100);

/// One version of an array: what a file's header says, whatever path leads to it.
#[derive(Debug)]
pub struct Root {
    /// The header.
    pub header: Header,
    /// Its bytes, up to the data.
    pub bytes: Vec<u8>,
    /// The whole array.
    pub view: View,
}

impl Root {
    /// About how many bytes of memory it takes.
    pub fn footprint(&self) -> usize {
        size_of::<Root>() + parsed(&self.header, self.bytes.len())
    }

    /// Checks that an open file still holds this version of the array, and all of it.
    pub fn check(&self, open: &OpenFile, meta: &Meta) -> Result<(), Error> {
        match open.array(meta)? {
            Ok(now) if now.is_same_as(self) => Ok(()),
            Err(_) if meta.size < self.view.data().end => Err(self.short(open, meta.size)),
            _ => Err(Error::Rewritten { file: open.name().to_owned() }),
        }
    }

    /// Whether another version has the same header. Most often it is this very one.
    pub fn is_same_as(&self, other: &Root) -> bool {
        std::ptr::eq(self, other) || self.header == other.header
    }

    /// The error for a file with too few bytes for the array.
    pub fn short(&self, open: &OpenFile, has: u64) -> Error {
        Error::Short { file: open.name().to_owned(), needs: self.view.data().end, has }
    }
}

/// About how many bytes of memory a header of `len` bytes takes. A record's field takes some ten bytes in the
/// file; here it has a field, a dtype and a name of its own.
fn parsed(header: &Header, len: usize) -> usize {
    len + if header.dtype.as_record().is_some() { 16 * len } else { 0 }
}

/// Why a file is no array, with its header if that could be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// What is wrong with it.
    pub why: String,
    /// The header.
    pub header: Option<Header>,
}

/// The longest reason in bytes; a header can quote itself at any length.
const MAX_WHY: usize = 300;

impl Unreadable {
    /// A file that is no array for this reason.
    pub(super) fn new(why: impl fmt::Display, header: Option<Header>) -> Arc<Unreadable> {
        // A header may quote anything.
        let mut why = shown(&why.to_string()).to_string();
        if let Some((end, _)) = why.char_indices().nth(MAX_WHY) {
            why.truncate(end);
            why.push('…');
        }
        Arc::new(Unreadable { why, header })
    }

    /// About how many bytes of memory it takes.
    pub fn footprint(&self) -> usize {
        let header = self.header.as_ref();
        let parsed = header.map_or(0, |header| parsed(header, header.data_offset as usize));
        size_of::<Unreadable>() + self.why.len() + parsed
    }

    /// One sentence that names the file.
    pub fn sentence(&self, file: &ArrayFile) -> String {
        format!("{}: {}", shortened(shown(&*file.path).to_string()), self.why)
    }
}

/// What the header of a file makes of it.
pub type Array = Result<Arc<Root>, Arc<Unreadable>>;

/// What a file turned out to be, with what must stay the same for that to hold.
#[derive(Clone, Debug)]
enum Parsed {
    /// An array, while the file begins with the same header and is long enough.
    Whole(Arc<Root>),
    /// No array, while the file has the same size and begins with these bytes.
    Not { size: u64, begins_with: Arc<[u8]>, why: Arc<Unreadable> },
}

impl Parsed {
    fn array(&self) -> Array {
        match self {
            Parsed::Whole(version) => Ok(version.clone()),
            Parsed::Not { why, .. } => Err(why.clone()),
        }
    }
}

/// A backing file that is open.
#[derive(Debug)]
pub struct OpenFile {
    backing: LocalFile,
    /// The same file opened again, of which a copy has been made since.
    copy: OnceLock<LocalFile>,
    name: String,
    /// What the header said when it was read last.
    /// With the stamp that it had then, if any change since shows in a later one.
    array: Mutex<Option<(Option<Stamp>, Parsed)>>,
    used: Mutex<Instant>,
    /// The file open for writing, while somebody writes.
    writer: Mutex<Weak<Writer>>,
    /// The stamp that it had when nobody had it open for writing.
    unwritten: Mutex<Option<Stamp>>,
}

impl OpenFile {
    /// The file's path in the source, as it is shown in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bytes.
    pub fn backing(&self) -> &LocalFile {
        self.copy.get().unwrap_or(&self.backing)
    }

    /// The file's attributes now.
    pub fn meta(&self) -> Result<Meta, Error> {
        self.backing.meta().map_err(|err| Error::io(&self.name, err))
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
            let may = writer.strong_count() > 0 || self.backing.may_have_unseen_changes();
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
        self.backing.may_be_copied() && self.copy.get().is_none()
    }

    /// Whatever is read from now on is read from this, which is the same file.
    pub(super) fn read_from(&self, copy: LocalFile) {
        // It is made once; two who were as fast as each other have opened the same.
        let _ = self.copy.set(copy);
    }

    /// The array as the header has it now: the same [`Root`] as before if the header is the same.
    ///
    /// The header is read again unless nothing can have changed it since. Reading it is quick; parsing it is not.
    pub fn array(&self, meta: &Meta) -> Result<Array, Error> {
        let stamp = Some(meta.stamp()).filter(Stamp::is_settled);
        let known = lock(&self.array).clone();
        if let Some((as_of @ Some(_), parsed)) = &known
            && *as_of == stamp
        {
            return Ok(parsed.array());
        }
        // Before the header is read: whoever comes to write later leaves a trace.
        let as_of = stamp.filter(|stamp| !self.may_have_unseen_changes(*stamp));
        let still = known.map(|(_, parsed)| parsed).filter(|parsed| self.is_still(parsed, meta));
        let parsed = match still {
            Some(parsed) => parsed,
            None => {
                let mut looked_at = Some(Vec::new());
                let array = self.read_array(meta.size, &mut looked_at)?;
                match (&array, looked_at) {
                    (Ok(version), _) => Parsed::Whole(version.clone()),
                    (Err(why), Some(bytes)) => {
                        let (size, begins_with) = (meta.size, bytes.into());
                        Parsed::Not { size, begins_with, why: why.clone() }
                    }
                    // Cut off meanwhile: it says nothing of any later moment.
                    (Err(_), None) => {
                        *lock(&self.array) = None;
                        return Ok(array);
                    }
                }
            }
        };
        let array = parsed.array();
        *lock(&self.array) = Some((as_of, parsed));
        Ok(array)
    }

    /// Whether a file with these attributes still is what it turned out to be.
    fn is_still(&self, parsed: &Parsed, meta: &Meta) -> bool {
        match parsed {
            Parsed::Whole(version) => {
                version.view.data().end <= meta.size && self.begins_with(&version.bytes)
            }
            Parsed::Not { size, begins_with, .. } => {
                *size == meta.size && self.begins_with(begins_with)
            }
        }
    }

    fn begins_with(&self, bytes: &[u8]) -> bool {
        let mut now = [0; 4096];
        bytes.chunks(now.len()).zip(0u64..).all(|(chunk, number)| {
            let now = &mut now[..chunk.len()];
            self.backing().read_at(number * 4096, now).is_ok() && now == chunk
        })
    }

    /// Reads the header of a file of `size` bytes, and leaves in `bytes` everything it read; none if the file
    /// was cut off meanwhile.
    fn read_array(&self, size: u64, bytes: &mut Option<Vec<u8>>) -> Result<Array, Error> {
        let looked_at = RefCell::new(bytes);
        let read = |offset: u64, buf: &mut [u8]| {
            let read = self.backing().read_at(offset, buf);
            let mut bytes = looked_at.borrow_mut();
            match &mut **bytes {
                // The last read of a byte is what counts for the header.
                Some(bytes) if read.is_ok() => {
                    bytes.truncate(offset as usize);
                    bytes.extend_from_slice(buf);
                }
                bytes => *bytes = None,
            }
            Ok(read?)
        };
        let header = match Header::read(size, read) {
            Ok(header) => header,
            // It was cut off since its size was taken, and that is what is wrong.
            Err(HeaderError::Io(err)) if err.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(Error::io(&self.name, err));
            }
            Err(err) => return Ok(Err(Unreadable::new(err, None))),
        };
        if header.dtype.has_objects() {
            let why =
                "the array holds Python objects, which are pickled and have no bytes to slice";
            return Ok(Err(Unreadable::new(why, Some(header))));
        }
        let Some(view) = View::of_header(&header) else {
            return Ok(Err(Unreadable::new(HeaderError::TooBig, Some(header))));
        };
        let needs = view.data().end;
        if needs > size {
            let why = format!("header says {needs} bytes, the file has {size}");
            return Ok(Err(Unreadable::new(why, Some(header))));
        }
        Ok(Ok(Arc::new(Root {
            header,
            bytes: looked_at.into_inner().clone().unwrap_or_default(),
            view,
        })))
    }

    fn touch(&self) {
        *lock(&self.used) = Instant::now();
    }

    fn is_idle(&self, now: Instant) -> bool {
        let idle = now.saturating_duration_since(*lock(&self.used));
        idle >= IDLE
            || idle >= IDLE_AND_GONE && !(self.backing.answers_at_once() && self.has_name())
    }

    /// Whether it still has a name, so has not been deleted.
    fn has_name(&self) -> bool {
        self.meta().is_ok_and(|meta| meta.nlink > 0)
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
            if meta.size <= file.backing.size_at_open() {
                return Ok((file, meta));
            }
        }
        let file = Arc::new(OpenFile {
            backing: open()?,
            copy: OnceLock::new(),
            name: shortened(shown(path).to_string()),
            array: Mutex::new(None),
            used: Mutex::new(Instant::now()),
            writer: Mutex::default(),
            unwritten: Mutex::default(),
        });
        let meta = now(&file)?;
        let mut open = lock(&self.open);
        // Another thread may have been faster. The file must be open, and mapped, once.
        let other = open.by_id.get(&id).and_then(Weak::upgrade);
        if let Some(other) =
            other.filter(|f| f.backing.size_at_open() >= file.backing.size_at_open())
        {
            return Ok((other, meta));
        }
        open.by_id.insert(id, Arc::downgrade(&file));
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
