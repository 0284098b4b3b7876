//! One user who takes all they can get leaves something for the others.

mod common;

use std::fs::{File, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use common::{Mounted, TestEnv, counting, eventually, in_time, program, run, stderr, wait};

const GREEDY: u32 = 65534;
const OTHER: u32 = 65533;

/// A directory that all users may enter, with arrays `0.npy`, `1.npy`, … that they may write.
fn env_with_arrays(count: usize) -> TestEnv {
    let env = TestEnv::new();
    std::fs::set_permissions(env.path(""), Permissions::from_mode(0o755)).unwrap();
    for i in 0..count {
        let path = env.data().join(format!("{i}.npy"));
        std::fs::write(&path, counting(&[10])).unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
    }
    env
}

fn bash_as(user: u32, script: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={user}")]);
    command.args(["--clear-groups", "bash", "-c", script, "bash"]);
    command
}

fn as_user(user: u32, script: &str, path: &Path) -> Output {
    run(bash_as(user, script).arg(path))
}

/// A process that keeps open what it could open of some paths.
struct Holder {
    child: Child,
    /// How many that are, and why it is not more.
    opened: usize,
    error: String,
}

impl Holder {
    /// Opens for reading, by `<`, or for writing, by `>`.
    fn of(paths: &[PathBuf], way: char) -> Holder {
        let script = format!(
            r#"n=0; for path; do {{ exec {{fd}}{way}"$path"; }} 2>/dev/null || break; n=$((n + 1)); done
               why=$( ( : {way}"$path" ) 2>&1 ); echo "$n ${{why##*: }}"; read"#
        );
        let mut command = bash_as(GREEDY, &script);
        command.env("LC_ALL", "C").args(paths).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let told = in_time("what could be opened", move || {
            let mut line = String::new();
            output.read_line(&mut line).map(|_| line)
        });
        let told = told.unwrap();
        let (opened, error) = told.trim_end().split_once(' ').unwrap();
        Holder { opened: opened.parse().unwrap(), error: error.to_owned(), child }
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        wait(&mut self.child);
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const LIMIT: usize = 132;

fn mount_with_limit(env: &TestEnv) -> Mounted {
    let script = format!(r#"ulimit -n {LIMIT}; exec "$0" mount -f --allow-other --writable "$@""#);
    let log = env.path("log");
    env.mount_by(Command::new("bash").args(["-c", &script, program(), "--log-file"]).arg(log))
}

#[test]
fn who_has_opened_all_they_may_leaves_others_some() {
    let env = env_with_arrays(LIMIT);
    let mounted = mount_with_limit(&env);
    let paths = |name: &str| -> Vec<PathBuf> {
        (0..LIMIT).map(|i| mounted.path(&format!("{i}/{name}"))).collect()
    };
    // Three quarters of the limit, but for what the daemon itself needs. A writer takes two.
    for (name, way, expected) in
        [("rows/3.raw", '<', 75), ("rows", '<', 75), ("rows/3.raw", '>', 37)]
    {
        let holder = Holder::of(&paths(name), way);
        assert_eq!(holder.opened, expected, "{way} {name}: {}", holder.error);
        assert_eq!(holder.error, "Too many open files in system", "{way} {name}");
        let last = &paths("rows/3.raw")[LIMIT - 1];
        let other = as_user(OTHER, r#"exec 3<"$1"; wc -c <&3"#, last);
        assert_eq!(other.stdout, b"8\n", "{}", stderr(&other));
        assert_eq!(std::fs::read(last).unwrap().len(), 8);
        holder.end();
        let again = || as_user(GREEDY, r#"wc -c <"$1""#, last).stdout == b"8\n";
        eventually("what was open to be closed", again);
    }
    let log = std::fs::read_to_string(env.path("log")).unwrap();
    assert!(log.contains("user 65534 has so many files open"), "{log}");
}

#[test]
fn headers_that_are_begun_and_not_ended_take_no_more_than_there_is_for_them() {
    let env = env_with_arrays(1);
    let mounted = env.mount(&["--writable", "--allow-other"]);
    let path = mounted.path("0.npy");
    let begin = || {
        let mut file = File::create(&path).unwrap();
        let header = [&b"\x93NUMPY\x01\x00\xff\xff"[..], &[b' '; 60_000]].concat();
        file.write_all(&header).map(|()| file)
    };
    let start = mounted.anonymous_kib() / 1024;
    let mut begun = Vec::new();
    let err = loop {
        match begin() {
            Ok(file) => begun.push(file),
            Err(err) => break err,
        }
        assert!(
            begun.len() < 1000,
            "{} MiB",
            (mounted.anonymous_kib() / 1024).saturating_sub(start)
        );
    };
    assert_eq!(err.raw_os_error(), Some(libc::ENOBUFS), "{err}");
    assert!(begun.len() > 100, "only {} could begin", begun.len());
    let taken = (mounted.anonymous_kib() / 1024).saturating_sub(start);
    assert!(taken < 32, "{taken} MiB");
    // Another user's header may come in two pieces all the same.
    std::fs::write(env.path("new.npy"), counting(&[10])).unwrap();
    let script = r#"{ head -c 50; sleep 0.1; cat; } <"${1%/mnt/*}/new.npy" >"$1""#;
    let other = as_user(OTHER, script, &path);
    assert!(other.status.success(), "{}", stderr(&other));
    drop(begun);
    eventually("room for another", || begin().is_ok());
}

#[test]
fn a_header_that_is_too_long_for_the_array_is_refused_by_its_first_bytes() {
    let env = env_with_arrays(1);
    let mounted = env.mount(&["--writable"]);
    let file = File::create(mounted.path("0.npy")).unwrap();
    let long = [&b"\x93NUMPY\x02\x00"[..], &200_000u32.to_le_bytes()].concat();
    let refused = file.write_all_at(&[&long[..], b" "].concat(), 0).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EINVAL), "{refused}");
}
