"""Processes fill one array together, and others analyse it in windows that overlap.

    python fill_and_slide.py

None of them has the whole array, and none maps its file.
"""

import contextlib
import multiprocessing
import os
import subprocess
import tempfile

import numpy as np

NPYFS = os.environ.get("NPYFS", "npyfs")
ROWS, COLUMNS = 200_000, 8
PARTS = 16
SIZE, STEP = 2000, 1000  # windows of 2000 rows, a new one every 1000


@contextlib.contextmanager
def mounted(source, mountpoint, *options):
    subprocess.run([NPYFS, "mount", *options, source, mountpoint], check=True)
    try:
        yield mountpoint
    finally:
        subprocess.run([NPYFS, "umount", mountpoint], check=True)


def signal(rows):
    """What is measured at some rows: a wave in each column, at a frequency of its own."""
    return np.sin(rows[:, None] * np.arange(1, COLUMNS + 1) / 1000)


def fill(job):
    """Process i of n computes its rows and writes them to their place."""
    mountpoint, i = job
    rows = np.array_split(np.arange(ROWS), PARTS)[i]
    np.save(f"{mountpoint}/output/parts/{PARTS}/{i}.npy", signal(rows))


def energy(path):
    return (np.load(path) ** 2).sum(axis=0)


def main():
    with tempfile.TemporaryDirectory() as directory, multiprocessing.Pool(4) as pool:
        source, mountpoint = f"{directory}/data", f"{directory}/mnt"
        os.mkdir(source)
        create = [NPYFS, "create", f"{source}/output.npy", "--shape", f"{ROWS},{COLUMNS}", "--dtype", "f8"]
        subprocess.run(create, check=True)
        with mounted(source, mountpoint, "--writable"):
            pool.map(fill, [(mountpoint, i) for i in range(PARTS)])
            windows = f"{mountpoint}/output/windows/{SIZE},{STEP}"
            # Sorted by name they are in the array's order.
            energies = np.array(pool.map(energy, [f"{windows}/{name}" for name in sorted(os.listdir(windows))]))
        expected = signal(np.arange(ROWS))
        assert np.array_equal(np.load(f"{source}/output.npy"), expected)
        starts = range(0, ROWS - SIZE + 1, STEP)
        assert np.array_equal(energies, [(expected[k : k + SIZE] ** 2).sum(axis=0) for k in starts])
        print(f"{PARTS} parts filled; {len(energies)} windows, the strongest is {energies.sum(axis=1).argmax()}")


if __name__ == "__main__":
    main()
