//! Names and texts of others, made safe to show on a terminal or in a log.
//!
//! A file may have any name. Unescaped, it could move the cursor, change colours, or end a line of the log
//! and begin another.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

/// A name or text in which control characters, those that reverse the direction of writing, line ends, and
/// bytes that are not UTF-8 are escaped: `\n`, `\x1b`, `\u{202e}`, `\xff`.
///
/// A backslash stays as it is: the result is read and not parsed, and a text that holds shown names can be
/// shown again.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(&'a OsStr);

/// A path, a name or a text that is safe to show.
pub fn shown<T: AsRef<OsStr> + ?Sized>(text: &T) -> Shown<'_> {
    Shown(text.as_ref())
}

/// Whether a character is shown unchanged.
pub(crate) fn is_plain(c: char) -> bool {
    let changes_direction = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    let ends_line = matches!(c, '\u{2028}' | '\u{2029}');
    !c.is_control() && !changes_direction && !ends_line
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.as_bytes().utf8_chunks() {
            let mut rest = chunk.valid();
            while let Some(at) = rest.find(|c| !is_plain(c)) {
                let (plain, tail) = rest.split_at(at);
                f.write_str(plain)?;
                let mut chars = tail.chars();
                match chars.next() {
                    Some(c @ ('\n' | '\r' | '\t')) => write!(f, "{}", c.escape_default())?,
                    Some(c) if c.is_ascii() => write!(f, "\\x{:02x}", u32::from(c))?,
                    Some(c) => write!(f, "{}", c.escape_unicode())?,
                    None => {}
                }
                rest = chars.as_str();
            }
            f.write_str(rest)?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_would_act_on_a_terminal_is_escaped_and_all_else_is_as_it_was() {
        for (text, expected) in [
            (&b"data/big.npy"[..], "data/big.npy"),
            ("Gr\u{f6}\u{df}e \u{6570}.npy".as_bytes(), "Gr\u{f6}\u{df}e \u{6570}.npy"),
            (b"a\rb\nc\td\x1b[31m\x7f\0", r"a\rb\nc\td\x1b[31m\x7f\x00"),
            ("\u{9b}31m".as_bytes(), r"\u{9b}31m"),
            ("\u{202e}ypn.\u{2066}\u{200f}".as_bytes(), r"\u{202e}ypn.\u{2066}\u{200f}"),
            ("one\u{2028}two".as_bytes(), r"one\u{2028}two"),
            (b"a\xff\xc3(", r"a\xff\xc3("),
            (br"back\slash\n", r"back\slash\n"),
        ] {
            assert_eq!(shown(OsStr::from_bytes(text)).to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_one_plain_line_and_can_be_shown_again(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let once = shown(OsStr::from_bytes(&bytes)).to_string();
            prop_assert!(once.chars().all(is_plain));
            prop_assert_eq!(shown(&once).to_string(), once);
        }
    }
}
