"""A data loader: two processes read slices at random and send them, eight at a time, to one that trains."""

import multiprocessing
import random
import time

import h5py
import numpy as np
import zarr

import readers
from rounds import Result, warm_memory
from stage import ROW, SMALL

WORKERS, BATCH = 2, 8


def path(directory):
    return lambda: lambda start: np.load(readers.name_of(directory, start))


def cut_file(directory, count):
    """The slices as files of their own; of the start only what picks one of them counts."""
    return lambda: lambda start: np.load(f"{directory}/{start % count}.npy")


def memmap_each_time(path):
    return lambda: lambda start: np.array(np.load(path, mmap_mode="r")[start : start + SMALL])


def memmap_kept(path):
    def opened():
        array = np.load(path, mmap_mode="r")
        return lambda start: np.array(array[start : start + SMALL])

    return opened


def hdf5(path):
    def opened():
        array = h5py.File(path, "r")["big"]
        return lambda start: array[start : start + SMALL]

    return opened


def zarr_store(path):
    def opened():
        array = zarr.open_array(path, mode="r")
        return lambda start: array[start : start + SMALL]

    return opened


def _work(opened, rows, seed, ready, over, batches):
    read, numbers = opened(), random.Random(seed)
    ready.release()
    while not over.is_set():
        batches.put(np.stack([read(numbers.randrange(rows - SMALL)) for _ in range(BATCH)]))


def slices_a_second(opened, rows, seconds):
    context = multiprocessing.get_context("fork")
    ready, over, batches = context.Semaphore(0), context.Event(), context.Queue(2 * WORKERS)
    workers = [
        context.Process(target=_work, args=(opened, rows, random.random(), ready, over, batches), daemon=True)
        for _ in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    for _ in workers:
        ready.acquire()
    batches.get()
    start, count = time.monotonic(), 0
    while (taken := time.monotonic() - start) < seconds:
        count += len(batches.get())
    over.set()
    # A worker does not end before what it has sent is received.
    while any(worker.is_alive() for worker in workers):
        try:
            batches.get(timeout=0.01)
        except multiprocessing.queues.Empty:
            pass
    for worker in workers:
        worker.join()
    return count / taken


def data_loader(data, mounts, say):
    sides = {
        "npyfs": path(mounts["npyfs"] / "big/rows"),
        "native, of a cut file": cut_file(data.directory / "cuts", data.cuts),
        "memmap, copied": memmap_each_time(data.big),
        "memmap, kept open": memmap_kept(data.big),
        "floor": path(mounts["floor"]),
        "floor, giving": path(mounts["floor, giving"]),
        "h5py, file open": hdf5(data.directory / "big.h5"),
        "zarr, array open": zarr_store(data.directory / "big.zarr"),
    }
    times = {name: [] for name in sides}
    for _ in range(data.rounds):
        for name in random.sample(list(sides), len(sides)):
            warm_memory(1 << 26)
            np.fromfile(data.big, "u1")
            times[name].append(1 / slices_a_second(sides[name], data.rows, 0.2 if data.rounds < 5 else 2.0))
    result = Result(f"data loader: {SMALL * ROW // 1000} KB at random, {WORKERS} processes, batches of {BATCH}", times)
    yield result
    say("data loader, slices a second: " + ", ".join(f"{name} {1 / result.median(name):,.0f}" for name in sides))
