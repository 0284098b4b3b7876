"""Nothing in a Zarr directory can be written, on a mount where the arrays themselves can be."""

import errno
import os
import stat

import numpy as np
import pytest
import zarr

import corpus
from mounting import Mount, run

SAMPLE = corpus.sample("x", (300, 10), "<f4")


@pytest.fixture
def writable(tmp_path):
    (tmp_path / "source/sub").mkdir(parents=True)
    for path in ("x.npy", "sub/x.npy"):
        (tmp_path / "source" / path).write_bytes(SAMPLE.blob)
    with Mount(tmp_path / "source", tmp_path / "mount", "--writable") as mount:
        yield mount


FILES = [
    "x.zarr/zarr.json", "x.zarr/c/0/0", "x.zarr/.zarray", "x.zarr/.zattrs", "x.zarr/0.0",
    "x/rows/0-5.zarr/c/0/0", "x/chunks/100,10.zarr/c/2/0", "sub.zarr/zarr.json", ".zarr/.zgroup",
    ".zarr/sub/x/c/0/0", "x.ome.zarr/zarr.json", "x.ome.zarr/0/c/0/0",
]  # fmt: skip
DIRECTORIES = sorted({path.rpartition("/")[0] for path in FILES} | {"x.zarr/c"})


def errno_of(work, *args):
    with pytest.raises(OSError) as refused:
        work(*args)
    return errno.errorcode[refused.value.errno]


@pytest.mark.parametrize("path", FILES)
def test_a_file_is_opened_to_be_read_and_never_to_be_written(writable, path):
    file = writable / path
    before = file.read_bytes()
    assert stat.S_IMODE(os.stat(file).st_mode) & 0o222 == 0
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
        assert errno_of(os.open, file, flags) == "EPERM", flags
    assert errno_of(os.truncate, file, 0) == errno_of(os.unlink, file) == "EPERM"
    assert file.read_bytes() == before
    log = (writable / ".npyfs/log").read_text()
    assert "what is in a .zarr directory is read-only; write the array's .npy or .raw" in log


@pytest.mark.parametrize("path", DIRECTORIES)
def test_nothing_is_made_in_a_directory(writable, path):
    assert stat.S_IMODE(os.stat(writable / path).st_mode) & 0o222 == 0
    new = writable / path / "new"
    for work in (os.mkdir, os.mknod, lambda path: open(path, "x")):
        assert errno_of(work, new) == "EPERM"
    assert errno_of(os.rename, writable / "x.npy", new) == "EPERM"


def test_zarr_cannot_write_and_the_values_stay(writable):
    array = zarr.open_array(writable / "x.zarr", mode="r+", zarr_format=3)
    with pytest.raises(OSError):
        array[3:5] = 1
    with pytest.raises(OSError):
        array.resize((7, 10))
    assert (writable.source / "x.npy").read_bytes() == SAMPLE.blob


def test_values_written_by_another_path_are_read_by_the_next_open(writable):
    array = zarr.open_array(writable / "x.zarr", mode="r", zarr_format=3)
    assert np.array_equal(array[5], SAMPLE.array[5], equal_nan=True)
    np.save(writable / "x/rows/5.npy", np.arange(10, dtype="<f4"))
    assert np.array_equal(array[5], np.arange(10))
    run("cp", "-r", writable / "x.zarr", writable.source.parent / "copy")
    copy = zarr.open_array(writable.source.parent / "copy", mode="r+", zarr_format=3)
    copy[5] = 7
    assert (copy[5] == 7).all() and np.array_equal(array[5], np.arange(10))
