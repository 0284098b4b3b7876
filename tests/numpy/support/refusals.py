"""The system calls that change a filesystem, and what they may be aimed at."""

import ctypes
import errno
import fcntl
import mmap
import os
import socket
import stat
import struct

from corpus import SMALL

_libc = ctypes.CDLL(None, use_errno=True)
_Long = ctypes.c_long

RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW, AT_REMOVEDIR = -100, 0x100, 0x400, 0x200
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE = 1, 2
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602


def _call(function, *arguments):
    """A function of the C library that Python has not, or not as it is."""
    arguments = [os.fsencode(a) if isinstance(a, (str, os.PathLike)) else a for a in arguments]
    returned = getattr(_libc, function)(*arguments)
    if returned == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return returned


def opened(flags):
    def call(path, root):
        os.close(os.open(path, flags, 0o644))

    return call


def with_descriptor(flags, change):
    """A call on a descriptor: an open that fails is a finding of its own."""

    def call(path, root):
        descriptor = os.open(path, flags)
        try:
            change(descriptor)
        finally:
            os.close(descriptor)

    return call


def on_path(change, *arguments, **options):
    return lambda path, root: change(path, *arguments, **options)


def to_new_name(change, *arguments):
    """Two names: the target first, then one that is free."""
    return lambda path, root: change(path, root / "free", *arguments)


def from_file(change, *arguments):
    """Two names: a plain file first, then the target."""
    return lambda path, root: change(root / "plain.txt", path, *arguments)


def renamed(flags):
    return lambda old, new: _call("renameat2", AT_FDCWD, old, AT_FDCWD, new, flags)


exchange = renamed(RENAME_EXCHANGE)


def bound(path, root):
    """By a short way, since the path of a socket has room for 107 bytes only."""
    directory = os.open(path.parent, os.O_PATH)
    try:
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)


def mapped(descriptor):
    mmap.mmap(descriptor, 16, mmap.MAP_SHARED, mmap.PROT_WRITE)


def flags_set(descriptor):
    """The flags as they are, where there are any."""
    flags = struct.pack("l", 0)
    try:
        flags = fcntl.ioctl(descriptor, FS_IOC_GETFLAGS, flags)
    except OSError as error:
        assert error.errno == errno.ENOTTY, error
    fcntl.ioctl(descriptor, FS_IOC_SETFLAGS, flags)


READ = os.O_RDONLY | os.O_NONBLOCK

CALLS = {
    "open O_WRONLY": opened(os.O_WRONLY),
    "open O_RDWR": opened(os.O_RDWR),
    "open O_CREAT": opened(os.O_RDONLY | os.O_CREAT),
    "open O_CREAT O_WRONLY": opened(os.O_WRONLY | os.O_CREAT),
    "open O_CREAT O_EXCL": opened(os.O_RDWR | os.O_CREAT | os.O_EXCL),
    "open O_TRUNC": opened(os.O_RDONLY | os.O_TRUNC),
    "open O_WRONLY O_TRUNC": opened(os.O_WRONLY | os.O_TRUNC),
    "open O_WRONLY O_APPEND": opened(os.O_WRONLY | os.O_APPEND),
    "open O_WRONLY O_NOFOLLOW": opened(os.O_WRONLY | os.O_NOFOLLOW),
    "open O_TMPFILE": opened(os.O_TMPFILE | os.O_RDWR),
    "creat": on_path(lambda path: os.close(_call("creat", path, 0o644))),
    "mkdir": on_path(os.mkdir),
    "mknod regular": on_path(os.mknod, stat.S_IFREG | 0o644),
    "mknod fifo": on_path(os.mknod, stat.S_IFIFO | 0o644),
    "mknod socket": on_path(os.mknod, stat.S_IFSOCK | 0o644),
    "mknod character device": on_path(os.mknod, stat.S_IFCHR | 0o644, os.makedev(1, 3)),
    "mknod block device": on_path(os.mknod, stat.S_IFBLK | 0o644, os.makedev(7, 0)),
    "bind": bound,
    "symlink": on_path(lambda path: os.symlink("text", path)),
    "link": to_new_name(lambda old, new: _call("linkat", AT_FDCWD, old, AT_FDCWD, new, 0)),
    "link following": to_new_name(
        lambda old, new: _call("linkat", AT_FDCWD, old, AT_FDCWD, new, AT_SYMLINK_FOLLOW)
    ),
    "link over": from_file(os.link),
    "rename": to_new_name(os.rename),
    "rename over": from_file(os.rename),
    "rename to itself": on_path(lambda path: os.rename(path, path)),
    "rename below itself": on_path(lambda path: os.rename(path, path / "below")),
    "renameat2 RENAME_NOREPLACE": to_new_name(renamed(RENAME_NOREPLACE)),
    "renameat2 RENAME_NOREPLACE over": from_file(renamed(RENAME_NOREPLACE)),
    "renameat2 RENAME_EXCHANGE": from_file(renamed(RENAME_EXCHANGE)),
    "renameat2 RENAME_WHITEOUT": to_new_name(renamed(RENAME_WHITEOUT)),
    "renameat2 both": from_file(renamed(RENAME_NOREPLACE | RENAME_EXCHANGE)),
    "unlink": on_path(os.unlink),
    "unlinkat AT_REMOVEDIR": on_path(lambda path: _call("unlinkat", AT_FDCWD, path, AT_REMOVEDIR)),
    "rmdir": on_path(os.rmdir),
    "truncate": on_path(os.truncate, 0),
    "truncate to its size": on_path(lambda path: os.truncate(path, os.stat(path).st_size)),
    "ftruncate": with_descriptor(READ, lambda fd: os.ftruncate(fd, 0)),
    "write": with_descriptor(READ, lambda fd: os.write(fd, b"x")),
    "fallocate": with_descriptor(
        READ, lambda fd: _call("fallocate", fd, 0, _Long(0), _Long(4096))
    ),
    "fallocate PUNCH_HOLE": with_descriptor(
        READ,
        lambda fd: _call("fallocate", fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, *[_Long(8)] * 2),
    ),
    "chmod": on_path(os.chmod, 0o777),
    "fchmod": with_descriptor(READ, lambda fd: os.fchmod(fd, 0o777)),
    "fchmodat AT_SYMLINK_NOFOLLOW": on_path(
        lambda path: _call("fchmodat", AT_FDCWD, path, 0o777, AT_SYMLINK_NOFOLLOW)
    ),
    "chown": on_path(os.chown, 1, 1),
    "lchown": on_path(os.lchown, 1, 1),
    "fchown": with_descriptor(READ, lambda fd: os.fchown(fd, 1, 1)),
    "utimensat": on_path(os.utime, ns=(1, 1)),
    "utimensat AT_SYMLINK_NOFOLLOW": on_path(os.utime, ns=(1, 1), follow_symlinks=False),
    "futimens": with_descriptor(READ, os.utime),
    "setxattr": on_path(os.setxattr, "user.x", b"1"),
    "setxattr trusted": on_path(os.setxattr, "trusted.x", b"1"),
    "setxattr security": on_path(os.setxattr, "security.x", b"1"),
    "lsetxattr": on_path(os.setxattr, "user.x", b"1", follow_symlinks=False),
    "fsetxattr": with_descriptor(READ, lambda fd: os.setxattr(fd, "user.x", b"1")),
    "removexattr": on_path(os.removexattr, "user.x"),
    "lremovexattr": on_path(os.removexattr, "user.x", follow_symlinks=False),
    "mmap PROT_WRITE MAP_SHARED": with_descriptor(READ, mapped),
    "ioctl FS_IOC_SETFLAGS": with_descriptor(READ, flags_set),
}

TARGETS = {
    "a file": "x.npy",
    "a text": "plain.txt",
    "an array's directory": "x",
    "a slice": "x/rows/0-6.npy",
    "a description": "x/header.json",
    "a directory of slices": "x/rows",
    "an empty directory": "empty",
    "a directory with entries": "full",
    "a link to a file": "link.npy",
    "a link to a directory": "folder",
    "a link to nothing": "nowhere",
    "a missing name": "missing",
    "a missing name beside slices": "x/rows/missing",
    "a missing name beside an array's": "x/missing.npy",
    "a name in a missing directory": "missing/name",
    "a name of 255 bytes": "n" * 255,
    "a name of 256 bytes": "n" * 256,
    "a slice's name of 256 bytes": "x/slice/" + "n" * 256,
    "a path through a file": "x.npy/name",
    "a path through a slice": "x/rows/0-6.npy/name",
    "a path through a link to nothing": "nowhere/name",
    "the root": "",
}


def populate(source):
    """Makes what the targets name."""
    for name in ("empty", "full", "sub"):
        (source / name).mkdir()
    (source / "x.npy").write_bytes(SMALL.blob)
    (source / "full/y.npy").write_bytes(SMALL.blob)
    (source / "plain.txt").write_bytes(b"text of more than sixteen bytes\n")
    (source / "link.npy").symlink_to("x.npy")
    (source / "folder").symlink_to("full")
    (source / "nowhere").symlink_to("is/nothing")


def errno_of(call, path, root):
    """What an attempt says: the errno's name, or that there was none."""
    try:
        CALLS[call](path, root)
    except OSError as error:
        # No errno where Python itself knows that a socket cannot have so long a name.
        return errno.errorcode.get(error.errno, str(error))
    return "done"
