"""`parts/<n>/info`, by which dask.array.from_npy_stack reads the parts as one array."""

import contextlib
import errno
import os
import pickle

import dask
import dask.array
import numpy as np
import pytest

import corpus
import dtypes
import mounting
from checks import assert_array, assert_file, error_of, read

COUNTS = [1, 2, 5, 7]


@contextlib.contextmanager
def mounted(directory, samples, *options):
    """A mount of some arrays."""
    (directory / "source").mkdir()
    for sample in samples:
        (directory / "source" / f"{sample.name}.npy").write_bytes(sample.blob)
    with mounting.Mount(directory / "source", directory / "mount", *options) as mount:
        yield mount


@pytest.fixture(scope="module")
def mount(tmp_path_factory):
    """A few plain arrays."""
    with mounted(tmp_path_factory.mktemp("few"), ARRAYS.values()) as mount:
        yield mount


ARRAYS = {sample.name: sample for sample in corpus.a_few()}


def lengths(array, n):
    """The rows of each part, by NumPy's word."""
    return tuple(len(part) for part in np.array_split(array, n))


def native(array):
    """The same values in the machine's byte order."""
    swapped = array.dtype.newbyteorder("=")
    return array.byteswap().view(swapped) if array.dtype.byteorder == ">" else array.view(swapped)


def assert_stack(directory, array, n):
    stack = dask.array.from_npy_stack(os.fspath(directory))
    assert stack.chunks == (lengths(array, n), *((length,) for length in array.shape[1:])), directory
    # Dask makes dates without a unit native by itself.
    assert stack.dtype in (array.dtype, native(array).dtype), directory
    got = stack.compute(scheduler="synchronous")
    assert got.shape == array.shape, directory
    for part, expected in zip(dtypes.leaves(got), dtypes.leaves(array), strict=True):
        assert_array(native(part), native(expected), directory)


def is_read_wrong(dtype):
    """Strings of length 0, which Dask takes for longer ones; a name that is not Unicode."""
    if dtype.names is None:
        return dtype.kind in "SU" and dtype.itemsize == 0
    return any("\ud800" in name for name in dtype.names)


def test_dask_reads_every_dtype_in_both_orders(tmp_path):
    wrong = set()
    samples = list(corpus.every_dtype())
    with mounted(tmp_path, samples) as mount:
        for sample in samples:
            for n in COUNTS:
                directory = mount / sample.name / f"parts/{n}"
                if is_read_wrong(sample.array.dtype):
                    wrong.add(sample.array.dtype.str)
                    assert error_of(os.stat, directory / "info") == errno.ENOENT
                    said = mounting.run(mounting.program(), "info", directory / "info", check=False).stderr
                    assert "there is no info: " in said
                else:
                    assert_stack(directory, sample.array, n)
    assert wrong == {"|S0", "<U0", "|V6"}


def test_dask_reads_every_shape(tmp_path):
    samples = [sample for sample in corpus.every_shape() if sample.array.ndim]
    with mounted(tmp_path, samples) as mount:
        for sample in samples:
            for n in COUNTS:
                assert_stack(mount / sample.name / f"parts/{n}", sample.array, n)


@pytest.mark.parametrize(("path", "index"), [
    ("table/rows/10-90", np.s_[10:90]), ("table/cols/3-60", np.s_[:, 3:60]), ("table/T", None),
    ("cube/slice/::-2", np.s_[::-2]), ("fortran/axis1/7", np.s_[:, 7]),
])  # fmt: skip
def test_dask_reads_the_parts_of_a_selection(mount, path, index):
    array = ARRAYS[path.split("/")[0]].array
    view = array.T if path.endswith("/T") else array[index]
    for n in COUNTS:
        assert_stack(mount / path / f"parts/{n}", view, n)


def test_it_is_read_by_name_and_is_not_listed(mount):
    directory = mount / "line/parts/3"
    assert sorted(os.listdir(directory)) == ["0.npy", "1.npy", "2.npy"]
    text = b"(dVchunks\n((I334\nI333\n2ttsVdtype\nV<i4\nsVaxis\nI0\ns."
    assert_file(directory / "info", text)
    said = mounting.run(mounting.program(), "cat", mount.source / "line/parts/3/info")
    assert said.stdout.encode() == text
    for other in "line/parts/info", "line/parts/3/info.npy", "line/rows/info", "line/windows/1,1/info":
        assert error_of(os.stat, mount / other) == errno.ENOENT, other


def test_it_takes_no_memory_however_many_parts_there_are(mount):
    path = mount / f"line/parts/{1 << 32}/info"
    size = os.stat(path).st_size
    assert size > 1 << 32
    with open(path, "rb") as file:
        assert file.read(24) == b"(dVchunks\n((I1\n222222222"
        file.seek(size - 30)
        assert file.read() == b"222222ttsVdtype\nV<i4\nsVaxis\nI0\ns."[-30:]
    chunks = pickle.loads(read(mount / "line/parts/1000000/info"))["chunks"][0]
    assert len(chunks) == 1_000_000 and sum(chunks) == 1000


def test_it_cannot_be_written(tmp_path):
    with mounted(tmp_path, ARRAYS.values(), "--writable") as mount:
        path = mount / "line/parts/2/info"
        assert error_of(os.open, path, os.O_WRONLY) in (errno.EPERM, errno.EACCES)
