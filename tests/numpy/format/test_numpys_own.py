"""The arrays with which NumPy tests its own .npy format."""

import io

import numpy as np
import pytest
from numpy.lib.tests import test_format as own

from checks import assert_encodings, assert_file, assert_served
from corpus import Sample


def sample(name, array):
    """What NumPy saves of an array, and the array that its file holds, padding and all."""
    file = io.BytesIO()
    np.save(file, array)
    file.seek(0)
    version = np.lib.format.read_magic(file)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, fortran_order, dtype = read_header[version](file)
    order = "F" if fortran_order else "C"
    blob = file.getvalue()
    return Sample(name, blob, np.ndarray(shape, dtype, blob, file.tell(), order=order), version)


SAMPLES = {
    sample_.name: sample_
    for kind, arrays in {"basic": own.basic_arrays, "record": own.record_arrays}.items()
    for sample_ in [
        sample(f"{kind}{i}", np.asarray(array))
        for i, array in enumerate(arrays)
        if not np.asarray(array).dtype.hasobject
    ]
}


@pytest.fixture(scope="module")
def tree(mounted):
    with mounted(SAMPLES.values()) as tree:
        yield tree


def test_there_are_many_of_them():
    assert len(SAMPLES) > 50


@pytest.mark.parametrize("name", SAMPLES)
def test_an_array_that_numpy_tests_itself_with_is_served(tree, name):
    assert_file(tree / f"{name}.npy", SAMPLES[name].blob)
    whole = tree.chain(name)
    assert_encodings(tree.mount, whole.slice("..."))
    assert_served(tree.mount, whole.transposed())
    if SAMPLES[name].array.ndim:
        assert_served(tree.mount, whole.slice("::-1"))
        assert_served(tree.mount, whole.slice("1:"))
