"""How the tests read Zarr: by zarr-python and TensorStore; and what zarr-python itself would write."""

import json

import tensorstore
import zarr

from expected import assert_same, comparable


def files(directory):
    """Every file beneath, by relative path."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def opened(directory):
    """The array, by zarr-python."""
    return zarr.open_array(directory, mode="r", zarr_format=3)


def by_tensorstore(directory, **spec):
    kvstore = {"driver": "file", "path": str(directory)}
    store = tensorstore.open({"driver": "zarr3", "kvstore": kvstore, **spec})
    return store.result().read().result()


def assert_read(directory, array):
    """Equal to NumPy, by zarr-python, and by TensorStore where it knows the dtype."""
    assert_same(opened(directory)[...], array, f"zarr-python, {directory}")
    if array.dtype.kind in "biufc":
        assert_same(by_tensorstore(directory), array, f"TensorStore, {directory}")


def assert_chunks(directory, array, reference):
    """The same files as zarr-python writes, to the byte."""
    ours, theirs = files(directory), written_by_zarr(directory, array, reference)
    assert ours.keys() == theirs.keys(), directory
    for name in ours.keys() - {"zarr.json"}:
        assert ours[name] == theirs[name], f"{directory}/{name}"


def written_by_zarr(directory, array, reference):
    """What zarr-python writes of an array to a directory with the same zarr.json."""
    metadata = json.loads((directory / "zarr.json").read_text())
    if array.dtype.kind in "mM":
        # Padding is NaT there, and zeros here: to compare, both are integers.
        metadata |= {"data_type": "int64", "fill_value": 0}
    reference.mkdir()
    (reference / "zarr.json").write_text(json.dumps(metadata))
    with zarr.config.set({"array.write_empty_chunks": True}):
        zarr.open_array(reference, mode="r+", zarr_format=3)[...] = comparable(array)
    return files(reference)
