"""Fixtures: the arrays on disk and the mounts over them.

A theme is a folder beside this file:

    format/      which files are arrays, and what is said of the others
    selections/  what a path yields: rows, slices, parts, fields, chains of them
    names/       what exists under which name, and what is listed
    changes/     files that are replaced, rewritten or cut off while they are read
    joined/      many files as one array: concat and stack
    writing/     what a write changes, what is refused, and what survives a fault
    users/       what other users see and may do
    hostile/     files that were made to do harm, and links that lead out of the source
    programs/    other programs that use a mount, and shells that complete its paths
    create/      the command that makes arrays
    commands/    the commands that need no mount: what they say to people and to programs
    python/      the Python module

What is new to a mount (another format, another kind of directory) gets a folder of its own. Helpers that
more than one file needs are in support/; the ways to write an array are one table there, in writers.py.
"""

import contextlib

import numpy as np
import pytest

import corpus
import mounting
from mounting import Mount
from oracle import Chain


def pytest_sessionstart(session):
    """Nothing can be tested without the program: say so once, and fail."""
    if session.config.option.collectonly:
        return
    try:
        mounting.program()
    except mounting.MountFailed as missing:
        pytest.exit(str(missing), returncode=2)


class Tree:
    """A source directory, its mount, and the arrays in it by name."""

    def __init__(self, mount, samples):
        self.mount = mount
        self.source = mount.source
        self.samples = {sample.name: sample for sample in samples}

    def __truediv__(self, relative):
        return self.mount / relative

    def chain(self, name):
        """The chain that starts at an array of this tree."""
        return Chain(name, self.samples[name].array)


@contextlib.contextmanager
def _tree(directory, samples, *options, broken=None):
    source = directory / "source"
    source.mkdir()
    blobs = {sample.name: sample.blob for sample in samples} | (broken or {})
    for name, blob in blobs.items():
        (source / f"{name}.npy").write_bytes(blob)
    with Mount(source, directory / "mount", *options) as mount:
        yield Tree(mount, samples)


@pytest.fixture(scope="session")
def mounted(tmp_path_factory):
    """Samples on disk under a mount of their own: `with mounted(samples, *options) as tree`.

    `broken` adds files that are no arrays: bytes by name.
    """

    def mount(samples, *options, broken=None):
        return _tree(tmp_path_factory.mktemp("tree"), samples, *options, broken=broken)

    return mount


@pytest.fixture(scope="session")
def everything(mounted):
    """The whole corpus under one mount."""
    with mounted(corpus.samples()) as tree:
        yield tree


@pytest.fixture(scope="session")
def arrays(mounted):
    """A few plain arrays, mounted with tiles so small that rows/ lists several."""
    with mounted(corpus.a_few(), f"--tile-bytes={corpus.TILE_BYTES}") as tree:
        yield tree


@pytest.fixture
def own_mount(tmp_path):
    """An empty source directory of the test's own, and the mount over it."""
    (tmp_path / "source").mkdir()
    with Mount(tmp_path / "source", tmp_path / "mount") as mount:
        yield mount


@pytest.fixture
def own_writable(tmp_path):
    """The same, writable."""
    (tmp_path / "source").mkdir()
    with Mount(tmp_path / "source", tmp_path / "mount", "--writable") as mount:
        yield mount


@pytest.fixture
def rng():
    return np.random.default_rng(11)
