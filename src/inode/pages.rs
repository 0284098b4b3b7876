//! What the kernel's page cache may hold of one inode, by who has it open.

use crate::meta::Stamp;

/// Who has an inode open, and what its pages in the kernel are known to hold.
///
/// 1. While `is_being_given`, the one open that is counted is not answered yet, so nobody has a descriptor or a map
///    of the inode, and no page of it is locked or read. So giving a page waits for nobody.
/// 2. While `as_of` is a stamp, every page that the kernel has is what the file held when it had that stamp, or
///    was read later and makes the same claim. It is none where pages may be older.
/// 3. Where the inode `was_opened` never, the kernel has no page of it.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// How often it is open.
    opens: u32,
    was_opened: bool,
    is_being_given: bool,
    /// In a box, since small slices seldom have one.
    as_of: Option<Box<Stamp>>,
}

/// How an inode is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// By nobody else, and never before: the kernel has no pages of it, and can be given some.
    First,
    /// By nobody else now: it can be given pages.
    Alone,
    /// By one more.
    Shared,
    /// Not before its pages have been given.
    Wait,
}

impl Pages {
    /// The inode is opened once more, unless it has to wait. One that may be given is being given until
    /// [`Pages::given`] is called.
    pub(super) fn open(&mut self, may_give: bool) -> Opening {
        if self.is_being_given {
            return Opening::Wait;
        }
        let opening = match (self.opens, self.was_opened) {
            (0, false) => Opening::First,
            (0, true) => Opening::Alone,
            _ => Opening::Shared,
        };
        self.is_being_given = may_give && opening != Opening::Shared;
        self.was_opened = true;
        self.opens += 1;
        opening
    }

    /// Nothing is given any more.
    pub(super) fn given(&mut self) {
        self.is_being_given = false;
    }

    /// The inode is open once less.
    pub(super) fn close(&mut self) {
        self.opens = self.opens.saturating_sub(1);
    }

    /// Whether it is open.
    pub(super) fn are_in_use(&self) -> bool {
        self.opens > 0
    }

    /// What the file looked like when the pages were read, or before.
    pub(super) fn as_of(&self) -> Option<Stamp> {
        self.as_of.as_deref().copied()
    }

    /// Notes what the file looks like as pages begin to be read anew; none if that is no guarantee for what
    /// they hold.
    pub(super) fn note(&mut self, stamp: Option<Stamp>) {
        self.as_of = stamp.map(Box::new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_opens_what_is_being_given() {
        let mut pages = Pages::default();
        assert_eq!(pages.open(true), Opening::First);
        assert_eq!(pages.open(false), Opening::Wait);
        assert_eq!(pages.open(true), Opening::Wait);
        pages.given();
        assert_eq!(pages.open(true), Opening::Shared);
        assert_eq!(pages.open(true), Opening::Shared, "who shares it is not given anything");
        for _ in 0..3 {
            assert!(pages.are_in_use());
            pages.close();
        }
        assert!(!pages.are_in_use());
        assert_eq!(pages.open(false), Opening::Alone);
        assert_eq!(pages.open(false), Opening::Shared);
    }
}
