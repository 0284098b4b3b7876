"""A writer or the daemon is killed half-way: what is left is what was there, and a prefix of what was written.

NPYFS_KILLS is how often each kind of writer is killed on each view at a random moment: 3 when it is not
set. Such a kill may come too early or too late, on a busy machine each of them; so there is always one
more that cannot.
"""

import fcntl
import mmap
import os
import random
import resource
import signal
import time

import numpy as np
import pytest

import writers
from mounting import ENDED_SECONDS, Mount, in_mount_table, wait_until
from processes import child

KILLS = int(os.environ.get("NPYFS_KILLS", 3))
SHAPE = (600, 600)
HEADER = 128
OLD = np.arange(1, 1 + np.prod(SHAPE), dtype="<i8").reshape(SHAPE)
NEW = -OLD

VIEWS = {
    "rows/64-590": lambda a: a[64:590],
    "cols/3-190": lambda a: a[:, 3:190],
    "slice/::-1,::-2": lambda a: a[::-1, ::-2],
    "T": lambda a: a.T,
}

STORE = 512
"""Elements that a writer stores to a map at once, which can be cut off anywhere."""


REQUEST = 1 << 20
"""The most bytes that the daemon is given at once."""

PIECE = 8_000
"""Bytes that are written, and then synced, at once."""


def copy(path, value, ready):
    """By a program that is not Python, from a file that lies ready."""
    os.execvp("cp", ["cp", ready, f"{path}.npy"])


def store(path, value, ready):
    """Through a map of the bytes in C order."""
    view, value = np.memmap(f"{path}.raw", "<i8", "r+"), value.ravel()
    for start in range(0, value.size, STORE):
        piece = value[start : start + STORE]
        view[start : start + piece.size] = piece
        # All of it takes no longer than to be killed.
        time.sleep(0.0001)


WAYS = {
    "np.save": lambda path, value, ready: writers.write(path, value, ".npy", "np.save"),
    "cp": copy,
    "pwrite": lambda path, value, ready: writers.write(path, value, ".raw", "in place"),
    "mmap": store,
}


def half_of(value):
    """About half of the bytes: whole elements, and whole pieces of a writer that writes in pieces."""
    return value.nbytes // 2 // (8 * writers.CHUNK) * (8 * writers.CHUNK)


def die_half_way(way, path, value, ready):
    """Ends by a signal when exactly half of the bytes have been written."""
    half = half_of(value)
    if way == "mmap":
        store(path, value.ravel()[: half // 8], ready)
        os.kill(os.getpid(), signal.SIGKILL)
    # A write that would go past the limit is cut off there, and the next one is the end.
    limit = half if way == "pwrite" else HEADER + half
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    WAYS[way](path, value, ready)


def ended(pid):
    """The exit status of a child, which ends soon."""
    found = []

    def has_ended():
        found[:] = os.waitpid(pid, os.WNOHANG)
        return found[0] == pid

    wait_until(has_ended, ENDED_SECONDS, "the end of a writer")
    return os.waitstatus_to_exitcode(found[1])


def first_difference(a, b):
    differences = np.flatnonzero(a != b)
    return int(differences[0]) if differences.size else a.size


class Array:
    """The backing file, whose every eight bytes say which element they are, and whether an old or a new one."""

    def __init__(self, path):
        self.path = path
        np.save(path, OLD)
        self.header = path.read_bytes()[:HEADER]

    def reset(self):
        with open(self.path, "r+b") as file:
            file.seek(HEADER)
            file.write(OLD.tobytes())

    def inside(self, select):
        """The elements of a view as they are in the file now; all others must be the old ones."""
        held = self.path.read_bytes()
        assert held[:HEADER] == self.header and len(held) == HEADER + OLD.nbytes
        array = np.frombuffer(held, "<i8", offset=HEADER).reshape(SHAPE)
        rest = array.copy()
        select(rest)[...] = select(OLD)
        assert (rest == OLD).all(), "an element outside of the view was changed"
        return select(array).ravel()

    def written(self, select, at_once=0):
        """How many bytes of a view were written. What follows them is old, except what was written at once."""
        elements = self.inside(select)
        now, old, new = (values.view("u1") for values in (elements, select(OLD).ravel(), select(NEW).ravel()))
        count = first_difference(now, new)
        rest = min(now.size, count + at_once)
        assert ((now == old) | (now == new)).all()
        assert (now[rest:] == old[rest:]).all(), f"more was written than the first {count} bytes"
        return count

    def check_old_or_new(self, select):
        elements = self.inside(select)
        assert ((elements == select(OLD).ravel()) | (elements == select(NEW).ravel())).all()


@pytest.fixture
def place(tmp_path):
    (tmp_path / "source").mkdir()
    return tmp_path


def mounted(place):
    return Mount(place / "source", place / "mount", "--writable")


def has_begun(array, select):
    """Returns at once when one of some elements of a view, the first among them, is in the file."""
    elements = np.arange(OLD.size).reshape(SHAPE)
    offsets = HEADER + 8 * select(elements).ravel()[:: OLD.size // 20]
    file, until = os.open(array.path, os.O_RDONLY), time.monotonic() + ENDED_SECONDS
    try:
        while all(int.from_bytes(os.pread(file, 8, at), "little", signed=True) > 0 for at in offsets):
            assert time.monotonic() < until, "nothing was ever written"
    finally:
        os.close(file)


@pytest.mark.parametrize("way", WAYS)
def test_a_writer_that_is_killed_leaves_a_prefix_of_what_it_wrote(place, way):
    array = Array(place / "source" / "a.npy")
    with mounted(place) as mount:
        for name, select in VIEWS.items():
            value = np.ascontiguousarray(select(NEW))
            ready = place / "ready.npy"
            np.save(ready, value)
            work = WAYS[way], mount / "a" / name, value, ready
            began = time.monotonic()
            assert ended(child(*work)) == 0
            seconds = time.monotonic() - began
            assert array.written(select) == value.nbytes
            for _ in range(KILLS):
                array.reset()
                pid = child(*work)
                time.sleep(random.random() * seconds)
                os.kill(pid, signal.SIGKILL)
                ended(pid)
                array.written(select, 8 * STORE if way == "mmap" else 0)
            array.reset()
            assert ended(child(die_half_way, way, *work[1:])) in (-signal.SIGXFSZ, -signal.SIGKILL)
            assert array.written(select) == half_of(value)
            # The next writer finds nothing in the way.
            assert ended(child(*work)) == 0
            assert array.written(select) == value.nbytes
            array.reset()


MOST_KILLS = 200
"""Killed as soon as its first bytes are seen, a daemon has written all of them only if nobody else ran meanwhile.
One kill of so many comes sooner on any machine."""


@pytest.mark.parametrize("way", WAYS)
def test_a_daemon_that_is_killed_leaves_a_prefix_of_what_it_was_to_write(place, way):
    array = Array(place / "source" / "a.npy")
    amidst = 0
    for name, select in VIEWS.items():
        value = np.ascontiguousarray(select(NEW))
        ready = place / "ready.npy"
        np.save(ready, value)
        with mounted(place) as mount:
            work = WAYS[way], mount / "a" / name, value, ready
            began = time.monotonic()
            assert ended(child(*work)) == 0
            seconds = time.monotonic() - began
        for done in range(MOST_KILLS):
            if done > KILLS and amidst:
                break
            array.reset()
            with mounted(place) as mount:
                pid = child(*work)
                if done < KILLS:
                    time.sleep(random.random() * seconds)
                else:
                    has_begun(array, select)
                mount.kill()
                ended(pid)
            assert not in_mount_table(mount.path)
            if way == "mmap":
                # The kernel writes the pages of a map in no order that it promises.
                array.check_old_or_new(select)
                amidst += not (array.inside(select) == select(OLD).ravel()).all()
            else:
                # What one request brings is not written in the order of the view.
                amidst += 0 < array.written(select, REQUEST) < value.nbytes
        array.reset()
    assert amidst > 0, "every kill came too late, so this proves nothing"


REPORT = 1024
"""The bytes in which a writer reports that a piece was synced. A pipe takes a few of them and no more, so
that a writer never gets further ahead of whoever reads them."""


def write_and_sync(path, value, by_map, report):
    """Piece by piece, and reports each when it has been synced."""
    blob = value.tobytes()
    with open(f"{path}.raw", "r+b", buffering=0) as file:
        view = mmap.mmap(file.fileno(), 0)
        for start in range(0, len(blob), PIECE):
            piece = blob[start : start + PIECE]
            if by_map:
                view[start : start + len(piece)] = piece
                view.flush()
            else:
                os.pwrite(file.fileno(), piece, start)
                os.fsync(file.fileno())
            os.write(report, (start + len(piece)).to_bytes(REPORT, "little"))


@pytest.mark.parametrize("by_map", [False, True], ids=["write and fsync", "mmap and msync"])
def test_what_was_synced_is_not_lost_with_the_daemon(place, by_map):
    array = Array(place / "source" / "a.npy")
    for name, select in VIEWS.items():
        value = np.ascontiguousarray(select(NEW))
        for _ in range(KILLS):
            array.reset()
            reports, report = os.pipe()
            fcntl.fcntl(report, fcntl.F_SETPIPE_SZ, 4 * REPORT)
            with mounted(place) as mount:
                pid = child(write_and_sync, mount / "a" / name, value, by_map, report)
                os.close(report)
                with open(reports, "rb") as file:
                    # Somewhere amidst: a view has more than a hundred pieces.
                    for _ in range(random.randrange(1, 50)):
                        last = file.read(REPORT)
                    mount.kill()
                    last = (last + file.read())[-REPORT:]
                ended(pid)
            synced = int.from_bytes(last, "little")
            assert 0 < synced < value.nbytes
            now = array.inside(select).view("u1")
            assert first_difference(now, value.ravel().view("u1")) >= synced
            # What one request brings is not written in the order of the view.
            array.check_old_or_new(select) if by_map else array.written(select, PIECE)
