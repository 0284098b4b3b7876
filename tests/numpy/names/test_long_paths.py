"""Paths that are longer than one call takes (4096 bytes), which are reached from a directory that is
open: as on a disk."""

import contextlib
import errno
import os

import pytest

import oracle
from checks import assert_same_bytes, error_of
from corpus import SMALL as X, SMALL_OTHER as TOP
from mounting import Mount

LEVEL = "level " * 33
"""A name of 198 bytes."""


@contextlib.contextmanager
def inside(root, names):
    """The directory at the end of a chain of them, open for its entries to be named."""
    flags = os.O_RDONLY | os.O_DIRECTORY
    held = os.open(root, flags)
    try:
        for name in names:
            above, held = held, os.open(name, flags, dir_fd=held)
            os.close(above)
        yield held
    finally:
        os.close(held)


def make(root, names):
    held = os.open(root, os.O_RDONLY)
    for name in names:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=held)
        above, held = held, os.open(name, os.O_RDONLY, dir_fd=held)
        os.close(above)
    os.close(held)


def put(directory, name, blob):
    file = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=directory)
    with os.fdopen(file, "wb") as file:
        file.write(blob)


def got(directory, name):
    with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=directory), "rb", buffering=0) as file:
        return file.read()


def assert_arrays(directory, name, sample):
    for path, expected in {
        f"{name}.npy": sample.blob,
        f"{name}/rows/0-3.npy": oracle.npy(sample.array[:3]),
        f"{name}/slice/::2/T.raw": oracle.raw(sample.array[::2].T),
        f"{name}.raw": oracle.raw(sample.array),
    }.items():
        assert_same_bytes(got(directory, path), expected, path)
        assert os.stat(path, dir_fd=directory).st_size == len(expected)


OPTIONS = [(), ("--writable",), ("--allow-other", "--follow-symlinks")]
CHAINS = {"5 kB": [LEVEL] * 25, "12 kB": [LEVEL] * 60, "600 levels": ["a level"] * 600}


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
@pytest.mark.parametrize("names", CHAINS.values(), ids=CHAINS)
def test_a_path_of_any_length_has_its_arrays(own_source, names, options):
    source, mountpoint = own_source
    make(source, names)
    (source / "top.npy").write_bytes(TOP.blob)
    with inside(source, names) as directory:
        put(directory, "x.npy", X.blob)
        os.symlink("x.npy", "link.npy", dir_fd=directory)
        os.symlink("../" * len(names) + "top.npy", "up.npy", dir_fd=directory)
    with Mount(source, mountpoint, *options) as mount, inside(mount.path, names) as directory:
        assert {"x", "x.npy", "link", "link.npy", "up"} <= set(os.listdir(directory))
        assert_arrays(directory, "x", X)
        assert_arrays(directory, "link", X)
        assert_arrays(directory, "up", TOP)
        assert error_of(got, directory, "never there") == errno.ENOENT
        if "--writable" in options:
            file = os.open("x/rows/0-3.npy", os.O_WRONLY, dir_fd=directory)
            with os.fdopen(file, "wb") as file:
                file.write(oracle.npy(-X.array[:3]))
            assert_same_bytes(got(directory, "x/rows/0-3.npy"), oracle.npy(-X.array[:3]), "written")


def test_every_length_about_the_limit_is_reached(own_source):
    source, mountpoint = own_source
    names = [LEVEL] * 20
    make(source, names)
    lengths = range(4086, 4101)
    ends = {length: "e" * (length - len("/".join(names)) - 1) for length in lengths}
    for end in ends.values():
        make(source, [*names, end])
        with inside(source, [*names, end]) as directory:
            put(directory, "x.npy", X.blob)
    with Mount(source, mountpoint) as mount:
        for length, end in ends.items():
            with inside(mount.path, [*names, end]) as directory:
                assert sorted(os.listdir(directory)) == ["x", "x.npy"], length
                assert_arrays(directory, "x", X)


def test_messages_name_the_end_of_a_long_path(own_source):
    source, mountpoint = own_source
    names = [LEVEL] * 60
    make(source, names)
    with inside(source, names) as directory:
        put(directory, "broken.npy", X.blob[:-1])
        put(directory, "x.npy", X.blob)
    with Mount(source, mountpoint) as mount, inside(mount.path, names) as directory:
        why = got(directory, "broken/error.txt").decode()
        file = os.open("x/T.raw", os.O_RDONLY | os.O_DIRECT, dir_fd=directory)
        with inside(source, names) as below:
            cut = os.open("x.npy", os.O_RDWR, dir_fd=below)
            os.truncate(cut, len(X.blob) - 8)
            os.close(cut)
        assert error_of(os.pread, file, 4096, 0) == errno.EIO
        os.close(file)
        log = [line for line in mount.log().splitlines() if "header says" in line]
    left_out = len("/".join(names)) - 2 * len(LEVEL) - 1
    assert why.startswith(f"(…{left_out} bytes…){LEVEL}/{LEVEL}/broken.npy: header says"), why
    end = f"(…{left_out} bytes…){LEVEL}/{LEVEL}/x.npy: "
    assert log and all(len(line) < 1000 and end in line for line in log), log


@pytest.fixture
def own_source(tmp_path):
    """An empty source directory, and where to mount it."""
    (tmp_path / "source").mkdir()
    return tmp_path / "source", tmp_path / "mount"
