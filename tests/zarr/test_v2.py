"""Zarr v2, as zarr 2.18 reads it, and as later versions do."""

import json

import numpy as np
import pytest
import zarr

import corpus
import dtypes
import generators
from expected import assert_same, v2_holds, v3_holds
from oracle import Chain
from zarr_of import Refused, zarr_of

VERSION = tuple(map(int, zarr.__version__.split(".")[:2]))


def is_readable(dtype):
    """Whether this version of zarr-python knows the dtype. 2.18 knows them all."""
    if VERSION < (3,):
        return True
    if dtype.subdtype:
        return False
    fields = [dtype.fields[name][0] for name in dtype.names or ()]
    if VERSION < (3, 2) and any(field.names for field in fields):
        return False
    return dtype.char not in "gG" and all(is_readable(field) for field in fields)


def read(directory):
    return zarr.open_array(str(directory), mode="r")


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("name", dtypes.ALL)
def test_every_dtype(save, tmp_path, name, order):
    sample = corpus.sample("x", (5, 4), dtypes.ALL[name], order)
    path = save(sample)
    for grid in "2,3", "5,4", "1,1", "32B":
        target = tmp_path / f"{grid}.zarr"
        if not v2_holds(sample.array.dtype):
            with pytest.raises(Refused):
                zarr_of(path, "", target, "v2", grid)
            continue
        zarr_of(path, "", target, "v2", grid)
        if is_readable(sample.array.dtype):
            assert_same(read(target)[...], sample.array, target)
        if v3_holds(sample.array.dtype):
            assert_same_chunks(target, zarr_of(path, "", tmp_path / f"{grid}.v3", "v3", grid))


def assert_same_chunks(v2, v3):
    """The chunks of both versions are the same files by other names."""
    paths = [path for path in (v3 / "c").rglob("*") if path.is_file()]
    assert len(paths) == len(list(v2.iterdir())) - len([".zarray", ".zattrs"])
    for path in paths:
        name = str(path.relative_to(v3 / "c")).replace("/", ".")
        assert (v2 / name).read_bytes() == path.read_bytes(), f"{v2}/{name}"


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("shape", corpus.SHAPES, ids=str)
def test_every_shape(save, tmp_path, shape, order):
    sample = corpus.sample("x", shape, "<i4", order)
    target = zarr_of(save(sample), "", tmp_path / "x.zarr", "v2", "40B")
    assert_same(read(target)[...], sample.array, target)
    names = json.loads((target / ".zattrs").read_text())["_ARRAY_DIMENSIONS"]
    assert names == [f"x_{axis}" for axis in range(len(shape))]


@pytest.mark.parametrize("seed", range(100))
def test_random_views(save, tmp_path, seed):
    rng = np.random.default_rng([18, seed])
    view = np.zeros(0, "O")
    while not (v2_holds(view.dtype) and is_readable(view.dtype)) or view.size > 2000:
        sample = generators.random_sample(rng, seed)
        chain = generators.random_chain(rng, Chain("", sample.array))
        view = chain.view
    target = zarr_of(save(sample), chain.path, tmp_path / "x.zarr", "v2", f"{rng.integers(1, 999)}B")
    assert_same(read(target)[...], view, target)
