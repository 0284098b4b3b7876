//! Python strings, which may hold lone surrogates and so are not always UTF-8.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::escape::is_plain;

/// A Python `str`, as WTF-8: UTF-8, except that a lone surrogate (U+D800 to U+DFFF), which an escape
/// such as `'\ud800'` can write, is encoded as three bytes in the same manner.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text<'a>(Cow<'a, [u8]>);

/// One code point of a [`Text`].
enum CodePoint {
    Char(char),
    LoneSurrogate(u32),
}

impl<'a> Text<'a> {
    /// The text of a Rust string.
    pub fn new(text: &'a str) -> Self {
        Text(Cow::Borrowed(text.as_bytes()))
    }

    /// The same text, owning its bytes.
    pub fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }

    /// The text where it is valid Unicode, that is, where it has no lone surrogates.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Whether there is no character in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends a whole text.
    pub(super) fn push_text(&mut self, text: &Text<'_>) {
        self.0.to_mut().extend_from_slice(&text.0);
    }

    /// Appends a code point, surrogates included. False for a number that is none.
    pub(super) fn push_code_point(&mut self, code: u32) -> bool {
        match (char::from_u32(code), code) {
            (Some(c), _) => {
                let mut utf8 = [0; 4];
                self.0.to_mut().extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
            }
            (None, 0xD800..=0xDFFF) => {
                let low = |shift: u32| 0x80 | ((code >> shift) & 0x3F) as u8;
                self.0.to_mut().extend_from_slice(&[0xED, low(6), low(0)]);
            }
            _ => return false,
        }
        true
    }

    /// Every code point, in order.
    fn code_points(&self) -> impl Iterator<Item = CodePoint> + '_ {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (&lead, _) = rest.split_first()?;
            let (len, bits) = match lead {
                0x00..0x80 => (1, 0x7F),
                0x80..0xE0 => (2, 0x1F),
                0xE0..0xF0 => (3, 0x0F),
                _ => (4, 0x07),
            };
            let (unit, tail) = rest.split_at_checked(len)?;
            rest = tail;
            let first = u32::from(lead) & bits;
            let code = unit[1..].iter().fold(first, |n, b| n << 6 | u32::from(b & 0x3F));
            Some(char::from_u32(code).map_or(CodePoint::LoneSurrogate(code), CodePoint::Char))
        })
    }

    /// Python's `repr` of the string.
    pub fn repr(&self) -> String {
        let quote = if self.0.contains(&b'\'') && !self.0.contains(&b'"') { '"' } else { '\'' };
        let mut out = String::with_capacity(self.0.len() + 2);
        out.push(quote);
        for point in self.code_points() {
            // Writing to a String does not fail.
            let _ = match point {
                CodePoint::Char('\n') => out.write_str("\\n"),
                CodePoint::Char('\r') => out.write_str("\\r"),
                CodePoint::Char('\t') => out.write_str("\\t"),
                CodePoint::Char(c) if c == '\\' || c == quote => write!(out, "\\{c}"),
                CodePoint::Char(c) if is_printable(c) => out.write_char(c),
                CodePoint::Char(c) => match u32::from(c) {
                    code @ ..=0xFF => write!(out, "\\x{code:02x}"),
                    code @ 0x100..=0xFFFF => write!(out, "\\u{code:04x}"),
                    code => write!(out, "\\U{code:08x}"),
                },
                CodePoint::LoneSurrogate(unit) => write!(out, "\\u{unit:04x}"),
            };
        }
        out.push(quote);
        out
    }

    /// The string as a JSON text; a lone surrogate is the escape that JSON has for it.
    pub fn to_json(&self) -> String {
        if let Some(text) = self.as_str() {
            return json_string(text);
        }
        let mut out = String::from("\"");
        for point in self.code_points() {
            match point {
                CodePoint::Char(c) => {
                    let quoted = json_string(c.encode_utf8(&mut [0; 4]));
                    out.push_str(&quoted[1..quoted.len() - 1]);
                }
                CodePoint::LoneSurrogate(unit) => {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
        out.push('"');
        out
    }
}

/// `text` as a JSON string. JSON itself lets some characters stand that a terminal would act on; they
/// are escaped as well, which says the same.
pub(super) fn json_string(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        // All of those have four digits at most.
        let _ =
            if is_plain(c) { out.write_char(c) } else { write!(out, "\\u{:04x}", u32::from(c)) };
    }
    out
}

/// Whether Python's `repr` writes `c` as itself: `str.isprintable`, the same Unicode categories
/// by which Rust's `Debug` decides. `Debug` also escapes combining characters, but not after
/// another character.
fn is_printable(c: char) -> bool {
    let pair = ['a', c];
    let text: String = pair.iter().collect();
    matches!(c, '"' | '\'' | '\\') || text.escape_debug().eq(pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repr_is_pythons() {
        for (text, repr) in [
            ("<f4", "'<f4'"),
            ("it's", "\"it's\""),
            ("'\"", "'\\'\"'"),
            ("a\\b\n\t\r", "'a\\\\b\\n\\t\\r'"),
            ("\0\x1f\x7f\u{a0}\u{ad}", "'\\x00\\x1f\\x7f\\xa0\\xad'"),
            ("é中\u{301}😀", "'é中\u{301}😀'"),
            ("\u{2028}\u{e000}\u{e0001}", "'\\u2028\\ue000\\U000e0001'"),
        ] {
            assert_eq!(Text::new(text).repr(), repr);
        }
    }

    #[test]
    fn a_lone_surrogate_keeps_its_number() {
        let mut text = Text::new("a");
        for code in [0xD800, 0xDFFF, u32::from('é')] {
            assert!(text.push_code_point(code));
        }
        assert!(!text.push_code_point(0x11_0000));
        assert_eq!(text.as_str(), None);
        assert_eq!(text.repr(), "'a\\ud800\\udfffé'");
        assert_eq!(text.to_json(), "\"a\\ud800\\udfffé\"");
    }

    #[test]
    fn json_escapes_what_json_must() {
        assert_eq!(Text::new("a\"\\\n\u{1}é").to_json(), "\"a\\\"\\\\\\n\\u0001é\"");
        let acts = "\u{7f}\u{9b}\u{202e}";
        assert_eq!(Text::new(acts).to_json(), "\"\\u007f\\u009b\\u202e\"");
        let read: String = serde_json::from_str(&Text::new(acts).to_json()).unwrap();
        assert_eq!(read, acts);
    }
}
