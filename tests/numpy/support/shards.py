"""Directories of arrays that are one array by `concat` and `stack`, and what NumPy makes of them."""

import io
import re

import numpy as np

import corpus
import oracle
from oracle import Chain


def natural(name):
    """A key of the order in which files are joined: digits that stand together are a number."""
    name = name.encode("utf8", "surrogateescape")
    parts = re.findall(rb"[0-9]+|[^0-9]", name)
    # A number stands where its digits do among other bytes.
    return [(ord("0"), int(part)) if part.isdigit() else (ord(part), 0) for part in parts], name


def blob(array, version=None):
    """The file of an array, in the order that it has in memory."""
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version)
    return out.getvalue()


def write(directory, arrays, version=None):
    directory.mkdir(exist_ok=True)
    for name, array in arrays.items():
        (directory / name).write_bytes(blob(array, version))


def in_order(arrays):
    return [arrays[name] for name in sorted(arrays, key=natural)]


def concatenated(arrays):
    """np.concatenate, by items, so that the padding of records is kept too."""
    arrays = in_order(arrays)
    return np.concatenate([oracle.items(a) for a in arrays]).view(arrays[0].dtype)


def stacked(arrays):
    """np.stack, in the memory order of its arrays where that is Fortran's."""
    arrays = in_order(arrays)
    if oracle.fortran_order(arrays[0]):
        turned = np.stack([oracle.items(a).T for a in arrays])
        return turned.transpose(0, *range(turned.ndim - 1, 0, -1)).view(arrays[0].dtype)
    return np.stack([oracle.items(np.ascontiguousarray(a)) if a.ndim else oracle.items(a) for a in arrays]).view(
        arrays[0].dtype
    )


def numbered(rng, count, row, dtype="<f8", order="C", rows=None):
    """Arrays of any numbers of rows, or of so many, under numbers that count up."""
    sizes = [int(n) for n in rng.integers(0, 8, count)] if rows is None else [rows] * count
    return {
        f"part{i}.npy": corpus.sample("", (n, *row), dtype, order, seed=i).array for i, n in enumerate(sizes)
    }


def concat(directory, arrays):
    return Chain(f"{directory}/concat", concatenated(arrays))


def stack(directory, arrays):
    return Chain(f"{directory}/stack", stacked(arrays))
