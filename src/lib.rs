//! npyfs: every NumPy array of a directory can be sliced by path.

#[allow(unsafe_code)]
pub mod backing;
pub mod encoding;
pub mod error;
pub mod file;
pub mod fs;
pub mod fuse;
pub mod inode;
pub mod meta;
pub mod mount;
pub mod node;
pub mod npy;
pub mod runs;
pub mod selection;
pub mod source;
pub mod text;
pub mod view;
