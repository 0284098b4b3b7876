"""What README shows of the uses of a mount does what it says."""

import os
import re
from pathlib import Path

import numpy as np

from mounting import Mount, program, run

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_uses_run(tmp_path):
    source, mountpoint = tmp_path / "data", tmp_path / "mnt"
    source.mkdir()
    rng = np.random.default_rng(7)
    iq = np.zeros((100, 100), [("r", "<f4"), ("i", "<f4")])
    iq["r"], iq["i"] = rng.random((2, 100, 100))
    big = rng.random((3000, 100))
    np.save(source / "iq.npy", iq)
    np.save(source / "big.npy", big)
    run(program(), "create", source / "output.npy", "--like", source / "big.npy")

    section = README.split("## Three uses\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    analysed = []
    names = {"np": np, "os": os, "n": 16, "i": 3, "analyse": analysed.append}
    with Mount(source, mountpoint, "--writable"):
        for block in blocks:
            exec(block.replace("/mnt/npy", str(mountpoint)), names)

    assert len(blocks) == 4
    assert np.array_equal(names["top_left"], iq[:50, :50])
    assert np.array_equal(names["bottom_right"], iq[50:, 50:])
    assert np.array_equal(names["real"], iq[:50, :50]["r"])
    assert np.array_equal(names["part"], np.array_split(big, 16)[3])
    expected = np.zeros_like(big)
    np.array_split(expected, 16)[3][:] = names["part"]
    assert np.array_equal(np.load(source / "output.npy"), expected)
    assert len(analysed) == 5
    assert all(np.array_equal(window, big[k * 500 : k * 500 + 1000]) for k, window in enumerate(analysed))
