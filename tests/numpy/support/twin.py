"""The oracle of writes: a file in memory, to which NumPy's own assignments are made.

The array of a twin lies over the bytes of its file, so that a view of it that is
assigned to changes in memory what a write by that view's path must change on disk.
"""

import numpy as np

import corpus
import dtypes
import oracle
from checks import assert_same_bytes, read
from oracle import Chain


class Twin:
    """A file of the source, and the same bytes in memory."""

    def __init__(self, path, sample, trailing=0):
        """`trailing` bytes of the file follow the array."""
        self.path = path
        self.name = sample.name
        self.memory = bytearray(read(path))
        assert len(self.memory) == len(sample.blob)
        array = sample.array
        start = sample.offset - trailing if array.nbytes else 0
        self.array = np.ndarray(array.shape, array.dtype, self.memory, start, array.strides)

    @property
    def chain(self):
        return Chain(self.name, self.array)

    def assert_on_disk(self, where):
        """Every byte of the file: those that were written, and all the others."""
        assert_same_bytes(read(self.path), bytes(self.memory), f"the file after {where}")


def assign(view, values):
    """`view[...] = values`, to the byte.

    NumPy copies records field by field. Whoever writes a record to a file writes
    its padding too, so those are assigned as what they are there: opaque bytes.
    """
    if dtypes.padding(view.dtype) == 0:
        view[...] = values
    else:
        oracle.items(view)[...] = oracle.items(values)


def some_values(rng, view):
    """Other values for a view, with padding of their own."""
    return np.ndarray(view.shape, view.dtype, bytearray(corpus.value_bytes(rng, view.shape, view.dtype)))


def laid_out(values, order):
    """The same values, and the same padding, in one order of memory."""
    return oracle.items(values).copy(order).view(values.dtype)


def array_of(content, view):
    """The array in the bytes of a .npy file that has this view's shape and dtype.

    np.load would not do: it may read records in parts, which leaves out their padding.
    """
    start = len(content) - view.nbytes
    order = "F" if b"'fortran_order': True" in content[:start] else "C"
    return np.ndarray(view.shape, view.dtype, content, start, order=order)


def with_values(content, values):
    """The same file with other values."""
    content = bytearray(content)
    array = array_of(content, values)
    if values.nbytes:
        oracle.items(array)[...] = oracle.items(values)
    return content
