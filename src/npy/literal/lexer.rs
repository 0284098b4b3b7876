//! The tokens of a Python literal.

use super::{SyntaxError, Text, Value};

/// What the parser sees of the text. A string is whole: adjacent strings are already joined.
pub(super) enum Token<'a> {
    Open(char),
    Close(char),
    Comma,
    Colon,
    Value(Value<'a>),
    End,
}

pub(super) struct Lexer<'a> {
    source: &'a str,
    at: usize,
    python2: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(source: &'a str, python2: bool) -> Self {
        Lexer { source, at: 0, python2 }
    }

    /// Characters before byte `at`, the position that messages give.
    pub(super) fn chars_before(&self, at: usize) -> usize {
        self.source[..at].chars().count()
    }

    fn error<T>(&self, at: usize, what: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError { at: self.chars_before(at), what: what.into().into() })
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, wanted: &str) -> bool {
        let found = self.rest().starts_with(wanted);
        if found {
            self.at += wanted.len();
        }
        found
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    /// Passes over white space, comments and escaped line ends.
    fn skip_blanks(&mut self) {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c'));
            if self.peek() == Some('#') {
                self.take_while(|c| !matches!(c, '\n' | '\r'));
            } else if !(self.take("\\\r\n") || self.take("\\\n") || self.take("\\\r")) {
                return;
            }
        }
    }

    /// The next token and the byte where it starts.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'a>), SyntaxError> {
        self.skip_blanks();
        let at = self.at;
        let Some(c) = self.peek() else {
            return Ok((at, Token::End));
        };
        let token = match c {
            '(' | '[' | '{' => {
                self.at += 1;
                Token::Open(c)
            }
            ')' | ']' | '}' => {
                self.at += 1;
                Token::Close(c)
            }
            ',' => {
                self.at += 1;
                Token::Comma
            }
            ':' => {
                self.at += 1;
                Token::Colon
            }
            '+' | '-' => {
                self.at += 1;
                self.skip_blanks();
                if !self.peek().is_some_and(|c| c.is_ascii_digit()) {
                    return self.error(at, "a sign without an integer");
                }
                Token::Value(self.integer(c == '-')?)
            }
            '0'..='9' => Token::Value(self.integer(false)?),
            '.' => return self.error(at, "a number that is not an integer"),
            '\'' | '"' => Token::Value(self.strings(at)?),
            c if c.is_alphabetic() || c == '_' => {
                let word = self.take_while(|c| c.is_alphanumeric() || c == '_');
                match word {
                    _ if matches!(self.peek(), Some('\'' | '"')) => {
                        self.at = at;
                        Token::Value(self.strings(at)?)
                    }
                    "True" => Token::Value(Value::Bool(true)),
                    "False" => Token::Value(Value::Bool(false)),
                    "None" => Token::Value(Value::None),
                    _ => return self.error(at, format!("the name `{word}`")),
                }
            }
            c => return self.error(at, format!("the character {c:?}")),
        };
        Ok((at, token))
    }

    fn integer(&mut self, negative: bool) -> Result<Value<'a>, SyntaxError> {
        let at = self.at;
        let rest = self.rest().as_bytes();
        let (radix, prefix) = match rest {
            [b'0', b'x' | b'X', ..] => (16, 2),
            [b'0', b'o' | b'O', ..] => (8, 2),
            [b'0', b'b' | b'B', ..] => (2, 2),
            _ => (10, 0),
        };
        self.at += prefix;
        let digits = self.take_while(|c| c.is_digit(radix) || c == '_');
        if digits.is_empty() {
            return self.error(at, "an integer without digits");
        }
        // After a prefix an underscore may come first: 0x_ff.
        if digits.ends_with('_') || digits.contains("__") || prefix == 0 && digits.starts_with('_')
        {
            return self.error(at, "a misplaced '_' in an integer");
        }
        let zeros = digits.chars().all(|c| matches!(c, '0' | '_'));
        if prefix == 0 && digits.starts_with('0') && !zeros {
            return self.error(at, "an integer with a leading zero");
        }
        if self.peek().is_some_and(|c| matches!(c, '.' | 'e' | 'E' | 'j' | 'J')) {
            return self.error(at, "a number that is not an integer");
        }
        if self.python2 {
            self.skip_long_suffix();
        }
        let sign = if negative { -1 } else { 1 };
        let value = digits.chars().filter_map(|c| c.to_digit(radix)).try_fold(0i64, |n, digit| {
            n.checked_mul(i64::from(radix))?.checked_add(sign * i64::from(digit))
        });
        Ok(value.map_or(Value::HugeInt, Value::Int))
    }

    /// Passes over the `L` that Python 2 wrote after a long integer.
    fn skip_long_suffix(&mut self) {
        let before = self.at;
        self.take_while(|c| matches!(c, ' ' | '\t'));
        if self.take_while(|c| c.is_alphanumeric() || c == '_') != "L" {
            self.at = before;
        }
    }

    /// One string or several side by side, which Python joins.
    fn strings(&mut self, at: usize) -> Result<Value<'a>, SyntaxError> {
        let mut joined = self.string()?;
        loop {
            self.skip_blanks();
            let next_at = self.at;
            let prefix = self.take_while(|c| c.is_ascii_alphabetic());
            let quoted = prefix.len() <= 2 && matches!(self.peek(), Some('\'' | '"'));
            self.at = next_at;
            if !quoted {
                return Ok(joined);
            }
            match (&mut joined, self.string()?) {
                (Value::Str(text), Value::Str(more)) => text.push_text(&more),
                (Value::Bytes, Value::Bytes) => {}
                _ => {
                    let place = if next_at > at { next_at } else { at };
                    return self.error(place, "a str and bytes side by side");
                }
            }
        }
    }

    /// One string literal, prefix and quotes included.
    fn string(&mut self) -> Result<Value<'a>, SyntaxError> {
        let at = self.at;
        let prefix = self.take_while(|c| !matches!(c, '\'' | '"'));
        let (raw, bytes) = match prefix.to_ascii_lowercase().as_str() {
            "" | "u" => (false, false),
            "r" => (true, false),
            "b" => (false, true),
            "br" | "rb" => (true, true),
            _ => return self.error(at, format!("a string with the prefix `{prefix}`")),
        };
        let quote = &self.rest()[..1];
        let triple = quote.repeat(3);
        let long = self.take(&triple);
        if !long {
            self.at += 1;
        }
        let end = if long { triple.as_str() } else { quote };
        let start = self.at;
        // Borrowed from the source as long as nothing in it differs from what it means.
        let mut text: Option<Text<'a>> = None;
        loop {
            let here = self.at;
            if self.take(end) {
                let text = text.unwrap_or_else(|| Text::new(&self.source[start..here]));
                return Ok(if bytes { Value::Bytes } else { Value::Str(text) });
            }
            let Some(c) = self.peek() else {
                return self.error(at, "a string that is never closed");
            };
            if matches!(c, '\n' | '\r') && !long {
                return self.error(at, "a string that is never closed");
            }
            self.at += c.len_utf8();
            let changed = matches!(c, '\\' | '\r');
            if changed && text.is_none() {
                text = Some(Text::new(&self.source[start..here]));
            }
            match (c, &mut text) {
                ('\r', Some(text)) => {
                    // Python reads every kind of line end as \n.
                    self.take("\n");
                    text.push_code_point(u32::from('\n'));
                }
                ('\\', Some(text)) if raw => {
                    text.push_code_point(u32::from('\\'));
                    if let Some(next) = self.peek() {
                        self.at += next.len_utf8();
                        text.push_code_point(u32::from(next));
                    }
                }
                ('\\', Some(text)) => self.escape(here, text)?,
                (c, Some(text)) => {
                    text.push_code_point(u32::from(c));
                }
                (_, None) => {}
            }
        }
    }

    /// What comes after a backslash, which is at byte `at`.
    fn escape(&mut self, at: usize, text: &mut Text<'a>) -> Result<(), SyntaxError> {
        let Some(c) = self.peek() else {
            return Ok(());
        };
        self.at += c.len_utf8();
        let code = match c {
            '\n' => return Ok(()),
            '\r' => {
                self.take("\n");
                return Ok(());
            }
            '\\' | '\'' | '"' => u32::from(c),
            'a' => 0x07,
            'b' => 0x08,
            'f' => 0x0C,
            'n' => 0x0A,
            'r' => 0x0D,
            't' => 0x09,
            'v' => 0x0B,
            'x' => self.hex_escape(at, c, 2)?,
            'u' => self.hex_escape(at, c, 4)?,
            'U' => self.hex_escape(at, c, 8)?,
            'N' => return self.error(at, "an escape \\N, which headers do not use"),
            '0'..='7' => {
                self.at -= 1;
                let mut code = 0;
                for _ in 0..3 {
                    let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else { break };
                    self.at += 1;
                    code = code * 8 + digit;
                }
                code
            }
            // Python keeps the backslash of an escape that it does not know.
            c => {
                text.push_code_point(u32::from('\\'));
                u32::from(c)
            }
        };
        if !text.push_code_point(code) {
            return self.error(at, "an escape beyond Unicode");
        }
        Ok(())
    }

    fn hex_escape(&mut self, at: usize, kind: char, len: usize) -> Result<u32, SyntaxError> {
        let digits = self.rest().get(..len).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits.and_then(|d| u32::from_str_radix(d, 16).ok()) {
            Some(code) => {
                self.at += len;
                Ok(code)
            }
            None => {
                self.error(at, format!("an escape \\{kind} without its {len} hexadecimal digits"))
            }
        }
    }
}
