"""Paths as arrays in memory that are the file itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, BinaryIO

from ._program import Error, StrPath, info

if TYPE_CHECKING:
    from typing import Literal

    import numpy as np

TRIES = 10
"""How often to look again at a file that is another one each time."""


def memmap(path: StrPath, mode: Literal["r", "r+", "c"] = "r") -> np.memmap[Any, Any]:
    """Map what a path means, at its place in the file that holds it.

    Nothing is copied and no mount takes part: elements are read from the source's file where they lie, with
    strides. The values, dtype and shape are those that ``np.load`` has of the same path.

    Parameters
    ----------
    path : str or path-like
        A path in a mount, or the path that it would have in one: ``data/big/slice/::-1,50:100``. The ending
        ``.npy`` may be there or not.
    mode : {'r', 'r+', 'c'}, optional
        As for `numpy.memmap`: to read, to change the file too, or to change a copy in memory.

    Returns
    -------
    numpy.memmap
        The array, which keeps the file that it was made of, also when another takes its name.

    Raises
    ------
    Error
        If there is no such array. The message says why.
    ValueError
        If it does not lie in one file, as ``concat`` and ``stack`` do not, or if a member of an archive is
        to be changed.

    Examples
    --------
    >>> npyfs.memmap("data/iq/slice/0:50,50:100/fields/r")     # doctest: +SKIP
    """
    if mode not in ("r", "r+", "c"):
        raise ValueError(f"mode is {mode!r}, not 'r', 'r+' or 'c'")
    for _ in range(TRIES):
        found = info(path)
        _check(path, found, mode)
        with open(found["file"], "r+b" if mode == "r+" else "rb") as file:
            # Another file may have got the name since. If what is said of it is the same, either will do.
            if info(path) == found:
                return _map(path, found, mode, file)
    raise Error(f"{os.fspath(path)}: the file is another one each time it is looked at")


def _check(path: StrPath, found: dict[str, Any], mode: str) -> None:
    shown = os.fspath(path)
    if "joined" in found:
        raise ValueError(f"{shown}: its elements are in many files, which no strides describe; np.load reads it")
    if "strides" not in found:
        raise ValueError(f"{shown}: this is no array; name one in it")
    name = os.path.basename(shown.rstrip("/"))
    if name.endswith(".zarr") and os.path.basename(found["source"]) != f"{name}.npy":
        raise ValueError(f"{shown}: a .zarr is a directory for readers of Zarr; leave the ending off")
    if "file" not in found:
        raise ValueError(f"{shown}: where its file is on this machine is not known")
    if mode == "r+" and "member" in found:
        raise ValueError(f"{shown}: a member of an archive can only be read, since the archive has its checksum")


def _map(path: StrPath, found: dict[str, Any], mode: Any, file: BinaryIO) -> np.memmap[Any, Any]:
    import numpy as np

    dtype = np.lib.format.descr_to_dtype(_descr(found["descr"]))
    shape, strides, first = tuple(found["shape"]), tuple(found["strides"]), found["offset"]
    # From the lowest byte of an element to the highest. Of no element, any byte will do.
    low, high = 0, 1
    if found["nbytes"] > 0:
        steps = [(length - 1) * stride for length, stride in zip(shape, strides)]
        low = first + sum(step for step in steps if step < 0)
        high = first + sum(step for step in steps if step > 0) + dtype.itemsize
    else:
        first, strides = 0, (0,) * len(shape)
    if os.fstat(file.fileno()).st_size < high:
        # np.memmap would make it longer.
        raise Error(f"{os.fspath(path)}: {found['file']} is shorter than its header says")
    span = np.memmap(file, np.uint8, mode, low, (high - low,))
    array = np.ndarray(shape, dtype, span, first - low, strides).view(np.memmap)
    # So that it knows its file, and flush() reaches it.
    array.__array_finalize__(span)
    return array


def _descr(value: Any) -> Any:
    """A descr as NumPy takes it, from JSON, which has lists for tuples."""
    if isinstance(value, str):
        return value
    if len(value) == 2 and all(isinstance(length, int) for length in value[1]):
        return _descr(value[0]), tuple(value[1])
    return [_field(*field) for field in value]


def _field(name: Any, descr: Any, *shape: Any) -> Any:
    titled = tuple(name) if isinstance(name, list) else name
    return (titled, _descr(descr), *map(tuple, shape))
