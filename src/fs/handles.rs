//! Handles of open files and directories.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::Handle;
use crate::error::Error;
use crate::statistics::Number;

/// Open files or directories by their handles, which are never given out twice.
#[derive(Debug)]
pub(super) struct Handles<T> {
    last: AtomicU64,
    open: RwLock<HashMap<Handle, Arc<T>>>,
    /// How many are open.
    count: &'static Number,
}

impl<T> Handles<T> {
    /// No handles, counted by this number.
    pub(super) fn new(count: &'static Number) -> Handles<T> {
        Handles { last: AtomicU64::new(0), open: RwLock::default(), count }
    }

    pub(super) fn add(&self, opened: T) -> Handle {
        let handle = Handle(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.insert(handle, Arc::new(opened));
        self.count.add(1);
        handle
    }

    pub(super) fn get(&self, handle: Handle) -> Result<Arc<T>, Error> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.get(&handle).cloned().ok_or(Error::BadHandle)
    }

    /// Calls `work` with everything that is open.
    pub(super) fn each(&self, mut work: impl FnMut(Handle, &T)) {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.iter().for_each(|(handle, opened)| work(*handle, opened));
    }

    /// The caller drops the value, outside of the lock: that may unmap a file.
    pub(super) fn remove(&self, handle: Handle) -> Option<Arc<T>> {
        let removed = self.open.write().unwrap_or_else(PoisonError::into_inner).remove(&handle);
        removed.inspect(|_| self.count.sub(1))
    }
}
