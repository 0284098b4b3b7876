"""Writing: processes that fill parts of one array, by path and through a memmap of their own."""

import multiprocessing
import os

import numpy as np

import stage
from rounds import alternate
from stage import COLUMNS

PROCESSES = 4


def filling(fill, where, part):
    """Processes that each fill their part, ready to begin: the action lets them, and waits for the last."""
    context = multiprocessing.get_context("fork")
    ready, go = context.Semaphore(0), context.Event()

    def work(number):
        # Values of its own: pages that a fork shares would be copied before they can be written from.
        values = part.copy()
        ready.release()
        go.wait()
        fill(number, where, values)

    processes = [context.Process(target=work, args=(number,)) for number in range(PROCESSES)]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()

    def action():
        go.set()
        for process in processes:
            process.join()
        assert not any(process.exitcode for process in processes)

    return action


def save(number, mount, part):
    np.save(mount / f"out/parts/{PROCESSES}/{number}.npy", part)


def store(number, mount, part):
    np.load(mount / f"out/parts/{PROCESSES}/{number}.npy", mmap_mode="r+")[...] = part


def store_natively(number, path, part):
    out = np.load(path, mmap_mode="r+")
    np.array_split(out, PROCESSES)[number][...] = part


def write_natively(number, path, part):
    with open(path, "r+b", buffering=0) as file:
        file.seek(128 + number * part.nbytes)
        part.tofile(file)


def writing(data, mounts):
    """What is written is on its way to the disk between the rounds, not while they are timed."""
    directory = data.directory / "written"
    directory.mkdir()
    rows = data.large * 2 // PROCESSES * PROCESSES
    size = rows * COLUMNS * 8
    out, records = directory / "out.npy", directory / "records.npy"
    stage.run(stage.NPYFS, "create", out, "--shape", f"{rows},{COLUMNS}", "--dtype", "f8")
    stage.run(stage.NPYFS, "create", records, "--shape", str(8 * data.rows), "--dtype", str(stage.RECORD.descr))
    part = np.random.default_rng(0).random((rows // PROCESSES, COLUMNS))
    columns, field = part[:, :8].repeat(PROCESSES, axis=0), np.arange(8.0 * data.rows)

    def by_hand(path, select, values):
        def action():
            select(np.load(path, mmap_mode="r+"))[...] = values

        return action

    after = lambda *_: os.sync()  # noqa: E731
    rounds = min(data.rounds, 5)
    with stage.npyfs(directory, data.directory / "writable", "--writable") as mount:
        sides = {
            "npyfs": lambda n: filling(save, mount, part),
            "memmap of the file": lambda n: filling(store_natively, out, part),
            "tofile into the file": lambda n: filling(write_natively, out, part),
        }
        name = f"{size / 2**30:.2g} GiB filled by {PROCESSES} processes"
        yield alternate(f"{name}, np.save to parts", sides, rounds, "≥ 0.5", after, size)
        sides["npyfs"] = lambda n: filling(store, mount, part)
        del sides["tofile into the file"]
        yield alternate(f"{name}, memmaps of parts", sides, rounds, "", after, size)
        sides = {
            "npyfs": lambda n: lambda: np.save(mount / "out/cols/8-16.npy", columns),
            "memmap of the file": lambda n: by_hand(out, lambda a: a[:, 8:16], columns),
        }
        yield alternate(f"8 of {COLUMNS} columns filled, {columns.nbytes / 2**20:.0f} MiB", sides, rounds, "", after, size)
        sides = {
            "npyfs": lambda n: lambda: np.save(mount / "records/fields/c.npy", field),
            "memmap of the file": lambda n: by_hand(records, lambda a: a["c"], field),
        }
        yield alternate(f"field of 8 of 16 bytes filled, {field.nbytes / 2**20:.0f} MiB", sides, rounds, "", after, size)
