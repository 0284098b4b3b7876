//! `npyfs stats` and `npyfs mounts`, which ask the daemons of mounts what they do.

mod common;

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use common::{Mounted, TestEnv, eventually, npyfs, program, run, stderr, wait};
use serde_json::Value;

const FILE: &str = ".npyfs/stats.json";

/// The program where every user finds it. It is copied by another process: a program that is open for writing, in a child
/// of another test too, runs not.
fn copied(env: &TestEnv) -> PathBuf {
    let copy = env.path("npyfs");
    assert!(run(Command::new("cp").arg(program()).arg(&copy)).status.success());
    std::fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
    copy
}

/// What `npyfs stats` says, once the daemon has found the time to answer.
fn stats(mounted: &Mounted, options: &[&str]) -> Output {
    let words = [&["stats", mounted.mountpoint.to_str().unwrap()], options].concat();
    let mut said = npyfs(&words);
    eventually("an answer", || {
        let is_silent = stderr(&said).contains("does not answer");
        if is_silent {
            said = npyfs(&words);
        }
        !is_silent
    });
    said
}

#[test]
fn stats_prints_them_for_people_and_for_programs() {
    let env = TestEnv::new();
    let mounted = env.mount(&[]);
    mounted.read("big/rows/0-40.npy").unwrap();
    assert!(std::fs::metadata(mounted.path("nothing")).is_err());
    let said = stats(&mounted, &[]);
    assert!(said.status.success(), "{}", stderr(&said));
    let text = String::from_utf8(said.stdout).unwrap();
    let (data, mnt) = (env.data(), env.mountpoint());
    let first = format!("{} on {}: npyfs ", data.display(), mnt.display());
    assert!(text.starts_with(&first), "{text}");
    assert!(text.contains(&format!(", process {}, up ", mounted.child.id())), "{text}");
    let has = |words: &str| {
        text.lines()
            .any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(words))
    };
    for line in [
        "requests number each together",
        "lookup ",
        "open 1 ",
        "given 3.25 KiB",
        "given 1",
        "source files 1",
    ] {
        assert!(has(line), "{line:?}: {text}");
    }
    assert!(text.contains("(there is no such name)") && !text.contains("a second"), "{text}");

    let said = stats(&mounted, &["--json"]);
    let read: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(read["opens"]["given"], 1);
    assert!(said.stdout.starts_with(b"{\n"), "as the file is");
}

/// `npyfs stats --watch` of a mount, by this program, and the first line of each of its looks.
fn watch(program: &Path, mounted: &Mounted) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut watching = Command::new(program)
        .args(["stats", "--watch=0.1"])
        .arg(&mounted.mountpoint)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(watching.stdout.take().unwrap()).lines().map(Result::unwrap);
    (watching, lines.filter(|line| line.starts_with("requests")))
}

#[test]
fn stats_looks_again_and_says_how_much_came_a_second() {
    let env = TestEnv::new();
    let mounted = env.mount(&[]);
    let (mut watching, looks) = watch(Path::new(program()), &mounted);
    let heads: Vec<String> =
        looks.take(2).inspect(|_| drop(mounted.read("big/rows/3.npy"))).collect();
    watching.kill().unwrap();
    wait(&mut watching);
    assert!(!heads[0].contains("a second") && heads[1].ends_with("a second"), "{heads:?}");
    assert_eq!(npyfs(["stats", "--watch=0", "x"]).status.code(), Some(2));
}

#[test]
fn a_mount_that_cannot_be_asked_is_said_to_be_what_it_is() {
    let env = TestEnv::new();
    let refused = |said: Output, why: &str| {
        assert_eq!(said.status.code(), Some(1));
        assert!(stderr(&said).contains(why), "{}", stderr(&said));
    };
    refused(npyfs(["stats".as_ref(), env.data().as_os_str()]), "nothing is mounted there");
    refused(npyfs(["stats", "/proc"]), "what is mounted there is proc, not npyfs");
    env.open_to_all();
    let mut mounted = env.mount(&[]);
    let mut other = Command::new(copied(&env));
    other.arg("stats").arg(&mounted.mountpoint).uid(12_345).gid(12_345).current_dir("/");
    refused(
        run(&mut other),
        "root mounted it for no other user; mount with --allow-other to let others in",
    );

    mounted.signal("-KILL");
    wait(&mut mounted.child);
    let mnt = mounted.mountpoint.display();
    let why = format!("its daemon is dead; npyfs umount {mnt} removes the mount");
    refused(stats(&mounted, &[]), &why);
    refused(npyfs(["info".as_ref(), mounted.mountpoint.as_os_str()]), &why);
    let (line, value) = mount_of(&mounted);
    assert!(line.ends_with(&format!("  dead; npyfs umount {mnt} removes the mount")), "{line}");
    assert_eq!(value["daemon"], "dead");
    drop(mounted);

    std::fs::create_dir(env.data().join(".npyfs")).unwrap();
    let hidden = env.mount(&[]);
    refused(stats(&hidden, &[]), "a .npyfs in the source hides it");
    assert_eq!(answered(&hidden).1["daemon"], "answers");
    let file = env.data().join(FILE);
    symlink("../big.npy", &file).unwrap();
    refused(stats(&hidden, &[]), "a .npyfs in the source hides it");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(file).unwrap();
    refused(stats(&hidden, &[]), "a .npyfs in the source hides it");
}

#[test]
fn stats_goes_on_after_the_program_is_replaced() {
    let env = TestEnv::new();
    let mounted = env.mount(&[]);
    let copy = copied(&env);
    let (mut watching, mut looks) = watch(&copy, &mounted);
    looks.next().unwrap();
    std::fs::remove_file(copy).unwrap();
    assert!(looks.nth(2).is_some());
    watching.kill().unwrap();
    wait(&mut watching);
}

#[test]
fn why_nothing_is_known_of_a_daemon_is_said() {
    let env = TestEnv::new();
    let mounted = env.mount(&[]);
    let script = "ulimit -n 4; exec \"$0\" mounts";
    let said = run(Command::new("sh").args(["-c", script, program()]));
    let text = String::from_utf8_lossy(&said.stdout);
    let path = mounted.mountpoint.to_str().unwrap();
    let line = text.lines().find(|line| line.contains(path)).unwrap();
    assert!(line.contains("  unknown: ") && line.contains("Too many open files"), "{line}");
}

#[test]
fn a_daemon_that_does_not_answer_keeps_no_command_waiting() {
    let env = TestEnv::new();
    let mounted = env.mount(&[]);
    mounted.stop();
    let asking = Command::new(program())
        .arg("stats")
        .arg(&mounted.mountpoint)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (line, value) = mount_of(&mounted);
    assert!(line.contains("  does not answer; npyfs umount --force "), "{line}");
    assert_eq!((&value["daemon"], &value["pid"]), (&"silent".into(), &Value::Null));
    let said = asking.wait_with_output().unwrap();
    let why = "its daemon does not answer; npyfs umount --force ";
    assert!(!said.status.success() && stderr(&said).contains(why), "{}", stderr(&said));
    let typed = mounted.path("bi").to_str().unwrap().to_owned();
    let completed = npyfs(["complete", "fish", "--", "npyfs", "cat", &typed]);
    assert!(completed.status.success() && completed.stdout.is_empty());
    eventually("the process that asked to be gone", || !is_asked(&typed));
    mounted.signal("-CONT");
    let completed = npyfs(["complete", "fish", "--", "npyfs", "cat", &typed]);
    assert!(!completed.stdout.is_empty());
}

/// Whether there is a process that is to complete what was typed.
fn is_asked(typed: &str) -> bool {
    let mut processes = std::fs::read_dir("/proc").unwrap();
    processes.any(|process| {
        let words = std::fs::read(process.unwrap().path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        words.contains("\0--awaited\0") && words.contains(typed)
    })
}

/// What `npyfs mounts` says of a mount, once its daemon has found the time to answer.
fn answered(mounted: &Mounted) -> (String, Value) {
    let mut said = mount_of(mounted);
    eventually("an answer", || {
        let is_silent = said.1["daemon"] == "silent" || said.0.contains("does not answer");
        if is_silent {
            said = mount_of(mounted);
        }
        !is_silent
    });
    said
}

/// Goes to a mount namespace without the mounts of other tests, which count how often they are asked.
const ALONE: &str = r#"
    cd "$1"
    mount -t tmpfs tmpfs "$(dirname "$1")"
    mkdir "$1"
    mount --no-canonicalize --rbind . "$1"
    cd "$1"
    shift
"#;

/// What a script says there, whose arguments are the program and these words.
fn alone(mounted: &Mounted, script: &str, words: &[&str]) -> Output {
    let mut command = Command::new("unshare");
    let script = [ALONE, script].concat();
    command.args(["--mount", "--propagation", "private", "sh", "-euc", &script, "sh"]);
    run(command.arg(mounted.mountpoint.parent().unwrap()).arg(program()).args(words))
}

/// What `npyfs mounts` says of a mount: its line, and its object.
fn mount_of(mounted: &Mounted) -> (String, Value) {
    let [people, programs] = std::thread::scope(|scope| {
        [&["mounts"][..], &["mounts", "--json"]]
            .map(|words| scope.spawn(move || alone(mounted, "\"$@\"", words)))
            .map(|said| said.join().unwrap())
    });
    assert!(people.status.success() && programs.status.success(), "{}", stderr(&people));
    let path = mounted.mountpoint.to_str().unwrap();
    let text = String::from_utf8(people.stdout).unwrap();
    assert!(text.starts_with("SOURCE "), "{text}");
    let line = text.lines().find(|line| line.contains(path)).unwrap();
    let values: Vec<Value> = serde_json::from_slice(&programs.stdout).unwrap();
    let value = values.into_iter().find(|value| value["mountpoint"] == path).unwrap();
    (line.to_owned(), value)
}

#[test]
fn mounts_lists_what_is_mounted_by_whom_and_how() {
    let env = TestEnv::new();
    let mounted = env.mount(&["--writable", "--allow-other"]);
    let (line, value) = answered(&mounted);
    let words: Vec<&str> = line.split_whitespace().collect();
    let (data, mnt) = (env.data(), env.mountpoint());
    assert_eq!(
        words[..4],
        [data.to_str().unwrap(), mnt.to_str().unwrap(), "root", "rw,allow_other"]
    );
    assert!(line.contains(&format!("process {}, up ", mounted.child.id())), "{line}");
    assert_eq!(value["source"], data.to_str().unwrap());
    assert_eq!((&value["owner"], &value["daemon"]), (&"root".into(), &"answers".into()));
    assert_eq!((&value["writable"], &value["allow_other"]), (&true.into(), &true.into()));
    assert_eq!(value["pid"], mounted.child.id());
}

#[test]
fn a_mount_that_another_covers_is_not_listed() {
    let env = TestEnv::new();
    let mounted = env.mount(&[]);
    for covered in [mounted.mountpoint.clone(), env.path("")] {
        assert_eq!(answered(&mounted).1["pid"], mounted.child.id());
        let script = "mount -t tmpfs tmpfs \"$2\"; \"$1\" mounts";
        let listed = alone(&mounted, script, &[covered.to_str().unwrap()]);
        let text = String::from_utf8(listed.stdout.clone()).unwrap();
        assert!(listed.status.success() && text.is_empty(), "{text}{}", stderr(&listed));
    }
}

/// Runs as root in a mount namespace of its own, in which an ordinary user can mount.
const USER_MOUNTS: &str = r#"
    cd "$1"
    mknod fuse c 10 229
    chmod 666 fuse
    mount --bind fuse /dev/fuse
    mkdir mnt
    chown 65534:65534 mnt
    user="setpriv --reuid 65534 --regid 65534 --clear-groups"
"#;

/// After that. Root's program lies where the user cannot run it.
const ROOT_ASKS: &str = r#"
    $user ./npyfs mount data mnt
    trap "./npyfs umount mnt" EXIT
    mkdir -m 700 closed
    mv npyfs closed
    ln -s closed/npyfs npyfs
    ! ls mnt
    ./npyfs stats mnt
    unshare --mount --propagation private sh -euc "$2 ./npyfs mounts" sh "$1"
"#;

/// After that too. Root could read as root here.
const USER_LOOKS: &str = r#"
    echo user_allow_other > fuse.conf
    touch /etc/fuse.conf
    mount --bind fuse.conf /etc/fuse.conf
    $user ./npyfs mount --allow-other data mnt
    daemon=$(./npyfs stats --json mnt | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')
    trap "kill -CONT $daemon; ./npyfs umount mnt" EXIT
    kill -STOP $daemon
    until [ -z "$(grep -L '^State:.T' /proc/$daemon/task/*/status)" ]; do :; done
    SECRET=x ./npyfs stats mnt > /dev/null &
    asks() { tr '\0' ' ' < /proc/$1/cmdline | grep -q " read " && grep -q '^Uid:.65534.65534.65534' /proc/$1/status; }
    until child=$(tr -d ' ' < /proc/$!/task/$!/children) && [ "$child" ] && asks $child; do kill -0 $!; done
    ! $user cat /proc/$child/environ
    ! $user ls /proc/$child/fd
    ! $user ls /proc/$child/cwd/
    if grep SECRET /proc/$child/environ; then exit 1; fi
    grep -q '^Groups:. $' /proc/$child/status
    grep '^CapPrm:.0*$' /proc/$child/status
"#;

/// What a script says after `USER_MOUNTS`.
fn with_users_mount(env: &TestEnv, script: &str) -> Output {
    env.open_to_all();
    copied(env);
    let script = [USER_MOUNTS, script].concat();
    let unshare = ["--mount", "--propagation", "private", "sh", "-euc", &script, "sh"];
    run(Command::new("unshare").args(unshare).arg(env.path("")).arg(ALONE))
}

#[test]
fn the_owner_cannot_look_into_the_process_that_asks_for_root() {
    let env = TestEnv::new();
    let ran = with_users_mount(&env, USER_LOOKS);
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.starts_with("CapPrm"), "{said}{}", stderr(&ran));
    assert_eq!(stderr(&ran).matches("Permission denied").count(), 3, "{}", stderr(&ran));
}

#[test]
fn root_asks_as_the_owner_where_nobody_else_is_let_in() {
    let env = TestEnv::new();
    let ran = with_users_mount(&env, ROOT_ASKS);
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}{}", stderr(&ran));
    assert!(stderr(&ran).contains("Permission denied"), "{}", stderr(&ran));
    let mnt = env.mountpoint();
    let listed = said.lines().find(|line| line.contains(&format!(" {} ", mnt.display()))).unwrap();
    assert!(said.contains("requests ") && listed.contains("  nobody  "), "{said}");
    assert!(
        listed.contains(concat!("  npyfs ", env!("CARGO_PKG_VERSION"), ", process ")),
        "{said}"
    );
}
