//! What a mount counts: `.npyfs/stats.json`.

mod common;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use common::{Mounted, TestEnv, counting, eventually, run, stderr};
use serde_json::Value;

const FILE: &str = ".npyfs/stats.json";

fn statistics(mounted: &Mounted) -> Value {
    serde_json::from_slice(&mounted.read(FILE).unwrap()).unwrap()
}

fn number(mounted: &Mounted, pointer: &str) -> u64 {
    let statistics = statistics(mounted);
    statistics.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer}"))
}

#[test]
fn requests_are_counted_by_kind_with_their_time_and_their_errors() {
    let env = TestEnv::new();
    let mounted = env.mount(&["--ttl=0"]);
    let before = statistics(&mounted);
    for _ in 0..10 {
        mounted.read("big/rows/3.npy").unwrap();
        assert!(std::fs::metadata(mounted.path("nothing")).is_err());
    }
    let after = statistics(&mounted);
    let grown = |pointer: &str| {
        let of = |read: &Value| read.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        of(&after) - of(&before)
    };
    assert!(grown("/requests/open/count") >= 10);
    assert!(grown("/requests/lookup/count") >= 20);
    let (open, lookup) = ("/requests/open/microseconds", "/requests/lookup/microseconds");
    assert!((1..60_000_000).contains(&grown(open)) && (1..60_000_000).contains(&grown(lookup)));
    assert!(grown("/errors/ENOENT") >= 10);
    assert!(after.pointer("/errors/EIO").is_none());

    assert_eq!(after["pid"], mounted.child.id());
    assert_eq!(after["version"], env!("CARGO_PKG_VERSION"));
    assert!(after["uptime_seconds"].as_f64().unwrap() > before["uptime_seconds"].as_f64().unwrap());

    // A file that was cut off: an error that is a fault.
    let held = File::open(mounted.path("big/slice/::-1.raw")).unwrap();
    File::options().write(true).open(env.data().join("big.npy")).unwrap().set_len(500).unwrap();
    assert!(held.read_at(&mut [0], 70_000).is_err());
    assert!(number(&mounted, "/errors/EIO") >= 1);
}

/// Places where requests of several kinds, all of them refused, are handled alike. They count as "other".
const REFUSED: usize = 2;

#[test]
fn every_request_that_is_served_is_a_kind_of_its_own() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/fuse.rs");
    let text = std::fs::read_to_string(source).unwrap();
    let names = text.split("guarded(req, ").skip(1).map(|rest| rest.split('"').nth(1).unwrap());
    assert_eq!(names.clone().count(), text.matches("guarded(").count() - REFUSED);
    let env = TestEnv::new();
    let statistics = statistics(&env.mount(&[]));
    let mut seen = 0;
    for name in names.chain(["ioctl", "other"]) {
        assert!(statistics["requests"][name]["count"].is_u64(), "{name}");
        seen += 1;
    }
    assert_eq!(statistics["requests"].as_object().unwrap().len(), seen);
}

#[test]
fn bytes_are_counted_by_how_they_are_served() {
    let env = TestEnv::new();
    std::fs::write(env.data().join("wide.npy"), counting(&[1000, 100])).unwrap();
    let mounted = env.mount(&[]);
    let grown = |way: &str, read: &dyn Fn()| {
        let before = number(&mounted, way);
        read();
        number(&mounted, way) - before
    };
    // 40 rows, small enough to be given with the answer to the open.
    assert_eq!(grown("/bytes/given", &|| drop(mounted.read("big/rows/0-40.npy"))), 128 + 3200);
    assert_eq!(number(&mounted, "/opens/given"), 1);
    // Too large for that.
    assert_eq!(grown("/bytes/read", &|| drop(mounted.read("wide/rows/0-500.npy"))), 128 + 400_000);
    assert_eq!(
        grown("/bytes/gathered", &|| drop(mounted.read("wide/cols/0-50.npy"))),
        128 + 400_000
    );
    assert!(grown("/bytes/made", &|| drop(mounted.read(FILE))) > 0);
    let passed = || drop(mounted.read("wide.npy"));
    assert_eq!(grown("/opens/passed_through", &passed), 1, "root's mount, read-only");
    assert_eq!(grown("/bytes/read", &passed), 0);
    drop(mounted);

    let mounted = env.mount(&["--writable"]);
    std::fs::write(mounted.path("big/rows/0-3.npy"), counting(&[3, 10])).unwrap();
    assert_eq!(number(&mounted, "/bytes/written"), 128 + 240);
}

#[test]
fn copies_in_memory_are_counted_as_long_as_they_are_there() {
    let env = TestEnv::new();
    std::fs::write(env.data().join("large.npy"), counting(&[20_000, 20])).unwrap();
    let mounted = env.mount(&["--stage-bytes=8M"]);
    let len = 128 + 2_400_000;
    // What was just written is not copied.
    eventually("a copy", || {
        assert_eq!(mounted.read("large/rows/0-15000.npy").unwrap().len(), len);
        number(&mounted, "/opens/staged") > 0
    });
    // While it is open the copy is not given up, however long this takes.
    let held = File::open(mounted.path("large/rows/0-15000.npy")).unwrap();
    let staged = number(&mounted, "/opens/staged");
    assert!(number(&mounted, "/bytes/staged") >= len as u64);
    let bytes = number(&mounted, "/bytes/staged");
    eventually("its memory", || number(&mounted, "/in_use/staged_bytes") >= len as u64);
    let opens = number(&mounted, "/requests/open/count");
    mounted.read("large/rows/0-15000.npy").unwrap();
    let more = number(&mounted, "/requests/open/count") - opens;
    assert_eq!(more, 1 + 1, "once, though one thread hands it on to another; and the statistics");
    assert_eq!(number(&mounted, "/opens/staged"), staged + 1);
    assert_eq!(number(&mounted, "/bytes/staged"), bytes, "it is not copied again");
    drop(held);
    eventually("the copy to be given up", || number(&mounted, "/in_use/staged_bytes") < len as u64);
}

#[test]
fn what_is_in_use_is_known_until_it_is_closed_and_forgotten() {
    let env = TestEnv::new();
    let mounted = env.mount(&["--ttl=0"]);
    let in_use = |what: &str| number(&mounted, &format!("/in_use/{what}"));
    let strided = File::open(mounted.path("big/cols/0-5.raw")).unwrap();
    strided.read_at(&mut [0; 10], 0).unwrap();
    let _directory = std::fs::read_dir(mounted.path("big/parts/400")).unwrap();
    assert_eq!(in_use("files"), 1);
    assert_eq!((in_use("directories"), in_use("source_files"), in_use("maps")), (1, 1, 1));
    let inodes = in_use("inodes");
    assert!(inodes >= 5, "big, cols, 0-5.raw, parts, 400: {inodes}");
    drop(strided);
    eventually("the file to be closed", || in_use("files") == 0);
    // The kernel forgets a name that it finds to be gone.
    std::fs::write(env.data().join("gone"), "").unwrap();
    let found = || std::fs::metadata(mounted.path("gone")).is_ok();
    assert!(found() && in_use("inodes") == inodes + 1);
    std::fs::remove_file(env.data().join("gone")).unwrap();
    assert!(!found());
    eventually("it to be forgotten", || in_use("inodes") == inodes);
}

#[test]
fn whoever_reaches_the_mount_may_read_them_and_learns_no_name() {
    let env = TestEnv::new();
    env.open_to_all();
    let mounted = env.mount(&["--allow-other"]);
    mounted.read("big/rows/3.npy").unwrap();
    let read = run(Command::new("cat").arg(mounted.path(FILE)).uid(12_345).gid(12_345));
    assert!(read.status.success(), "{}", stderr(&read));
    let text = String::from_utf8(read.stdout).unwrap();
    assert!(text.contains("\"lookup\"") && !text.contains("big"), "{text}");
    let listed: Vec<_> = std::fs::read_dir(&mounted.mountpoint).unwrap().collect();
    assert_eq!(listed.len(), 2, "big and big.npy, and no .npyfs");
}
