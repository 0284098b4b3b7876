"""What processes do that change arrays, and what those do that read them through a mount meanwhile.

Every eight bytes of a file say what they are: the place where they belong, the file,
and the version of it, in that order, and none of them are zeros. So whatever is read
can be judged by itself: it must be at its place in its file, and of a version that the
file had between the open and the end of the read.
"""

import errno
import faulthandler
import functools
import io
import itertools
import mmap
import os
import random
import signal
import time
from pathlib import Path

import numpy as np

import oracle
import zips

RECORD = np.dtype([("a", "<i8"), ("b", "<i8")])
SHAPE = (400, 64)
HEADER = 128
PAGE = mmap.PAGESIZE

VIEWS = {
    "x.npy": lambda x: x,
    "x/rows/10-390.npy": lambda x: x[10:390],
    "x/rows/7.npy": lambda x: x[7],
    "x/cols/3-9.npy": lambda x: x[:, 3:9],
    "x/slice/::-1,::2.npy": lambda x: x[::-1, ::2],
    "x/slice/5:300:7,::-1.npy": lambda x: x[5:300:7, ::-1],
    "x/T.npy": lambda x: x.T,
    "x/fields/b.npy": lambda x: x["b"],
    "x/cols/50-60/fields/a.npy": lambda x: x[:, 50:60]["a"],
}
WHOLE = "x.npy"


@functools.cache
def places():
    """What a file holds, without its number and its version."""
    return (np.arange(1, 2 * np.prod(SHAPE) + 1) << 16).view(RECORD).reshape(SHAPE)


def content(number, version):
    """One byte is the version's, so that there is no store to a half of it."""
    return (words(places()) | number << 8 | version & 255).view(RECORD).reshape(SHAPE)


def words(array):
    return np.frombuffer(array.tobytes(), "<i8")


@functools.cache
def selected(view):
    """The places of a view: its shape, its dtype, and the words."""
    selection = VIEWS[view](places())
    return selection.shape, selection.dtype, words(selection)


# The ways to change a file.


def cut(path, array):
    """Cuts it off between two words, lets that be seen, and writes the rest anew, then the beginning.

    Every other time in its last page: a request that ends there is what could show its zeros.
    """
    blob = bytes_of(path, array)
    last_page = len(blob) // PAGE * PAGE
    first = first_byte(path) % 8
    at = first + 8 * (random.randrange(random.choice([0, last_page]), len(blob) - 8) // 8)
    with open(path, "r+b", buffering=0) as file:
        file.truncate(at)
        pause()
        file.seek(at)
        file.write(blob[at:])
        file.seek(0)
        file.write(blob[:at])


def save(path, array):
    if is_archive(path):
        np.savez(path, x=array)
    else:
        np.save(path, array)


def replace(path, array):
    # Beside the source, on the same disk.
    new = path.parents[2] / f"new {path.parent.name} {path.name}"
    new.write_bytes(bytes_of(path, array))
    os.replace(new, path)


@functools.cache
def memory(path):
    return np.memmap(path, RECORD, "r+", first_byte(path), SHAPE)


def store(path, array):
    """Through a map that stays open: no timestamp moves where pages are dirty already."""
    memory(path)[...] = array


def store_and_close(path, array):
    np.memmap(path, RECORD, "r+", first_byte(path), SHAPE)[...] = array


def any_way(path, array):
    random.choice([cut, save, replace, store_and_close])(path, array)


FILES = {"cut": cut, "saved": save, "replaced": replace, "stored": store, "mixed": any_way}
FILES |= {f"archive-{name}": change for name, change in FILES.items()}
REPLACED = ["replaced", "archive-replaced"]
NUMBERS = {name: number for number, name in enumerate(FILES, start=1)}


@functools.cache
def versions(directory):
    """For each file its newest version that was begun, and the newest that is done."""
    return np.memmap(directory / "versions", "<i8", "r+", shape=(len(FILES) + 1, 2))


BEGUN, DONE = 0, 1


def source_file(directory, name):
    """The file whose array has the path `name/x` in the mount: itself there, or a member of an archive."""
    source = directory / "source"
    return source / f"{name}.npz" if name.startswith("archive") else source / name / "x.npy"


def is_archive(path):
    return path.suffix == ".npz"


def bytes_of(path, array):
    return zips.saved(x=array) if is_archive(path) else oracle.saved(array)


@functools.cache
def first_byte(path):
    """Where the array's data is, in every version of the file."""
    return bytes_of(path, places()).index(places().tobytes())


def prepare(directory):
    (directory / "versions").write_bytes(bytes(16 * (len(FILES) + 1)))
    for name, number in NUMBERS.items():
        path = source_file(directory, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, content(number, 0))


def change(directory, name):
    """The next version of a file."""
    version = versions(directory)[NUMBERS[name]]
    version[BEGUN] += 1
    FILES[name](source_file(directory, name), content(NUMBERS[name], version[BEGUN]))
    version[DONE] = version[BEGUN]


def pause():
    """Time for a read or two."""
    time.sleep(random.random() * 0.004)


def write(directory, name, over):
    for done in itertools.count():
        if over.is_set() and done >= LEAST_CHANGES:
            return
        change(directory, name)
        pause()


# Reading.


def read_whole(path):
    """All bytes, in requests of odd sizes, none of which may end too soon."""
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        blob = b"".join(iter(lambda: file.read(100_000), b""))
    if len(blob) < size:
        raise EOFError(f"{len(blob)} of {size} bytes, and no error")
    return np.load(io.BytesIO(blob))


class Reads:
    """A file that NumPy reads by `read`: np.fromfile hands out memory that it never filled when a read fails."""

    def __init__(self, file):
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


def load(path):
    """np.load, by which a read that fails is an error."""
    with open(path, "rb") as file:
        return np.load(Reads(file))


MAPPED = "mmap_mode='r'"
WAYS = {
    "np.load": load,
    MAPPED: lambda path: np.array(np.load(path, mmap_mode="r")),
    "read": read_whole,
}

SHORT = ["Failed to read all data", "mmap length is greater", "No data left", "EOF: reading", "and no error"]
"""What is said of a file that is too short."""


def judged(directory, mount, way, name, view):
    """One read: its outcome in a word, or a sentence about what is wrong with it."""
    version = versions(directory)[NUMBERS[name]]
    oldest = int(version[DONE])
    try:
        got = WAYS[way](mount / name / view)
    except OSError as error:
        code = errno.errorcode.get(error.errno, str(error))
        # A name that is replaced always exists.
        known = name not in REPLACED and code in ("EIO", "ESTALE", "ENOENT")
        return code if known else f"WRONG: {error}"
    except (ValueError, EOFError) as error:
        # A slice is never short, nor is a member of an archive.
        known = is_whole_file(name, view) and any(text in str(error) for text in SHORT)
        return "short" if known else f"WRONG: {error}"
    return verdict(got, name, view, oldest, int(version[BEGUN]))


def verdict(got, name, view, oldest, newest):
    *expected, places = selected(view)
    if [got.shape, got.dtype] != expected:
        return f"WRONG: {got.dtype}, {got.shape}"
    got = words(got)
    version = got ^ places ^ NUMBERS[name] << 8
    missing = got == 0
    odd = ~missing & ((version < 0) | (version > 255))
    # As often as it is counted past 255, versions are compared from the oldest on.
    odd |= ~missing & ((version - oldest & 255) > newest - oldest)
    if odd.any():
        at = int(np.argmax(odd))
        return (
            f"WRONG: {odd.sum()} of {got.size} words, the first at {at}: {got[at]:#x}, where"
            f" {places[at]:#x} is expected, of versions {oldest} to {newest} of file {NUMBERS[name]}"
        )
    if missing.any():
        return zeros(places, missing, name, view)
    if name in REPLACED and version.size and (version != version[0]).any():
        return f"WRONG: versions {np.unique(version)} in one file, from {oldest} to {newest}"
    return "ok"


def is_whole_file(name, view):
    return view == WHOLE and not name.startswith("archive")


def zeros(places, missing, name, view):
    """Of a file that was cut off in this very moment, the last page can lose its tail.

    A whole file is the kernel's own affair: a map of it is the file's own memory, in which the zeros
    begin wherever it was cut off and end wherever the writer, who is filling them in, has come to.
    """
    if is_whole_file(name, view):
        return "zeros in a whole file"
    offset = first_byte(source_file(Path(), name)) + ((places >> 16) - 1) * 8
    pages = np.unique(offset[missing] // PAGE)
    held = {page: offset[~missing & (offset // PAGE == page)] for page in pages}
    tails = all(np.all(held[page] < offset[missing & (offset // PAGE == page)].min()) for page in pages)
    if tails and len(pages) == 1:
        return "zero tail"
    return f"WRONG: {missing.sum()} words are zeros, from byte {offset[missing].min()} on, in pages {pages}"


LEAST_READS, LEAST_CHANGES = 2 * len(FILES) * len(VIEWS), 11
"""However slow the machine is, everything is read twice, and changed this often."""


def read(directory, mount, way, until, outcomes):
    """Reads in a child, since a map of a file that is cut off ends the process.

    One line per read goes to the file `outcomes`; `until` is a time.monotonic().
    """
    # The suite's, which would tell of every signal.
    faulthandler.disable()
    count = np.frombuffer(mmap.mmap(-1, 8), "<i8")
    aims = list(itertools.product(FILES, VIEWS))
    random.shuffle(aims)
    with open(outcomes, "ab", buffering=0) as notes:
        while time.monotonic() < until or count[0] < LEAST_READS:
            child = os.fork()
            if child == 0:
                while time.monotonic() < until or count[0] < LEAST_READS:
                    name, view = aims[count[0] % len(aims)]
                    count[0] += 1
                    notes.write(f"{name} {view} ".encode())
                    notes.write(f"{judged(directory, mount, way, name, view)}\n".encode())
                os._exit(0)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if status == -signal.SIGBUS and way == MAPPED:
                notes.write(b"SIGBUS\n")
            elif status != 0:
                notes.write(f"WRONG: the reader ended with {status}\n".encode())
