"""Zarr v2, as zarr 2.18 reads it, and as later versions do."""

import json
import os

import numpy as np
import pytest
import zarr

import corpus
import dtypes
import generators
from expected import assert_same, v3_holds
from oracle import Chain

VERSION = tuple(map(int, zarr.__version__.split(".")[:2]))


def is_readable(dtype):
    """Whether there is such a directory, and this version of zarr-python knows the dtype."""
    if not v3_holds(dtype):
        return False
    fields = [dtype.fields[name][0] for name in dtype.names or ()]
    return not ((3,) <= VERSION < (3, 2) and any(field.names for field in fields))


def read(directory):
    return opened(zarr.open_array, directory)[...]


def opened(open, directory):
    """A directory as Zarr v2. Its path may have a `::` in it, which is no URL here."""
    if VERSION >= (3,):
        return open(directory, mode="r", zarr_format=2)
    return open(zarr.DirectoryStore(directory), mode="r")


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("name", [name for name, dtype in dtypes.ALL.items() if is_readable(dtype)])
def test_every_dtype(served, name, order):
    array = served.add(corpus.sample("x", (5, 4), dtypes.ALL[name], order))
    for grid in "2,3", "5,4", "1,1", 40:
        directory = served.zarr(array, grid)
        assert_same(read(directory), array.view, directory)
        assert_same_chunks(directory)


def assert_same_chunks(directory):
    """The chunks of both versions are the same files by other names."""
    paths = [path for path in (directory / "c").rglob("*") if path.is_file()]
    assert paths
    for path in paths:
        name = str(path.relative_to(directory / "c")).replace("/", ".")
        assert (directory / name).read_bytes() == path.read_bytes(), f"{directory}/{name}"


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("shape", corpus.SHAPES, ids=str)
def test_every_shape(served, shape, order):
    array = served.add(corpus.sample("x", shape, "<i4", order))
    directory = served.zarr(array, 40)
    assert_same(read(directory), array.view, directory)
    names = json.loads((directory / ".zattrs").read_text())["_ARRAY_DIMENSIONS"]
    assert names == [f"x_{axis}" for axis in range(len(shape))]
    assert not [name for name in os.listdir(directory) if name.startswith(".")]


@pytest.mark.parametrize("seed", range(60))
def test_random_views(served, seed):
    rng = np.random.default_rng([18, seed])
    view = np.zeros(0, "O")
    while not is_readable(view.dtype) or view.size > 2000:
        sample = generators.random_sample(rng, seed)
        view = (chain := generators.random_chain(rng, Chain("", sample.array))).view
    directory = served.zarr(Chain(served.add(sample).path + chain.path, view), 1000)
    assert_same(read(directory), view, directory)


def test_a_group(served):
    arrays = [corpus.sample(name, (3, 2), "<i4") for name in "ab"]
    chain = served.add(arrays[0])
    (served.source / chain.path).with_name("b.npy").write_bytes(arrays[1].blob)
    group = opened(zarr.open_group, served.zarr(chain).parent.with_suffix(".zarr"))
    for sample in arrays:
        assert_same(group[sample.name][...], sample.array, sample.name)
