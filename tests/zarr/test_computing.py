"""xarray and Dask on Zarr directories."""

import pathlib
import re
import warnings

import dask.array
import numpy as np
import pytest
import xarray

import corpus
from served import put

BIG = corpus.sample("big", (1000, 60), "<i8")


@pytest.fixture
def mount(own_mount):
    put(own_mount.source, "sub/big", BIG)
    put(own_mount.source, "sub/line", corpus.sample("line", (70,), ">f4"))
    put(own_mount.source, "sub/cube", corpus.sample("cube", (3, 4, 5), "<i2", "F"))
    put(own_mount.source, "sub/point", corpus.sample("point", (), "<f8"))
    return own_mount


def test_dask_takes_the_chunks_of_a_path_and_computes(mount):
    array = BIG.array
    for path, chunks, view in [
        ("big.zarr", ((1000,), (60,)), array),
        ("big/chunks/300,40.zarr", ((300, 300, 300, 100), (40, 20)), array),
        ("big/rows/5-900/chunks/500,60.zarr", ((500, 395), (60,)), array[5:900]),
        ("big/T/chunks/60,250.zarr", ((60,), (250,) * 4), array.T),
    ]:
        lazy = dask.array.from_zarr(str(mount / "sub" / path), zarr_format=3)
        assert lazy.chunks == chunks, path
        assert np.array_equal(lazy.sum(axis=0).compute(scheduler="threads"), view.sum(axis=0)), path
        window = dask.array.overlap.sliding_window_view(lazy, 3, axis=0).max(axis=-1)
        expected = np.lib.stride_tricks.sliding_window_view(view, 3, axis=0).max(axis=-1)
        assert np.array_equal(window.compute(scheduler="threads"), expected), path


def test_what_the_readme_shows_runs(own_mount):
    put(own_mount.source, "big", corpus.sample("big", (30_000, 100), "<i2"))
    readme = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
    section = readme.split("## When one machine is not enough\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    code = "".join(block for block in blocks if "/mnt/npy" in block)
    assert code.count("/mnt/npy") == 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(code.replace("/mnt/npy", str(own_mount.path)), {})


@pytest.mark.parametrize("consolidated", [None, False])
def test_xarray_opens_a_group_as_a_dataset(mount, consolidated):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = xarray.open_zarr(mount / "sub.zarr", consolidated=consolidated, zarr_format=3)
    arrays = {path.stem: np.load(path) for path in (mount.source / "sub").iterdir()}
    assert set(dataset.variables) == set(arrays)
    for name, array in arrays.items():
        variable = dataset[name]
        assert variable.dims == tuple(f"{name}_{axis}" for axis in range(array.ndim))
        assert np.array_equal(variable.values, array, equal_nan=True), name
    rows = dataset["big"].isel(big_0=slice(3, 8)).values
    assert np.array_equal(rows, BIG.array[3:8])


def test_xarray_opens_a_group_beneath_another(mount):
    dataset = xarray.open_zarr(mount / ".zarr", group="sub", zarr_format=3)
    assert np.array_equal(dataset["big"].values, BIG.array)
