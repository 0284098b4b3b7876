"""Many processes that open, read and close small slices as fast as they can."""

import multiprocessing
import os
import random
import time

import numpy as np

from rounds import forget, warm_memory
from stage import ROW, SMALL

SIZE = SMALL * ROW


def name_of(directory, start):
    return f"{directory}/{start}-{start + SMALL}.npy"


def by_path(directory, start):
    file = os.open(name_of(directory, start), os.O_RDONLY)
    data = os.read(file, 1 << 16)
    os.close(file)
    assert len(data) >= SIZE


def natively(path, start):
    file = os.open(path, os.O_RDONLY)
    data = os.pread(file, SIZE, 128 + start * ROW)
    os.close(file)
    assert len(data) == SIZE


def _work(read, where, rows, reader, seed, ready, go, until, out):
    """Reads slices that are this reader's alone, of `reader[1]` readers."""
    number, count = reader
    random_numbers = random.Random(seed)
    taken, starts = [], []
    ready.release()
    go.wait()
    end = time.monotonic() + until
    while (now := time.monotonic()) < end:
        starts.append(random_numbers.randrange(number, rows - SMALL, count))
        begin = time.perf_counter()
        read(where, starts[-1])
        taken.append(time.perf_counter() - begin)
    out.put(taken)
    if read is by_path:
        for start in starts:
            forget(name_of(where, start))


def together(read, where, rows, count, until):
    """The times that `count` readers took for each slice, and how many slices a second they read."""
    context = multiprocessing.get_context("fork")
    ready, go, out = context.Semaphore(0), context.Event(), context.Queue()
    readers = [
        context.Process(target=_work, args=(read, where, rows, (number, count), seed, ready, go, until, out))
        for number, seed in enumerate(np.random.default_rng().integers(1 << 62, size=count).tolist())
    ]
    for reader in readers:
        reader.start()
    for _ in readers:
        ready.acquire()
    warm_memory(1 << 30)
    go.set()
    taken = sorted(time for _ in readers for time in out.get())
    for reader in readers:
        reader.join()
    return taken, len(taken) / until
