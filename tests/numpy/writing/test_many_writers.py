"""Writers of disjoint views never disturb each other, to the byte.

NPYFS_ROUNDS is how often all of them write to everything: 100 when it is not set. (For more than
1000, raise faulthandler_timeout.)
"""

import mmap
import os
import random
import re

import numpy as np
import pytest

import filling
import oracle
import writers
from mounting import Mount, wait_until

ROUNDS = int(os.environ.get("NPYFS_ROUNDS", 100))

SOON = 30
"""Seconds that a change may take to be seen, of which it needs a small part."""


def test_sixteen_processes_that_write_between_one_another_leave_what_numpy_would(own_writable):
    arrays = {name: filling.beginning(name).copy() for name in filling.ARRAYS}
    for name, array in arrays.items():
        np.save(own_writable.source / f"{name}.npy", array)
    with filling.Crew(own_writable) as crew:
        for round in range(ROUNDS):
            crew.write(round)
            for name, array in arrays.items():
                for writer in range(filling.COUNT):
                    filling.view_of(name, writer)[1](array)[...] = filling.values(round, name, writer)
                # The whole file, and not only the elements: the header, and padding if there is any.
                blob = (own_writable.source / f"{name}.npy").read_bytes()
                assert blob == oracle.saved(array), f"round {round}: {name}"
                assert (own_writable / f"{name}.npy").read_bytes() == blob, f"round {round}: {name} as it is read"


def test_who_has_another_path_open_or_mapped_comes_to_see_what_is_written(tmp_path):
    (tmp_path / "source").mkdir()
    array = np.arange(6000.0).reshape(60, 100)
    np.save(tmp_path / "source/a.npy", array)
    # The kernel asks nothing by itself.
    with Mount(tmp_path / "source", tmp_path / "mount", "--writable", "--ttl=1000") as mount:
        paths = {"a.npy": lambda a: a, "a/cols/3-90.npy": lambda a: a[:, 3:90], "a/T.npy": lambda a: a.T}
        mapped = {path: np.load(mount / path, mmap_mode="r") for path in paths}
        try:
            for turn, way in enumerate([*filling.WAYS, *filling.WAYS], start=1):
                for path, select in paths.items():
                    assert (mapped[path] == select(array)).all()
                writers.write(mount / "a/slice/::7,::-2", np.full((9, 50), -1.0 * turn), *way)
                array[::7, ::-2] = -turn
                for path, select in paths.items():
                    wait_until(lambda: (mapped[path] == select(array)).all(), SOON, f"seen in a map of {path}")
        finally:
            # The mount comes down when they are closed.
            mapped.clear()


SHAPE = (70, 40, 3)
VIEWS = {
    "a.npy": lambda a: a,
    "a/rows/5-65.npy": lambda a: a[5:65],
    "a/cols/3-38.npy": lambda a: a[:, 3:38],
    "a/slice/::-1,::2.npy": lambda a: a[::-1, ::2],
    "a/fields/b.npy": lambda a: a["b"],
    "a/T.npy": lambda a: a.T,
    "a/axis2/1/fields/a.raw": lambda a: a[:, :, 1]["a"],
}
OPERATIONS = int(os.environ.get("NPYFS_OPERATIONS", 4000))


class Exerciser:
    """Random operations on a file whose first bytes and whose size stay, beside what it should hold."""

    def __init__(self, path, fixed, content, seed):
        self.path, self.fixed, self.content = path, fixed, bytearray(content)
        self.random = random.Random(seed)
        # As most open it, as a program that replaces it does, and as one that wants no cache.
        self.files = [os.open(path, flags) for flags in (os.O_RDWR, os.O_WRONLY, os.O_RDWR | os.O_DIRECT)]
        self.map = mmap.mmap(self.files[0], 0)

    def close(self):
        self.map.close()
        for file in self.files:
            os.close(file)

    def some(self, first):
        start = self.random.randrange(first, len(self.content))
        return start, min(len(self.content), start + self.random.choice([1, 3, 17, 500, 5000, 20_000]))

    def write(self):
        start, stop = self.some(self.fixed)
        self.content[start:stop] = self.random.randbytes(stop - start)
        piece = bytes(self.content[start:stop])
        if self.random.random() < 0.4:
            self.map[start:stop] = piece
            if self.random.random() < 0.5:
                self.map.flush()
        else:
            # What a map has stored reaches the file whole pages at a time, when it is flushed.
            self.map.flush()
            assert os.pwrite(self.random.choice(self.files), piece, start) == len(piece)

    def read(self):
        start, stop = self.some(0)
        expected = bytes(self.content[start:stop])
        assert self.map[start:stop] == expected, f"mapped bytes {start}-{stop}"
        assert os.pread(self.files[0], stop - start, start) == expected, f"bytes {start}-{stop}"

    def same_header(self):
        """A header may be written as it is."""
        assert os.pwrite(self.files[0], self.content[: self.fixed], 0) == self.fixed

    def reopen(self):
        self.close()
        self.__init__(self.path, self.fixed, self.content, self.random.random())

    def sync(self):
        self.map.flush()
        os.fsync(self.random.choice(self.files))

    def run(self, operations):
        for _ in range(operations):
            kinds = [self.write, self.read, self.sync, self.same_header, self.reopen]
            self.random.choices(kinds, [10, 10, 1, 1, 0.3])[0]()


@pytest.mark.parametrize("view", VIEWS)
def test_random_operations_on_a_view_are_those_on_its_elements(own_writable, view):
    select = VIEWS[view]
    path = own_writable.source / "a.npy"
    count = int(np.prod(SHAPE)) * filling.LARGE_RECORD.itemsize
    array = np.frombuffer(random.Random(7).randbytes(count), filling.LARGE_RECORD).reshape(SHAPE).copy()
    np.save(path, array)
    before = (own_writable / view).read_bytes()
    header = len(before) - select(array).size * select(array).itemsize
    seed = random.random()
    exerciser = Exerciser(own_writable / view, header, before, seed)
    try:
        exerciser.run(OPERATIONS)
    except BaseException:
        print(f"seed {seed}")
        raise
    finally:
        exerciser.close()
    value = exerciser.content[header:]
    selected = select(array)
    order = "F" if view == "a/T.npy" else "C"
    selected[...] = np.frombuffer(bytes(value), selected.dtype).reshape(selected.shape, order=order)
    assert path.read_bytes() == oracle.saved(array)


def holdings(pid):
    """Descriptors, maps of files, and private memory in KiB."""
    with open(f"/proc/{pid}/status") as status, open(f"/proc/{pid}/maps") as maps:
        memory = int(re.search(r"RssAnon:\s+(\d+)", status.read())[1])
        return len(os.listdir(f"/proc/{pid}/fd")), maps.read().count(".npy\n"), memory


def at_rest(pid, descriptors=None):
    """What is held once nobody uses a file: they are closed ten seconds after their last use."""
    found = []

    def rests():
        found[:] = holdings(pid)
        return found[1] == 0 and descriptors in (None, found[0])

    wait_until(rests, SOON, f"at rest with {descriptors or 'some'} descriptors; {found} are held")
    return found


def test_ten_thousand_writers_leave_nothing_open(own_writable):
    for name in range(4):
        np.save(own_writable.source / f"{name}.npy", np.zeros((5000, 3)))

    def work(number):
        name, row = number % 4, number // 4
        for path, flags in [(f"{name}/rows/{row}.raw", os.O_WRONLY), (f"{name}/slice/{row}::2,1.npy", os.O_RDWR)]:
            file = os.open(own_writable / path, flags)
            try:
                if flags == os.O_RDWR:
                    with mmap.mmap(file, 0) as view:
                        view[128:136] = np.float64(number).tobytes()
                else:
                    assert os.pwrite(file, np.full(3, number, "<f8").tobytes(), 0) == 24
            finally:
                os.close(file)

    for number in range(1000):
        work(number)
    before = at_rest(own_writable.pid)
    for number in range(1000, 6000):
        work(number)
    after = at_rest(own_writable.pid, before[0])
    assert after[2] < before[2] + (30 << 10), "memory"
    assert (np.load(own_writable.source / "3.npy")[1499] == 5999).all()
