//! The .npy format: parses headers, which are untrusted, and writes them as NumPy does.
//!
//! The format is specified by `numpy.lib.format`; what NumPy accepts beyond its own writing, this
//! module accepts too. It does no I/O and knows no paths.

pub mod dtype;
pub mod header;
pub mod literal;
pub mod typed;

/// A shape as Python writes it: `(2, 3)`, `(7,)`, `()`.
pub fn shape_text(shape: &[u64]) -> String {
    dtype::shape_value(shape).to_string()
}
