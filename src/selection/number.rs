//! Numbers in names: one spelling each, so that a view has one name in each group.

/// A non-negative number in canonical decimal: no sign, no leading zeros.
pub(super) fn parse(text: &str) -> Option<u64> {
    is_canonical(text).then(|| text.parse().ok()).flatten()
}

/// Whether `text` is a non-negative number in canonical decimal, of any length.
pub(super) fn is_canonical(text: &str) -> bool {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0'))
}
