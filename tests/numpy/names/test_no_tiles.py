"""--no-tiles: whoever walks a mount finds each array once, and every slice is there by its name."""

import os

import pytest

import corpus
from checks import assert_encodings
from mounting import run

SAMPLES = corpus.a_few()


@pytest.fixture(scope="module", params=[["--no-tiles"], ["-o", "no_tiles"]], ids=" ".join)
def tree(mounted, request):
    with mounted(SAMPLES, f"--tile-bytes={corpus.TILE_BYTES}", *request.param) as tree:
        yield tree


def test_a_walk_finds_the_source_s_own_arrays_and_no_others(tree):
    found = {path.relative_to(tree.mount.path) for path in tree.mount.path.rglob("*.npy")}
    assert found == {path.relative_to(tree.source) for path in tree.source.rglob("*.npy")}
    files = [path for path in (tree / "table").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"header.json", "USAGE.txt"}


def test_the_disk_usage_is_the_source_s_and_some_texts(tree):
    used = int(run("du", "-s", "--apparent-size", "-B1", "--exclude=*.txt", "--exclude=*.json", tree.mount.path)
               .stdout.split()[0])  # fmt: skip
    own = sum(path.stat().st_size for path in tree.source.rglob("*.npy"))
    assert own <= used < own + (64 << 10)


@pytest.mark.parametrize("path", [
    "records/rows", "records/cols", "records/axis0", "records/axis-1", "records/fields", "complex/fields",
    "cube/axis2", "table/rows/0-50/rows", "records/parts", "records/windows", "records/slice",
])  # fmt: skip
def test_directories_of_selectors_list_how_to_use_them_and_nothing_else(tree, path):
    assert os.listdir(tree / path) == ["USAGE.txt"]


def test_all_of_it_is_there_by_name(tree):
    records, line = tree.chain("records"), tree.chain("line")
    for chain in (
        records.rows(0, 3), records.cols(1), records.field("mass"), records.part(1, 3), records.transposed(),
        line.window(2, 10, 10), line.slice("::-1"), line.rows(5), tree.chain("complex").imag(),
    ):  # fmt: skip
        assert_encodings(tree, chain)


def test_parts_and_windows_that_are_asked_for_are_listed(tree):
    """No walk leads there."""
    assert os.listdir(tree / "line/parts/3") == ["0.npy", "1.npy", "2.npy"]
    assert len(os.listdir(tree / "line/windows/100,100")) == 10
