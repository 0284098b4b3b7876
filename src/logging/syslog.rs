//! The system's log, by the protocol of syslog(3): one datagram for each message.
//!
//! The C library's `syslog` takes unsafe code, and a crate takes several others; the protocol is short.

use std::os::unix::net::UnixDatagram;
use std::path::Path;

use log::Level;

/// Where syslogd or journald listens.
const SOCKET: &str = "/dev/log";

/// The facility of daemons, as RFC 3164 numbers them.
const DAEMON: u8 = 3;

/// A way to the system's log.
#[derive(Debug)]
pub(super) struct Syslog {
    socket: UnixDatagram,
}

impl Syslog {
    pub(super) fn new() -> std::io::Result<Syslog> {
        let socket = UnixDatagram::unbound()?;
        // A log that takes no messages must not make a reader wait.
        socket.set_nonblocking(true)?;
        Ok(Syslog { socket })
    }

    /// Sends a message of one line. It is lost if nobody listens or keeps up: there is no other place to say
    /// so. The socket is looked up each time, since its owner may have started again.
    pub(super) fn send(&self, level: Level, message: &str) {
        let _ =
            self.socket.send_to(&datagram(level, std::process::id(), message), Path::new(SOCKET));
    }
}

/// A message in the form of RFC 3164, without the time: the receiver takes the time of arrival, and knows its
/// time zone.
fn datagram(level: Level, process: u32, message: &str) -> Vec<u8> {
    let severity = match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    format!("<{}>npyfs[{process}]: {message}", DAEMON * 8 + severity).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_says_from_whom_it_is_and_how_bad_it_is() {
        assert_eq!(datagram(Level::Warn, 17, "open: x"), b"<28>npyfs[17]: open: x");
        assert_eq!(datagram(Level::Error, 17, "x"), b"<27>npyfs[17]: x");
    }
}
