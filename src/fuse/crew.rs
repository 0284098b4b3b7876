//! Which of the threads that serve a mount waits for the kernel's next request.
//!
//! If all did, the kernel would wake the one that has slept longest: another each time, on a processor
//! that was asleep too, while the one that has just answered still runs. A reader whose requests follow
//! each other waits for that longer than for the bytes of a small slice. So while there is one request
//! at a time, one thread waits at the device and the others rest, until it has received what may take
//! long. Where requests overlap, all wait at the device.

use std::cell::{Cell, OnceCell};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::sync::lock;

/// A request that comes sooner than this after another was answered had been there before.
const AT_ONCE: Duration = Duration::from_micros(5);

/// For how many requests nobody rests after two that overlapped.
const MEMORY: u32 = 64;

/// The threads of a mount. A thread joins with its first request, and counts for nothing until then.
#[derive(Debug, Default)]
pub(super) struct Crew {
    state: Mutex<State>,
    call: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Threads that are at the device, or on their way there.
    waiting: usize,
    /// Threads that answer a request.
    answering: usize,
    /// Threads that rest.
    resting: usize,
    /// Those of `waiting` that are called and have yet to wake up.
    called: usize,
    /// For how many more requests nobody rests.
    restless: u32,
    /// The mount is gone.
    ended: bool,
}

/// A thread's part in its crew. It ends with the thread, and that ends with the mount.
struct Member {
    crew: Arc<Crew>,
    /// When it had answered its last request, if that was one that nobody waited for, so that its
    /// sender may have sent the next one before.
    unawaited: Cell<Option<Instant>>,
}

thread_local! {
    static MEMBER: OnceCell<Member> = const { OnceCell::new() };
}

impl Drop for Member {
    fn drop(&mut self) {
        lock(&self.crew.state).ended = true;
        self.crew.call.notify_all();
    }
}

impl Crew {
    /// This thread has received a request. Returns whether nobody waits for the next one while others
    /// rest, who can be called by [`Crew::step_aside`].
    pub(super) fn received(self: &Arc<Self>) -> bool {
        MEMBER.with(|member| {
            let mut state = lock(&self.state);
            state.answering += 1;
            let mut overlaps = state.answering > 1;
            if let Some(member) = member.get() {
                state.waiting -= 1;
                overlaps |= member.unawaited.get().is_some_and(|then| then.elapsed() < AT_ONCE);
            } else {
                // It is empty.
                let _ = member.set(Member { crew: self.clone(), unawaited: Cell::new(None) });
            }
            if overlaps {
                state.restless = MEMORY;
                self.call(state);
                return false;
            }
            state.restless = state.restless.saturating_sub(1);
            state.waiting == 0 && state.resting > 0
        })
    }

    /// The request of this thread may take long: another is to wait for the next one.
    pub(super) fn step_aside(&self) {
        self.call(lock(&self.state));
    }

    fn call(&self, mut state: MutexGuard<'_, State>) {
        if state.waiting == 0 && state.resting > 0 {
            state.resting -= 1;
            state.called += 1;
            state.waiting += 1;
            drop(state);
            self.call.notify_one();
        }
    }

    /// This thread has answered its request, and somebody has waited for that or not. It rests if
    /// another is there for the next one, and returns when it should wait for one itself.
    pub(super) fn answered(&self, awaited: bool) {
        let mut state = lock(&self.state);
        state.answering -= 1;
        let mut unawaited = (!awaited).then(Instant::now);
        if state.waiting > 0 && state.restless == 0 && !state.ended {
            state.resting += 1;
            while state.called == 0 && !state.ended {
                state = self.call.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.called = state.called.saturating_sub(1);
            unawaited = None;
        } else {
            state.waiting += 1;
        }
        drop(state);
        MEMBER.with(|member| {
            if let Some(member) = member.get() {
                member.unawaited.set(unawaited);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{self, Receiver, Sender};
    use std::thread;

    /// How long to wait for what should come at once.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A thread that does what it is told, and tells when it has done it.
    struct Hand {
        orders: Sender<fn(&Arc<Crew>)>,
        done: Receiver<()>,
    }

    impl Hand {
        fn of(crew: &Arc<Crew>) -> Hand {
            let (orders, ordered) = mpsc::channel::<fn(&Arc<Crew>)>();
            let (say, done) = mpsc::channel();
            let crew = crew.clone();
            thread::spawn(move || {
                for order in ordered {
                    order(&crew);
                    say.send(()).unwrap();
                }
            });
            Hand { orders, done }
        }

        fn begin(&self, order: fn(&Arc<Crew>)) {
            self.orders.send(order).unwrap();
        }

        fn end(&self) {
            self.done.recv_timeout(PATIENCE).expect("it rests for ever");
        }

        fn work(&self, order: fn(&Arc<Crew>)) {
            self.begin(order);
            self.end();
        }
    }

    /// Waits until one rests.
    fn rest(crew: &Crew) {
        let deadline = Instant::now() + PATIENCE;
        while lock(&crew.state).resting == 0 {
            assert!(Instant::now() < deadline, "two wait at the device");
            thread::yield_now();
        }
    }

    /// Two threads of which one waits at the device and the other rests.
    fn at_rest() -> (Arc<Crew>, Hand, Hand) {
        let crew = Arc::new(Crew::default());
        let (first, second) = (Hand::of(&crew), Hand::of(&crew));
        first.work(|crew| _ = crew.received());
        first.work(|crew| crew.answered(true));
        second.work(|crew| _ = crew.received());
        second.begin(|crew| crew.answered(true));
        rest(&crew);
        (crew, first, second)
    }

    #[test]
    fn who_steps_aside_is_stood_in_for_and_rests_afterwards() {
        let (crew, first, second) = at_rest();
        first.work(|crew| assert!(crew.received(), "there is somebody to be called"));
        assert_eq!(lock(&crew.state).waiting, 0, "what is short is answered alone");
        first.work(|crew| crew.step_aside());
        second.end();
        first.work(|crew| crew.step_aside());
        assert_eq!(lock(&crew.state).waiting, 1, "nobody is left to be called");
        first.begin(|crew| crew.answered(true));
        second.work(|crew| _ = crew.received());
        second.work(|crew| crew.step_aside());
        first.end();
    }

    #[test]
    fn one_alone_always_waits() {
        let crew = Arc::new(Crew::default());
        let only = Hand::of(&crew);
        for _ in 0..3 {
            only.work(|crew| assert!(!crew.received(), "there is nobody to be called"));
            only.work(|crew| crew.step_aside());
            only.work(|crew| crew.answered(true));
        }
    }

    #[test]
    fn nobody_rests_for_a_while_after_requests_that_overlapped() {
        let (crew, first, second) = at_rest();
        first.work(|crew| _ = crew.received());
        first.work(|crew| crew.step_aside());
        second.end();
        second.work(|crew| _ = crew.received());
        for hand in [&first, &second] {
            hand.work(|crew| crew.answered(true));
        }
        assert_eq!(lock(&crew.state).waiting, 2);
        for _ in 1..MEMORY {
            first.work(|crew| _ = crew.received());
            first.work(|crew| crew.answered(true));
        }
        first.work(|crew| _ = crew.received());
        first.begin(|crew| crew.answered(true));
        rest(&crew);
        second.work(|crew| _ = crew.received());
        second.work(|crew| crew.step_aside());
        first.end();
    }

    #[test]
    fn a_request_that_was_there_before_one_that_nobody_waits_for_was_answered_calls_another() {
        let (crew, first, second) = at_rest();
        first.work(|crew| {
            let deadline = Instant::now() + PATIENCE;
            while lock(&crew.state).resting > 0 {
                assert!(Instant::now() < deadline, "nobody was called");
                let _ = crew.received();
                crew.answered(false);
            }
        });
        second.end();
        assert_eq!(lock(&crew.state).restless, MEMORY);
    }

    #[test]
    fn who_rests_is_woken_when_the_mount_is_gone() {
        let (_crew, first, second) = at_rest();
        drop(first);
        second.end();
    }
}
