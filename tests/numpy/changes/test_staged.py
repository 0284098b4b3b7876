"""Large slices, which are copied into memory when they are opened on root's read-only mounts.

A copy is made only of a file that nobody has changed for a second. So these tests wait for that now and then, and
look at the daemon's descriptors to see whether there are copies.
"""

import errno
import mmap
import multiprocessing
import os
import random
import time

import numpy as np
import pytest

from checks import assert_encodings
from mounting import Mount, wait_until
from oracle import Chain

SHAPE = (5000, 512)
SECONDS = float(os.environ.get("NPYFS_STORM_SECONDS", 12))
RECORD = np.dtype([("a", "<i8"), ("b", "<f8")])


@pytest.fixture
def own_mount(tmp_path):
    """An empty source directory of the test's own, and a mount over it that stages."""
    (tmp_path / "source").mkdir()
    with Mount(tmp_path / "source", tmp_path / "mount") as mount:
        yield mount


def settle():
    """A change younger than a second may hide another."""
    time.sleep(1.1)


def copies(mount):
    """How many copies the daemon has."""
    directory, found = f"/proc/{mount.pid}/fd", 0
    for fd in os.listdir(directory):
        try:
            found += os.readlink(f"{directory}/{fd}").startswith("/#")
        except FileNotFoundError:
            pass  # closed meanwhile
    return found


def content(version):
    """Every number says which it is, and of which version; none is zero."""
    places = np.arange(np.prod(SHAPE), dtype="<i8").reshape(SHAPE)
    return places << 24 | version


def save(mount, array):
    new = mount.source / "new"
    with open(new, "wb") as file:
        np.save(file, array)
    os.replace(new, mount.source / "x.npy")


VIEWS = {
    "x/rows/100-4100.npy": lambda x: x[100:4100],
    "x/slice/::-1.npy": lambda x: x[::-1],
    "x/T.npy": lambda x: x.T,
    "x/cols/1-500.npy": lambda x: x[:, 1:500],
}

# Those that are copied by the thread that got the request, too.
IN_A_STORM = VIEWS | {
    "x/rows/7-300.npy": lambda x: x[7:300],
    "x/slice/::9.npy": lambda x: x[::9],
    "x/chunks/1000,128.zarr/c/4/3": lambda x: x[4000:, 384:],
}


@pytest.mark.parametrize("order", "CF")
def test_a_large_slice_is_its_view_and_was_copied(own_mount, order):
    array = np.asarray(content(7), order=order)
    save(own_mount, array)
    settle()
    x = Chain("x", array)
    views = [
        x.rows(100, 4900), x.cols(1, 500), x.transposed(), x.slice("::-1"), x.slice("1:,3:"),
        x.rows(100, 4900).cols(2, 510).transposed(),
    ]  # fmt: skip
    for view in views:
        with open(own_mount / view.npy, "rb"):
            assert copies(own_mount) == 1, view.path
        assert_encodings(own_mount, view)
        wait_until(lambda: copies(own_mount) == 0, 30, "given up")


def test_a_field_is_its_view_and_was_copied(own_mount):
    array = np.empty((2000, 1200), RECORD)
    array["a"], array["b"] = np.arange(1, 1201), np.random.default_rng(1).random((2000, 1200))
    save(own_mount, array)
    settle()
    for name in RECORD.names:
        view = Chain("x", array).field(name)
        with open(own_mount / view.npy, "rb"):
            assert copies(own_mount) == 1, name
        assert_encodings(own_mount, view)
        wait_until(lambda: copies(own_mount) == 0, 30, "given up")


def test_a_slice_or_chunk_of_a_member_of_an_archive_is_its_view_and_was_copied(own_mount):
    with open(own_mount.source / "new", "wb") as file:
        np.savez(file, first=content(6), x=content(7))
    os.replace(own_mount.source / "new", own_mount.source / "a.npz")
    settle()
    edge = np.zeros((1500, 200), "<i8")
    edge[:500, :112] = content(7)[4500:, 400:]
    expected = {
        "rows/100-4900.raw": content(7)[100:4900].tobytes(),
        "rows/100-400.raw": content(7)[100:400].tobytes(),
        "cols/1-500.raw": content(7)[:, 1:500].tobytes(),
        "chunks/1500,200.zarr/c/1/0": content(7)[1500:3000, :200].tobytes(),
        "chunks/1500,200.zarr/c/3/2": edge.tobytes(),
    }
    for count, (view, blob) in enumerate(expected.items(), 1):
        with open(own_mount / "a" / "x" / view, "rb") as file:
            assert file.read() == blob, view
            assert copies(own_mount) == count, view


@pytest.mark.parametrize("through_map", [False, True], ids=["written", "stored"])
def test_what_is_changed_while_a_copy_is_open_is_seen_by_the_next_open(own_mount, through_map):
    save(own_mount, content(1))
    memory = np.load(own_mount.source / "x.npy", mmap_mode="r+") if through_map else None
    held = []
    for version in range(2, 6):
        before = content(version - 1)
        del memory
        settle()
        for view, select in VIEWS.items():
            held.append((open(own_mount / view, "rb"), select(before)))
        assert copies(own_mount) >= 4
        memory = np.load(own_mount.source / "x.npy", mmap_mode="r+")
        if through_map:
            memory[...] = content(version)
        else:
            with open(own_mount.source / "x.npy", "r+b") as file:
                file.seek(128)
                content(version).tofile(file)
        for view, select in VIEWS.items():
            assert np.array_equal(np.load(own_mount / view), select(content(version))), view
    for file, expected in held:
        # What is open stays what it was, also where it is opened once more with no path to it.
        with open(f"/proc/self/fd/{file.fileno()}", "rb") as again:
            assert np.array_equal(np.load(again), expected)
        assert np.array_equal(np.load(file), expected)
        file.close()


def by_read(fd, size):
    parts = []
    while part := os.read(fd, 300_000):
        parts.append(part)
    return b"".join(parts)


def by_sendfile(fd, size):
    to = os.memfd_create("to")
    try:
        while os.sendfile(to, fd, None, 1 << 20):
            pass
        return os.pread(to, size + 1, 0)
    finally:
        os.close(to)


def by_direct(fd, size):
    page, parts = mmap.mmap(-1, 1 << 20), []
    while count := os.readv(fd, [page]):
        parts.append(page[:count])
    return b"".join(parts)


def by_map(fd, size):
    with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as mapped:
        return mapped[:]


def read_on(mount, ways, tolerated, completed, begun, stop, seed, results):
    """Reads until the end, and says what was wrong, how many reads were right, and which errors there were."""
    rng, right, errors = random.Random(seed), 0, set()
    expected = {view: select(content(0)) for view, select in IN_A_STORM.items()}
    while not stop.is_set():
        view, way = rng.choice(list(IN_A_STORM)), rng.choice(ways)
        first = completed.value
        try:
            fd = os.open(f"{mount}/{view}", os.O_DIRECT if way is by_direct else os.O_RDONLY)
            try:
                blob = way(fd, os.fstat(fd).st_size)
            finally:
                os.close(fd)
        except OSError as error:
            errors.add(errno.errorcode[error.errno])
            if error.errno in tolerated:
                continue
            results.put(f"{view}, {way.__name__}: {error}")
            return
        places, last = expected[view], begun.value
        order = "F" if b"'fortran_order': True" in blob[:128] else "C"
        header = 128 if view.endswith(".npy") else 0
        values = np.frombuffer(blob, "<i8", offset=header).reshape(places.shape, order=order)
        versions = values & 0xFFFFFF
        if not np.array_equal(values - versions, places):
            results.put(f"{view}, {way.__name__}: bytes that the file never had there")
            return
        if versions.min() < first or versions.max() > last:
            found = f"{versions.min()} to {versions.max()} instead of {first} to {last}"
            results.put(f"{view}, {way.__name__}: {found}")
            return
        right += 1
    results.put((right, errors))


def change(path, version, how):
    array = content(version)
    if how == "replaced":
        with open(path.with_suffix(".new"), "wb") as file:
            np.save(file, array)
        os.replace(path.with_suffix(".new"), path)
        return
    with open(path, "r+b") as file:
        if how == "cut off":
            file.truncate(os.path.getsize(path) // 2)
        file.seek(128)
        array.tofile(file)


@pytest.mark.parametrize(
    "ways, changes, tolerated",
    [
        ([by_read, by_sendfile, by_direct, by_map], ["replaced", "written"], set()),
        ([by_read, by_sendfile, by_direct], ["replaced", "written", "cut off"],
         {errno.EIO, errno.ENOENT}),
    ],
    ids=["whole", "cut off"],
)  # fmt: skip
def test_in_a_storm_of_changes_every_read_is_right(own_mount, ways, changes, tolerated):
    path = own_mount.source / "x.npy"
    np.save(path, content(1))
    settle()
    context = multiprocessing.get_context("fork")
    completed, begun = context.Value("q", 1), context.Value("q", 1)
    stop, results = context.Event(), context.Queue()
    arguments = (own_mount.path, ways, tolerated, completed, begun, stop)
    readers = [context.Process(target=read_on, args=(*arguments, i, results)) for i in range(8)]
    for reader in readers:
        reader.start()
    rng, were_copied, end = random.Random(1), 0, time.monotonic() + SECONDS
    version = 1
    while time.monotonic() < end or version < 6:
        version += 1
        begun.value = version
        change(path, version, rng.choice(changes))
        completed.value = version
        assert all(reader.is_alive() for reader in readers), results.get(timeout=60)
        if rng.random() < 0.6:
            time.sleep(1.0 + rng.random())
            were_copied += copies(own_mount) > 0
    stop.set()
    said = [results.get(timeout=120) for _ in readers]
    for reader in readers:
        reader.join(60)
        assert reader.exitcode == 0
    wrong = [what for what in said if isinstance(what, str)]
    assert not wrong
    assert were_copied and sum(right for right, _ in said) > 8
