//! Opens of one file at the same moment, in every way: plainly and with `O_DIRECT`, read and mapped, of arrays
//! and of texts, while the source is cut off and mended. Nobody waits for ever.
//!
//! The kernel keeps a page locked while it waits for us to read it, and locks each page that it is given. A
//! daemon that gives pages while somebody may have one of them locked can stand still for good.

#![allow(unsafe_code)]

mod common;

use std::fs::{File, Permissions};
use std::io::Read;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use common::{TestEnv, abort, counting};
use memmap2::MmapOptions;
use rustix::fs::Advice;
use rustix::thread::set_thread_res_uid;

/// The user who opens: nobody in particular.
const USER: u32 = 65534;

/// How long each way is tried. The deadlock that this is for came within a second.
const TIME: Duration = Duration::from_secs(3);
const LEAST_ROUNDS: u64 = 100;

/// One way to use a file: it is opened with these flags, and then used.
#[derive(Clone, Copy)]
struct Way {
    flags: i32,
    does: fn(&File),
}

fn nothing(_: &File) {}

fn read(mut file: &File) {
    // Cut off meanwhile, it is an error.
    let _ = file.read_to_end(&mut Vec::new());
}

fn read_last_byte(file: &File) {
    let len = file.metadata().map_or(0, |meta| meta.len());
    let _ = file.read_at(&mut [0], len.saturating_sub(1));
}

fn drop_pages(file: &File) {
    let _ = rustix::fs::fadvise(file, 0, None, Advice::DontNeed);
    let _ = file.read_at(&mut [0], 0);
}

/// Brings the last page into a shared map. By `madvise`, since a page that cannot be had is an error of the call
/// there, and a signal if it is touched.
fn map_last_page(file: &File) {
    let len = file.metadata().map_or(0, |meta| meta.len());
    if len == 0 {
        return;
    }
    if let Ok(map) = MmapOptions::new().len(len as usize).map_raw_read_only(file) {
        let last = (map.len() - 1) / 4096 * 4096;
        let page = map.as_ptr().cast_mut().wrapping_add(last).cast();
        // SAFETY: the range lies in the map; MADV_POPULATE_READ changes nothing in it.
        unsafe { libc::madvise(page, map.len() - last, libc::MADV_POPULATE_READ) };
    }
}

const WAYS: [Way; 7] = [
    Way { flags: 0, does: nothing },
    Way { flags: libc::O_DIRECT, does: map_last_page },
    Way { flags: libc::O_DIRECT, does: read_last_byte },
    Way { flags: 0, does: map_last_page },
    Way { flags: 0, does: read },
    Way { flags: 0, does: drop_pages },
    Way { flags: libc::O_NOATIME, does: read_last_byte },
];

/// Six threads of an unprivileged user open one file after another, each file by all of them at the same moment.
fn storm(options: &[&str], files: &[&str], cut_off: bool) {
    let env = TestEnv::new();
    std::fs::set_permissions(env.path("."), Permissions::from_mode(0o755)).unwrap();
    // 16384 rows of one number: 128 KiB, the most that is given.
    let array = counting(&[16384 + 64, 1]);
    let path = env.data().join("long.npy");
    std::fs::write(&path, &array).unwrap();
    let mounted = env.mount(&[&["--allow-other"], options].concat());
    let paths: Arc<Vec<PathBuf>> = Arc::new(files.iter().map(|name| mounted.path(name)).collect());
    let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (barrier, begun) = (Arc::new(Barrier::new(6)), Instant::now());
    let threads: Vec<_> = (0..6)
        .map(|number| {
            let (paths, stop, rounds, barrier) =
                (paths.clone(), stop.clone(), rounds.clone(), barrier.clone());
            std::thread::spawn(move || {
                let uid = rustix::process::Uid::from_raw(USER);
                set_thread_res_uid(uid, uid, uid).unwrap();
                for round in 0.. {
                    if barrier.wait().is_leader() {
                        let done = rounds.fetch_add(1, Ordering::Relaxed);
                        // All of them see the same, until they meet here again.
                        let is_over = begun.elapsed() > TIME && done > LEAST_ROUNDS;
                        stop.store(is_over, Ordering::Relaxed);
                        std::thread::sleep(Duration::from_micros(150));
                    }
                    barrier.wait();
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let Way { flags, does } = match number {
                        0 => WAYS[0],
                        1..4 => WAYS[1],
                        _ => WAYS[(round + number) % WAYS.len()],
                    };
                    let start = Instant::now();
                    let wait = Duration::from_micros((round * 37 + number * 53) as u64 % 150);
                    while number > 0 && start.elapsed() < wait {
                        std::hint::spin_loop();
                    }
                    let path = &paths[round % paths.len()];
                    // Where the user may not, or the array is cut off, there is nothing to use.
                    if let Ok(file) = File::options().read(true).custom_flags(flags).open(path) {
                        does(&file);
                    }
                }
            })
        })
        .collect();
    let source = File::options().write(true).open(&path).unwrap();
    let (mut seen, mut moved) = (0, begun);
    while !threads.iter().all(std::thread::JoinHandle::is_finished) {
        if cut_off {
            source.set_len(1000).unwrap();
            source.write_all_at(&array[1000..], 1000).unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
        let now = rounds.load(Ordering::Relaxed);
        if now != seen {
            (seen, moved) = (now, Instant::now());
        }
        if moved.elapsed() > Duration::from_secs(30) {
            abort(&mounted.mountpoint);
            panic!("after {now} rounds everybody waits for ever");
        }
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn slices_that_are_opened_in_all_ways_at_once_keep_nobody_waiting() {
    for threads in ["1", "2", "4"] {
        storm(&["--threads", threads], &["long/rows/0-16368.npy"], false);
    }
}

#[test]
fn texts_that_are_opened_in_all_ways_at_once_keep_nobody_waiting() {
    storm(&["--threads=2"], &["long/header.json", "long/slice/USAGE.txt"], false);
}

#[test]
fn slices_that_are_cut_off_and_mended_keep_nobody_waiting() {
    let files = ["long/rows/0-16368.npy", "long/rows/1-16000.raw", "long/header.json", "long.npy"];
    storm(&["--threads=2"], &files, true);
}
