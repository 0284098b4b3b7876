//! Mounting and unmounting: by system calls if that is permitted, or else through `fusermount3`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::io::{Errno, FdFlags};
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType,
};

use super::Options;
use super::mountpoint::Mountpoint;
use super::table::FILESYSTEM_TYPE;

const FUSERMOUNT: &str = "fusermount3";

/// Mounts a FUSE filesystem, read-only unless it is `writable`, and returns the descriptor by which to serve
/// it.
pub(super) fn mount(
    source: &Path,
    mountpoint: &Mountpoint,
    options: &Options,
    writable: bool,
) -> io::Result<OwnedFd> {
    match mount_directly(source, mountpoint, options, writable) {
        Err(Errno::PERM | Errno::ACCESS) => {
            mount_by_fusermount(source, mountpoint, options, writable)
        }
        Err(Errno::NOENT | Errno::NODEV | Errno::NXIO) => Err(io::Error::new(
            io::ErrorKind::NotFound,
            "there is no /dev/fuse: FUSE is not loaded (modprobe fuse), or not given to this container",
        )),
        result => result.map_err(io::Error::from),
    }
}

fn mount_directly(
    source: &Path,
    mountpoint: &Mountpoint,
    wanted: &Options,
    writable: bool,
) -> Result<OwnedFd, Errno> {
    let device = File::options().read(true).write(true).open("/dev/fuse");
    let device: OwnedFd =
        device.map_err(|err| Errno::from_io_error(&err).unwrap_or(Errno::IO))?.into();
    // The directory that is held, whatever its path leads to by now.
    let mountpoint = mountpoint.by_descriptor();
    let root_mode = std::fs::metadata(&mountpoint).map_or(0o040_000, |meta| meta.mode());
    let mut options = format!(
        "fd={},rootmode={:o},user_id={},group_id={},default_permissions",
        device.as_raw_fd(),
        root_mode,
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    if wanted.allow_other {
        options.push_str(",allow_other");
    }
    let options = std::ffi::CString::new(options).map_err(|_| Errno::INVAL)?;
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV;
    flags.set(MountFlags::RDONLY, !writable);
    flags.set(MountFlags::NOEXEC, wanted.no_exec);
    rustix::mount::mount(source, &mountpoint, FILESYSTEM_TYPE, flags, options.as_c_str())?;
    Ok(device)
}

/// `fusermount3` mounts on behalf of an ordinary user, and passes the descriptor back over a
/// socket that it inherits.
fn mount_by_fusermount(
    source: &Path,
    mountpoint: &Mountpoint,
    wanted: &Options,
    writable: bool,
) -> io::Result<OwnedFd> {
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let mut options = OsString::from(if writable { "rw" } else { "ro" });
    options.push(",nosuid,nodev,subtype=npyfs,default_permissions");
    if wanted.allow_other {
        options.push(",allow_other");
    }
    if wanted.no_exec {
        options.push(",noexec");
    }
    options.push(",fsname=");
    options.push(escaped(source));
    rustix::io::fcntl_setfd(&theirs, FdFlags::empty())?;
    let mut command = Command::new(FUSERMOUNT);
    command.arg("-o").arg(&options);
    // The directory that is held, whatever its path leads to by now.
    command.args(["--", "."]).current_dir(mountpoint.by_descriptor());
    command.env("_FUSE_COMMFD", theirs.as_raw_fd().to_string());
    run(&mut command)?;
    drop(theirs);
    receive_descriptor(&ours)
}

/// Runs `fusermount3`, and fails with what it says.
fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output().map_err(|err| match err.kind() {
        // PermissionDenied also if it is missing and a directory of PATH cannot be searched.
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => io::Error::new(
            io::ErrorKind::PermissionDenied,
            "mounting is not permitted: run as root (in a container, with CAP_SYS_ADMIN), or install \
             fusermount3 (package fuse3)",
        ),
        _ => err,
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(said.trim().replace('\n', "; ")))
}

/// A path as an option's value: `fusermount3` ends it at a comma and takes a backslash as an escape.
fn escaped(path: &Path) -> OsString {
    let bytes = path.as_os_str().as_bytes().iter();
    let escaped = bytes.flat_map(|&byte| {
        let escape = matches!(byte, b',' | b'\\').then_some(b'\\');
        escape.into_iter().chain([byte])
    });
    OsString::from_vec(escaped.collect())
}

fn receive_descriptor(socket: &OwnedFd) -> io::Result<OwnedFd> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut byte)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    descriptors.flatten().next().ok_or_else(|| io::Error::other("fusermount3 sent no descriptor"))
}

/// Takes a mount out of the tree, even with files open, by a descriptor of its root.
pub(super) fn detach(root: &OwnedFd, mountpoint: &Path) -> io::Result<()> {
    let held = format!("/proc/self/fd/{}", root.as_raw_fd());
    match rustix::mount::unmount(held, UnmountFlags::DETACH) {
        Err(Errno::PERM) => detach_by_fusermount(mountpoint),
        result => result.map_err(io::Error::from),
    }
}

/// `fusermount3` knows mounts by their paths only. It checks itself that it unmounts none but the user's own.
fn detach_by_fusermount(mountpoint: &Path) -> io::Result<()> {
    run(Command::new(FUSERMOUNT).args(["-u", "-z", "--"]).arg(mountpoint))
}
