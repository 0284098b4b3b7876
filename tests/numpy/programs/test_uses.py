"""What users come for: a quadrant, a field, part i of n, windows over more than memory."""

import contextlib
import itertools
import os
import re

import numpy as np
import pytest

import oracle
from checks import assert_same_bytes, read
from mounting import Mount
from processes import anonymous_bytes

GIB = 1 << 30
SPARSE_ROWS = 8 * GIB
WINDOW = 1_000_000
MARKED = 100 * WINDOW


def test_the_top_left_quadrant_of_a_complex_array_stored_as_records(arrays):
    a = arrays.samples["quadrants"].array
    quadrant = np.load(arrays / "quadrants/rows/0-50/cols/0-50.npy")
    assert quadrant.shape == (50, 50) and quadrant.dtype.names == ("r", "i")
    assert quadrant.tobytes() == a[:50, :50].tobytes()


def test_the_bottom_right_quadrant_field_by_field(arrays):
    a = arrays.samples["quadrants"].array
    for path in ("rows/50-100/cols/50-100/fields", "slice/50:,50:/fields", "slice/-50:,-50:/fields"):
        real, imaginary = (np.load(arrays / "quadrants" / path / f"{name}.npy") for name in "ri")
        assert real.dtype == imaginary.dtype == np.dtype("<f4")
        assert real.tobytes() == a[50:, 50:]["r"].tobytes()
        assert imaginary.tobytes() == a[50:, 50:]["i"].tobytes()


@pytest.mark.parametrize("processes", [1, 2, 7, 16, 100, 120])
def test_process_i_of_n_finds_its_part_and_all_parts_are_the_whole(arrays, processes):
    a = arrays.samples["table"].array
    parts = [np.load(arrays / f"table/parts/{processes}/{i}.npy") for i in range(processes)]
    assert np.concatenate(parts).tobytes() == a.tobytes()
    assert [len(part) for part in parts] == [len(part) for part in np.array_split(a, processes)]


@pytest.fixture(scope="module")
def sparse(tmp_path_factory):
    """64 GiB of float64 that take no room: NumPy's own file, and markers here and there."""
    directory = tmp_path_factory.mktemp("sparse")
    (directory / "source").mkdir()
    path = directory / "source/big.npy"
    a = np.lib.format.open_memmap(path, "w+", "<f8", (SPARSE_ROWS,))
    a[::MARKED] = np.arange(1, len(a[::MARKED]) + 1)
    a[-1] = -1
    a.flush()
    assert os.stat(path).st_blocks * 512 < 64 << 20, "this disk knows no sparse files"
    with Mount(directory / "source", directory / "mount") as mount:
        yield mount, np.load(path, mmap_mode="r")


def test_windows_slide_over_an_array_larger_than_memory(sparse):
    mount, a = sparse
    before = anonymous_bytes(mount.pid)
    last = (SPARSE_ROWS - WINDOW) // (WINDOW // 2)
    for k in (0, 1, 200, 400, last // 2, last - 1, last):
        start = k * (WINDOW // 2)
        path = mount / f"big/windows/{WINDOW},{WINDOW // 2}/{k}.npy"
        assert_same_bytes(read(path), oracle.npy(a[start : start + WINDOW]), path)
    assert anonymous_bytes(mount.pid) - before < 64 << 20


def test_slices_far_into_a_large_file_are_read_from_the_right_place(sparse):
    mount, a = sparse
    n = SPARSE_ROWS
    for i in (0, MARKED, n - 1, n // WINDOW * WINDOW - WINDOW):
        assert np.load(mount / f"big/rows/{i}.npy") == a[i]
    every = np.load(mount / f"big/slice/::{MARKED}.npy")
    assert np.array_equal(every, np.arange(1, len(every) + 1))
    assert np.load(mount / "big/slice/:-4:-1.npy").tolist() == [-1, 0, 0]
    assert np.array_equal(np.load(mount / f"big/parts/{n // 16}/{n // 16 - 1}.npy"), a[-16:])


@pytest.mark.parametrize(("path", "rows", "row", "selection"), [
    (f"rows/1-{SPARSE_ROWS}", SPARSE_ROWS - 1, SPARSE_ROWS - 3, np.s_[-2:]),
    (f"rows/0-{SPARSE_ROWS}", SPARSE_ROWS, MARKED, np.s_[MARKED : MARKED + 2]),
    ("slice/::-1", SPARSE_ROWS, 0, np.s_[:-3:-1]),
    ("slice/::-1", SPARSE_ROWS, SPARSE_ROWS - 2, np.s_[1::-1]),
])  # fmt: skip
def test_a_slice_of_64_gib_has_a_size_and_any_part_of_it_can_be_read(sparse, path, rows, row, selection):
    mount, a = sparse
    file = os.open(mount / f"big/{path}.raw", os.O_RDONLY)
    try:
        assert os.fstat(file).st_size == rows * 8
        assert os.pread(file, 16, row * 8) == a[selection].tobytes()
    finally:
        os.close(file)


@pytest.mark.parametrize("path", ["windows/10,1", "parts/4294967296"])
def test_listing_billions_of_slices_starts_at_once_and_takes_no_memory(sparse, path):
    """Made as a whole it would never begin: the suite's own limit of time would end it."""
    mount, _ = sparse
    before = anonymous_bytes(mount.pid)
    with os.scandir(mount / "big" / path) as entries:
        names = [entry.name for entry in itertools.islice(entries, 20_000)]
    assert len(set(names)) == 20_000 and all(re.fullmatch(r"\d+\.npy", name) for name in names)
    assert anonymous_bytes(mount.pid) - before < 16 << 20


def maps_of(pid, name):
    """How often a process has a file mapped."""
    with open(f"/proc/{pid}/maps") as maps:
        return sum(line.rstrip("\n").endswith(f"/{name}") for line in maps)


def test_a_thousand_open_slices_share_one_map_of_their_file(sparse):
    mount, a = sparse
    before = anonymous_bytes(mount.pid)
    paths = [mount / f"big/slice/{k}:{k + 10**6}:{k % 7 + 1}.npy" for k in range(1000)]
    with contextlib.ExitStack() as still_open:
        files = [still_open.enter_context(open(path, "rb", buffering=0)) for path in paths]
        for k, file in enumerate(files):
            file.seek(-8, os.SEEK_END)
            assert file.read() == a[k : k + 10**6 : k % 7 + 1][-1].tobytes()
        assert maps_of(mount.pid, "big.npy") <= 1
        assert anonymous_bytes(mount.pid) - before < 16 << 20
