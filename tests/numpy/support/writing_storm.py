"""Processes that write to one array, each to a view of its own, and those that read it by other paths meanwhile.

As in storm.py every eight bytes say where they belong and of which version they are. Each
writer counts its own versions, so whatever is read can be judged by itself: every word
must be at its place, and of a version that its writer had begun when the read ended, and
none older than the one that was done when the file was opened.
"""

import errno
import functools
import itertools
import random

import numpy as np

import storm
import writers

SHAPE = storm.SHAPE
REST = "x/rows/100-400"

WRITERS = {
    "x/rows/0-100": lambda x: x[:100],
    f"{REST}/cols/0-20": lambda x: x[100:, :20],
    f"{REST}/cols/20-40/fields/a": lambda x: x[100:, 20:40]["a"],
    f"{REST}/cols/20-40/fields/b": lambda x: x[100:, 20:40]["b"],
    f"{REST}/slice/:,40::2": lambda x: x[100:, 40::2],
    f"{REST}/slice/::-1,41::2": lambda x: x[:99:-1, 41::2],
}
"""All of the array, each element once."""

SAVED, STORED, WRITTEN, MAPPED = "np.save", "a map that is closed", "pwrite", "a map that stays open"


LEAST_CHANGES = 4
"""However slow the machine is, everything is written this often, and every reader reads every view."""


def owners():
    """The writer of each word."""
    owner = np.full(SHAPE, -1, "<i8").repeat(2).view(storm.RECORD).reshape(SHAPE)
    for number, select in enumerate(WRITERS.values()):
        view = select(owner)
        for part in [view] if view.dtype.names is None else [view["a"], view["b"]]:
            assert (part == -1).all()
            part[...] = number
    assert (storm.words(owner) >= 0).all()
    return owner


@functools.cache
def selected(view):
    """Of a view its shape, its dtype, the places and the writers of its words."""
    select = storm.VIEWS[view]
    return *storm.selected(view), storm.words(select(owners()))


def content(writer, version):
    """What a writer's view holds of a version."""
    places = WRITERS[writer](storm.places())
    return (storm.words(places) | version & 255).view(places.dtype).reshape(places.shape)


@functools.cache
def versions(directory):
    """For each writer its newest version that was begun, and the newest that is done."""
    return np.memmap(directory / "versions", "<i8", "r+", shape=(len(WRITERS), 2))


def prepare(directory):
    (directory / "source").mkdir()
    (directory / "versions").write_bytes(bytes(16 * len(WRITERS)))
    np.save(directory / "source/x.npy", storm.places())


@functools.cache
def memory(path):
    return np.load(f"{path}.npy", mmap_mode="r+")


def store(view, value):
    view[...] = value
    view.flush()


WAYS = {
    SAVED: lambda view, value: writers.write(view, value, ".npy", "np.save"),
    STORED: lambda view, value: writers.write(view, value, ".npy", "np.load r+"),
    WRITTEN: lambda view, value: IN_WORDS(f"{view}.raw", value, None),
    MAPPED: lambda view, value: store(memory(view), value),
}
IN_WORDS = writers.raw_in_any_order(8)


def change(directory, mount, writer, way):
    version = versions(directory)[list(WRITERS).index(writer)]
    version[storm.BEGUN] += 1
    WAYS[way](mount / writer, content(writer, version[storm.BEGUN]))
    version[storm.DONE] = version[storm.BEGUN]


def write(directory, mount, writer, over):
    # Never both: the map that stays open is of the `.npy`, and sees what is written by the path of the
    # `.raw` a moment later. A store in that moment would take it back.
    ways = [SAVED, STORED, MAPPED] if random.random() < 0.5 else [SAVED, WRITTEN, STORED]
    for done in itertools.count():
        if over.is_set() and done >= LEAST_CHANGES:
            return
        change(directory, mount, writer, random.choice(ways))
        storm.pause()


def judged(directory, mount, way, view):
    """One read: "ok", or a sentence about what is wrong with it."""
    oldest = versions(directory)[:, storm.DONE].copy()
    try:
        got = storm.WAYS[way](mount / view)
    except OSError as error:
        return f"WRONG: {errno.errorcode.get(error.errno)} {error}"
    except (ValueError, EOFError) as error:
        return f"WRONG: {error}"
    return verdict(got, view, oldest, versions(directory)[:, storm.BEGUN].copy())


def verdict(got, view, oldest, newest):
    shape, dtype, places, owner = selected(view)
    if (got.shape, got.dtype) != (shape, dtype):
        return f"WRONG: {got.dtype}, {got.shape}"
    got = storm.words(got)
    version = got ^ places
    odd = (version < 0) | (version > 255)
    odd |= (version - oldest[owner] & 255) > (newest - oldest)[owner]
    if not odd.any():
        return "ok"
    at = int(np.argmax(odd))
    writer = owner[at]
    return (
        f"WRONG: {odd.sum()} of {got.size} words, the first at {at}: {got[at]:#x}, where {places[at]:#x} is expected,"
        f" of versions {oldest[writer]} to {newest[writer]} of writer {list(WRITERS)[writer]}"
    )


def read(directory, mount, way, over, outcomes):
    views = random.sample(list(storm.VIEWS), len(storm.VIEWS))
    with open(outcomes, "a") as notes:
        for done in itertools.count():
            if over.is_set() and done >= len(views):
                return
            view = views[done % len(views)]
            notes.write(f"{view} {judged(directory, mount, way, view)}\n")
