//! Which of the threads that serve a mount waits for the kernel's next request.
//!
//! If all did, the kernel would wake the one that has slept longest: another each time, on a processor
//! that was asleep too, while the one that has just answered still runs. A reader whose requests follow
//! each other waits for that longer than for the bytes of a small slice. So while there is one request
//! at a time, answered from memory, one thread waits at the device and the others rest. One is called when
//! a request may take long, or when requests overlap, and then nobody rests for a while.

use std::cell::OnceCell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::sync::lock;

/// A request that comes sooner than this after another was answered had been there before.
const AT_ONCE: Duration = Duration::from_micros(5);

/// For how many requests nobody rests after one for which another was called: the next may be like it.
const MEMORY: u32 = 8;

/// How long a thread rests before it looks whether anybody waits: what was taken for quick may hang.
const REST: Duration = Duration::from_secs(1);

/// The threads of a mount. A thread joins with its first request, and counts for nothing until then.
#[derive(Debug, Default)]
pub(super) struct Crew {
    state: Mutex<State>,
    call: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Threads that are at the device, or on their way there; also while they handle requests that are
    /// refused whatever they ask, or forgets.
    waiting: usize,
    /// Threads that answer a request.
    answering: usize,
    /// Threads that rest.
    resting: usize,
    /// Those of `waiting` that are called and have yet to wake up.
    called: usize,
    /// For how many more requests nobody rests.
    restless: u32,
    /// Who sent the last request.
    sender: u32,
    /// When one was answered last.
    answered: Option<Instant>,
    /// The mount is gone.
    ended: bool,
}

/// A thread's part in its crew. Dropped when the thread ends, which it does when the mount is gone.
struct Member(Arc<Crew>);

thread_local! {
    static MEMBER: OnceCell<Member> = const { OnceCell::new() };
}

impl Drop for Member {
    fn drop(&mut self) {
        lock(&self.0.state).ended = true;
        self.0.call.notify_all();
    }
}

impl Crew {
    /// This thread has received a request of a `sender`, which is 0 if that cannot be told: it is the kernel
    /// itself, or in a PID namespace that the mount's does not see. Returns whether nobody waits for the next one while others
    /// rest, who can be called by [`Crew::step_aside`].
    pub(super) fn received(self: &Arc<Self>, sender: u32) -> bool {
        let mut joins = false;
        MEMBER.with(|member| {
            member.get_or_init(|| {
                joins = true;
                Member(self.clone())
            });
        });
        let mut state = lock(&self.state);
        if !joins {
            state.waiting -= 1;
        }
        state.answering += 1;
        // One sender's requests follow each other, the next perhaps before a thread is done with the last.
        let others = std::mem::replace(&mut state.sender, sender) != sender || sender == 0;
        let at_once = state.answered.is_some_and(|then| then.elapsed() < AT_ONCE);
        if others && (state.answering > 1 || at_once) {
            self.call(state, 1);
            return false;
        }
        state.restless = state.restless.saturating_sub(1);
        state.waiting == 0 && state.resting > 0
    }

    /// The request of this thread may take long: another is to wait for the next one.
    pub(super) fn step_aside(&self) {
        self.call(lock(&self.state), 1);
    }

    /// This thread counts as waiting, but may be busy with many things that are not counted: another is to
    /// wait beside it.
    pub(super) fn distracted(&self) {
        self.call(lock(&self.state), 2);
    }

    /// Calls a thread if fewer than `enough` wait.
    fn call(&self, mut state: MutexGuard<'_, State>, enough: usize) {
        state.restless = MEMORY;
        if state.waiting < enough && state.resting > 0 {
            state.resting -= 1;
            state.called += 1;
            state.waiting += 1;
            drop(state);
            self.call.notify_one();
        }
    }

    /// This thread has answered its request. It rests if another is there for the next one, and
    /// returns when it should wait for one itself.
    pub(super) fn answered(&self) {
        let mut state = lock(&self.state);
        state.answering -= 1;
        state.answered = Some(Instant::now());
        if state.waiting > 0 && state.restless == 0 {
            state.resting += 1;
            while state.called == 0 && !state.ended {
                let (woken, timeout) =
                    self.call.wait_timeout(state, REST).unwrap_or_else(PoisonError::into_inner);
                state = woken;
                if timeout.timed_out() && state.waiting == 0 {
                    break;
                }
            }
            if state.called > 0 {
                state.called -= 1;
            } else {
                state.resting -= 1;
                state.waiting += 1;
            }
        } else {
            state.waiting += 1;
        }
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
                    let _ = say.send(());
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
        first.work(|crew| _ = crew.received(1));
        first.work(|crew| crew.answered());
        second.work(|crew| _ = crew.received(1));
        second.begin(|crew| crew.answered());
        rest(&crew);
        (crew, first, second)
    }

    #[test]
    fn who_steps_aside_is_stood_in_for() {
        let (crew, first, second) = at_rest();
        first.work(|crew| assert!(crew.received(1), "there is somebody to be called"));
        assert_eq!(lock(&crew.state).waiting, 0, "what is short is answered alone");
        first.work(|crew| crew.step_aside());
        second.end();
        first.work(|crew| crew.step_aside());
        assert_eq!(lock(&crew.state).waiting, 1, "nobody is left to be called");
        first.work(|crew| crew.answered());
    }

    #[test]
    fn who_hangs_over_what_was_taken_for_quick_is_stood_in_for_after_a_while() {
        let (_crew, first, second) = at_rest();
        first.work(|crew| _ = crew.received(1));
        second.end();
        second.work(|crew| _ = crew.received(1));
        first.work(|crew| crew.answered());
    }

    #[test]
    fn who_is_distracted_is_stood_in_for_too() {
        let (crew, first, second) = at_rest();
        first.work(|crew| crew.distracted());
        second.end();
        first.work(|crew| crew.distracted());
        assert_eq!(lock(&crew.state).waiting, 2);
    }

    #[test]
    fn one_alone_always_waits() {
        let crew = Arc::new(Crew::default());
        let only = Hand::of(&crew);
        for _ in 0..3 {
            only.work(|crew| assert!(!crew.received(1), "there is nobody to be called"));
            only.work(|crew| crew.step_aside());
            only.work(|crew| crew.answered());
        }
    }

    #[test]
    fn nobody_rests_for_a_while_after_requests_that_overlapped() {
        let (crew, first, second) = at_rest();
        first.work(|crew| _ = crew.received(1));
        first.work(|crew| crew.step_aside());
        second.end();
        second.work(|crew| _ = crew.received(2));
        for hand in [&first, &second] {
            hand.work(|crew| crew.answered());
        }
        assert_eq!(lock(&crew.state).waiting, 2);
        for _ in 1..MEMORY {
            first.work(|crew| _ = crew.received(2));
            first.work(|crew| crew.answered());
        }
        first.work(|crew| _ = crew.received(2));
        first.begin(|crew| crew.answered());
        rest(&crew);
        second.work(|crew| _ = crew.received(2));
        second.work(|crew| crew.step_aside());
        first.end();
    }

    /// Answers requests of these senders, one at once after another, until the thread that rests is called.
    fn until_called(crew: &Arc<Crew>, senders: impl IntoIterator<Item = u32>) {
        let deadline = Instant::now() + PATIENCE;
        for sender in senders {
            assert!(Instant::now() < deadline, "nobody was called");
            let _ = crew.received(sender);
            crew.answered();
            if lock(&crew.state).resting == 0 {
                return;
            }
        }
    }

    #[test]
    fn another_senders_request_that_is_there_at_once_calls_another() {
        let (crew, first, second) = at_rest();
        first.work(|crew| until_called(crew, (1..3).cycle()));
        second.end();
        assert_eq!(lock(&crew.state).restless, MEMORY);
    }

    #[test]
    fn senders_that_cannot_be_told_are_others() {
        let (crew, first, second) = at_rest();
        first.work(|crew| until_called(crew, std::iter::repeat(0)));
        second.end();
        assert_eq!(lock(&crew.state).restless, MEMORY);
    }

    #[test]
    fn the_same_senders_next_request_calls_nobody() {
        let (crew, first, _second) = at_rest();
        first.work(|crew| {
            for _ in 0..1000 {
                let _ = crew.received(1);
                crew.answered();
            }
        });
        assert_eq!(lock(&crew.state).resting, 1);
    }

    #[test]
    fn who_rests_is_woken_when_the_mount_is_gone() {
        let (_crew, first, second) = at_rest();
        drop(first);
        second.end();
    }
}
