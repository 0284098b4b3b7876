"""Slices of NumPy arrays by path: mount a directory, or map a path without a copy.

The command ``npyfs`` comes with this package; ``python -m npyfs`` runs it too. From Python:

>>> with npyfs.mount("data") as mnt:                    # doctest: +SKIP
...     np.load(mnt / "big/rows/0-50.npy")
>>> npyfs.memmap("data/big/slice/::-1,50:100")          # doctest: +SKIP
>>> npyfs.info("data/big/rows/0-50")["shape"]           # doctest: +SKIP
[50, 100]
"""

from ._mapping import memmap
from ._mounting import mount
from ._program import Error, info

__all__ = ["Error", "info", "memmap", "mount"]
