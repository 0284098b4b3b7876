"""Reads the .zarr directories of a mount with other programs, and compares what they read with NumPy.

The command line names readers, each with the command that answers for it (see answer.py). What comes of it is
compared with the table in README.md, column by column, or written there with --write.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests/numpy/support"))

import corpus  # noqa: E402
from mounting import Mount  # noqa: E402

DOCUMENT = HERE / "README.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of the table -->\n"
SECONDS = 300

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
        "parts/4/2/chunks/3,4": lambda a: np.array_split(a, 4)[2],
        "windows/10,5/1": np.s_[5:15],
        "chunks/16,7": np.s_[:],
        "chunks/16,7/1,2": np.s_[16:32, 14:20],
    },
    "iq": {"fields/r": lambda a: a["r"], "rows/3-9/fields/i/chunks/4,2": lambda a: a["i"][3:9]},
}


@dataclass
class Case:
    """A Zarr array of the mount, and what is in it. A group's member is not read by way of its own directory."""

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


def cases(source):
    """Puts arrays on disk, and says what is to be read."""
    for number, row in enumerate(KINDS):
        place = f"kind{number}"
        (source / place).mkdir()
        for name, array in arrays(row, source / place):
            yield Case(row, f"{place}/{name}.zarr", array)
            if array.ndim > 1 and array.size:
                grid = ",".join("23234"[: array.ndim])
                yield Case(row, f"{place}/{name}/chunks/{grid}.zarr", array)
            yield Case(row, f"{place}.zarr/{name}", array, "member")
    for name, dtype, shape in ("table", "<f8", (100, 20)), ("iq", IQ, (12, 5)):
        sample = corpus.sample(name, shape, dtype)
        (source / f"{name}.npy").write_bytes(sample.blob)
        for path, view in VIEWS[name].items():
            view = view(sample.array) if callable(view) else sample.array[view]
            row = "slices, where `::` is in the path" if "::" in path else "views: rows, fields, chunks, `T`, …"
            yield Case(row, f"{name}/{path}.zarr", view)
    for name, shape in ("plane", (300, 280)), ("volume", (3, 270, 301)):
        sample = corpus.sample(name, shape, "<u2")
        (source / f"{name}.npy").write_bytes(sample.blob)
        for level in range(2):
            step = 2**level
            view = sample.array[..., ::step, ::step]
            yield Case("levels of `X.ome.zarr`", f"{name}.ome.zarr/{level}", view, "image")


def compared(answer, array):
    """What came of a case, in a word."""
    if "error" in answer:
        return "✗"
    same_bytes = answer["bytes"] == as_read_here(array).tobytes().hex()
    claimed = dtype_of(answer["dtype"])
    if claimed is not None and claimed.itemsize == 0:
        return "no bytes"
    same_shape = list(array.shape) == answer["shape"]
    if claimed is None or np.can_cast(claimed, array.dtype, "equiv"):
        return "✓" if same_bytes and same_shape else "**wrong**"
    if same_bytes:
        return f"as `{claimed.name if claimed.names is None else 'records'}`"
    if same_shape and claimed.kind in NUMERIC and array.dtype.kind in NUMERIC:
        values = np.frombuffer(bytes.fromhex(answer["bytes"]), claimed).reshape(array.shape)
        if np.array_equal(values, array, equal_nan=True):
            return f"as `{claimed.name}`"
    return "**wrong**"


def as_read_here(array):
    """In C order, and in the byte order of the machine."""
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("=")))


def dtype_of(word):
    """A dtype as a reader names it; nothing, where it is Zarr's name and not NumPy's."""
    try:
        return np.dtype([tuple(field) for field in word] if isinstance(word, list) else word)
    except TypeError:
        return None


def answers(command, paths):
    """A reader's version, and its answer to each path."""
    done = subprocess.run(
        command, input="".join(f"{path}\n" for path in paths), stdout=subprocess.PIPE, text=True, timeout=SECONDS, check=True
    )
    version, *lines = done.stdout.splitlines()
    if len(lines) != len(paths):
        raise RuntimeError(f"{command}: {len(lines)} answers to {len(paths)} paths")
    return version, map(json.loads, lines)


def column(name, command, read, mountpoint, verbose):
    """The head of a reader's column, and its word for each row."""
    read = [case for case in read if accepts(name, case)]
    version, given = answers(command, [f"{mountpoint}/{case.path}" for case in read])
    words = {}
    for case, answer in zip(read, given):
        there = (mountpoint / case.path).is_dir()
        word = compared(answer, case.array) if there else "none"
        seen = words.setdefault(case.row, set())
        if verbose and word not in seen | {"✓", "none"}:
            print(f"{name}: {case.path}, {case.array.dtype} {case.array.shape}: {word} {answer.get('error', '')[:300]}")
        seen.add(word)
    return f"{name} {version}", {row: " / ".join(sorted(each)) for row, each in words.items()}


def accepts(name, case):
    """Whether a reader is one for such a thing at all."""
    if name in ("ome-zarr", "napari-ome-zarr"):
        return case.how == "image"
    return name != "xarray" or case.how == "member"


def table(columns, rows):
    """All columns as Markdown."""
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row in rows:
        lines.append(f"| {row} | " + " | ".join(words.get(row, "–") for words in columns.values()) + " |")
    return "\n".join(lines) + "\n"


def parsed(text):
    """The columns of a table."""
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in text.strip().splitlines())
    return {
        name: {row[0]: row[place] for row in rows if row[place] != "–"} for place, name in enumerate(head) if place
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readers", nargs="+", metavar="NAME=COMMAND")
    parser.add_argument("--write", action="store_true", help="write the table, instead of comparing with it")
    parser.add_argument("-v", "--verbose", action="store_true", help="say what was refused, and how: an example of each row")
    args = parser.parse_args()
    columns = {}
    with tempfile.TemporaryDirectory(prefix="npyfs-readers-") as directory:
        source = Path(directory) / "source"
        source.mkdir()
        read = list(cases(source))
        with Mount(source, Path(directory) / "mount", "--chunk-bytes=64") as mount:
            for reader in args.readers:
                name, command = reader.split("=", 1)
                head, words = column(name, command.split(), read, mount.path, args.verbose)
                columns[head] = words
                print(f"{head}: {len([case for case in read if accepts(name, case)])} arrays read", flush=True)
    before, rest = DOCUMENT.read_text().split(BEGIN)
    known, after = rest.split(END)
    rows = list(dict.fromkeys(case.row for case in read))
    if args.write:
        DOCUMENT.write_text(before + BEGIN + table(columns, rows) + END + after)
        return
    known = parsed(known)
    if any(known.get(head) != words for head, words in columns.items()):
        print(table(columns, rows))
        sys.exit(f"this is not what {DOCUMENT} says")


main()
