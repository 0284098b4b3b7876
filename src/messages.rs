//! The last messages of the log, to be read through the mount.
//!
//! The log itself may go where a mount's users cannot look, or nowhere. A user who is refused something gets
//! an errno from the kernel, and the reason here.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use log::Level;

use crate::locks::lock;

/// How many messages are kept, and how many bytes of them.
const MAX_MESSAGES: usize = 200;
const MAX_BYTES: usize = 64 << 10;

/// One for the whole process, as the log is.
static LAST: Mutex<Last> = Mutex::new(Last { messages: VecDeque::new(), bytes: 0 });

thread_local! {
    /// The user whose request this thread answers.
    static USER: Cell<Option<u32>> = const { Cell::new(None) };
}

struct Message {
    at: SystemTime,
    level: Level,
    /// Whose request it answers; none if nobody's.
    user: Option<u32>,
    text: String,
}

/// The last messages, oldest first.
struct Last {
    messages: VecDeque<Message>,
    bytes: usize,
}

/// Does work for a user: messages that this thread logs meanwhile are answers to them.
pub fn for_user<R>(user: u32, work: impl FnOnce() -> R) -> R {
    struct Restore(Option<u32>);
    impl Drop for Restore {
        fn drop(&mut self) {
            USER.set(self.0);
        }
    }
    let _restore = Restore(USER.replace(Some(user)));
    work()
}

/// Whether this thread answers a user.
pub fn is_for_user() -> bool {
    USER.get().is_some()
}

/// Keeps a message of one line that was logged just now.
pub fn note(level: Level, text: &str) {
    let (at, user) = (SystemTime::now(), USER.get());
    lock(&LAST).add(Message { at, level, user, text: text.to_owned() });
}

/// What a user may read: root and the owner of this process all messages, anybody else those that
/// answer their own requests.
pub fn seen_by(user: u32) -> String {
    let sees_all = user == 0 || user == rustix::process::geteuid().as_raw();
    lock(&LAST).written(|of| sees_all || of == Some(user))
}

impl Last {
    fn add(&mut self, message: Message) {
        // One that comes again takes the place of the one before, or a storm would drown the others.
        let same = |old: &Message| old.user == message.user && old.text == message.text;
        if let Some(at) = self.messages.iter().position(same) {
            self.remove(at);
        }
        self.bytes += message.text.len();
        self.messages.push_back(message);
        while self.messages.len() > MAX_MESSAGES || self.bytes > MAX_BYTES {
            self.make_room();
        }
    }

    /// Drops the oldest message of the user whose messages take the most room: no user drowns the
    /// others' either.
    fn make_room(&mut self) {
        let mut room: HashMap<Option<u32>, usize> = HashMap::new();
        for message in &self.messages {
            *room.entry(message.user).or_default() += message.text.len();
        }
        let most = room.values().max().copied();
        let oldest = self.messages.iter().position(|m| room.get(&m.user).copied() == most);
        self.remove(oldest.unwrap_or(0));
    }

    fn remove(&mut self, at: usize) {
        if let Some(message) = self.messages.remove(at) {
            self.bytes -= message.text.len();
        }
    }

    fn written(&self, is_seen: impl Fn(Option<u32>) -> bool) -> String {
        let mut out = String::new();
        for message in self.messages.iter().filter(|message| is_seen(message.user)) {
            let (time, level) = (utc(message.at), message.level);
            // Writing to a String does not fail.
            let _ = writeln!(out, "{time} {level:5} {}", message.text);
        }
        out
    }
}

/// A time as `2026-01-31T12:34:56Z`.
fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    // Years are counted from a first of March, so that a leap day is the last of its year; 400 of
    // them have 146,097 days. The one before 1970 began 719,468 days before it.
    let days = day + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..10 => (400 * era + year, month + 3),
        _ => (400 * era + year + 1, month - 9),
    };
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A time as `2026-01-31T12:34:56.789Z`.
pub fn utc_millis(time: SystemTime) -> String {
    let millis = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_millis());
    format!("{}.{millis:03}Z", utc(time).trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn message(user: Option<u32>, text: &str) -> Message {
        let (at, text) = (UNIX_EPOCH, text.to_owned());
        Message { at, level: Level::Warn, user, text }
    }

    fn last() -> Last {
        Last { messages: VecDeque::new(), bytes: 0 }
    }

    #[test]
    fn a_time_is_written_as_its_date() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_210_096, "2024-02-29T12:34:56Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn everybody_sees_their_own() {
        let mut last = last();
        for user in [None, Some(7), Some(8)] {
            last.add(message(user, &format!("to {user:?}")));
        }
        let of_7 = last.written(|user| user == Some(7));
        assert_eq!(of_7, "1970-01-01T00:00:00Z WARN  to Some(7)\n");
        assert_eq!(last.written(|_| true).lines().count(), 3);
    }

    #[test]
    fn they_have_a_bound_and_no_user_drowns_another() {
        let mut last = last();
        last.add(message(None, "of nobody"));
        last.add(message(Some(8), "of user 8"));
        for i in 0..10_000 {
            last.add(message(Some(7), &format!("message {i}")));
        }
        assert_eq!(last.messages.len(), MAX_MESSAGES);
        let all = last.written(|_| true);
        assert!(all.contains("of nobody") && all.contains("of user 8"), "{all}");
        assert!(all.ends_with("message 9999\n") && !all.contains("message 9000\n"), "{all}");
        for user in 0..100 {
            last.add(message(Some(user), &"x".repeat(5000)));
            assert!(last.bytes <= MAX_BYTES);
        }
        assert_eq!(last.bytes, last.messages.iter().map(|m| m.text.len()).sum::<usize>());
        last.add(message(Some(8), &"x".repeat(MAX_BYTES + 1)));
        assert!(last.bytes <= MAX_BYTES && !last.messages.is_empty());
    }

    #[test]
    fn a_message_that_comes_again_is_there_once() {
        let mut last = last();
        for text in ["a", "b", "a", "a"] {
            last.add(message(Some(7), text));
        }
        last.add(message(Some(8), "a"));
        let texts: Vec<&str> = last.messages.iter().map(|m| &*m.text).collect();
        assert_eq!(texts, ["b", "a", "a"]);
    }

    #[test]
    fn what_is_logged_while_a_user_is_served_is_theirs() {
        for_user(4_000_000, || note(Level::Warn, "to 4000000"));
        note(Level::Warn, "to nobody");
        assert!(seen_by(4_000_000).ends_with(" WARN  to 4000000\n"));
        assert_eq!(seen_by(4_000_001), "");
        assert!(seen_by(0).contains("to nobody"));
    }
}
