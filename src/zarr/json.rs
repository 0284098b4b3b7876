//! JSON as a person reads it: what fits on a line stands on one.

use std::fmt::Write;

use serde_json::Value;

use crate::escape::is_plain;

/// Characters of a line, the key not counted.
const WIDTH: usize = 90;

/// A JSON text with a line end after it. Characters that a terminal would act on are escaped.
pub fn text(value: &Value) -> String {
    written(value, Some(0)) + "\n"
}

/// A value on one line. Characters that a terminal would act on are escaped.
pub fn line(value: &Value) -> String {
    written(value, None)
}

/// `value` on a line, or on several of which those after the first begin with `indent` blanks. The
/// outermost value always has several, so that files of one kind look alike.
fn written(value: &Value, indent: Option<usize>) -> String {
    if let Some(indent @ 1..) = indent
        && left_after(value, WIDTH.saturating_sub(indent)).is_some()
    {
        return written(value, None);
    }
    let inner = indent.map(|indent| indent + 2);
    let (open, members, close): (_, Vec<String>, _) = match value {
        Value::Array(items) => ('[', items.iter().map(|item| written(item, inner)).collect(), ']'),
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| {
                format!("{}: {}", escaped(&Value::from(key.as_str())), written(value, inner))
            };
            ('{', members.iter().map(member).collect(), '}')
        }
        single => return escaped(single),
    };
    match indent {
        Some(indent) if !members.is_empty() => {
            let (outer, inner) = (" ".repeat(indent), " ".repeat(indent + 2));
            let members = members.join(&format!(",\n{inner}"));
            format!("{open}\n{inner}{members}\n{outer}{close}")
        }
        _ => format!("{open}{}{close}", members.join(", ")),
    }
}

/// How many of `room` characters are left after `value` on a line; none if it does not fit. A large value is
/// looked at only until that is clear.
fn left_after(value: &Value, room: usize) -> Option<usize> {
    let brackets = "[]".len();
    let separator = |i: usize| if i == 0 { 0 } else { ", ".len() };
    match value {
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.try_fold(room.checked_sub(brackets)?, |room, (i, item)| {
                left_after(item, room.checked_sub(separator(i))?)
            })
        }
        Value::Object(members) => {
            let mut members = members.iter().enumerate();
            members.try_fold(room.checked_sub(brackets)?, |room, (i, (key, value))| {
                let key = escaped(&Value::from(key.as_str())).len() + ": ".len();
                left_after(value, room.checked_sub(separator(i) + key)?)
            })
        }
        single => room.checked_sub(escaped(single).len()),
    }
}

/// A string, number or constant. Only strings hold anything to escape, and four digits are enough.
fn escaped(single: &Value) -> String {
    let mut out = String::new();
    for c in single.to_string().chars() {
        // Writing to a String does not fail.
        let _ = match is_plain(c) {
            true => out.write_char(c),
            false => write!(out, "\\u{:04x}", u32::from(c)),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_fits_on_a_line_stands_on_one() {
        let long = "x".repeat(90);
        let value = json!({"a": [1, {"b": null}], "c": {"d": [long], "e": {}}, "f": []});
        let expected = format!(
            "{{\n  \"a\": [1, {{\"b\": null}}],\n  \"c\": {{\n    \"d\": [\n      \"{long}\"\n    ],\n    \
             \"e\": {{}}\n  }},\n  \"f\": []\n}}\n"
        );
        assert_eq!(text(&value), expected);
        assert_eq!(serde_json::from_str::<Value>(&expected).unwrap(), value);
        assert_eq!(text(&json!({})), "{}\n");
    }

    #[test]
    fn what_fits_is_known_before_it_is_written() {
        let value = json!({"a": [1, -2.5, {"b": null}, []], "\u{1b}": "é\"", "c": {"d": [true]}});
        let len = written(&value, None).len();
        assert_eq!(left_after(&value, len + 7), Some(7));
        assert_eq!((left_after(&value, len), left_after(&value, len - 1)), (Some(0), None));
    }

    #[test]
    fn what_a_terminal_would_act_on_is_escaped() {
        let value = json!({"\u{1b}[2J": "\u{9b}\u{202e}é\n\""});
        assert_eq!(text(&value), "{\n  \"\\u001b[2J\": \"\\u009b\\u202eé\\n\\\"\"\n}\n");
        assert_eq!(serde_json::from_str::<Value>(&text(&value)).unwrap(), value);
    }
}
