//! What is known of the filesystem that a file is on.

use std::fs::File;

/// What is known of the filesystem that a file is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filesystem {
    /// One of the usual ones of disks (ext2 to ext4, XFS, Btrfs, F2FS), which note every first store to a
    /// clean page of a shared map in the file's times.
    OfDisks,
    /// overlayfs, on this machine most likely: the first open for writing makes a copy of a file, and a
    /// map that was made before stays one of the original
    Overlay,
    /// tmpfs or ZFS: of this machine too, most likely
    Local,
    /// Any other, of a network perhaps
    Other,
}

impl Filesystem {
    pub(super) fn of(file: &File) -> Filesystem {
        // The numbers are those of `statfs(2)`, and of ZFS's own source.
        match rustix::fs::fstatfs(file).map(|fs| fs.f_type as u32) {
            Ok(0xEF53 | 0x5846_5342 | 0x9123_683E | 0xF2F5_2010) => Filesystem::OfDisks,
            Ok(0x794C_7630) => Filesystem::Overlay,
            Ok(0x0102_1994 | 0x2FC1_2FC1) => Filesystem::Local,
            _ => Filesystem::Other,
        }
    }

    /// The device of a file on it, unless it is known to answer at once.
    pub(super) fn slow_device(self, file: &File) -> Option<u64> {
        let is_slow = self == Filesystem::Other;
        is_slow.then(|| rustix::fs::fstat(file).map_or(0, |stat| stat.st_dev))
    }
}
