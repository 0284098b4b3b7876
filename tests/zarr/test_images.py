"""X.ome.zarr: an array as an image with a pyramid."""

import json
import os

import numpy as np
import pytest
import zarr

import corpus
from expected import assert_same
from mounting import run
from readers import by_tensorstore

IMAGES = {
    "yx": ((600, 301), "<u2"),
    "zyx": ((2, 600, 301), ">f4"),
    "czyx": ((3, 2, 300, 10), "|u1"),
    "tczyx": ((2, 1, 3, 20, 600), "<i2"),
}


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("axes", IMAGES)
def test_a_level_is_every_second_pixel_of_the_one_before(served, axes, order):
    image = served.add(corpus.sample("x", *IMAGES[axes], order))
    directory = served.zarr(image).with_suffix(".ome.zarr")
    group = zarr.open_group(directory, mode="r", zarr_format=3, use_consolidated=True)
    ome = group.attrs["ome"]
    [scales] = ome["multiscales"]
    assert ome["version"] == "0.5" and [axis["name"] for axis in scales["axes"]] == list(axes)
    longest = max(image.view.shape[-2:])
    assert len(scales["datasets"]) == 1 + max(0, int(np.ceil(np.log2(longest / 256))))
    for k, dataset in enumerate(scales["datasets"]):
        step = 2**k
        [transformation] = dataset["coordinateTransformations"]
        assert transformation["scale"] == [1] * (len(axes) - 2) + [step, step]
        level, expected = group[dataset["path"]], image.view[..., ::step, ::step]
        assert level.metadata.dimension_names == tuple(axes)
        assert_same(level[...], expected, f"level {k}")
        assert_same(by_tensorstore(directory / dataset["path"]), expected, f"level {k}")


def test_an_image_lists_its_levels(served):
    image = served.add(corpus.sample("x", (600, 301), "<u2"))
    directory = served.zarr(image).with_suffix(".ome.zarr")
    assert sorted(os.listdir(directory)) == ["0", "1", "2", "zarr.json"]
    for name in ("3", "01", "x", "c", ".zarray"):
        assert not os.path.exists(directory / name), name
    metadata = json.loads((directory / "zarr.json").read_text())
    for path, member in metadata["consolidated_metadata"]["metadata"].items():
        assert member == json.loads((directory / path / "zarr.json").read_text())


def test_a_selection_is_an_image_too(served, tmp_path):
    array = served.add(corpus.sample("x", (3, 600, 301), "<u2"))
    page = served.path(array, "rows/1.ome.zarr")
    run("cp", "-r", page, tmp_path / "copy")
    for directory in (page, tmp_path / "copy"):
        group = zarr.open_group(directory, mode="r", zarr_format=3)
        assert_same(group["1"][...], array.view[1, ::2, ::2], directory)


@pytest.mark.parametrize(("shape", "dtype"), [((5,), "<f4"), ((2, 2), "<c8"), ((2, 2), "S3"), ((1,) * 6, "|u1")])
def test_what_is_no_image_has_none(served, shape, dtype):
    array = served.add(corpus.sample("x", shape, dtype))
    assert os.path.exists(served.zarr(array))
    assert not os.path.exists(served.zarr(array).with_suffix(".ome.zarr"))
