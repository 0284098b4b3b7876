//! Things of known lengths, one after another: which of them does a range of positions meet?

use std::ops::Range;

use smallvec::SmallVec;

/// Things end to end, each as long as was said of it.
#[derive(Clone, Debug)]
pub(crate) struct Concatenated<T> {
    /// Each with the position where it ends. A header and the elements are two.
    items: SmallVec<[(T, u64); 2]>,
}

impl<T> Concatenated<T> {
    /// Each with its length; `None` where all of them together are longer than a number can say.
    pub(crate) fn new(items: impl IntoIterator<Item = (T, u64)>) -> Option<Concatenated<T>> {
        let mut end = 0u64;
        let place = |(item, len)| {
            end = end.checked_add(len)?;
            Some((item, end))
        };
        let items = items.into_iter().map(place).collect::<Option<_>>()?;
        Some(Concatenated { items })
    }

    /// The length of all.
    pub(crate) fn len(&self) -> u64 {
        self.items.last().map_or(0, |(_, end)| *end)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.items.len()
    }

    /// One of them, by its number.
    pub(crate) fn item(&self, number: usize) -> &T {
        &self.items[number].0
    }

    /// The position where one ends, by its number.
    pub(crate) fn end(&self, number: usize) -> u64 {
        self.items[number].1
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter().map(|(item, _)| item)
    }

    /// Those that the range meets, each with the part of it, as positions within the thing. What
    /// lies beyond the end of all is left out.
    pub(crate) fn within(&self, range: Range<u64>) -> impl Iterator<Item = (&T, Range<u64>)> {
        let first = self.items.partition_point(|&(_, end)| end <= range.start);
        let mut start = if first == 0 { 0 } else { self.items[first - 1].1 };
        let parts = self.items[first..].iter().map(move |(item, end)| {
            let own = std::mem::replace(&mut start, *end)..*end;
            (item, own)
        });
        parts
            .take_while(move |(_, own)| own.start < range.end)
            .map(move |(item, own)| {
                let part = range.start.max(own.start)..range.end.min(own.end);
                (item, part.start - own.start..part.end - own.start)
            })
            .filter(|(_, part)| !part.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_meets_what_it_has_a_position_in_common_with() {
        let all = Concatenated::new([('a', 3), ('b', 0), ('c', 2), ('d', 4), ('e', 0)]).unwrap();
        let within = |range| all.within(range).collect::<Vec<_>>();
        assert_eq!(all.len(), 9);
        assert_eq!(within(0..9), [(&'a', 0..3), (&'c', 0..2), (&'d', 0..4)]);
        assert_eq!(within(2..4), [(&'a', 2..3), (&'c', 0..1)]);
        assert_eq!(within(5..6), [(&'d', 0..1)]);
        assert_eq!(within(8..99), [(&'d', 3..4)]);
        assert_eq!(within(3..3), []);
        assert_eq!(within(9..99), []);
    }

    #[test]
    fn what_is_too_long_for_a_number_is_nothing() {
        assert!(Concatenated::new([('a', u64::MAX), ('b', 0)]).is_some());
        assert!(Concatenated::new([('a', u64::MAX), ('b', 1)]).is_none());
    }
}
