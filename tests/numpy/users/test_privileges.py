"""A daemon that runs as root keeps few of root's privileges, and lends none of them to others."""

import errno
import os
import stat

import numpy as np
import pytest

import disks
from checks import attempted
from corpus import SMALL
from mounting import Mount, program, run
from processes import child
from users import USER, as_other_user, become, open_directory

MIB = 1 << 20

DAC_OVERRIDE, DAC_READ_SEARCH, SETGID, SETUID, SYS_ADMIN, LEASE = 1, 2, 6, 7, 21, 28

KEPT = {
    (): {SYS_ADMIN, LEASE, DAC_READ_SEARCH},
    ("--writable",): {SYS_ADMIN, LEASE, DAC_OVERRIDE},
    ("--allow-other",): {SYS_ADMIN, LEASE, DAC_READ_SEARCH, SETGID, SETUID},
    ("--allow-other", "--writable"): {SYS_ADMIN, LEASE, DAC_OVERRIDE, SETGID, SETUID},
}


@pytest.fixture
def shared():
    with open_directory() as directory:
        yield directory


def status(process):
    """What /proc says of a process or thread."""
    with open(f"/proc/{process}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def capabilities(status, name):
    bits = int(status[name], 16)
    return {bit for bit in range(64) if bits >> bit & 1}


@pytest.mark.parametrize("options", KEPT, ids=lambda options: " ".join(options) or "plain")
def test_the_daemon_keeps_the_capabilities_that_it_needs_and_no_other(shared, options):
    (shared / "source").mkdir()
    (shared / "source/x.npy").write_bytes(SMALL.blob)
    with Mount(shared / "source", shared / "mount", "--auto-unmount", *options) as mount:
        assert np.load(mount / "x/rows/0-3.npy").shape == (3, 5)
        threads = os.listdir(f"/proc/{mount.pid}/task")
        with open(f"/proc/{mount.pid}/task/{mount.pid}/children") as children:
            watchers = children.read().split()
        assert len(threads) > 3 and len(watchers) == 1
        for process in threads + watchers:
            found = status(process)
            for name in ("CapEff", "CapPrm", "CapBnd"):
                assert capabilities(found, name) == KEPT[options], name
            assert capabilities(found, "CapInh") == capabilities(found, "CapAmb") == set()
            assert found["NoNewPrivs"] == "1"


def filled(path, chunk):
    """How many bytes of chunks can be written to a file, one after another, until the disk is full."""
    file = os.open(path, os.O_WRONLY)
    written = 0
    try:
        while written < os.stat(path).st_size:
            if (count := os.pwrite(file, chunk, written)) < len(chunk):
                return written + count
            written += count
        raise AssertionError("the disk is never full")
    except OSError as error:
        assert error.errno == errno.ENOSPC
        return written
    finally:
        with_what_was_told(os.close, file)


def with_what_was_told(close, file):
    """A full disk is told at `close` as well."""
    assert attempted(close, file) in (None, "ENOSPC")


@pytest.mark.parametrize("slice_of_it", ["x.raw", "x/slice/:,::2.raw"], ids=["together", "strided"])
def test_what_a_disk_keeps_back_for_root_is_for_root_alone(shared, slice_of_it):
    """Of the blocks of a disk some are root's. Another user fills it up to them and no further."""
    with disks.ext4(shared, 64 * MIB, "-m", "50") as disk:
        path = disk / "x.npy"
        os.chmod(disk, 0o755)

        def empty():
            path.unlink(missing_ok=True)
            run(program(), "create", path, "--shape", "130,65536", "--dtype", "c16", "--sparse")
            os.chmod(path, 0o666)

        def native():
            return filled(path, bytes([7]) * MIB)

        empty()
        for_user = as_other_user(native)
        for_root = native()
        assert for_user + 20 * MIB < for_root, "natively there is a difference"
        empty()
        with Mount(disk, shared / "mount", "--allow-other", "--writable") as mount:

            def through():
                # Half of the bytes of each block, where it is strided.
                share = 1 if slice_of_it == "x.raw" else 2
                return share * filled(mount / slice_of_it, bytes([7]) * (MIB // share))

            assert abs(as_other_user(through) - for_user) < 2 * MIB
            assert abs(through() - for_root) < 4 * MIB


def test_what_a_writer_skips_takes_nothing_of_what_is_kept_back(shared):
    """The zeros that take its place can be as large as the file."""
    with disks.ext4(shared, 64 * MIB, "-m", "50") as disk:
        os.chmod(disk, 0o755)
        path = disk / "x.npy"
        run(program(), "create", path, "--shape", str(40 * MIB), "--dtype", "u1", "--sparse")
        os.chmod(path, 0o666)
        with Mount(disk, shared / "mount", "--allow-other", "--writable") as mount:

            def skipping():
                file = os.open(mount / "x.raw", os.O_WRONLY | os.O_TRUNC)
                said = attempted(os.pwrite, file, b"end", 40 * MIB - 3)
                return [said, attempted(os.close, file)]

            assert as_other_user(skipping) in ([3, None], ["ENOSPC", "ENOSPC"])
            os.sync()
            found = os.statvfs(disk)
            assert found.f_bfree * found.f_frsize > 25 * MIB


def test_a_file_that_comes_to_give_rights_is_written_no_more(shared):
    """On a disk a write would take them away."""
    (shared / "source").mkdir(mode=0o755)
    path = shared / "source/x.npy"
    path.write_bytes(SMALL.blob)
    for bit in (stat.S_ISUID, stat.S_ISGID):
        os.chmod(path, 0o777)
        with Mount(shared / "source", shared / "mount", "--allow-other", "--writable") as mount:

            def other_user():
                become()
                files = [os.open(mount / name, os.O_RDWR) for name in ("x.npy", "x/cols/2.raw")]
                files.append(os.open(mount / "x/rows/0-3.raw", os.O_WRONLY))
                os.write(ready, b"x")
                os.read(go, 1)
                said = [attempted(os.pwrite, file, bytes(8), 128 * (file == files[0])) for file in files]
                assert said == ["EPERM"] * 3

            came, ready = os.pipe()
            go, on = os.pipe()
            pid = child(other_user)
            assert os.read(came, 1) == b"x"
            os.chmod(path, 0o777 | bit)
            os.write(on, b"x")
            assert os.waitpid(pid, 0)[1] == 0
            assert os.stat(path).st_mode & bit
            assert path.read_bytes() == SMALL.blob


@pytest.mark.parametrize("flag", ["a", "i"])
def test_a_file_that_is_made_unchangeable_is_opened_for_writing_by_nobody(shared, flag):
    """Though it is open for writing, to somebody who has opened it before."""
    (shared / "source").mkdir(mode=0o755)
    path = shared / "source/x.npy"
    path.write_bytes(SMALL.blob)
    os.chmod(path, 0o666)
    names = ("x.npy", "x/rows/0-3.npy", "x/T.raw")
    with Mount(shared / "source", shared / "mount", "--allow-other", "--writable") as mount:

        def look():
            ways = [(name, way) for name in names for way in (os.O_WRONLY, os.O_RDWR)]
            return [attempted(lambda: os.close(os.open(mount / name, way))) for name, way in ways]

        held = os.open(mount / "x/rows/0-3.npy", os.O_RDWR)
        try:
            assert look() == as_other_user(look) == [None] * 6
            run("chattr", f"+{flag}", path)
            try:
                assert look() == as_other_user(look) == ["EPERM"] * 6
                assert attempted(os.truncate, mount / "x.npy", 0) == "EPERM"
            finally:
                run("chattr", f"-{flag}", path)
            assert look() == as_other_user(look) == [None] * 6
        finally:
            os.close(held)


@pytest.mark.parametrize("missing", ["setuid", "setgid"])
def test_a_root_that_cannot_ask_for_others_serves_them_nothing(shared, missing):
    """In a container that lacks the capability. What is its own goes on."""
    (shared / "source").mkdir(mode=0o755)
    (shared / "source/x.npy").write_bytes(SMALL.blob)
    os.chmod(shared / "source/x.npy", 0o644)
    (shared / "mount").mkdir()
    lacking = ("setpriv", f"--bounding-set=-{missing}", f"--inh-caps=-{missing}")
    run(*lacking, program(), "mount", "--allow-other", shared / "source", shared / "mount")
    try:

        def look():
            names = ("x.npy", "x/rows/0-3.npy")
            return [attempted(lambda: len((shared / "mount" / name).read_bytes())) for name in names]

        assert as_other_user(look) == ["EPERM"] * 2
        assert look() == [len(SMALL.blob), 128 + 3 * 5 * 8]
        assert as_other_user(look) == ["EPERM"] * 2
    finally:
        run(program(), "umount", shared / "mount")


def test_root_reads_and_writes_through_a_mount_what_root_may(shared):
    """By the one capability for that which is kept; also beneath a folder that is closed to all."""
    folder = shared / "source/closed"
    folder.mkdir(parents=True)
    (folder / "x.npy").write_bytes(SMALL.blob)
    for path in (folder / "x.npy", folder):
        os.chown(path, USER, USER)
        os.chmod(path, 0)
    for options in KEPT:
        with Mount(shared / "source", shared / "mount", *options) as mount:
            assert sorted(os.listdir(mount / "closed")) == ["x", "x.npy"]
            assert (mount / "closed/x.npy").read_bytes() == SMALL.blob
            assert np.load(mount / "closed/x/rows/0-3.npy").shape == (3, 5)
            if "--writable" in options:
                np.save(mount / "closed/x/rows/0-3.npy", SMALL.array[:3])


def test_a_mount_of_one_file_says_nothing_of_the_folder_that_it_lies_in(shared):
    """Which may be closed: whom the file lets in is let in."""
    folder = shared / "closed"
    folder.mkdir(mode=0o700)
    for name, mode in {"open.npy": 0o666, "shut.npy": 0o600}.items():
        (folder / name).write_bytes(SMALL.blob)
        os.chmod(folder / name, mode)
        with Mount(folder / name, shared / "mount", "--allow-other", "--writable") as mount:

            def look():
                read = attempted(lambda: len((mount / "rows/0-3.raw").read_bytes()))
                wrote = attempted(lambda: (mount / "rows/0-3.raw").write_bytes(bytes(3 * 5 * 8)))
                return [attempted(lambda: len(os.listdir(mount / "rows")) > 0), read, wrote]

            opened = name == "open.npy"
            assert as_other_user(look) == ([True, 120, 120] if opened else ["EACCES"] * 3)
