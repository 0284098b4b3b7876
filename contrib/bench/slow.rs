//! A slow source: the files of a directory, each read of which takes some milliseconds.
//!
//!     slow DIRECTORY MOUNTPOINT MILLISECONDS
//!
//! Each request for bytes sleeps first. Otherwise it is like a network filesystem to the kernel: pages are
//! kept, 128 KiB are read ahead, and several requests may be under way at once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

#[path = "../../tests/common/slow.rs"]
#[allow(unreachable_pub, dead_code)]
mod slow;

use slow::{Server, Slow};

fn main() -> io::Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let delay = args.get(2).and_then(|number| number.parse().ok());
    let ([directory, mountpoint, _], Some(delay)) = (&args[..], delay) else {
        return Err(io::Error::other("usage: slow DIRECTORY MOUNTPOINT MILLISECONDS"));
    };
    let (delay, ttl) = (Duration::from_millis(delay), Duration::from_secs(1));
    let server = Arc::new(Server { delay, ttl, ..Server::default() });
    let slow = Slow::new(directory.as_ref(), server);
    fuser::Session::new(slow, mountpoint, &Slow::config())?.run()
}
