"""A process of its own that reads slices through a mount and checks each by NumPy.

    python reader.py SERVED ORIGINAL OF I...

SERVED is an array's directory, ORIGINAL its file; OF readers share the work, and
this process is readers I..., each a thread. A process, because a read that fails
under a map ends the whole of it.
"""

import concurrent.futures
import sys

import numpy as np

ROUNDS = 40


def checked(served, selector, expected):
    """Load one slice both ways there are, and hold it against the original."""
    for mode in (None, "r"):
        got = np.load(f"{served}/{selector}.npy", mmap_mode=mode)
        if got.dtype != expected.dtype or not np.array_equal(got, expected):
            raise AssertionError(f"{selector} (mmap_mode={mode}) is not what the file has")


def read_as(served, original, i, of):
    """Its own part first, then ranges that other readers want as well."""
    checked(served, f"parts/{of}/{i}", np.array_split(original, of)[i])
    rng = np.random.default_rng(i)
    rows, cols = original.shape
    for _ in range(ROUNDS):
        start, stop = sorted(rng.integers(0, rows + 1, 2))
        checked(served, f"rows/{start}-{stop}", original[start:stop])
        start, stop = sorted(rng.integers(0, cols + 1, 2))
        checked(served, f"cols/{start}-{stop}", original[:, start:stop])
        checked(served, f"slice/::-{stop + 1},{start - cols}", original[:: -(stop + 1), start - cols])


def main(served, path, of, *readers):
    original = np.load(path, mmap_mode="r")
    with concurrent.futures.ThreadPoolExecutor(len(readers)) as pool:
        work = [pool.submit(read_as, served, original, int(i), int(of)) for i in readers]
        for done in work:
            done.result()


if __name__ == "__main__":
    main(*sys.argv[1:])
