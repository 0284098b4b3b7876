"""Many files as one array, beside a loop over their maps by hand."""

import bisect

import numpy as np

import stage
from rounds import alternate, forget
from stage import COLUMNS, ROW, SMALL


def by_hand(files, ends, start, stop, column=slice(None)):
    """The rows from `start` on of many files, of which it is known where in all of them each one ends."""
    parts = []
    for number in range(bisect.bisect_right(ends, start), len(files)):
        first = ends[number - 1] if number else 0
        if first >= stop:
            break
        part = np.load(files[number], mmap_mode="r")
        parts.append(part[max(start - first, 0) : stop - first, column])
    return np.concatenate(parts)


def joined(data, mounts):
    """Rows over the ends of files: a few, many, and a column of all."""
    directory, count = data.directory / "shards", data.shards
    directory.mkdir()
    big = np.load(data.big, mmap_mode="r")
    files, ends, end = [directory / f"{i}.npy" for i in range(count)], [], 0
    for file, part in zip(files, np.array_split(big, count)):
        np.save(file, part)
        end += len(part)
        ends.append(end)
    large = data.rows // 4
    starts = [ends[i % (count - 1)] - SMALL // 2 for i in range(data.cuts)]
    with stage.npyfs(directory, data.directory / "shards-mnt") as mount:
        stage.read_ahead(mount)
        cases = {
            f"{SMALL * ROW // 1000} KB of rows over two of {count} files": (data.cuts, lambda n: (starts[n], starts[n] + SMALL)),
            f"{large * ROW / 2**20:.0f} MiB of rows of {count} files": (data.rounds, lambda n: (n + 1, n + 1 + large)),
        }
        for case, (rounds, rows) in cases.items():

            def path(n, rows=rows):
                return mount / "concat/rows/{}-{}.npy".format(*rows(n))

            def hand(n, rows=rows):
                return by_hand(files, ends, *rows(n))

            assert np.array_equal(np.load(path(0)), hand(0))
            sides = {"npyfs": lambda n, path=path: lambda: np.load(path(n)), "memmaps by hand": lambda n, hand=hand: lambda: hand(n)}
            after = lambda n, name, path=path: forget(path(n)) if name == "npyfs" else None  # noqa: E731
            yield alternate(f"{case}, np.load", sides, rounds, "", after, memory=3 * large * ROW)
        column = [mount / f"concat/cols/{i}.npy" for i in range(COLUMNS)]
        sides = {
            "npyfs": lambda n: lambda: np.load(column[n]),
            "memmaps by hand": lambda n: lambda: by_hand(files, ends, 0, data.rows, n),
        }
        yield alternate(f"a column of {count} files, np.load", sides, data.rounds)
