"""contrib/PATHS.md: every example in it, over a mount of the arrays that it makes."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

import oracle
from checks import assert_array, load, read
from mounting import Mount, program, run

DOCUMENT = Path(__file__).parents[3] / "contrib/PATHS.md"
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"^\| (.*?) \| (.*?) \|\n\|---\|---\|\n((?:\|.*\|\n)+)", re.MULTILINE)
ROW = re.compile(r"^\| `(.*?)` \| (.*?) \|$", re.MULTILINE)
EXPRESSION = re.compile(r"`([^`]+)`")


def tables():
    """The tables: the heads of both columns, and the rows."""
    return [(path, what, ROW.findall(rows)) for path, what, rows in TABLE.findall(DOCUMENT.read_text())]


def examples(head_of_paths, head):
    """The rows of all tables with these heads."""
    return [row for paths, what, rows in tables() if (paths, what) == (head_of_paths, head) for row in rows]


SINGLE = sorted({paths for paths, _, _ in tables() if paths.startswith("path in a mount of")})


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """The directory in which the document's code was run, and its names."""
    directory = tmp_path_factory.mktemp("document")
    names = {}
    before = os.getcwd()
    os.chdir(directory)
    try:
        for code in CODE.findall(DOCUMENT.read_text()):
            exec(code, names)
    finally:
        os.chdir(before)
    return directory, names


@pytest.fixture(scope="module")
def mount(document):
    directory, _ = document
    with Mount(directory / "data", directory / "mount") as mount:
        yield mount


def due(what, names):
    """The array that a cell says."""
    array = eval(EXPRESSION.fullmatch(what)[1], dict(names))
    assert isinstance(array, np.ndarray), f"{what} is a scalar"
    return array


def check(path, array):
    if path.name.endswith(".raw"):
        assert read(path) == oracle.raw(array), path
    else:
        assert_array(load(path), array, path)


def test_every_row_of_every_table_is_looked_at():
    kinds = {
        ("path", "NumPy"),
        ("path", "what it is"),
        ("directory", "the Zarr array of"),
        ("path", "what `npyfs info` says"),
    } | {(single, "NumPy") for single in SINGLE}
    assert {(path, what) for path, what, _ in tables()} == kinds
    assert len(SINGLE) == 2
    rows = re.findall(r"^\| `", DOCUMENT.read_text(), re.MULTILINE)
    assert len(rows) == sum(len(rows) for _, _, rows in tables()) > 70


@pytest.mark.parametrize(("path", "what"), examples("path", "NumPy"))
def test_a_path_is_what_numpy_says(document, mount, path, what):
    check(mount / path, due(what, document[1]))


@pytest.mark.parametrize("head", SINGLE)
def test_a_mount_of_one_file_has_these_paths(document, head):
    directory, names = document
    source = directory / EXPRESSION.search(head)[1]
    with Mount(source, directory / "single") as mount:
        for path, what in examples(head, "NumPy"):
            check(mount / path, due(what, names))


@pytest.mark.parametrize(("path", "what"), examples("directory", "the Zarr array of"))
def test_a_zarr_directory_is_of_that_array(document, mount, path, what):
    array = due(what, document[1])
    about = json.loads(read(mount / path / "zarr.json"))
    assert (about["node_type"], about["shape"]) == ("array", list(array.shape))
    assert about["data_type"] == array.dtype.name
    shape = re.search(r"chunks/([\d,]+)\.zarr", path)
    if shape:
        chunk = about["chunk_grid"]["configuration"]["chunk_shape"]
        assert chunk == [int(length) for length in shape[1].split(",")]


@pytest.mark.parametrize(("path", "what"), examples("path", "what it is"))
def test_what_has_no_elements_is_there(mount, path, what):
    here = mount / path
    is_directory = path.endswith("/")
    assert os.path.isdir(here) == is_directory
    if is_directory:
        listed = os.listdir(here)
        count = re.search(r"lists all (\d+)", what)
        assert not count or len(listed) == int(count[1])
    else:
        assert os.path.isfile(here) and (read(here) or path == ".npyfs/log")


@pytest.mark.parametrize(("path", "what"), examples("path", "what `npyfs info` says"))
def test_what_does_not_exist_has_a_reason(mount, path, what):
    assert not os.path.lexists(mount / path)
    done = run(program(), "info", mount.source / path, check=False)
    assert (done.returncode, done.stderr) == (1, f"npyfs: {mount.source / path}: {what.strip('`')}\n")
