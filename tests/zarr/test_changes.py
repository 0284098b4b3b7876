"""What a reader of chunks meets when the array is replaced, cut off or rewritten meanwhile."""

import json
import os

import numpy as np
import pytest
import zarr

import corpus
from readers import opened

# In chunks of 1000 elements, of which each version is full of one number.
SHAPE = (4000,)


def version(number, shape=SHAPE, dtype="<i8"):
    return corpus.numpy_header(np.full(shape, number, dtype)) + np.full(shape, number, dtype).tobytes()


@pytest.fixture
def array(own_mount):
    """An array with four chunks, and how to replace its file."""
    (own_mount.source / "x.npy").write_bytes(version(1))
    own_mount.zarr = own_mount / "x/chunks/1000.zarr"

    def replace(blob):
        (own_mount.source / "new").write_bytes(blob)
        os.rename(own_mount.source / "new", own_mount.source / "x.npy")

    own_mount.replace = replace
    return own_mount


def test_each_chunk_is_one_version(array):
    reader = opened(array.zarr)
    assert (reader[:1000] == 1).all()
    with open(array.zarr / "c/1", "rb") as old:
        array.replace(version(2))
        assert (np.frombuffer(old.read(), "<i8") == 1).all(), "whoever has a chunk open keeps it"
    assert (reader[1000:] == 2).all()


def test_a_chunk_is_one_version_however_fast_they_follow(array):
    reader = opened(array.zarr)
    for number in range(2, 200):
        array.replace(version(number))
        chunk = reader[1000:2000]
        assert chunk[0] in (number - 1, number) and (chunk == chunk[0]).all()


def test_the_description_is_of_one_version_too(array):
    with open(array.zarr / "zarr.json") as old:
        array.replace(version(2, (5000, 3), "<f4"))
        assert json.load(old)["shape"] == [4000]
    new = json.loads((array / "x/chunks/1000,3.zarr/zarr.json").read_text())
    assert new["shape"] == [5000, 3] and new["data_type"] == "float32"


@pytest.mark.parametrize("blob", [
    version(2, (2000,)), version(2, (4000,), "<i4"), version(2, (10_000,)), b"no array",
    version(2)[:5000], version(2)[:50], b"",
])  # fmt: skip
@pytest.mark.parametrize("path", ["x.zarr", "x/chunks/1000.zarr"])
def test_a_reader_that_knows_another_array_gets_an_error_and_no_zeros(array, path, blob):
    """To Zarr a chunk that does not exist is one of zeros, so none must seem not to exist."""
    reader = opened(array / path)
    array.replace(blob)
    if path == "x/chunks/1000.zarr" and blob == version(2, (10_000,)):
        assert (reader[3000:] == 2).all(), "chunks of the same size are those of a longer array"
        return
    with pytest.raises((OSError, ValueError)):
        reader[3000:]


@pytest.mark.parametrize("size", [0, 50, 5000, 128 + 4000 * 8 - 1])
def test_a_file_that_is_cut_off_is_an_error_and_no_zeros(array, size):
    reader = opened(array.zarr)
    os.truncate(array.source / "x.npy", size)
    with pytest.raises(OSError):
        reader[3000:]
    (array.source / "x.npy").write_bytes(version(3))
    assert (reader[...] == 3).all(), "and an array again once it is whole"


def test_a_walk_over_a_file_that_is_cut_off_and_grown_reads_values_or_errors(array):
    reader, seen = opened(array.zarr), set()
    for size in range(0, 128 + 4000 * 8, 1111):
        os.truncate(array.source / "x.npy", size)
        for chunk in range(4):
            try:
                values = reader[chunk * 1000 : (chunk + 1) * 1000]
            except OSError:
                seen.add("error")
            else:
                assert (values == 1).all(), f"chunk {chunk} of {size} bytes"
                seen.add("values")
        (array.source / "x.npy").write_bytes(version(1))
    assert "error" in seen


def test_an_array_that_is_removed_is_not_found(array):
    os.remove(array.source / "x.npy")
    with pytest.raises(FileNotFoundError):
        opened(array / "x.zarr")
    with pytest.raises(FileNotFoundError):
        zarr.open_group(array / "x.zarr", mode="r", zarr_format=3)
