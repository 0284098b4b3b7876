"""Cases of Zarr: the .zarr directories of a mount beside the same chunks on disk, by the same readers."""

import contextlib
import itertools
import random
from functools import partial

import dask.array
import numpy as np
import tensorstore
import zarr

import stage
from rounds import alternate, forget, seconds
from stage import COLUMNS, ROW, SMALL

ON_DISK = "the same on disk"
PASSED_ON = "the same on disk, passed on"  # by FUSE, which names and opens the files and reads them itself
TILE = 512  # of an image, along each axis


def by_zarr(path):
    return zarr.open_array(path, mode="r", zarr_format=3).__getitem__


def by_tensorstore(path):
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
    array = tensorstore.open(spec, read=True).result()
    return lambda index: array[index].read().result()


READERS = {"zarr-python": by_zarr, "TensorStore": by_tensorstore}


def files_of(path, index):
    """The chunks that hold what an index selects, which has a start and a stop for each axis."""
    chunks = zarr.open_array(path, mode="r", zarr_format=3).chunks
    places = (range(s.start // n, -(-s.stop // n)) for s, n in zip(index, chunks))
    return [path.joinpath("c", *map(str, place)) for place in itertools.product(*places)]


def forget_chunks(path, indices):
    for file in {file for index in indices for file in files_of(path, index)}:
        forget(file)


def rows_of(data):
    """A few rows in ten random places, by the number of the round."""

    def indices(number):
        starts = random.Random(number).sample(range(data.rows - SMALL), 10)
        return [(slice(start, start + SMALL), slice(0, COLUMNS)) for start in starts]

    return indices


def tiles_of(side):
    """Ten random tiles of an image, by the number of the round."""

    def indices(number):
        places = random.Random(number).sample(list(itertools.product(range(side // TILE), repeat=2)), 10)
        return [tuple(slice(place * TILE, (place + 1) * TILE) for place in both) for both in places]

    return indices


def copied(directory, name, target, say):
    """A .zarr directory copied to disk; says how long that took."""
    taken = seconds(partial(stage.run, "cp", "-r", directory / name, target))
    files = [file.stat().st_size for file in target.rglob("*") if file.is_file()]
    say(f"`cp -r` of {name} to disk: {taken:.2f} s, {len(files):,} files of {sum(files) / 2**20:.0f} MiB together")
    return target


def read_by(opened, indices):
    """A side that reads all that it is asked for in a round."""
    return lambda number: lambda: [opened(index) for index in indices(number)]


def compare(case, stores, indices, rounds, goal, memory):
    """Results of each reader. What npyfs served is forgotten after each round, so that each read is a first one."""
    for reader, opened in READERS.items():
        arrays = {side: opened(path) for side, path in stores.items()}
        first = [array(indices(0)[0]) for array in arrays.values()]
        assert all(np.array_equal(first[0], other) for other in first)

        def after(number, side):
            if side != ON_DISK:
                forget_chunks(stores[side], indices(number))

        for side in stores:
            after(0, side)
        sides = {side: read_by(array, indices) for side, array in arrays.items()}
        yield alternate(f"{case}, {reader}, first read", sides, rounds, goal, after, memory)


def compare_again(case, stores, indices, rounds, goal, memory):
    """Results of each reader that reads the same again, which the kernel has kept."""
    for reader, opened in READERS.items():
        sides = {side: read_by(opened(path), lambda number: indices(0)) for side, path in stores.items()}
        for side in sides.values():  # Twice: pages are kept from the second open on.
            for _ in range(2):
                side(0)()
        yield alternate(f"{case}, {reader}, second read", sides, rounds, goal, memory=memory)


def zarr_reads(data, mounts, say):
    """A whole array, some of its rows, and tiles of an image whose grid the path names."""
    side = 2048 if data.rounds < 5 else 8192
    (data.directory / "images").mkdir()
    image = np.lib.format.open_memmap(data.directory / "images/image.npy", "w+", "<f4", (side, side))
    image[...] = np.random.default_rng(1).random(image.shape, "f4")
    del image  # What somebody may write is not staged.
    copies = data.directory / "copies"
    copies.mkdir()
    with (
        stage.npyfs(data.directory / "images", data.directory / "images-mnt") as images,
        stage.npyfs(copies, data.directory / "copies-mnt") as copies_passed_on,
    ):
        stage.read_ahead(images)
        arrays = {
            "big": (mounts["npyfs"], "big.zarr"),
            "image": (images, f"image/chunks/{TILE},{TILE}.zarr"),
        }
        stores = {}
        for name, (mount, path) in arrays.items():
            disk = copied(mount, path, copies / f"{name}.zarr", say)
            stores[name] = {"npyfs": mount / path, ON_DISK: disk, PASSED_ON: copies_passed_on / disk.name}
        whole = [(slice(0, data.rows), slice(0, COLUMNS))]
        size = data.rows * ROW
        yield from compare(
            f"Zarr, {size / 2**20:.0f} MiB whole", stores["big"], lambda n: whole, data.rounds, "≥ 0.80", 3 * size
        )
        small = min(data.cuts, 50)
        for compared in compare, compare_again:
            title = f"Zarr, {SMALL} rows in 10 places"
            yield from compared(title, stores["big"], rows_of(data), small, "≥ 0.80", 64 << 20)
        title = f"Zarr, 10 tiles of {TILE} × {TILE}, `chunks/{TILE},{TILE}.zarr`"
        yield from compare(title, stores["image"], tiles_of(side), small, "≥ 0.80", 64 << 20)


def chunk_bytes(data, mounts):
    """Which size of chunks is best by default."""
    with contextlib.ExitStack() as stack:
        stores = {"npyfs": mounts["npyfs"] / "big.zarr"}
        for size in ("1M", "16M"):
            mounted = stage.npyfs(data.directory / "data", data.directory / f"chunks-{size}", "--chunk-bytes", size)
            mount = stack.enter_context(mounted)
            stage.read_ahead(mount)
            stores[f"--chunk-bytes {size}"] = mount / "big.zarr"
        whole = [(slice(0, data.rows), slice(0, COLUMNS))]
        size = data.rows * ROW
        yield from compare(f"Zarr, {size / 2**20:.0f} MiB whole", stores, lambda n: whole, data.rounds, "", 3 * size)
        rounds = min(data.cuts, 50)
        yield from compare(f"Zarr, {SMALL} rows in 10 places", stores, rows_of(data), rounds, "", 64 << 20)


def dask_sum(data, mounts, say):
    """A sum by all cores over chunks, beside the same over a map of the file."""
    rows = data.rows if data.rounds < 5 else (4 << 30) // ROW
    source = data.directory / "dask"
    source.mkdir()
    array = np.lib.format.open_memmap(source / "large.npy", "w+", "<f8", (rows, COLUMNS))
    block = np.random.default_rng(1).random((1 << 14, COLUMNS))
    for start in range(0, rows, len(block)):
        array[start : start + len(block)] = block[: rows - start]
    del array  # As above.
    with stage.npyfs(source, data.directory / "dask-mnt") as mount:
        stage.read_ahead(mount)
        ours = dask.array.from_zarr(zarr.open_array(mount / "large.zarr", mode="r", zarr_format=3))
        disk = copied(mount, "large.zarr", data.directory / "large-copied.zarr", say)
        converted = dask.array.from_zarr(zarr.open_array(disk, mode="r", zarr_format=3))
        theirs = dask.array.from_array(np.load(source / "large.npy", mmap_mode="r"), ours.chunks)
        assert np.isclose(ours.sum().compute(), theirs.sum().compute())
        whole = [(slice(0, rows), slice(0, COLUMNS))]

        def after(number, side):
            if side == "npyfs":
                forget_chunks(mount / "large.zarr", whole)

        after(0, "npyfs")
        sides = {
            "npyfs": lambda n: lambda: ours.sum().compute(),
            ON_DISK: lambda n: lambda: converted.sum().compute(),
            "Dask over a memmap": lambda n: lambda: theirs.sum().compute(),
        }
        size = f"{rows * ROW / 2**20:.0f} MiB"
        yield alternate(f"Zarr, Dask's sum of {size}", sides, min(data.rounds, 5), "", after, 1 << 30)


def zarr_group(data, mounts, say):
    """A group of very many small arrays: opened, with one array of it; and all of its arrays opened."""
    count = data.files // 10
    source = data.directory / "members"
    source.mkdir()
    blob = (data.directory / "many/0.npy").read_bytes()
    for number in range(count):
        (source / f"{number}.npy").write_bytes(blob)
    with stage.npyfs(source, data.directory / "members-mnt") as mount:
        paths = {"npyfs": mount / ".zarr"}
        paths[ON_DISK] = copied(mount, ".zarr", data.directory / "members.zarr", say)

        def one(path):
            return zarr.open_group(path, mode="r", zarr_format=3, use_consolidated=False)[str(count // 2)][...]

        def all_of_them(path):
            assert sum(1 for _ in zarr.open_group(path, mode="r", zarr_format=3).arrays()) == count

        for title, action, rounds in ("opened, and one array read", one, data.rounds), ("all opened", all_of_them, 3):
            sides = {side: (lambda n, path=path: partial(action, path)) for side, path in paths.items()}
            yield alternate(f"Zarr, group of {count:,} arrays, {title}", sides, min(rounds, data.rounds))
