"""Every case: the same bytes by npyfs and by others, as functions that the rounds time.

A case yields results; the first of its sides after npyfs is what a goal is about.
"""

import os
import random
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import zarr

import readers
import stage
from rounds import Result, alternate, forget
from stage import COLUMNS, RECORD, ROW, SMALL


def load(path):
    return lambda: np.load(path)


def dd(path, block):
    command = ["dd", f"if={path}", "of=/dev/null", f"bs={block}", "status=none"]
    return lambda: subprocess.run(command, check=True)


def mapped(path):
    return np.load(path, mmap_mode="r")


def whole_file(data, mounts):
    native, ours = data.big, mounts["npyfs"] / "big.npy"
    for how, read in {"np.load": load, "dd bs=128K": partial(dd, block="128K"), "dd bs=1M": partial(dd, block="1M")}.items():
        sides = {"npyfs": lambda n: read(ours), "native": lambda n: read(native)}
        yield alternate(f"whole file, {how}", sides, data.rounds, "≥ 0.97", memory=2 * data.rows * ROW)


def large_rows(data, mounts):
    """A large slice of rows: a new one in each round, then the same again."""
    count = data.large
    size, memory = f"{count * ROW / 2**20:.0f} MiB of rows", 3 * count * ROW
    cut = {name: mounts[name] / "large.npy" for name in ("bindfs", "squashfuse", "ratarmount")}
    files = {"npyfs": "big/rows/{}-{}.npy", "floor": "{}-{}.npy"}
    with h5py.File(data.directory / "big.h5", "r") as file:
        hdf5, store = file["big"], zarr.open_array(data.directory / "big.zarr", mode="r")

        def path(name, n):
            return mounts[name] / files[name].format(n, n + count)

        def after(n, name):
            if name in files:
                forget(path(name, n))
            elif name in cut:
                forget(cut[name])

        sides = {
            "npyfs": lambda n: load(path("npyfs", n)),
            "np.fromfile(offset, count)": lambda n: partial(np.fromfile, data.big, "<f8", count * COLUMNS, "", 128 + n * ROW),
            "memmap, copied": lambda n: lambda: mapped(data.big)[n : n + count].copy(),
            "floor": lambda n: load(path("floor", n)),
            **{name: (lambda n, file=file: load(file)) for name, file in cut.items()},
            "h5py": lambda n: lambda: hdf5[n : n + count],
            "zarr": lambda n: lambda: store[n : n + count],
        }
        yield alternate(f"{size}, np.load, first read", sides, data.rounds, "≥ 0.60", after, memory)
    again = {
        "npyfs": lambda n: load(path("npyfs", 0)),
        "np.fromfile(offset, count)": sides["np.fromfile(offset, count)"],
        "floor": lambda n: load(path("floor", 0)),
        "bindfs": lambda n: load(cut["bindfs"]),
    }
    for name in again:  # Twice: pages are kept from the second open on.
        for _ in range(2):
            again[name](0)()
    yield alternate(f"{size}, np.load, second read", again, data.rounds, "≥ 0.90", memory=memory)
    for name in files:
        after(0, name)
    native = data.directory / "cuts/large.npy"
    for block in ("128K", "1M"):
        sides = {
            "npyfs": lambda n: dd(path("npyfs", n + 1), block),
            "native, of a cut file": lambda n: dd(native, block),
            "floor": lambda n: dd(path("floor", n + 1), block),
            "bindfs": lambda n: dd(cut["bindfs"], block),
        }
        forget_next = lambda n, name: after(n + 1, name)  # noqa: E731
        yield alternate(f"{size}, dd bs={block}, first read", sides, data.rounds, "", forget_next, memory)
    sides = {
        "npyfs": lambda n: lambda: mapped(path("npyfs", n)).sum(),
        "native": lambda n: lambda: mapped(data.big)[n : n + count].sum(),
        "floor": lambda n: lambda: mapped(path("floor", n)).sum(),
    }
    yield alternate(f"{size}, sum of mmap_mode='r', first read", sides, data.rounds, "", after, memory)


def small_rows(data, mounts):
    """40 KB, another slice each time."""
    rows, size = data.rows - SMALL, f"{SMALL * ROW // 1000} KB of rows"
    starts = [3 * i for i in range(data.cuts)]
    assert starts[-1] <= rows
    with h5py.File(data.directory / "big.h5", "r") as file:
        hdf5, store = file["big"], zarr.open_array(data.directory / "big.zarr", mode="r")
        sides = {
            "npyfs": lambda n: load(readers.name_of(mounts["npyfs"] / "big/rows", starts[n])),
            "memmap, copied": lambda n: lambda: mapped(data.big)[starts[n] : starts[n] + SMALL].copy(),
            "floor": lambda n: load(readers.name_of(mounts["floor"], starts[n])),
            "floor, giving": lambda n: load(readers.name_of(mounts["floor, giving"], starts[n])),
            "bindfs": lambda n: load(mounts["bindfs"] / f"{n}.npy"),
            "squashfuse": lambda n: load(mounts["squashfuse"] / f"{n}.npy"),
            "ratarmount": lambda n: load(mounts["ratarmount"] / f"{n}.npy"),
            "h5py, file open": lambda n: lambda: hdf5[starts[n] : starts[n] + SMALL],
            "h5py": lambda n: partial(open_h5py, data, starts[n]),
            "zarr, array open": lambda n: lambda: store[starts[n] : starts[n] + SMALL],
            "zarr": lambda n: partial(open_zarr, data, starts[n]),
        }

        def before(n):
            for file, offset in ((data.big, 128 + starts[n] * ROW), (data.directory / f"cuts/{n}.npy", 0)):
                np.fromfile(file, "u1", SMALL * ROW, "", offset)

        yield alternate(f"{size}, np.load, 1 reader", sides, data.cuts, "≥ 1.0", before=before)


def open_h5py(data, start):
    with h5py.File(data.directory / "big.h5", "r") as file:
        return file["big"][start : start + SMALL]


def open_zarr(data, start):
    return zarr.open_array(data.directory / "big.zarr", mode="r")[start : start + SMALL]


def many_readers(data, mounts, say):
    """Slices a second, with all cores busy: here more is better, so times are seconds a slice."""
    sides = {
        "npyfs": (readers.by_path, mounts["npyfs"] / "big/rows"),
        "floor": (readers.by_path, mounts["floor"]),
        "floor, giving": (readers.by_path, mounts["floor, giving"]),
        "native, pread": (readers.natively, data.big),
    }
    for count in (1, 16, 64):
        times, latencies = {name: [] for name in sides}, {name: [] for name in sides}
        for _ in range(min(data.rounds, 5)):
            for name in random.sample(list(sides), len(sides)):
                read, where = sides[name]
                np.fromfile(data.big, "u1")
                taken, rate = readers.together(read, where, data.rows, count, 0.2 if data.rounds < 5 else 1.0)
                times[name].append(1 / rate)
                latencies[name].append((taken[len(taken) // 2], taken[len(taken) * 99 // 100]))
        result = Result(f"40 KB of rows, open + read + close, {count} reader{'s' * (count > 1)}", times, "")
        yield result
        for name in sides:
            p50, p99 = (statistics.median(column) * 1e6 for column in zip(*latencies[name]))
            say(f"{count} reader{'s' * (count > 1)}, {name}: {1 / result.median(name):,.0f} slices a second, p50 {p50:.0f} us, p99 {p99:.0f} us")


@dataclass(frozen=True)
class Strided:
    """A slice whose bytes do not lie together, by the number of the round."""

    path: Callable  # where npyfs has it
    by_hand: Callable  # what NumPy copies it from
    size: int  # bytes
    file: Path  # what holds it
    layout: tuple  # how its items lie there, as the floor wants to know
    items: Callable  # which of these it has


def strided_slices(data):
    big, records, rows = data.big, data.directory / "data/records.npy", data.rows // 2
    whole = data.rows << 8  # longer than any axis

    def columns(count):
        return Strided(
            lambda n: f"big/slice/{n}:{n + rows},8:{8 + count}.npy",
            lambda n: mapped(big)[n : n + rows, 8 : 8 + count],
            rows * count * 8, big, (8 * count, ROW, whole, 0, 64), lambda n: (n, n + rows),
        )  # fmt: skip

    def field(name):
        dtype, offset = RECORD.fields[name]
        return Strided(
            lambda n: f"records/slice/{n}:{n + 16 * rows}/fields/{name}.npy",
            lambda n: mapped(records)[name][n : n + 16 * rows],
            16 * rows * dtype.itemsize, records, (dtype.itemsize, RECORD.itemsize, whole, 0, offset),
            lambda n: (n, n + 16 * rows),
        )  # fmt: skip

    backwards = Strided(
        lambda n: f"big/slice/{n + rows}:{n}:-1.npy",
        lambda n: mapped(big)[n + rows : n : -1],
        rows * ROW, big, (ROW, -ROW, whole, 0, data.rows * ROW),
        lambda n: (data.rows - n - rows, data.rows - n),
    )  # fmt: skip
    transposed = Strided(
        lambda n: f"big/rows/{n}-{n + rows}/T.raw",
        lambda n: mapped(big)[n : n + rows].T,
        rows * ROW, big, (8, ROW, rows, 8, 0), lambda n: (n, n + rows * COLUMNS),
    )  # fmt: skip
    return {f"{count} of {COLUMNS} columns": columns(count) for count in (1, 8, 25)} | {
        "field of 4 of 16 bytes": field("a"),
        "field of 8 of 16 bytes": field("c"),
        "rows backwards": backwards,
        "transposed, C order": transposed,
    }


def strided(data, mounts):
    """Columns, fields, backwards and transposed, beside NumPy's own strided copy from a memmap, a server that
    gathers the same bytes by the plainest loop, and the floor, which serves as many that lie together."""
    for name, case in strided_slices(data).items():
        with stage.gathering_floor(data, case.file, case.layout) as gathering:
            files = {
                "npyfs": lambda n: mounts["npyfs"] / case.path(n),
                "plain gathering": lambda n: gathering / "{}-{}.npy".format(*case.items(n)),
                "floor, as many bytes in one piece": lambda n: mounts["floor"] / f"{n}-{n + case.size // ROW}.npy",
            }

            def read(side):
                by_numpy = np.fromfile if side == "npyfs" and case.path(0).endswith(".raw") else np.load
                return lambda n: partial(by_numpy, files[side](n))

            def after(n, side):
                if side in files:
                    forget(files[side](n))

            same = (np.fromfile(files[side](0), "u1")[-case.size :] for side in ("npyfs", "plain gathering"))
            assert np.array_equal(*same), name
            for side in files:
                after(0, side)
            sides = {
                "npyfs": read("npyfs"),
                "memmap, copied": lambda n: lambda: case.by_hand(n).copy("C"),
                "plain gathering": read("plain gathering"),
                "floor, as many bytes in one piece": read("floor, as many bytes in one piece"),
            }
            size = f"{case.size / 2**20:.0f} MiB"
            yield alternate(f"{name}, {size}", sides, data.rounds, "≥ 1.0", after, 3 * case.size)


def cold(data, mounts):
    """The page cache is emptied before every read; a virtual machine's host may still have it all.

    To come before anything strided is read: the pages of a map would stay.
    """
    count = data.large // 4

    def dropped(action):
        forget(data.big)
        return action

    sides = {
        "npyfs": lambda n: dropped(load(mounts["npyfs"] / f"big/rows/{n}-{n + count}.npy")),
        "np.fromfile(offset, count)": lambda n: dropped(partial(np.fromfile, data.big, "<f8", count * COLUMNS, "", 128 + n * ROW)),
        "memmap, copied": lambda n: dropped(lambda: mapped(data.big)[n : n + count].copy()),
    }
    def after(n, name):
        if name == "npyfs":
            forget(mounts["npyfs"] / f"big/rows/{n}-{n + count}.npy")

    size = count * ROW
    yield alternate(
        f"{size / 2**20:.0f} MiB of rows, np.load, cold page cache", sides, min(data.rounds, 5), "", after, 3 * size
    )
    np.fromfile(data.big, "u1")


def sizes(data, mounts, say):
    """The same slice of a 1 GiB and of a 1 TiB array, both sparse."""
    with stage.npyfs(data.directory / "sparse", data.directory / "sizes") as mount:
        for name, rows, rounds in (("40 KB", SMALL, data.cuts), ("64 MiB", (64 << 20) // ROW, data.rounds)):
            rows = min(rows, (1 << 30) // ROW - 3 * rounds)
            path = lambda array, n: mount / f"{array}/rows/{3 * n}-{3 * n + rows}.npy"  # noqa: E731
            sides = {"npyfs": lambda n: load(path("GiB", n)), "of 1 TiB": lambda n: load(path("TiB", n))}

            def after(n, side):
                forget(path("GiB" if side == "npyfs" else "TiB", n))

            yield alternate(f"{name} of rows of 1 GiB", sides, rounds, "0.9 to 1.1", after, 3 * rows * ROW)


def members(data, mounts):
    """A member of an archive, which is stored where it is unaligned, beside a .npy of the same bytes."""
    directory = data.directory / "archives"
    directory.mkdir()
    os.link(data.directory / "cuts/large.npy", directory / "file.npy")
    np.savez(directory / "archive.npz", member=mapped(directory / "file.npy"))
    os.sync()
    half, small = data.large // 2, data.large - SMALL
    slices = {
        "40 KB of rows": (lambda n: f"rows/{3 * n % small}-{3 * n % small + SMALL}.npy", data.cuts, SMALL * ROW),
        f"{half * ROW / 2**20:.0f} MiB of rows": (lambda n: f"rows/{n}-{n + half}.npy", data.rounds, half * ROW),
        f"8 columns, {half * 64 / 2**20:.0f} MiB": (
            lambda n: f"slice/{n}:{n + half},8:16.npy", data.rounds, half * 64
        ),
    }  # fmt: skip
    with stage.npyfs(directory, data.directory / "of archives") as mount:
        stage.read_ahead(mount)
        arrays = {"npyfs": mount / "archive/member", "of a .npy": mount / "file"}
        for array in arrays.values():  # Both are in memory, and mapped.
            for name, _, _ in slices.values():
                np.load(array / name(0))
        for case, (name, rounds, size) in slices.items():
            sides = {side: lambda n, array=array: load(array / name(n)) for side, array in arrays.items()}

            def after(n, side):
                forget(arrays[side] / name(n))

            yield alternate(f"{case} of a member of an .npz, first read", sides, rounds, "≥ 0.95", after, 3 * size)


def directories(data, mounts, say):
    """A directory of as many arrays as there are files in it."""
    many, times = data.directory / "many", []
    for _ in range(5):
        mountpoint = data.directory / "many-mnt"
        mountpoint.mkdir(exist_ok=True)
        command = [stage.NPYFS, "mount", many, mountpoint]
        times.append(alternate("", {"": lambda n: lambda: subprocess.run(command, check=True)}, 1).times[""][0])
        subprocess.run([stage.NPYFS, "umount", mountpoint], check=True)
    say(f"mount of {data.files:,} files: {statistics.median(times) * 1e3:.1f} ms, the whole command (goal < 50 ms)")
    bindfs = stage.mounted(data.directory / "many-bindfs", "bindfs", "-f", "-r", many, data.directory / "many-bindfs")
    with stage.npyfs(many, mountpoint) as ours, bindfs as theirs:
        roots = {"npyfs": ours, "bindfs": theirs, "native": many}
        listing = {name: (lambda n, root=root: partial(os.listdir, root)) for name, root in roots.items()}
        yield alternate(f"ls of {data.files:,} arrays", listing, min(data.rounds, 5), "≥ 0.5")

        def stat_all(root):
            for i in range(data.files):
                os.stat(f"{root}/{i}.npy")

        stats = {name: (lambda n, root=root: partial(stat_all, root)) for name, root in roots.items()}
        forget_names = lambda *_: Path("/proc/sys/vm/drop_caches").write_text("2")  # noqa: E731
        forget_names()
        yield alternate(f"stat of {data.files:,} files", stats, min(data.rounds, 3), "", forget_names)


def memory(data, mounts, say):
    process = stage.daemon_of(mounts["npyfs"])
    names = [readers.name_of(mounts["npyfs"] / "big/rows", i) for i in range(data.cuts)]
    held = [open(name, "rb") for name in names]
    for file in held:
        file.read(1)
    np.load(mounts["npyfs"] / "big/slice/0:99,5.npy")
    say(
        f"{len(held)} slices open, after all of the above: {stage.anonymous_mib(process):.1f} MiB of "
        f"anonymous memory (goal ≤ 64 MiB), {stage.maps_of(process, '/big.npy')} map of big.npy (goal 1)"
    )
    for file in held:
        file.close()
    return []
