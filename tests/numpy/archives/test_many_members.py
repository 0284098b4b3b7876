"""An archive of as many members as there may be: what it costs to look into it."""

import os
import time
from pathlib import Path

import numpy as np

import oracle
import zips
from checks import assert_array, load, read
from mounting import Mount, run, wait_until
from processes import peak_and_now

MANY = 1_000_000
MOST = 1 << 20
NPY = oracle.saved(np.arange(3))
MIB = 1 << 20
SECONDS = 600
"""Far longer than it takes: only what hangs takes so long."""


def archive(path, count):
    """Members of which the last one is an array, and the others are empty: it takes little of the disk."""
    end = "{:07}.npy".format(count - 1).encode()
    items = [zips.Item(b"%07d.npy" % i) for i in range(count - 1)] + [zips.Item(end, NPY)]
    path.write_bytes(zips.by_hand(items, lambda size, start: zips.long_end(count, size, start)))


def test_a_million_members_are_listed_and_looked_up(tmp_path, capsys):
    (tmp_path / "source").mkdir()
    path = tmp_path / "source/x.npz"
    archive(path, MANY)
    wait_until(lambda: time.time() - path.stat().st_mtime > 1.1, 30, "settled")
    with Mount(tmp_path / "source", tmp_path / "mount") as mount:
        process = Path(f"/proc/{mount.pid}")
        _, before = peak_and_now(process)
        start = time.monotonic()
        assert_array(load(mount / f"x/{MANY - 1:07}.npy"), np.arange(3), "the last")
        first = time.monotonic() - start
        start = time.monotonic()
        listed = run("ls", "-f", mount / "x", timeout=SECONDS).stdout.splitlines()
        took = time.monotonic() - start
        assert len(set(listed)) == len(listed) == 2 * MANY + 2
        start = time.monotonic()
        assert_array(load(mount / f"x/{MANY - 1:07}/rows/1-3.npy"), np.arange(1, 3), "a slice")
        again = time.monotonic() - start
        peak, _ = peak_and_now(process)
        # Sixty bytes a member, and as much again while the directory is read.
        assert peak - before < 160 * MIB, (peak - before) / MIB
        wait_until(lambda: peak_and_now(process)[1] - before < 64 * MIB, 60, "given back")
    with capsys.disabled():
        print(f"\na million members: {first:.2f} s, ls {took:.2f} s, then {again:.4f} s, {(peak - before) >> 20} MiB", end=" ")


def test_more_than_there_may_be_are_refused(tmp_path):
    (tmp_path / "source").mkdir()
    archive(tmp_path / "source/x.npz", MOST + 1)
    with Mount(tmp_path / "source", tmp_path / "mount") as mount:
        assert read(mount / "x/error.txt") == b"x.npz: more than 1048576 members\n"
        assert os.listdir(mount / "x") == ["error.txt"]


def test_whoever_holds_listings_open_does_not_hold_the_archives(tmp_path):
    (tmp_path / "source").mkdir()
    path = tmp_path / "source/x.npz"
    archive(path, MANY // 10)
    with Mount(tmp_path / "source", tmp_path / "mount", "--ttl=0") as mount:
        process = Path(f"/proc/{mount.pid}")
        held = []
        try:
            for version in range(20):
                # Another version of the file, whose members are read again.
                os.utime(path, (version, version))
                held.append(os.scandir(mount / "x"))
                assert next(held[-1]).name.endswith(".npy")
                if version == 3:
                    _, before = peak_and_now(process)
            # Each has 5 MiB of members.
            assert peak_and_now(process)[1] - before < 30 * MIB
            assert len(list(held[-1])) > MANY // 10
        finally:
            for listing in held:
                listing.close()
