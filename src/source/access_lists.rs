//! The access lists of files and directories in the source.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::border::path_of_descriptor;
use super::{Entry, Source};
use crate::acl::AccessList;
use crate::error::Error;
use crate::meta::FileId;

/// The longest list that the kernel asks us for.
const MAX_LIST: usize = 4096;

impl Source {
    /// Whether users other than the owner see the mount.
    pub fn is_for_others(&self) -> bool {
        self.for_others
    }

    /// The list of this name of a directory.
    pub fn list_of_directory(
        &self,
        directory: &Entry,
        name: &str,
    ) -> Result<Option<AccessList>, Error> {
        let (place, _) = self.open_looked_up(directory, OFlags::PATH)?;
        list_of(&directory.path, &place, name)
    }

    /// The list of this name of a file. If it is open, its path may have changed.
    pub fn list_of_file(
        &self,
        path: &Path,
        id: FileId,
        name: &str,
    ) -> Result<Option<AccessList>, Error> {
        if let Some(open) = self.files.known(id) {
            let mut list = [0; MAX_LIST];
            return parsed(path, rustix::fs::fgetxattr(open.local(), name, &mut list), &list);
        }
        let place = self.place_of(path, id)?;
        list_of(path, &place, name)
    }
}

/// The list of what an `O_PATH` descriptor stands for: such a descriptor cannot be asked itself.
fn list_of(path: &Path, place: &OwnedFd, name: &str) -> Result<Option<AccessList>, Error> {
    let mut list = [0; MAX_LIST];
    parsed(path, rustix::fs::getxattr(path_of_descriptor(place), name, &mut list), &list)
}

fn parsed(
    path: &Path,
    len: Result<usize, Errno>,
    list: &[u8],
) -> Result<Option<AccessList>, Error> {
    let unknown = || Error::io(path, std::io::Error::other("an access list of another kind"));
    match len {
        Ok(len) => {
            let list = list.get(..len).and_then(AccessList::parse);
            list.map(Some).ok_or_else(unknown)
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(err) => Err(Error::io(path, err)),
    }
}
