//! Files open for writing: whose values may be changed, and at whose cost.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::{Content, Node, Target, Tree};
use crate::caller::Caller;
use crate::credentials;
use crate::error::{Error, shortened};
use crate::escape::shown;
use crate::layout::{Incoming, Layout, WriteError, described};
use crate::locks::lock;
use crate::meta::Meta;
use crate::source::{Access, OpenStorage, Version, Which};
use crate::storage::Writer;
use crate::view::View;

/// A file open for writing.
#[derive(Debug)]
pub struct Writing {
    /// The file's path in the source, and the elements it has, for messages.
    name: String,
    open: Arc<dyn OpenStorage>,
    /// The version of the array that was opened.
    version: Arc<Version>,
    writer: Arc<Writer>,
    /// Whose quota and share of the disk the write counts for; none if our own.
    by: Option<Caller>,
    /// What is written.
    view: View,
    /// The file as it is read.
    own: Arc<Layout>,
    destination: Destination,
    failed: Mutex<Option<Failure>>,
}

/// A write that failed, and has not been repeated with success. Programs that ignore the answer to `write`
/// may look at that of `close`. NumPy's `tofile` looks at neither, but closes the file a second time.
#[derive(Clone, Copy, Debug)]
struct Failure {
    at: u64,
    errno: i32,
}

/// Where the bytes go.
#[derive(Debug)]
enum Destination {
    /// The file is read as well, and so is laid out as it is read.
    Own,
    /// What is written is never read by the same handle.
    Incoming(Mutex<Incoming>),
}

impl Tree {
    /// Opens a node for writing, and for reading too if it `reads`. Only the values of arrays can be
    /// written.
    pub fn open_for_writing(
        &self,
        node: &Node,
        reads: bool,
        caller: Caller,
    ) -> Result<(Content, Writing), Error> {
        if !self.options.writable {
            return Err(Error::ReadOnly);
        }
        let content = self.content(node, caller, Which::AtPath)?;
        let target = match node {
            Node::File(file) => file.target(&content)?,
            Node::Directory(_) | Node::Symlink(_) => return Err(Error::IsADirectory),
        };
        let Target { version, view, expression, layout: own } = target;
        let (open, meta): (Arc<dyn OpenStorage>, _) = match &content {
            Content::Whole { open, meta } => (open.clone(), meta),
            Content::Array { open, meta, .. } => (open.clone(), meta),
            Content::Text(_) | Content::Report(_) => return Err(Error::BadHandle),
        };
        check_set_id(&*open, meta)?;
        let access = if reads { Access::ReadWrite } else { Access::Write };
        let (path, file) = node.backing().path().zip(open.file()).ok_or(Error::BadHandle)?;
        let writer = self.source.writer(path, file, meta.id, access, caller)?;
        let own = Arc::new(own);
        let destination = match reads {
            true => Destination::Own,
            false => {
                let share = self.headers.share(caller.user);
                let incoming = Incoming::new(view.clone(), own.clone()).with_share(share);
                Destination::Incoming(Mutex::new(incoming))
            }
        };
        // Not as the open file is called, which may have been opened by another name.
        let name = format!("{}: {expression}", shown_path(path));
        let (by, failed) = (self.source.lent_by(caller), Mutex::default());
        Ok((content, Writing { name, open, version, writer, by, view, own, destination, failed }))
    }
}

fn shown_path(path: &Path) -> String {
    shortened(shown(path).to_string())
}

/// The mode bits setuid and setgid.
const SET_ID: u16 = 0o6000;

/// An error for a file with the setuid or setgid bit, which a write to a disk would take away.
fn check_set_id(open: &dyn OpenStorage, meta: &Meta) -> Result<(), Error> {
    if meta.mode & SET_ID == 0 {
        return Ok(());
    }
    let why = format!(
        "{}: it has the setuid or setgid bit, which a write would take away; write it in the source, or \
         take the bit away",
        open.name()
    );
    Err(Error::NotPermitted(why))
}

impl Writing {
    /// Writes `bytes` at `at`, and returns how many: all, or, if the operating system refuses the rest, the
    /// first of them.
    pub fn write_at(&self, at: u64, bytes: &[u8]) -> Result<usize, Error> {
        let written = self.try_write_at(at, bytes);
        let mut failed = lock(&self.failed);
        match (&written, *failed) {
            (Err(err), None) => *failed = Some(Failure { at, errno: err.errno() }),
            (Err(err), Some(_)) => return Err(Error::Reported(err.errno())),
            (Ok(count), Some(failure)) if (at..at + *count as u64).contains(&failure.at) => {
                *failed = None;
            }
            (Ok(_), _) => {}
        }
        written
    }

    fn try_write_at(&self, at: u64, bytes: &[u8]) -> Result<usize, Error> {
        let meta = self.open.meta()?;
        check_set_id(&*self.open, &meta)?;
        self.open.check(&self.version, &meta)?;
        let written = self.at_their_cost(|| match &self.destination {
            Destination::Own => self.own.write_at(&self.writer, at, bytes),
            Destination::Incoming(incoming) => lock(incoming).write_at(&self.writer, at, bytes),
        })?;
        match written {
            Ok(()) => Ok(bytes.len()),
            Err(WriteError::Io(err)) if err.written > 0 => Ok(err.written),
            Err(err) => Err(self.error(err)),
        }
    }

    /// Writes back whole pages of a map at `at`, all of them or with an error.
    ///
    /// The kernel writes up to where it takes the file to end. Until it asks again, that can be where another
    /// writer's file ended, which has a longer header. Another header in the pages is an error, but the
    /// values after it are written.
    pub fn write_back(&self, at: u64, bytes: &[u8]) -> Result<(), Error> {
        if !self.reads() {
            return Err(Error::BadHandle);
        }
        let up_to = |end: u64| (end.saturating_sub(at)).min(bytes.len() as u64) as usize;
        let (data, end) = (up_to(self.own.header().len() as u64), up_to(self.own.len()));
        let header = self.write_at(at, &bytes[..data]);
        let mut done = data;
        while done < end {
            done += self.write_at(at + done as u64, &bytes[done..end])?;
        }
        header.map(drop)
    }

    /// Ends the file at `size`, and says whether that is its size, which is the only one it can have. What a
    /// writer that truncated it has left out becomes zeros.
    pub fn end(&self, size: u64) -> Result<bool, Error> {
        match &self.destination {
            Destination::Own => Ok(size == self.own.len()),
            Destination::Incoming(incoming) => {
                check_set_id(&*self.open, &self.open.meta()?)?;
                let ended = self.at_their_cost(|| lock(incoming).end(&self.writer, size))?;
                ended.map_err(|err| self.error(err))
            }
        }
    }

    /// Does `write` at the cost of whoever opened the file. It is open already, so only what the disk grants
    /// them is left to decide.
    fn at_their_cost<R>(&self, write: impl FnOnce() -> R) -> Result<R, Error> {
        match self.by {
            Some(caller) => {
                credentials::as_user_of(caller, write).map_err(|err| Error::io(&self.name, err))
            }
            None => Ok(write()),
        }
    }

    /// An error if a write has failed.
    pub fn check(&self) -> Result<(), Error> {
        lock(&self.failed).map_or(Ok(()), |failure| Err(Error::Reported(failure.errno)))
    }

    /// An error if the file is being replaced and what was written is not complete.
    pub fn check_whole(&self) -> Result<(), Error> {
        let Destination::Incoming(incoming) = &self.destination else { return Ok(()) };
        lock(incoming).missing().map_or(Ok(()), |missing| {
            let why = format!("its replacement ended {missing} bytes too soon");
            Err(Error::NotWritable { file: self.name.clone(), why })
        })
    }

    /// Notes that the file's opener has truncated it.
    pub fn truncate(&self) {
        *lock(&self.failed) = None;
        if let Destination::Incoming(incoming) = &self.destination {
            lock(incoming).truncate();
        }
    }

    /// Whether nothing was written yet by a writer that does not read.
    pub fn is_untouched(&self) -> bool {
        matches!(&self.destination, Destination::Incoming(incoming) if lock(incoming).is_untouched())
    }

    /// Whether the writer also reads the file.
    pub fn reads(&self) -> bool {
        matches!(self.destination, Destination::Own)
    }

    /// The file as it is read, whose elements can be written.
    pub fn layout(&self) -> Arc<Layout> {
        self.own.clone()
    }

    /// Returns when everything written to the backing file is on the disk.
    pub fn sync(&self, data_only: bool) -> Result<(), Error> {
        self.writer.sync(data_only).map_err(|err| Error::io(&self.name, err))?;
        self.check()
    }

    fn error(&self, err: WriteError) -> Error {
        let (file, why) = (self.name.clone(), err.to_string());
        match err {
            WriteError::Header => {
                let expected = described(self.view.dtype(), self.view.shape());
                Error::NotWritable { file, why: format!("{why}: {expected}") }
            }
            WriteError::OtherHeader(_) | WriteError::Padded => Error::NotWritable { file, why },
            WriteError::TooFar => Error::TooFar { file, why },
            WriteError::NoRoom => Error::NoRoom { file, why },
            WriteError::Io(err) => Error::io(file, err.why),
        }
    }
}
