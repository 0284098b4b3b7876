//! What a person types for a new array: its shape and its dtype.
//!
//! A header is read by other rules: there NumPy's reader decides, here what an array can be made of.

use std::fmt;
use std::str::FromStr;

use super::dtype::{DType, MAX_NDIM};
use super::literal::{self, Text, Value};

/// The length of each axis of an array, at most [`MAX_NDIM`] of them.
///
/// Typed as numbers with commas between them, or as the tuple that Python writes: `2,3`, `(2, 3)`,
/// `7`, `(7,)`; or as a list, `[2, 3]`. No axis at all is `()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(Vec<u64>);

impl Shape {
    /// The lengths.
    pub fn lengths(&self) -> &[u64] {
        &self.0
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::shape_text(&self.0))
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Shape, String> {
        let between = |open, close| text.trim().strip_prefix(open)?.strip_suffix(close);
        let inside = between('(', ')').or_else(|| between('[', ']'));
        if inside.is_some_and(|inside| inside.trim().is_empty()) {
            return Ok(Shape(Vec::new()));
        }
        let items = inside.unwrap_or(text).trim();
        let items = items.strip_suffix(',').unwrap_or(items);
        let lengths: Vec<u64> = items.split(',').map(length).collect::<Result<_, _>>()?;
        if lengths.len() > MAX_NDIM {
            return Err(format!("{} axes; NumPy has at most {MAX_NDIM}", lengths.len()));
        }
        Ok(Shape(lengths))
    }
}

/// The length of one axis; at most `i64::MAX`, as in NumPy.
fn length(item: &str) -> Result<u64, String> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let item = item.trim();
    if item.is_empty() {
        return Err("a length is missing; no axis at all is ()".to_owned());
    }
    match item.parse::<i64>() {
        Ok(len) => u64::try_from(len).map_err(|_| format!("the length {len} is negative")),
        Err(err) => Err(match err.kind() {
            PosOverflow => format!("the length {item} is more than any axis can have"),
            NegOverflow => format!("the length {item} is negative"),
            _ => format!(
                "{item:?} is not a length: whole numbers with commas between them, such as 1000,100"
            ),
        }),
    }
}

/// Why an array of Python objects is not made.
pub const NO_OBJECTS: &str = "Python objects are pickled, and no file has room for them in advance";

/// The dtype of the array that `np.zeros` makes: given a name that `np.dtype` knows, or a literal
/// that is the descr of a header, as a structured dtype needs it.
///
/// In a descr a field of opaque bytes without a name is padding. `np.dtype` gives it a name, and
/// could not say what a header says.
pub fn dtype(text: &str) -> Result<DType, String> {
    let is_literal = text.trim_start().starts_with(['[', '(', '{', '\'', '"']);
    let descr = if is_literal {
        literal::parse(text, false).map_err(|err| err.to_string())?
    } else {
        Value::Str(Text::new(text))
    };
    let dtype = DType::from_descr(&descr).map_err(|err| err.to_string())?;
    if dtype.has_objects() {
        return Err(NO_OBJECTS.to_owned());
    }
    match dtype {
        DType::SubArray(_) => {
            Err("only a field can be a sub-array; an array has those axes in its shape".into())
        }
        DType::Scalar(scalar) => Ok(DType::Scalar(scalar.of_new())),
        DType::Record(_) => Ok(dtype),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_typed_as_numbers_or_as_a_tuple() {
        for (text, shape) in [
            ("1000000,100", "(1000000, 100)"),
            ("100", "(100,)"),
            ("100,", "(100,)"),
            ("(100)", "(100,)"),
            ("(7,)", "(7,)"),
            ("(2, 3)", "(2, 3)"),
            (" ( 2 ,3, ) ", "(2, 3)"),
            ("2, 3", "(2, 3)"),
            ("[10,10]", "(10, 10)"),
            (" [ 7 ] ", "(7,)"),
            ("[]", "()"),
            ("()", "()"),
            ("( )", "()"),
            ("0", "(0,)"),
            ("3,0,2", "(3, 0, 2)"),
            ("9223372036854775807", "(9223372036854775807,)"),
        ] {
            let parsed: Shape = text.parse().unwrap();
            assert_eq!(parsed.to_string(), shape, "{text:?}");
            assert_eq!(shape.parse(), Ok(parsed), "{text:?}");
        }
        let most = vec!["1"; MAX_NDIM].join(",");
        assert_eq!(most.parse::<Shape>().unwrap().lengths(), [1; MAX_NDIM]);
    }

    #[test]
    fn what_is_no_shape_says_why() {
        let missing = "a length is missing; no axis at all is ()";
        for (text, why) in [
            ("", missing),
            (",", missing),
            ("(,)", missing),
            ("2,,3", missing),
            ("2,,", missing),
            (",2", missing),
            ("-1", "the length -1 is negative"),
            ("(2,-3)", "the length -3 is negative"),
            ("-99999999999999999999", "the length -99999999999999999999 is negative"),
            (
                "2,x",
                "\"x\" is not a length: whole numbers with commas between them, such as 1000,100",
            ),
            (
                "1e6",
                "\"1e6\" is not a length: whole numbers with commas between them, such as 1000,100",
            ),
            (
                "2.0",
                "\"2.0\" is not a length: whole numbers with commas between them, such as 1000,100",
            ),
            (
                "2 3",
                "\"2 3\" is not a length: whole numbers with commas between them, such as 1000,100",
            ),
            (
                "2x3",
                "\"2x3\" is not a length: whole numbers with commas between them, such as 1000,100",
            ),
            (
                "(2,3",
                "\"(2\" is not a length: whole numbers with commas between them, such as 1000,100",
            ),
            (
                "2,3)",
                "\"3)\" is not a length: whole numbers with commas between them, such as 1000,100",
            ),
            (
                "[2,3)",
                "\"[2\" is not a length: whole numbers with commas between them, such as 1000,100",
            ),
            (
                "[[2,3]]",
                "\"[2\" is not a length: whole numbers with commas between them, such as 1000,100",
            ),
            (
                "((2),3)",
                "\"(2)\" is not a length: whole numbers with commas between them, such as 1000,100",
            ),
            (
                "9223372036854775808",
                "the length 9223372036854775808 is more than any axis can have",
            ),
        ] {
            assert_eq!(text.parse::<Shape>(), Err(why.to_owned()), "{text:?}");
        }
        let many = vec!["1"; MAX_NDIM + 1].join(",");
        assert_eq!(many.parse::<Shape>(), Err("65 axes; NumPy has at most 64".to_owned()));
    }

    /// What NumPy 2.4.6 writes into the header of `np.zeros(3, …)`.
    #[test]
    fn a_dtype_is_typed_as_a_name_or_as_a_descr() {
        for (text, descr) in [
            ("f8", "'<f8'"),
            (">i4", "'>i4'"),
            ("float64", "'<f8'"),
            ("bool", "'|b1'"),
            ("?", "'|b1'"),
            ("uint8", "'|u1'"),
            ("complex64", "'<c8'"),
            ("longdouble", "'<f16'"),
            ("S10", "'|S10'"),
            ("U5", "'<U5'"),
            ("V16", "'|V16'"),
            ("V", "'|V0'"),
            ("S", "'|S1'"),
            (">U0", "'<U1'"),
            (">M8", "'<M8'"),
            (">M8[D]", "'>M8[D]'"),
            ("c", "'|S1'"),
            ("M8[ns]", "'<M8[ns]'"),
            ("datetime64[ns]", "'<M8[ns]'"),
            ("timedelta64[s]", "'<m8[s]'"),
            ("'<f8'", "'<f8'"),
            ("\"<f8\"", "'<f8'"),
            ("('S', 5)", "'|S5'"),
            ("[]", "[]"),
            ("[('a', 'S'), ('b', '>M8')]", "[('a', '|S0'), ('b', '>M8')]"),
            (
                " [('r','<f4'),('i','f4'),('pos','float64',(3,))]",
                "[('r', '<f4'), ('i', '<f4'), ('pos', '<f8', (3,))]",
            ),
            // As header.json has it, where every tuple is a list.
            (
                "[[\"r\", \"<f4\"], [\"m\", \">i2\", [2, 3]]]",
                "[('r', '<f4'), ('m', '>i2', (2, 3))]",
            ),
            ("[('', 'V3'), ('a', 'u1')]", "[('', '|V3'), ('a', '|u1')]"),
        ] {
            assert_eq!(dtype(text).unwrap().descr().to_string(), descr, "{text}");
        }
    }

    #[test]
    fn what_no_array_can_be_made_of_says_why() {
        let objects = "Python objects are pickled, and no file has room for them in advance";
        let sub_array = "only a field can be a sub-array; an array has those axes in its shape";
        for (text, why) in [
            ("O", objects),
            ("object", objects),
            ("T", objects),
            ("[('a', [('b', 'O', 2)])]", objects),
            ("('f4', (2,))", sub_array),
            ("", "unknown dtype \"\""),
            ("float65", "unknown dtype \"float65\""),
            ("<float64", "unknown dtype \"<float64\""),
            (" f8", "unknown dtype \" f8\""),
            ("f4,f8", "\"f4,f8\" is several dtypes in one string, which is not read"),
            ("M8[fortnight]", "dtype \"M8[fortnight]\" has the unknown unit \"fortnight\""),
            ("[('a', 'f4')", "'[' is never closed at character 0"),
            ("[(a, 'f4')]", "the name `a` at character 2"),
            ("(2,)f4", "the name `f4` at character 4"),
            ("['f4']", "a field must be a tuple, not a str"),
            ("[('a', 'f4'), ('a', 'f4')]", "the field name or title 'a' is there twice"),
            ("{'a': 'f4'}", "descr must be a str, a tuple or a list, not a dict"),
        ] {
            assert_eq!(dtype(text), Err(why.to_owned()), "{text}");
        }
    }
}
