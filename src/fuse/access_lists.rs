//! Access lists: the only extended attributes that are served, and only where others than the owner of a
//! mount see it. The kernel asks for them to enforce them.

use std::ffi::OsStr;

use fuser::ReplyXattr;

use super::Adapter;
use super::answering::error;
use super::translate::errno;
use crate::acl::{ACCESS, DEFAULT};
use crate::caller::Caller;
use crate::inode::Ino;

impl Adapter {
    pub(super) fn list_by_name(
        &self,
        ino: Ino,
        name: &OsStr,
        room: u32,
        caller: Caller,
        reply: ReplyXattr,
    ) {
        if !self.serves_lists {
            // The kernel asks no more, not for any entry.
            return reply.error(error(libc::ENOSYS));
        }
        let Some(name) = [ACCESS, DEFAULT].into_iter().find(|list| name == *list) else {
            return reply.error(error(libc::ENODATA));
        };
        match self.fs.access_list(ino, name, caller) {
            Ok(Some(list)) => answer(&list, room, reply),
            Ok(None) => reply.error(error(libc::ENODATA)),
            Err(err) => reply.error(errno("getxattr", &err)),
        }
    }

    pub(super) fn names_of_lists(&self, ino: Ino, room: u32, caller: Caller, reply: ReplyXattr) {
        if !self.serves_lists {
            return reply.error(error(libc::ENOSYS));
        }
        let mut names = Vec::new();
        for name in [ACCESS, DEFAULT] {
            match self.fs.access_list(ino, name, caller) {
                Ok(Some(_)) => names.extend([name.as_bytes(), b"\0"].concat()),
                Ok(None) => {}
                Err(err) => return reply.error(errno("listxattr", &err)),
            }
        }
        answer(&names, room, reply);
    }
}

/// The bytes, or how many they are if there is said to be no room at all.
fn answer(bytes: &[u8], room: u32, reply: ReplyXattr) {
    match room as usize {
        // As few as a list may have.
        0 => reply.size(bytes.len() as u32),
        room if room < bytes.len() => reply.error(error(libc::ERANGE)),
        _ => reply.data(bytes),
    }
}
