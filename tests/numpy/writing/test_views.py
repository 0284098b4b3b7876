"""What is written by a path arrives where NumPy's assignment to that view would put it, and no
other byte of the file changes."""

import os

import numpy as np
import pytest

import corpus
import dtypes
import oracle
import twin
import writers
from checks import assert_array, load, read
from mounting import Mount, run

TABLE = (12, 9)
PADDED = writers.padded_otherwise


def samples():
    """Arrays with a property each, of more than a page where that is no matter."""
    return [
        corpus.sample("plain", (70, 90), "<f8"),
        corpus.sample("fortran", TABLE, ">f4", "F"),
        corpus.sample("point", (), "<f8"),
        corpus.sample("line", (3000,), "<i4"),
        corpus.sample("cube", (5, 6, 7), "<u2"),
        corpus.sample("fortran_cube", (5, 6, 7), "|u1", "F"),
        corpus.sample("none", (0, 4), "<i2"),
        corpus.sample("padded", (30, 40), dtypes.RECORDS["gaps"]),
        corpus.sample("padded_fortran", TABLE, dtypes.RECORDS["gaps_inside"], "F"),
        corpus.sample("nested", TABLE, dtypes.RECORDS["nested"]),
        corpus.sample("shaped", TABLE, dtypes.RECORDS["shaped"]),
        corpus.sample("complex", TABLE, ">c16"),
        corpus.sample("text", TABLE, ">U3"),
        corpus.sample("three", (50, 60), "|S3"),
        corpus.sample("seventeen", TABLE, "|V17", "F"),
        corpus.sample("v2", TABLE, "<M8[us]", version=(2, 0)),
        corpus.sample("v3", TABLE, "<i8", "F", version=(3, 0)),
        odd("odd", "C", 1),
        odd("odd_fortran", "F", 40),
    ]


def odd(name, order, spaces):
    """A file whose data begin at no multiple of anything."""
    values = corpus.sample(name, TABLE, "<f8", order)
    blob = PADDED(values.blob, spaces)
    return corpus.Sample(name, blob, values.array)


def views(whole):
    """The whole file, and what is contiguous, strided, reversed, and part of each item in it."""
    array = whole.view
    found = [whole, whole.transposed(), whole.slice("..."), whole.slice("None,...")]
    if array.ndim:
        found += [whole.part(1, 3), whole.rows(0, len(array) // 2), whole.slice("::-1"), whole.slice("1::2")]
    if array.size and array.ndim:
        found += [whole.rows(len(array) - 1), whole.window(0, 2, 3)]
    if array.ndim > 1:
        found += [whole.cols(1, 3), whole.cols(2), whole.slice("::-2,::-1"), whole.slice("...,-1")]
        found += [whole.slice("1:4,1:3").transposed(), whole.rows(0, 0)]
    for name in array.dtype.names or ():
        found += [whole.field(name), whole.slice("::2").field(name), whole.field(name).transposed()]
    if array.dtype.kind == "c":
        found += [whole.real(), whole.imag(), whole.slice("::-1").imag().cols(1, 5)]
    if whole.path == "nested":
        found += [whole.field("pos").field("y"), whole.field("trail").field("z").slice("...,0")]
    return found


SAMPLES = {sample.name: sample for sample in samples()}


@pytest.fixture(scope="module")
def tree(mounted):
    with mounted(SAMPLES.values(), "--writable") as tree:
        yield tree


@pytest.fixture
def own(tree, request):
    """The sample of this test and its twin, as the file has come to be."""
    sample = SAMPLES[request.param]
    return twin.Twin(tree.source / f"{sample.name}.npy", sample)


def every(ways, some):
    """The table: each sample with each way."""
    slow, slower = ["fortran", "padded", "odd_fortran"], ["fortran", "odd_fortran"]
    rows = []
    for way in ways:
        chosen = slower if "bs=1" in way else slow if way.startswith(writers.TOOLS) else some
        rows += [(way, name) for name in chosen]
    return pytest.mark.parametrize(("way", "own"), rows, indirect=["own"])


def assert_written(tree, own, chain, encoding, write, rng, scratch):
    """One write, and the whole file afterwards; its own path and another read what came of it."""
    values = twin.some_values(rng, chain.view)
    path = tree / f"{chain.path}{encoding}"
    write(path, values, scratch)
    twin.assign(chain.view, values)
    own.assert_on_disk(f"{chain.path}{encoding} was written")
    assert_array(load(tree / chain.npy), chain.view, chain.npy)
    whole = own.chain.slice("...")
    assert read(tree / whole.raw) == oracle.raw(whole.view), f"{whole.raw} after {path}"


@every(writers.NPY, SAMPLES)
def test_an_array_that_is_written_changes_its_view_s_bytes_and_no_other(tree, own, way, rng, tmp_path):
    for chain in views(own.chain):
        assert_written(tree, own, chain, ".npy", writers.NPY[way], rng, tmp_path)


@every(writers.RAW, SAMPLES)
def test_raw_bytes_that_are_written_change_the_view_s_and_no_other(tree, own, way, rng, tmp_path):
    for chain in views(own.chain):
        assert_written(tree, own, chain, ".raw", writers.RAW[way], rng, tmp_path)


@pytest.mark.parametrize("access", ["O_WRONLY", "O_RDWR"])
@pytest.mark.parametrize("own", SAMPLES, indirect=True)
def test_a_few_bytes_anywhere_change_those_bytes_and_no_other(tree, own, access, rng):
    """Of an item, of a record's padding, across the header's edge: whatever is asked for."""
    for chain in views(own.chain):
        if chain.view.nbytes == 0 or chain.view.dtype.kind in "bU":
            continue
        file = os.open(tree / chain.npy, getattr(os, access))
        try:
            for _ in range(8):
                write_a_few_bytes(tree, own, chain, file, rng)
        finally:
            os.close(file)


def write_a_few_bytes(tree, own, chain, file, rng):
    content = bytearray(read(tree / chain.npy))
    start = len(content) - chain.view.nbytes
    at = start + int(rng.integers(-9, chain.view.nbytes))
    stop = min(at + int(rng.integers(0, 50)), len(content))
    piece = content[at:stop]
    piece[max(start - at, 0) :] = rng.bytes(len(piece[max(start - at, 0) :]))
    assert os.pwrite(file, piece, at) == len(piece)
    content[at:stop] = piece
    oracle.items(chain.view)[...] = oracle.items(twin.array_of(content, chain.view))
    own.assert_on_disk(f"{len(piece)} bytes at {at} of {chain.npy}")


@pytest.mark.parametrize("own", ["plain", "padded", "odd_fortran"], indirect=True)
def test_values_in_any_order_of_writes_arrive(tree, own, rng):
    """Backwards, by a writer of another header: only the header has to come first."""
    for chain in views(own.chain):
        values = twin.some_values(rng, chain.view)
        content = PADDED(writers.file_of(values, "F"), 7)
        start = len(content) - values.nbytes
        file = os.open(tree / chain.npy, os.O_WRONLY)
        try:
            os.pwrite(file, content[:start], 0)
            # The last piece first.
            for at in range(start + values.nbytes // 777 * 777, start - 1, -777):
                os.pwrite(file, content[at : at + 777], at)
        finally:
            os.close(file)
        twin.assign(chain.view, values)
        own.assert_on_disk(f"{chain.npy} was written backwards")


@pytest.mark.parametrize("part", ["rows/100-900", "cols/30-90", "slice/::-1,::3", "T"])
@pytest.mark.parametrize("order", "CF")
def test_zeros_that_cp_leaves_out_are_written_all_the_same(mounted, rng, tmp_path, part, order):
    """cp makes a hole where there are only zeros: what was there before has to go."""
    sample = corpus.sample("x", (1000, 100), "<f8")
    with mounted([sample], "--writable") as tree:
        own = twin.Twin(tree.source / "x.npy", sample)
        chain = chain_of(own.chain, part)
        for zeros in [slice(0, None), slice(None, -1), slice(200, None), slice(40, 250)]:
            values = twin.some_values(rng, chain.view)
            values[zeros] = 0
            (tmp_path / "part.npy").write_bytes(writers.file_of(values, order))
            own.memory[sample.offset :] = rng.bytes(sample.array.nbytes)
            own.path.write_bytes(own.memory)
            run("cp", "--sparse=always", tmp_path / "part.npy", tree / chain.npy)
            twin.assign(chain.view, values)
            own.assert_on_disk(f"cp --sparse=always to {chain.npy}, zeros in {zeros}")


def chain_of(whole, part):
    """The chain of one more selector, by its name."""
    return {
        "rows/100-900": lambda: whole.rows(100, 900),
        "cols/30-90": lambda: whole.cols(30, 90),
        "slice/::-1,::3": lambda: whole.slice("::-1,::3"),
        "T": whole.transposed,
    }[part]()


def test_a_single_file_is_mounted_writable_too(tmp_path, rng):
    sample = corpus.sample("x", (40, 30), dtypes.RECORDS["gaps"])
    (tmp_path / "x.npy").write_bytes(sample.blob)
    own = twin.Twin(tmp_path / "x.npy", sample)
    with Mount(tmp_path / "x.npy", tmp_path / "mount", "--writable") as mount:
        for path, view in {"rows/3-9": own.array[3:9], "fields/a": own.array["a"], "T": own.array.T}.items():
            values = twin.some_values(rng, view)
            np.save(mount / f"{path}.npy", values)
            twin.assign(view, values)
            own.assert_on_disk(path)


def test_bytes_behind_the_array_stay(mounted, rng):
    tail = b"and more, which counts for nothing"
    sample = corpus.sample("x", (40, 30), "<f8", tail=tail)
    with mounted([sample], "--writable") as tree:
        own = twin.Twin(tree.source / "x.npy", sample, len(tail))
        for chain in views(own.chain)[1:]:
            assert_written(tree, own, chain, ".npy", writers.NPY["np.save"], rng, None)
            assert_written(tree, own, chain, ".npy", writers.NPY["np.load r+"], rng, None)
