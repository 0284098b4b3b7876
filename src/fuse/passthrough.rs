//! How the kernel reads each open inode: from us, or past us from the backing file.
//!
//! All opens of an inode must be of one kind, with one backing file, or the kernel answers EIO. So the first
//! open decides for as long as the inode is open.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::{Arc, Mutex};

use fuser::BackingId;

use crate::inode::Ino;
use crate::sync::lock;

/// How the kernel reads an open file.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// From us.
    Served,
    /// From the backing file, past us.
    Passed(Arc<BackingId>),
}

/// The ways of all open inodes, with how often each is open.
#[derive(Debug, Default)]
pub(super) struct Ways {
    passthrough: bool,
    open: Mutex<HashMap<Ino, (Way, usize)>>,
}

impl Ways {
    /// The kernel can read backing files by itself.
    pub(super) fn allow_passthrough(&mut self) {
        self.passthrough = true;
    }

    /// The way of an inode that is opened once more. `register` makes its backing file known to the kernel;
    /// it returns none if the file is not a backing file as it is.
    pub(super) fn open(
        &self,
        ino: Ino,
        register: impl FnOnce() -> Option<io::Result<BackingId>>,
    ) -> Way {
        match lock(&self.open).entry(ino) {
            Entry::Occupied(mut open) => {
                open.get_mut().1 += 1;
                open.get().0.clone()
            }
            Entry::Vacant(new) => {
                let registered = if self.passthrough { register() } else { None };
                let way = match registered {
                    Some(Ok(id)) => Way::Passed(Arc::new(id)),
                    // Not permitted, or not possible with this filesystem.
                    Some(Err(_)) | None => Way::Served,
                };
                new.insert((way, 1)).0.clone()
            }
        }
    }

    /// Closes an inode once.
    pub(super) fn close(&self, ino: Ino) {
        if let Entry::Occupied(mut open) = lock(&self.open).entry(ino) {
            open.get_mut().1 -= 1;
            if open.get().1 == 0 {
                open.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_open_decides_until_the_last_close() {
        let mut ways = Ways::default();
        assert!(matches!(ways.open(Ino(2), || unreachable!("it is not allowed")), Way::Served));
        ways.allow_passthrough();
        let refused = || Some(Err(io::ErrorKind::PermissionDenied.into()));
        assert!(matches!(ways.open(Ino(2), || unreachable!("it is open")), Way::Served));
        ways.close(Ino(2));
        assert!(matches!(ways.open(Ino(2), || unreachable!("it is still open")), Way::Served));
        ways.close(Ino(2));
        ways.close(Ino(2));
        let mut asked = false;
        ways.open(Ino(2), || {
            asked = true;
            refused()
        });
        assert!(asked, "nobody has it open, so it is decided anew");
        ways.close(Ino(7));
    }
}
