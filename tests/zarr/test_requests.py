"""What a slice costs: the requests that reach the mount, as its log has them, and the bytes, as its statistics do."""

import json
import re
import time

import numpy as np
import pytest

import corpus
from mounting import Mount
from readers import by_tensorstore, opened

PAGE = 4096
# Fifty chunks of 16 pages.
SAMPLE = corpus.sample("x", (50 * 16, PAGE // 8), "<f8")
CHUNK = 16 * PAGE


@pytest.fixture
def logged(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source/x.npy").write_bytes(SAMPLE.blob)
    options = (f"--chunk-bytes={CHUNK}", "--ttl=60", "-d")
    with Mount(tmp_path / "source", tmp_path / "mount", *options) as mount:
        yield mount


class Looked:
    """What comes to a mount from now on that concerns `x.zarr`."""

    def __init__(self, mount):
        self.mount = mount
        self.bytes_before = self._bytes()
        self.before = len(self._log())

    def _bytes(self):
        served = json.loads((self.mount / ".npyfs/stats.json").read_text())["bytes"]
        return sum(served[way] for way in ("given", "read", "gathered", "staged"))

    def _log(self):
        """The log once nothing is added to it. A line is written when its request has been answered already."""
        log = None
        while log != (log := self.mount.log()):
            time.sleep(0.2)
        return log

    def bytes(self):
        """How many bytes of arrays were served."""
        return self._bytes() - self.bytes_before

    def paths(self, kind):
        """The paths of requests of a kind, sorted."""
        return sorted(re.findall(rf"\] {kind} x\.zarr/?(\S*): ", self._log()[self.before :]))


def test_two_rows_are_one_chunk_and_no_more(logged):
    reader = opened(logged / "x.zarr")
    looked = Looked(logged)
    assert np.array_equal(reader[100:102], SAMPLE.array[100:102], equal_nan=True)
    assert looked.paths("open") == ["c/6/0"]
    assert looked.bytes() <= CHUNK
    assert looked.paths("lookup") == ["c", "c/6", "c/6/0"]
    assert not looked.paths("opendir") and not looked.paths("readdir")


def test_a_neighbour_costs_its_own_chunk_alone(logged):
    reader = opened(logged / "x.zarr")
    reader[100:102]
    looked = Looked(logged)
    reader[15:17]
    assert looked.paths("open") == ["c/0/0", "c/1/0"]
    assert looked.bytes() <= 2 * CHUNK
    assert looked.paths("lookup") == ["c/0", "c/0/0", "c/1", "c/1/0"]


def test_nothing_is_listed_to_open_an_array(logged):
    looked = Looked(logged)
    opened(logged / "x.zarr")
    by_tensorstore(logged / "x.zarr")
    assert not looked.paths("opendir")
    chunks = re.findall(r"^c/\d+(?:/\d+)?$", "\n".join(looked.paths("lookup")), re.MULTILINE)
    assert len(chunks) == 50 + 50, "each position on each axis once"
