//! Facts about arrays in words for people.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use indicatif::HumanBytes;
use npyfs::escape::shown;
use npyfs::npy::dtype::{ByteOrder, DType, Field, Kind, Record, Scalar};
use npyfs::npy::shape_text;

/// So many fields of a record are named where there is one line for all.
const MAX_NAMED: usize = 3;

/// So many characters of a name are shown, which a header can make very long.
const MAX_CHARS: usize = 60;

/// Bytes, in a unit that says something.
pub(super) fn size(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

/// A number of things.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// What NumPy calls a dtype, in one line: `float64`, `>i4`, `datetime64[ns]`, `{r: float32, i: float32}`.
pub(super) fn dtype_name(dtype: &DType) -> String {
    match dtype {
        DType::Scalar(scalar) => scalar_name(scalar),
        DType::SubArray(sub) => format!("{} {}", dtype_name(sub.base()), shape_text(sub.shape())),
        DType::Record(record) => record_name(record),
    }
}

/// As `str(np.dtype(…))` has it.
fn scalar_name(scalar: &Scalar) -> String {
    let text = scalar.to_string();
    if scalar.byte_order() == ByteOrder::Big {
        return text;
    }
    let bits = 8 * scalar.itemsize();
    let unit = text.find('[').map_or("", |at| &text[at..]);
    match scalar.kind() {
        Kind::Bool => "bool".to_owned(),
        Kind::Int => format!("int{bits}"),
        Kind::UInt => format!("uint{bits}"),
        Kind::Float => format!("float{bits}"),
        Kind::Complex => format!("complex{bits}"),
        Kind::DateTime => format!("datetime64{unit}"),
        Kind::TimeDelta => format!("timedelta64{unit}"),
        Kind::Bytes | Kind::Str | Kind::Void | Kind::Object => text,
    }
}

fn record_name(record: &Record) -> String {
    let named = |field: &Field| format!("{}: {}", field_name(field), dtype_name(&field.dtype));
    let fields = record.fields();
    let mut parts: Vec<String> = fields.iter().take(MAX_NAMED).map(named).collect();
    if fields.len() > MAX_NAMED {
        parts.push(format!("{} more", fields.len() - MAX_NAMED));
    }
    clipped(format!("{{{}}}", parts.join(", ")))
}

/// The name of a field as it may be shown.
pub(super) fn field_name(field: &Field) -> String {
    clipped(match field.name.as_str() {
        Some(name) => shown(name).to_string(),
        None => field.name.repr(),
    })
}

/// The beginning of a text, if it is long.
fn clipped(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A path as it is pasted into a shell, which is bash, zsh or the like where it holds control characters.
pub(super) fn quoted(path: &Path) -> String {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"/._,:=+@%-".contains(&byte);
    let bytes = path.as_os_str().as_bytes();
    // Not an option.
    let before = if bytes.starts_with(b"-") { "./" } else { "" };
    if bytes.iter().all(|&byte| is_safe(byte)) {
        return format!("{before}{}", String::from_utf8_lossy(bytes));
    }
    match path.to_str().filter(|text| shown(text).to_string() == *text) {
        Some(text) => format!("'{before}{}'", text.replace('\'', r"'\''")),
        None => {
            let escaped = |&byte: &u8| match is_safe(byte) {
                true => char::from(byte).to_string(),
                false => format!("\\x{byte:02x}"),
            };
            format!("$'{before}{}'", bytes.iter().map(escaped).collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use npyfs::npy::literal;

    #[test]
    fn a_dtype_is_called_what_numpy_calls_it() {
        for (descr, name) in [
            ("'|b1'", "bool"),
            ("'|i1'", "int8"),
            ("'<u8'", "uint64"),
            ("'<f8'", "float64"),
            ("'>f8'", ">f8"),
            ("'<c16'", "complex128"),
            ("'<M8[ns]'", "datetime64[ns]"),
            ("'<m8[25us]'", "timedelta64[25us]"),
            ("'<M8'", "datetime64"),
            ("'|S5'", "|S5"),
            ("'<U3'", "<U3"),
            ("[('r', '<f4'), ('i', '>i2', (2, 3))]", "{r: float32, i: >i2 (2, 3)}"),
            (
                "[('a', '|u1'), ('b', '|u1'), ('c', '|u1'), ('d', '|u1'), ('\\n', '|u1')]",
                "{a: uint8, b: uint8, c: uint8, 2 more}",
            ),
            ("[('\\n', '|u1')]", "{\\n: uint8}"),
            (&*format!("[('{}', '|u1')]", "é".repeat(99)), &*format!("{{{}…", "é".repeat(59))),
        ] {
            let dtype = DType::from_descr(&literal::parse(descr, false).unwrap()).unwrap();
            assert_eq!(dtype_name(&dtype), name);
        }
    }

    #[test]
    fn a_path_is_quoted_where_a_shell_would_take_it_for_something_else() {
        for (path, expected) in [
            (&b"data/big/rows/0-50.npy"[..], "data/big/rows/0-50.npy"),
            (b"data/big/slice/::2,-1.npy", "data/big/slice/::2,-1.npy"),
            (b"a b", "'a b'"),
            ("größe".as_bytes(), "'größe'"),
            (b"it's", r"'it'\''s'"),
            (b"-x", "./-x"),
            (b"- x", "'./- x'"),
            (b"a\nb", r"$'a\x0ab'"),
            (b"\xff'", r"$'\xff\x27'"),
        ] {
            assert_eq!(quoted(Path::new(OsStr::from_bytes(path))), expected);
        }
    }
}
