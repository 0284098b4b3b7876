"""Sixteen processes that write to the same arrays at once, each to a view of its own.

Their views lie between one another, in items of 3 and 17 bytes, so that no two of
them end where a word, a cache line or a page does.
"""

import functools
import multiprocessing
import random
import threading
import traceback

import numpy as np

import writers

COUNT = 16
PATIENCE = 60

SMALL, LARGE = np.dtype("S3"), np.dtype("V17")
SMALL_RECORD = np.dtype([("a", "u1"), ("b", "<u2")])
LARGE_RECORD = np.dtype([("a", "<f8"), ("b", "u1"), ("c", ">i8")])
MANY_FIELDS = np.dtype([(f"f{i}", [SMALL, LARGE, SMALL_RECORD, LARGE_RECORD][i % 4]) for i in range(COUNT)])

# Name: dtype, shape, and writer i's view by path and in NumPy.
ROWS = ("slice/{i}::16", lambda a, i: a[i::16])
COLUMNS = ("slice/:,{i}::16", lambda a, i: a[:, i::16])
BACKWARDS = ("slice/{last}::-16,::-1", lambda a, i: a[len(a) - 1 - i :: -16, ::-1])
COLUMN = ("cols/{i}", lambda a, i: a[:, i])
FIELD = ("fields/f{i}", lambda a, i: a[f"f{i}"])
PART = ("parts/16/{i}", lambda a, i: np.array_split(a, COUNT)[i])
ARRAYS = {
    "small rows": (SMALL, (48, 7), ROWS),
    "large rows": (LARGE, (48, 7), ROWS),
    "small columns": (SMALL, (61, 37), COLUMNS),
    "large columns": (LARGE, (31, 37), COLUMNS),
    "column each": (SMALL_RECORD, (83, COUNT), COLUMN),
    "record rows": (LARGE_RECORD, (48, 5), ROWS),
    "backwards": (LARGE_RECORD, (48, 5), BACKWARDS),
    "fields": (MANY_FIELDS, (41,), FIELD),
    "parts": (SMALL, (1003,), PART),
}


def view_of(name, writer):
    """The path of a writer's view in the mount, with no extension, and the view in NumPy."""
    _, shape, (path, select) = ARRAYS[name]
    path = path.format(i=writer, last=shape[0] - 1 - writer)
    return f"{name}/{path}", lambda array: select(array, writer)


@functools.cache
def shape_of(name, writer):
    dtype, shape, _ = ARRAYS[name]
    view = view_of(name, writer)[1](np.zeros(shape, dtype))
    return view.shape, view.dtype


def values(round, name, writer):
    """What a writer writes to its view: random bytes, which anybody can make again."""
    shape, dtype = shape_of(name, writer)
    random_bytes = random.Random(f"{round} {name} {writer}").randbytes(int(np.prod(shape)) * dtype.itemsize)
    return np.frombuffer(random_bytes, dtype).reshape(shape)


def beginning(name):
    """What is there before anybody writes: no zeros."""
    dtype, shape, _ = ARRAYS[name]
    return np.frombuffer(random.Random(name).randbytes(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)


WAYS = [
    (".npy", "np.save"),
    (".npy", "np.load r+"),
    (".npy", "np.load r+, not flushed"),
    (".raw", "in any order"),
]


class Crew:
    """The writers, as processes that stay: `with Crew(mount) as crew: crew.write(round)`."""

    def __init__(self, mount):
        context = multiprocessing.get_context("fork")
        self.barrier = context.Barrier(COUNT + 1)
        self.round = context.Value("q", -1)
        self.complaints = context.SimpleQueue()
        self.processes = [
            context.Process(target=self._work, args=(mount, writer), daemon=True) for writer in range(COUNT)
        ]

    def __enter__(self):
        for process in self.processes:
            process.start()
        return self

    def __exit__(self, *_):
        self.round.value = -1
        try:
            self.barrier.wait(PATIENCE)
        except threading.BrokenBarrierError:
            pass
        for process in self.processes:
            process.join(5)
            if process.is_alive():
                process.kill()

    def write(self, round):
        """Lets all of them write to all arrays, and returns when they have."""
        self.round.value = round
        try:
            self.barrier.wait(PATIENCE)
            self.barrier.wait(PATIENCE)
        except threading.BrokenBarrierError:
            said = "nothing" if self.complaints.empty() else self.complaints.get()
            raise AssertionError(f"a writer failed, and said: {said}") from None

    def _work(self, mount, writer):
        try:
            while True:
                self.barrier.wait(PATIENCE)
                round = self.round.value
                if round < 0:
                    return
                for turn, name in enumerate(ARRAYS):
                    way = WAYS[(round + writer + turn) % len(WAYS)]
                    writers.write(mount / view_of(name, writer)[0], values(round, name, writer), *way)
                self.barrier.wait(PATIENCE)
        except threading.BrokenBarrierError:
            pass
        except BaseException:
            self.complaints.put(traceback.format_exc())
            self.barrier.abort()
