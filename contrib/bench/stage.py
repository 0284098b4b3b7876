"""What the benchmark works on: the data, in every form that a peer wants, and the mounts of it."""

import contextlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import zarr

ROOT = Path(__file__).resolve().parents[2]
NPYFS = ROOT / "target/release/npyfs"
FLOOR = ROOT / "target/release/examples/floor"
SLOW = ROOT / "target/release/examples/slow"
COLUMNS = 100
ROW = COLUMNS * 8
SMALL = 50  # rows of a small slice: 40 KB
RECORD = np.dtype([("a", "<f4"), ("b", "<f4"), ("c", "<f8")])


class Data:
    """The arrays, and slices of them cut beforehand for those that cannot slice."""

    def __init__(self, directory, tiny):
        self.directory = directory
        self.rows = 20_000 if tiny else 1 << 20
        self.large = 10_000 if tiny else 671_089  # rows of a large slice: 512 MiB
        self.cuts = 20 if tiny else 1000
        self.files = 200 if tiny else 100_000
        self.shards = 20 if tiny else 1000
        self.rounds = 2 if tiny else 9
        self.slow_rows = 2_000 if tiny else 100_000
        for name in ("data", "cuts", "many", "sparse", "slow-data"):
            (directory / name).mkdir()
        self.big = directory / "data/big.npy"
        self._arrays()
        self._cuts()
        self._many()
        os.sync()  # not while we measure

    def _arrays(self):
        big = np.lib.format.open_memmap(self.big, "w+", "<f8", (self.rows, COLUMNS))
        step = 1 << 14
        for start in range(0, self.rows, step):
            part = big[start : start + step]
            part[...] = np.random.default_rng(start).random(part.shape)
        with h5py.File(self.directory / "big.h5", "w") as file:
            file.create_dataset("big", data=big)
        store = zarr.create_array(
            self.directory / "big.zarr", shape=big.shape, dtype=big.dtype,
            chunks=(1 << 13, COLUMNS), compressors=None, filters=None,
        )  # fmt: skip
        store[...] = big
        records = np.lib.format.open_memmap(
            self.directory / "data/records.npy", "w+", RECORD, (self.rows * 16,)
        )
        records["a"], records["b"], records["c"] = 1, 2, np.arange(len(records))
        np.save(self.directory / "slow-data/big.npy", big[: self.slow_rows])
        np.save(self.directory / "slow-data/records.npy", records[: self.slow_rows * 40])
        for name, rows in {"GiB": (1 << 30) // ROW, "TiB": (1 << 40) // ROW}.items():
            path = self.directory / f"sparse/{name}.npy"
            np.lib.format.open_memmap(path, "w+", "<f8", (rows, COLUMNS)).flush()

    def _cuts(self):
        big = np.load(self.big, mmap_mode="r")
        np.save(self.directory / "cuts/large.npy", big[: self.large])
        for i in range(self.cuts):
            np.save(self.directory / f"cuts/{i}.npy", big[3 * i : 3 * i + SMALL])
        run("tar", "-C", self.directory / "cuts", "-cf", self.directory / "cuts.tar", ".")
        run("mksquashfs", self.directory / "cuts", self.directory / "cuts.squashfs",
            "-noI", "-noD", "-noF", "-noX", "-quiet", "-no-progress")  # fmt: skip

    def _many(self):
        np.save(self.directory / "many/0.npy", np.arange(10.0))
        blob = (self.directory / "many/0.npy").read_bytes()
        for i in range(1, self.files):
            (self.directory / f"many/{i}.npy").write_bytes(blob)


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=600)


@contextlib.contextmanager
def mounted(mountpoint, *command):
    """A mount made by a command that leaves a daemon; unmounted in the end."""
    mountpoint.mkdir(exist_ok=True)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not os.path.ismount(mountpoint):
            if time.monotonic() > deadline or process.poll() not in (None, 0):
                raise RuntimeError(f"{command[0]} did not mount")
            time.sleep(0.01)
        yield mountpoint
    finally:
        run("umount", "-l", mountpoint)
        process.wait(60)


def npyfs(source, mountpoint, *options):
    return mounted(mountpoint, NPYFS, "mount", "-f", *options, source, mountpoint)


@contextlib.contextmanager
def everything(data):
    """Every mount that slices or cuts are read through, by the name of what serves it."""
    at, cores = data.directory, str(min(os.cpu_count(), 4))
    ratarmount = Path(sys.executable).parent / "ratarmount"
    commands = {
        "npyfs": (NPYFS, "mount", "-f", at / "data", at / "npyfs"),
        "npyfs, plain": (NPYFS, "mount", "-f", "--stage-bytes", "0", at / "data", at / "npyfs-plain"),
        "floor": (FLOOR, data.big, at / "floor", cores),
        "floor, giving": (FLOOR, data.big, at / "floor-giving", cores, "giving"),
        "bindfs": ("bindfs", "-f", "-r", at / "cuts", at / "bindfs"),
        "squashfuse": ("squashfuse", "-f", at / "cuts.squashfs", at / "squashfuse"),
        "ratarmount": (ratarmount, "-f", "-c", at / "cuts.tar", at / "ratarmount"),
    }
    with contextlib.ExitStack() as stack:
        mounts = {
            name: stack.enter_context(mounted(at / name.replace(", ", "-"), *command))
            for name, command in commands.items()
        }
        for mount in mounts.values():
            read_ahead(mount)
        yield mounts


def read_ahead(mount):
    """Lets the kernel read ahead in a mount as npyfs does for itself: what is compared is the servers."""
    device = os.stat(mount).st_dev
    Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb").write_text("4096")


@contextlib.contextmanager
def gathering_floor(data, file, layout):
    """The floor, serving items of a file that do not lie together."""
    at, numbers = data.directory / "floor-gathering", ",".join(map(str, layout))
    with mounted(at, FLOOR, file, at, str(min(os.cpu_count(), 4)), numbers) as mount:
        read_ahead(mount)
        yield mount


@contextlib.contextmanager
def slow_source(data, milliseconds):
    """The arrays on a filesystem that takes so long for each request, and npyfs over it; nothing of either is
    in memory."""
    far, at = data.directory / "slow", data.directory / "slow-npyfs"
    with mounted(far, SLOW, data.directory / "slow-data", far, str(milliseconds)), npyfs(far, at):
        yield far, at


def daemon_of(mountpoint):
    """The process that serves a mount of npyfs."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
            if words[0] == str(NPYFS) and str(mountpoint) in words:
                return Path("/proc") / pid
    raise RuntimeError(f"nobody serves {mountpoint}")


def anonymous_mib(process):
    return int(re.search(r"RssAnon:\s+(\d+)", (process / "status").read_text())[1]) / 1024


def maps_of(process, name):
    return sum(line.endswith(name) for line in (process / "maps").read_text().splitlines())
