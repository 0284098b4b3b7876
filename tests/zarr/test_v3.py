"""Zarr v3 as zarr-python and TensorStore read it, and as zarr-python writes it."""

import json
import shutil

import numpy as np
import pytest
import tensorstore
import zarr

import corpus
import dtypes
import generators
from expected import assert_same, comparable, v3_holds
from oracle import Chain
from zarr_of import Refused, zarr_of

GRIDS = ["2,3", "5,4", "1,1", "100,100", "32B", "4096B"]


def files(directory):
    """Every file beneath, by relative path."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def written_by_zarr(directory, array, reference):
    """What zarr-python writes of an array to a directory with the same zarr.json."""
    metadata = json.loads((directory / "zarr.json").read_text())
    if array.dtype.kind in "mM":
        # Padding is NaT there, and zeros here: to compare, both are integers.
        metadata |= {"data_type": "int64", "fill_value": 0}
    reference.mkdir()
    (reference / "zarr.json").write_text(json.dumps(metadata))
    with zarr.config.set({"array.write_empty_chunks": True}):
        zarr.open_array(reference, mode="r+", zarr_format=3)[...] = comparable(array)
    return files(reference)


def assert_chunks(directory, array, reference):
    """The same files as zarr-python writes, to the byte."""
    ours, theirs = files(directory), written_by_zarr(directory, array, reference)
    assert ours.keys() == theirs.keys(), directory
    for name in ours.keys() - {"zarr.json"}:
        assert ours[name] == theirs[name], f"{directory}/{name}"


def assert_read(directory, array):
    """Equal to NumPy, by zarr-python, and by TensorStore where it knows the dtype."""
    read = zarr.open_array(directory, mode="r", zarr_format=3)
    assert_same(read[...], array, f"zarr-python, {directory}")
    if array.dtype.kind in "biufc":
        assert_same(by_tensorstore(directory), array, f"TensorStore, {directory}")


def by_tensorstore(directory, **spec):
    kvstore = {"driver": "file", "path": str(directory)}
    store = tensorstore.open({"driver": "zarr3", "kvstore": kvstore, **spec})
    return store.result().read().result()


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("name", dtypes.ALL)
def test_every_dtype(save, tmp_path, name, order):
    sample = corpus.sample("x", (5, 4), dtypes.ALL[name], order)
    path = save(sample)
    for number, grid in enumerate(GRIDS):
        target = tmp_path / f"{number}.zarr"
        if v3_holds(sample.array.dtype):
            zarr_of(path, "", target, "v3", grid)
            assert_read(target, sample.array)
            assert_chunks(target, sample.array, tmp_path / f"{number}.reference")
        else:
            with pytest.raises(Refused):
                zarr_of(path, "", target, "v3", grid)


def test_many_dtypes_can_be_held():
    held = [name for name, dtype in dtypes.ALL.items() if v3_holds(dtype)]
    assert {"|b1", ">f4", "<c16", ">U3", "|S5", "|V7", "<M8", ">M8[D]", "ri"} <= set(held)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("shape", corpus.SHAPES, ids=str)
def test_every_shape(save, tmp_path, shape, order):
    sample = corpus.sample("x", shape, "<i4", order)
    path = save(sample)
    for size in 1, 12, 40, 4096:
        target = zarr_of(path, "", tmp_path / f"{size}.zarr", "v3", f"{size}B")
        assert_read(target, sample.array)
        assert_chunks(target, sample.array, tmp_path / f"{size}.reference")


def test_nested_records_by_tensorstore_and_zarr(save, tmp_path):
    record = np.dtype([("r", "<f4"), ("n", [("a", "<i2"), ("s", "S3")]), ("t", "<M8[ms]")])
    sample = corpus.sample("x", (7, 3), record)
    target = zarr_of(save(sample), "", tmp_path / "x.zarr", "v3", "2,2")
    assert_read(target, sample.array)
    assert_chunks(target, sample.array, tmp_path / "reference")
    flat = corpus.sample("flat", (7, 3), dtypes.RECORDS["ri"])
    target = zarr_of(save(flat), "", tmp_path / "flat.zarr", "v3", "2,2")
    for field in "ri":
        assert_same(by_tensorstore(target, field=field), flat.array[field], f"field {field}")


def random_chunks(rng, view):
    """The shape of a chunk, some of it beyond the array's; or bytes of a block."""
    if view.ndim == 0 or rng.random() < 0.3:
        return f"{rng.integers(1, 2000)}B"
    # Not so small that there are thousands of files.
    least = [max(1, n // 4) for n in view.shape]
    return ",".join(str(rng.integers(low, n + 3)) for low, n in zip(least, view.shape))


@pytest.mark.parametrize("seed", range(200))
def test_random_views(save, tmp_path, seed):
    rng = np.random.default_rng([15, seed])
    view = np.zeros(0, "O")
    while not v3_holds(view.dtype) or view.size > 5000:
        sample = generators.random_sample(rng, seed)
        chain = generators.random_chain(rng, Chain("", sample.array))
        view = chain.view
    chunks = random_chunks(rng, view)
    target = zarr_of(save(sample), chain.path, tmp_path / "x.zarr", "v3", chunks)
    assert_read(target, view)
    assert_chunks(target, view, tmp_path / "reference")


def test_a_copy_is_an_array_of_its_own(save, tmp_path):
    sample = corpus.sample("x", (50, 7), "<f8", "F")
    target = zarr_of(save(sample), "", tmp_path / "x.zarr", "v3", "10,7")
    copy = shutil.copytree(target, tmp_path / "copy.zarr")
    array = zarr.open_array(copy, mode="r+")
    array[3:5] = 0
    assert (array[3:5] == 0).all()
    assert_same(array[5:], sample.array[5:], "the rest")


def test_an_image_has_a_pyramid(save, tmp_path):
    sample = corpus.sample("x", (2, 600, 301), "<u2")
    target = zarr_of(save(sample), "", tmp_path / "x.ome.zarr", "ome", "1,256,256")
    group = zarr.open_group(target, mode="r", use_consolidated=True)
    [image] = group.attrs["ome"]["multiscales"]
    assert [axis["name"] for axis in image["axes"]] == ["z", "y", "x"]
    assert len(image["datasets"]) == 3
    for k, dataset in enumerate(image["datasets"]):
        step = 2**k
        assert dataset["coordinateTransformations"] == [{"type": "scale", "scale": [1, step, step]}]
        level = group[dataset["path"]]
        assert level.metadata.dimension_names == ("z", "y", "x")
        assert_same(level[...], sample.array[:, ::step, ::step], f"level {k}")
