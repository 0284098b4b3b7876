"""Zarr directories as zarrita reads them, in the directory where it is installed: $ZARRITA."""

import json
import os
import shutil
from pathlib import Path

import numpy as np

import corpus
from mounting import run

DTYPES = {"|i1": "int8", "<u2": "uint16", ">i4": "int32", "<i8": "int64", "<f4": "float32", ">f8": "float64", "|b1": "bool"}


def by_zarrita(directories):
    reader = shutil.copy(Path(__file__).with_name("read.mjs"), os.environ["ZARRITA"])
    return [json.loads(line) for line in run("node", reader, *directories).stdout.splitlines()]


def test_arrays_and_views(served):
    views, directories = [], []
    for dtype in DTYPES:
        for order in "CF":
            array = served.add(corpus.sample("x", (7, 5), dtype, order))
            for view in array, array.rows(2, 6), array.transposed(), array.slice("::-2,1"):
                for chunks in [40, ",".join("3" * view.view.ndim)]:
                    views.append(view.view)
                    directories.append(served.zarr(view, chunks))
    read = by_zarrita(directories)
    assert len(read) == len(views)
    for got, view, directory in zip(read, views, directories):
        dtype = DTYPES[view.dtype.str]
        assert got["shape"] == list(view.shape) and got["dtype"] == dtype, directory
        parse = {"b": lambda text: text == "true", "f": float}.get(view.dtype.kind, int)
        elements = np.array([parse(element) for element in got["elements"]], view.dtype)
        assert np.array_equal(elements, view.ravel(), equal_nan=view.dtype.kind == "f"), directory
