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
    let mut text = String::new();
    push_shape(&mut text, shape);
    text
}

/// Writes a shape after a text, as [`shape_text`] has it. For what is in most headers no formatter is
/// used: they are written for every lookup and every open, where other work has had the processor's
/// caches, and a formatter's code would have to come from memory.
fn push_shape(text: &mut String, shape: &[u64]) {
    text.push('(');
    for (axis, &len) in shape.iter().enumerate() {
        text.push_str(if axis > 0 { ", " } else { "" });
        text.push_str(itoa::Buffer::new().format(len));
    }
    text.push_str(if shape.len() == 1 { ",)" } else { ")" });
}
