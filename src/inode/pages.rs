//! Who has one inode open, and what the kernel's pages of it are known to hold.

use crate::meta::Stamp;

/// Who has an inode open, and what its pages in the kernel are known to hold.
///
/// 1. While `is_being_given`, one open is counted and it is not answered yet. So nobody has a descriptor or
///    map of the inode, no page of it is locked or read, and giving a page waits for nobody.
/// 2. While `as_of` is a stamp, the kernel's pages hold what the file held when it had that stamp, or later.
///    It is none where pages may be older.
/// 3. If not `was_opened`, the kernel has no page of it.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// How many opens are not closed yet.
    opens: u32,
    was_opened: bool,
    is_being_given: bool,
    /// Boxed, since small slices seldom have one.
    as_of: Option<Box<Stamp>>,
}

/// How an inode is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Nobody else has it open, nor ever had: the kernel has no pages of it, and can be given some.
    First,
    /// Nobody else has it open now: the kernel can be given pages.
    Alone,
    /// Others have it open.
    Shared,
    /// Its pages are being given: wait until that is done.
    Wait,
}

impl Pages {
    /// Opens the inode once more, unless the caller must wait. With `may_give` pages are being given until
    /// [`Pages::given`] is called, unless the inode is shared.
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

    /// Pages are no longer being given.
    pub(super) fn given(&mut self) {
        self.is_being_given = false;
    }

    /// Closes the inode once.
    pub(super) fn close(&mut self) {
        self.opens = self.opens.saturating_sub(1);
    }

    /// Whether it is open.
    pub(super) fn are_in_use(&self) -> bool {
        self.opens > 0
    }

    /// The stamp that the file had when the pages were read, or before.
    pub(super) fn as_of(&self) -> Option<Stamp> {
        self.as_of.as_deref().copied()
    }

    /// Notes the file's stamp when pages begin to be read anew; none if no stamp vouches for them.
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
