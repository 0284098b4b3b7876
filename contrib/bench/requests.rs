//! What npyfs itself takes to answer the requests of a reader of small slices, with no mount between.
//!
//!     requests DIRECTORY ARRAY ROWS
//!
//! Reads `ARRAY/rows/<i>-<i + 50>.npy` in the directory for 100,000 different `i`, as the kernel would
//! have it read, and forgets each. `ROWS` is the length of the array's first axis, some 100,000 at least.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use npyfs::caller::Caller;
use npyfs::fs::{Access, Fs, Kernel};
use npyfs::inode::{Ino, ROOT};
use npyfs::source::{self, Source};
use npyfs::tree::{self, Tree};

const SLICES: u64 = 100_000;
const SLICE: u64 = 50;

/// How many bytes the kernel was given of a file.
#[derive(Default)]
struct Taking(Cell<u64>);

impl Kernel for Taking {
    fn give(&self, _: Ino, bytes: &[u8]) -> bool {
        self.0.set(bytes.len() as u64);
        true
    }
}

fn main() -> io::Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let usage = || io::Error::other("usage: requests DIRECTORY ARRAY ROWS");
    let [directory, array, rows] = &args[..] else { return Err(usage()) };
    let rows: u64 = rows.parse().ok().filter(|&rows| rows > 2 * SLICE).ok_or_else(usage)?;
    let failed = |err: npyfs::error::Error| io::Error::other(err.to_string());

    let source = Source::open(Path::new(directory), source::Options::default()).map_err(failed)?;
    let fs = Fs::new(Tree::new(source, tree::Options::default()));
    let (array, _) = fs.lookup(ROOT, OsStr::new(array), Caller::ROOT).map_err(failed)?;
    let (group, _) = fs.lookup(array, OsStr::new("rows"), Caller::ROOT).map_err(failed)?;

    let mut times = [("lookup", Duration::ZERO); 5];
    let mut bytes = 0;
    for i in 0..SLICES {
        // Far from the one before.
        let start = i * 7919 % (rows - SLICE);
        let name = format!("{start}-{}.npy", start + SLICE);
        let mut last = Instant::now();
        let mut lap = |slot: usize, name| {
            let now = Instant::now();
            times[slot] = (name, times[slot].1 + (now - last));
            last = now;
        };
        let (ino, attr) = fs.lookup(group, OsStr::new(&name), Caller::ROOT).map_err(failed)?;
        lap(0, "lookup");
        let taking = Taking::default();
        let opened = fs.open(ino, Access::Read, Caller::ROOT, Some(&taking)).map_err(failed)?;
        let (handle, given) = (opened.handle, taking.0.get());
        lap(1, "open");
        bytes += given;
        if given == 0 {
            let read = fs.read(handle, 0, attr.size as usize, |read| read.len() as u64);
            bytes += read.map_err(failed)?;
        }
        lap(2, "read");
        fs.release(handle);
        lap(3, "release");
        fs.forget(ino, 1);
        lap(4, "forget");
    }
    for (name, time) in times {
        println!("{name:8} {:5.2} us", time.as_secs_f64() * 1e6 / SLICES as f64);
    }
    println!("{} bytes each", bytes / SLICES);
    Ok(())
}
