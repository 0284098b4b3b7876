"""The names that listings give: sorted as text they are in the array's order, and the plain ones mean the same."""

import glob
import os

import numpy as np
import pytest

import corpus
from checks import assert_absent, assert_array, assert_same_bytes, read


def sorted_by_name(pattern):
    """What a user concatenates: files in the order of their names."""
    return [np.load(path) for path in sorted(glob.glob(os.fspath(pattern)))]


@pytest.mark.parametrize("listing", ["rows", "parts/7", "parts/11", "parts/1234", "windows/1,1", "windows/2,2"])
@pytest.mark.parametrize("name", ["line", "table", "fortran", "records"])
def test_files_sorted_by_name_are_the_array(arrays, name, listing):
    array = arrays.samples[name].array
    loaded = sorted_by_name(arrays / name / listing / "*.npy")
    assert_array(np.concatenate(loaded).astype(array.dtype), array, f"{name}/{listing}")


def test_so_are_the_tiles_of_a_long_array(mounted):
    """Of 12,345 rows in tiles of 10: thousands of names, of numbers with one digit to five."""
    with mounted([corpus.sample("long", (12_345,), "<i2")], "--tile-bytes=20") as tree:
        names = sorted(set(os.listdir(tree / "long/rows")) - {"USAGE.txt"})
        assert names[:2] == ["00000-00010.npy", "00010-00020.npy"]
        assert names[-1] == "12340-12345.npy"
        array = tree.samples["long"].array
        loaded = [np.load(tree / "long/rows" / name) for name in names]
        assert_array(np.concatenate(loaded), array, "long")


@pytest.mark.parametrize(("plain", "padded"), [
    ("line/rows/7", "line/rows/0007"),
    ("line/rows/7-90", "line/rows/0007-0090"),
    ("line/rows/7-90", "line/rows/7-0090"),
    ("line/rows/0-1000", "line/rows/0000-1000"),
    ("table/cols/5", "table/cols/005"),
    ("cube/axis2/0-3", "cube/axis-1/0-3"),
    ("line/parts/16/3", "line/parts/16/03"),
    ("line/windows/10,5/3", "line/windows/10,5/003"),
    ("line/rows/0-50/rows/3", "line/rows/0000-0050/rows/03"),
])  # fmt: skip
def test_a_padded_name_and_the_plain_one_are_the_same_bytes(arrays, plain, padded):
    for encoding in (".npy", ".raw"):
        assert_same_bytes(read(arrays / f"{padded}{encoding}"), read(arrays / f"{plain}{encoding}"), padded)
    assert read(arrays / padded / "header.json") == read(arrays / plain / "header.json")


def test_the_expression_in_a_header_is_plain(arrays):
    assert b'"expression": "a[7:90]"' in read(arrays / "line/rows/0007-0090/header.json")


@pytest.mark.parametrize("path", [
    "line/rows/07", "line/rows/007", "line/rows/00007", "line/rows/07-90", "line/rows/7-090",
    "line/rows/00007-00090", "line/rows/00000-01000", "line/rows/-007", "line/rows/+007",
    "line/rows/0x07", "line/rows/1001", "line/rows/9999", "line/rows/0000-1001", "table/cols/05",
    "line/parts/016/3", "line/parts/16/003", "line/parts/16/16", "line/windows/010,5/3",
    "line/windows/10,5/0003", "line/windows/10,5/03", "line/rows/0-50/rows/003", "none/rows/00",
])  # fmt: skip
def test_a_number_padded_to_another_width_does_not_exist(arrays, path):
    assert_absent(arrays / path)
