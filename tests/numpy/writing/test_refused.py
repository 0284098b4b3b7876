"""What a writable mount refuses: all but the values of arrays. A refusal says why by its errno, and
leaves every byte of the source as it was."""

import errno
import os
import struct

import numpy as np
import pytest

import corpus
import headers
import oracle
import twin
import writers
from checks import read, refused, snapshot
from mounting import run
from writers import patched, replaced

SAMPLE, VIEWS = corpus.VIEWED, corpus.VIEWS
PATHS = list(VIEWS)
BROKEN = {name: blob for name, (blob, _) in headers.READABLE.items()} | headers.MALFORMED


@pytest.fixture(scope="module")
def tree(mounted):
    samples = [SAMPLE, corpus.sample("tail", (6, 5), "<f8", tail=b"more"), corpus.sample("none", (0,), "<f8")]
    with mounted(samples, "--writable", broken=BROKEN) as tree:
        os.mkdir(tree.source / "folder")
        (tree.source / "plain.txt").write_bytes(b"text\n")
        np.savez(tree.source / "some.npz", SAMPLE.array)
        yield tree


@pytest.fixture
def unchanged(tree):
    """Nothing in the source is another afterwards."""
    before = list(snapshot(tree.source))
    yield
    assert list(snapshot(tree.source)) == before


def other_arrays(view):
    """Arrays that are not like the view, each by one property."""
    return {
        "another dtype": view.view("<i8").astype("<i4"),
        "a dtype as wide": view.view("<i8"),
        "another byte order": view.astype(">f8"),
        "a record": view.copy().view([("x", "<f8")]),
        "one row less": view[:-1],
        "one row more": np.concatenate([view, view[:1]]),
        "an axis more": view[None],
        "no axis": np.array(1.0),
        "flat": view.reshape(-1)[:-1],
        "empty": view[:0],
        "python objects": np.array([None]),
    }


@pytest.mark.parametrize("path", PATHS)
def test_an_array_of_another_shape_or_dtype_is_refused(tree, unchanged, path):
    for what, other in other_arrays(VIEWS[path]).items():
        for save in (np.save, lambda path, other: replaced(path, oracle.saved(np.asfortranarray(other)))):
            assert refused(save, tree / path, other) == "EINVAL", what
        # Opened for reading too, its layout is known, and where it ends.
        said = refused(patched, tree / path, 0, oracle.saved(other), os.O_RDWR)
        assert said == "EINVAL" or said == "EFBIG" and other.nbytes > VIEWS[path].nbytes, what


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_array_is_refused(tree, unchanged, name):
    """Also where it begins as an array does, and turns out later to be none."""
    for path in PATHS:
        # As long as any header that is announced there, so that no more of it is waited for.
        content = BROKEN[name] + bytes(1 << 16)
        assert refused(replaced, tree / path, content) == "EINVAL", path
        assert refused(patched, tree / path, 0, content[:200], os.O_RDWR) == "EINVAL", path


@pytest.mark.parametrize("text", headers.ACCEPTED)
def test_a_header_in_any_spelling_of_numpy_s_is_accepted(mounted, rng, text):
    sample = corpus.sample("y", headers.SHAPE, "<f4")
    with mounted([sample], "--writable") as tree:
        for version in corpus.VERSIONS:
            own = twin.Twin(tree.source / "y.npy", sample)
            values = twin.some_values(rng, own.array)
            replaced(tree / "y/T.npy", corpus.container(transposed(text), version) + values.tobytes("F"))
            own.array[...] = values
            own.assert_on_disk(text)


def transposed(text):
    """The header of the (4, 3) array, by the spelling of the (3, 4) one."""
    text = headers.ACCEPTED[text]
    for three, four in [("3", "4"), ("0x3", "0X4"), ("0o3", "0B100"), ("0x_3", "0b1_00"), ("+3", "+4")]:
        for before, between, after in [("(", ", ", ")"), ("(", ",", ")"), ("(", ",\n   ", ")")]:
            old = before + three + between + four + after
            if old in text:
                return text.replace(old, before + four + between + three + after)
    assert "((3), (4),)" in text, text
    return text.replace("((3), (4),)", "((4), (3),)")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("access", ["O_WRONLY", "O_RDWR"])
def test_bytes_of_the_header_and_past_the_end_are_refused(tree, unchanged, path, access):
    content, access = read(tree / path), getattr(os, access)
    start = len(content) - VIEWS[path].nbytes
    for at in {0, 1, 6, 10, 11, start // 2, start - 1}:
        changed = bytes([content[at] ^ 1])
        said = refused(patched, tree / path, at, changed + content[at + 1 : start + 16], access)
        assert said == "EINVAL", f"byte {at} of the header"
    for at in (len(content) - 1, len(content), len(content) + 1, 1 << 40, (1 << 62) - 4096):
        assert refused(patched, tree / path, at, b"two", access) == "EFBIG", at
    assert refused(patched, tree / path, 0, content + b"\0", access) == "EFBIG"
    assert refused(patched, tree / path, 0, b"x", access | os.O_APPEND) == "EFBIG"


@pytest.mark.parametrize("path", ["x.raw", "x/rows/10-40.raw", "x/cols/3.raw"])
def test_raw_bytes_past_the_end_are_refused(tree, unchanged, path):
    content = read(tree / path)
    for at in (len(content) - 1, len(content), 1 << 50):
        assert refused(patched, tree / path, at, b"two") == "EFBIG"
    assert refused(replaced, tree / path, content + b"\0") == "EFBIG"


def test_the_reason_can_be_read_in_the_mount(tree, unchanged):
    with pytest.raises(OSError) as refusal:
        np.save(tree / "x/rows/10-40.npy", np.zeros((30, 49)))
    assert refusal.value.errno == errno.EINVAL
    last = (tree / ".npyfs/log").read_text().splitlines()[-1]
    assert "x.npy: a[10:40]: " in last and "(30, 49)" in last and "(30, 50)" in last


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_header_in_pieces_that_turns_out_wrong_is_refused(tree, unchanged, path, size):
    """Not one byte of data is written, before or after."""
    view = VIEWS[path]
    for wrong in (view.view("<i8"), np.concatenate([view, view[:1]])):
        content = writers.padded_otherwise(oracle.saved(wrong), 100)
        start = len(content) - wrong.nbytes
        file = os.open(tree / path, os.O_WRONLY | os.O_TRUNC)
        try:
            pieces = [content[at : at + size] for at in range(0, start + size, size)]
            assert refused(lambda: [os.write(file, piece) for piece in pieces]) == "EINVAL"
            assert refused(os.pwrite, file, b"12345678", start + 64) == "EINVAL"
        finally:
            # It is told once more.
            assert refused(os.close, file) == "EINVAL"


def test_a_header_that_is_longer_than_any_is_refused(tree, unchanged):
    for length in (1 << 18, 1 << 24, (1 << 32) - 1):
        for text in (b" ", b"{", headers.PLAIN.encode()):
            start = b"\x93NUMPY\x02\x00" + struct.pack("<I", length) + text
            file = os.open(tree / PATHS[1], os.O_WRONLY | os.O_TRUNC)
            try:
                piece = start + b" " * 4096
                assert refused(lambda: [os.write(file, piece) for _ in range(100)]) == "EINVAL"
            finally:
                assert refused(os.close, file) == "EINVAL"


@pytest.mark.parametrize("path", [*PATHS, "x.raw", "x/cols/3.raw"])
def test_another_size_is_refused(tree, unchanged, path):
    size = os.stat(tree / path).st_size
    for other in (1, size - 1, size + 1, 2 * size, 1 << 40):
        assert refused(os.truncate, tree / path, other) == "EPERM", other
        for access in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
            file = os.open(tree / path, access)
            try:
                assert refused(os.ftruncate, file, other) == "EPERM", other
            finally:
                os.close(file)
    for same in (size, 0):
        os.truncate(tree / path, same)
        assert os.stat(tree / path).st_size == size
    # While another has it open, truncated and with nothing in it yet.
    file = os.open(tree / path, os.O_WRONLY | os.O_TRUNC)
    try:
        os.truncate(tree / path, size)
    finally:
        os.close(file)
    os.close(os.open(tree / path, os.O_RDONLY | os.O_TRUNC))
    os.close(os.open(tree / path, os.O_WRONLY | os.O_TRUNC))
    run("sh", "-c", ': > "$1"', "sh", tree / path)


NO_ARRAYS = ["plain.txt", "some.npz", "tail.npy", "x/header.json", "x/cols/USAGE.txt", "header_cut/error.txt"]


@pytest.mark.parametrize("path", [*NO_ARRAYS, *(f"{name}.npy" for name in BROKEN)])
def test_only_arrays_can_be_written(tree, unchanged, path):
    for access in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
        assert refused(os.open, tree / path, access) == "EPERM"
    for size in (0, 3, os.stat(tree / path).st_size):
        assert refused(os.truncate, tree / path, size) == "EPERM"
    assert refused(np.save, tree / f"{path}.npy", SAMPLE.array) in ("EPERM", "ENOTDIR", "ENOENT")
