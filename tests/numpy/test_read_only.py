"""Every change is refused as on a disk that is mounted read-only: an ext4 beside it, with the
same files, is asked the same."""

import contextlib
import os
import stat

import pytest

import corpus
import refusals
from checks import read
from mounting import Mount, in_mount_table, run

ARRAY = corpus.sample("x", (6, 5), "<f8")


def populate(source):
    for name in ("empty", "full", "sub"):
        (source / name).mkdir()
    (source / "x.npy").write_bytes(ARRAY.blob)
    (source / "full/y.npy").write_bytes(ARRAY.blob)
    (source / "plain.txt").write_bytes(b"text of more than sixteen bytes\n")
    (source / "link.npy").symlink_to("x.npy")
    (source / "folder").symlink_to("full")
    (source / "nowhere").symlink_to("is/nothing")


@contextlib.contextmanager
def ext4(directory, content):
    """A filesystem image of a directory's content, mounted read-only."""
    image, root = directory / "ext4", directory / "disk"
    root.mkdir()
    run("mkfs.ext4", "-q", "-d", content, image, "16M")
    run("mount", "-o", "loop,ro", image, root)
    try:
        yield root
    finally:
        run("umount", root)
        assert not in_mount_table(root)


def snapshot(directory):
    """All that there is to a tree, but for the times of access."""
    for folder, folders, files in sorted(os.walk(directory)):
        for path in [folder, *(os.path.join(folder, name) for name in sorted(folders + files))]:
            found = os.lstat(path)
            content = read(path) if stat.S_ISREG(found.st_mode) else None
            link = os.readlink(path) if stat.S_ISLNK(found.st_mode) else None
            xattrs = os.listxattr(path, follow_symlinks=False)
            attributes = found.st_mode, found.st_uid, found.st_nlink, found.st_mtime_ns, found.st_ctime_ns
            yield path, attributes, xattrs, content, link


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The roots of a mount and of a disk with the very files that the mount shows."""
    directory = tmp_path_factory.mktemp("read only")
    (directory / "source").mkdir()
    populate(directory / "source")
    with Mount(directory / "source", directory / "mount") as mount, ext4(directory, mount.path) as disk:
        yield mount.path, disk


@pytest.mark.parametrize("target", refusals.TARGETS.values(), ids=refusals.TARGETS)
@pytest.mark.parametrize("call", refusals.CALLS)
def test_a_change_is_refused_as_on_a_disk(both, call, target):
    mount, disk = (refusals.errno_of(call, root / target, root) for root in both)
    assert mount == disk


def test_after_all_of_them_the_source_is_what_it_was(own_mount):
    populate(own_mount.source)
    before = list(snapshot(own_mount.source))
    for call in refusals.CALLS:
        for target in refusals.TARGETS.values():
            refusals.errno_of(call, own_mount / target, own_mount.path)
    assert list(snapshot(own_mount.source)) == before
