//! What can go wrong while the tree is served, and the errno that the caller gets.

use std::fmt;
use std::io;
use std::path::Path;

use crate::escape::shown;
use crate::selection::Refusal;

/// The longest path that a message shows in full, in bytes.
const MAX_SHOWN: usize = 512;

/// A path for a message: of a very long one only the end, and how much was left out before it.
pub(crate) fn shortened(path: String) -> String {
    if path.len() <= MAX_SHOWN {
        return path;
    }
    let mut from = path.len() - MAX_SHOWN;
    while !path.is_char_boundary(from) {
        from += 1;
    }
    // From the beginning of a name on, if that is not all of a long name.
    let from = path[from..].find('/').map_or(from, |at| from + at + 1);
    format!("(…{from} bytes…){}", &path[from..])
}

/// An error of the filesystem.
#[derive(Debug)]
pub enum Error {
    /// Nothing has this name; and why.
    NotFound(Refusal),
    /// A name of more than 255 bytes.
    NameTooLong,
    /// Only a directory has entries.
    NotADirectory,
    /// A directory cannot be read as a file.
    IsADirectory,
    /// Only a symlink has a target.
    NotASymlink,
    /// The number names nothing any more: the file was replaced, or its header changed.
    Stale,
    /// A handle that was never given out, or was given back.
    BadHandle,
    /// The file does not hold the bytes that its header promises.
    Short {
        /// The backing file.
        file: String,
        /// Bytes that its header needs.
        needs: u64,
        /// Bytes that it has.
        has: u64,
    },
    /// A file of the source, read as it is, became shorter than it was when it was opened.
    Cut {
        /// The file.
        file: String,
        /// Bytes that it had.
        had: u64,
        /// Bytes that it has.
        has: u64,
    },
    /// The file's header changed while it was read.
    Rewritten {
        /// The backing file.
        file: String,
    },
    /// No bytes, where readers of Zarr would take a file that does not exist for one of zeros.
    NoData {
        /// The backing file.
        file: String,
        /// Why there are none.
        why: String,
    },
    /// No mount does this, writable or not; and why.
    NotPermitted(String),
    /// The mount is read-only.
    ReadOnly,
    /// Bytes that would change what the array is.
    NotWritable {
        /// The backing file.
        file: String,
        /// Why not.
        why: String,
    },
    /// Bytes beyond the end of a file, whose size stays.
    TooFar {
        /// The backing file.
        file: String,
        /// The same, in words.
        why: String,
    },
    /// No room to keep an unfinished header until the rest comes.
    NoRoom {
        /// The backing file.
        file: String,
        /// What there is too much of.
        why: String,
    },
    /// One user has so much open that only others may open more.
    TooManyOpen(String),
    /// An error that the same caller got before, by its errno.
    Reported(i32),
    /// The operating system refuses it to the caller.
    Denied {
        /// The file concerned.
        file: String,
        /// What it said.
        source: io::Error,
    },
    /// The operating system failed.
    Io {
        /// The file concerned.
        file: String,
        /// What it said.
        source: io::Error,
    },
}

impl Error {
    /// An error of the operating system about a file.
    pub fn io(file: impl AsRef<Path>, source: impl Into<io::Error>) -> Error {
        let mut file = shortened(shown(file.as_ref()).to_string());
        if file.is_empty() {
            file.push_str("the source");
        }
        Error::Io { file, source: source.into() }
    }

    /// There is no such entry.
    pub fn not_found(why: impl Into<String>) -> Error {
        Error::NotFound(Refusal(why.into()))
    }

    /// The errno for a caller.
    pub fn errno(&self) -> i32 {
        match self {
            Error::NotFound(_) => libc::ENOENT,
            Error::NameTooLong => libc::ENAMETOOLONG,
            Error::NotADirectory => libc::ENOTDIR,
            Error::IsADirectory => libc::EISDIR,
            Error::NotASymlink => libc::EINVAL,
            // The kernel answers it by looking the path up anew, which finds the new version.
            Error::Stale => libc::ESTALE,
            Error::BadHandle => libc::EBADF,
            Error::NotPermitted(_) => libc::EPERM,
            Error::ReadOnly => libc::EROFS,
            Error::NotWritable { .. } => libc::EINVAL,
            Error::TooFar { .. } => libc::EFBIG,
            Error::NoRoom { .. } => libc::ENOBUFS,
            Error::TooManyOpen(_) => libc::ENFILE,
            Error::Reported(errno) => *errno,
            // Not what is there, and never zeros for what is not.
            Error::Short { .. }
            | Error::Cut { .. }
            | Error::Rewritten { .. }
            | Error::NoData { .. } => libc::EIO,
            Error::Denied { source, .. } | Error::Io { source, .. } => {
                match source.raw_os_error() {
                    // openat2 answers EXDEV if a path leads out of the source: for the caller there is
                    // nothing at that path.
                    Some(libc::EXDEV) => libc::ENOENT,
                    Some(errno) => errno,
                    None => libc::EIO,
                }
            }
        }
    }

    /// Whether it is an answer and no fault, so there is nothing to log.
    pub fn is_answer(&self) -> bool {
        match self {
            Error::NotFound(_)
            | Error::NameTooLong
            | Error::NotADirectory
            | Error::IsADirectory
            | Error::NotASymlink
            | Error::Stale
            | Error::NotPermitted(_)
            | Error::ReadOnly
            | Error::Denied { .. }
            | Error::Reported(_) => true,
            Error::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Error::BadHandle
            | Error::Short { .. }
            | Error::Cut { .. }
            | Error::Rewritten { .. }
            | Error::NoData { .. }
            | Error::NotWritable { .. }
            | Error::NoRoom { .. }
            | Error::TooManyOpen(_)
            | Error::TooFar { .. } => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotFound(why) => write!(f, "{why}"),
            Error::NameTooLong => f.write_str(
                "a name is longer than 255 bytes, or its selections are longer than 4096",
            ),
            Error::NotADirectory => f.write_str("not a directory"),
            Error::IsADirectory => f.write_str("a directory"),
            Error::NotASymlink => f.write_str("not a symlink"),
            Error::Stale => f.write_str("replaced by another version meanwhile; look it up again"),
            Error::BadHandle => f.write_str("not an open file"),
            Error::Short { file, needs, has } => {
                write!(f, "{file}: header says {needs} bytes, the file has {has}")
            }
            Error::Cut { file, had, has } => {
                write!(f, "{file}: it had {had} bytes when it was opened, and now has {has}")
            }
            Error::Rewritten { file } => write!(f, "{file}: the header changed while it was read"),
            Error::NotPermitted(why) => write!(f, "{why}"),
            Error::ReadOnly => {
                f.write_str("the mount is read-only; mount with --writable to write")
            }
            Error::NoData { file, why }
            | Error::NotWritable { file, why }
            | Error::TooFar { file, why }
            | Error::NoRoom { file, why } => {
                write!(f, "{file}: {why}")
            }
            Error::TooManyOpen(why) => f.write_str(why),
            Error::Reported(errno) => {
                write!(
                    f,
                    "the error that was reported before: {}",
                    io::Error::from_raw_os_error(*errno)
                )
            }
            Error::Denied { file, source } | Error::Io { file, source } => {
                write!(f, "{file}: {source}")
            }
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_path_the_end_is_shown() {
        let short = "d/".repeat(255) + "x";
        assert_eq!(shortened(short.clone()), short);
        let long = "directory/".repeat(1000) + "x.npy";
        let expected = format!("(…9500 bytes…){}x.npy", "directory/".repeat(50));
        assert_eq!(shortened(long), expected);
        assert_eq!(shortened("é".repeat(400)), format!("(…288 bytes…){}", "é".repeat(256)));
        assert_eq!(shortened("é".repeat(400) + "x").len(), "(…290 bytes…)".len() + 511);
    }
}
