//! Mounts that are to come down while they are used, or while their daemon does not answer: who uses them
//! is said, and nobody waits for ever.

mod common;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{
    Mounted, TestEnv, eventually, in_some_try, in_time, mount_count, npyfs, program, run, stderr,
    wait,
};

/// A process that does nothing with a mount but use it, in one of several ways. Dropped, it is gone.
struct User(Child);

impl User {
    /// With standard input from a file.
    fn reading(file: &Path) -> User {
        let mut sleep = Command::new("sleep");
        User(sleep.arg("1000").stdin(File::open(file).unwrap()).spawn().unwrap())
    }

    /// With a directory to work in.
    fn in_directory(directory: &Path) -> User {
        User(Command::new("sleep").arg("1000").current_dir(directory).spawn().unwrap())
    }

    /// Under a name of its own, with a file open, by itself.
    fn called(name: &str, file: &Path) -> User {
        let script = "exec 3<\"$1\"; printf %s \"$0\" > /proc/$$/comm; read -r line";
        let mut shell = Command::new("sh");
        shell.args(["-c", script, name]).arg(file).stdin(Stdio::piped());
        let user = User(shell.spawn().unwrap());
        let comm = format!("/proc/{}/comm", user.0.id());
        let named = format!("{name}\n");
        eventually("it has its name", || std::fs::read_to_string(&comm).unwrap() == named);
        user
    }

    fn shown(&self, name: &str) -> String {
        format!("{name} ({})", self.0.id())
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn umount(mounted: &Mounted, options: &[&str]) -> Output {
    npyfs(
        ["umount".as_ref(), mounted.mountpoint.as_os_str()]
            .into_iter()
            .chain(options.iter().map(|option| option.as_ref())),
    )
}

#[test]
fn umount_names_the_processes_that_use_the_mount() {
    let env = TestEnv::new();
    let mut mounted = env.mount(&[]);
    let users = [
        (User::reading(&mounted.path("big/rows/3.npy")), "sleep"),
        (User::in_directory(&mounted.path("big")), "sleep"),
        (User::called("a\x1b[2Jb", &mounted.path("big.npy")), "a\\x1b[2Jb"),
    ];
    let unmounted = umount(&mounted, &[]);
    assert!(unmounted.status.success());
    let said = stderr(&unmounted);
    for (user, name) in &users {
        assert!(said.contains(&user.shown(name)), "{} in {said:?}", user.shown(name));
    }
    assert!(
        said.contains("; it is gone when its last user is done") && said.lines().count() == 1,
        "{said:?}"
    );
    drop(users);
    assert!(wait(&mut mounted.child).success());

    let mut mounted = env.mount(&[]);
    let file = mounted.path("big/rows/3.npy");
    let users: Vec<User> = (0..8).map(|_| User::reading(&file)).collect();
    let said = stderr(&umount(&mounted, &[]));
    assert!(said.contains(" and 3 more; it is gone when"), "{said:?}");
    drop(users);
    assert!(wait(&mut mounted.child).success());

    let mut mounted = env.mount(&[]);
    assert_eq!(stderr(&umount(&mounted, &[])), "", "nobody uses it");
    assert!(wait(&mut mounted.child).success());
}

/// A program in the foreground that has mounted, and what it says from then on.
struct Foreground {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
}

impl Foreground {
    fn new(command: &mut Command) -> Foreground {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        Foreground { child, said }
    }

    fn interrupt(&self) {
        let pid = self.child.id().to_string();
        assert!(run(Command::new("kill").args(["-INT", &pid])).status.success());
    }

    fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line
    }
}

/// How long a daemon that was told to end waits for those who use its mount.
const GRACE: Duration = Duration::from_secs(2);

/// Ends a mount that is in use by Ctrl-C, or by two. Returns how long it took.
fn interrupted(options: &[&str], again: bool) -> Duration {
    let env = TestEnv::new();
    let mut command = Command::new(program());
    command.args(["mount", "-f"]).args(options).args([env.data(), env.mountpoint()]);
    let mut foreground = Foreground::new(&mut command);
    assert!(foreground.next_line().contains("Ctrl-C unmounts it"));
    // It has opened the file itself, so that the daemon knows it.
    let user = User::called("reader", &env.mountpoint().join("big/rows/3.npy"));
    let start = Instant::now();
    foreground.interrupt();
    let line = foreground.next_line();
    let expected = format!("is in use by {}; ", user.shown("reader"));
    assert!(line.contains(&expected), "{expected:?} in {line:?}");
    assert!(line.contains("Ctrl-C again leaves at once"), "{line:?}");
    if again {
        foreground.interrupt();
    }
    assert!(wait(&mut foreground.child).success());
    assert_eq!(mount_count(&env.mountpoint()), 0);
    start.elapsed()
}

#[test]
fn ctrl_c_says_what_holds_the_mount_and_a_second_one_leaves_at_once() {
    let took = interrupted(&[], false);
    assert!(took >= GRACE, "its users had {took:?}");
    for options in [&[][..], &["--writable"]] {
        in_some_try("a second Ctrl-C that is not waited for", || {
            interrupted(options, true) < GRACE
        });
    }
}

#[test]
fn the_demo_is_its_user_s_alone_and_says_what_holds_it() {
    let mut child = Command::new(program())
        .arg("demo")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stderr.take().unwrap());
    let mut shown = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut foreground = Foreground { child, said };
    let first = shown.next().unwrap().unwrap();
    let mountpoint = Path::new(first.split(" mounted on ").nth(1).unwrap()).to_owned();
    let directory = mountpoint.parent().unwrap();
    let mode = directory.metadata().unwrap().permissions().mode();
    let user = User::in_directory(&mountpoint);
    foreground.interrupt();
    let line = foreground.next_line();
    foreground.interrupt();
    assert!(wait(&mut foreground.child).success());
    assert_eq!(mode & 0o777, 0o700);
    assert!(line.contains("is in use"), "{line:?}");
    drop(user);
    assert!(!directory.exists());
}

#[test]
fn ctrl_c_says_that_somebody_works_in_the_mount() {
    let env = TestEnv::new();
    let mut command = Command::new(program());
    command.args(["mount".into(), "-f".into(), env.data(), env.mountpoint()]);
    let mut foreground = Foreground::new(&mut command);
    foreground.next_line();
    let user = User::in_directory(&env.mountpoint().join("big"));
    foreground.interrupt();
    let line = foreground.next_line();
    // By whom, only somebody may know who may look into their processes.
    assert!(line.contains("is in use") && line.contains("leaves at once"), "{line:?}");
    foreground.interrupt();
    assert!(wait(&mut foreground.child).success());
    drop(user);
}

#[test]
fn a_daemon_that_does_not_answer_is_said_to_and_left_by_force() {
    let env = TestEnv::new();
    let mut mounted = env.mount(&[]);
    mounted.read("big/rows/3.npy").unwrap();
    mounted.stop();
    let path = mounted.path("big/rows/4-5.npy");
    let reader = std::thread::spawn(move || std::fs::read(path));
    // It is seen to wait: it has no other reason not to come back.
    std::thread::sleep(Duration::from_millis(100));
    assert!(!reader.is_finished());

    let refused = umount(&mounted, &[]);
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    let daemon = format!("its daemon, npyfs ({}), does not answer; ", mounted.child.id());
    let remedy = format!("npyfs umount --force {} ends", mounted.mountpoint.display());
    assert!(said.contains(&daemon) && said.contains(&remedy), "{said:?}");
    assert_eq!(mount_count(&mounted.mountpoint), 1, "there is something to be ended by force");

    assert!(umount(&mounted, &["--force"]).status.success());
    assert_eq!(mount_count(&mounted.mountpoint), 0);
    let read = in_time("the reader's end", || reader.join().unwrap());
    assert_eq!(read.unwrap_err().raw_os_error(), Some(libc::ECONNABORTED));
    mounted.signal("-CONT");
    assert!(wait(&mut mounted.child).success());
}

#[test]
fn a_dead_mount_and_a_sound_one_come_down_by_force_too() {
    let env = TestEnv::new();
    let mut mounted = env.mount(&[]);
    mounted.signal("-KILL");
    wait(&mut mounted.child);
    assert!(umount(&mounted, &["--force"]).status.success());
    assert_eq!(mount_count(&mounted.mountpoint), 0);

    let mut mounted = env.mount(&[]);
    mounted.read("big/rows/3.npy").unwrap();
    assert!(umount(&mounted, &["--force"]).status.success());
    assert_eq!(mount_count(&mounted.mountpoint), 0);
    assert!(wait(&mut mounted.child).success());
}

#[test]
fn a_daemon_that_is_busy_is_not_said_not_to_answer() {
    for _ in 0..3 {
        let env = TestEnv::new();
        let mut mounted = env.mount(&["--threads=1", "--ttl=0"]);
        let over = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..8)
            .map(|reader| {
                let (over, mountpoint) = (over.clone(), mounted.mountpoint.clone());
                std::thread::spawn(move || {
                    let mut read = 0;
                    while !over.load(Ordering::Relaxed) {
                        let path =
                            mountpoint.join(format!("big/cols/{reader}/rows/{read}-1000.raw"));
                        if std::fs::read(path).is_err() {
                            break;
                        }
                        read = (read + 1) % 1000;
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(300));
        let unmounted = umount(&mounted, &[]);
        over.store(true, Ordering::Relaxed);
        assert!(unmounted.status.success(), "{}", stderr(&unmounted));
        in_time("the readers' end", || readers.into_iter().for_each(|it| it.join().unwrap()));
        assert!(wait(&mut mounted.child).success());
    }
}
