//! A source whose filesystem is far away: strided slices are read from it in few large pieces, never
//! through a map, and a server that fails is an error to whoever reads just then.

mod common;

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::slow::{Server, Slow};
use common::{Mounted, TestEnv, counting, eventually, mount_count, run};
use fuser::BackgroundSession;

const ROWS: u64 = 4000;
const COLUMNS: u64 = 100;

/// A mount of that filesystem, which has the files of `behind`. Dropped, it is unmounted.
struct Far {
    server: Arc<Server>,
    mountpoint: PathBuf,
    _session: BackgroundSession,
}

impl Far {
    /// Over the directory of the sources, which is behind it from then on.
    fn of(env: &TestEnv) -> Far {
        let behind = env.path("behind");
        fs::rename(env.data(), &behind).unwrap();
        fs::create_dir(env.data()).unwrap();
        fs::write(behind.join("table.npy"), counting(&[ROWS, COLUMNS])).unwrap();
        fs::write(behind.join("cube.npy"), counting(&[50, 40, 30])).unwrap();
        // Nothing is remembered of a file's attributes, so that no test has to wait.
        let server = Arc::new(Server { ttl: Duration::ZERO, ..Server::default() });
        let slow = Slow::new(&behind, server.clone());
        let session = fuser::spawn_mount(slow, env.data(), &Slow::config()).unwrap();
        eventually("the source", || mount_count(&env.data()) > 0);
        Far { server, mountpoint: env.data(), _session: session }
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        let _ = run(std::process::Command::new("umount").arg("-l").arg(&self.mountpoint));
    }
}

/// Items of a file of numbers by their place.
fn numbers(places: impl IntoIterator<Item = u64>) -> Vec<u8> {
    places.into_iter().flat_map(u64::to_le_bytes).collect()
}

/// What each of some slices holds, by the path of its bytes.
fn slices() -> Vec<(&'static str, Vec<u8>)> {
    let at = |row, column| row * COLUMNS + column;
    let rows = || 0..ROWS;
    vec![
        ("table/cols/8-16.raw", numbers(rows().flat_map(|r| (8..16).map(move |c| at(r, c))))),
        ("table/cols/3.raw", numbers(rows().map(|r| at(r, 3)))),
        (
            "table/slice/::7.raw",
            numbers(rows().step_by(7).flat_map(|r| (0..COLUMNS).map(move |c| at(r, c)))),
        ),
        (
            "table/slice/::-300,::-1.raw",
            numbers(
                rows().rev().step_by(300).flat_map(|r| (0..COLUMNS).rev().map(move |c| at(r, c))),
            ),
        ),
        ("table/T.raw", numbers((0..COLUMNS).flat_map(|c| rows().map(move |r| at(r, c))))),
        (
            "cube/slice/1::2,::3,5:8.raw",
            numbers((1..50).step_by(2).flat_map(|x| {
                (0..40).step_by(3).flat_map(move |y| (5..8).map(move |z| (x * 40 + y) * 30 + z))
            })),
        ),
    ]
}

/// The daemon's maps of arrays.
fn maps_of_arrays(mounted: &Mounted) -> usize {
    let maps = fs::read_to_string(format!("/proc/{}/maps", mounted.child.id())).unwrap();
    maps.lines().filter(|line| line.contains(".npy")).count()
}

#[test]
fn strided_slices_hold_their_values_and_no_map_is_made() {
    let env = TestEnv::new();
    let _far = Far::of(&env);
    let mounted = env.mount(&[]);
    for (path, expected) in slices() {
        assert!(mounted.read(path).unwrap() == expected, "{path}");
        assert_eq!(maps_of_arrays(&mounted), 0, "after {path}");
    }
}

#[test]
fn a_server_that_fails_is_an_error_to_that_reader_only_and_is_asked_again() {
    let env = TestEnv::new();
    let far = Far::of(&env);
    let mounted = env.mount(&["--ttl", "0.01"]);
    let (path, expected) = slices().swap_remove(0);
    let (other, of_other) = slices().swap_remove(5);
    let mut open = File::open(mounted.path(path)).unwrap();
    far.server.fails.store(true, Ordering::Relaxed);
    let err = open.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(err.raw_os_error(), Some(libc::EIO));
    assert!(mounted.read("big.npy").is_err(), "a file of which nothing was read before");
    far.server.fails.store(false, Ordering::Relaxed);
    assert!(mounted.read(other).unwrap() == of_other);
    let mut bytes = Vec::new();
    open.read_to_end(&mut bytes).unwrap();
    assert!(bytes == expected, "the same open file");
    assert!(mounted.read(path).unwrap() == expected);
}

#[test]
fn a_file_that_is_cut_off_is_an_error_and_no_zeros_and_is_read_again_when_it_is_whole() {
    let env = TestEnv::new();
    let _far = Far::of(&env);
    let mounted = env.mount(&["--ttl", "0.01"]);
    let (path, expected) = slices().swap_remove(0);
    let behind = File::options().write(true).open(env.path("behind/table.npy")).unwrap();
    let mut open = File::open(mounted.path(path)).unwrap();
    behind.set_len(1000).unwrap();
    let err = open.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(err.raw_os_error(), Some(libc::EIO));
    fs::write(env.path("behind/table.npy"), counting(&[ROWS, COLUMNS])).unwrap();
    eventually("the whole table", || mounted.read(path).is_ok_and(|bytes| bytes == expected));
}
