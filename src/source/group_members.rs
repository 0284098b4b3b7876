//! What a directory has that can be a member of a group of arrays: directories, and files that may hold one.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::{Entry, Source, names};
use crate::error::Error;
use crate::meta::{Kind, kind_of};

impl Source {
    /// The directories in a directory, and its files and symlinks `X.npy`. Symlinks are not looked at, unless they are
    /// followed. `None` if there are more than `at_most` entries of any kind.
    pub fn members(
        &self,
        directory: &Entry,
        at_most: usize,
    ) -> Result<Option<Vec<(OsString, Kind)>>, Error> {
        let about = |err: Errno| Error::io(&*directory.path, err);
        let opened = self.directory(directory, OFlags::RDONLY)?;
        let mut members = Vec::new();
        for (count, entry) in rustix::fs::Dir::read_from(&opened.fd).map_err(about)?.enumerate() {
            let entry = entry.map_err(about)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if count >= at_most.saturating_add([".", ".."].len()) {
                return Ok(None);
            }
            let is_symlink = entry.file_type() == FileType::Symlink;
            let is_unclear = is_symlink && self.follow_symlinks;
            let kind = match is_unclear || entry.file_type() == FileType::Unknown {
                true => self.entry(&opened, name).ok().and_then(|meta| meta.kind),
                false => kind_of(entry.file_type()),
            };
            let kind = match kind {
                Some(Kind::Directory) if name != "." && name != ".." => Kind::Directory,
                Some(Kind::File | Kind::Symlink) if names::is_npy(name) => Kind::File,
                _ => continue,
            };
            if !self.is_left_out(&opened, name) {
                members.push((name.to_owned(), kind));
            }
        }
        Ok(Some(members))
    }
}
