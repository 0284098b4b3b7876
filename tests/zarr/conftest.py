"""Fixtures: arrays on disk, and the mounts that serve them as Zarr."""

import contextlib
import itertools

import pytest

import mounting
from mounting import Mount
from oracle import Chain

# Bytes of a chunk, for the tests that name no shape: each has a mount of its own.
CHUNK_BYTES = [1, 12, 40, 1000, 4096]


def pytest_sessionstart(session):
    """Nothing can be tested without the program: say so once, and fail."""
    if session.config.option.collectonly:
        return
    try:
        mounting.program()
    except mounting.MountFailed as missing:
        pytest.exit(str(missing), returncode=2)


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


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    directory = tmp_path_factory.mktemp("served")
    source = directory / "source"
    source.mkdir()
    with contextlib.ExitStack() as stack:
        mount = lambda size: Mount(source, directory / f"{size}", f"--chunk-bytes={size}")
        yield Served(source, {size: stack.enter_context(mount(size)) for size in CHUNK_BYTES})


@pytest.fixture
def own_mount(tmp_path):
    """An empty source directory of the test's own, and a mount over it that is never out of date."""
    (tmp_path / "source").mkdir()
    with Mount(tmp_path / "source", tmp_path / "mount", "--ttl=0") as mount:
        yield mount
