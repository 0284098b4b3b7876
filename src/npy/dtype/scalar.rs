//! The type strings of single values: `<f8`, `|S5`, `<M8[25us]`, and NumPy's other names for them.

use std::fmt;
use std::str::FromStr;

use super::MAX_ITEMSIZE;

mod unit;

use unit::Unit;

/// A single value's type: byte order, kind, itemsize and, of dates, the unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    order: ByteOrder,
    kind: Kind,
    itemsize: u64,
    unit: Option<Unit>,
}

/// In which order the bytes of a value lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// The least significant first.
    Little,
    /// The most significant first.
    Big,
    /// Not applicable: single bytes, strings of bytes, opaque bytes.
    None,
}

const NATIVE: ByteOrder =
    if cfg!(target_endian = "little") { ByteOrder::Little } else { ByteOrder::Big };

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `b1`
    Bool,
    /// `i1` to `i8`
    Int,
    /// `u1` to `u8`
    UInt,
    /// `f2` to `f16`
    Float,
    /// `c8` to `c32`
    Complex,
    /// `S`: bytes, with zeros after the last that counts
    Bytes,
    /// `U`: characters of four bytes each
    Str,
    /// `V`: opaque bytes
    Void,
    /// `M8`
    DateTime,
    /// `m8`
    TimeDelta,
    /// `O`: a Python object
    Object,
}

impl Scalar {
    /// Bytes of one value. That of `U` strings is four times their length.
    pub fn itemsize(&self) -> u64 {
        self.itemsize
    }

    /// What the value is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The order of its bytes.
    pub fn byte_order(&self) -> ByteOrder {
        self.order
    }

    /// The unit of a date or a time difference: how many of which. `None` where it has none.
    pub fn unit(&self) -> Option<(u32, &'static str)> {
        self.unit.as_ref().map(Unit::parts)
    }

    /// Whether this is a Python object.
    pub fn is_object(&self) -> bool {
        self.kind == Kind::Object
    }

    /// Whether these are opaque bytes, which without a name are padding.
    pub fn is_void(&self) -> bool {
        self.kind == Kind::Void
    }

    /// Whether this is a string of bytes or of characters.
    pub fn is_string(&self) -> bool {
        matches!(self.kind, Kind::Bytes | Kind::Str)
    }

    /// Whether this is a string, or opaque bytes, of a length yet to be given.
    pub fn is_unsized(&self) -> bool {
        self.itemsize == 0 && matches!(self.kind, Kind::Bytes | Kind::Str | Kind::Void)
    }

    /// The same type with a length: bytes, or of `U` strings characters. `None` if it is too long.
    pub fn with_length(&self, len: u64) -> Option<Scalar> {
        let itemsize = if self.kind == Kind::Str { len.checked_mul(4)? } else { len };
        (itemsize <= MAX_ITEMSIZE).then(|| Scalar { itemsize, ..self.clone() })
    }

    /// The type of the items of `np.zeros`, given this one. A string without a length and a date
    /// without a unit name no more than a kind there, whatever their byte order: a string gets room
    /// for one character.
    pub fn of_new(&self) -> Scalar {
        let itemsize = match self.kind {
            Kind::Bytes if self.itemsize == 0 => 1,
            Kind::Str if self.itemsize == 0 => 4,
            Kind::DateTime | Kind::TimeDelta if self.unit.is_none() => self.itemsize,
            _ => return self.clone(),
        };
        Scalar::new(None, self.kind, itemsize, None)
    }

    /// The type of the real and the imaginary part, where this is a complex number.
    pub fn component(&self) -> Option<Scalar> {
        (self.kind == Kind::Complex).then(|| Scalar {
            kind: Kind::Float,
            itemsize: self.itemsize / 2,
            ..self.clone()
        })
    }

    /// Writes the type after a text, as NumPy does (`dtype.str`).
    pub fn push_to(&self, text: &mut String) {
        let (code, size) = match self.kind {
            Kind::Bool => ('b', self.itemsize),
            Kind::Int => ('i', self.itemsize),
            Kind::UInt => ('u', self.itemsize),
            Kind::Float => ('f', self.itemsize),
            Kind::Complex => ('c', self.itemsize),
            Kind::Bytes => ('S', self.itemsize),
            Kind::Str => ('U', self.itemsize / 4),
            Kind::Void => ('V', self.itemsize),
            Kind::DateTime => ('M', self.itemsize),
            Kind::TimeDelta => ('m', self.itemsize),
            Kind::Object => return text.push_str("|O"),
        };
        text.push(match self.order {
            ByteOrder::Little => '<',
            ByteOrder::Big => '>',
            ByteOrder::None => '|',
        });
        text.push(code);
        text.push_str(itoa::Buffer::new().format(size));
        if let Some(unit) = &self.unit {
            text.push_str(&format!("[{unit}]"));
        }
    }

    fn new(order: Option<ByteOrder>, kind: Kind, itemsize: u64, unit: Option<Unit>) -> Scalar {
        let orderless = match kind {
            Kind::Bool | Kind::Bytes | Kind::Void | Kind::Object => true,
            Kind::Int | Kind::UInt => itemsize == 1,
            Kind::Float | Kind::Complex | Kind::Str | Kind::DateTime | Kind::TimeDelta => false,
        };
        let order = if orderless { ByteOrder::None } else { order.unwrap_or(NATIVE) };
        Scalar { order, kind, itemsize, unit }
    }
}

/// As NumPy writes it (`dtype.str`).
impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.push_to(&mut text);
        f.write_str(&text)
    }
}

/// Parses what `numpy.dtype(str)` accepts for a single value.
impl FromStr for Scalar {
    type Err = String;

    fn from_str(text: &str) -> Result<Scalar, String> {
        if text.contains(',') || text.starts_with(|c: char| c == '(' || c.is_ascii_digit()) {
            return Err(format!("{text:?} is several dtypes in one string, which is not read"));
        }
        let unknown = || format!("unknown dtype {text:?}");
        let (order, name) = match text.as_bytes().first() {
            Some(b'<') => (Some(ByteOrder::Little), &text[1..]),
            Some(b'>') => (Some(ByteOrder::Big), &text[1..]),
            Some(b'|' | b'=') => (None, &text[1..]),
            _ => (None, text),
        };
        let (name, unit) = match name.split_once('[') {
            Some((name, unit)) => (name, Some(unit.strip_suffix(']').ok_or_else(unknown)?)),
            None => (name, None),
        };
        let mut chars = name.chars();
        let code = chars.next().ok_or_else(unknown)?;
        let digits = chars.as_str();
        // Long names take no byte order: NumPy knows '<f8' and 'float64', but not '<float64'.
        let named = if text.starts_with(name) { by_name(name) } else { None };
        let (kind, itemsize) = match digits {
            "" => by_character(code),
            _ if digits.bytes().all(|b| b.is_ascii_digit()) => with_size(code, digits),
            _ => named,
        }
        .ok_or_else(unknown)?;
        if itemsize > MAX_ITEMSIZE {
            return Err(format!("dtype {text:?} has more than {MAX_ITEMSIZE} bytes"));
        }
        let unit = match (kind, unit) {
            (_, None) => None,
            // NumPy knows 'M8[ns]' and 'datetime64[ns]', but not 'M[ns]'.
            (Kind::DateTime | Kind::TimeDelta, Some(unit)) if !digits.is_empty() => {
                Unit::parse(unit).map_err(|what| format!("dtype {text:?} has {what}"))?
            }
            _ => return Err(unknown()),
        };
        Ok(Scalar::new(order, kind, itemsize, unit))
    }
}

/// A kind with its size: `i4`, `S10`.
fn with_size(code: char, digits: &str) -> Option<(Kind, u64)> {
    let size: u64 = digits.parse().ok()?;
    let (kind, sizes): (_, &[u64]) = match code {
        'b' => (Kind::Bool, &[1]),
        'i' => (Kind::Int, &[1, 2, 4, 8]),
        'u' => (Kind::UInt, &[1, 2, 4, 8]),
        'f' => (Kind::Float, &[2, 4, 8, 16]),
        'c' => (Kind::Complex, &[8, 16, 32]),
        'M' => (Kind::DateTime, &[8]),
        'm' => (Kind::TimeDelta, &[8]),
        // 4 was written by 32-bit machines.
        'O' => return matches!(size, 4 | 8).then_some((Kind::Object, 8)),
        'S' | 'a' => return Some((Kind::Bytes, size)),
        'V' => return Some((Kind::Void, size)),
        'U' => return Some((Kind::Str, size.saturating_mul(4))),
        _ => return None,
    };
    sizes.contains(&size).then_some((kind, size))
}

/// NumPy's single-character codes, which name C types: those of 64-bit Linux.
fn by_character(code: char) -> Option<(Kind, u64)> {
    Some(match code {
        '?' => (Kind::Bool, 1),
        'b' => (Kind::Int, 1),
        'B' => (Kind::UInt, 1),
        'h' => (Kind::Int, 2),
        'H' => (Kind::UInt, 2),
        'i' => (Kind::Int, 4),
        'I' => (Kind::UInt, 4),
        'l' | 'q' | 'p' | 'n' => (Kind::Int, 8),
        'L' | 'Q' | 'P' | 'N' => (Kind::UInt, 8),
        'e' => (Kind::Float, 2),
        'f' => (Kind::Float, 4),
        'd' => (Kind::Float, 8),
        'g' => (Kind::Float, 16),
        'F' => (Kind::Complex, 8),
        'D' => (Kind::Complex, 16),
        'G' => (Kind::Complex, 32),
        'c' => (Kind::Bytes, 1),
        'S' | 'a' => (Kind::Bytes, 0),
        'U' => (Kind::Str, 0),
        'V' => (Kind::Void, 0),
        'M' => (Kind::DateTime, 8),
        'm' => (Kind::TimeDelta, 8),
        // T is StringDType, which is saved as pickled objects.
        'O' | 'T' => (Kind::Object, 8),
        _ => return None,
    })
}

/// NumPy's names of types, those with digits inside excepted: they end in what `with_size` reads.
fn by_name(name: &str) -> Option<(Kind, u64)> {
    Some(match name {
        "bool" | "bool_" => (Kind::Bool, 1),
        "int8" | "byte" => (Kind::Int, 1),
        "int16" | "short" => (Kind::Int, 2),
        "int32" | "intc" => (Kind::Int, 4),
        "int64" | "int" | "int_" | "intp" | "long" | "longlong" => (Kind::Int, 8),
        "uint8" | "ubyte" => (Kind::UInt, 1),
        "uint16" | "ushort" => (Kind::UInt, 2),
        "uint32" | "uintc" => (Kind::UInt, 4),
        "uint64" | "uint" | "uintp" | "ulong" | "ulonglong" => (Kind::UInt, 8),
        "float16" | "half" => (Kind::Float, 2),
        "float32" | "single" => (Kind::Float, 4),
        "float64" | "float" | "double" => (Kind::Float, 8),
        "float128" | "longdouble" => (Kind::Float, 16),
        "complex64" | "csingle" => (Kind::Complex, 8),
        "complex128" | "complex" | "cdouble" => (Kind::Complex, 16),
        "complex256" | "clongdouble" => (Kind::Complex, 32),
        "bytes" | "bytes_" => (Kind::Bytes, 0),
        "str" | "str_" | "unicode" => (Kind::Str, 0),
        "void" => (Kind::Void, 0),
        "datetime64" => (Kind::DateTime, 8),
        "timedelta64" => (Kind::TimeDelta, 8),
        "object" | "object_" => (Kind::Object, 8),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair was printed by `numpy.dtype(…).str` of NumPy 2.4.6 on 64-bit Linux.
    #[test]
    fn names_come_back_as_numpy_writes_them() {
        let pairs = "
            <f8 <f8   =f8 <f8   |f8 <f8   f8 <f8   >f4 >f4   <i1 |i1   b |i1   b1 |b1   ? |b1
            <? |b1   i <i4   l <i8   P <u8   n <i8   >N >u8   g <f16   <d <f8   i08 <i8   V |V0   V3 |V3   <V2 |V2
            S |S0   S03 |S3   a5 |S5   c |S1   U0 <U0   U3 <U3   >U3 >U3   |U3 <U3
            S2147483647 |S2147483647   U536870911 <U536870911   M8 <M8   M <M8   M8[ns] <M8[ns]
            M8[1ns] <M8[ns]   >M8[25us] >M8[25us]   M8[μs] <M8[us]   M8[2Y/3] <M8[8M]
            M8[D/24] <M8[h]   M8[generic] <M8   m8[as] <m8[as]   m8[0s] <m8[0s]
            M8[2s/2] <M8[1000ms]   M8[99s/2] <M8[49500ms]   m8[M/2] <m8[2W]   M8[s/1] <M8[s]
            datetime64[ns] <M8[ns]   float64 <f8   int <i8   str <U0   complex256 <c32   half <f2
            O |O   O4 |O   <O |O   T |O";
        let words: Vec<&str> = pairs.split_whitespace().collect();
        for pair in words.chunks(2) {
            assert_eq!(pair[0].parse::<Scalar>().unwrap().to_string(), pair[1], "{}", pair[0]);
        }
        assert_eq!("M8[ 3s]".parse::<Scalar>().unwrap().to_string(), "<M8[3s]");
    }

    #[test]
    fn what_numpy_does_not_understand_is_refused() {
        for text in [
            "",
            "<",
            "c1",
            "<l8",
            "f12",
            "f4 ",
            " <f4",
            "<f4\n",
            "b2",
            "?1",
            "i3",
            "S-1",
            "S1_0",
            "V0x3",
            "S2147483648",
            "U536870912",
            "V99999999999999999999",
            "M8[]",
            "M8[-1s]",
            "M4",
            "M[ns]",
            "M8[ns",
            "M8ns",
            "<float64",
            "Float64",
            "float_",
            "string",
            "x",
            "f8[ns]",
            "M8[Y/7]",
            "M8[7D/7]",
            "M8[3 s]",
            "M8[2147483648s]",
            "M8[s/0]",
            "i4\0",
            "é",
        ] {
            assert!(text.parse::<Scalar>().is_err(), "{text:?}");
        }
        assert_eq!(
            "f4,f8".parse::<Scalar>().unwrap_err(),
            "\"f4,f8\" is several dtypes in one string, which is not read"
        );
    }

    #[test]
    fn a_complex_number_has_two_components_of_its_byte_order() {
        let scalar: Scalar = ">c16".parse().unwrap();
        assert_eq!(scalar.component().unwrap().to_string(), ">f8");
        assert_eq!("<f8".parse::<Scalar>().unwrap().component(), None);
    }
}
