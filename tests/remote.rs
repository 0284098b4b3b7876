//! What others make of a mount: a client that knows it by path, and one that keeps file handles.

#![allow(unsafe_code)]

mod common;

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::{TestEnv, counting, eventually, in_time, mount_count, run};

/// Where Debian and others keep it.
const SFTP_SERVERS: [&str; 3] = [
    "/usr/lib/openssh/sftp-server",
    "/usr/lib/ssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
];

/// A mount by `sshfs` whose other end is an sftp server on this machine, without a network.
struct Remote {
    mountpoint: PathBuf,
    server: String,
    client: Child,
}

impl Remote {
    fn of(served: &Path, env: &TestEnv) -> Remote {
        let server = SFTP_SERVERS.iter().find(|server| Path::new(server).exists());
        let server = server.expect("this test needs an sftp-server");
        // In place of ssh: it says which process it is, and becomes the server.
        let (ssh, pid) = (env.path("ssh"), env.path("pid"));
        let script = format!("#!/bin/sh\necho $$ > {}\nexec {server} -R\n", pid.display());
        std::fs::write(&ssh, script).unwrap();
        std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mountpoint = env.path("remote");
        std::fs::create_dir(&mountpoint).unwrap();
        let client = Command::new("sshfs")
            .arg("-f")
            .arg(format!("-ossh_command={}", ssh.display()))
            .arg(format!("host:{}", served.display()))
            .arg(&mountpoint)
            .stdin(Stdio::null())
            .spawn()
            .expect("this test needs sshfs");
        let mut remote = Remote { mountpoint, server: String::new(), client };
        eventually("sshfs to mount", || {
            assert!(remote.client.try_wait().unwrap().is_none(), "sshfs ended at once");
            mount_count(&remote.mountpoint) > 0
        });
        eventually("the server to say its number", || {
            let text = std::fs::read_to_string(&pid).unwrap_or_default();
            text.trim().clone_into(&mut remote.server);
            text.ends_with('\n')
        });
        remote
    }

    /// How many bytes the server has written, which all go to the client.
    fn sent(&self) -> u64 {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.server)).unwrap();
        io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap().parse().unwrap()
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("-l").arg(&self.mountpoint));
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

#[test]
fn a_remote_client_fetches_a_slice_and_not_the_array() {
    /// Names, attributes, and what frames the data.
    const PROTOCOL: u64 = 8 << 10;
    let env = TestEnv::new();
    let array = counting(&[20_000, 100]);
    std::fs::write(env.data().join("large.npy"), &array).unwrap();
    let mounted = env.mount(&[]);
    let remote = Remote::of(&mounted.mountpoint, &env);
    for (path, expected) in [
        ("large/rows/0-50.npy", counting(&[50, 100])),
        ("large/rows/7000-7050.raw", array[128 + 7000 * 800..][..50 * 800].to_vec()),
    ] {
        let before = remote.sent();
        let path = remote.mountpoint.join(path);
        let bytes = in_time("a read by sftp", move || std::fs::read(path)).unwrap();
        assert!(bytes == expected);
        let (sent, holds) = (remote.sent() - before, bytes.len() as u64);
        assert!((holds..holds + PROTOCOL).contains(&sent), "{sent} bytes for a file of {holds}");
    }
}

/// A handle as the system calls want it: how many bytes, of what type, and room for them.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileHandle {
    bytes: u32,
    kind: i32,
    handle: [u8; 128],
}

impl FileHandle {
    fn of(path: &Path) -> io::Result<FileHandle> {
        let mut handle = FileHandle { bytes: 128, kind: 0, handle: [0; 128] };
        let path = CString::new(path.as_os_str().as_bytes()).unwrap();
        let mut mount_id = 0;
        // SAFETY: `handle` has the layout of the kernel's struct, and the room that it says.
        let done = unsafe {
            libc::syscall(
                libc::SYS_name_to_handle_at,
                libc::AT_FDCWD,
                path.as_ptr(),
                &raw mut handle,
                &raw mut mount_id,
                0,
            )
        };
        if done == 0 { Ok(handle) } else { Err(io::Error::last_os_error()) }
    }

    fn open(&self, mount: &File) -> io::Result<File> {
        let mount = mount.as_raw_fd();
        // SAFETY: as above.
        let opened = unsafe {
            libc::syscall(
                libc::SYS_open_by_handle_at,
                mount,
                std::ptr::from_ref(self),
                libc::O_RDONLY | libc::O_CLOEXEC,
            )
        };
        match i32::try_from(opened) {
            // SAFETY: the descriptor is new, and nobody else has it.
            Ok(fd) if fd >= 0 => Ok(unsafe { File::from_raw_fd(fd) }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[test]
fn a_file_handle_is_stale_once_its_file_is_forgotten_and_never_another_file() {
    let env = TestEnv::new();
    let mounted = env.mount(&["--ttl", "0.01"]);
    let root = File::open(&mounted.mountpoint).unwrap();
    let path = mounted.path("big/rows/2.raw");
    let kept = File::open(&path).unwrap();
    let first = FileHandle::of(&path).unwrap();
    // As long as the kernel has the file, so has the handle.
    let value = |file: File| {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut { file }, &mut bytes).unwrap();
        bytes
    };
    assert_eq!(value(first.open(&root).unwrap())[..8], 20u64.to_le_bytes());

    let stale = |handle: &FileHandle| {
        handle.open(&root).map(drop).map_err(|err| err.raw_os_error()) == Err(Some(libc::ESTALE))
    };
    drop(kept);
    eventually("the kernel to forget the file", || {
        std::fs::write("/proc/sys/vm/drop_caches", "2").unwrap();
        stale(&first)
    });
    // The same path again is the same bytes, by another handle.
    let second = FileHandle::of(&path).unwrap();
    assert_ne!(first, second);
    assert!(stale(&first));
    second.open(&root).unwrap();

    // Another version of the file is another file.
    std::fs::write(env.path("new"), counting(&[5])).unwrap();
    std::fs::rename(env.path("new"), env.data().join("big.npy")).unwrap();
    eventually("the new version", || std::fs::read(&path).is_ok_and(|bytes| bytes.len() == 8));
    let third = FileHandle::of(&path).unwrap();
    eventually("the kernel to forget the old version", || stale(&second));
    assert!(third != first && third != second && stale(&first));
    assert_eq!(value(third.open(&root).unwrap()), 2u64.to_le_bytes());
}
