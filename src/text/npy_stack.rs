//! `parts/<n>/info`: by it `dask.array.from_npy_stack` reads the parts as one array.
//!
//! It is a pickle of `{'chunks': ((rows of part 0, rows of part 1, …), (columns,), …), 'dtype': …, 'axis': 0}`
//! in protocol 0, which is text. Nothing in it can be executed. Parts have one of two lengths, and the opcode
//! `2` says the last item once more; so the file is a layout that takes no memory, however many parts it says.

use crate::layout::{Layout, Segment};
use crate::npy::dtype::{DType, Record};
use crate::npy::literal::{Text, Value};
use crate::selection::{Refusal, split};
use crate::view::View;

/// The file's name.
pub const INFO: &str = "info";

/// The opcode that says the last item once more.
const AGAIN: u8 = b'2';

fn refuse<T>(why: &str) -> Result<T, Refusal> {
    Err(Refusal(why.to_owned()))
}

/// The file for `n` parts of a view, at least 1; or why Dask cannot read them.
pub fn info(view: &View, n: u64) -> Result<Layout, Refusal> {
    let Some((&rows, others)) = view.shape().split_first() else {
        return refuse("an array without axes has no parts");
    };
    if view.dtype().is_string() && view.dtype().itemsize() == 0 {
        return refuse("there is no info: Dask takes strings of length 0 for strings of length 1");
    }
    let mut dtype = String::new();
    push_dtype(&mut dtype, view.dtype())?;
    let (each, more) = split(rows, n);
    let mut segments = vec![Segment::bytes(*b"(dVchunks\n((")];
    for (rows, count) in [(each + 1, more), (each, n - more)] {
        if count > 0 {
            segments.push(Segment::bytes(format!("I{rows}\n").into_bytes()));
            segments.push(Segment::Fill { byte: AGAIN, len: count - 1 });
        }
    }
    let others: String = others.iter().map(|len| format!("(I{len}\nt")).collect();
    let end = format!("t{others}tsVdtype\n{dtype}sVaxis\nI0\ns.");
    segments.push(Segment::bytes(end.into_bytes()));
    Layout::new(segments).map_or_else(|| refuse("there are too many parts"), Ok)
}

/// What `numpy.dtype` makes the dtype of: a string; the `(base, shape)` of a sub-array; and of a record a dict,
/// which can say where its fields lie.
fn push_dtype(out: &mut String, dtype: &DType) -> Result<(), Refusal> {
    match dtype {
        DType::Scalar(scalar) => push_str(out, &scalar.to_string()),
        DType::SubArray(sub) => {
            out.push('(');
            push_dtype(out, sub.base())?;
            let lengths: String = sub.shape().iter().map(|len| format!("I{len}\n")).collect();
            out.push_str(&format!("({lengths}tt"));
        }
        DType::Record(record) => push_record(out, record)?,
    }
    Ok(())
}

fn push_record(out: &mut String, record: &Record) -> Result<(), Refusal> {
    let fields = record.fields();
    out.push_str("(dVnames\n(l");
    for field in fields {
        push_text(out, &field.name)?;
        out.push('a');
    }
    out.push_str("sVformats\n(l");
    for field in fields {
        push_dtype(out, &field.dtype)?;
        out.push('a');
    }
    out.push_str("sVoffsets\n(l");
    for field in fields {
        out.push_str(&format!("I{}\na", field.offset));
    }
    if fields.iter().any(|field| field.title.is_some()) {
        out.push_str("sVtitles\n(l");
        for field in fields {
            match &field.title {
                Some(Value::Str(title)) => push_text(out, title)?,
                Some(Value::Int(title)) => out.push_str(&format!("I{title}\n")),
                _ => out.push('N'),
            }
            out.push('a');
        }
    }
    out.push_str(&format!("sVitemsize\nI{}\ns", record.itemsize()));
    Ok(())
}

fn push_text(out: &mut String, text: &Text<'_>) -> Result<(), Refusal> {
    match text.as_str() {
        Some(text) => push_str(out, text),
        None => return refuse("there is no info: the name of a field is not Unicode"),
    }
    Ok(())
}

/// A string. It ends with the line, so whatever is not plain ASCII is escaped.
fn push_str(out: &mut String, text: &str) {
    out.push('V');
    for c in text.chars() {
        match c {
            ' '..='~' if c != '\\' => out.push(c),
            _ if u32::from(c) <= 0xffff => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::header::{Header, Order};
    use crate::npy::literal;
    use crate::storage::Joined;
    use std::sync::Arc;

    fn view(descr: &str, shape: &[u64]) -> View {
        let dtype = DType::from_descr(&literal::parse(descr, false).unwrap()).unwrap();
        let (dtype, shape) = (Arc::new(dtype), shape.to_vec());
        let header = Header { version: (1, 0), dtype, order: Order::C, shape, data_offset: 128 };
        View::of_header(&header).unwrap()
    }

    fn text(descr: &str, shape: &[u64], n: u64) -> String {
        let layout = info(&view(descr, shape), n).unwrap();
        // Without elements it reads nothing from its storage.
        let nothing = Joined::new([]).unwrap();
        layout
            .read_at(&nothing, 0, 4096, |bytes| String::from_utf8(bytes.to_vec()))
            .unwrap()
            .unwrap()
    }

    #[test]
    fn a_file_says_the_rows_of_each_part() {
        let end = "t(I7\nttsVdtype\nV<f8\nsVaxis\nI0\ns.";
        for (rows, n, said) in [(43, 8, "I6\n22I5\n2222"), (40, 2, "I20\n2"), (1, 3, "I1\nI0\n2")] {
            assert_eq!(text("'<f8'", &[rows, 7], n), format!("(dVchunks\n(({said}{end}"));
        }
    }

    #[test]
    fn names_cannot_end_a_line() {
        let said = text(r"[('a\n.\\é🙂', '<i2')]", &[1], 1);
        assert!(said.contains("Va\\u000a.\\u005c\\u00e9\\U0001f642\na"), "{said}");
    }

    #[test]
    fn any_number_of_parts_takes_no_memory() {
        let layout = info(&view("'|u1'", &[5]), 1 << 32).unwrap();
        assert!(layout.len() > 1 << 32);
    }

    #[test]
    fn what_dask_reads_wrong_has_no_file() {
        for (descr, shape) in [("'|S0'", &[3][..]), (r"[('\ud800', '<i2')]", &[3]), ("'<f8'", &[])]
        {
            assert!(info(&view(descr, shape), 2).is_err(), "{descr}");
        }
    }
}
