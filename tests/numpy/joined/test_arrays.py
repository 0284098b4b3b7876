"""concat and stack of a directory are np.concatenate and np.stack of its arrays."""

import errno
import json
import os

import numpy as np
import pytest

import corpus
import dtypes
import oracle
import shards
from checks import assert_absent, assert_array, assert_encodings, assert_served, error_of, read
from generators import random_chain
from mounting import Mount, program, run
from oracle import Chain

RECORD = dtypes.RECORDS["gaps"]


def directories():
    """Directories of arrays by name, each with the joins that it has."""
    rng = np.random.default_rng(5)
    some = lambda *row, **kinds: shards.numbered(rng, 13, row, **kinds)  # noqa: E731
    sample = lambda *shape, order="C": corpus.sample("", shape, "<f4", order, seed=sum(shape)).array  # noqa: E731
    return {
        "unequal": (some(5), ["concat"]),
        "equal": (some(5, rows=3), ["concat", "stack"]),
        "line": (some(dtype=">i2"), ["concat"]),
        "lines": (some(dtype=">i2", order="F", rows=4), ["concat", "stack"]),
        "cubes": (some(2, 3, dtype="<c16", rows=2), ["concat", "stack"]),
        "records": (some(4, dtype=RECORD), ["concat"]),
        "strings": (some(3, dtype="<U2", rows=2), ["concat", "stack"]),
        "one": ({"only.npy": sample(4, 5)}, ["concat", "stack"]),
        "points": ({f"{i}.npy": np.array(i, "<i8") for i in range(11)}, ["stack"]),
        "empty": ({f"{i}.npy": sample(0, 3) for i in range(3)}, ["concat", "stack"]),
        "hollow": ({f"{i}.npy": sample(2, 0) for i in range(3)}, ["concat", "stack"]),
        "some empty": ({f"{i}.npy": sample(i % 3, 3) for i in range(9)}, ["concat"]),
        "empty in another order": (
            {"0.npy": sample(0, 3, order="F"), "1.npy": sample(2, 3), "2.npy": sample(0, 3)},
            ["concat"],
        ),
        "fortran": (some(3, 4, order="F", rows=5), ["stack"]),
        "fortran lines": ({f"{i}.npy": sample(i, 1, order="F") for i in range(5)}, ["concat"]),
        "fortran rows": ({f"{i}.npy": sample(1, 3, 4, order="F") for i in range(5)}, ["concat", "stack"]),
    }


JOINED = directories()
BOTH = [(name, how) for name, (_, joins) in JOINED.items() for how in joins]


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    directory = tmp_path_factory.mktemp("joined")
    (directory / "source").mkdir()
    for name, (arrays, _) in JOINED.items():
        shards.write(directory / "source" / name, arrays)
    with Mount(directory / "source", directory / "mount") as mount:
        yield mount


def chain(name, how):
    if name == "fortran rows":
        # A row is in Fortran order, and so is the array of them.
        rows = shards.stacked({file: a[0] for file, a in JOINED[name][0].items()})
        return Chain(f"{name}/concat", rows) if how == "concat" else shards.stack(name, JOINED[name][0])
    return getattr(shards, how)(name, JOINED[name][0])


@pytest.mark.parametrize(("name", "how"), BOTH)
def test_many_files_are_the_array_that_numpy_joins(joined, name, how):
    assert_served(joined, chain(name, how))
    join = np.concatenate if how == "concat" else np.stack
    expected = join(shards.in_order(JOINED[name][0]))
    if not expected.dtype.names:
        # NumPy makes the byte order its own; here it stays that of the files.
        expected = expected.astype(np.load(joined / name / f"{how}.npy").dtype)
        assert_array(np.load(joined / name / f"{how}.npy"), expected, name)


@pytest.mark.parametrize(("name", "how"), BOTH)
def test_any_chain_of_selectors_is_the_view_it_spells(joined, rng, name, how):
    whole = chain(name, how)
    for _ in range(25 if whole.view.ndim else 1):
        assert_encodings(joined, random_chain(rng, whole))


@pytest.mark.parametrize(("name", "path", "view"), [
    ("unequal", "concat.raw", lambda a: a),
    ("unequal", "concat/T.raw", lambda a: a.T),
    ("unequal", "concat/slice/::-1.raw", lambda a: a[::-1]),
    ("unequal", "concat/slice/1::3,::2.raw", lambda a: a[1::3, ::2]),
    ("cubes", "concat/axis2/1-3.raw", lambda a: a[:, :, 1:3]),
])  # fmt: skip
def test_any_part_can_be_read_across_the_ends_of_files(joined, rng, name, path, view):
    expected = oracle.raw(view(shards.concatenated(JOINED[name][0])))
    file = os.open(joined / name / path, os.O_RDONLY | os.O_DIRECT)
    try:
        for _ in range(300):
            at, size = (int(n) for n in rng.integers(0, [len(expected), 200]))
            assert os.pread(file, size, at) == expected[at : at + size], (at, size)
    finally:
        os.close(file)


@pytest.mark.parametrize(("name", "how"), BOTH)
def test_header_json_names_the_directory_and_sources_json_the_files(joined, name, how):
    whole = chain(name, how)
    header = json.loads(read(joined / name / how / "header.json"))
    arrays = JOINED[name][0]
    assert header["joined"] == {"directory": name, "axis": 0, "files": len(arrays)}
    assert not {"source", "offset", "strides"} & set(header)
    for member, value in oracle.described(whole.view).items():
        assert header[member] == value, member
    sources = json.loads(read(joined / name / how / "sources.json"))
    assert sources["directory"] == name and sources["axis"] == 0
    files = sorted(arrays, key=shards.natural)
    assert [source["file"] for source in sources["files"]] == files
    order = "F" if sources["fortran_order"] else "C"
    row = whole.view.shape[1:]
    for source in sources["files"]:
        start, stop = source["rows"]
        blob = read(joined / name / source["file"])[source["offset"] :]
        rows = [
            np.ndarray(row, whole.view.dtype, blob, i * whole.view[0].nbytes if len(whole.view) else 0, order=order)
            for i in range(stop - start)
        ]
        for i, values in zip(range(start, stop), rows):
            assert oracle.raw(values) == oracle.raw(whole.view[i : i + 1]), (source, i)
    assert sources["files"][-1]["rows"][1] == len(whole.view)


def test_a_selection_of_many_files_says_what_it_is(joined):
    header = json.loads(read(joined / "equal/concat/rows/2-7/T/header.json"))
    assert header["joined"] == {"directory": "equal", "axis": 0, "files": 13}
    assert header["expression"] == "a[2:7].T" and header["shape"] == [5, 5]
    assert_absent(joined / "equal/concat/rows/2-7/sources.json", [""])


@pytest.fixture
def place(tmp_path):
    (tmp_path / "source").mkdir()
    with Mount(tmp_path / "source", tmp_path / "mount") as mount:
        yield mount


def line(*values):
    return np.array(values, "<i8")


@pytest.mark.parametrize("names", [
    ["2.npy", "10.npy", "1.npy", "100.npy"],
    ["run2-9.npy", "run2-10.npy", "run10-1.npy", "run1-1.npy"],
    ["01.npy", "1.npy", "001a.npy", "010.npy", "10.npy", "2.npy"],
    ["b.npy", "a.npy", "B.npy", "é.npy", "a2.npy", "a10.npy", "\udcff.npy", "\udcc3.npy"],
    ["a.npy", "a-1.npy", "a1.npy", "a.1.npy", "-2.npy", "-1.npy"],
])  # fmt: skip
def test_files_are_joined_in_natural_order(place, names):
    arrays = {name: line(i) for i, name in enumerate(names)}
    shards.write(place.source, arrays)
    assert np.load(place / "concat.npy").tolist() == [int(a[0]) for a in shards.in_order(arrays)]
    assert np.load(place / "stack/T.npy").tolist() == [[int(a[0]) for a in shards.in_order(arrays)]]


def test_the_files_are_those_directly_in_the_directory_that_are_not_hidden(place):
    shards.write(place.source, {"1.npy": line(1), ".2.npy": line(2), "3.txt": line(3), "4.NPY": line(4)})
    shards.write(place.source / "below", {"5.npy": line(5)})
    (place.source / "6.npy").mkdir()
    os.mkfifo(place.source / "7.npy")
    (place.source / "8.npy").symlink_to("below")
    (place.source / "9.npy").symlink_to("below/5.npy")
    assert np.load(place / "concat.npy").tolist() == [1, 5]
    assert np.load(place / "below/stack.npy").tolist() == [[5]]


def test_a_symlink_that_leads_out_or_nowhere_is_no_silent_gap(place, tmp_path):
    shards.write(place.source, {"1.npy": line(1)})
    np.save(tmp_path / "outside.npy", line(2))
    (place.source / "2.npy").symlink_to("../outside.npy")
    why = read(place / "concat/error.txt").decode()
    assert why == "concat: 2.npy: the symlink is absolute, or leads out of the source\n"
    os.remove(place.source / "2.npy")
    (place.source / "2.npy").symlink_to("missing.npy")
    assert read(place / "concat/error.txt").decode() == "concat: 2.npy: the symlink leads nowhere\n"


def test_a_join_is_reached_by_name_and_not_listed(joined):
    for name in JOINED:
        assert not {"concat", "stack", "concat.npy", "stack.npy"} & set(os.listdir(joined / name))
    listed = set(os.listdir(joined / "equal/concat"))
    assert {"header.json", "USAGE.txt", "sources.json", "rows", "cols"} <= listed
    assert b"concat" in read(joined / "USAGE.txt")


def test_a_directory_without_arrays_has_none(place):
    (place.source / "1.txt").write_text("1")
    assert_absent(place / "concat")
    assert_absent(place / "stack")
    np.save(place.source / "1.npy", line(1))
    assert np.load(place / "concat.npy").tolist() == [1]
    os.remove(place.source / "1.npy")
    assert_absent(place / "concat/header.json", [""])
    assert error_of(os.listdir, place / "concat") == errno.ENOENT


def test_a_real_entry_keeps_its_name(place):
    shards.write(place.source, {"1.npy": line(1), "concat.npy": line(7)})
    assert np.load(place / "concat.npy").tolist() == [7]
    assert np.load(place / "concat/rows/0-1.npy").tolist() == [7]
    assert read(place / "concat.raw") == line(7).tobytes()
    assert np.load(place / "stack.npy").tolist() == [[1], [7]]
    (place.source / "stack").mkdir()
    assert np.load(place / "stack.npy").tolist() == [[1], [7]]
    assert os.listdir(place / "stack") == []


def test_the_root_of_a_mount_is_a_directory_like_every_other(place):
    shards.write(place.source, {f"{i}.npy": line(i, i) for i in range(12)})
    assert np.load(place / "concat/rows/19-22.npy").tolist() == [9, 10, 10]
    assert json.loads(read(place / "concat/header.json"))["joined"]["directory"] == "."


def test_a_mount_of_one_file_has_none(tmp_path):
    np.save(tmp_path / "a.npy", line(1))
    with Mount(tmp_path / "a.npy", tmp_path / "mount") as mount:
        assert_absent(mount / "concat")


OTHER = [
    ("concat", [("<f8", (2, 3)), ("<f4", (2, 3))], "b.npy: its dtype is '<f4', and that of a.npy is '<f8'"),
    ("concat", [("<f8", (2, 3)), ("<f8", (3, 4))], "b.npy: its shape is (3, 4), and that of a.npy is (…, 3)"),
    ("stack", [("<f8", (2, 3)), ("<f8", (3, 3))], "b.npy: its shape is (3, 3), and that of a.npy is (2, 3)"),
    ("stack", [("<f8", (2,)), ("<f8", ())], "b.npy: its shape is (), and that of a.npy is (2,)"),
    ("concat", [("<f8", ()), ("<f8", ())], "a.npy: it is 0-d, and has no axis to be concatenated along"),
    ("concat", [("<f8", (2, 3)), ("<f8", (2, 3), "F")], "b.npy: it is in Fortran order"),
    ("concat", [("<f8", (2, 3), "F")], "a.npy: it is in Fortran order"),
    ("stack", [("<f8", (2, 3)), ("<f8", (2, 3), "F")], "b.npy: it is in Fortran order, and files before it are in C"),
    ("stack", [("<f8", (2, 3), "F"), ("<f8", (2, 3))], "b.npy: it is in C order, and files before it are in Fortran"),
]


@pytest.mark.parametrize(("how", "arrays", "why"), OTHER)
def test_what_does_not_fit_names_the_first_file_that_differs_and_how(place, how, arrays, why):
    for name, (dtype, shape, *order) in zip("abc", [*arrays, arrays[0]]):
        blob = corpus.sample("", shape, dtype, *order).blob
        (place.source / f"{name}.npy").write_bytes(blob)
    assert os.listdir(place / how) == ["error.txt"]
    assert read(place / how / "error.txt").decode().startswith(f"{how}: {why}")
    assert_absent(place / how, [".npy", ".raw"])
    said = run(program(), "info", place.source / how, check=False)
    assert said.returncode == 1 and why in said.stderr


def test_headers_of_all_versions_and_lengths_go_together(place):
    arrays = {}
    for i, version in enumerate([(1, 0), (2, 0), (3, 0)] * 4):
        sample = corpus.sample("", (3, 2), "<f8", version=version, seed=i)
        header = sample.blob[: sample.offset]
        if i % 2:
            text = header[10 if version == (1, 0) else 12 :].rstrip() + b" " * i
            header = corpus.container(text, version)
        arrays[f"{i}.npy"] = sample.array
        (place.source / f"{i}.npy").write_bytes(header + sample.array.tobytes() + b"more" * (i % 3))
    assert_served(place, Chain("concat", shards.concatenated(arrays)))
    assert_served(place, Chain("stack", shards.stacked(arrays)))


def test_without_a_mount_it_is_all_the_same(joined):
    source = joined.source / "unequal"
    whole = shards.concatenated(JOINED["unequal"][0])
    listed = run(program(), "ls", source / "concat").stdout.split()
    assert {"header.json", "sources.json", "rows/"} <= set(listed)
    for path in ("concat.npy", "concat/slice/::-2.npy", "concat/sources.json"):
        said = run(program(), "cat", source / path, text=False).stdout
        # Without a mount the directory itself is the source.
        expected = read(joined / "unequal" / path).replace(b'"directory": "unequal"', b'"directory": "."')
        assert said == expected, path
    header = json.loads(run(program(), "info", source / "concat/rows/3-9").stdout)
    assert header["shape"] == [6, 5] and header["expression"] == "a[3:9]"
    on_mount = json.loads(run(program(), "info", joined / "unequal/concat").stdout)
    assert on_mount["joined"]["directory"] == "unequal" and on_mount["shape"] == list(whole.shape)
    on_mount = json.loads(run(program(), "info", joined / "unequal/concat.npy").stdout)
    assert on_mount["shape"] == list(whole.shape)


def test_many_processes_save_their_parts_and_windows_slide_over_all_of_them(place):
    """The use case: each process writes a file of its own, and the analysis knows of one array."""
    rows = np.arange(103 * 4.0).reshape(103, 4)
    (place.source / "run").mkdir()
    parts = np.array_split(rows, 12)
    children = []
    for i, part in enumerate(parts):
        child = os.fork()
        if child == 0:
            np.save(place.source / f"run/{i}.npy", part)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 12
    windows = place / "run/concat/windows/10,3"
    seen = [np.load(windows / name) for name in sorted(os.listdir(windows))]
    assert len(seen) == 32
    for k, window in enumerate(seen):
        assert_array(window, rows[3 * k : 3 * k + 10], f"window {k}")
