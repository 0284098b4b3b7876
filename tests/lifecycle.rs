//! How mounts come and go: the promise is that they always come down, and never somebody else's.

mod common;

use std::fs::File;
use std::io::Read;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Output};

use common::{TestEnv, eventually, mount_count, npyfs, program, run, stderr, wait};
use rustix::mount::UnmountFlags;

#[test]
fn mount_returns_when_the_mount_is_ready_and_umount_ends_the_daemon() {
    let env = TestEnv::new();
    let (data, mnt) = (env.data(), env.mountpoint());
    let mounted = npyfs(["mount".as_ref(), data.as_os_str(), mnt.as_os_str()]);
    assert!(mounted.status.success(), "{}", stderr(&mounted));
    assert_eq!(
        std::fs::read(mnt.join("big.npy")).unwrap(),
        std::fs::read(data.join("big.npy")).unwrap()
    );
    let unmounted = npyfs(["umount".as_ref(), mnt.as_os_str()]);
    assert!(unmounted.status.success(), "{}", stderr(&unmounted));
    assert_eq!(mount_count(&mnt), 0);
    let again = npyfs(["umount".as_ref(), mnt.as_os_str()]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("nothing is mounted there"), "{}", stderr(&again));
}

#[test]
fn every_reason_not_to_mount_is_said_on_the_terminal() {
    let env = TestEnv::new();
    let (full, file) = (env.path("full"), env.path("file"));
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("entry"), "").unwrap();
    std::fs::write(&file, "not an array").unwrap();
    let inside = env.data().join("inside");
    std::fs::create_dir(&inside).unwrap();
    for (source, mountpoint, why) in [
        (env.path("missing"), env.mountpoint(), "missing: No such file or directory"),
        (env.data().join("big"), env.mountpoint(), "data/big.npy"),
        (env.data().join("big/"), env.mountpoint(), "the array is the file "),
        (env.data(), full, "full: the mountpoint is not empty"),
        (env.data(), file.clone(), "file: not a directory"),
        (env.data(), env.path("no/where"), "no/where: there is no directory "),
        (env.data(), inside.clone(), "inside: the mountpoint lies inside the source"),
        (inside, env.data(), "data: the source lies inside the mountpoint"),
        (
            env.data(),
            env.data(),
            "data: the source and the mountpoint are the same; mount on another",
        ),
        (file, env.mountpoint(), "file: not a .npy file"),
        ("/dev/null".into(), env.mountpoint(), "/dev/null: neither a directory nor a regular file"),
    ] {
        for background in [&[][..], &["-f"]] {
            let args = ["mount".as_ref(), source.as_os_str(), mountpoint.as_os_str()];
            let refused = run(Command::new(program()).args(args).args(background));
            assert_eq!(refused.status.code(), Some(1), "{why}");
            let said = stderr(&refused);
            assert!(said.contains(why), "{said:?} should say {why:?}");
            assert_eq!(said.lines().count(), 1, "{said:?}");
        }
    }
    assert_eq!(npyfs(["mount", "only-one"]).status.code(), Some(2));
    assert_eq!(npyfs(["mount", "a", "b", "-o", "nonsense"]).status.code(), Some(2));
}

#[test]
fn signals_unmount_and_end_the_daemon() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let env = TestEnv::new();
        let mut mounted = env.mount(&[]);
        mounted.read("big/rows/3.npy").unwrap();
        mounted.signal(signal);
        assert!(wait(&mut mounted.child).success(), "{signal}");
        assert_eq!(mount_count(&mounted.mountpoint), 0, "{signal}");
    }
}

#[test]
fn a_busy_mount_comes_down_too() {
    let env = TestEnv::new();
    let mut mounted = env.mount(&[]);
    let mut held = File::open(mounted.path("big/rows/0-1000.npy")).unwrap();
    assert!(npyfs(["umount".as_ref(), mounted.mountpoint.as_os_str()]).status.success());
    assert_eq!(mount_count(&mounted.mountpoint), 0);
    // What was open is served to its end, and then the daemon ends by itself.
    let mut bytes = Vec::new();
    held.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), 128 + 80_000);
    drop(held);
    assert!(wait(&mut mounted.child).success());

    let mut mounted = env.mount(&[]);
    let held = File::open(mounted.path("big/rows/0-1000.npy")).unwrap();
    mounted.signal("-TERM");
    assert!(wait(&mut mounted.child).success());
    assert_eq!(mount_count(&mounted.mountpoint), 0);
    drop(held);
}

#[test]
fn a_dead_mount_is_recognised_and_cleaned() {
    let env = TestEnv::new();
    let mut mounted = env.mount(&[]);
    mounted.signal("-KILL");
    wait(&mut mounted.child);
    assert_eq!(mount_count(&mounted.mountpoint), 1);
    let (data, mnt) = (env.data(), env.mountpoint());
    let refused = npyfs(["mount".as_ref(), data.as_os_str(), mnt.as_os_str()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("a dead mount is in the way; npyfs umount"),
        "{}",
        stderr(&refused)
    );
    assert!(npyfs(["umount".as_ref(), mnt.as_os_str()]).status.success());
    assert_eq!(mount_count(&mnt), 0);
    drop(env.mount(&[]));
}

#[test]
fn auto_unmount_cleans_up_after_a_killed_daemon() {
    let env = TestEnv::new();
    let mut mounted = env.mount(&["--auto-unmount"]);
    // The watcher starts after the mount; a read is answered only when it was started.
    mounted.read("big/rows/3.npy").unwrap();
    mounted.signal("-KILL");
    wait(&mut mounted.child);
    eventually("the watcher to unmount", || mount_count(&mounted.mountpoint) == 0);
}

#[test]
fn a_newer_mount_at_the_same_place_survives_the_end_of_the_older() {
    let env = TestEnv::new();
    let mut old = env.mount(&[]);
    let held = File::open(old.path("big/rows/0-1000.npy")).unwrap();
    assert!(run(Command::new("umount").arg("-l").arg(&old.mountpoint)).status.success());
    let new = env.mount(&[]);
    old.signal("-TERM");
    assert!(wait(&mut old.child).success());
    drop(held);
    assert_eq!(mount_count(&new.mountpoint), 1);
    assert_eq!(new.read("big/rows/3.raw").unwrap().len(), 80);
}

#[test]
fn a_mount_that_got_the_numbers_of_an_older_one_survives_its_end() {
    let env = TestEnv::new();
    for _ in 0..5 {
        let mut old = env.mount(&["--auto-unmount"]);
        // The watcher starts after the mount; a read is answered only when it was started.
        old.read("big/rows/3.npy").unwrap();
        // It does not come to know that it was unmounted.
        old.stop();
        rustix::mount::unmount(&old.mountpoint, UnmountFlags::empty()).unwrap();
        let new = env.mount(&[]);
        let watcher = format!("/proc/{}/task/{0}/children", old.child.id());
        let watcher = std::fs::read_to_string(watcher).unwrap().trim().to_owned();
        old.signal("-KILL");
        wait(&mut old.child);
        eventually("the watcher's end", || {
            let command = std::fs::read(format!("/proc/{watcher}/cmdline")).unwrap_or_default();
            command.is_empty()
        });
        assert_eq!(mount_count(&new.mountpoint), 1);
        assert_eq!(new.read("big/rows/3.raw").unwrap().len(), 80);
    }
}

#[test]
fn the_mount_of_another_filesystem_is_left_alone() {
    let env = TestEnv::new();
    let other = env.mountpoint();
    std::fs::create_dir(&other).unwrap();
    let mounted = run(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&other));
    assert!(mounted.status.success(), "{}", stderr(&mounted));
    let refused = npyfs(["umount".as_ref(), other.as_os_str()]);
    let remaining = mount_count(&other);
    assert!(run(Command::new("umount").arg(&other)).status.success());
    assert_eq!((refused.status.code(), remaining), (Some(1), 1));
    assert!(stderr(&refused).contains("mounted there is tmpfs, not npyfs"), "{}", stderr(&refused));
}

#[test]
fn root_needs_no_fusermount() {
    let env = TestEnv::new();
    let mounted = env.mount_by(Command::new(program()).args(["mount", "-f"]).env("PATH", ""));
    assert_eq!(mounted.read("big/rows/3.raw").unwrap().len(), 80);
}

/// Runs in a mount namespace of its own, in which everybody may open /dev/fuse, as is usual.
const AS_ORDINARY_USER: &str = r#"
    cd "$1"
    mknod fuse c 10 229
    chmod 666 fuse
    mount --bind fuse /dev/fuse
    exec setpriv --reuid 65534 --regid 65534 --clear-groups sh -uc "$2"
"#;

impl TestEnv {
    /// Runs a script as an ordinary user, in a directory with `npyfs`, `data`, and `mnt`, their own.
    fn run_as_ordinary_user(&self, script: &str) -> Output {
        const NOBODY: u32 = 65534;
        let everyone = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.path(""), everyone.clone()).unwrap();
        // The build directory may be out of that user's reach.
        // By another process: a program that is open for writing, in a child of another test too, runs not.
        assert!(run(Command::new("cp").arg(program()).arg(self.path("npyfs"))).status.success());
        std::fs::set_permissions(self.path("npyfs"), everyone).unwrap();
        std::fs::create_dir(self.mountpoint()).unwrap();
        std::os::unix::fs::chown(self.mountpoint(), Some(NOBODY), Some(NOBODY)).unwrap();
        let unshare = ["--mount", "--propagation", "private", "sh", "-euc", AS_ORDINARY_USER, "sh"];
        run(Command::new("unshare").args(unshare).arg(self.path("")).arg(script))
    }
}

#[test]
fn an_ordinary_user_mounts_through_fusermount() {
    let env = TestEnv::new();
    let secret = env.data().join("secret.npy");
    std::fs::write(&secret, common::counting(&[3])).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let ran = env.run_as_ordinary_user(
        r#"
        set -e
        trap "./npyfs umount mnt" EXIT
        ./npyfs mount data mnt
        wc -c < mnt/big/rows/3.raw
        ! cat mnt/secret.npy
        ! ls mnt/secret
        "#,
    );
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}{}", stderr(&ran));
    assert_eq!(said, "80\n", "{}", stderr(&ran));
}

#[test]
fn the_mount_of_another_user_is_said_to_be_theirs() {
    let env = TestEnv::new();
    let mounted = env.mount(&[]);
    let npyfs = env.path("npyfs");
    assert!(run(Command::new("cp").arg(program()).arg(&npyfs)).status.success());
    for open in [&npyfs, &env.path("")] {
        std::fs::set_permissions(open, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let mut command = Command::new("setpriv");
    command.args(user).arg(&npyfs).arg("umount").arg(&mounted.mountpoint);
    let refused = run(&mut command);
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(said.ends_with("mnt: only root, who mounted it, can unmount it\n"), "{said}");
    assert_eq!(mount_count(&mounted.mountpoint), 1);
}

#[test]
fn the_current_directory_is_unmounted_by_its_name() {
    let env = TestEnv::new();
    let mounted = env.mount(&[]);
    let inside = mounted.path("big/rows");
    for command in ["umount", "stats"] {
        let refused = run(Command::new(program()).arg(command).arg(&inside));
        assert_eq!(refused.status.code(), Some(1));
        let why = format!(
            "nothing is mounted there; it lies in the mount {}",
            mounted.mountpoint.display()
        );
        assert_eq!(stderr(&refused), format!("npyfs: {}: {why}\n", inside.display()));
    }
    let mountpoint = env.path("entered");
    std::fs::create_dir(&mountpoint).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-ec", r#""$0" mount "$1" "$2"; "$0" stats . | head -n 1; "$0" umount ."#]);
    shell.arg(program()).arg(env.data()).arg(&mountpoint).current_dir(&mountpoint);
    let done = run(&mut shell);
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(String::from_utf8_lossy(&done.stdout).contains(&*mountpoint.to_string_lossy()));
    assert_eq!(mount_count(&mountpoint), 0);
}

#[test]
fn a_source_that_its_user_cannot_read_is_not_mounted() {
    let env = TestEnv::new();
    for mode in [0o700, 0o711, 0o744] {
        let closed = env.path(&format!("closed{mode:o}"));
        std::fs::create_dir(&closed).unwrap();
        std::fs::write(closed.join("big.npy"), common::counting(&[3])).unwrap();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let file = env.path("file.npy");
    std::fs::write(&file, common::counting(&[3])).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let ran = env.run_as_ordinary_user(
        r#"
        for source in closed700 closed711 closed744 file.npy; do
            ./npyfs mount $source mnt && ./npyfs umount mnt
            echo $?
        done
        "#,
    );
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "1\n".repeat(4), "{}", stderr(&ran));
    let said = stderr(&ran);
    assert_eq!(said.lines().count(), 4, "{said}");
    for (line, source) in said.lines().zip(["closed700", "closed711", "closed744", "file.npy"]) {
        assert!(line.contains(&format!("{source}: Permission denied")), "{line}");
    }
}

#[test]
fn fusermount_is_missing_also_where_a_directory_of_path_is_closed() {
    let env = TestEnv::new();
    let closed = env.path("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    let ran = env.run_as_ordinary_user(
        r#"
        PATH="/nowhere" ./npyfs mount data mnt
        PATH="$PWD/closed:/nowhere" ./npyfs mount data mnt
        "#,
    );
    let said = stderr(&ran);
    assert_eq!(said.lines().count(), 2, "{said}");
    for line in said.lines() {
        assert!(line.contains("or install fusermount3 (package fuse3)"), "{line}");
    }
}

#[test]
fn a_single_file_is_mounted_as_its_array() {
    let env = TestEnv::new();
    let (file, mnt) = (env.data().join("big.npy"), env.mountpoint());
    assert!(npyfs(["mount".as_ref(), file.as_os_str(), mnt.as_os_str()]).status.success());
    let header = std::fs::read_to_string(mnt.join("header.json")).unwrap();
    let row = std::fs::read(mnt.join("rows/3.raw")).unwrap();
    // Another file of the same name is another array.
    std::fs::write(env.path("new"), common::counting(&[5])).unwrap();
    std::fs::rename(env.path("new"), &file).unwrap();
    let mut size = 0;
    eventually("the new version", || {
        size = std::fs::metadata(mnt.join("rows/0-5.raw")).map_or(0, |meta| meta.len());
        size == 40
    });
    assert!(npyfs(["umount".as_ref(), mnt.as_os_str()]).status.success());
    assert!(header.contains("\"source\": \"big.npy\""), "{header}");
    assert_eq!(row.len(), 80);
}

#[test]
fn fstab_and_mount_call_it_without_a_command() {
    let env = TestEnv::new();
    let (data, mnt) = (env.data(), env.mountpoint());
    for (options, said) in [
        // As mount.fuse3 passes them on.
        ("rw,nodev,suid,nofail,ttl=2", ""),
        (
            "noatime,fsname=data",
            "npyfs: -o noatime has no effect here, and is ignored\n\
         npyfs: -o fsname=data has no effect here, and is ignored\n",
        ),
    ] {
        let options = ["-o".as_ref(), options.as_ref()];
        let mounted = npyfs([data.as_os_str(), mnt.as_os_str()].into_iter().chain(options));
        assert!(mounted.status.success(), "{}", stderr(&mounted));
        assert_eq!(stderr(&mounted), said);
        assert!(npyfs(["umount".as_ref(), mnt.as_os_str()]).status.success());
    }
    let refused = npyfs([data.as_os_str(), mnt.as_os_str(), "-o".as_ref(), "uid=1000".as_ref()]);
    assert_eq!(refused.status.code(), Some(2));
    let said = stderr(&refused);
    assert!(
        said.contains("-o uid=1000: files show the owners that they have in the source"),
        "{said}"
    );
}

#[test]
fn a_mount_comes_down_when_the_program_that_made_it_is_gone() {
    for foreground in [false, true] {
        let env = TestEnv::new();
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut command = Command::new(program());
        command.args(["mount", "--until-eof"]).args(foreground.then_some("-f"));
        command.args([env.data(), env.mountpoint()]).stdin(OwnedFd::from(theirs));
        let mut child = command.spawn().unwrap();
        drop(command);
        eventually("the mount", || mount_count(&env.mountpoint()) == 1);
        // Strided, and so not given to the kernel when it is opened.
        let mut open = File::open(env.mountpoint().join("big/slice/::-1.raw")).unwrap();
        ours.shutdown(Shutdown::Write).unwrap();
        ours.set_read_timeout(Some(common::PATIENCE)).unwrap();
        assert_eq!(ours.read(&mut [0]).unwrap(), 0, "it closes its end");
        assert_eq!(mount_count(&env.mountpoint()), 0);
        assert_eq!(open.read_to_end(&mut Vec::new()).unwrap(), 80_000, "what is open is served");
        drop(open);
        assert!(wait(&mut child).success());
    }
}

#[test]
fn a_mount_that_another_covers_is_not_served_when_the_program_that_made_it_is_gone() {
    let env = TestEnv::new();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut command = Command::new(program());
    command.args(["mount", "-f", "--until-eof"]).args([env.data(), env.mountpoint()]);
    let mut child = command.stdin(OwnedFd::from(theirs)).spawn().unwrap();
    drop(command);
    eventually("the mount", || mount_count(&env.mountpoint()) == 1);
    let umount = || run(Command::new("umount").arg(env.mountpoint())).status.success();
    let tmpfs = run(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(env.mountpoint()));
    assert!(tmpfs.status.success());
    drop(ours);
    let ended = wait(&mut child);
    assert!(umount() && umount());
    assert!(ended.success());
}

#[test]
fn the_log_goes_where_it_is_sent() {
    let env = TestEnv::new();
    let log = env.path("log");
    let mounted = env.mount(&["--log-file", log.to_str().unwrap()]);
    // Strided, and so not given to the kernel when it is opened.
    let held = File::open(mounted.path("big/slice/::-1.raw")).unwrap();
    File::options().write(true).open(env.data().join("big.npy")).unwrap().set_len(500).unwrap();
    for _ in 0..30 {
        let mut byte = [0];
        assert!(std::os::unix::fs::FileExt::read_at(&held, &mut byte, 70_000).is_err());
    }
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("big.npy: header says 80128 bytes, the file has 500"), "{text}");
    assert!(text.lines().count() <= 10, "a storm of errors is not written out: {text}");
}
