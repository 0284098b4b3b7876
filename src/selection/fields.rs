//! `fields`: the fields of records by name, and the parts of complex numbers.

use std::sync::Arc;

use super::{Refusal, Selector, Usage, refuse};
use crate::meta::NAME_MAX;
use crate::npy::dtype::{DType, Field};
use crate::npy::literal::Text;
use crate::view::{Component, View};

/// A field's name as it stands in a path: `.`, `/`, `%` and NUL are `%XX`, and the empty name is a
/// lone `%`, so that no field is mistaken for an encoding, a directory or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escaped(Arc<str>);

fn escape(name: &Text<'_>) -> Option<String> {
    let name = name.as_str()?;
    if name.is_empty() {
        return Some("%".to_owned());
    }
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '.' | '/' | '%' | '\0' => out.push_str(&format!("%{:02X}", u32::from(c))),
            c => out.push(c),
        }
    }
    Some(out)
}

/// The name that an escaped one stands for, if this is how it is escaped.
fn unescape(escaped: &str) -> Option<String> {
    let mut out = String::with_capacity(escaped.len());
    let mut rest = escaped;
    if rest == "%" {
        return Some(out);
    }
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        out.push(match rest.get(at + 1..at + 3)? {
            "2E" => '.',
            "2F" => '/',
            "25" => '%',
            "00" => '\0',
            _ => return None,
        });
        rest = &rest[at + 3..];
    }
    out.push_str(rest);
    (!out.is_empty() && !rest.contains(['.', '/', '\0']) && escape(&Text::new(&out))? == escaped)
        .then_some(out)
}

fn fields(view: &View) -> &[Field] {
    view.dtype().as_record().map_or(&[], |record| record.fields())
}

fn is_complex(view: &View) -> bool {
    matches!(&**view.dtype(), DType::Scalar(scalar) if scalar.component().is_some())
}

/// Whether there is anything to name.
pub(super) fn check(view: &View) -> Result<(), Refusal> {
    if is_complex(view) || !fields(view).is_empty() {
        return Ok(());
    }
    refuse(format!("the dtype {} has no fields", view.dtype().descr()))
}

pub(super) fn from_name(name: &str, view: &View) -> Result<Selector, Refusal> {
    let found = match name {
        "real" if is_complex(view) => Some(Selector::Component(Component::Real)),
        "imag" if is_complex(view) => Some(Selector::Component(Component::Imag)),
        _ => {
            let escaped = Escaped(name.into());
            escaped.find(view).is_some().then_some(Selector::Field(escaped))
        }
    };
    found.ok_or_else(|| {
        let names: Vec<String> =
            (0..places(view)).filter_map(|i| listed_at(i, view)).take(20).collect();
        let more = if places(view) > 20 { ", ..." } else { "" };
        Refusal(format!("there is no such field; there are {}{more}", names.join(", ")))
    })
}

impl Escaped {
    pub(super) fn name(&self) -> &str {
        &self.0
    }

    fn find<'v>(&self, view: &'v View) -> Option<&'v Field> {
        let name = unescape(&self.0)?;
        view.dtype().as_record()?.field(&Text::new(&name))
    }

    pub(super) fn apply(&self, view: &View) -> Option<View> {
        view.field(self.find(view)?)
    }

    pub(super) fn expression(&self) -> String {
        let name = unescape(&self.0).unwrap_or_default();
        format!("[{}]", Text::new(&name).repr())
    }
}

/// How many fields there are.
pub(super) fn places(view: &View) -> u64 {
    if is_complex(view) { 2 } else { fields(view).len() as u64 }
}

/// The path name of a field by its number; none for a name that cannot be a file's, nor for a field
/// whose axes would be more than an array can have.
pub(super) fn listed_at(place: u64, view: &View) -> Option<String> {
    if is_complex(view) {
        return ["real", "imag"].get(usize::try_from(place).ok()?).map(|&name| name.to_owned());
    }
    let field = fields(view).get(usize::try_from(place).ok()?)?;
    view.field(field)?;
    escape(&field.name).filter(|name| name.len() + ".npy".len() <= NAME_MAX)
}

/// How many fields a text shows.
const SHOWN: usize = 3;

pub(super) fn usage(view: &View) -> Usage {
    let title = match is_complex(view) {
        true => "The parts of complex numbers.".to_owned(),
        false => format!(
            "The fields of records by name. There {}. In a name `.`, `/` and `%` are\n\
             `%2E`, `%2F` and `%25`, and the empty name is `%`.",
            match places(view) {
                1 => "is 1".to_owned(),
                count => format!("are {count}"),
            }
        ),
    };
    // Those that fit on a line.
    let plain = |name: &String| !name.contains(char::is_control) && !name.contains("  ");
    let names = (0..places(view)).filter_map(|place| listed_at(place, view)).filter(plain);
    (title, names.take(SHOWN).collect())
}
