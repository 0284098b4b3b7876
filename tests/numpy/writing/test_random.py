"""Random writes by some paths, random reads by others: an array in memory says what comes of it.

NPYFS_SEED repeats a run, NPYFS_CASES makes it longer. Every failure names the seed, and what was
done so far.
"""

import os
import secrets

import numpy as np
import pytest

import generators
import oracle
import twin
import writers
from checks import assert_array, assert_same_bytes, load, read

SEED = int(os.environ.get("NPYFS_SEED") or secrets.randbits(32))
CASES = int(os.environ.get("NPYFS_CASES") or 120)
BATCH = 20
ARRAYS = 40
STEPS = 8

OLD_FORMAT = "format 2.0"
"""Which has no names but Latin ones."""


@pytest.fixture(scope="module")
def tree(mounted):
    rng = np.random.default_rng(SEED)
    samples = [generators.random_sample(rng, i) for i in range(ARRAYS)]
    with mounted(samples, "--writable") as tree:
        yield tree


def some_view(rng, whole):
    """The whole array, or any view of it; none of items without bytes, which np.save widens."""
    while True:
        chain = generators.random_chain(rng, whole) if rng.random() < 0.9 else whole
        if chain.view.dtype.itemsize:
            return chain


def replace(tree, rng, chain, scratch):
    """All values of a view, in one of the ways of programs."""
    ending = [".npy", ".npy", ".raw"][rng.integers(3)]
    names = [name for name in writers.QUICK[ending] if name != OLD_FORMAT or latin(chain.view.dtype)]
    way = names[rng.integers(len(names))]
    values = twin.some_values(rng, chain.view)
    writers.QUICK[ending][way](tree / f"{chain.path}{ending}", values, scratch)
    twin.assign(chain.view, values)
    return f"{way} of {chain.path}{ending}"


def latin(dtype):
    return not generators.name_needs_unicode(dtype)


def patch(tree, rng, chain, scratch):
    """A few pieces of a view's bytes, by one descriptor, wherever they begin and end."""
    ending = [".npy", ".raw"][rng.integers(2)]
    path = tree / f"{chain.path}{ending}"
    content, values = bytearray(read(path)), twin.some_values(rng, chain.view)
    start = len(content) - chain.view.nbytes
    fresh = twin.with_values(content, values) if ending == ".npy" else oracle.raw(values)
    told = []
    file = os.open(path, [os.O_WRONLY, os.O_RDWR][rng.integers(2)])
    try:
        for _ in range(4):
            at = int(rng.integers(max(start - 9, 0), len(content) + 1))
            stop = min(at + int(rng.integers(0, 3000)), len(content))
            assert os.pwrite(file, fresh[at:stop], at) == stop - at
            content[at:stop] = fresh[at:stop]
            told.append(f"{at}..{stop}")
    finally:
        os.close(file)
    if ending == ".npy":
        array = twin.array_of(content, chain.view)
    else:
        array = np.ndarray(chain.view.shape, chain.view.dtype, content)
    if chain.view.nbytes:
        oracle.items(chain.view)[...] = oracle.items(array)
    return f"{told} of {path}"


def look(tree, rng, own, chain):
    """A view, read in one of the ways of programs."""
    path = tree / chain.npy
    kind = rng.integers(4)
    if kind == 0:
        assert_array(load(path), chain.view, path)
    elif kind == 1:
        assert_array(load(path, mmap_mode="r"), chain.view, path)
    elif kind == 2:
        # The whole file has a header of its own.
        expected = bytes(own.memory) if chain.path == own.name else oracle.npy(chain.view)
        assert_same_bytes(read(path), expected, path)
    else:
        assert_same_bytes(read(tree / chain.raw), oracle.raw(chain.view), chain.raw)


def run_sequence(tree, rng, own, scratch, told):
    for _ in range(STEPS):
        act = replace if rng.random() < 0.7 else patch
        told.append(act(tree, rng, some_view(rng, own.chain), scratch))
        own.assert_on_disk(told[-1])
        for _ in range(3):
            chain = some_view(rng, own.chain)
            told.append(f"read {chain.path}")
            look(tree, rng, own, chain)


@pytest.mark.parametrize("batch", range(-(-CASES // BATCH)))
def test_whatever_is_written_by_some_paths_is_read_by_all_others(tree, batch, tmp_path):
    rng = np.random.default_rng([SEED, batch])
    names = [name for name, sample in tree.samples.items() if sample.array.dtype.itemsize]
    for _ in range(min(BATCH, CASES - batch * BATCH)):
        name = names[rng.integers(len(names))]
        own = twin.Twin(tree.source / f"{name}.npy", tree.samples[name])
        told = []
        try:
            run_sequence(tree, rng, own, tmp_path, told)
        except Exception as failure:
            array = own.array
            what = f"NPYFS_SEED={SEED}: {name} of {array.dtype} {array.shape} {array.strides}"
            raise AssertionError("\n".join([what, *told, str(failure)])) from failure
