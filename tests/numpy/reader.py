"""A process of its own that reads slices through a mount and checks each by NumPy.

    python reader.py SERVED ORIGINAL I N

SERVED is an array's directory, ORIGINAL its file; this is reader I of N.
"""

import sys

import numpy as np

ROUNDS = 40


def checked(served, selector, expected):
    """Load one slice both ways there are, and hold it against the original."""
    for mode in (None, "r"):
        got = np.load(f"{served}/{selector}.npy", mmap_mode=mode)
        if got.dtype != expected.dtype or not np.array_equal(got, expected):
            sys.exit(f"{selector} (mmap_mode={mode}) is not what the file has")


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


if __name__ == "__main__":
    read_as(sys.argv[1], np.load(sys.argv[2], mmap_mode="r"), int(sys.argv[3]), int(sys.argv[4]))
