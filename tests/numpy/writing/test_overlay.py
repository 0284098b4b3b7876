"""A source on overlayfs, where the first open for writing makes a copy of a file: for those who have
slices of it open, and know it by what it was before, it is the same file."""

import contextlib
import mmap
import os

import numpy as np
import pytest

import corpus
import disks
from checks import read
from mounting import Mount, wait_until
from users import as_other_user, open_directory

ARRAY = corpus.sample("x", (60, 50), "<f8")
SLICES = {
    "x.npy": lambda a: a,
    "x/rows/10-40.npy": lambda a: a[10:40],
    "x/cols/3-9.npy": lambda a: a[:, 3:9],
    "x/slice/::-2,::3.npy": lambda a: a[::-2, ::3],
    "x/T.raw": lambda a: a.T,
}


@contextlib.contextmanager
def overlay(directory):
    for name in ("lower", "upper", "work", "merged"):
        (directory / name).mkdir(mode=0o755)
    (directory / "lower/x.npy").write_bytes(ARRAY.blob)
    os.chmod(directory / "lower/x.npy", 0o666)
    layers = ",".join(f"{layer}dir={directory / layer}" for layer in ("lower", "upper", "work"))
    with disks.mounted_at(directory / "merged", "-t", "overlay", "-o", layers, "overlay") as merged:
        yield merged


@pytest.fixture(params=["tmpfs", "ext4"])
def mount(request):
    make = {"tmpfs": disks.tmpfs, "ext4": disks.ext4}[request.param]
    with open_directory() as directory, make(directory, 64 << 20) as disk:
        os.chmod(disk, 0o755)
        with overlay(disk) as source:
            options = ("--writable", "--allow-other", "--ttl", "60")
            with Mount(source, directory / "mount", *options) as mount:
                yield mount


class Holder:
    """A slice that is open, and mapped, and has been read by both."""

    def __init__(self, mount, name):
        self.name, self.file = name, os.open(mount / name, os.O_RDONLY)
        self.size = os.fstat(self.file).st_size
        self.map = mmap.mmap(self.file, self.size, prot=mmap.PROT_READ)
        self.before = self.read()

    def read(self):
        return os.pread(self.file, self.size, 0)

    def shows(self, array):
        values = np.ascontiguousarray(SLICES[self.name](array)).tobytes()
        return self.read().endswith(values) and self.map[:].endswith(values)

    def close(self):
        self.map.close()
        os.close(self.file)


def write_row(mount, row, value):
    """The element at the beginning and the end of a row, by a slice that nobody has open."""
    file = os.open(mount / f"x/rows/{row}.raw", os.O_WRONLY)
    try:
        for column in (0, 3, 6, 49):
            os.pwrite(file, np.float64(value).tobytes(), 8 * column)
    finally:
        os.close(file)


def write_by_map(mount, row, value):
    """The same, strided and read as well."""
    part = np.load(mount / "x/slice/:,::3.npy", mmap_mode="r+")
    part[row, :] = value
    part.flush()


@pytest.mark.parametrize("write", [write_row, write_by_map])
@pytest.mark.parametrize("user", ["root", "another user"])
def test_who_has_a_slice_open_sees_what_is_written_to_the_copy(mount, write, user):
    holders = [Holder(mount, name) for name in SLICES]
    try:
        for value, row in enumerate([12, 14, 38]):
            before = np.load(mount.source / "x.npy")
            if user == "root":
                write(mount, row, -1.5 - value)
            else:
                assert as_other_user(lambda: write(mount, row, -1.5 - value)) is None
            now = np.load(mount.source / "x.npy")
            assert not np.array_equal(now, before, equal_nan=True), "it is written"
            # The first of them was made a copy of meanwhile.
            assert os.path.exists(mount.source.parent / "upper/x.npy")
            assert read(mount.source.parent / "lower/x.npy") == ARRAY.blob
            for name, select in SLICES.items():
                fresh = read(mount / name)
                assert fresh.endswith(np.ascontiguousarray(select(now)).tobytes()), name
            for holder in holders:
                wait_until(lambda: holder.shows(now), 30, f"{holder.name} shows what was written")
                assert os.fstat(holder.file).st_size == holder.size
    finally:
        for holder in holders:
            holder.close()


def test_what_is_written_past_the_mount_is_seen_by_the_next_open(mount):
    held = Holder(mount, "x/cols/3-9.npy")
    try:
        with open(mount.source / "x.npy", "r+b") as file:
            file.seek(ARRAY.offset + 8 * 4)
            file.write(np.float64(77).tobytes())
        for name, select in SLICES.items():
            now = np.load(mount.source / "x.npy")
            assert read(mount / name).endswith(np.ascontiguousarray(select(now)).tobytes()), name
    finally:
        held.close()
