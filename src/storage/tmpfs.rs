//! A filesystem in memory that only this process sees: it is mounted nowhere. Its files have no names, and take
//! huge pages where they can.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

/// Bytes of a huge page, on x86-64, and on aarch64 with pages of 4 KiB.
const HUGE_PAGE: u64 = 2 << 20;

/// A tmpfs that is mounted nowhere. It is gone once this, and all of its files, are closed and unmapped.
#[derive(Debug)]
pub struct Tmpfs {
    root: OwnedFd,
    size: u64,
}

impl Tmpfs {
    /// A tmpfs for files of `size` bytes in all. This takes root's privileges, and a kernel that has huge pages for it.
    pub fn new(size: u64) -> io::Result<Tmpfs> {
        let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        let size_in_bytes = size.to_string();
        for (key, value) in [("size", &*size_in_bytes), ("huge", "within_size"), ("mode", "0700")] {
            rustix::mount::fsconfig_set_string(&context, key, value)?;
        }
        rustix::mount::fsconfig_create(&context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOATIME;
        let root = rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        Ok(Tmpfs { root, size })
    }

    /// A file of `len` bytes, all zeros, that takes no memory yet.
    pub fn file(&self, len: u64) -> io::Result<File> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.root, ".", flags, Mode::RUSR)?);
        // At its full length from the start: a huge page is taken only where it fits in.
        file.set_len(len)?;
        Ok(file)
    }

    /// Whether files get huge pages, as long as there are any.
    pub fn has_huge_pages(&self) -> io::Result<bool> {
        // The kernel names the page that it would take, which also depends on a setting of the whole machine.
        Ok(self.file(HUGE_PAGE)?.metadata()?.blksize() >= HUGE_PAGE)
    }

    /// Bytes of memory that all files may take.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of memory that they take, those among them that are closed and still mapped by somebody.
    pub fn used(&self) -> io::Result<u64> {
        let fs = rustix::fs::fstatfs(&self.root)?;
        Ok((fs.f_blocks - fs.f_bfree) * fs.f_bsize.cast_unsigned())
    }
}
