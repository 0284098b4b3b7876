"""Every change is refused as on a disk that is mounted read-only: an ext4 beside it, with the
same files, is asked the same."""

import pytest

import disks
import refusals
from checks import snapshot
from mounting import Mount


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The roots of a mount and of a disk with the very files that the mount shows."""
    directory = tmp_path_factory.mktemp("read only")
    (directory / "source").mkdir()
    refusals.populate(directory / "source")
    with Mount(directory / "source", directory / "mount") as mount:
        # Made of what the mount shows.
        with disks.ext4(directory, 16 << 20, "-d", mount.path, mounted="loop,ro") as disk:
            yield mount.path, disk


@pytest.mark.parametrize("target", refusals.TARGETS.values(), ids=refusals.TARGETS)
@pytest.mark.parametrize("call", refusals.CALLS)
def test_a_change_is_refused_as_on_a_disk(both, call, target):
    mount, disk = (refusals.errno_of(call, root / target, root) for root in both)
    assert mount == disk


def test_after_all_of_them_the_source_is_what_it_was(own_mount):
    refusals.populate(own_mount.source)
    before = list(snapshot(own_mount.source))
    for call in refusals.CALLS:
        for target in refusals.TARGETS.values():
            refusals.errno_of(call, own_mount / target, own_mount.path)
    assert list(snapshot(own_mount.source)) == before
