"""Everything changes while everybody reads: what was read is right, or an error.

NPYFS_STORM_SECONDS is how long it goes on: 5 when it is not set, and 12 in `tests/run`.
(For more than 200, raise faulthandler_timeout.)
"""

import collections
import multiprocessing
import os
import time

import numpy as np
import pytest

import storm
from mounting import Mount, wait_until
from processes import start

SECONDS = float(os.environ.get("NPYFS_STORM_SECONDS", 5))
READERS = ["np.load"] * 3 + [storm.MAPPED] * 3 + ["read"] * 2
ENDED_SECONDS = 60
MOST_STORES = 60


@pytest.fixture(scope="module")
def after(tmp_path_factory):
    """A mount when the storm is over, with what its readers have noted."""
    directory = tmp_path_factory.mktemp("storm")
    storm.prepare(directory)
    with Mount(directory / "source", directory / "mount") as mount:
        until = time.monotonic() + SECONDS
        over = multiprocessing.get_context("fork").Event()
        writers = [start(storm.write, directory, name, over) for name in storm.FILES]
        notes = [directory / f"reader {i}" for i in range(len(READERS))]
        readers = [
            start(storm.read, directory, mount.path, way, until, file) for way, file in zip(READERS, notes)
        ]
        for process in readers:
            process.join(SECONDS + ENDED_SECONDS)
        over.set()
        for process in writers:
            process.join(ENDED_SECONDS)
        ended = [process.exitcode for process in writers + readers]
        assert ended == [0] * len(ended), "a process that has not ended waits for ever"
        outcomes = collections.Counter()
        for way, file in zip(READERS, notes):
            for line in file.read_text().splitlines():
                name, view, outcome = line.split(" ", 2)
                outcomes[way, name, view, outcome] += 1
        yield directory, mount, outcomes


def by(outcomes, *which):
    """The counts with only these of way, name, view, outcome told apart."""
    counts = collections.Counter()
    for key, count in outcomes.items():
        counts[" ".join(key[i] for i in which)] += count
    return dict(sorted(counts.items()))


def test_every_read_was_right_or_an_error(after, capsys):
    directory, _, outcomes = after
    wrong = {key: count for key, count in outcomes.items() if "WRONG" in key[3]}
    counts = {"zero tail": 0} | by({key: n for key, n in outcomes.items() if key not in wrong}, 3)
    with capsys.disabled():
        print(f"\nstorm of {SECONDS:g} s: {counts}, wrong: {sum(wrong.values())}", end=" ")
    print(by(outcomes, 0, 3), by(outcomes, 1, 3), storm.versions(directory)[1:, 0])
    assert not wrong, "\n".join(f"{count} times {' '.join(key)}" for key, count in wrong.items())


def test_zeros_where_a_file_is_cut_off_are_as_rare_as_the_moment_for_them_is_short(after):
    """They need a cut between the last look at the file's size and the reply: microseconds, unless the daemon loses the
    processor just there. So the bounds are ten times and more what a storm on a busy machine has shown."""
    outcomes = by(after[2], 3)
    assert outcomes.get("zero tail", 0) <= 5 + sum(outcomes.values()) / 1000
    whole = sum(count for key, count in after[2].items() if key[2] == storm.WHOLE)
    assert outcomes.get("zeros in a whole file", 0) <= 5 + whole / 5


def test_the_storm_was_one(after):
    """Every way, every file and every view was read, and every file changed."""
    directory, _, outcomes = after
    good = {key: count for key, count in outcomes.items() if key[3] == "ok"}
    assert set(by(good, 0)) == set(storm.WAYS)
    assert set(by(good, 1)) == set(storm.FILES)
    assert set(by(good, 2)) == set(storm.VIEWS)
    assert storm.versions(directory)[1:, storm.DONE].min() > 10


def test_the_program_outlives_the_storm(after):
    _, mount, _ = after
    assert os.path.ismount(mount.path) and "panicked" not in mount.log()


def size_of(path):
    return os.stat(path).st_size if path.exists() else None


@pytest.mark.parametrize("name", storm.FILES)
def test_after_the_storm_the_next_open_sees_the_last_values(after, name):
    directory, mount, _ = after
    # What stat says may be a second old (--ttl), and then the file may have been short.
    size = storm.HEADER + storm.places().nbytes
    wait_until(lambda: size_of(mount / name / storm.WHOLE) == size, 30, "the size")
    for _ in range(3):
        newest = int(storm.versions(directory)[storm.NUMBERS[name], storm.DONE])
        for view in storm.VIEWS:
            for way, load in storm.WAYS.items():
                outcome = storm.verdict(load(mount / name / view), name, view, newest, newest)
                assert outcome == "ok", f"{view} by {way}: {outcome}"
        storm.change(directory, name)


def test_values_stored_with_no_trace_are_seen_by_the_next_open(after):
    """A store to a page that is dirty already moves no timestamp, unless the kernel has just written the page back:
    where that happens, as on a machine with little memory, the store is made again."""
    directory, mount, _ = after
    path = storm.source_file(directory, "stored")
    for _ in range(MOST_STORES):
        storm.change(directory, "stored")
        # Only what is cached of a file whose times are so old may be kept at all.
        time.sleep(1.1)
        for view in storm.VIEWS:
            np.load(mount / "stored" / view)
        before = os.stat(path).st_mtime_ns
        storm.change(directory, "stored")
        left_a_trace = os.stat(path).st_mtime_ns != before
        newest = int(storm.versions(directory)[storm.NUMBERS["stored"], storm.DONE])
        for view in storm.VIEWS:
            outcome = storm.verdict(np.load(mount / "stored" / view), "stored", view, newest, newest)
            assert outcome == "ok", f"{view}: {outcome}"
        if not left_a_trace:
            return
    pytest.fail("every store left a trace, so this proves nothing")
