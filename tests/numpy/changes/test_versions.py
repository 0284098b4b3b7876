"""Files that change while they are served: fresh values, whole versions, no wrong bytes."""

import concurrent.futures
import errno
import fcntl
import multiprocessing
import os
import shutil
import signal
import threading

import numpy as np
import pytest

import corpus
import oracle
from checks import assert_absent, assert_encodings, assert_same_bytes, error_of, load, read
from mounting import wait_until
from oracle import Chain

TTL_AND_MORE = 30
"""Names and sizes may be a second old (--ttl); this many seconds are a failure on any machine."""


def sample(seed, shape=(300, 40), dtype="<f8"):
    return corpus.sample("x", shape, dtype, seed=seed)


def put(mount, sample):
    """Replace x.npy the way careful programs do, by renaming over it."""
    new = mount.source / "x.new"
    new.write_bytes(sample.blob)
    os.replace(new, mount.source / "x.npy")


def selections(array):
    """Contiguous, strided and reversed ones, each its own way through the program."""
    chain = Chain("x", array)
    return [
        chain.rows(10, 200),
        chain.cols(3, 9),
        chain.slice("::-1,::2"),
        chain.transposed(),
        chain.rows(5).rows(2),
    ]


def test_values_written_through_a_map_that_stays_open_are_seen_by_the_next_open(own_mount):
    """A map moves no timestamp on a page that is already dirty: this is the hard case."""
    put(own_mount, sample(1))
    memory = np.load(own_mount.source / "x.npy", mmap_mode="r+")
    for value in range(30):
        memory[...] = value
        for view in selections(memory):
            assert_encodings(own_mount, view)
            mapped = np.load(own_mount / view.npy, mmap_mode="r")
            assert np.all(mapped == value), view.path
        assert np.all(np.load(own_mount / "x.npy") == value)


def test_single_values_written_through_a_map_are_seen_by_the_next_open(own_mount):
    put(own_mount, sample(1))
    memory = np.load(own_mount.source / "x.npy", mmap_mode="r+")
    for i in range(100):
        memory[i % 300, i % 40] = i
        assert np.load(own_mount / f"x/rows/{i % 300}.npy")[i % 40] == i
        assert np.load(own_mount / f"x/cols/{i % 40}.npy")[i % 300] == i
        assert np.load(own_mount / "x.npy", mmap_mode="r")[i % 300, i % 40] == i


def test_values_written_to_the_file_are_seen_by_the_next_open(own_mount):
    first = sample(1)
    put(own_mount, first)
    for seed in range(2, 12):
        values = sample(seed)
        with open(own_mount.source / "x.npy", "r+b") as file:
            file.seek(first.offset)
            file.write(values.blob[values.offset :])
        for view in selections(values.array):
            assert_encodings(own_mount, view)
        assert read(own_mount / "x.npy") == values.blob


def test_a_file_renamed_over_is_new_at_the_next_open(own_mount):
    for seed in range(10):
        version = sample(seed)
        put(own_mount, version)
        assert_same_bytes(read(own_mount / "x.npy"), version.blob, f"version {seed}")
        for view in selections(version.array):
            assert_same_bytes(read(own_mount / view.npy), oracle.npy(view.view), view.path)


@pytest.mark.parametrize("touched", [True, False], ids=["read before", "not read before"])
def test_who_has_the_old_file_open_keeps_it_whole(own_mount, touched):
    old = sample(1)
    put(own_mount, old)
    views = selections(old.array)
    expected = {"x.npy": old.blob} | {view.npy: oracle.npy(view.view) for view in views}
    expected |= {view.raw: oracle.raw(view.view) for view in views}
    files = {path: open(own_mount / path, "rb", buffering=0) for path in expected}
    if touched:
        assert all(len(file.read(200)) for file in files.values())
    for seed in (2, 3):
        put(own_mount, sample(seed))
        load(own_mount / "x/rows/0-9.npy")
        for path, file in files.items():
            got = os.pread(file.fileno(), 1 << 20, 0)
            assert_same_bytes(got, expected[path], path)
    for file in files.values():
        file.close()


def test_a_map_of_the_old_file_keeps_it_whole(own_mount):
    """Pages not yet read when the file is replaced are still the old file's."""
    old = sample(1, (2000, 100))
    put(own_mount, old)
    views = selections(old.array)
    maps = [np.load(own_mount / view.npy, mmap_mode="r") for view in views]
    put(own_mount, sample(2, (2000, 100)))
    load(own_mount / "x/cols/3-9.npy")
    for view, mapped in zip(views, maps):
        assert_same_bytes(mapped.tobytes(), oracle.raw(view.view), view.path)


def constant(value):
    """A version all of whose elements are the same, so that a mixture would show."""
    array = np.full((200, 300), value)
    return corpus.Sample("x", oracle.npy(array), array)


def test_readers_never_meet_two_versions_in_one_file(own_mount):
    """Replaced over and over while it is read, every open is of one version, and none fails."""
    put(own_mount, constant(0))
    done = threading.Event()

    def replace():
        for value in range(1, 300):
            put(own_mount, constant(value))
        done.set()

    def read_on(path, mode):
        loaded = 0
        while not done.is_set() or not loaded:
            got = np.load(own_mount / path, mmap_mode=mode)
            assert np.all(got == got.flat[0]), f"{path} holds {np.unique(got)}"
            loaded += 1
        return loaded

    paths = ["x.npy", "x/rows/10-200.npy", "x/cols/3-290.npy", "x/slice/::-1,::-1.npy"]
    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        readers = [pool.submit(read_on, path, mode) for path in paths for mode in (None, "r")]
        try:
            pool.submit(replace).result(timeout=60)
        finally:
            done.set()
        for reader in readers:
            assert reader.result(timeout=60) > 0


def follows(mount, view, old):
    """Wait for the new version; until it comes, what is read is the old one, whole."""
    new = oracle.npy(view.view)

    def is_new():
        got = read(mount / view.npy)
        assert got in (old, new), f"{view.path} is neither version"
        return got == new

    wait_until(is_new, TTL_AND_MORE, f"the new version of {view.path}")


def test_a_new_shape_is_followed_within_the_time_to_live(own_mount):
    """Never is there a piece of both."""
    versions = [sample(1), sample(2, (50, 7)), sample(3, (300, 40), "<i2"), sample(4, (9,), ">f4")]
    put(own_mount, versions[0])
    old = [read(own_mount / "x/slice/....npy"), read(own_mount / "x/rows/0-5.npy")]
    for version in versions[1:]:
        put(own_mount, version)
        chain = Chain("x", version.array)
        for view, bytes_before in zip((chain.slice("..."), chain.rows(0, 5)), old):
            follows(own_mount, view, bytes_before)
        old = [oracle.npy(chain.view), oracle.npy(chain.view[0:5])]
        wait_until(
            lambda: os.stat(own_mount / "x.npy").st_size == len(version.blob),
            TTL_AND_MORE,
            "the new size",
        )
    for path in ("x/rows/10", "x/cols", "x/rows/0-50"):
        wait_until(lambda: not os.path.exists(own_mount / path), TTL_AND_MORE, f"without {path}")


def test_a_file_saved_over_in_place_is_its_new_self_afterwards(own_mount):
    path = own_mount.source / "x.npy"
    for rows in (20, 400, 3):
        array = sample(rows, (rows, 40)).array
        np.save(path, array)
        size = len(oracle.npy(array))
        wait_until(
            lambda: os.stat(own_mount / "x/slice/....npy").st_size == size, TTL_AND_MORE, "the new size"
        )
        for view in (Chain("x", array).slice("..."), Chain("x", array).rows(1, rows).cols(0, 3)):
            assert_encodings(own_mount, view)


def assert_old_or_error(file, expected):
    """Reads of a file that was cut short: what it had held, or an error; no zeros."""
    for at in range(0, len(expected), 4096):
        try:
            got = os.pread(file, 4096, at)
        except OSError:
            continue
        assert_same_bytes(got, expected[at : at + 4096], f"at {at}")


def test_a_file_cut_short_gives_its_reader_an_error_and_harms_no_other(own_mount):
    values = sample(1, (2000, 100))
    (own_mount.source / "other.npy").write_bytes(values.blob)
    for view in selections(values.array):
        put(own_mount, values)
        wait_until(lambda: os.path.exists(own_mount / view.npy), TTL_AND_MORE, "served again")
        file = os.open(own_mount / view.npy, os.O_RDONLY)
        os.truncate(own_mount.source / "x.npy", 4096 + 100)
        assert_old_or_error(file, oracle.npy(view.view))
        os.close(file)
        wait_until(lambda: os.path.exists(own_mount / "x/error.txt"), TTL_AND_MORE, "an error to read")
        assert_encodings(own_mount, Chain("other", values.array).rows(100, 200).cols(3, 5))


def test_a_file_mended_is_an_array_again(own_mount):
    good = sample(1)
    (own_mount.source / "x.npy").write_bytes(good.blob[:-1])
    assert set(os.listdir(own_mount / "x")) == {"error.txt", "header.json"}
    put(own_mount, good)
    wait_until(lambda: os.path.exists(own_mount / "x/rows"), TTL_AND_MORE, "an array")
    wait_until(lambda: not os.path.exists(own_mount / "x/error.txt"), TTL_AND_MORE, "no error")
    assert_encodings(own_mount, Chain("x", good.array).rows(0, 9))


def test_a_file_removed_is_gone_but_for_those_who_have_it_open(own_mount):
    values = sample(1)
    put(own_mount, values)
    view = Chain("x", values.array).cols(2, 30)
    with open(own_mount / view.npy, "rb", buffering=0) as file:
        os.unlink(own_mount.source / "x.npy")
        wait_until(lambda: not os.path.exists(own_mount / "x"), TTL_AND_MORE, "gone")
        assert_absent(own_mount / "x", ["", ".npy", ".raw"])
        assert_same_bytes(file.read(), oracle.npy(view.view), view.path)


def hold_lease(path, held, over):
    """Holds a lease on a file until it is over, whoever waits for it."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    file = os.open(path, os.O_RDWR)
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    held.set()
    over.wait()


@pytest.mark.parametrize("made_again", [False, True])
def test_a_source_that_was_removed_is_an_error_that_is_logged_once(own_mount, made_again):
    """Not a directory with nothing in it; and what is open stays readable."""
    put(own_mount, sample(1))
    with open(own_mount / "x/rows/0-3.npy", "rb", buffering=0) as file:
        shutil.rmtree(own_mount.source)
        if made_again:
            own_mount.source.mkdir()
            put(own_mount, sample(2))
        for _ in range(3):
            assert error_of(os.listdir, own_mount.path) == errno.EIO
            assert error_of(os.stat, own_mount / "never there") == errno.EIO
            assert error_of(os.stat, own_mount / "never/there") == errno.EIO
        wait_until(lambda: error_of(os.stat, own_mount / "x.npy") == errno.EIO, TTL_AND_MORE, "gone")
        assert_same_bytes(file.read(), oracle.npy(sample(1).array[:3]), "the open one")
    log = own_mount.log().splitlines()
    said = [line for line in log if f"{own_mount.source}: the source directory was removed" in line]
    assert len(said) == 1 and "mount the new one" in said[0], log


def test_a_source_that_was_moved_is_still_the_source(own_mount):
    put(own_mount, sample(1))
    assert os.listdir(own_mount.path)
    os.rename(own_mount.source, own_mount.source.with_name("moved"))
    own_mount.source.mkdir()
    assert sorted(os.listdir(own_mount.path)) == ["x", "x.npy"]
    assert_encodings(own_mount, Chain("x", sample(1).array).rows(1, 3))


def test_a_lease_on_a_file_keeps_nobody_waiting(own_mount):
    """A worker that waited until it is given up would answer nobody meanwhile."""
    context = multiprocessing.get_context("fork")
    over, holders = context.Event(), []
    put(own_mount, sample(1))
    for i in range(8):
        path = own_mount.source / f"leased{i}.npy"
        path.write_bytes(sample(2).blob)
        held = context.Event()
        holders.append(context.Process(target=hold_lease, args=(path, held, over), daemon=True))
        holders[-1].start()
        assert held.wait(20), "no lease is granted here"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        errors = [pool.submit(error_of, read, own_mount / f"leased{i}/rows/0-5.raw") for i in range(8)]
        assert_encodings(own_mount, Chain("x", sample(1).array).rows(3, 9))
        # The kernel gives a holder 45 seconds.
        assert {error.result(20) for error in errors} <= {errno.EAGAIN}
    over.set()
    for holder in holders:
        holder.join(20)
    for i in range(8):
        assert_same_bytes(read(own_mount / f"leased{i}/rows/0-5.raw"), oracle.raw(sample(2).array[:5]), i)
