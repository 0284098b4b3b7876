//! How an inode is read while it is open, and what the kernel's pages of it are known to hold.

use std::any::Any;
use std::fs::File;
use std::sync::Arc;

use crate::meta::Stamp;

/// A backing file that the kernel knows and reads without us, until this is dropped.
pub type Registration = Arc<dyn Any + Send + Sync>;

/// A copy of a file that we make up.
#[derive(Debug)]
pub struct Staged {
    /// The copy.
    pub file: File,
    /// The stamp that the backing file had when the copy was made.
    pub as_of: Stamp,
}

/// What the kernel reads an inode from, without us.
#[derive(Clone, Debug)]
pub struct Passage {
    /// By which the kernel knows it.
    pub registration: Registration,
    /// Set if it is a copy. Else it is the backing file itself.
    pub copy: Option<Arc<Staged>>,
}

/// How often an inode is open, how it is read, and what its pages in the kernel are known to hold.
///
/// 1. While `is_unsettled`, one open is counted and it is not answered yet. So nobody has a descriptor or map of
///    the inode, no page of it is locked or read, and giving a page waits for nobody.
/// 2. `passage` is set only while `is_unsettled`, and taken away by the last close. So while the inode is open,
///    everybody reads it in the same way.
/// 3. While `as_of` is a stamp, the kernel's pages hold what the file held when it had that stamp, or later.
///    It is none where pages may be older.
/// 4. If not `was_opened`, the kernel has no page of it.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// How many opens are not closed yet.
    opens: u32,
    was_opened: bool,
    /// An open has its turn.
    is_unsettled: bool,
    /// Set if the kernel reads the inode without us. Boxed, as is `as_of`, since small slices seldom have one.
    passage: Option<Box<Passage>>,
    as_of: Option<Box<Stamp>>,
}

/// How an inode is opened.
#[derive(Clone, Debug)]
pub enum Opening {
    /// Nobody else has it open, nor ever had: the kernel has no pages of it.
    First,
    /// Nobody else has it open now.
    Alone,
    /// Others have it open, and read it from us.
    Shared,
    /// Others have it open, and the kernel reads it without us.
    PassedThrough(Passage),
    /// An open has its turn: wait until that is over.
    Wait,
}

impl Pages {
    /// Counts one more open, unless the caller must wait. With `alone` the open has its turn until
    /// [`Pages::settle`] is called, unless others have the inode open.
    pub(super) fn open(&mut self, alone: bool) -> Opening {
        if self.is_unsettled {
            return Opening::Wait;
        }
        let opening = match (self.opens, &self.passage) {
            (0, _) if self.was_opened => Opening::Alone,
            (0, _) => Opening::First,
            (_, None) => Opening::Shared,
            (_, Some(passage)) => Opening::PassedThrough(Passage::clone(passage)),
        };
        self.is_unsettled = alone && self.opens == 0;
        self.was_opened = true;
        self.opens += 1;
        opening
    }

    /// The kernel reads the inode without us, until the last close. Only for an open that has its turn.
    pub(super) fn pass_through(&mut self, passage: Passage) {
        self.passage = Some(passage.into());
    }

    /// The stamp that the backing file had when the copy was made that the kernel reads.
    pub(super) fn copied_as_of(&self) -> Option<Stamp> {
        Some(self.passage.as_ref()?.copy.as_ref()?.as_of)
    }

    /// The turn of an open is over.
    pub(super) fn settle(&mut self) {
        self.is_unsettled = false;
    }

    /// Closes the inode once. After the last close its passage is given back, if there is one.
    pub(super) fn close(&mut self) -> Option<Box<Passage>> {
        self.opens = self.opens.saturating_sub(1);
        if self.opens == 0 { self.passage.take() } else { None }
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
    fn nobody_else_opens_what_is_not_settled() {
        let mut pages = Pages::default();
        assert!(matches!(pages.open(true), Opening::First));
        assert!(matches!(pages.open(false), Opening::Wait));
        assert!(matches!(pages.open(true), Opening::Wait));
        pages.settle();
        assert!(matches!(pages.open(true), Opening::Shared));
        assert!(matches!(pages.open(true), Opening::Shared), "whoever shares it has no turn");
        for _ in 0..3 {
            assert!(pages.are_in_use());
            pages.close();
        }
        assert!(!pages.are_in_use());
        assert!(matches!(pages.open(false), Opening::Alone));
        assert!(matches!(pages.open(false), Opening::Shared));
    }

    #[test]
    fn what_one_open_settles_holds_until_the_last_close() {
        let mut pages = Pages::default();
        pages.open(true);
        let registration: Registration = Arc::new(());
        pages.pass_through(Passage { registration: registration.clone(), copy: None });
        pages.settle();
        assert!(matches!(pages.open(true), Opening::PassedThrough(_)));
        assert!(pages.close().is_none());
        assert!(matches!(pages.open(false), Opening::PassedThrough(_)), "it is still open");
        assert!(pages.close().is_none());
        assert_eq!(Arc::strong_count(&registration), 2);
        assert!(pages.close().is_some());
        assert_eq!(Arc::strong_count(&registration), 1);
        assert!(matches!(pages.open(false), Opening::Alone), "nobody has it open: decided anew");
        assert!(matches!(pages.open(true), Opening::Shared), "and then it is read from us");
    }
}
