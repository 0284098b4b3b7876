//! Open backing files: each is opened and mapped once, shared by all who read it, and closed soon
//! after the last.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::ArrayFile;
use crate::backing::Backing;
use crate::error::Error;
use crate::meta::{FileId, Meta, Stamp};
use crate::npy::header::{Header, HeaderError};
use crate::view::View;

/// How long a file stays open that nobody reads. A file that was deleted or replaced keeps its disk
/// space for as long.
const IDLE: Duration = Duration::from_secs(2);

/// How many files stay open that nobody reads.
const MAX_IDLE: usize = 64;

/// One version of an array: a file, and what its header says.
#[derive(Debug)]
pub struct Root {
    /// The file.
    pub file: ArrayFile,
    /// Its header.
    pub header: Header,
    /// The whole array.
    pub view: View,
}

/// Why a file is no array, with its header if that could be read.
#[derive(Debug)]
pub struct Unreadable {
    /// The file's path in the source.
    pub file: String,
    /// What is wrong with it.
    pub why: String,
    /// The header.
    pub header: Option<Header>,
}

/// One sentence that names the file.
impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.why)
    }
}

/// What the header of a file makes of it.
pub type Array = Result<Arc<Root>, Arc<Unreadable>>;

/// A backing file, open and mapped.
#[derive(Debug)]
pub struct OpenFile {
    /// The bytes.
    pub backing: Backing,
    name: String,
    /// What the header said last, and when.
    array: Mutex<Option<(Stamp, Array)>>,
    used: Mutex<Instant>,
}

impl OpenFile {
    /// The file's path in the source, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file's attributes now.
    pub fn meta(&self) -> Result<Meta, Error> {
        self.backing.meta().map_err(|err| Error::io(&self.name, err))
    }

    /// The array as the header has it now. The same [`Root`] as before if the header says the same.
    pub fn array(&self, file: &ArrayFile, meta: &Meta) -> Array {
        let stamp = meta.stamp();
        let mut last = lock(&self.array);
        if let Some((known, array)) = &*last
            && *known == stamp
            && stamp.is_settled()
        {
            return array.clone();
        }
        let mut array = self.read_array(file, meta.size);
        if let (Some((_, Ok(before))), Ok(now)) = (&*last, &array)
            && before.header == now.header
        {
            array = Ok(before.clone());
        }
        *last = Some((stamp, array.clone()));
        array
    }

    fn read_array(&self, file: &ArrayFile, size: u64) -> Array {
        let read = |offset, buf: &mut [u8]| self.backing.read_exact_at(offset, buf);
        let unreadable =
            |why: String, header| Arc::new(Unreadable { file: self.name.clone(), why, header });
        let header = Header::read(size, read).map_err(|err| unreadable(err.to_string(), None))?;
        if header.dtype.has_objects() {
            let why =
                "the array holds Python objects, which are pickled and have no bytes to slice";
            return Err(unreadable(why.to_owned(), Some(header)));
        }
        let Some(view) = View::of_header(&header) else {
            return Err(unreadable(HeaderError::TooBig.to_string(), Some(header)));
        };
        let needs = view.data().end;
        if needs > size {
            let why = format!("header says {needs} bytes, the file has {size}");
            return Err(unreadable(why, Some(header)));
        }
        Ok(Arc::new(Root { file: file.clone(), header, view }))
    }

    fn touch(&self) {
        *lock(&self.used) = Instant::now();
    }

    fn is_idle(&self, now: Instant) -> bool {
        now.saturating_duration_since(*lock(&self.used)) >= IDLE
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
    /// Files kept open for the next who wants them.
    recent: VecDeque<Arc<OpenFile>>,
}

impl Files {
    /// The file of this identity, if it is open.
    pub fn known(&self, id: FileId) -> Option<Arc<OpenFile>> {
        lock(&self.open).by_id.get(&id).and_then(Weak::upgrade)
    }

    /// The open file of this identity, opened by `open` if it is not, and its attributes now.
    pub(super) fn get(
        &self,
        id: FileId,
        path: &Path,
        open: impl FnOnce() -> Result<Backing, Error>,
    ) -> Result<(Arc<OpenFile>, Meta), Error> {
        if let Some((file, meta)) = self.usable(id)? {
            return Ok((file, meta));
        }
        let file = Arc::new(OpenFile {
            backing: open()?,
            name: path.to_string_lossy().into_owned(),
            array: Mutex::new(None),
            used: Mutex::new(Instant::now()),
        });
        let meta = file.meta()?;
        let mut open = lock(&self.open);
        // Another thread may have been faster: there is to be one map of the file.
        let other = open.by_id.get(&id).and_then(Weak::upgrade);
        if let Some(other) = other.filter(|f| f.backing.mapped() >= file.backing.mapped()) {
            return Ok((other, meta));
        }
        open.by_id.insert(id, Arc::downgrade(&file));
        open.recent.push_back(file.clone());
        if open.recent.len() > MAX_IDLE {
            open.recent.pop_front();
        }
        Ok((file, meta))
    }

    /// The file of this identity, if it is open and has not grown past its map.
    fn usable(&self, id: FileId) -> Result<Option<(Arc<OpenFile>, Meta)>, Error> {
        let Some(file) = self.known(id) else { return Ok(None) };
        file.touch();
        let meta = file.meta()?;
        Ok((meta.size <= file.backing.mapped()).then_some((file, meta)))
    }

    /// Closes what nobody has read for a while.
    pub fn close_idle(&self) {
        let now = Instant::now();
        let mut open = lock(&self.open);
        open.recent.retain(|file| !file.is_idle(now));
        open.by_id.retain(|_, file| file.strong_count() > 0);
    }
}

/// Locks, also after a panic elsewhere: what these locks guard is whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
