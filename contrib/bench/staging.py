"""Large slices that are copied into memory when they are opened, beside npyfs that does not do that."""

import multiprocessing
import time
from functools import partial
from pathlib import Path

import numpy as np

import readers
from cases import dd, load, mapped
from rounds import Result, alternate, forget, warm_memory
from stage import ROW

OURS, PLAIN = "npyfs", "npyfs, nothing staged"


def staged(data, mounts, say):
    """What is read once, in several ways; then again; then by many at a time."""
    largest = min(256 << 20, data.large * ROW)
    half = largest // 2
    at = {OURS: mounts["npyfs"], PLAIN: mounts["npyfs, plain"]}

    def rows(size):
        return lambda n: f"big/rows/{n}-{n + size // ROW}.npy"

    def columns(size):
        return lambda n: f"big/slice/{n}:{n + size // (25 * 8)},8:33.npy"

    def backwards(size):
        return lambda n: f"big/slice/{n + size // ROW}:{n}:-1.npy"

    def case(name, size, way, of=rows, goal="", again=False):
        sides = {side: (lambda n, mount=mount: way(mount / of(size)(n))) for side, mount in at.items()}
        if again:
            sides["np.fromfile(offset, count)"] = lambda n: partial(np.fromfile, data.big, "<f8", size // 8, "", 128 + n * ROW)
        after = None if again else lambda n, side: side == PLAIN and forget(at[side] / of(size)(n))
        before = (lambda n: [np.load(mount / of(size)(n)) for mount in at.values()]) if again else None
        title = f"staged: {size >> 20} MiB{' of columns' * (of is columns)}{' backwards' * (of is backwards)}, {name}"
        return alternate(title, sides, data.rounds, goal, after, 3 * size, before)

    for size in sorted({1 << 20, 4 << 20, min(64 << 20, half), largest}):
        yield case("np.load, first read", size, load, goal="≥ 1.6" * (size >= 64 << 20))
    yield case("np.load, second read", largest, load, again=True)
    for size in sorted({min(16 << 20, half), half}):
        yield case("reads of 64 KiB", size, partial(dd, block="64K"), goal="≥ 1.8")
        yield case("dd bs=1M", size, partial(dd, block="1M"), goal="≥ 1.8")
        yield case("sum of mmap_mode='r'", size, lambda path: lambda: mapped(path).sum(), goal="≥ 2")
        yield case("5 rows of mmap_mode='r'", size, touch)
    yield case("5 rows of mmap_mode='r'", largest, touch)
    for of in columns, backwards:
        yield case("np.load, first read", min(largest, data.rows // 2 * 25 * 8), load, of, "≥ 1.2")
    yield several(data, at, half)
    yield from scan(data, at, say)
    beside_large_loads(data, at, largest, say)


def touch(path):
    """Five rows, far apart."""

    def few():
        array = mapped(path)
        return sum(array[i * len(array) // 5].sum() for i in range(5))

    return few


def several(data, at, size):
    """Four processes, each of which reads three slices."""

    def read(mount, n):
        for turn in range(3):
            start = (n * 12 + turn) * 100 % (data.rows - size // ROW)
            dd(mount / f"big/rows/{start}-{start + size // ROW}.npy", "1M")()

    def together(mount, n):
        processes = [multiprocessing.Process(target=read, args=(mount, 4 * n + i)) for i in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()

    def side(mount):
        return lambda n: lambda: together(mount, n)

    sides = {name: side(mount) for name, mount in at.items()}
    return alternate(f"staged: 4 processes, each 3 × {size >> 20} MiB by dd bs=1M", sides, data.rounds)


def cached():
    """Bytes of the machine's page cache."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["Cached"].split()[0]) << 10


def scan(data, at, say):
    """The whole array by slices of 64 MiB, each once, and the page cache that is taken when it is over."""
    count = min(64 << 20, data.rows * ROW // 4) // ROW
    times, left = {name: [] for name in at}, {name: [] for name in at}
    for turn in range(min(data.rounds, 3)):
        for name in list(at)[:: -1 if turn % 2 else 1]:
            names = [at[name] / f"big/rows/{n + turn}-{n + turn + count}.npy" for n in range(0, data.rows - count - turn, count)]
            np.fromfile(data.big, "u1")
            before, start = cached(), time.perf_counter()
            for path in names:
                np.load(path)
            times[name].append(time.perf_counter() - start)
            time.sleep(7)  # until copies are given up
            left[name].append((cached() - before) >> 20)
            if name == PLAIN:
                for path in names:
                    forget(path)
    yield Result(f"staged: scan of {data.rows * ROW >> 20} MiB by {count * ROW >> 20} MiB", times)
    for name, mib in left.items():
        say(f"page cache after that scan, {name}: {np.median(mib):+,.0f} MiB")


def beside_large_loads(data, at, size, say):
    """Small slices, while somebody else loads large ones."""
    taken = {name: [] for name in at}
    for _ in range(min(data.rounds, 5)):
        for name, mount in at.items():
            warm_memory(3 * size)
            loading = multiprocessing.Process(target=load_until_killed, args=(mount, data.rows, size), daemon=True)
            loading.start()
            small, _ = readers.together(readers.by_path, mount / "big/rows", data.rows, 1, 0.2 if data.rounds < 5 else 2.0)
            loading.kill()
            loading.join()
            taken[name] += small
    for name, times in taken.items():
        p50, p99 = np.percentile(times, (50, 99)) * 1e6
        say(f"40 KB slices while another process loads {size >> 20} MiB slices, {name}: p50 {p50:.0f} us, p99 {p99:.0f} us")


def load_until_killed(mount, rows, size):
    random_numbers = np.random.default_rng()
    while True:
        start = random_numbers.integers(rows - size // ROW)
        path = mount / f"big/rows/{start}-{start + size // ROW}.npy"
        np.load(path)
        forget(path)
