"""What readers of many files as one array see while the files come, go and change."""

import contextlib
import errno
import json
import os
import time

import numpy as np
import pytest

import shards
from checks import error_of, load, read
from mounting import Mount, wait_until

SETTLED = 1.3
"""After so many seconds a directory's times show every later change."""


@pytest.fixture
def place(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    shards.write(source, {f"{i}.npy": rows(i) for i in range(12)})
    with Mount(source, tmp_path / "mount") as mount:
        yield mount


def rows(value, count=3):
    return np.full((count, 4), value, "<i8")


def values(place, path="concat.npy"):
    """The value of each row."""
    return np.load(place / path)[:, 0].tolist()


def expected(*numbers):
    return [number for number in numbers for _ in range(3)]


@pytest.fixture(params=[0, SETTLED], ids=["at once", "after a while"])
def pause(request):
    """A change in a directory that has just changed, and in one that has not."""
    return lambda: time.sleep(request.param)


def test_a_file_that_comes_goes_or_is_renamed_makes_a_new_array_at_the_next_open(place, pause):
    pause()
    assert values(place) == expected(*range(12))
    np.save(place.source / "12.npy", rows(12))
    assert values(place) == expected(*range(13))
    pause()
    os.remove(place.source / "0.npy")
    assert values(place) == expected(*range(1, 13))
    pause()
    os.rename(place.source / "1.npy", place.source / "30.npy")
    assert values(place) == expected(*range(2, 13), 1)
    pause()
    os.rename(place.source / "12.npy", place.source / "3.npy")
    assert values(place) == expected(2, 12, *range(4, 12), 1)
    assert json.loads(read(place / "concat/header.json"))["shape"] == [33, 4]


def test_a_file_replaced_by_another_is_a_new_array_at_the_next_open(place, pause):
    pause()
    assert values(place, "concat/rows/3-9.npy") == [1] * 3 + [2] * 3
    for value in range(100, 105):
        np.save(place.source / ".new.npy", rows(value))
        os.rename(place.source / ".new.npy", place.source / "1.npy")
        assert values(place, "concat/rows/3-9.npy") == [value] * 3 + [2] * 3


def test_values_changed_in_place_are_seen_by_the_next_open(place):
    for value in (100, 101):
        memory = np.load(place.source / "5.npy", mmap_mode="r+")
        memory[...] = value
        assert values(place)[15:18] == [value] * 3
        assert values(place, "concat/slice/::-1.npy")[18:21] == [value] * 3
        assert np.load(place / "stack/rows/5.npy")[:, 0].tolist() == [value] * 3


def test_a_header_that_changes_in_place_makes_a_new_array_soon_and_an_error_until_then(place):
    assert values(place) == expected(*range(12))
    np.save(place.source / "4.npy", rows(4, count=5))

    def is_new():
        with contextlib.suppress(OSError):
            found = load(place / "concat.npy")[:, 0].tolist()
            assert found in (expected(*range(12)), expected(0, 1, 2, 3) + [4] * 5 + expected(*range(5, 12)))
            return len(found) == 38
        return False

    wait_until(is_new, 10, "the new array")


def test_a_reader_of_the_old_array_gets_its_bytes_or_an_error(place):
    # Without the kernel's pages, which have parts of several files.
    old = os.open(place / "concat.raw", os.O_RDONLY | os.O_DIRECT)
    try:
        before = np.frombuffer(os.pread(old, 96, 0), "<i8")
        assert before.tolist() == [0] * 12
        os.remove(place.source / "3.npy")
        np.save(place.source / "new.npy", rows(50))
        np.save(place.source / "7.npy", rows(7, count=4))
        for number in (0, 2, 4, 6, 11):
            got = np.frombuffer(os.pread(old, 96, 96 * number), "<i8")
            assert got.tolist() == [number] * 12, number
        assert error_of(os.pread, old, 96, 96 * 7) == errno.EIO
    finally:
        os.close(old)
    assert "concat: 7.npy: its header was changed; open the array anew" in read(place / ".npyfs/log").decode()
    assert values(place) == expected(0, 1, 2, 4, 5, 6) + [7] * 4 + expected(*range(8, 12), 50)


def test_a_file_that_is_still_being_written_is_an_error_that_names_it_and_then_it_is_there(place):
    blob = shards.blob(rows(12))
    assert values(place) == expected(*range(12))
    with open(place.source / "12.npy", "wb", buffering=0) as file:
        for end in (0, 40, 130, len(blob) - 1):
            file.write(blob[file.tell() : end])
            assert error_of(open, place / "concat.npy") == errno.ENOENT
            why = read(place / "concat/error.txt").decode()
            assert why.startswith("concat: 12.npy: "), why
            time.sleep(0.4)
        file.write(blob[len(blob) - 1 :])
    assert values(place) == expected(*range(13))


def test_a_file_cut_off_is_an_error_for_those_who_read_it_and_for_nobody_else(place):
    with open(place / "concat/rows/0-12.raw", "rb", buffering=0) as before:
        with open(place / "concat/slice/::-1.raw", "rb", buffering=0) as backwards:
            os.truncate(place.source / "10.npy", 150)
            assert before.read() == b"".join(rows(i).tobytes() for i in range(4))
            assert error_of(backwards.read) == errno.EIO
    assert "10.npy: header says 224 bytes, the file has 150" in read(place / "concat/error.txt").decode()
    np.save(place.source / "10.npy", rows(10))
    assert values(place) == expected(*range(12))


def test_a_join_is_read_only_on_a_writable_mount_too(tmp_path):
    (tmp_path / "source").mkdir()
    shards.write(tmp_path / "source", {f"{i}.npy": rows(i) for i in range(3)})
    before = {path.name: path.read_bytes() for path in (tmp_path / "source").iterdir()}
    with Mount(tmp_path / "source", tmp_path / "mount", "--writable") as mount:
        for path in ("concat.npy", "concat/rows/0-2.npy", "concat.raw", "stack/T.npy", "concat/sources.json"):
            for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
                assert error_of(os.open, mount / path, flags) == errno.EPERM, path
        assert error_of(os.truncate, mount / "concat.npy", 0) == errno.EPERM
        assert "many files as one array are not written" in read(mount / ".npyfs/log").decode()
        assert {path.name: path.read_bytes() for path in (tmp_path / "source").iterdir()} == before


def test_who_has_a_join_open_sees_what_is_written_to_a_file_of_it(tmp_path):
    (tmp_path / "source").mkdir()
    shards.write(tmp_path / "source", {f"{i}.npy": rows(i) for i in range(3)})
    with Mount(tmp_path / "source", tmp_path / "mount", "--writable") as mount:
        memory = np.load(mount / "concat.npy", mmap_mode="r")
        assert memory[:, 0].tolist() == expected(0, 1, 2)
        np.save(mount / "1.npy", rows(77))
        wait_until(lambda: memory[:, 0].tolist() == expected(0, 77, 2), 10, "seen through the map")
        assert values(mount) == expected(0, 77, 2)
        # A map keeps a mount busy.
        del memory
