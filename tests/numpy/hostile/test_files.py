"""Hostile files: read as NumPy reads them or refused as NumPy refuses them, at little cost."""

import json
import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest

import hostile_files as hostile
import oracle
from checks import (
    assert_absent,
    assert_array,
    assert_encodings,
    assert_file,
    assert_same_bytes,
    load,
    read,
)
from mounting import wait_until
from processes import peak_and_now, worked

FILES = dict(hostile.files())
OBJECTS = [name for name in FILES if name.startswith("objects-")]

# What NumPy loads and npyfs refuses on purpose, and why.
ONLY_NUMPY = {
    "text-escape-named": "an escape by a character's name would take Unicode's table of names",
    "fields-unhashable-title": "a list as a title: NumPy makes no use of it and cannot write it again",
    "fields-text": "several dtypes in one string: NumPy never writes it, and records have lists",
    "fields-too-many": "more than 10,000 fields, of which each takes a kilobyte while they are read",
}

# What npyfs serves and NumPy refuses, and why.
ONLY_NPYFS = {
    "text-indented": "a blank line, then an indented dict: to Python bad layout, and still the same dict",
}

SECONDS, BYTES = 0.5, 16 << 20
"""What one file may take: ten times what the worst does, in seconds of the daemon's own work, which the other programs of
a busy machine do not add to."""
SETTLED = 1.1


@pytest.fixture(scope="module")
def tree(mounted):
    """All hostile files under one mount, with an array like any among them."""
    with mounted([hostile.GOOD], broken=FILES) as tree:
        yield tree
        assert "panicked" not in tree.mount.log()


def refusal(tree, name):
    """What error.txt says, or None where there is an array."""
    path = tree / name / "error.txt"
    return read(path).decode() if path.exists() else None


def assert_refused(tree, name, sentence):
    assert sentence.endswith("\n") and sentence[:-1].isprintable() and len(sentence) < 600, repr(sentence)
    assert set(os.listdir(tree / name)) - {"header.json"} == {"error.txt"}
    for selection in ("rows", "slice/....npy", "T.raw", "parts/1/0.npy", "fields"):
        assert_absent(tree / name / selection, [""])
    assert_absent(tree / name, [".raw"])


def assert_fields(tree, name, array):
    """The first fields of a record, those that can be files."""
    for field in (array.dtype.names or ())[:5]:
        path = tree / name / "fields" / oracle.escaped(field).encode(errors="replace").decode()
        try:
            selected = array[field]
        except ValueError:
            # More axes than an array can have.
            selected = None
        if selected is None or field.encode(errors="replace").decode() != field:
            assert_absent(path)
        elif len(os.fsencode(path.name)) + len(".npy") <= 255:
            assert_file(f"{path}.raw", oracle.raw(selected))


def saved(array):
    """The array as a file can hold it: to NumPy a field of bytes that has no name is padding there."""
    dtype = np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(array.dtype))
    return array if dtype == array.dtype else array.view(dtype)


def assert_loaded(tree, name, array):
    """The array that NumPy loaded, and not a byte from beside it."""
    header = json.loads(read(tree / name / "header.json"))
    if len(array.dtype.names or ()) <= 1000:
        expected = oracle.described(array)
        assert {member: header[member] for member in expected} == expected
    assert header["shape"] == list(array.shape)
    assert_array(load(tree / name / "slice/....npy"), saved(array), name)
    views = {"": array, "/T": array.T, "/slice/...": array}
    if array.ndim:
        views |= {"/slice/::-1": array[::-1], "/parts/2/1": np.array_split(array, 2)[1]}
        views |= {f"/rows/{len(array)}-{len(array)}": array[:0], "/slice/-1:": array[-1:]}
    for selection, view in views.items():
        assert_file(tree / f"{name}{selection}.raw", oracle.raw(view))
        assert hostile.SECRET[:1] not in read(tree / f"{name}{selection}.raw"), selection
    assert_fields(tree, name, array)


@pytest.mark.parametrize("name", FILES)
def test_numpy_and_npyfs_are_of_one_mind(tree, name):
    theirs = hostile.numpy_reads(tree.source / f"{name}.npy")
    ours = refusal(tree, name)
    told = f"NumPy: {hostile.verdict(theirs)}; npyfs: {ours or 'an array'}"
    accepted = isinstance(theirs, np.ndarray)
    assert (ours is None) == (name in ONLY_NPYFS or accepted and name not in ONLY_NUMPY), told
    assert name not in ONLY_NPYFS or not accepted, f"no difference any more: {told}"
    assert name not in ONLY_NUMPY or accepted, f"no difference any more: {told}"
    if ours is not None:
        assert_refused(tree, name, ours)
    elif accepted:
        assert_loaded(tree, name, theirs)
    assert_same_bytes(read(tree / f"{name}.npy"), FILES[name], name)
    assert_encodings(tree.mount, tree.chain("good").rows(1, 3))


@pytest.mark.parametrize("name", ONLY_NPYFS)
def test_what_only_npyfs_reads_is_what_it_would_be_without_the_oddity(tree, name):
    data = FILES[name].removesuffix(hostile.SECRET)[-48:]
    assert_array(load(tree / name / "slice/....npy"), np.frombuffer(data, "<f4").reshape(3, 4), name)


@pytest.mark.parametrize("name", OBJECTS)
def test_a_pickle_is_executed_by_nobody(tree, name):
    assert "Python objects" in refusal(tree, name)
    assert "pickle" in hostile.numpy_reads(tree.source / f"{name}.npy")
    assert not hostile.MARKER.exists()


def test_the_pickles_would_do_something():
    """Else it would prove nothing that they did not."""
    try:
        pickle.loads(FILES["pickle-of-a-call"]).close()
        assert hostile.MARKER.exists()
    finally:
        hostile.MARKER.unlink(missing_ok=True)


def look(tree, name):
    """What a visitor does first."""
    for entry in os.listdir(tree / name):
        if entry.endswith((".json", ".txt")):
            read(tree / name / entry)
        else:
            os.stat(tree / name / entry)
    if not (tree / name / "error.txt").exists():
        read(tree / f"{name}.raw")
        read(tree / name / "slice/....npy")


def costs(tree):
    """Seconds and bytes that the first look at each file took of a daemon."""
    process = Path(f"/proc/{tree.mount.pid}")
    last = tree.source / f"{list(FILES)[-1]}.npy"
    # Headers of files that were just written are read again at every turn.
    wait_until(lambda: time.time() - os.stat(last).st_ctime > SETTLED, 30, "settled")
    for name in FILES:
        # Forgets the peak that was.
        (process / "clear_refs").write_text("5")
        (_, before), start = peak_and_now(process), worked(process)
        look(tree, name)
        (peak, _), end = peak_and_now(process), worked(process)
        yield name, end - start, peak - before


def test_none_takes_long_or_much_memory(mounted):
    """The best of three mounts counts: what costs too much does so every time."""
    rounds = []
    for _ in range(3):
        with mounted([hostile.GOOD], broken=FILES) as tree:
            look(tree, "good")
            rounds.append(list(costs(tree)))
    for tries in zip(*rounds):
        name, seconds, memory = (min(column) for column in zip(*tries))
        assert seconds < SECONDS, f"{name}: {seconds:.3f} s"
        assert memory < BYTES, f"{name}: {memory} bytes"
