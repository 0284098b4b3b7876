//! Mounts that others make at boot: mount(8) from a line of fstab, and a service manager.

mod common;

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{Command, Output};

use common::{Mounted, PATIENCE, TestEnv, mount_count, program, run, stderr};

/// Runs a script in `env`, where mount(8) finds npyfs as its helper for both of its names, and no helper of FUSE.
/// What is mounted is seen by nobody else.
fn with_helpers(env: &TestEnv, script: &str) -> Output {
    const PREPARE: &str = r#"
        cd "$1"
        mkdir helpers mnt
        ln -s "$2" helpers/mount.npyfs
        ln -s "$2" helpers/mount.fuse.npyfs
        mknod helpers/mount.fuse c 0 0
        mknod helpers/mount.fuse3 c 0 0
        mount -t overlay -o "lowerdir=$PWD/helpers:/usr/sbin" overlay /usr/sbin
        test ! -e /sbin/mount.fuse3
    "#;
    let script = [PREPARE, script].concat();
    let unshare = ["--mount", "--propagation", "private", "sh", "-euc", &script, "sh"];
    run(Command::new("unshare").args(unshare).arg(env.path("")).arg(program()))
}

#[test]
fn lines_of_fstab_are_mounted_by_either_name_of_the_type() {
    let env = TestEnv::new();
    for kind in ["npyfs", "fuse.npyfs"] {
        let env = TestEnv::new();
        std::fs::write(
            env.path("fstab"),
            format!(
                "{} {} {kind} writable,allow_other,ttl=5,nofail,x-systemd.automount 0 0\n",
                env.data().display(),
                env.mountpoint().display()
            ),
        )
        .unwrap();
        let ran = with_helpers(
            &env,
            r#"
            for once_or_twice in 1 2; do
                mount --all --fstab fstab
                grep " $PWD/mnt fuse.npyfs rw,.*allow_other" /proc/self/mounts
            done
            cmp data/big.npy mnt/big.npy
            cat data/big.npy >mnt/big.npy
            umount mnt
            "#,
        );
        assert!(ran.status.success(), "{kind}: {}", stderr(&ran));
        let lines = String::from_utf8(ran.stdout).unwrap();
        assert_eq!(lines.lines().count(), 2, "{kind}: {lines}");
    }
    let ran = with_helpers(
        &env,
        r#"
        mount -t npyfs data mnt
        grep " $PWD/mnt fuse.npyfs ro," /proc/self/mounts
        umount mnt
        mount --fake -v -t npyfs data mnt
        ! mount -t npyfs data mnt -o nonsense
        ! mount -t npyfs missing mnt
        ! grep " $PWD/mnt " /proc/self/mounts
        "#,
    );
    assert!(ran.status.success(), "{}", stderr(&ran));
    let said = stderr(&ran);
    assert!(said.contains("-o nonsense: there is no such option"), "{said}");
    assert!(said.contains("missing: No such file or directory"), "{said}");
}

/// Mounts as a service manager does that waits for a word on a socket, and returns what it is told.
fn told(env: &TestEnv, socket: &UnixDatagram, name: &str) -> (Mounted, String) {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = Command::new(program());
    let mounted = env.mount_by(command.args(["mount", "-f"]).env("NOTIFY_SOCKET", name));
    let mut said = [0; 100];
    let length = socket.recv(&mut said).unwrap();
    (mounted, String::from_utf8_lossy(&said[..length]).into_owned())
}

#[test]
fn a_service_manager_is_told_when_the_mount_is_ready() {
    let env = TestEnv::new();
    let path = env.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let (mounted, said) = told(&env, &socket, path.to_str().unwrap());
    assert_eq!(said, "READY=1");
    assert_eq!(mount_count(&mounted.mountpoint), 1);
    drop(mounted);

    let name = format!("npyfs-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    let (_mounted, said) = told(&env, &socket, &format!("@{name}"));
    assert_eq!(said, "READY=1");
}

#[test]
fn a_service_manager_that_is_gone_keeps_nobody_from_mounting() {
    let env = TestEnv::new();
    let mut command = Command::new(program());
    let mounted = env.mount_by(command.args(["mount", "-f"]).env("NOTIFY_SOCKET", "/nowhere"));
    assert!(mounted.read("big/rows/0.raw").is_ok());
}

#[test]
fn the_unit_is_one_that_systemd_understands() {
    let env = TestEnv::new();
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/systemd/npyfs@.service");
    let text = std::fs::read_to_string(unit).unwrap();
    // It need not be installed for this.
    assert!(text.contains("=npyfs mount "), "{text}");
    let installed = text.replace("=npyfs mount ", &format!("={} mount ", program()));
    let path = env.path("npyfs@.service");
    std::fs::write(&path, installed).unwrap();
    let verified = run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path));
    assert!(verified.status.success(), "{}", stderr(&verified));
    assert_eq!(stderr(&verified), "");
}
