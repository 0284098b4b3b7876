//! The unit of a date or a time difference: `[25us]` is 25 microseconds.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    count: u32,
    /// Index into [`UNITS`].
    base: usize,
}

const UNITS: [&str; 13] = ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"];

/// How many of which smaller units a unit is, by which divisors are resolved: `[2Y/3]` is `[8M]`.
/// The numbers are those of NumPy's `convert_datetime_divisor_to_multiple`.
const SMALLER_UNITS: [&[(u32, usize)]; 13] = [
    &[(12, 1), (52, 2), (365, 3)],
    &[(4, 2), (30, 3), (720, 4)],
    &[(7, 3), (168, 4), (10_080, 5)],
    &[(24, 4), (1440, 5), (86_400, 6)],
    &[(60, 5), (3600, 6)],
    &[(60, 6), (60_000, 7)],
    &[(1000, 7), (1_000_000, 8)],
    &[(1000, 8), (1_000_000, 9)],
    &[(1000, 9), (1_000_000, 10)],
    &[(1000, 10), (1_000_000, 11)],
    &[(1000, 11), (1_000_000, 12)],
    &[(1000, 12)],
    &[],
];

impl Unit {
    /// How many of which.
    pub(super) fn parts(&self) -> (u32, &'static str) {
        (self.count, UNITS[self.base])
    }

    /// Parses what stands in the brackets. `None` is the generic unit, which is not written.
    pub(super) fn parse(text: &str) -> Result<Option<Unit>, String> {
        let text = text.trim_start_matches(' ');
        if text == "generic" {
            return Ok(None);
        }
        let letters_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (count, rest) = text.split_at(letters_at);
        let (name, divisor) = match rest.split_once('/') {
            Some((name, divisor)) => (name, number(divisor)?),
            None => (rest, 1),
        };
        let count = if count.is_empty() { 1 } else { number(count)? };
        let name = if matches!(name, "μs" | "µs") { "us" } else { name };
        let base = UNITS
            .iter()
            .position(|&unit| unit == name)
            .ok_or_else(|| format!("the unknown unit {name:?}"))?;
        if divisor == 1 {
            return Ok(Some(Unit { count, base }));
        }
        SMALLER_UNITS[base]
            .iter()
            .find(|(many, _)| divisor > 0 && many % divisor == 0)
            .and_then(|&(many, base)| {
                Some(Some(Unit { count: count.checked_mul(many / divisor)?, base }))
            })
            .ok_or_else(|| format!("a unit {name} divided by {divisor}"))
    }
}
fn number(digits: &str) -> Result<u32, String> {
    let number = digits.parse().ok().filter(|&n| n <= i32::MAX.cast_unsigned());
    number
        .filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))
        .ok_or_else(|| format!("the number {digits:?} in its unit"))
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => f.write_str(UNITS[self.base]),
            count => write!(f, "{count}{}", UNITS[self.base]),
        }
    }
}
