"""Files of one array are replaced, cut off, rewritten, added and removed while everybody reads it."""

import collections
import multiprocessing
import os
import time

import numpy as np
import pytest

import joined_storm
from mounting import Mount, wait_until
from processes import start

SECONDS = float(os.environ.get("NPYFS_STORM_SECONDS", 5))
READERS = 8
ENDED_SECONDS = 60


@pytest.fixture(scope="module")
def after(tmp_path_factory):
    directory = tmp_path_factory.mktemp("storm")
    source = directory / "source"
    joined_storm.prepare(source)
    with Mount(source, directory / "mount") as mount:
        over = multiprocessing.get_context("fork").Event()
        # A few files at a time: with all of them some file would be half written all the time.
        changed = [0, 1, 5, *range(joined_storm.FILES, joined_storm.FILES + joined_storm.EXTRA)]
        writers = [start(joined_storm.write, source, file, over) for file in changed]
        until = time.monotonic() + SECONDS
        notes = [directory / f"reader {i}" for i in range(READERS)]
        readers = [start(joined_storm.read, mount.path, until, file) for file in notes]
        for process in readers:
            process.join(SECONDS + ENDED_SECONDS)
        over.set()
        for process in writers:
            process.join(ENDED_SECONDS)
        assert [process.exitcode for process in writers + readers] == [0] * (len(changed) + READERS)
        outcomes = collections.Counter()
        for file in notes:
            outcomes.update(tuple(line.split(" ", 1)) for line in file.read_text().splitlines())
        yield mount, outcomes


def test_every_read_of_a_join_was_right_or_an_error(after, capsys):
    _, outcomes = after
    counts = collections.Counter()
    for (_, outcome), count in outcomes.items():
        counts[outcome] += count
    with capsys.disabled():
        print(f"\nstorm of {SECONDS:g} s over many files: {dict(counts)}", end=" ")
    assert not [outcome for outcome in outcomes if "WRONG" in outcome[1]], outcomes
    assert counts["zero tail"] <= 1 + sum(counts.values()) / 1000


def test_the_storm_over_a_join_was_one(after):
    _, outcomes = after
    for view in joined_storm.VIEWS:
        assert outcomes[view, "ok"] > 0, (view, outcomes)
    assert sum(count for (_, outcome), count in outcomes.items() if outcome != "ok") > 0


def test_after_the_storm_over_a_join_all_is_well(after):
    mount, _ = after
    assert os.path.ismount(mount.path) and "panicked" not in mount.log()
    files = [np.load(mount.source / f"part{i}.npy") for i in range(joined_storm.FILES + joined_storm.EXTRA)]
    expected = np.concatenate(files)
    wait_until(lambda: os.path.exists(mount / "concat.npy"), 5, "one array again")
    assert np.array_equal(np.load(mount / "concat.npy"), expected)
    assert np.array_equal(np.load(mount / "concat/T.npy"), expected.T)
