//! Names in natural order: `2.npy` before `10.npy`.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Compares two names byte by byte, except that digits `0` to `9` that stand together count as one number. Of
/// names that are equal so (`1` and `01`) the one comes first whose bytes do.
pub(super) fn compare(a: &OsStr, b: &OsStr) -> Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let (mut left, mut right) = (a, b);
    loop {
        let [one, other] = [left, right].map(|rest| rest.split_at(digits(rest)));
        let order = match (one, other) {
            (([], [x, rest @ ..]), ([], [y, others @ ..])) => {
                (left, right) = (rest, others);
                x.cmp(y)
            }
            (([], _), _) | (_, ([], _)) => return left.cmp(right).then_with(|| a.cmp(b)),
            ((x, rest), (y, others)) => {
                (left, right) = (rest, others);
                let [x, y] = [x, y].map(without_zeros);
                x.len().cmp(&y.len()).then_with(|| x.cmp(y))
            }
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// How many digits a text begins with.
fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == b'0').count();
    &number[zeros..]
}

/// Names one after another, in little room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Names {
    /// Adds a name. `None` if there are more bytes than a number of 32 bits can say.
    pub(super) fn push(&mut self, name: &OsStr) -> Option<()> {
        let end = u32::try_from(self.bytes.len() + name.len()).ok()?;
        self.bytes.extend_from_slice(name.as_bytes());
        self.ends.push(end);
        Some(())
    }

    /// A name by its number.
    pub(super) fn get(&self, number: usize) -> &OsStr {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        OsStr::from_bytes(&self.bytes[start..self.ends[number] as usize])
    }

    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    /// About how many bytes of memory they take.
    pub(super) fn footprint(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(names: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut sorted: Vec<Vec<u8>> = names.iter().map(|name| name.to_vec()).collect();
        sorted.reverse();
        sorted.sort_by(|a, b| compare(OsStr::from_bytes(a), OsStr::from_bytes(b)));
        sorted
    }

    #[test]
    fn numbers_count_as_numbers_wherever_they_stand() {
        for in_order in [
            &[&b"0.npy"[..], b"1.npy", b"2.npy", b"10.npy", b"100.npy"][..],
            &[b"run2-9.npy", b"run2-10.npy", b"run10-1.npy"],
            &[b"01.npy", b"1.npy", b"001a.npy", b"2.npy", b"010.npy", b"10.npy"],
            &[b"10.npy", b"A.npy", b"B.npy", b"a.npy", b"a2.npy", b"b1.npy", b"\xff.npy"],
            &[b"-1.npy", b"-2.npy", b"1.5.npy", b"1.25.npy"],
            &[b"99999999999999999999.npy", b"100000000000000000000.npy"],
            &[b"", b"0", b"00", b"0x", b"x"],
        ] {
            assert_eq!(sorted(in_order), in_order);
        }
    }

    proptest! {
        #[test]
        fn the_order_is_one_of_all_names(names in prop::collection::vec("[01a.\\-]{0,6}", 3)) {
            let [a, b, c] = [0, 1, 2].map(|i| OsStr::new(&names[i]));
            prop_assert_eq!(compare(a, b), compare(b, a).reverse());
            prop_assert_eq!(compare(a, b) == Ordering::Equal, a == b);
            if compare(a, b).is_lt() && compare(b, c).is_lt() {
                prop_assert!(compare(a, c).is_lt());
            }
        }
    }

    #[test]
    fn names_are_kept_as_they_are() {
        let mut names = Names::default();
        for name in ["a.npy", "", "é.npy"] {
            names.push(OsStr::new(name)).unwrap();
        }
        let all: Vec<&OsStr> = (0..3).map(|i| names.get(i)).collect();
        assert_eq!(all, ["a.npy", "", "é.npy"]);
    }
}
