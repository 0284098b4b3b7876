//! `.npyfs` and `USAGE.txt`, which are about the mount itself. They are in the mount's root by name and not
//! listed, so that no copy of the mount includes them. An entry of the source hides them.

use std::ffi::OsStr;
use std::time::SystemTime;

use super::text::USAGE;
use super::{Attr, Content, Node, Tree};
use crate::caller::Caller;
use crate::messages;
use crate::meta::Kind;
use crate::text;

/// The directory `.npyfs`, its files, and what stands beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The directory itself
    Directory,
    /// `log`: the last messages that the caller may read
    Log,
    /// `USAGE.txt`: the names that a mount has
    Usage,
}

impl Control {
    /// What is in the mount's root.
    const ROOT: [Control; 2] = [Control::Directory, Control::Usage];

    /// The files in the directory.
    const FILES: [Control; 1] = [Control::Log];

    fn name(self) -> &'static str {
        match self {
            Control::Directory => ".npyfs",
            Control::Log => "log",
            Control::Usage => USAGE,
        }
    }

    /// The names in the directory.
    pub(super) fn listed() -> impl Iterator<Item = &'static str> {
        Control::FILES.into_iter().map(Control::name)
    }

    /// What it is called in messages.
    pub(super) fn shown(self) -> &'static str {
        match self {
            Control::Directory | Control::Log => ".npyfs",
            Control::Usage => USAGE,
        }
    }

    /// Its attributes. The length of the log depends on who opens it, and when.
    pub(super) fn attr(self) -> Attr {
        let now = SystemTime::now();
        let (kind, size, mode, nlink) = match self {
            Control::Directory => (Kind::Directory, 0, 0o555, 2),
            Control::Log => (Kind::File, 0, 0o444, 1),
            Control::Usage => (Kind::File, text::NAMESPACE.len() as u64, 0o444, 1),
        };
        Attr {
            kind,
            size,
            mode,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            nlink,
            accessed: now,
            modified: now,
            changed: now,
        }
    }

    /// What a file holds for a caller; none for the directory.
    pub(super) fn content(self, caller: Caller) -> Option<Content> {
        match self {
            Control::Directory => None,
            Control::Log => Some(Content::Report(messages::seen_by(caller.user))),
            Control::Usage => Some(Content::Text(text::NAMESPACE.to_owned())),
        }
    }
}

impl Tree {
    /// What a name means in a directory that has no other entry of this name.
    pub(super) fn control(&self, parent: &Node, name: &OsStr) -> Option<Control> {
        match parent {
            Node::Control(Control::Directory) => {
                Control::FILES.into_iter().find(|file| file.name() == name)
            }
            _ if self.is_root(parent) => {
                Control::ROOT.into_iter().find(|control| control.name() == name)
            }
            _ => None,
        }
    }

    fn is_root(&self, node: &Node) -> bool {
        match node {
            Node::Directory(directory) => directory.path.as_os_str().is_empty(),
            // If the source is one file, the array's directory is the root.
            Node::ArrayFile(_) => self.source.is_single(),
            _ => false,
        }
    }
}
