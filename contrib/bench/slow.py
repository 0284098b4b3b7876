"""A source that is slow to answer, as on a network: each request for bytes takes 2 ms (slow.rs)."""

import contextlib
from functools import partial

import numpy as np

import stage
from cases import load, mapped
from rounds import alternate

MILLISECONDS = 2


def slices(data):
    """Where npyfs has a slice, and how NumPy gets it from the file."""
    rows = data.slow_rows
    return {
        "rows": (f"big/rows/{rows // 4}-{rows // 2}.npy", lambda at: mapped(at / "big.npy")[rows // 4 : rows // 2]),
        "8 of 100 columns": ("big/cols/8-16.npy", lambda at: mapped(at / "big.npy")[:, 8:16]),
        "25 of 100 columns": ("big/cols/8-33.npy", lambda at: mapped(at / "big.npy")[:, 8:33]),
        "field of 4 of 16 bytes": ("records/fields/a.npy", lambda at: mapped(at / "records.npy")["a"]),
        "every 7th row": ("big/slice/::7.npy", lambda at: mapped(at / "big.npy")[::7]),
        "every 200th row": ("big/slice/::200.npy", lambda at: mapped(at / "big.npy")[::200]),
        "rows backwards": ("big/slice/::-1.npy", lambda at: mapped(at / "big.npy")[::-1]),
    }


def slow_source(data, mounts):
    """Each read finds nothing in memory: the source is mounted anew for it."""
    files = data.directory / "slow-data"
    for name, (path, by_hand) in slices(data).items():
        with contextlib.ExitStack() as stack:

            def anew():
                for file in files.iterdir():  # what is slow is to be the network, and not the disk
                    np.fromfile(file, "u1")
                return stack.enter_context(stage.slow_source(data, MILLISECONDS))

            sides = {
                "npyfs": lambda n: load(anew()[1] / path),
                "memmap, copied": lambda n: partial(lambda far: by_hand(far).copy(), anew()[0]),
            }
            expected = by_hand(files)
            assert np.array_equal(sides["npyfs"](0)(), expected), name
            stack.close()
            size = f"{expected.nbytes / 2**20:.1f} MiB"
            goal = "" if name == "rows" else "≥ 3"
            yield alternate(
                f"slow source ({MILLISECONDS} ms), {name}, {size}", sides, data.rounds, goal, lambda n, side: stack.close(), 3 * expected.nbytes,
            )  # fmt: skip
