"""Arrays in Zarr v3, as zarr-python and TensorStore read them, and as zarr-python writes them."""

import json
import os

import numpy as np
import pytest

import corpus
import dtypes
import generators
from expected import assert_same, v3_holds
from mounting import Mount
from oracle import Chain
from readers import assert_chunks, assert_read, by_tensorstore, opened
from served import CHUNK_BYTES

GRIDS = ["2,3", "5,4", "1,1", "100,100", 40, 4096]


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("name", dtypes.ALL)
def test_every_dtype(served, tmp_path, name, order):
    array = served.add(corpus.sample("x", (5, 4), dtypes.ALL[name], order))
    for grid in GRIDS:
        directory = served.zarr(array, grid)
        if v3_holds(array.view.dtype):
            assert_read(directory, array.view)
            assert_chunks(directory, array.view, tmp_path / f"{grid}")
        else:
            with pytest.raises(FileNotFoundError):
                os.stat(directory)


def test_many_dtypes_can_be_held():
    held = [name for name, dtype in dtypes.ALL.items() if v3_holds(dtype)]
    assert {"|b1", ">f4", "<c16", ">U3", "|S5", "|V7", "<M8", ">M8[D]", "ri"} <= set(held)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("shape", corpus.SHAPES, ids=str)
def test_every_shape(served, tmp_path, shape, order):
    array = served.add(corpus.sample("x", shape, "<i4", order))
    for size in CHUNK_BYTES:
        assert_read(served.zarr(array, size), array.view)
        assert_chunks(served.zarr(array, size), array.view, tmp_path / f"{size}")


def test_nested_records_by_tensorstore_and_zarr(served, tmp_path):
    record = np.dtype([("r", "<f4"), ("n", [("a", "<i2"), ("s", "S3")]), ("t", "<M8[ms]")])
    array = served.add(corpus.sample("x", (7, 3), record))
    assert_read(served.zarr(array, "2,2"), array.view)
    assert_chunks(served.zarr(array, "2,2"), array.view, tmp_path / "reference")
    flat = served.add(corpus.sample("flat", (7, 3), dtypes.RECORDS["ri"]))
    for field in "ri":
        got = by_tensorstore(served.zarr(flat, "2,2"), field=field)
        assert_same(got, flat.view[field], f"field {field}")


def random_chunks(rng, view):
    """The shape of a chunk, some of it beyond the array's; or bytes of a block."""
    if view.ndim == 0 or rng.random() < 0.3:
        return int(rng.choice([40, 1000, 4096]))
    # Not so small that there are thousands of files.
    least = [max(1, n // 4) for n in view.shape]
    return ",".join(str(rng.integers(low, n + 3)) for low, n in zip(least, view.shape))


@pytest.mark.parametrize("seed", range(150))
def test_random_views(served, tmp_path, seed):
    rng = np.random.default_rng([15, seed])
    view = np.zeros(0, "O")
    while not v3_holds(view.dtype) or view.size > 3000:
        sample = generators.random_sample(rng, seed)
        view = (chain := generators.random_chain(rng, Chain("", sample.array))).view
    chain = Chain(served.add(sample).path + chain.path, view)
    directory = served.zarr(chain, random_chunks(rng, view))
    assert_read(directory, view)
    assert_chunks(directory, view, tmp_path / "reference")


def test_every_view_has_names_of_its_own_for_its_axes(served):
    """By which xarray would otherwise take axes of two arrays for one."""
    array = served.add(corpus.sample("x", (6, 6), dtypes.RECORDS["ri"]))
    views = [array, array.rows(0, 3), array.rows(3, 6), array.rows(0), array.field("r"), array.transposed()]
    seen = [opened(served.zarr(view)).metadata.dimension_names for view in views]
    assert seen[0] == ("x_0", "x_1") and seen[1] == ("x[0:3]_0", "x[0:3]_1")
    names = [name for names in seen for name in names]
    assert len(set(names)) == len(names) == sum(view.view.ndim for view in views)


def test_nothing_but_zarr_is_listed(served):
    array = served.add(corpus.sample("x", (4, 4), "<f4"))
    assert sorted(os.listdir(served.zarr(array, "2,4"))) == ["c", "zarr.json"]
    assert sorted(os.listdir(served.zarr(array, "2,4") / "c")) == ["0", "1"]
    assert os.listdir(served.zarr(array, "2,4") / "c/1") == ["0"]
    point = served.add(corpus.sample("point", (), "<f4"))
    assert os.path.isfile(served.zarr(point) / "c")
    assert os.listdir(served.zarr(array).parent) != [] and not [
        name for name in os.listdir(served.zarr(array).parent) if "zarr" in name
    ]


@pytest.mark.parametrize("name", [
    "c/00", "c/+1", "c/a", "c/0/", "c/0/x", "c/-1", "zarr", "C", ".zgroup", "0", "header.json", "",
])  # fmt: skip
def test_any_other_name_does_not_exist(served, name):
    array = served.add(corpus.sample("x", (4, 4), "<f4"))
    path = f"{served.zarr(array, '2,4')}/{name}"
    if name in ("c/0/", ""):
        assert os.path.isdir(path)
    else:
        assert not os.path.exists(path), path


def test_a_mount_of_one_array_has_it_in_zarr_too(tmp_path):
    sample = corpus.sample("x", (40, 30), "<f4")
    (tmp_path / "x.npy").write_bytes(sample.blob)
    with Mount(tmp_path / "x.npy", tmp_path / "mount") as mount:
        assert_read(mount / ".zarr", sample.array)
        assert_read(mount / "rows/0-7.zarr", sample.array[:7])
        assert_read(mount / "T.zarr", sample.array.T)
        assert json.loads((mount / ".ome.zarr/zarr.json").read_text())["node_type"] == "group"
