"""The ways in which programs write an array to a file: one table, for all tests of writing.

Each is a function of the file's path, the values, which have its shape and dtype, and a
directory for files of its own, which only programs and `copyfile` need.
"""

import io
import os
import random
import shutil
import struct

import numpy as np

import dtypes
import oracle
from checks import load, read
from mounting import run
from twin import laid_out, with_values

CHUNK = 4096 + 7


def file_of(values, order="C", version=None):
    """A .npy file of the values, of one order and format version."""
    out = io.BytesIO()
    np.lib.format.write_array(out, laid_out(values, order), version)
    return out.getvalue()


def padded_otherwise(content, spaces):
    """The same file with some more spaces in its header, wherever the data come to lie."""
    size = 2 if content[6] == 1 else 4
    (length,) = struct.unpack_from("<H" if size == 2 else "<I", content, 8)
    text = content[8 + size : 8 + size + length].rstrip() + b" " * spaces + b"\n"
    head = content[:8] + struct.pack("<H" if size == 2 else "<I", len(text)) + text
    return head + content[8 + size + length :]


def replaced(path, content):
    """As np.save and cp replace a file: truncated, and written from its beginning on."""
    with open(path, "wb", buffering=0) as file:
        file.write(content)


def patched(path, at, piece, access=os.O_RDWR):
    """A piece of a file written over, wherever it lies."""
    file = os.open(path, access)
    try:
        os.pwrite(file, piece, at)
    finally:
        os.close(file)


def _store(memory, values):
    """To every item of a map, its padding included; and all of it to the file."""
    oracle.items(memory)[...] = oracle.items(values)
    memory.flush()


def by_map(path, values, scratch):
    _store(load(path, mmap_mode="r+"), values)


def by_map_unflushed(path, values, scratch):
    """Left to the unmapping."""
    oracle.items(load(path, mmap_mode="r+"))[...] = oracle.items(values)


def by_open_memmap(path, values, scratch):
    _store(np.lib.format.open_memmap(path, "r+", max_header_size=1 << 20), values)


def saved(order):
    def write(path, values, scratch):
        np.save(path, laid_out(values, order))

    return write


def saved_from_a_stride(path, values, scratch):
    """np.save puts such values together piece by piece, for which it has to know them."""
    # Not by np.zeros, which makes another byte order of ">m8".
    strided = np.ndarray((*values.shape, 2), values.dtype, bytearray(2 * values.nbytes))[..., 0]
    strided[...] = values
    np.save(path, values if dtypes.padding(values.dtype) else strided)


def content(make):
    """Opened as most programs do that replace a file, and written in one go."""

    def write(path, values, scratch):
        with open(path, "wb") as file:
            file.write(make(values))

    return write


def _in_pieces(path, content):
    """To a file that is read as well, and is not truncated."""
    with open(path, "r+b", buffering=0) as file:
        for at in range(0, len(content), CHUNK):
            piece = content[at : at + CHUNK]
            assert file.write(piece) == len(piece)


def in_place(path, values, scratch):
    """The file as it is, with other values."""
    _in_pieces(path, with_values(read(path), values))


def raw_in_place(path, values, scratch):
    _in_pieces(path, oracle.raw(values))


def raw_in_any_order(unit):
    """In a few pieces, each of some units of so many bytes; the values decide which, and in what order."""

    def write(path, values, scratch):
        content = oracle.raw(values)
        rng = random.Random(content)
        cuts = sorted(unit * rng.randrange(len(content) // unit + 1) for _ in range(4))
        pieces = list(zip([0, *cuts], [*cuts, len(content)]))
        rng.shuffle(pieces)
        file = os.open(path, rng.choice([os.O_WRONLY, os.O_RDWR]))
        try:
            for start, stop in pieces:
                assert os.pwrite(file, content[start:stop], start) == stop - start
        finally:
            os.close(file)

    return write


def by_tool(make, *command):
    """By a program, whose words may name the `{part}` and the `{file}`."""

    def write(path, values, scratch):
        part = scratch / "part"
        part.write_bytes(make(values))
        run(*(word.format(part=part, file=path) for word in command))

    return write


def by_copyfile(make):
    """sendfile, where the kernel moves the bytes."""

    def write(path, values, scratch):
        (scratch / "part").write_bytes(make(values))
        shutil.copyfile(scratch / "part", path)

    return write


def raw_by_map(path, values, scratch):
    if values.nbytes:
        opaque = f"V{values.dtype.itemsize}"
        _store(np.memmap(path, opaque, "r+", shape=values.shape), values)


def by_tofile(path, values, scratch):
    laid_out(values, "C").tofile(path)


def own(values):
    """What a view's own .npy file consists of."""
    return oracle.npy(values)


def other_order(values):
    return file_of(values, "F")


def spaced(values):
    return padded_otherwise(file_of(values, "F"), 1000)


def unpadded(values):
    return padded_otherwise(file_of(values), 0)


DD = ("dd", "if={part}", "of={file}", "status=none", "conv=notrunc")
CAT = ("sh", "-c", 'cat "$1" > "$2"', "sh", "{part}", "{file}")

NPY = {
    "np.load r+": by_map,
    "np.load r+, not flushed": by_map_unflushed,
    "open_memmap r+": by_open_memmap,
    "np.save": saved("C"),
    "np.save of the other order": saved("F"),
    "np.save of a stride": saved_from_a_stride,
    "format 2.0": content(lambda values: file_of(values, version=(2, 0))),
    "format 3.0": content(lambda values: file_of(values, "F", version=(3, 0))),
    "a longer header": content(spaced),
    "a shorter header": content(unpadded),
    "cp": by_tool(own, "cp", "{part}", "{file}"),
    "cp of the other order": by_tool(other_order, "cp", "{part}", "{file}"),
    "cp --sparse=always": by_tool(file_of, "cp", "--sparse=always", "{part}", "{file}"),
    "dd": by_tool(file_of, *DD),
    "dd bs=1": by_tool(file_of, *DD, "bs=1"),
    "dd bs=1 of the other order": by_tool(spaced, *DD, "bs=1"),
    "cat >": by_tool(other_order, *CAT),
    "rsync --inplace": by_tool(file_of, "rsync", "--inplace", "-I", "{part}", "{file}"),
    "copyfile": by_copyfile(other_order),
    "in place": in_place,
}

RAW = {
    "np.memmap r+": raw_by_map,
    "tofile": by_tofile,
    "cp": by_tool(oracle.raw, "cp", "{part}", "{file}"),
    "dd bs=7": by_tool(oracle.raw, *DD, "bs=7"),
    "cat >": by_tool(oracle.raw, *CAT),
    "copyfile": by_copyfile(oracle.raw),
    "in place": raw_in_place,
    "in any order": raw_in_any_order(1),
}

WAYS = {".npy": NPY, ".raw": RAW}


TOOLS = ("cp", "dd", "cat", "rsync")
"""How the names of those ways begin that start a program, and so take their time."""

QUICK = {
    ending: {name: write for name, write in ways.items() if not name.startswith(TOOLS)}
    for ending, ways in WAYS.items()
}


def write(view, values, ending, way):
    """Writes the values of a view, whose path is given without an ending."""
    WAYS[ending][way](f"{view}{ending}", values, None)
