//! npyfs: every NumPy array of a directory can be sliced by path.
//!
//! Data flows one way: a path means a node of the [`tree`], a node of an array has a [`view`], a view's bytes lie
//! in [`runs`] of a [`storage`], and a [`layout`] puts them together for the reply, or says where a
//! write goes. Each module imports only from those above it:
//!
//! | module | what it is for |
//! |---|---|
//! | [`caller`], [`credentials`], [`quota`] | who asks, with whose rights it is looked at, and how much each may have |
//! | [`acl`] | POSIX access lists, which the kernel enforces |
//! | [`escape`], [`messages`] | names as they may be shown; the last messages of the log |
//! | [`statistics`] | what has been done, counted |
//! | [`meta`] | the attributes of files |
//! | [`npy`] | the .npy format: literals, dtypes, headers |
//! | [`view`], [`runs`] | which bytes are the elements, and where they lie together |
//! | [`selection`] | names that select: `rows/0-50`, `slice/::2`, `fields/r` |
//! | [`storage`] | every read, gather and write of bytes; the only home of unsafe code |
//! | [`archive`] | what is in an .npz, and where in it |
//! | [`layout`] | the bytes of a virtual file, from any position on, over any storage |
//! | [`zarr`], [`encoding`], [`text`] | arrays in chunks, the forms of arrays, the small texts |
//! | [`error`], [`source`] | what can go wrong; the mirrored directory and its border |
//! | [`tree`] | what a path means |
//! | [`inode`], [`fs`] | numbers and handles: the filesystem without a mount |
//! | [`fuse`], [`mount`] | the kernel's requests, and the life of a mount |

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod escape;
pub mod npy;
pub mod runs;
pub mod selection;
pub mod view;

pub mod acl;
pub mod archive;
pub mod caller;
mod concatenated;
pub mod credentials;
pub mod encoding;
pub mod error;
pub mod fs;
pub mod fuse;
pub mod inode;
pub mod layout;
mod locks;
pub mod messages;
pub mod meta;
pub mod mount;
pub mod quota;
pub mod source;
pub mod statistics;
pub mod storage;
pub mod text;
pub mod tree;
pub mod zarr;
