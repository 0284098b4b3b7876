//! Where the messages of a mount can be read: by `.npyfs/log` in its root, and in the system's log.

mod common;

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{Mounted, TestEnv, counting, mount_count, npyfs, program, run, stderr};

const LOG: &str = ".npyfs/log";

/// Tries to replace a slice of 3 rows by an array of one, and returns the errno.
fn refused_write(mounted: &Mounted, slice: &str) -> Option<i32> {
    let mut file = std::fs::File::options().write(true).open(mounted.path(slice)).unwrap();
    file.write_all(&counting(&[1, 10])).unwrap_err().raw_os_error()
}

fn log_of(mounted: &Mounted) -> String {
    String::from_utf8(mounted.read(LOG).unwrap()).unwrap()
}

#[test]
fn the_reason_of_a_refused_write_is_read_through_the_mount() {
    let env = TestEnv::new();
    // Whatever is written to the log itself.
    for filter in ["warn", "off"] {
        let mounted = env.mount_by(
            Command::new(program()).args(["mount", "-f", "--writable"]).env("NPYFS_LOG", filter),
        );
        assert_eq!(log_of(&mounted), "");
        for row in 0..9 {
            let slice = format!("big/rows/{row}-{}.npy", row + 3);
            assert_eq!(refused_write(&mounted, &slice), Some(libc::EINVAL));
        }
        let log = log_of(&mounted);
        assert_eq!(log.lines().count(), 9, "not only as many as a storm leaves: {log}");
        let last = log.lines().last().unwrap();
        assert!(last.contains(" WARN  write: big.npy: a[8:11]: "), "{log}");
        assert!(last.contains("shape (1, 10)") && last.contains("shape (3, 10)"), "{log}");
        let opened = std::fs::File::options().write(true).open(mounted.path("big/header.json"));
        assert_eq!(opened.unwrap_err().raw_os_error(), Some(libc::EPERM));
        let log = log_of(&mounted);
        assert!(log.lines().last().unwrap().contains(" INFO  open: "), "{log}");
    }
}

#[test]
fn what_a_mount_does_not_do_is_explained_too() {
    let env = TestEnv::new();
    std::fs::write(env.data().join("notes.txt"), "").unwrap();
    let mounted = env.mount(&["--writable"]);
    let write =
        |name: &str| std::fs::File::options().write(true).open(mounted.path(name)).map(drop);
    let mode = || std::fs::Permissions::from_mode(0o700);
    let attempts: [(&str, io::Result<()>); 10] = [
        ("create: new.npy: nothing is created", std::fs::write(mounted.path("new.npy"), "")),
        (
            "create: big/rows/0-1001.npy: the array has 1000 rows; nothing is created",
            std::fs::write(mounted.path("big/rows/0-1001.npy"), ""),
        ),
        (
            "create: big/rows/2-4/cols/0:5.npy: \"0:5\" is neither",
            std::fs::write(mounted.path("big/rows/2-4/cols/0:5.npy"), ""),
        ),
        (
            "link: big/rows/x.npy: ",
            std::fs::hard_link(mounted.path("big.npy"), mounted.path("big/rows/x.npy")),
        ),
        ("mkdir: new: nothing is created", std::fs::create_dir(mounted.path("new"))),
        (
            "unlink: big.npy: nothing is created, removed",
            std::fs::remove_file(mounted.path("big.npy")),
        ),
        ("open: notes.txt: only arrays can be written: ", write("notes.txt")),
        ("open: a text about big.npy: only the values of arrays", write("big/header.json")),
        ("open: info of the parts of big.npy: only the values", write("big/parts/4/info")),
        (
            "setattr: big.npy: owner and mode",
            std::fs::set_permissions(mounted.path("big.npy"), mode()),
        ),
    ];
    for (why, attempt) in attempts {
        assert_eq!(attempt.unwrap_err().raw_os_error(), Some(libc::EPERM), "{why}");
        let log = log_of(&mounted);
        assert!(log.contains(&format!(" INFO  {why}")), "{why}: {log}");
    }
}

#[test]
fn a_message_names_the_file_by_the_name_that_was_written_to() {
    let env = TestEnv::new();
    std::os::unix::fs::symlink("big.npy", env.data().join("also.npy")).unwrap();
    let mounted = env.mount(&["--writable"]);
    // The daemon has the file open already, by its other name.
    let _open = std::fs::File::open(mounted.path("also/rows/0-3.npy")).unwrap();
    assert_eq!(refused_write(&mounted, "big/rows/0-3.npy"), Some(libc::EINVAL));
    let log = log_of(&mounted);
    assert!(log.contains(" WARN  write: big.npy: a[0:3]: "), "{log}");
}

/// Runs a command as another user.
fn as_user(user: u32, command: &mut Command) -> std::process::Output {
    run(command.uid(user).gid(user).current_dir("/"))
}

#[test]
fn others_read_what_answers_their_own_requests_and_the_owner_reads_all() {
    let env = TestEnv::new();
    for open in [env.path(""), env.data()] {
        std::fs::set_permissions(open, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let big = env.data().join("big.npy");
    std::fs::set_permissions(big, std::fs::Permissions::from_mode(0o666)).unwrap();
    let mounted = env.mount(&["--writable", "--allow-other"]);
    std::fs::write(env.path("other.npy"), counting(&[1, 10])).unwrap();
    let copy = |user, slice: &str| {
        let mut command = Command::new("cp");
        command.arg(env.path("other.npy")).arg(mounted.path(slice));
        let said = as_user(user, &mut command);
        assert!(stderr(&said).contains("Invalid argument"), "{}", stderr(&said));
    };
    let log = |user| {
        let said = as_user(user, Command::new("cat").arg(mounted.path(LOG)));
        assert!(said.status.success(), "{}", stderr(&said));
        String::from_utf8(said.stdout).unwrap()
    };
    copy(12_345, "big/rows/0-3.npy");
    copy(12_346, "big/rows/1-4.npy");
    assert_eq!(refused_write(&mounted, "big/rows/2-5.npy"), Some(libc::EINVAL));
    for (user, own) in [(12_345, "a[0:3]"), (12_346, "a[1:4]")] {
        let log = log(user);
        assert!(log.contains(own) && log.lines().count() == 1, "{user}: {log}");
    }
    assert_eq!(log(12_347), "");
    let all = log_of(&mounted);
    assert!(["a[0:3]", "a[1:4]", "a[2:5]"].iter().all(|it| all.contains(it)), "{all}");
}

#[test]
fn whoever_may_write_an_array_can_read_why_a_slice_of_it_is_none() {
    let env = TestEnv::new();
    for open in [env.path(""), env.data()] {
        std::fs::set_permissions(open, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let big = env.data().join("big.npy");
    let mounted = env.mount(&["--writable", "--allow-other", "--ttl=0"]);
    let replace = |slice: &str| {
        stderr(&as_user(12_345, Command::new("cp").arg("/dev/null").arg(mounted.path(slice))))
    };
    for (mode, slice, said, why) in [
        (0o666, "big/rows/0:50.npy", "Operation not permitted", "write rows/0-50, or slice/0:50"),
        (0o666, "big/cols/10.npy", "Operation not permitted", "the array has 10 columns"),
        (0o644, "big/rows/0-1001.npy", "Permission denied", ""),
    ] {
        std::fs::set_permissions(&big, std::fs::Permissions::from_mode(mode)).unwrap();
        let refused = replace(slice);
        assert!(refused.contains(said), "{slice}: {refused}");
        let log = as_user(12_345, Command::new("cat").arg(mounted.path(LOG)));
        let log = String::from_utf8(log.stdout).unwrap();
        assert!(why.is_empty() || log.contains(&format!("create: {slice}: ")), "{log}");
        assert!(log.contains(why), "{log}");
    }
}

#[test]
fn what_is_read_is_made_when_it_is_opened_and_read_at_any_position() {
    use std::os::unix::fs::FileExt;
    let env = TestEnv::new();
    let mounted = env.mount(&["--writable"]);
    let before = std::fs::File::open(mounted.path(LOG)).unwrap();
    refused_write(&mounted, "big/rows/0-3.npy");
    let after = std::fs::File::open(mounted.path(LOG)).unwrap();
    refused_write(&mounted, "big/rows/1-4.npy");
    assert_eq!(before.read_at(&mut [0; 10], 0).unwrap(), 0);
    let text = io::read_to_string(&after).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let mut part = [0; 7];
    after.read_exact_at(&mut part, 3).unwrap();
    assert_eq!(part, text.as_bytes()[3..10]);
    assert_eq!(after.read_at(&mut part, text.len() as u64).unwrap(), 0);
    // As text, by programs.
    let tail = run(Command::new("tail").args(["-n", "1"]).arg(mounted.path(LOG)));
    assert!(String::from_utf8_lossy(&tail.stdout).contains("a[1:4]"), "{}", stderr(&tail));
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_control_directory_is_in_the_root_by_name_and_takes_no_name_away() {
    let env = TestEnv::new();
    std::fs::create_dir(env.data().join("sub")).unwrap();
    let mounted = env.mount(&[]);
    assert_eq!(names(&mounted.mountpoint), ["big", "big.npy", "sub"]);
    assert_eq!(names(&mounted.path(".npyfs")), ["log", "stats.json"]);
    for elsewhere in ["sub/.npyfs", "big/.npyfs", ".npyfs/.npyfs", ".npyfs/other", ".npyfs.npy"] {
        assert!(!mounted.path(elsewhere).exists(), "{elsewhere}");
    }
    drop(mounted);

    std::fs::create_dir(env.data().join(".npyfs")).unwrap();
    std::fs::write(env.data().join(".npyfs/own"), "").unwrap();
    let mounted = env.mount(&[]);
    assert_eq!(names(&mounted.path(".npyfs")), ["own"]);
    assert!(!mounted.path(LOG).exists());
    drop(mounted);

    std::fs::remove_dir_all(env.data().join(".npyfs")).unwrap();
    std::fs::write(env.data().join(".npyfs.npy"), counting(&[3])).unwrap();
    let mounted = env.mount(&[]);
    assert_eq!(mounted.read(".npyfs/rows/0-2.raw").unwrap().len(), 16);
    assert!(!mounted.path(LOG).exists());
}

#[test]
fn a_mount_of_one_file_has_it_too() {
    let env = TestEnv::new();
    let (file, mnt) = (env.data().join("big.npy"), env.mountpoint());
    let mounted = npyfs(["mount".as_ref(), file.as_os_str(), mnt.as_os_str()]);
    assert!(mounted.status.success(), "{}", stderr(&mounted));
    let log = std::fs::read(mnt.join(LOG));
    let deeper = mnt.join("rows/0-5/.npyfs").exists();
    assert!(npyfs(["umount".as_ref(), mnt.as_os_str()]).status.success());
    assert_eq!((log.unwrap(), deeper), (Vec::new(), false));
}

/// Runs in a mount namespace of its own, with a `/dev` of its own.
const IN_BACKGROUND: &str = r#"
    cd "$1"
    mknod dev/fuse c 10 229
    mknod dev/null c 1 3
    mount --bind dev /dev
    trap '"$0" umount mnt' EXIT
    "$0" mount --writable $2 data mnt
    ! cp other.npy mnt/big/rows/0-3.npy
"#;

#[test]
fn a_daemon_in_the_background_logs_to_the_system() {
    let env = TestEnv::new();
    std::fs::write(env.path("other.npy"), counting(&[1, 10])).unwrap();
    let in_namespace = |options: &str| {
        let _ = std::fs::remove_dir_all(env.path("dev"));
        std::fs::create_dir(env.path("dev")).unwrap();
        let syslogd = UnixDatagram::bind(env.path("dev/log")).unwrap();
        syslogd.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let words = ["--mount", "--propagation", "private", "sh", "-euc", IN_BACKGROUND, program()];
        let ran = run(Command::new("unshare").args(words).arg(env.path("")).arg(options));
        assert!(ran.status.success(), "{}", stderr(&ran));
        assert_eq!(mount_count(&env.mountpoint()), 0);
        syslogd
    };
    let syslogd = in_namespace("");
    let mut datagram = [0; 4096];
    let len = syslogd.recv(&mut datagram).unwrap();
    let message = String::from_utf8_lossy(&datagram[..len]).into_owned();
    assert!(message.starts_with("<28>npyfs["), "{message}");
    assert!(message.contains("]: write: big.npy: a[0:3]: "), "{message}");

    let log = env.path("file.log");
    let syslogd = in_namespace(&format!("--log-file={}", log.display()));
    syslogd.set_nonblocking(true).unwrap();
    let nothing = syslogd.recv(&mut datagram).map_err(|err| err.kind());
    assert_eq!(nothing, Err(io::ErrorKind::WouldBlock));
    assert!(std::fs::read_to_string(log).unwrap().contains("write: big.npy: a[0:3]: "));
}
