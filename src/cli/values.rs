//! Values of options, as they are typed.

use std::time::Duration;

use npyfs::npy::header::Order;

pub(super) fn order(text: &str) -> Result<Order, String> {
    match text {
        "C" | "c" => Ok(Order::C),
        "F" | "f" => Ok(Order::Fortran),
        _ => Err("neither C nor F".to_owned()),
    }
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|n| Duration::try_from_secs_f64(n).ok());
    seconds.ok_or_else(|| "not a number of seconds".to_owned())
}

/// Between two looks.
pub(super) fn pause(text: &str) -> Result<Duration, String> {
    let pause = seconds(text).ok().filter(|pause| *pause >= Duration::from_millis(100));
    pause.ok_or_else(|| "not a number of seconds from 0.1 on".to_owned())
}

pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.char_indices().next_back() {
        Some((at, 'K' | 'k')) => (&text[..at], 10),
        Some((at, 'M' | 'm')) => (&text[..at], 20),
        Some((at, 'G' | 'g')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let bytes = digits.parse().ok().and_then(|n: u64| n.checked_mul(1 << shift)).filter(|&n| n > 0);
    bytes.ok_or_else(|| "not a size of at least 1 byte, such as 65536, 512K, 64M, 2G".to_owned())
}

pub(super) fn bytes_or_none(text: &str) -> Result<u64, String> {
    if text == "0" { Ok(0) } else { bytes(text) }
}
