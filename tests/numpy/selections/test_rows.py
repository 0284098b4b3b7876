"""rows/, cols/ and axis<k>/: indices and ranges, as files, directories and listings."""

import os

import numpy as np
import pytest

import corpus
import oracle
from checks import (
    assert_absent,
    assert_array,
    assert_directory,
    assert_header,
    assert_same_bytes,
    assert_served,
    load,
    read,
)

NAMES = [sample.name for sample in corpus.a_few()]
AXES = [(s.name, k) for s in corpus.a_few() for k in range(s.array.ndim)]


@pytest.mark.parametrize(("name", "axis"), AXES)
class TestEveryAxis:
    """The same function on each axis, whose name may count from either end."""

    def spellings(self, tree, name, axis):
        array = tree.samples[name].array
        usual = {0: ["rows"], 1: ["cols"]}.get(axis, [])
        return [*usual, f"axis{axis}", f"axis{axis - array.ndim}"]

    def test_ranges_are_half_open_and_may_be_empty(self, arrays, name, axis):
        chain = arrays.chain(name)
        n = chain.view.shape[axis]
        ranges = {
            (0, n),
            (0, 0),
            (n, n),
            (0, n // 2),
            (n // 2, n),
            (n // 3, n // 3),
            (n // 3, n // 3 * 2),
        }
        for directory in self.spellings(arrays, name, axis):
            for start, stop in ranges:
                assert_served(arrays, chain.axis(axis, start, stop, directory))

    def test_indices_drop_the_axis(self, arrays, name, axis):
        chain = arrays.chain(name)
        n = chain.view.shape[axis]
        for directory in self.spellings(arrays, name, axis):
            for i in {0, n // 2, n - 1} if n else ():
                assert_served(arrays, chain.axis(axis, i, directory=directory))

    def test_headers_tell_where_each_lies(self, arrays, name, axis):
        chain, n = arrays.chain(name), arrays.samples[name].array.shape[axis]
        views = [
            chain.axis(axis, n // 3, n),
            chain.axis(axis, 0, 0),
            chain.axis(axis - chain.view.ndim, 0, n),
        ]
        for view in views + ([chain.axis(axis, n - 1)] if n else []):
            assert_header(arrays, view, arrays.samples[name])


# What is not the one spelling of a number, or of a range, for 100 rows.
MISSPELT = [
    "00", "01", "+1", "-1", "-0", "100", "101", "0-101", "100-101", "5-3", "0-", "-5", "-", "--", "0--1",
    "-1-5", "0-5-7", "00-5", "0-05", "0-+5", " 0", "0 ", "0 -5", "0- 5", "0:5", "0,5", "0_1", "1_0",
    "0x1", "1e1", "1.0", "1.", ".1", "٣", "1٣", "1３", "0-1٣", "３", "0-٣", "0–5", "0−5", "²", "a", "0-a",
    "None", "...", "18446744073709551616", "0-18446744073709551616", "4294967296",
    "99999999999999999999999999999999", "0-5.NPY", "0-5.npy.npy", "0-5.npy.raw", "0-5.raw.npy",
    "0-5.npz", "0-5.txt", "0-5.", "0\n", "\t0", "0-5~", "USAGE",
]  # fmt: skip


@pytest.mark.parametrize("name", MISSPELT)
@pytest.mark.parametrize("directory", ["table/rows", "table/cols", "table/axis0", "table/axis-1"])
def test_a_number_spelt_any_other_way_does_not_exist(arrays, directory, name):
    assert_absent(f"{arrays / directory}/{name}")


@pytest.mark.parametrize("name", [
    "axis", "axis2", "axis-3", "axis+0", "axis00", "axis01", "axis-0", "axis--1", "axis 0", "Axis0",
    "axis0x0", "axis٠", "axis18446744073709551616", "axis-18446744073709551617", "row", "Rows",
    "columns",
])  # fmt: skip
def test_an_axis_spelt_any_other_way_does_not_exist(arrays, name):
    assert_absent(arrays / "table" / name)


@pytest.mark.parametrize(
    "name", ["rows", "cols", "axis0", "slice", "parts", "windows", "header", "", "fields"]
)
def test_what_is_no_view_has_no_encodings(arrays, name):
    assert_absent(f"{arrays / 'table'}/{name}", [".npy", ".raw"])
    assert_absent(arrays / "table/header.json", [".npy", ".raw"])


def test_axes_that_an_array_lacks_do_not_exist(arrays):
    lacking = "point/rows point/cols point/axis0 point/axis-1 line/cols line/axis1 line/axis-2"
    for path in lacking.split():
        assert_absent(arrays / path)


def test_ranges_nest_as_often_as_one_likes(arrays):
    chain = arrays.chain("table")
    nested = chain.rows(0, 50).cols(50, 100)
    assert nested.path == "table/rows/0-50/cols/50-100"
    deeper = nested.rows(10, 40).axis(-1, 5, 25).rows(7).rows(3, 9).rows(0)
    for view in (nested, deeper, arrays.chain("dim6").rows(1).cols(0).axis(2, 0, 1).axis(-1, 2)):
        assert_served(arrays, view)
        assert_header(arrays, view, arrays.samples[view.path.split("/")[0]])


def test_a_nested_range_lies_inside_its_parent(arrays):
    parent = arrays / "table/rows/10-20"
    assert_directory(parent / "rows/0-10")
    for name in ("rows/0-11", "rows/10", "rows/15-20", "cols/101"):
        assert_absent(parent / name)


EXPECTED_ENTRIES = {
    "point": {"slice"},
    "line": {"rows", "slice", "parts", "windows", "chunks"},
    "table": {"rows", "cols", "slice", "parts", "windows", "chunks"},
    "cube": {"rows", "cols", "axis2", "slice", "parts", "windows", "chunks"},
    "cube/rows/0": {"rows", "cols", "slice", "parts", "windows", "chunks"},
    "line/rows/0": {"slice"},
    "complex": {"rows", "cols", "slice", "parts", "windows", "chunks", "fields"},
    "records": {"rows", "cols", "slice", "parts", "windows", "chunks", "fields"},
    "records/fields/trail": {"rows", "cols", "axis2", "slice", "parts", "windows", "chunks", "fields"},
    "dim6": {"rows", "cols", "axis2", "axis3", "axis4", "axis5", "slice", "parts", "windows", "chunks"},
}


@pytest.mark.parametrize("path", EXPECTED_ENTRIES)
def test_a_directory_lists_the_selectors_that_apply(arrays, path):
    assert set(os.listdir(arrays / path)) == EXPECTED_ENTRIES[path] | {"header.json", "USAGE.txt"}


def tiles_of(array):
    """What `rows/` lists, beside how to use it."""
    return sorted(set(os.listdir(array / "rows")) - {"USAGE.txt"})


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("point", "none")])
def test_the_tiles_listed_cover_the_array(arrays, name):
    array = arrays.samples[name].array
    tiles = tiles_of(arrays / name)
    loaded = [load(arrays / name / "rows" / tile) for tile in tiles]
    assert_array(np.concatenate(loaded).astype(array.dtype), array, name)
    bounds = [tuple(map(int, tile.removesuffix(".npy").split("-"))) for tile in tiles]
    assert bounds[0][0] == 0 and bounds[-1][1] == len(array)
    assert all(before[1] == after[0] for before, after in zip(bounds, bounds[1:]))


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("point", "none")])
def test_a_tile_is_about_as_large_as_asked(arrays, name):
    """Whole rows of that many bytes, or single rows where one alone is more."""
    array = arrays.samples[name].array
    tiles = [load(arrays / name / "rows" / tile) for tile in tiles_of(arrays / name)]
    if array.nbytes == 0:
        assert len(tiles) == 1
    elif not all(len(tile) == 1 for tile in tiles):
        assert all(tile.nbytes <= 2 * corpus.TILE_BYTES for tile in tiles)
        assert len(tiles) <= 2 * (array.nbytes // corpus.TILE_BYTES + 1)


def test_an_array_without_rows_lists_at_most_an_empty_tile(arrays):
    assert tiles_of(arrays / "none") in ([], ["0-0.npy"])
    assert_served(arrays, arrays.chain("none").rows(0, 0))


def test_walking_the_mount_ends(arrays):
    """Directories of slices are never listed, so that no walk can fall into them."""
    seen = sum(len(files) + len(folders) for _, folders, files in os.walk(arrays.mount.path))
    assert 100 < seen < 2000


@pytest.mark.parametrize("mode", ["r", "c"])
@pytest.mark.parametrize("name", ["table", "fortran", "cube", "records"])
def test_slices_can_be_mapped_by_numpy(arrays, name, mode):
    chain = arrays.chain(name)
    for view in (chain, chain.rows(1, 8), chain.cols(1, 4), chain.transposed(), chain.slice("...,::-2")):
        mapped = load(arrays / view.npy, mmap_mode=mode)
        assert isinstance(mapped, np.memmap)
        assert_array(np.asarray(mapped), view.view, view.path)
        if mode == "c":
            mapped[...] = mapped.flat[0]
        del mapped
        assert_same_bytes(read(arrays / view.npy), oracle.npy(view.view), view.path)


@pytest.mark.parametrize("name", ["wide", "table", "fortran", "quadrants"])
def test_any_part_of_a_slice_can_be_read(arrays, name, rng):
    """Reads at random places, at the header's edge, at the end and past it."""
    chain = arrays.chain(name)
    for view in (chain.rows(1, 3), chain.cols(3, 33), chain.slice("::-1,::2"), chain.transposed()):
        expected = oracle.npy(view.view)
        edge = len(expected) - view.view.nbytes
        file = os.open(arrays / view.npy, os.O_RDONLY)
        try:
            for at in (
                0,
                edge - 1,
                edge,
                edge + 1,
                len(expected) - 1,
                len(expected),
                len(expected) + 9999,
            ):
                assert os.pread(file, 7, at) == expected[at : at + 7], (view.path, at)
            for at, length in rng.integers(0, len(expected), (50, 2)):
                got = os.pread(file, length, at)
                assert_same_bytes(got, expected[at : at + length], (view.path, at, length))
        finally:
            os.close(file)
