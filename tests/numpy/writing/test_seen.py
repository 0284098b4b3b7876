"""An array stays one array, whatever paths lead to it: what is written by one of them is seen by all
others, and nobody loses what they wrote."""

import contextlib
import errno
import multiprocessing
import os

import numpy as np
import pytest

import corpus
import oracle
import twin
import writers
from checks import assert_array, assert_same_bytes, error_of, load, read
from mounting import wait_until

SOON = 30
"""Seconds until whoever has a file open sees what was written by another path."""

SHAPE = (600, 40)
RECORD = np.dtype([("r", "<f4"), ("i", "<f4")])


@pytest.fixture
def tree(mounted):
    """What the kernel was told of a file it believes for long: nobody sees a change by asking again."""
    with mounted([corpus.sample("x", SHAPE, RECORD)], "--writable", "--ttl=600") as tree:
        yield tree


@pytest.fixture
def own(tree):
    return twin.Twin(tree.source / "x.npy", tree.samples["x"])


def paths(whole):
    """Ways to the same bytes: all of them, some, and the halves of each."""
    return [
        whole,
        whole.slice("..."),
        whole.rows(0, 300),
        whole.cols(3, 30),
        whole.slice("::-1,::2"),
        whole.transposed(),
        whole.field("r"),
        whole.field("i").cols(5),
    ]


def write(tree, rng, chain, way=writers.NPY["np.save"], ending=".npy"):
    values = twin.some_values(rng, chain.view)
    way(tree / f"{chain.path}{ending}", values, None)
    twin.assign(chain.view, values)


def contents(own, chain):
    """What the files of a view hold by now."""
    whole = bytes(own.memory) if chain.path == own.name else oracle.npy(chain.view)
    return {chain.npy: whole, chain.raw: oracle.raw(chain.view)}


@pytest.mark.parametrize("way", ["np.save", "np.save of the other order", "np.load r+", "in place"])
def test_the_next_open_of_every_path_sees_what_was_written(tree, own, rng, way):
    """Their pages are in the kernel from before, and were still good a moment ago."""
    for chain in paths(own.chain):
        write(tree, rng, chain, writers.NPY[way])
        for other in paths(own.chain):
            for path, content in contents(own, other).items():
                assert_same_bytes(read(tree / path), content, f"{path} after {chain.npy}")
            assert_array(load(tree / other.npy, mmap_mode="r"), other.view, other.npy)


@pytest.mark.parametrize("way", ["np.save", "a longer header", "np.load r+", "in place"])
def test_who_has_a_file_open_sees_it_soon(tree, own, rng, way):
    """By descriptors and by maps, of the path that was written too."""
    with contextlib.ExitStack() as opened:
        files = {}
        for chain in paths(own.chain):
            for path in contents(own, chain):
                files[path] = opened.enter_context(open(tree / path, "rb", buffering=0))
        maps = [(chain, np.load(tree / chain.npy, mmap_mode="r")) for chain in paths(own.chain)]
        for chain in paths(own.chain):
            write(tree, rng, chain, writers.NPY[way])
            for other in paths(own.chain):
                for path, content in contents(own, other).items():
                    file = files[path].fileno()
                    wait_until(
                        lambda: os.pread(file, 1 << 20, 0) == content, SOON, f"in {path}, {chain.npy}"
                    )
            for other, memory in maps:
                expected = oracle.raw(other.view)
                wait_until(lambda: oracle.raw(memory) == expected, SOON, f"in the map of {other.npy}")
        del maps, memory


def test_a_longer_header_makes_no_file_longer_than_it_is(tree, own, rng):
    """The kernel takes a file to be as long as what was written to it."""
    chain = own.chain.rows(0, 300)
    path = tree / chain.npy
    size = os.stat(path).st_size
    with open(path, "rb", buffering=0) as file:
        for _ in range(20):
            write(tree, rng, chain, writers.NPY["a longer header"])
            assert os.fstat(file.fileno()).st_size == size
            assert_same_bytes(os.pread(file.fileno(), 1 << 20, 0), oracle.npy(chain.view), path)
            assert os.stat(path).st_size == size


def test_a_map_loses_nothing_to_another_writer_s_longer_header(tree, own, rng):
    """What is stored meanwhile is written back, though the kernel may take the file to be longer.

    It does so for a moment only, and where that is by a page; so this is tried often.
    """
    chain = own.chain.rows(0, 3)
    content = writers.padded_otherwise(writers.file_of(twin.some_values(rng, chain.view)), 4000)
    for i in range(300):
        memory = np.load(tree / chain.npy, mmap_mode="r+")
        memory[-1, -1]["r"] = -1
        memory.flush()
        file = os.open(tree / chain.npy, os.O_WRONLY)
        try:
            os.write(file, content[:-10])
            memory[-1, 0] = (i, -1)
            os.write(file, content[-10:])
            memory[-1, 0] = (i, i)
            memory.flush()
        finally:
            os.close(file)
        assert tuple(np.load(own.path)[2, 0]) == (i, i)


@pytest.mark.parametrize("access", ["O_WRONLY", "O_RDWR"])
@pytest.mark.parametrize("at", ["the header", "the end"])
def test_a_refused_write_takes_nothing_from_who_has_the_file_mapped(tree, own, access, at):
    """Neither a value that they see, nor one that they have stored and not yet flushed."""
    chain = own.chain.rows(0, 300)
    size = os.stat(tree / chain.npy).st_size
    for i in range(20):
        memory = np.load(tree / chain.npy, mmap_mode="r+")
        file = os.open(tree / chain.npy, getattr(os, access))
        try:
            memory[0, 20], memory[-1, 20] = (i, i), (i, -i)
            before = memory.tobytes()
            where = 0 if at == "the header" else size - 200
            assert error_of(os.pwrite, file, b"X" * 201, where) in (errno.EINVAL, errno.EFBIG)
            assert memory.tobytes() == before
            memory.flush()
        finally:
            # It is told once more.
            assert error_of(os.close, file) in (errno.EINVAL, errno.EFBIG)
        own.array[0, 20], own.array[-301, 20] = (i, i), (i, -i)
        own.assert_on_disk(f"a refused write at {at}")
        del memory


def test_values_changed_natively_while_a_writer_has_it_open_are_seen_by_the_next_open(tree, own, rng):
    with open(tree / "x/rows/0-300.npy", "r+b", buffering=0) as writer:
        for seed in range(5):
            values = corpus.sample("x", SHAPE, RECORD, seed=seed)
            with open(own.path, "r+b") as file:
                file.write(values.blob)
            own.array[...] = values.array
            for chain in paths(own.chain):
                for path, content in contents(own, chain).items():
                    assert_same_bytes(read(tree / path), content, path)
            assert os.pread(writer.fileno(), 128, 0) == oracle.npy(own.array[:300])[:128]


def store(path, process, rounds):
    """Stores again and again to all items of a map, another value at a time."""
    memory = np.load(path, mmap_mode="r+")
    for i in range(rounds):
        for row in range(0, len(memory), 7):
            memory[row : row + 7] = 1000 * process + i
        if i % 3 == 0:
            memory.flush()
    memory.flush()


def save(path, process, rounds):
    values = np.load(path)
    for i in range(rounds):
        np.save(path, np.full_like(values, 1000 * process + i, order="CF"[i % 2]))


SPLITS = {
    "rows": lambda whole: [whole.slice(f"{i}::4") for i in range(4)],
    "columns and fields": lambda whole: [
        whole.slice(":,::-2").field("r"),
        whole.slice(":,::2").field("r"),
        whole.cols(0, 20).field("i"),
    ],
    "parts": lambda whole: [whole.part(0, 3), whole.part(1, 3), whole.part(2, 3).transposed()],
}


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("how", [[store], [save], [store, save]], ids=["maps", "np.save", "both"])
def test_writers_of_disjoint_views_lose_nothing_to_each_other(tree, own, split, how):
    """However their bytes interleave, and all at once."""
    rounds, chains = 30, SPLITS[split](own.chain)
    context = multiprocessing.get_context("fork")
    writing = [
        context.Process(target=how[i % len(how)], args=(tree / chain.npy, i, rounds), daemon=True)
        for i, chain in enumerate(chains)
    ]
    for process in writing:
        process.start()
    for i, (process, chain) in enumerate(zip(writing, chains)):
        process.join(60)
        assert process.exitcode == 0
        chain.view[...] = 1000 * i + rounds - 1
    own.assert_on_disk(split)
    for chain in paths(own.chain):
        assert_array(load(tree / chain.npy), chain.view, chain.npy)
