//! npyfs: every NumPy array of a directory can be sliced by path.

pub mod npy;
pub mod runs;
pub mod view;
pub mod selection;
