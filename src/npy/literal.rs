//! Python literals: the notation in which a .npy header is written.
//!
//! [`parse`] reads what `ast.literal_eval` reads, so far as a header can contain it: dicts, lists,
//! tuples, strings, integers, `True`, `False`, `None`, with comments, line breaks and trailing
//! commas wherever Python allows them. The text is untrusted: the parser keeps its own stack, of at
//! most [`MAX_DEPTH`] open brackets, and builds at most [`MAX_VALUES`] values.
//!
//! [`Value`] prints back as Python's `repr` does, and as JSON.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

mod lexer;
mod text;

use lexer::{Lexer, Token};
pub use text::Text;

/// Open brackets allowed inside one another; CPython's own limit.
pub const MAX_DEPTH: usize = 200;

/// Values in one literal. A record of 10,000 fields has 30,000 of them; it takes a kilobyte of memory
/// for each field to read it.
pub const MAX_VALUES: usize = 1 << 15;

/// A Python literal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value<'a> {
    /// `None`
    None,
    /// `True` or `False`
    Bool(bool),
    /// An integer. Those beyond 64 bits are [`Value::HugeInt`].
    Int(i64),
    /// An integer that does not fit 64 bits. No header field may hold one.
    HugeInt,
    /// A string
    Str(Text<'a>),
    /// A bytes literal. No header field may hold one.
    Bytes,
    /// `(…)`
    Tuple(Vec<Value<'a>>),
    /// `[…]`
    List(Vec<Value<'a>>),
    /// `{key: value, …}`, in the order written
    Dict(Vec<(Value<'a>, Value<'a>)>),
}

impl Value<'_> {
    /// What Python calls a value of this type, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::None => "None",
            Value::Bool(_) => "a bool",
            Value::Int(_) | Value::HugeInt => "an int",
            Value::Str(_) => "a str",
            Value::Bytes => "bytes",
            Value::Tuple(_) => "a tuple",
            Value::List(_) => "a list",
            Value::Dict(_) => "a dict",
        }
    }

    /// The value as a JSON text: tuples become arrays, dicts become arrays of pairs.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out);
        out
    }

    fn write_json(&self, out: &mut String) {
        match self {
            Value::None | Value::HugeInt | Value::Bytes => out.push_str("null"),
            Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Value::Int(n) => out.push_str(&n.to_string()),
            Value::Str(text) => out.push_str(&text.to_json()),
            Value::Tuple(items) | Value::List(items) => write_json_array(items.iter(), out),
            Value::Dict(items) => {
                write_json_array(items.iter().flat_map(|(key, value)| [key, value]), out);
            }
        }
    }
}

fn write_json_array<'v, 'a: 'v>(items: impl Iterator<Item = &'v Value<'a>>, out: &mut String) {
    out.push('[');
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        item.write_json(out);
    }
    out.push(']');
}

/// Python's `repr`.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::None => f.write_str("None"),
            Value::Bool(true) => f.write_str("True"),
            Value::Bool(false) => f.write_str("False"),
            Value::Int(n) => write!(f, "{n}"),
            Value::HugeInt => f.write_str("<int>"),
            Value::Str(text) => write!(f, "{}", text.repr()),
            Value::Bytes => f.write_str("<bytes>"),
            Value::Tuple(items) => {
                write_items(f, '(', items)?;
                f.write_str(if items.len() == 1 { ",)" } else { ")" })
            }
            Value::List(items) => {
                write_items(f, '[', items)?;
                f.write_char(']')
            }
            Value::Dict(items) => {
                f.write_char('{')?;
                for (i, (key, value)) in items.iter().enumerate() {
                    write!(f, "{}{key}: {value}", if i > 0 { ", " } else { "" })?;
                }
                f.write_char('}')
            }
        }
    }
}

fn write_items(f: &mut fmt::Formatter<'_>, open: char, items: &[Value<'_>]) -> fmt::Result {
    f.write_char(open)?;
    for (i, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if i > 0 { ", " } else { "" })?;
    }
    Ok(())
}

/// Why a text is not a literal, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Characters before the place where the text stops making sense.
    pub at: usize,
    /// What is wrong there.
    pub what: Cow<'static, str>,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at character {}", self.what, self.at)
    }
}

/// What the parser stands in: a bracket that is still open.
struct Frame<'a> {
    open: char,
    at: usize,
    items: Vec<Value<'a>>,
    /// Of a dict: the keys, one more than the items while a value is awaited.
    keys: Vec<Value<'a>>,
    /// A comma was written, so `(x,)` is a tuple and `(x)` is x.
    comma: bool,
    /// The last token was a value, so a comma, a colon or a closing bracket must follow.
    after_value: bool,
}

/// Parses `source` as one Python literal.
///
/// `python2` also reads the integers of Python 2, `3L`, as NumPy does for format versions 1.0
/// and 2.0.
pub fn parse(source: &str, python2: bool) -> Result<Value<'_>, SyntaxError> {
    let mut lexer = Lexer::new(source, python2);
    // Python refuses it anywhere, in a comment and in a string as well.
    if let Some(at) = source.find('\0') {
        let at = lexer.chars_before(at);
        return Err(SyntaxError { at, what: "the character '\\0'".into() });
    }
    let mut stack: Vec<Frame<'_>> = Vec::new();
    let mut values = 0;
    loop {
        let (at, token) = lexer.next()?;
        let fail =
            |what: String| Err(SyntaxError { at: lexer.chars_before(at), what: what.into() });
        let value = match token {
            Token::Open(open) => {
                if stack.last().is_some_and(|frame| frame.after_value) {
                    return fail(format!("{open:?} where a comma or a bracket belongs"));
                }
                if stack.len() == MAX_DEPTH {
                    return fail(format!("more than {MAX_DEPTH} brackets inside one another"));
                }
                stack.push(Frame {
                    open,
                    at,
                    items: Vec::new(),
                    keys: Vec::new(),
                    comma: false,
                    after_value: false,
                });
                continue;
            }
            Token::Close(close) => {
                let Some(frame) = stack.pop() else {
                    return fail(format!("{close:?} closes nothing"));
                };
                match closed(frame, close) {
                    Ok(value) => value,
                    Err(what) => return fail(what),
                }
            }
            Token::Comma => {
                match stack.last_mut() {
                    Some(frame) if frame.after_value && frame.is_complete() => {
                        frame.comma = true;
                        frame.after_value = false;
                    }
                    _ => return fail("a comma where a value belongs".to_owned()),
                }
                continue;
            }
            Token::Colon => {
                match stack.last_mut() {
                    Some(frame) if frame.open == '{' && frame.after_value => {
                        if frame.keys.len() != frame.items.len() - 1 {
                            return fail("a second ':' in one entry".to_owned());
                        }
                        frame.keys.extend(frame.items.pop());
                        frame.after_value = false;
                    }
                    _ => return fail("':' outside of a dict entry".to_owned()),
                }
                continue;
            }
            Token::Value(value) => {
                if stack.last().is_some_and(|frame| frame.after_value) {
                    return fail("two values with nothing between them".to_owned());
                }
                value
            }
            Token::End => {
                return match stack.last() {
                    Some(frame) => Err(SyntaxError {
                        at: lexer.chars_before(frame.at),
                        what: format!("{:?} is never closed", frame.open).into(),
                    }),
                    None => fail("there is nothing".to_owned()),
                };
            }
        };
        values += 1;
        if values > MAX_VALUES {
            return fail(format!("more than {MAX_VALUES} values"));
        }
        match stack.last_mut() {
            Some(frame) => {
                frame.items.push(value);
                frame.after_value = true;
            }
            None => {
                // The outermost value is whole: nothing but blanks and comments may follow.
                let (at, token) = lexer.next()?;
                if !matches!(token, Token::End) {
                    return Err(SyntaxError {
                        at: lexer.chars_before(at),
                        what: "more text after the value".into(),
                    });
                }
                return Ok(value);
            }
        }
    }
}

impl Frame<'_> {
    /// Whether the entry before this place is whole: in a dict, a key with its value.
    fn is_complete(&self) -> bool {
        self.open != '{' || self.keys.len() == self.items.len()
    }
}

/// The value that a closed bracket makes.
fn closed(frame: Frame<'_>, close: char) -> Result<Value<'_>, String> {
    let wanted = match frame.open {
        '(' => ')',
        '[' => ']',
        _ => '}',
    };
    if close != wanted {
        return Err(format!("{close:?} closes {:?}", frame.open));
    }
    if !frame.after_value && frame.keys.len() > frame.items.len() {
        return Err("a key without a value".to_owned());
    }
    if !frame.is_complete() {
        return Err("an entry without ':' in a dict".to_owned());
    }
    let Frame { open, mut items, keys, comma, .. } = frame;
    Ok(match open {
        '[' => Value::List(items),
        '{' => Value::Dict(keys.into_iter().zip(items).collect()),
        _ => match items.pop() {
            Some(only) if items.is_empty() && !comma => only,
            last => {
                items.extend(last);
                Value::Tuple(items)
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(source: &str) -> String {
        match parse(source, true) {
            Ok(value) => value.to_string(),
            Err(err) => format!("error: {err}"),
        }
    }

    #[test]
    fn literals_print_as_python_prints_them() {
        for (source, repr) in [
            ("{'a': (3,), 'b': [1, 2,], }", "{'a': (3,), 'b': [1, 2]}"),
            ("  {'a': ( ), 'b': (1), 'c': ((1),)} \n # done", "{'a': (), 'b': 1, 'c': (1,)}"),
            (
                "{'x': 0x1F, 'y': 0b101, 'z': 0o17, 'w': 1_000, 'v': 00}",
                "{'x': 31, 'y': 5, 'z': 15, 'w': 1000, 'v': 0}",
            ),
            ("(+3, - 4, 5L, True, False, None)", "(3, -4, 5, True, False, None)"),
            ("('<f' '4', u'x', r'\\n', '''a\nb''')", "('<f4', 'x', '\\\\n', 'a\\nb')"),
            ("{\n 'a' : # why\r\n 1\\\n}", "{'a': 1}"),
            ("(99999999999999999999,)", "(<int>,)"),
            (
                "(9223372036854775807, -9223372036854775808)",
                "(9223372036854775807, -9223372036854775808)",
            ),
            ("b'x'", "<bytes>"),
            ("{}", "{}"),
        ] {
            assert_eq!(shown(source), repr, "{source}");
        }
    }

    #[test]
    fn an_error_says_what_is_wrong_and_where() {
        for (source, message) in [
            ("", "there is nothing at character 0"),
            ("{'a': 1", "'{' is never closed at character 0"),
            ("{'a': 1]", "']' closes '{' at character 7"),
            ("(1,,2)", "a comma where a value belongs at character 3"),
            ("(,)", "a comma where a value belongs at character 1"),
            ("(1 2)", "two values with nothing between them at character 3"),
            ("{'a'}", "an entry without ':' in a dict at character 4"),
            ("{'a', 'b'}", "a comma where a value belongs at character 4"),
            ("{'a': }", "a key without a value at character 6"),
            ("{'a': 1: 2}", "a second ':' in one entry at character 7"),
            ("(1: 2)", "':' outside of a dict entry at character 2"),
            ("1, 2", "more text after the value at character 1"),
            ("{} {}", "more text after the value at character 3"),
            ("np.int64(3)", "the name `np` at character 0"),
            ("1+1", "more text after the value at character 1"),
            ("--1", "a sign without an integer at character 0"),
            ("3.5", "a number that is not an integer at character 0"),
            ("012", "an integer with a leading zero at character 0"),
            ("0x", "an integer without digits at character 0"),
            ("1__0", "a misplaced '_' in an integer at character 0"),
            ("'abc", "a string that is never closed at character 0"),
            ("'a\nb'", "a string that is never closed at character 0"),
            ("'\\x4'", "an escape \\x without its 2 hexadecimal digits at character 1"),
            ("'\\N{DASH}'", "an escape \\N, which headers do not use at character 1"),
            ("f'x'", "a string with the prefix `f` at character 0"),
            ("'a' b'c'", "a str and bytes side by side at character 4"),
            ("{\0}", "the character '\\0' at character 1"),
            ("{'é\0'}", "the character '\\0' at character 3"),
            ("{} # \0", "the character '\\0' at character 5"),
            ("'é' ?", "the character '?' at character 4"),
        ] {
            assert_eq!(shown(source), format!("error: {message}"), "{source}");
        }
    }

    #[test]
    fn brackets_without_end_are_refused_not_followed() {
        let source = "(".repeat(1_000_000);
        assert_eq!(
            shown(&source),
            "error: more than 200 brackets inside one another at character 200"
        );
    }

    #[test]
    fn values_without_end_are_refused() {
        let source = format!("({})", "1,".repeat(MAX_VALUES + 1));
        assert!(shown(&source).starts_with("error: more than 32768 values"));
    }

    #[test]
    fn the_long_integers_of_python_2_are_read_only_where_asked_for() {
        assert_eq!(parse("(3L, 0x4L)", true).unwrap().to_string(), "(3, 4)");
        assert_eq!(parse("(3L,)", false).unwrap_err().to_string(), "the name `L` at character 2");
    }
}
