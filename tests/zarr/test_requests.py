"""What a slice costs: the requests that reach the mount, as its log has them."""

import re

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


def requests(log, kind):
    """The requests of a kind, each as what is said of it."""
    return re.findall(rf"\b{kind} (.*)", log)


def bytes_read(log):
    """All bytes that reads asked for, and the last that a chunk has."""
    return sum(int(size) for size in re.findall(r"\bREAD fh .*, size (\d+)", log))


def test_two_rows_are_one_chunk_and_no_more(logged, tmp_path):
    reader = opened(logged / "x.zarr")
    before = len(logged.log())
    assert np.array_equal(reader[100:102], SAMPLE.array[100:102], equal_nan=True)
    log = logged.log()[before:]
    assert len(requests(log, "OPEN")) == 1
    assert bytes_read(log) <= CHUNK
    names = re.findall(r'LOOKUP name "(.*?)"', log)
    assert names == ["c", "6", "0"], "the way to chunk 6"
    assert not requests(log, "OPENDIR") and not requests(log, "READDIR")


def test_a_neighbour_costs_its_own_chunk_alone(logged):
    reader = opened(logged / "x.zarr")
    reader[100:102]
    before = len(logged.log())
    reader[15:17]
    log = logged.log()[before:]
    assert re.findall(r'LOOKUP name "(.*?)"', log) in (["0", "0", "1", "0"], ["0", "1", "0", "0"])
    assert len(requests(log, "OPEN")) == 2 and bytes_read(log) <= 2 * CHUNK


def test_nothing_is_listed_to_open_an_array(logged):
    before = len(logged.log())
    opened(logged / "x.zarr")
    by_tensorstore(logged / "x.zarr")
    log = logged.log()[before:]
    assert not requests(log, "OPENDIR")
    chunks = re.findall(r'LOOKUP name "(\d+)"', log)
    assert len(chunks) == 50 + 50, "each position on each axis once"
