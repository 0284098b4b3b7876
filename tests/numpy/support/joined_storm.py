"""What processes do that change the files of one array, and how what is read meanwhile is judged.

Every eight bytes say where they belong: the file, how many rows that has, the row and the column; and which
version they are of. So whatever is read can be judged by itself: files must follow one another in order,
each with all of its rows.
"""

import errno
import mmap
import os
import random
import time

import numpy as np

import shards

FILES = 12
EXTRA = 4
COLUMNS = 64
HEADER = 128
PAGE = mmap.PAGESIZE


def content(file, rows, version):
    """Nonzero words: version 8 bits, file 8, rows 8, row 8, column 8 and 1."""
    row, column = np.indices((rows, COLUMNS), "<i8")
    return version % 128 + 1 << 40 | file << 32 | rows << 24 | row << 16 | column << 8 | 1


def path_of(source, file):
    return source / f"part{file}.npy"


def replace(path, array):
    new = path.parent / f".new {path.name}"
    new.write_bytes(shards.blob(array))
    os.replace(new, path)


def cut(path, array):
    """Cuts the file off, and writes it anew."""
    blob = shards.blob(array)
    at = HEADER + 8 * random.randrange((len(blob) - HEADER) // 8)
    with open(path, "r+b", buffering=0) as file:
        file.truncate(at)
        pause()
        file.write(blob)


def save(path, array):
    np.save(path, array)


def remove(path, array):
    path.unlink(missing_ok=True)
    pause()
    replace(path, array)


def pause():
    time.sleep(random.random() * 0.004)


WAYS = [replace, cut, save, remove]


def write(source, file, over):
    """Changes one file in one way after another. Some files come and go, and some change their length."""
    random.seed(file)
    version, path, rows = 0, path_of(source, file), 10
    while not over.is_set():
        version += 1
        if file >= FILES:
            path.unlink(missing_ok=True)
            pause()
            replace(path, content(file, 5, version))
        else:
            way = WAYS[(version + file) % len(WAYS)]
            if way is not cut:
                rows = random.choice([7, 10, 11]) if file % 2 else 10
            way(path, content(file, rows, version))
        # Meanwhile all files are whole.
        time.sleep(random.random() * 0.06)
    replace(path, content(file, rows, version))


def prepare(source):
    source.mkdir()
    for file in range(FILES):
        np.save(path_of(source, file), content(file, 10, 0))


def whole(array):
    return array


VIEWS = {
    "concat.npy": whole,
    "concat/T.raw": lambda a: a.T,
    "concat/slice/::-1.npy": lambda a: a[::-1],
    "concat/rows/15-45.npy": whole,
    "concat/rows/33.npy": lambda a: a[None],
}


def read_all(path):
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        blob = b"".join(iter(lambda: file.read(random.choice([1000, 100_000])), b""))
    if len(blob) < size:
        return None
    return np.frombuffer(blob, "<i8", offset=0 if path.suffix == ".raw" else HEADER)


def verdict(view, words):
    """Whether words are of one array: in a word, or in a sentence about what is wrong."""
    if words is None:
        return "WRONG: it ended too soon, and no error"
    rows = len(words) // COLUMNS
    array = VIEWS[view](words.reshape((COLUMNS, rows) if view == "concat/T.raw" else (-1, COLUMNS)))
    array = array.reshape(-1, COLUMNS)
    missing = array == 0
    if missing.any():
        # Where a file is cut off in that very moment, the rest of a page can show as zeros.
        gathered = view in ("concat/T.raw", "concat/slice/::-1.npy")
        return "zero tail" if gathered else f"WRONG: {missing.sum()} zeros"
    if (array & 255 != 1).any() or ((array >> 8 & 255) != np.arange(COLUMNS)).any():
        return "WRONG: columns"
    places = np.stack([array[:, 0] >> shift & 255 for shift in (32, 24, 16)], 1)
    if ((array >> 16 & 0xFFFFFF) != (array[:, :1] >> 16 & 0xFFFFFF)).any():
        return "WRONG: rows that are mixed"
    # Within a file row follows row; after its last one comes the first of a later file.
    for (file, count, row), (next_file, next_count, next_row) in zip(places, places[1:]):
        follows = (file, count, row + 1) == (next_file, next_count, next_row)
        ends = row == count - 1 and next_row == 0 and next_file > file
        if not (follows or ends):
            return f"WRONG: row {row} of {count} of {file}, then {next_row} of {next_count} of {next_file}"
    if view == "concat.npy" and (places[0, 2] != 0 or places[-1, 2] != places[-1, 1] - 1):
        return "WRONG: an end is missing"
    return "ok"


def read(mount, until, outcomes):
    with open(outcomes, "a", buffering=1) as notes:
        while time.monotonic() < until:
            for view in VIEWS:
                try:
                    outcome = verdict(view, read_all(mount / view))
                except OSError as error:
                    code = errno.errorcode.get(error.errno, str(error))
                    outcome = code if code in ("EIO", "ESTALE", "ENOENT") else f"WRONG: {error}"
                notes.write(f"{view} {outcome}\n")
