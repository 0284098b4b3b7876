"""What a disk does not take is an error of the write, the fsync or the msync, and what it took is on it."""

import contextlib
import errno
import mmap
import os
import shutil

import numpy as np
import pytest

import disks
from checks import attempted
from mounting import Mount, run
from processes import in_child

SHAPE = (4096, 128, 8)
"""32 MiB, of which the disks have room for little."""
KINDS = {"tmpfs": (disks.tmpfs, 1 << 20), "ext4": (disks.ext4, 8 << 20)}


def sparse(path, shape=SHAPE):
    """An array of zeros that takes no space."""
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<i8", "fortran_order": False, "shape": shape}
        )
        file.truncate(file.tell() + 8 * int(np.prod(shape)))


def make_room(path):
    """The array is zeros again, that take no space."""
    os.truncate(path, 128)
    os.truncate(path, 128 + 8 * int(np.prod(SHAPE)))


# Ways to write more than there is room for. Each returns the bytes that were accepted, and the error.


def write(path, flags):
    """As much as is taken."""
    file, block, done = os.open(f"{path}.raw", flags), b"\x07" * 1_000_003, 0
    try:
        size = os.fstat(file).st_size
        while done < size:
            done += os.pwrite(file, block[: size - done], done)
        os.fsync(file)
    except OSError as error:
        return done, errno.errorcode[error.errno]
    return done, "none"


def save(path):
    """NumPy tells how many elements, and not why no more; or it hears of it at the end, and why."""
    value = np.full(np.load(f"{path}.npy", mmap_mode="r").shape, 7)
    try:
        np.save(f"{path}.npy", value)
    except OSError as error:
        return 0, "ENOSPC" if " requested and " in str(error) else errno.errorcode[error.errno]
    return 0, "none"


def store(path):
    """A map takes everything; it is the msync that fails."""
    view = mmap.mmap(os.open(f"{path}.raw", os.O_RDWR), 0)
    view[:] = b"\x07" * len(view)
    try:
        view.flush()
    except OSError as error:
        return 0, errno.errorcode[error.errno]
    return 0, "none"


WAYS = {
    "write": lambda path: write(path, os.O_WRONLY),
    "write to what is read": lambda path: write(path, os.O_RDWR),
    "direct": lambda path: write(path, os.O_RDWR | os.O_DIRECT),
    "np.save": save,
    "mmap": store,
}
VIEWS = {
    "rows/0-2048": lambda a: a[:2048],
    "axis2/1-7": lambda a: a[:, :, 1:7],
    "slice/::-1,::2": lambda a: a[::-1, ::2],
}


@pytest.fixture(params=KINDS)
def disk(request, tmp_path):
    """A small disk, on which `source` has a large array of zeros that takes no space."""
    make, size = KINDS[request.param]
    with make(tmp_path, size) as disk:
        (disk / "source").mkdir()
        sparse(disk / "source/a.npy")
        yield disk


def test_a_full_disk_is_an_error_and_no_signal_and_harms_nothing(tmp_path, disk):
    source = disk / "source"
    np.save(source / "small.npy", np.arange(1000))
    with Mount(source, tmp_path / "mount", "--writable") as mount:
        for view, select in VIEWS.items():
            for way, fill in WAYS.items():
                where = f"{view} by {way}"
                make_room(source / "a.npy")
                accepted, error = in_child(fill, mount / "a" / view)
                assert error == "ENOSPC", where
                assert os.statvfs(disk).f_bavail < 64, where
                # What was written before is there, and all else is as it was, whatever the kernel
                # still has of what it could not write; by all paths.
                array = np.fromfile(source / "a.npy", "<i8", offset=128).reshape(SHAPE)
                selected = select(array).ravel().view("u1")
                assert (selected[:accepted] == 7).all(), where
                assert ((selected == 7) | (selected == 0)).all(), where
                select(array)[...] = 0
                assert not array.any(), f"{where} changed other bytes"
                array = np.fromfile(source / "a.npy", "<i8", offset=128).reshape(SHAPE)
                for path, seen in VIEWS.items():
                    assert in_child(lambda: same(mount / f"a/{path}.npy", seen(array))), f"{where}: {path}"
                # What needs no more room can still be written.
                value = np.random.default_rng().integers(0, 1 << 60, 1000)
                np.save(mount / "small/slice/::-1.npy", value)
                assert (np.load(source / "small.npy")[::-1] == value).all()
        make_room(source / "a.npy")
        for view, select in VIEWS.items():
            value = np.ones_like(select(array)[-3:])
            np.save(mount / f"a/{view}/slice/-3:.npy", value)
            after = np.load(source / "a.npy")
            assert (select(after)[-3:] == 1).all()


def test_a_page_of_a_map_of_which_the_disk_takes_a_part_is_an_error(tmp_path, disk):
    """Each of its elements needs a block of its own."""
    source = disk / "source"
    with Mount(source, tmp_path / "mount", "--writable") as mount:
        with open(disk / "filler", "wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(bytes(10_000)):
                pass
        os.truncate(disk / "filler", os.stat(disk / "filler").st_size - 100_000)
        assert in_child(attempted, store_a_page, mount / "a/slice/:,0,0.raw") == "ENOSPC"
        assert np.fromfile(source / "a.npy", "<i8", offset=128).any(), "it was to take a part"


def store_a_page(path):
    with open(path, "r+b", buffering=0) as file, mmap.mmap(file.fileno(), 0) as view:
        view[:4096] = b"\x07" * 4096
        view.flush()


def same(path, expected):
    return bool((np.load(path) == expected).all())


def test_a_limit_on_the_size_of_files_is_an_error_of_the_write(tmp_path):
    """The daemon's own limit (ulimit -f), past which a signal would end it."""
    source = tmp_path / "source"
    source.mkdir()
    sparse(source / "a.npy")
    with Mount(source, tmp_path / "mount", "--writable") as mount:
        run("prlimit", "--pid", str(mount.pid), f"--fsize={16 << 20}")
        for way, fill in WAYS.items():
            accepted, error = in_child(fill, mount / "a/rows/0-4096")
            # NumPy does not tell.
            assert error in ("EFBIG", "ENOSPC") if way == "np.save" else error == "EFBIG", way
        np.save(mount / "a/rows/7.npy", np.ones(SHAPE[1:], "<i8"))
        array = np.load(source / "a.npy")
        assert (array[7] == 1).all() and (array[:7] == np.frombuffer(b"\x07" * 8, "<i8")).all()
        assert not array[2048:].any()


def a_copy_of_the_disk(directory, name):
    """An array as it would be found if the machine had lost its power now."""
    directory.mkdir(exist_ok=True)
    shutil.copy(directory.parent / "image", directory / "image")
    with disks.mounted_at(directory / "disk", "-o", "loop", directory / "image") as disk:
        return np.load(disk / "source" / name)


SEVENS = b"\x07" * 5000
"""A page and a part of another."""


def write_and(sync, flags=os.O_RDWR):
    def work(path):
        file = os.open(f"{path}.raw", flags)
        try:
            for at in (0, os.fstat(file).st_size - len(SEVENS)):
                assert os.pwrite(file, SEVENS, at) == len(SEVENS)
            sync(file)
        finally:
            os.close(file)

    return work


def store_and(flush):
    def work(path):
        with open(f"{path}.raw", "r+b", buffering=0) as file, mmap.mmap(file.fileno(), 0) as view:
            view[: len(SEVENS)] = view[-len(SEVENS) :] = SEVENS
            flush(view)

    return work


def nothing(_):
    pass


MOST_TRIES = 100
"""Each takes a tenth of a second, in which nothing but chance can bring a write to the disk unasked."""

SYNCS = {
    "fsync": write_and(os.fsync),
    "fdatasync": write_and(os.fdatasync),
    "fsync of what is only written": write_and(os.fsync, os.O_WRONLY),
    "O_DSYNC": write_and(nothing, os.O_RDWR | os.O_DSYNC),
    "O_SYNC of what is only written": write_and(nothing, os.O_WRONLY | os.O_SYNC),
    "msync": store_and(mmap.mmap.flush),
}


@pytest.mark.parametrize("how", SYNCS)
def test_what_was_synced_is_on_the_disk(tmp_path, how):
    synced, unsynced = SYNCS[how], (store_and if how == "msync" else write_and)(nothing)
    with disks.ext4(tmp_path, 8 << 20) as disk:
        source = disk / "source"
        source.mkdir()
        zeros = np.zeros((256, 64, 8), "<i8")
        np.save(source / "a.npy", zeros)
        np.save(source / "b.npy", zeros)
        run("sync", "-f", disk)
        with Mount(source, tmp_path / "mount", "--writable") as mount:
            for view in ("rows/16-250", "axis2/1-7", "slice/::-1,::2"):
                # What nobody asks for comes later, or else this would prove nothing.
                for _ in range(MOST_TRIES):
                    run("sync", "-f", disk)
                    np.save(source / "b.npy", zeros)
                    run("sync", "-f", disk)
                    unsynced(mount / "b" / view)
                    if not a_copy_of_the_disk(tmp_path / "copy", "b.npy").any():
                        break
                    # Another program has synced all disks of the machine, or the kernel this one.
                else:
                    pytest.fail("everything is on the disk at once, so this would prove nothing")
                assert np.load(source / "b.npy").any()
                synced(mount / "a" / view)
                found = a_copy_of_the_disk(tmp_path / "copy", "a.npy")
                assert found.any() and (found == np.load(source / "a.npy")).all(), view
