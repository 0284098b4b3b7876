//! Which nodes the kernel can be asked to forget, and how much memory they take.
//!
//! On a large machine the kernel remembers millions of names, and each of them takes memory here. So there is one
//! bound on what it remembers, and what was looked up first is forgotten first.

use std::collections::BTreeMap;

use super::Ino;

/// The nodes that the kernel can be asked to forget.
///
/// A number is here with the weight of its node, unless it is open, or the kernel was asked to forget it after it was
/// last looked up or closed. Numbers are given out in ascending order, so the smallest is the oldest.
#[derive(Debug, Default)]
pub(super) struct Forgettable {
    weights: BTreeMap<Ino, usize>,
    /// The sum of all weights.
    weight: usize,
}

impl Forgettable {
    /// Adds a number, or gives it another weight.
    pub(super) fn insert(&mut self, ino: Ino, weight: usize) {
        self.weight += weight;
        self.weight -= self.weights.insert(ino, weight).unwrap_or(0);
    }

    /// Takes a number out, if it is in.
    pub(super) fn remove(&mut self, ino: Ino) {
        self.weight -= self.weights.remove(&ino).unwrap_or(0);
    }

    /// Takes out the oldest numbers, at most `count`, so that the rest weighs no more than `keep`, except for
    /// those that must `stay`.
    pub(super) fn take(
        &mut self,
        keep: usize,
        count: usize,
        must_stay: impl Fn(Ino) -> bool,
    ) -> Vec<Ino> {
        let mut excess = self.weight.saturating_sub(keep);
        let mut taken = Vec::new();
        for (&ino, &weight) in &self.weights {
            if excess == 0 || taken.len() == count {
                break;
            }
            if !must_stay(ino) {
                excess = excess.saturating_sub(weight);
                taken.push(ino);
            }
        }
        taken.iter().for_each(|ino| self.remove(*ino));
        taken
    }

    /// How much they weigh together.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_until_the_rest_is_light_enough() {
        let mut forgettable = Forgettable::default();
        for (number, weight) in [(12, 1), (10, 1), (11, 5), (13, 1), (14, 1)] {
            forgettable.insert(Ino(number), weight);
        }
        let mut take = |keep, count, stays| -> Vec<u64> {
            let taken = forgettable.take(keep, count, |ino| ino == Ino(stays));
            taken.iter().map(|ino| ino.0).collect()
        };
        assert!(take(9, 10, 0).is_empty());
        assert_eq!(take(7, 10, 0), [10, 11], "a heavy one makes more room than a light one");
        assert_eq!(take(0, 2, 12), [13, 14]);
        assert!(take(0, 2, 12).is_empty(), "none of them twice");
        forgettable.insert(Ino(12), 3);
        assert_eq!(forgettable.weight(), 3);
        forgettable.remove(Ino(12));
        forgettable.remove(Ino(12));
        assert_eq!(forgettable.weight(), 0);
    }
}
