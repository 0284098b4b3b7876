"""Uses npyfs as it comes out of a wheel, in a directory with `data` and nothing else of npyfs."""

import subprocess
import sys
from pathlib import Path

import numpy as np

import npyfs

work = Path(sys.argv[1])
data = work / "data"
installed = Path(sys.prefix)
assert installed in Path(npyfs.__file__).parents, npyfs.__file__

a = np.arange(120.0).reshape(12, 10)
np.save(data / "a.npy", a)


def said(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


version = said(installed / "bin/npyfs", "--version")
assert version.startswith("npyfs ") and said(sys.executable, "-m", "npyfs", "--version") == version, version
assert "rows/" in said(sys.executable, "-m", "npyfs", "ls", data / "a").split()
assert npyfs.info(data / "a/T")["shape"] == [10, 12]
assert (npyfs.memmap(data / "a/slice/::-2,3:") == a[::-2, 3:]).all()
with npyfs.mount(data, writable=True) as mnt:
    assert (np.load(mnt / "a/cols/3.npy") == a[:, 3]).all()
    np.save(mnt / "a/rows/0.npy", np.zeros(10))
assert not mnt.exists() and not npyfs.memmap(data / "a/rows/0").any()
(data / "a.npy").unlink()
