"""Reads the arrays of a mount with other programs, and compares what they read with NumPy.

The command line names the table, and readers, each with the command that answers for it (see answer.py). What comes of it is
compared with that table in README.md, column by column, or written there with --write.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests/numpy/support"))

import cases  # noqa: E402
from mounting import Mount  # noqa: E402

DOCUMENT = HERE / "README.md"
TABLES = {"npy": cases.npy_cases, "zarr": cases.zarr_cases}
SECONDS = 300

NUMERIC = "biufc"


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
        values = np.frombuffer(bytes.fromhex(answer["bytes"]), claimed)
        if np.array_equal(values, array.ravel(), equal_nan=True):
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
        there = (mountpoint / case.path).exists()
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
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("readers", nargs="+", metavar="NAME=COMMAND")
    parser.add_argument("--write", action="store_true", help="write the table, instead of comparing with it")
    parser.add_argument("-v", "--verbose", action="store_true", help="say what was refused, and how: an example of each row")
    args = parser.parse_args()
    columns = {}
    with tempfile.TemporaryDirectory(prefix="npyfs-readers-") as directory:
        source = Path(directory) / "source"
        source.mkdir()
        read = list(TABLES[args.table](source))
        with Mount(source, Path(directory) / "mount", "--chunk-bytes=64") as mount:
            for reader in args.readers:
                name, command = reader.split("=", 1)
                head, words = column(name, command.split(), read, mount.path, args.verbose)
                columns[head] = words
                print(f"{head}: {len([case for case in read if accepts(name, case)])} arrays read", flush=True)
    begin, end = f"<!-- table: {args.table} -->\n", f"<!-- end of table: {args.table} -->\n"
    before, rest = DOCUMENT.read_text().split(begin)
    known, after = rest.split(end)
    rows = list(dict.fromkeys(case.row for case in read))
    if args.write:
        DOCUMENT.write_text(before + begin + table(columns, rows) + end + after)
        return
    known = parsed(known)
    if any(known.get(head) != words for head, words in columns.items()):
        print(table(columns, rows))
        sys.exit(f"this is not the table {args.table!r} of {DOCUMENT}")


main()
