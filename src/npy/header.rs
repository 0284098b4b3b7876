//! The header of a .npy file: what stands before the data, read from untrusted bytes and written
//! byte for byte as `numpy.lib.format` writes it.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;

use super::dtype::{DType, DescrError, MAX_NDIM, dimension};
use super::literal::{self, SyntaxError, Value};
use super::push_shape;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// The longest header text that is read, in bytes. NumPy itself stops at 10,000 characters unless
/// told otherwise.
pub const MAX_HEADER: u64 = 1 << 18;

/// NumPy pads headers so that data starts at a multiple of this.
const ALIGN: usize = 64;

/// Bytes that few header texts exceed.
const ROOM_FOR_TEXT: usize = 128;

/// Digits that NumPy leaves room for, so that the growing axis can be rewritten in place.
const GROWTH_DIGITS: usize = 21;

/// In which order the elements of a contiguous array lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The last index runs fastest.
    C,
    /// The first index runs fastest; `fortran_order: True`.
    Fortran,
}

impl Order {
    /// The order that `np.save` writes for a new array that was made in this one: an array that is
    /// contiguous in both counts as C, and whether it is does not depend on the bytes of an item.
    pub fn of_new(self, shape: &[u64]) -> Order {
        let long = shape.iter().filter(|&&len| len > 1).count();
        if long > 1 && !shape.contains(&0) { self } else { Order::C }
    }
}

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Format version: (1, 0), (2, 0) or (3, 0).
    pub version: (u8, u8),
    /// The type of an item.
    pub dtype: Arc<DType>,
    /// The order of the items.
    pub order: Order,
    /// The length of each axis; at most [`MAX_NDIM`] of them.
    pub shape: Vec<u64>,
    /// Byte of the file where the data starts.
    pub data_offset: u64,
}

/// The ways in which a file is not an array that can be served.
#[derive(Debug)]
pub enum HeaderError {
    /// The file could not be read.
    Io(io::Error),
    /// No bytes at all.
    Empty,
    /// The first bytes are not `\x93NUMPY`.
    Magic,
    /// A version that NumPy does not know either.
    Version(u8, u8),
    /// The file ends inside its header.
    HeaderCut {
        /// Bytes that the header takes.
        header: u64,
        /// Bytes that there are.
        file: u64,
    },
    /// More header than [`MAX_HEADER`].
    HeaderLong(u64),
    /// Version 3.0 is UTF-8, and this is not.
    Encoding(usize),
    /// The text is not a Python literal.
    Syntax(SyntaxError),
    /// The literal is not what a header must be.
    Form(String),
    /// `descr` is not a dtype.
    Descr(DescrError),
    /// More axes than NumPy has.
    Axes(usize),
    /// More bytes than a file can hold.
    TooBig,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderError::Io(err) => write!(f, "the header cannot be read: {err}"),
            HeaderError::Empty => f.write_str("the file is empty"),
            HeaderError::Magic => f.write_str("not a .npy file: it does not start with \\x93NUMPY"),
            HeaderError::Version(major, minor) => {
                write!(f, "format version {major}.{minor}; there are only 1.0, 2.0 and 3.0")
            }
            HeaderError::HeaderCut { header, file } => {
                write!(f, "the header takes {header} bytes, the file has {file}")
            }
            HeaderError::HeaderLong(len) => {
                write!(f, "a header of {len} bytes; at most {MAX_HEADER} are read")
            }
            HeaderError::Encoding(at) => {
                write!(f, "the header of version 3.0 is not UTF-8 at byte {at}")
            }
            HeaderError::Syntax(err) => write!(f, "the header is not a Python literal: {err}"),
            HeaderError::Form(what) => write!(f, "in the header, {what}"),
            HeaderError::Descr(err) => write!(f, "in the header's descr: {err}"),
            HeaderError::Axes(ndim) => write!(f, "{ndim} axes; NumPy has at most {MAX_NDIM}"),
            HeaderError::TooBig => {
                f.write_str("the shape asks for more bytes than a file can hold")
            }
        }
    }
}

impl Header {
    /// Reads the header of a file of `file_len` bytes through `read_exact_at(offset, buffer)`.
    ///
    /// No more is allocated than the file holds, nor more than [`MAX_HEADER`].
    pub fn read(
        file_len: u64,
        read_exact_at: impl Fn(u64, &mut [u8]) -> io::Result<()>,
    ) -> Result<Header, HeaderError> {
        if file_len == 0 {
            return Err(HeaderError::Empty);
        }
        let mut prefix = [0; 12];
        let present = file_len.min(12) as usize;
        read_exact_at(0, &mut prefix[..present]).map_err(HeaderError::Io)?;
        let magic_len = present.min(MAGIC.len());
        if prefix[..magic_len] != MAGIC[..magic_len] {
            return Err(HeaderError::Magic);
        }
        let cut = |header| HeaderError::HeaderCut { header, file: file_len };
        if present < 10 {
            return Err(cut(10));
        }
        let version = (prefix[6], prefix[7]);
        let (start, text_len) = match version {
            (1, 0) => (10, u64::from(u16::from_le_bytes([prefix[8], prefix[9]]))),
            (2 | 3, 0) if present < 12 => return Err(cut(12)),
            (2 | 3, 0) => {
                let len = [prefix[8], prefix[9], prefix[10], prefix[11]];
                (12, u64::from(u32::from_le_bytes(len)))
            }
            (major, minor) => return Err(HeaderError::Version(major, minor)),
        };
        let data_offset = start + text_len;
        if data_offset > file_len {
            return Err(cut(data_offset));
        }
        if text_len > MAX_HEADER {
            return Err(HeaderError::HeaderLong(text_len));
        }
        let mut text = vec![0; text_len as usize];
        read_exact_at(start, &mut text).map_err(HeaderError::Io)?;
        let text = match version {
            (3, 0) => String::from_utf8(text)
                .map_err(|err| HeaderError::Encoding(err.utf8_error().valid_up_to()))?,
            // Latin-1: each byte is the code point of that number.
            _ => text.into_iter().map(char::from).collect(),
        };
        let value = literal::parse(&text, version != (3, 0)).map_err(HeaderError::Syntax)?;
        let header = Header::from_value(version, &value, data_offset)?;
        header.data_len()?;
        Ok(header)
    }

    fn from_value(
        version: (u8, u8),
        value: &Value<'_>,
        data_offset: u64,
    ) -> Result<Header, HeaderError> {
        let form = |what: String| Err(HeaderError::Form(what));
        let Value::Dict(items) = value else {
            return form(format!("there is {}, not a dict", value.type_name()));
        };
        let (mut descr, mut order, mut shape) = (None, None, None);
        for (key, value) in items {
            let name = match key {
                Value::Str(text) => text.as_str().unwrap_or_default(),
                other => return form(format!("a key is {}, not a str", other.type_name())),
            };
            // Of a key written twice the last counts, as in any Python dict.
            match name {
                "descr" => descr = Some(value),
                "fortran_order" => order = Some(value),
                "shape" => shape = Some(value),
                _ => return form(format!("the key {key} does not belong")),
            }
        }
        let missing = |name: &str| HeaderError::Form(format!("the key '{name}' is missing"));
        let descr = descr.ok_or_else(|| missing("descr"))?;
        let order = match order.ok_or_else(|| missing("fortran_order"))? {
            Value::Bool(false) => Order::C,
            Value::Bool(true) => Order::Fortran,
            other => return form(format!("fortran_order is {}, not a bool", other.type_name())),
        };
        let dims = match shape.ok_or_else(|| missing("shape"))? {
            Value::Tuple(items) => items,
            other => return form(format!("shape is {}, not a tuple", other.type_name())),
        };
        if dims.len() > MAX_NDIM {
            return Err(HeaderError::Axes(dims.len()));
        }
        let mut shape = Vec::with_capacity(dims.len());
        for value in dims {
            match dimension(value) {
                Some(len) => shape.push(len),
                None if matches!(value, Value::HugeInt) => return Err(HeaderError::TooBig),
                None => return form(format!("shape holds {value}, which is no length")),
            }
        }
        let dtype = DType::from_descr(descr).map_err(HeaderError::Descr)?;
        if matches!(dtype, DType::SubArray(_)) {
            return form("descr is a sub-array, which only a field can be".to_owned());
        }
        Ok(Header { version, dtype: Arc::new(dtype), order, shape, data_offset })
    }

    /// Bytes of data.
    ///
    /// Fails where the axes that are not empty ask for more than a file can hold, though another
    /// may be empty: NumPy refuses those too.
    pub fn data_len(&self) -> Result<u64, HeaderError> {
        let itemsize = self.dtype.itemsize();
        let full = self
            .shape
            .iter()
            .filter(|&&len| len > 0)
            .try_fold(itemsize.max(1), |size, &len| size.checked_mul(len))
            .ok_or(HeaderError::TooBig)?;
        let empty = itemsize == 0 || self.shape.contains(&0);
        let len = if empty { 0 } else { full };
        let end = self.data_offset.checked_add(len).ok_or(HeaderError::TooBig)?;
        let fits = full.max(end) <= i64::MAX as u64;
        if fits { Ok(len) } else { Err(HeaderError::TooBig) }
    }
}

/// The header that `np.save` writes for a contiguous array of this dtype, shape and order, whole:
/// magic, version, length, text, padding. The data follows at once.
///
/// The oldest version that can hold it is used. Longer than 4 GiB, which no version can hold, it
/// cannot become: a dtype comes from a header of at most [`MAX_HEADER`] bytes.
pub fn write(dtype: &DType, shape: &[u64], order: Order) -> Vec<u8> {
    let mut text = String::with_capacity(ROOM_FOR_TEXT);
    text.push_str("{'descr': ");
    dtype.push_descr(&mut text);
    text.push_str(", 'fortran_order': ");
    text.push_str(if order == Order::Fortran { "True" } else { "False" });
    text.push_str(", 'shape': ");
    push_shape(&mut text, shape);
    text.push_str(", }");
    let growing = match order {
        Order::C => shape.first(),
        Order::Fortran => shape.last(),
    };
    if let Some(len) = growing {
        let digits = len.checked_ilog10().map_or(1, |log| log as usize + 1);
        text.extend(std::iter::repeat_n(' ', GROWTH_DIGITS.saturating_sub(digits)));
    }
    let (text, version) = match latin1(&text) {
        Some(bytes) => (bytes, 2),
        None => (text.as_bytes().into(), 3),
    };
    // At least one blank, then a line end.
    let padded = |prefix: usize| {
        let len = text.len() + 1;
        len + ALIGN - (prefix + len) % ALIGN
    };
    let mut out = Vec::with_capacity(padded(12) + 12);
    out.extend(MAGIC);
    let len = match u16::try_from(padded(10)) {
        Ok(len) if version == 2 => {
            out.extend([1, 0]);
            out.extend(len.to_le_bytes());
            usize::from(len)
        }
        _ => {
            let len = padded(12);
            out.extend([version, 0]);
            out.extend((len as u32).to_le_bytes());
            len
        }
    };
    let end = out.len() + len;
    out.extend_from_slice(&text);
    out.resize(end - 1, b' ');
    out.push(b'\n');
    out
}

/// A text in Latin-1, if it can be.
fn latin1(text: &str) -> Option<Cow<'_, [u8]>> {
    if text.is_ascii() {
        return Some(text.as_bytes().into());
    }
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<Vec<_>>>().map(Cow::from)
}

#[cfg(test)]
mod tests;
