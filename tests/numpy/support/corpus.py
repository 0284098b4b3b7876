"""The arrays on disk that the suite mounts: every dtype, order, shape and version.

A sample is the bytes of a file together with the array they mean. The array is a
view of those very bytes, so that it has the file's padding too.
"""

import io
import struct
from dataclasses import dataclass, field

import numpy as np

import dtypes

VERSIONS = [(1, 0), (2, 0), (3, 0)]

SHAPES = [
    (), (1,), (0,), (7,), (3, 4), (1, 5), (5, 1), (1, 1), (0, 3), (3, 0), (2, 3, 4), (2, 1, 3),
    (2, 0, 3), (2, 1, 3, 2), (2, 3, 1, 2, 2), (1, 2, 3, 2, 1, 2), (2, 2, 2, 2, 2, 2),
]  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """A .npy file by its stem, and what NumPy sees in it."""

    name: str
    blob: bytes = field(repr=False)
    array: np.ndarray = field(repr=False)
    version: tuple = (1, 0)

    def __str__(self):
        return self.name

    @property
    def offset(self):
        return len(self.blob) - self.array.nbytes


def value_bytes(rng, shape, dtype):
    """Random bytes for an array, valid where a dtype does not take just any."""
    count = int(np.prod(shape, dtype=object))
    memory = bytearray(rng.bytes(count * dtype.itemsize))
    for leaf in dtypes.leaves(np.ndarray(shape, dtype, memory)):
        if leaf.dtype.kind == "b":
            leaf[...] = rng.integers(0, 2, leaf.shape)
        elif leaf.dtype.kind == "U" and leaf.dtype.itemsize:
            length = leaf.dtype.itemsize // 4
            codes = rng.integers(1, 0xD800, (*leaf.shape, length))
            text = codes.astype(leaf.dtype.byteorder + "u4").view(leaf.dtype)
            leaf[...] = text[..., 0]
    return bytes(memory)


def numpy_header(array, version=None):
    """The header that NumPy writes for an array; no version leaves the choice to it."""
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version)
    return out.getvalue()[: out.tell() - array.nbytes]


def container(text, version=(1, 0)):
    """Magic, version, length and header text, exactly as given: nothing is padded."""
    encoded = text if isinstance(text, bytes) else text.encode("utf8" if version == (3, 0) else "latin1")
    length = struct.pack("<H" if version == (1, 0) else "<I", len(encoded))
    return b"\x93NUMPY" + bytes(version) + length + encoded


def sample(name, shape, dtype, order="C", version=None, header=None, seed=1, tail=b""):
    """Make a sample with NumPy's header, or with one of one's own."""
    dtype = np.dtype(dtype)
    values = value_bytes(np.random.default_rng(seed), shape, dtype)
    header = header or numpy_header(np.ndarray(shape, dtype, values, order=order), version)
    array = as_loaded(shape, dtype, values, order)
    return Sample(name, header + values + tail, array, tuple(header[6:8]))


def as_loaded(shape, dtype, values, order):
    """The array in the form np.load gives it, which matters to the flags of empty items."""
    if order == "F":
        return np.ndarray(shape[::-1], dtype, values).T
    return np.ndarray(shape, dtype, values)


def _safe(descr):
    """A descr as part of a file name."""
    for sign, word in {"<": "le-", ">": "be-", "|": "", "[": "-", "]": ""}.items():
        descr = descr.replace(sign, word)
    return descr


def every_dtype():
    """Each dtype in both orders, in two dimensions, which can tell the orders apart."""
    for name, dtype in dtypes.ALL.items():
        for order in "CF":
            yield sample(f"{_safe(name)}-{order}", (5, 4), dtype, order)


def every_shape():
    """Each shape in both orders, for a plain type and a record."""
    for shape in SHAPES:
        size = "x".join(map(str, shape)) or "0d"
        for order in "CF":
            yield sample(f"shape-{size}-{order}", shape, "<i4", order, seed=2)
            yield sample(f"shape-{size}-{order}-record", shape, dtypes.RECORDS["gaps"], order, seed=3)


def every_version():
    """Versions are NumPy's to choose; a file may carry a later one than it needs."""
    for version in VERSIONS:
        label = "v{}{}".format(*version)
        yield sample(f"{label}-plain", (5, 4), ">f8", "F", version)
        yield sample(f"{label}-record", (5,), dtypes.RECORDS["aligned"], "C", version)
    yield sample("v30-names", (5,), dtypes.RECORDS["names"], "C", (3, 0))


def long_headers():
    """Past 10,000 characters np.load wants to be asked; past 65535 it is version 2.0."""
    for count in (600, 4000):
        record = np.dtype([(f"field number {i}", "<i2") for i in range(count)])
        yield sample(f"long-{count}-fields", (3,), record)


def samples():
    """Every array of the corpus, in files that NumPy could have written."""
    return [*every_dtype(), *every_shape(), *every_version(), *long_headers()]


SMALL = sample("x", (6, 5), "<f8")
SMALL_OTHER = sample("x", (6, 5), "<f8", seed=9)
"""Two arrays that differ in their values alone, for the tests that are not about arrays."""

VIEWED = sample("x", (60, 50), "<f8")
VIEWS = {
    "x.npy": VIEWED.array,
    "x/rows/10-40.npy": VIEWED.array[10:40],
    "x/cols/3-9.npy": VIEWED.array[:, 3:9],
    "x/slice/::-2,::3.npy": VIEWED.array[::-2, ::3],
    "x/T.npy": VIEWED.array.T,
    "x/rows/5.npy": VIEWED.array[5],
}
"""An array, and paths of views of it: the whole, contiguous and strided ones, one without an axis."""

TILE_BYTES = 4096
"""The tile size that the arrays below are mounted with: a few tiles each."""


def a_few():
    """Arrays with one property each, for the tests that are about selectors."""
    return [
        sample("line", (1000,), "<i4"),
        sample("table", (100, 100), "<f8"),
        sample("fortran", (100, 40), ">f4", "F"),
        sample("cube", (10, 6, 5), "<u2"),
        sample("point", (), "<f8"),
        sample("wide", (3, 5000), "|u1"),
        sample("none", (0, 4), "<i2"),
        sample("hollow", (6, 0), "<i2"),
        sample("dim6", (2, 3, 1, 2, 2, 3), "<i8"),
        sample("complex", (12, 9), "<c16"),
        sample("records", (8, 5), dtypes.RECORDS["nested"]),
        sample("quadrants", (100, 100), dtypes.RECORDS["ri"]),
    ]
