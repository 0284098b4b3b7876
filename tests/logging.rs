//! What the log says, and in which form.

mod common;

use std::io::{Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;

use common::{TestEnv, counting, program};
use serde_json::Value;

/// Mounts with these options and this filter, and returns what is logged while `work` is done and after.
fn logged(env: &TestEnv, options: &[&str], filter: &str, work: impl FnOnce(PathBuf)) -> String {
    let log = env.path("log");
    let _ = std::fs::remove_file(&log);
    let mut command = Command::new(program());
    command.args(["mount", "-f", "--log-file"]).arg(&log).args(options);
    if !filter.is_empty() {
        command.env("NPYFS_LOG", filter);
    }
    let mut mounted = env.mount_by(&mut command);
    work(mounted.mountpoint.clone());
    mounted.signal("-TERM");
    assert!(common::wait(&mut mounted.child).success());
    std::fs::read_to_string(log).unwrap()
}

#[test]
fn a_mount_and_its_end_are_a_line_each_and_no_request_is() {
    let env = TestEnv::new();
    let text = logged(&env, &["--writable", "--ttl=2.5"], "info", |mnt| {
        std::fs::read(mnt.join("big/rows/3.npy")).unwrap();
        assert!(std::fs::metadata(mnt.join("nothing")).is_err());
        let kept = std::fs::read_to_string(mnt.join(".npyfs/log")).unwrap();
        assert_eq!(kept, "", "they answer nobody");
    });
    let lines: Vec<&str> = text.lines().collect();
    let (data, mnt) = (env.data(), env.mountpoint());
    let (data, mnt) = (data.display(), mnt.display());
    assert_eq!(lines.len(), 2, "{text}");
    let mounted = format!(" {data} is mounted on {mnt}: writable, ttl 2.5 s, ");
    assert!(lines[0].contains(" INFO ") && lines[0].contains(&mounted), "{text}");
    assert!(lines[1].ends_with(&format!(" {mnt} is unmounted")), "{text}");
    assert_eq!(logged(&env, &[], "", |_| {}), "", "only where it is asked for");
}

#[test]
fn what_is_no_array_is_named_once_for_each_version() {
    let env = TestEnv::new();
    let bad = env.data().join("bad.npy");
    std::fs::write(&bad, "no array").unwrap();
    let text = logged(&env, &["--ttl=0"], "info", |mnt| {
        let look = || {
            for name in ["bad/error.txt", "bad/rows/3.npy", "bad.raw", "bad/T.zarr/zarr.json"] {
                let _ = std::fs::read(mnt.join(name));
            }
        };
        look();
        look();
        // The next version, by its size.
        let mut file = std::fs::File::options().append(true).open(&bad).unwrap();
        file.write_all(b" at all").unwrap();
        look();
        look();
        let kept = std::fs::read_to_string(mnt.join(".npyfs/log")).unwrap();
        assert!(kept.contains(" INFO  no array: bad.npy: not a .npy file"), "{kept}");
    });
    let named: Vec<&str> =
        text.lines().filter(|line| line.contains("no array: bad.npy: ")).collect();
    assert_eq!(named.len(), 2, "{text}");
}

#[test]
fn every_line_can_be_an_object_of_json() {
    let env = TestEnv::new();
    for options in [&["--log-format=json"][..], &["-o", "log_format=json"]] {
        let text = logged(&env, options, "info", |mnt| {
            // Strided, and so not given to the kernel when it is opened.
            let held = std::fs::File::open(mnt.join("big/slice/::-1.raw")).unwrap();
            let mut big =
                std::fs::File::options().write(true).open(env.data().join("big.npy")).unwrap();
            big.set_len(500).unwrap();
            assert!(held.read_at(&mut [0], 70_000).is_err());
            big.rewind().unwrap();
            big.write_all(&counting(&[1000, 10])).unwrap();
        });
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.len() >= 3, "{text}");
        let keys: Vec<&str> = lines[1].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["level", "message", "target", "timestamp"]);
        assert_eq!((&lines[0]["level"], &lines[1]["level"]), (&"INFO".into(), &"WARN".into()));
        let message = lines[1]["message"].as_str().unwrap();
        assert!(message.starts_with("read: big.npy: header says 80128 bytes"), "{message}");
        assert!(lines[1]["target"].as_str().unwrap().starts_with("npyfs::"), "{text}");
        let timestamp = lines[1]["timestamp"].as_str().unwrap();
        assert!(timestamp.starts_with("20") && timestamp.ends_with('Z'), "{timestamp}");
    }
}

#[test]
fn debugging_shows_each_request_with_its_path_and_outcome_and_the_library_only_if_asked() {
    let env = TestEnv::new();
    let look = |mnt: PathBuf| {
        std::fs::read(mnt.join("big/cols/3.npy")).unwrap();
        assert!(std::fs::metadata(mnt.join("big/rows/1000.npy")).is_err());
    };
    // One thread, so that the lines are in the order of the requests.
    let text = logged(&env, &["-d", "--threads=1"], "", look);
    let position = |words: &str| {
        let found = text.lines().position(|line| line.contains(words));
        found.unwrap_or_else(|| panic!("{words:?}: {text}"))
    };
    let steps = [
        "] lookup big: done in ",
        "] lookup big/cols: done in ",
        "] lookup big/cols/3.npy: done in ",
        "] open big/cols/3.npy: done in ",
        "] read big/cols/3.npy: done in ",
        "] lookup: the array has 1000 rows",
        "] lookup big/rows/1000.npy: ENOENT in ",
    ];
    assert!(steps.map(position).is_sorted(), "{text}");
    assert!(text.contains(" µs, for user 0, thread "), "{text}");
    assert!(!text.contains(" fuser"), "{text}");
    let text = logged(&env, &["-d", "--threads=1"], "debug", look);
    assert!(
        text.contains(" fuser::") && text.contains("] open big/cols/3.npy: done in "),
        "{text}"
    );
}
