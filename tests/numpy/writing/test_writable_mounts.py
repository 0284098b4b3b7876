"""A mount is read-only unless it was asked to be writable; and then names and attributes stay."""

import errno
import os
import stat

import numpy as np
import pytest

import corpus
import disks
import refusals
import twin
from checks import error_of, read, snapshot
from corpus import SMALL
from mounting import Mount, run


def options_of(mount):
    """The mount's own options in the table of mounts."""
    with open("/proc/self/mounts") as table:
        lines = [line.split() for line in table if line.split()[1] == os.fspath(mount.path)]
    return lines[-1][3].split(",")


@pytest.mark.parametrize("options", [[], ["-o", "ro"], ["-o", "rw"]])
def test_a_mount_is_read_only_and_says_so(mounted, options):
    with mounted([SMALL], *options) as tree:
        assert "ro" in options_of(tree.mount) and "rw" not in options_of(tree.mount)
        assert "read-only" in tree.mount.log() and "writable" not in tree.mount.log()
        for path in ("x.npy", "x/rows/0-3.npy", "x.raw"):
            for action in (lambda path: os.open(path, os.O_WRONLY), lambda path: os.truncate(path, 0)):
                assert error_of(action, tree / path) == errno.EROFS
            assert stat.S_IMODE(os.stat(tree / path).st_mode) & 0o222 == 0
        assert error_of(np.save, tree / "x/rows/0-3.npy", SMALL.array[:3]) == errno.EROFS
        assert read(tree.source / "x.npy") == SMALL.blob


@pytest.mark.parametrize("options", [["--writable"], ["-o", "writable"], ["-o", "rw,writable"]])
def test_a_writable_mount_says_that_it_is(mounted, options):
    with mounted([SMALL], *options) as tree:
        assert "rw" in options_of(tree.mount) and "ro" not in options_of(tree.mount)
        assert "writable" in tree.mount.log() and "read-only" not in tree.mount.log()
        for path in ("x.npy", "x/rows/0-3.npy", "x.raw"):
            assert os.stat(tree / path).st_mode == os.stat(tree.source / "x.npy").st_mode
        writes = os.stat(tree.source / "x.npy").st_mode & 0o222
        for path, bits in {"x": writes, "x/rows": writes, "x/header.json": 0, "x/cols/USAGE.txt": 0}.items():
            assert os.stat(tree / path).st_mode & 0o222 == bits, path


def test_a_mount_is_not_both():
    done = run(os.environ["NPYFS"], "mount", "--writable", "-o", "ro", "a", "b", check=False)
    assert done.returncode == 2


def test_a_writable_mount_of_a_read_only_disk_writes_nothing(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source/x.npy").write_bytes(SMALL.blob)
    read_only = ("--bind", "-o", "ro", tmp_path / "source")
    with disks.mounted_at(tmp_path / "disk", *read_only) as disk:
        with Mount(disk, tmp_path / "mount", "--writable") as mount:
            assert error_of(np.save, mount / "x/rows/0-3.npy", SMALL.array[:3]) == errno.EROFS
            assert np.array_equal(np.load(mount / "x/rows/0-3.npy"), SMALL.array[:3])
    assert read(tmp_path / "source/x.npy") == SMALL.blob


NAMES = ["creat", "mkdir", "mknod regular", "mknod fifo", "mknod socket", "symlink", "bind", "open O_CREAT"]
CHANGES = ["chmod", "chown", "utimensat", "fchmod", "fchown", "futimens", "rename", "unlink", "link"]
FILES = ["x.npy", "x/rows/0-6.npy", "x/header.json", "plain.txt"]


@pytest.fixture
def writable(own_writable):
    refusals.populate(own_writable.source)
    return own_writable


def test_names_and_attributes_stay(writable):
    for call in NAMES:
        for target in ("missing", "x/rows/missing", "x/missing.npy", "full/missing", "x/rows/0-99.npy"):
            assert refusals.errno_of(call, writable / target, writable.path) == "EPERM", (call, target)
    for call in CHANGES:
        for target in FILES:
            assert refusals.errno_of(call, writable / target, writable.path) == "EPERM", (call, target)
    for target in ("empty", "full", "x", "x/rows"):
        assert refusals.errno_of("rmdir", writable / target, writable.path) == "EPERM", target
        assert refusals.errno_of("chmod", writable / target, writable.path) == "EPERM", target
    for call in ("setxattr", "removexattr", "fsetxattr"):
        for target in FILES:
            assert refusals.errno_of(call, writable / target, writable.path) == "ENOTSUP", target


def test_there_is_no_room_to_be_had_and_no_file_without_a_name(writable):
    before = list(snapshot(writable.source))
    for target in ("", "x", "x/rows", "full"):
        flags = os.O_TMPFILE | os.O_RDWR
        assert error_of(os.open, writable / target, flags) == errno.EOPNOTSUPP
    for access in (os.O_WRONLY, os.O_RDWR):
        file = os.open(writable / "x/rows/0-6.npy", access)
        try:
            for mode in (0, refusals.FALLOC_FL_KEEP_SIZE, 3):
                call = lambda: refusals._call("fallocate", file, mode, *[refusals._Long(8)] * 2)
                assert error_of(call) == errno.EOPNOTSUPP
        finally:
            os.close(file)
    assert list(snapshot(writable.source)) == before


def test_after_every_call_that_changes_a_filesystem_the_source_is_what_it_was(writable):
    """Some are done: to open, to truncate to nothing or to the size that there is, and to give a
    file the name that it has."""
    before, done = list(snapshot(writable.source)), set()
    for call in refusals.CALLS:
        for target in refusals.TARGETS.values():
            if refusals.errno_of(call, writable / target, writable.path) == "done":
                done.add(call)
            assert "free" not in os.listdir(writable.source)
    assert list(snapshot(writable.source)) == before
    harmless = {call for call in refusals.CALLS if call.startswith(("open ", "truncate", "rename"))}
    assert done <= harmless | {"creat"}


def test_a_link_to_an_array_leads_a_writer_to_it(mounted, rng):
    with mounted([SMALL], "--writable") as tree:
        own = twin.Twin(tree.source / "x.npy", SMALL)
        (tree.source / "link.npy").symlink_to("x.npy")
        os.link(tree.source / "x.npy", tree.source / "hard.npy")
        for path in ("link/rows/1-3.npy", "hard/rows/1-3.npy"):
            values = twin.some_values(rng, own.array[1:3])
            np.save(tree / path, values)
            twin.assign(own.array[1:3], values)
            own.assert_on_disk(path)
        for path in ("link.npy", "hard.npy", "link/T.npy"):
            values = twin.some_values(rng, own.array)
            np.save(tree / path, values.T if "T" in path else values)
            twin.assign(own.array, values)
            own.assert_on_disk(path)


def test_no_link_leads_a_writer_out_of_the_source(mounted, tmp_path):
    outside = tmp_path / "outside.npy"
    outside.write_bytes(SMALL.blob)
    with mounted([corpus.sample("y", (6, 5), "<f8")], "--writable") as tree:
        (tree.source / "out.npy").symlink_to(outside)
        assert error_of(np.save, tree / "out/rows/0-3.npy", SMALL.array[:3]) == errno.ENOENT
        assert read(outside) == SMALL.blob
