"""Fixtures: arrays on disk, and the mounts that serve them as Zarr."""

import contextlib

import pytest

import mounting
from mounting import Mount
from served import CHUNK_BYTES, Served


def pytest_sessionstart(session):
    """Nothing can be tested without the program: say so once, and fail."""
    if session.config.option.collectonly:
        return
    try:
        mounting.program()
    except mounting.MountFailed as missing:
        pytest.exit(str(missing), returncode=2)


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
