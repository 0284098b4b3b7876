"""Everybody writes while everybody reads: what was read is old or new, element by element, and in its place.

It goes on for a third of NPYFS_STORM_SECONDS.
"""

import collections
import multiprocessing
import os
import time

import numpy as np
import pytest

import storm
import writing_storm
from mounting import Mount
from processes import start

SECONDS = float(os.environ.get("NPYFS_STORM_SECONDS", 5)) / 3
READERS = ["np.load"] * 2 + [storm.MAPPED] * 2 + ["read"] * 2
ENDED_SECONDS = 60


@pytest.mark.parametrize("options", [[], ["--threads=1"]], ids=["", "one thread"])
def test_every_read_was_of_old_or_new_elements_each_in_its_place(tmp_path, options, capsys):
    writing_storm.prepare(tmp_path)
    with Mount(tmp_path / "source", tmp_path / "mount", "--writable", *options) as mount:
        over = multiprocessing.get_context("fork").Event()
        writers = [
            start(writing_storm.write, tmp_path, mount.path, name, over) for name in writing_storm.WRITERS
        ]
        notes = [tmp_path / f"reader {i}" for i in range(len(READERS))]
        readers = [
            start(writing_storm.read, tmp_path, mount.path, way, over, file)
            for way, file in zip(READERS, notes)
        ]
        time.sleep(SECONDS)
        over.set()
        deadline = time.monotonic() + ENDED_SECONDS
        for process in writers + readers:
            process.join(max(0, deadline - time.monotonic()))
        ended = [process.exitcode for process in writers + readers]
        assert ended == [0] * len(ended), "a process that has not ended waits for ever"

        outcomes = collections.Counter()
        for file in notes:
            for line in file.read_text().splitlines():
                outcomes[tuple(line.split(" ", 1))] += 1
        versions = writing_storm.versions(tmp_path)
        with capsys.disabled():
            print(f"\nstorm of {SECONDS:.1f} s: {sum(outcomes.values())} reads, {versions[:, 0].sum()} writes", end=" ")
        wrong = {key: count for key, count in outcomes.items() if key[1] != "ok"}
        assert not wrong, "\n".join(f"{count} times {' '.join(key)}" for key, count in wrong.items())
        assert {view for view, _ in outcomes} == set(storm.VIEWS)
        assert (versions[:, storm.BEGUN] == versions[:, storm.DONE]).all() and versions.min() > 3

        # In the end all of it is what was written last, in the file and by every path.
        newest = versions[:, storm.DONE]
        assert writing_storm.verdict(np.load(mount.source / "x.npy"), "x.npy", newest, newest) == "ok"
        for view in storm.VIEWS:
            for way, load in storm.WAYS.items():
                assert writing_storm.verdict(load(mount / view), view, newest, newest) == "ok", f"{view} by {way}"
        assert "panicked" not in mount.log()
