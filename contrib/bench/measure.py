#!/usr/bin/env python3
"""Slices by path beside a memmap by hand, and what the daemon takes: one table, both sides in turn.

    NPYFS=target/release/npyfs target/venv/bin/python contrib/bench/measure.py [--tiny]

Every time is the median over alternated rounds; ratios are of the two medians, so above 1 the path
is faster. The array lies in the page cache. `--tiny` only checks that everything runs.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

NPYFS = os.path.abspath(os.environ.get("NPYFS", "target/release/npyfs"))


class Mount:
    def __init__(self, source, mountpoint):
        self.source, self.path = Path(source), Path(mountpoint)

    def __enter__(self):
        start = time.perf_counter()
        subprocess.run([NPYFS, "mount", self.source, self.path], check=True, timeout=60)
        self.seconds = time.perf_counter() - start
        self.pid = next(pid for pid in daemons() if str(self.path) in command_of(pid))
        return self

    def __truediv__(self, name):
        return self.path / name

    def __exit__(self, *_):
        subprocess.run([NPYFS, "umount", self.path], check=True, timeout=60)


def daemons():
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit()]


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def anonymous_kib(pid):
    return int(re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def forget(path):
    """Drops the pages that the kernel keeps of a slice, so that memory does not fill with them."""
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def seconds(action, *arguments):
    start = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - start


def row(name, ours, theirs, detail=""):
    ratio = statistics.median(theirs) / statistics.median(ours)
    spread = sorted(t / o for o, t in zip(ours, theirs))
    low, high = spread[len(spread) // 10], spread[-1 - len(spread) // 10]
    unit = 1e6 if statistics.median(ours) < 0.01 else 1e3
    label = "us" if unit == 1e6 else "ms"
    print(
        f"{name:46} {statistics.median(ours) * unit:9.1f} {label} {statistics.median(theirs) * unit:9.1f} {label}"
        f"   {ratio:5.2f}  ({low:.2f} to {high:.2f})  {detail}"
    )


def small_slices(mount, big, rows, count):
    """40 KB slices never seen before: the path, and a memmap opened for each."""
    ours, theirs = [], []
    for i in range(count):
        a, b = 3 * i, 3 * i + rows
        ours.append(seconds(np.load, mount / f"big/rows/{a}-{b}.npy"))
        theirs.append(seconds(lambda: np.load(big, mmap_mode="r")[a:b].copy()))
    row(f"np.load, {rows * 800 // 1000} KB slice, new name each time", ours, theirs)


def large_slices(mount, big, rows, rounds):
    """Half a gigabyte: first read of a new name, then the same again."""
    first, again, theirs = [], [], []
    for i in range(rounds):
        path = mount / f"big/rows/{i}-{i + rows}.npy"
        first.append(seconds(np.load, path))
        again.append(seconds(np.load, path))
        forget(path)
        theirs.append(seconds(lambda: np.load(big, mmap_mode="r")[i : i + rows].copy()))
    size = f"{rows * 800 / 2**20:.0f} MiB"
    row(f"np.load, {size} of rows, first read", first, theirs)
    row(f"np.load, {size} of rows, second read", again, theirs)


def strided(mount, big, rows, rounds):
    """Columns and a transposed block, beside NumPy's own strided copies."""
    cases = {
        "1 column of 100": ("slice/{}:{},7", lambda a, i, j: a[i:j, 7].copy()),
        "25 columns of 100": ("slice/{}:{},8:33", lambda a, i, j: a[i:j, 8:33].copy()),
        "rows backwards": ("slice/{1}:{0}:-1", lambda a, i, j: a[j:i:-1].copy()),
    }
    for name, (path, expression) in cases.items():
        ours, theirs = [], []
        for i in range(1, rounds + 1):
            file = mount / f"big/{path.format(i, i + rows)}.npy"
            ours.append(seconds(np.load, file))
            theirs.append(
                seconds(lambda: expression(np.load(big, mmap_mode="r"), i, i + rows))
            )
            forget(file)
        row(f"np.load, {name}, {rows} rows", ours, theirs)
    ours, theirs = [], []
    for i in range(rounds):
        file = mount / f"big/rows/{i}-{i + rows}/T.raw"
        ours.append(seconds(np.fromfile, file))
        theirs.append(
            seconds(lambda: np.ascontiguousarray(np.load(big, mmap_mode="r")[i : i + rows].T))
        )
        forget(file)
    row(f"np.fromfile, transposed, {rows} rows", ours, theirs)


def maps_and_memory(mount, count):
    """A thousand slices open at once."""
    names = [f"big/rows/{i}-{i + 50}.npy" for i in range(count)]
    held = [open(mount / name, "rb") for name in names]
    for file in held:
        file.read(4096)
    table = Path(f"/proc/{mount.pid}/maps").read_text()
    maps = sum(line.endswith("/big.npy") for line in table.splitlines())
    print(f"{len(held)} slices open: {maps} map of big.npy, {anonymous_kib(mount.pid)} KiB anonymous memory")
    for file in held:
        file.close()


def many_files(directory, count):
    source = directory / "many"
    source.mkdir()
    np.save(source / "0.npy", np.arange(10))
    blob = (source / "0.npy").read_bytes()
    for i in range(1, count):
        (source / f"{i}.npy").write_bytes(blob)
    times = []
    for _ in range(5):
        with Mount(source, directory / "many-mnt") as mount:
            times.append(mount.seconds)
    print(f"mount of {count} files: {statistics.median(times) * 1e3:.1f} ms (median of {len(times)})")
    with Mount(source, directory / "many-mnt") as mount:
        ours, theirs = [], []
        for _ in range(3):
            ours.append(seconds(os.listdir, mount.path))
            theirs.append(seconds(os.listdir, source))
        row(f"listing {count} files (and as many directories)", ours, theirs, "against the source itself")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="only check that everything runs")
    tiny = parser.parse_args().tiny
    with tempfile.TemporaryDirectory(prefix="npyfs-bench-") as name:
        directory = Path(name)
        (directory / "data").mkdir()
        big = directory / "data" / "big.npy"
        rows = 10_000 if tiny else 1 << 20
        out = np.lib.format.open_memmap(big, "w+", "<f8", (rows, 100))
        for start in range(0, rows, 1 << 14):
            out[start : start + (1 << 14)] = np.random.default_rng(start).random((min(1 << 14, rows - start), 100))
        out.flush()
        del out
        os.sync()  # not while we measure
        print(f"numpy {np.__version__}, Linux {os.uname().release}, {os.cpu_count()} cores")
        print(f"{'':46} {'path':>12} {'by hand':>12}   ratio  (10 % to 90 % of rounds)")
        with Mount(directory / "data", directory / "mnt") as mount:
            small_slices(mount, big, 50, 20 if tiny else 2000)
            large_slices(mount, big, rows // 2 if tiny else 671_089, 2 if tiny else 7)
            strided(mount, big, rows // 2, 2 if tiny else 7)
            maps_and_memory(mount, 50 if tiny else 1000)
        many_files(directory, 100 if tiny else 100_000)


if __name__ == "__main__":
    sys.exit(main())
