"""An array of ten thousand files: few descriptors and maps, and little memory. Times are only reported."""

import ctypes
import os
import struct
import time

import numpy as np
import pytest

import shards
from checks import read
from mounting import Mount
from processes import anonymous_bytes

FILES = 10_000
ROWS = 3
COLUMNS = 5
IN_ACCESS, IN_ISDIR = 0x1, 0x40000000
MAX_OPEN = 100
"""Files that nobody reads, and what a daemon has open besides."""


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    directory = tmp_path_factory.mktemp("many")
    source = directory / "source"
    source.mkdir()
    for i in range(FILES):
        (source / f"shard-{i}.npy").write_bytes(shards.blob(whole()[ROWS * i : ROWS * (i + 1)]))
    time.sleep(1.1)
    with Mount(source, directory / "mount") as mount:
        yield mount


def whole():
    return np.arange(FILES * ROWS * COLUMNS, dtype="<i4").reshape(-1, COLUMNS)


def opened(mount):
    return len(os.listdir(f"/proc/{mount.pid}/fd"))


def mapped(mount):
    with open(f"/proc/{mount.pid}/maps") as maps:
        return sum("/shard-" in line for line in maps)


def test_ten_thousand_files_take_few_descriptors_and_little_memory(many, capsys):
    times = {}

    def timed(name, action):
        began = time.monotonic()
        result = action()
        times[name] = f"{(time.monotonic() - began) * 1000:.1f} ms"
        return result

    before, descriptors = anonymous_bytes(many.pid), opened(many)
    timed("first lookup", lambda: os.stat(many / "concat"))
    after_lookup = anonymous_bytes(many.pid)
    assert after_lookup - before < 8 << 20
    first = timed("first slice", lambda: np.load(many / "concat/rows/15000-15010.npy"))
    assert np.array_equal(first, whole()[15000:15010])
    timed("100 slices", lambda: [np.load(many / f"concat/rows/{i}-{i + 10}.npy") for i in range(0, 29000, 290)])
    assert np.array_equal(timed("all", lambda: np.load(many / "concat.npy")), whole())
    assert np.array_equal(timed("a column", lambda: np.load(many / "concat/cols/3.npy")), whole()[:, 3])
    assert read(many / "concat/T.raw") == whole().T.tobytes()
    assert np.array_equal(np.load(many / "stack/slice/::-100,1.npy"), whole().reshape(-1, ROWS, COLUMNS)[::-100, 1])
    assert opened(many) <= descriptors + MAX_OPEN and mapped(many) <= MAX_OPEN
    assert anonymous_bytes(many.pid) - before < 32 << 20
    with capsys.disabled():
        print(f"\n{FILES} files: {times}, {(after_lookup - before) >> 10} KiB", end=" ")


def test_who_holds_many_slices_open_holds_no_files(many):
    held = [open(many / f"concat/rows/{3 * i}.npy", "rb", buffering=0) for i in range(0, FILES, 10)]
    try:
        assert opened(many) <= MAX_OPEN and mapped(many) <= MAX_OPEN
        assert all(len(file.read()) == 128 + 4 * COLUMNS for file in held)
    finally:
        for file in held:
            file.close()


def test_the_listing_is_not_read_again_while_the_directory_stays_as_it_is(many):
    os.stat(many / "concat")
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        assert libc.inotify_add_watch(watch, os.fsencode(many.source), IN_ACCESS) >= 0
        for i in range(50):
            assert np.load(many / f"concat/rows/{i}.npy").tolist() == whole()[i].tolist()
        time.sleep(1.1)
        os.stat(many / "concat")
        assert listings(watch) == 0
        os.listdir(many.source)
        assert listings(watch) > 0, "they are noticed"
    finally:
        os.close(watch)


def listings(watch):
    """How often the directory has been listed, and not a file in it been read."""
    try:
        events = os.read(watch, 1 << 20)
    except BlockingIOError:
        return 0
    found = at = 0
    while at < len(events):
        _, mask, _, length = struct.unpack_from("iIII", events, at)
        found, at = found + (mask & IN_ISDIR != 0 and length == 0), at + 16 + length
    return found
