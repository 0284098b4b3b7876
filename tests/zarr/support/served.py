"""Arrays on disk, and the paths in mounts by which each is read as Zarr."""

import itertools

from oracle import Chain

# Bytes of a chunk, for the tests that name no shape: each has a mount of its own.
CHUNK_BYTES = [1, 12, 40, 1000, 4096]


class Served:
    """A source directory, and a mount of it for each size of chunks."""

    def __init__(self, source, mounts):
        self.source = source
        self._mounts = mounts
        self._numbers = itertools.count()

    def add(self, sample):
        """Puts a sample on disk, in a directory of its own."""
        directory = f"{next(self._numbers)}"
        (self.source / directory).mkdir()
        (self.source / directory / f"{sample.name}.npy").write_bytes(sample.blob)
        return Chain(f"{directory}/{sample.name}", sample.array)

    def zarr(self, chain, chunks=CHUNK_BYTES[-1]):
        """The Zarr directory of a view: in chunks of a shape such as "2,3", or of so many bytes."""
        if chunks in self._mounts:
            return self._mounts[chunks] / f"{chain.path}.zarr"
        return self.path(chain, f"chunks/{chunks}.zarr")

    def path(self, chain, name):
        """A name in the directory of a view."""
        return self._mounts[CHUNK_BYTES[-1]] / chain.path / name


def put(source, path, sample):
    """Puts an array beneath a source where a member of a group comes from."""
    file = source / (path if path.endswith(".npy") else f"{path}.npy")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(sample.blob)
