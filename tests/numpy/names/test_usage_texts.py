"""USAGE.txt: every example in every one of them, opened and compared with the expression beside it."""

import json
import os
import re

import numpy as np
import pytest

import corpus
import dtypes
import oracle
from checks import assert_absent, assert_array, load, read
from mounting import program, run

KINDS = [
    *corpus.a_few(),
    *(corpus.sample(f"record-{name}", (4, 3), dtype) for name, dtype in dtypes.RECORDS.items()),
    corpus.sample("record-0d", (), dtypes.RECORDS["ri"]),
    corpus.sample("one", (1,), "<i4"),
    corpus.sample("empty-3d", (2, 0, 3), "<i4", "F"),
    corpus.sample("cube-F", (3, 4, 5), ">c8", "F"),
    *corpus.long_headers(),
]

EXAMPLE = re.compile(r"^    (\S.*?)  +(\S.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def kinds(mounted):
    with mounted(KINDS) as tree:
        yield tree


def expression(meaning):
    """The Python expression in what is said of an example."""
    found = re.fullmatch(r"(?:the bytes of |what )?(.*?)(?:,? its bytes.*|, with no header| is,.*| is)?", meaning)
    return found[1]


def check(base, text, array):
    """Opens every example of a text beneath a directory; says how many there were."""
    found = EXAMPLE.findall(text)
    for path, meaning in found:
        with np.errstate(all="ignore"):
            due = eval(expression(meaning), {"a": array, "np": np})
        assert isinstance(due, np.ndarray), f"{meaning} is a scalar"
        where = f"{base}/{path}"
        if path.endswith(".npy"):
            assert_array(load(where), due, where)
        elif path.endswith(".raw"):
            assert read(where) == oracle.raw(due), where
        else:
            header = json.loads(read(where))
            assert header["shape"] == list(due.shape), where
    return len(found)


def directories(path):
    """Where a USAGE.txt is listed, as far as a walk gets."""
    return [folder for folder, _, files in os.walk(path) if "USAGE.txt" in files]


@pytest.mark.parametrize("sample", KINDS, ids=str)
def test_every_example_is_what_is_said_of_it(kinds, sample):
    found = directories(kinds / sample.name)
    groups = [name for name in os.listdir(kinds / sample.name) if os.path.isdir(kinds / sample.name / name)]
    assert len(found) == 1 + len(groups), "the array's own directory, and each that it lists"
    for directory in found:
        text = read(f"{directory}/USAGE.txt").decode()
        assert len(text.encode()) == os.stat(f"{directory}/USAGE.txt").st_size
        count = check(directory, text, sample.array)
        assert count >= 3 or not groups or "fields" in directory, f"{directory}: {text}"


@pytest.mark.parametrize(("path", "index"), [
    ("cube/rows/2-7", np.s_[2:7]),
    ("cube/rows/0", np.s_[0]),
    ("table/slice/::-1,::3", np.s_[::-1, ::3]),
    ("line/parts/3/1", np.s_[334:667]),
])  # fmt: skip
def test_a_selection_has_examples_of_its_own(kinds, path, index):
    array = kinds.samples[path.split("/")[0]].array[index]
    for directory in directories(kinds / path):
        assert check(directory, read(f"{directory}/USAGE.txt").decode(), array) >= 3
    assert check(kinds / path, read(kinds / path / "USAGE.txt").decode(), array) > 5


@pytest.mark.parametrize("path", ["cube/axis0", "cube/axis-1", "table/axis-2", "cube-F/fields"])
def test_whatever_directory_selects_has_one(kinds, path):
    text = read(kinds / path / "USAGE.txt").decode()
    assert check(kinds / path, text, kinds.samples[path.split("/")[0]].array) >= 3


def test_what_is_not_listed_is_named(kinds):
    text = read(kinds / "records/USAGE.txt").decode()
    for word in ("T.npy", ".raw", "parts/", "windows/", "slice/", "/header.json", "rows/0-4/cols/0"):
        assert word in text, word


def test_lists_of_parts_and_windows_hold_nothing_else(kinds):
    for path in ("line/parts/3", "line/windows/100,100"):
        assert all(name.endswith(".npy") for name in os.listdir(kinds / path))
        assert_absent(kinds / path / "USAGE.txt", [""])


@pytest.fixture
def namespace(own_mount):
    """A mount with an array of which all that the mount's own text says is true."""
    array = corpus.sample("X", (60, 60, 4), dtypes.RECORDS["ri"])
    (own_mount.source / "X.npy").write_bytes(array.blob)
    return own_mount, array.array


def test_the_root_has_one_for_all_that_is_not_listed(namespace):
    mount, array = namespace
    assert sorted(os.listdir(mount.path)) == ["X", "X.npy"]
    text = read(mount / "USAGE.txt").decode()
    examples = dict(EXAMPLE.findall(text))
    assert os.path.isfile(mount / "X/USAGE.txt") and examples.pop("X/USAGE.txt")
    assert json.loads(read(mount / "X/header.json"))["expression"] == "a" and examples.pop("X/header.json")
    kept = "".join(f"    {path}  {meaning}\n" for path, meaning in examples.items())
    assert check(mount.path, kept, array) == len(examples) > 12
    status = os.stat(mount / "USAGE.txt")
    assert status.st_size == len(text.encode()) and status.st_mode & 0o777 == 0o444
    assert run(program(), "cat", mount.source / "USAGE.txt").stdout == text


def test_a_file_of_that_name_keeps_it(namespace):
    mount, _ = namespace
    (mount.source / "USAGE.txt").write_text("mine")
    assert read(mount / "USAGE.txt") == b"mine"


def test_there_is_none_in_other_directories_of_the_source(own_mount):
    (own_mount.source / "sub").mkdir()
    assert_absent(own_mount / "sub/USAGE.txt", [""])
