//! The .npy format: parses headers, which are untrusted, and writes them as NumPy does.
//!
//! The format is specified by `numpy.lib.format`; what NumPy accepts beyond its own writing, this
//! module accepts too. It does no I/O and knows no paths.

use std::fmt;

pub mod dtype;
pub mod header;
pub mod literal;
pub mod typed;

/// A shape as Python writes it: `(2, 3)`, `(7,)`, `()`.
#[derive(Clone, Copy, Debug)]
pub struct ShapeText<'a>(pub &'a [u64]);

impl fmt::Display for ShapeText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [len] => write!(f, "({len},)"),
            lens => {
                f.write_str("(")?;
                for (axis, len) in lens.iter().enumerate() {
                    write!(f, "{}{len}", if axis > 0 { ", " } else { "" })?;
                }
                f.write_str(")")
            }
        }
    }
}
