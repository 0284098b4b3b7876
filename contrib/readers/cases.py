"""What the readers read: arrays of every kind on disk, and where a mount has them."""

from dataclasses import dataclass

import corpus
import numpy as np

SHAPES = [(5, 4), (7,), (3, 4, 5)]
NUMBERS = "i2 i4 i8 u1 u2 u4 u8 f4 f8".split()
NUMERIC = "biufc"
IQ = [("r", "<f4"), ("i", "<f4")]

# What is read: the kind as the table has it, then dtypes, and shapes.
KINDS = {
    "integers, `f4`, `f8`": (NUMBERS, SHAPES),
    "`i1`": (["i1"], SHAPES),
    "the same, big-endian": ([f">{code}" for code in NUMBERS if code != "u1"], SHAPES),
    "`bool`": (["?"], SHAPES),
    "`f2`": (["<f2", ">f2"], SHAPES),
    "complex": (["<c8", "<c16", ">c16"], SHAPES),
    "0-d": (["<f8", "u1"], [()]),
    "no elements": (["<f8", "u1"], [(0,), (3, 0), (0, 4, 2)]),
    "dates and spans of time": (["<M8[s]", "<M8[ns]", ">M8[ms]", "<m8[us]"], SHAPES),
    "`U`": (["<U3", ">U2"], SHAPES),
    "`S`": (["S5"], SHAPES),
    "`V`": (["V4", "V7"], SHAPES),
    "records of numbers": ([IQ, [("a", "u1"), ("b", "<i8"), ("c", "<c8")]], SHAPES),
    "records of dates and text": ([[("t", "<M8[s]"), ("s", "S3"), ("u", "<U2")]], SHAPES),
    "records of records": ([[("p", [("x", "<f8"), ("y", "<i2")]), ("n", "<i4")]], SHAPES),
    "records, big-endian": ([[("r", ">f4"), ("i", ">f4")]], SHAPES),
    "records with sub-arrays": ([[("m", "<f4", (2, 3)), ("n", "<i2")]], SHAPES),
    "`f16`, `c32`": (["<f16", "<c32"], SHAPES),
}

# Of these arrays, views by the path of each.
VIEWS = {
    "table": {
        "rows/5-25": np.s_[5:25],
        "rows/7": np.s_[7],
        "cols/3": np.s_[:, 3],
        "slice/::-1,2:9:3": np.s_[::-1, 2:9:3],
        "slice/0:90:7,-1:2:-3": np.s_[0:90:7, -1:2:-3],
        "slice/...,None": np.s_[..., None],
        "rows/5-25/T": lambda a: a[5:25].T,
        "windows/10,5/1": np.s_[5:15],
        "chunks/16,7/1,2": np.s_[16:32, 14:20],
    },
    "iq": {"fields/r": lambda a: a["r"], "rows/3-9/fields/i": lambda a: a["i"][3:9]},
}

# Of the same, in chunks of a shape, which only Zarr has.
GRIDS = {
    "table": {"parts/4/2/chunks/3,4": lambda a: np.array_split(a, 4)[2], "chunks/16,7": np.s_[:]},
    "iq": {"rows/3-9/fields/i/chunks/4,2": lambda a: a["i"][3:9]},
}


@dataclass
class Case:
    """An array of the mount, and what is in it. A member of a Zarr group is not read by way of its own directory."""

    row: str
    path: str
    array: np.ndarray
    how: str = "array"


def arrays(row, directory):
    """The arrays of a row, each beside the path that has it as a Zarr array in small chunks."""
    codes, shapes = KINDS[row]
    for number, dtype in enumerate(map(np.dtype, codes)):
        for shape in shapes:
            for order in "CF"[: max(1, len(shape))]:
                name = f"{number}-{'x'.join(map(str, shape))}-{order}"
                sample = corpus.sample(name, shape, dtype, order)
                (directory / f"{name}.npy").write_bytes(sample.blob)
                yield name, sample.array


def zarr_cases(source):
    """Puts arrays on disk, and says what is to be read of their Zarr directories."""
    for number, row in enumerate(KINDS):
        place = f"kind{number}"
        (source / place).mkdir()
        for name, array in arrays(row, source / place):
            yield Case(row, f"{place}/{name}.zarr", array)
            if array.ndim > 1 and array.size:
                grid = ",".join("23234"[: array.ndim])
                yield Case(row, f"{place}/{name}/chunks/{grid}.zarr", array)
            yield Case(row, f"{place}.zarr/{name}", array, "member")
    for path, view in views(source, VIEWS, GRIDS):
        row = "slices, where `::` is in the path" if "::" in path else "views: rows, fields, chunks, `T`, …"
        yield Case(row, f"{path}.zarr", view)
    for name, shape in ("plane", (300, 280)), ("volume", (3, 270, 301)):
        sample = corpus.sample(name, shape, "<u2")
        (source / f"{name}.npy").write_bytes(sample.blob)
        for level in range(2):
            step = 2**level
            view = sample.array[..., ::step, ::step]
            yield Case("levels of `X.ome.zarr`", f"{name}.ome.zarr/{level}", view, "image")


def views(source, *tables):
    """Puts two arrays on disk, and gives the path of each view and what it is."""
    for name, dtype, shape in ("table", "<f8", (100, 20)), ("iq", IQ, (12, 5)):
        sample = corpus.sample(name, shape, dtype)
        (source / f"{name}.npy").write_bytes(sample.blob)
        for path, view in (item for table in tables for item in table[name].items()):
            yield f"{name}/{path}", view(sample.array) if callable(view) else sample.array[view]


def npy_cases(source):
    """Puts arrays on disk, and says what is to be read of their slices."""
    for number, row in enumerate(KINDS):
        place = f"kind{number}"
        (source / place).mkdir()
        for name, array in arrays(row, source / place):
            # All of it, but not as the file that is on disk; and in the other order.
            yield Case(row, f"{place}/{name}/slice/....npy", array)
            yield Case(row, f"{place}/{name}/T.npy", array.T)
    for path, view in views(source, VIEWS):
        yield Case("views: rows, fields, chunks, `T`, …", f"{path}.npy", view)
