//! Who asks.

/// The thread that a request comes from, and the user and group that it works for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The thread's number; 0 if it is not in our process-id namespace.
    pub thread: u32,
    /// The user's number.
    pub user: u32,
    /// The group's number.
    pub group: u32,
}

impl Caller {
    /// Root, for callers without a kernel between.
    pub const ROOT: Caller = Caller { thread: 0, user: 0, group: 0 };
}
