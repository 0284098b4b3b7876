//! dtypes: what one item of an array is, as `numpy.lib.format` describes it in a header.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use super::literal::{Text, Value};

mod scalar;

pub use scalar::{ByteOrder, Kind, Scalar};

/// The largest itemsize of a dtype in bytes: NumPy keeps it in a C `int`.
pub const MAX_ITEMSIZE: u64 = i32::MAX as u64;

/// The most axes that an array can have, `NPY_MAXDIMS` of NumPy 2.
pub const MAX_NDIM: usize = 64;

/// A dtype.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DType {
    /// One value: a number, a string, a date, opaque bytes.
    Scalar(Scalar),
    /// A field's own small array, in C order whatever the array's order is.
    SubArray(SubArray),
    /// A structured dtype.
    Record(Record),
}

/// A sub-array dtype.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubArray {
    base: Arc<DType>,
    shape: Vec<u64>,
    itemsize: u64,
}

/// A structured dtype: named fields in the order of their offsets, with padding between them
/// and after the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    fields: Vec<Field>,
    /// The fields' numbers in the order of their names.
    by_name: Vec<u32>,
    itemsize: u64,
    text: DescrText,
}

/// The descr of a record as text, made once: it can be long, and each view's header has it.
#[derive(Clone, Debug, Default)]
struct DescrText(OnceLock<Box<str>>);

/// It follows from the rest of the record.
impl PartialEq for DescrText {
    fn eq(&self, _: &DescrText) -> bool {
        true
    }
}

impl Eq for DescrText {}

/// A field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: Text<'static>,
    /// A second name, kept in headers but no name here.
    pub title: Option<Value<'static>>,
    /// Bytes between the start of the record and this field.
    pub offset: u64,
    /// What it holds.
    pub dtype: Arc<DType>,
}

/// Why a descr is not a dtype.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescrError(String);

impl fmt::Display for DescrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fail<T>(what: impl Into<String>) -> Result<T, DescrError> {
    Err(DescrError(what.into()))
}

impl DType {
    /// The dtype that `descr_to_dtype` of `numpy.lib.format` makes of a descr.
    ///
    /// It recurses as deep as the descr's brackets go, at most [`super::literal::MAX_DEPTH`].
    pub fn from_descr(descr: &Value<'_>) -> Result<DType, DescrError> {
        match descr {
            Value::Str(text) => match text.as_str() {
                Some(name) => name.parse().map(DType::Scalar).map_err(DescrError),
                None => fail(format!("unknown dtype {}", text.repr())),
            },
            // (base, shape); NumPy looks at no third element.
            Value::Tuple(items) => match &items[..] {
                [base, shape, ..] => DType::from_descr(base)?.in_sub_array(shape),
                _ => fail(format!("{descr} is not (dtype, shape)")),
            },
            Value::List(items) => Record::from_descr(items).map(DType::Record),
            other => {
                fail(format!("descr must be a str, a tuple or a list, not {}", other.type_name()))
            }
        }
    }

    /// `dtype((self, shape))`: a sub-array, but of a string or opaque bytes without a length, one of
    /// that length.
    fn in_sub_array(self, shape: &Value<'_>) -> Result<DType, DescrError> {
        match (&self, shape) {
            (DType::Scalar(scalar), Value::Int(len)) if scalar.is_unsized() => {
                let sized = u64::try_from(*len).ok().and_then(|len| scalar.with_length(len));
                return sized
                    .map(DType::Scalar)
                    .ok_or_else(|| DescrError(format!("{shape} is not the length of {scalar}")));
            }
            (DType::Scalar(scalar), _) if scalar.is_unsized() => {
                return fail(format!("a sub-array {shape} of {scalar}, which has no length"));
            }
            (DType::SubArray(sub), _) if sub.itemsize == 0 => {
                return fail(format!("a sub-array {shape} of empty sub-arrays"));
            }
            _ => {}
        }
        let dims = match shape {
            Value::Tuple(items) | Value::List(items) => &items[..],
            one => std::slice::from_ref(one),
        };
        let dims: Option<Vec<u64>> = dims.iter().map(dimension).collect();
        match dims {
            // NumPy: dtype((base, ())) is the base.
            Some(dims) if dims.is_empty() => Ok(self),
            Some(dims) if dims.len() <= MAX_NDIM => {
                let itemsize = dims
                    .iter()
                    .try_fold(self.itemsize(), |size, &dim| size.checked_mul(dim))
                    .filter(|&size| size <= MAX_ITEMSIZE);
                match itemsize {
                    Some(itemsize) => Ok(DType::SubArray(SubArray {
                        base: Arc::new(self),
                        shape: dims,
                        itemsize,
                    })),
                    None => fail(format!("a sub-array {shape} of {MAX_ITEMSIZE} bytes or more")),
                }
            }
            _ => fail(format!("{shape} is not the shape of a sub-array")),
        }
    }

    /// Bytes of one item.
    pub fn itemsize(&self) -> u64 {
        match self {
            DType::Scalar(scalar) => scalar.itemsize(),
            DType::SubArray(sub) => sub.itemsize,
            DType::Record(record) => record.itemsize,
        }
    }

    /// The descr that `dtype_to_descr` of `numpy.lib.format` writes for this dtype.
    pub fn descr(&self) -> Value<'static> {
        match self {
            DType::Scalar(scalar) => Value::Str(Text::new(&scalar.to_string()).into_owned()),
            DType::SubArray(sub) => Value::Tuple(vec![sub.base.descr(), shape_value(&sub.shape)]),
            DType::Record(record) => record.descr(),
        }
    }

    /// Writes the descr after a text, as it stands in a header.
    pub fn push_descr(&self, text: &mut String) {
        let make = || self.descr().to_string();
        match self {
            // There is nothing in it that `repr` would escape.
            DType::Scalar(scalar) => {
                text.push('\'');
                scalar.push_to(text);
                text.push('\'');
            }
            DType::Record(record) => text.push_str(record.text.0.get_or_init(|| make().into())),
            DType::SubArray(_) => text.push_str(&make()),
        }
    }

    /// Whether an item holds a Python object, so that its bytes mean nothing outside a pickle.
    pub fn has_objects(&self) -> bool {
        match self {
            DType::Scalar(scalar) => scalar.is_object(),
            DType::SubArray(sub) => sub.base.has_objects(),
            DType::Record(record) => record.fields.iter().any(|field| field.dtype.has_objects()),
        }
    }

    /// Whether an item is a string of bytes or of characters.
    pub fn is_string(&self) -> bool {
        matches!(self, DType::Scalar(scalar) if scalar.is_string())
    }

    fn is_void(&self) -> bool {
        match self {
            DType::Scalar(scalar) => scalar.is_void(),
            DType::SubArray(_) => true,
            DType::Record(_) => false,
        }
    }

    /// The record, where this is a structured dtype.
    pub fn as_record(&self) -> Option<&Record> {
        match self {
            DType::Record(record) => Some(record),
            _ => None,
        }
    }
}

impl SubArray {
    /// The dtype of one element.
    pub fn base(&self) -> &Arc<DType> {
        &self.base
    }

    /// Its shape.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }
}

impl Record {
    fn from_descr(items: &[Value<'_>]) -> Result<Record, DescrError> {
        let mut fields = Vec::new();
        let mut seen: HashSet<Value<'static>> = HashSet::new();
        let mut itemsize: u64 = 0;
        for item in items {
            let (name, dtype) = match item {
                Value::Tuple(parts) | Value::List(parts) => match &parts[..] {
                    [name, descr] => (name, DType::from_descr(descr)?),
                    [name, descr, shape] => (name, DType::from_descr(descr)?.in_sub_array(shape)?),
                    _ => return fail(format!("{item} is not a field: (name, dtype[, shape])")),
                },
                other => {
                    return fail(format!("a field must be a tuple, not {}", other.type_name()));
                }
            };
            let offset = itemsize;
            itemsize += dtype.itemsize();
            if itemsize > MAX_ITEMSIZE {
                return fail(format!("a record of more than {MAX_ITEMSIZE} bytes"));
            }
            let (title, name) = match name {
                // Bytes with no name: `descr_to_dtype` asks whether the type is `void`, which to
                // NumPy sub-arrays are too.
                Value::Str(name) if name.is_empty() && dtype.is_void() => continue,
                Value::Str(name) => (None, name),
                Value::Tuple(pair) => match &pair[..] {
                    [Value::None, Value::Str(name)] => (None, name),
                    [title @ (Value::Str(_) | Value::Int(_)), Value::Str(name)] => {
                        (Some(title), name)
                    }
                    _ => return fail(format!("{} is not a field's (title, name)", item)),
                },
                other => {
                    return fail(format!(
                        "a field's name must be a str, not {}",
                        other.type_name()
                    ));
                }
            };
            let name = name.clone().into_owned();
            let title = title.map(owned_title);
            for key in [Some(Value::Str(name.clone())), title.clone()].into_iter().flatten() {
                let text = key.to_string();
                if !seen.insert(key) {
                    return fail(format!("the field name or title {text} is there twice"));
                }
            }
            fields.push(Field { name, title, offset, dtype: Arc::new(dtype) });
        }
        // A field takes more than one byte of a header, so their count fits.
        let mut by_name: Vec<u32> = (0..fields.len() as u32).collect();
        by_name.sort_by(|&a, &b| fields[a as usize].name.cmp(&fields[b as usize].name));
        Ok(Record { fields, by_name, itemsize, text: DescrText::default() })
    }

    /// Bytes of a record, padding included.
    pub fn itemsize(&self) -> u64 {
        self.itemsize
    }

    /// The field of this name.
    pub fn field(&self, name: &Text<'_>) -> Option<&Field> {
        let field = |number: u32| &self.fields[number as usize];
        let found = self.by_name.binary_search_by(|&number| field(number).name.cmp(name));
        found.ok().map(|place| field(self.by_name[place]))
    }

    /// The fields, by offset.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    fn descr(&self) -> Value<'static> {
        let padding = |bytes: u64| {
            let void = format!("|V{bytes}");
            Value::Tuple(vec![Value::Str(Text::new("")), Value::Str(Text::new(&void).into_owned())])
        };
        let mut items = Vec::with_capacity(self.fields.len());
        let mut end = 0;
        for field in &self.fields {
            if field.offset > end {
                items.push(padding(field.offset - end));
            }
            end = field.offset + field.dtype.itemsize();
            let name = Value::Str(field.name.clone());
            let name = match &field.title {
                Some(title) => Value::Tuple(vec![title.clone(), name]),
                None => name,
            };
            items.push(Value::Tuple(match &*field.dtype {
                DType::SubArray(sub) => vec![name, sub.base.descr(), shape_value(&sub.shape)],
                other => vec![name, other.descr()],
            }));
        }
        if self.itemsize > end {
            items.push(padding(self.itemsize - end));
        }
        Value::List(items)
    }
}

/// A title is a str or an int, which owns nothing.
fn owned_title(title: &Value<'_>) -> Value<'static> {
    match title {
        Value::Str(text) => Value::Str(text.clone().into_owned()),
        Value::Int(n) => Value::Int(*n),
        _ => Value::None,
    }
}

/// One length of a shape, where it is one: a non-negative int.
pub(super) fn dimension(value: &Value<'_>) -> Option<u64> {
    match value {
        Value::Int(n) => u64::try_from(*n).ok(),
        _ => None,
    }
}

/// A shape as the tuple that NumPy writes.
fn shape_value(shape: &[u64]) -> Value<'static> {
    // Every length fits: shapes are read from 64-bit signed integers.
    Value::Tuple(shape.iter().map(|&n| Value::Int(n.cast_signed())).collect())
}

#[cfg(test)]
mod tests;
