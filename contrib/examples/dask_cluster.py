"""A Dask cluster computes on an array that is larger than the memory of any worker.

    python dask_cluster.py [MIB]

Each task reads one part of the array by its path, so no worker ever has more than a few parts.
"""

import contextlib
import os
import subprocess
import sys
import tempfile

import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster

NPYFS = os.environ.get("NPYFS", "npyfs")
MIB = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
COLUMNS = 16
WINDOW = 10

# The array below a mount, in 32 parts along its rows.
PATH = "readings/parts/32"


@contextlib.contextmanager
def mounted(source, mountpoint, *options):
    subprocess.run([NPYFS, "mount", *options, source, mountpoint], check=True)
    try:
        yield mountpoint
    finally:
        subprocess.run([NPYFS, "umount", mountpoint], check=True)


def make(path):
    """Random readings from 0 to 999, written a piece at a time."""
    rows = (MIB << 20) // (4 * COLUMNS)
    array = np.lib.format.open_memmap(path, "w+", "<i4", (rows, COLUMNS))
    rng = np.random.default_rng(1)
    for start in range(0, rows, 1 << 18):
        piece = array[start : start + (1 << 18)]
        piece[:] = rng.integers(0, 1000, piece.shape)
    array.flush()


def statistics(array, histogram, sliding_window_view):
    """The mean of each column, a histogram, and of column 0 the largest sum of 10 readings in a row."""
    windows = sliding_window_view(array[:, 0], WINDOW)
    counts, _ = histogram(array, bins=50, range=(0, 1000))
    return array.mean(axis=0), counts, windows.sum(axis=-1).max()


def main():
    with tempfile.TemporaryDirectory() as directory:
        source, mountpoint = f"{directory}/data", f"{directory}/mnt"
        os.mkdir(source)
        make(f"{source}/readings.npy")
        limit = (MIB << 20) * 3 // 4
        cluster = LocalCluster(
            n_workers=3, threads_per_worker=1, memory_limit=limit, dashboard_address=":0",
            local_directory=directory,
        )  # fmt: skip
        with mounted(source, mountpoint), cluster, Client(cluster) as client:
            array = da.from_npy_stack(f"{mountpoint}/{PATH}")
            lazy = statistics(array, da.histogram, da.lib.stride_tricks.sliding_window_view)
            computed = client.compute(lazy, sync=True)
        plain = np.load(f"{source}/readings.npy", mmap_mode="r")
        expected = statistics(plain, np.histogram, np.lib.stride_tricks.sliding_window_view)
        names = ["means", "histogram", "largest window"]
        for name, ours, numpys in zip(names, computed, expected, strict=True):
            print(f"{name}: {ours}")
            assert np.array_equal(ours, numpys), f"{name}: NumPy has {numpys}"
        print(f"{MIB} MiB by 3 workers with {limit >> 20} MiB each: all are equal to NumPy's")


if __name__ == "__main__":
    main()
