//! Numbers in names: plain decimal, or padded with zeros to one width in each directory, so that the
//! names of a listing sorted as text are in the array's order.

/// A non-negative number in plain decimal: no sign, no leading zeros.
pub(crate) fn parse(text: &str) -> Option<u64> {
    is_plain(text).then(|| text.parse().ok()).flatten()
}

/// Whether `text` is such a number, of any size.
pub(super) fn is_plain(text: &str) -> bool {
    is_digits(text) && (text == "0" || !text.starts_with('0'))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// How many digits the numbers of a listing have: those of the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Width(usize);

impl Width {
    pub(super) fn of(largest: u64) -> Width {
        Width(largest.checked_ilog10().unwrap_or(0) as usize + 1)
    }

    /// A number that is plain, or padded to exactly this width.
    pub(super) fn parse(self, text: &str) -> Option<u64> {
        self.is_number(text).then(|| text.parse().ok()).flatten()
    }

    /// Whether `text` is such a number, of any size.
    pub(super) fn is_number(self, text: &str) -> bool {
        is_plain(text) || is_digits(text) && text.len() == self.0
    }

    /// A number as the listing has it.
    pub(super) fn pad(self, n: u64) -> String {
        format!("{n:0width$}", width = self.0)
    }
}

impl std::fmt::Display for Width {
    /// `1 digit`, `2 digits`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&super::counted(self.0 as u64, "digit", "digits"))
    }
}
