"""On a writable mount another user may write what the files' permissions let them write without it,
and no more; and an ordinary user may mount their own files writable."""

import os
import shutil

import numpy as np
import pytest

import oracle
from checks import attempted, read
from corpus import SMALL
from mounting import program, run
from users import (
    GROUP,
    SOMEBODY,
    USER,
    array_files,
    as_other_user,
    give,
    of_all_modes,
    open_directory,
    opened,
    paths,
    shared_mount,
    writable,
)

OTHER = oracle.saved(-SMALL.array[:3])


@pytest.fixture(scope="module")
def shared():
    with shared_mount(of_all_modes, "--writable") as mount:
        yield mount


def written(path):
    return attempted(lambda: path.write_bytes(OTHER)) == len(OTHER)


@pytest.mark.parametrize("group", [GROUP, SOMEBODY])
def test_another_user_may_write_what_they_may_write_without_the_mount(shared, group):
    def look():
        return [(writable(shared.source / path), writable(shared / path)) for path in names]

    names = [path for path in paths(shared.source) if path.suffix == ".npy"]
    found = as_other_user(look, group)
    for path, (native, served) in zip(names, found):
        assert served == native, path
    denied = sum(native[0] == "EACCES" for native, _ in found)
    assert 30 < denied < len(names) - 10, "both must occur"


@pytest.mark.parametrize("group", [GROUP, SOMEBODY])
def test_an_array_s_slices_are_writable_to_whom_its_file_is(shared, group):
    """To those who may read it as well: others do not get into its directory."""

    def look():
        return [
            (
                [opened(shared.source / path, access) for access in (os.O_RDONLY, os.O_WRONLY)],
                [opened(shared / path.with_suffix("") / name, os.O_WRONLY) for name in inner],
            )
            for path in names
        ]

    inner = ("rows/0-3.npy", "T.raw", "slice/::2.npy")
    names = array_files(shared.source)
    for path, (native, served) in zip(names, as_other_user(look, group)):
        expected = None if native == [None, None] else "EACCES"
        assert served == [expected] * len(inner), path


def test_what_another_user_writes_changes_their_files_and_no_others(shared):
    def look():
        return [written(shared / path.with_suffix("") / "rows/0-3.npy") for path in names]

    names = array_files(shared.source)
    before = {path: read(shared.source / path) for path in names}
    start = len(OTHER) - SMALL.array[:3].nbytes
    size = len(OTHER) - start
    found = as_other_user(look)
    assert 5 < sum(found) < len(names) - 5, "both must occur"
    for path, done in zip(names, found):
        content = before[path]
        if done:
            content = content[: SMALL.offset] + OTHER[start:] + content[SMALL.offset + size :]
        assert read(shared.source / path) == content, path
        assert os.stat(shared.source / path).st_uid == os.stat(shared / path).st_uid
        (shared.source / path).write_bytes(before[path])


def test_a_link_lets_another_user_write_no_more_than_its_target_does(shared):
    source = shared.source
    (source / "to open.npy").symlink_to("666.npy")
    (source / "to read-only.npy").symlink_to("644 0 0.npy")
    (source / "666.npy").write_bytes(SMALL.blob)
    give(source / "666.npy", 0o666, (0, 0))

    def look():
        names = ("to open", "to read-only", "to closed", "through closed")
        return [writable(shared / name / "rows/0-3.npy")[:3] for name in names]

    open_, read_only, closed, through = as_other_user(look)
    assert open_ == [None] * 3
    assert read_only == closed == ["EACCES"] * 3
    assert set(through) <= {"EACCES", "ENOENT"}


def test_another_user_changes_no_names_and_no_attributes(shared):
    """Not of their own file either, in a folder of their own."""
    folder = shared.source / "own"
    folder.mkdir()
    give(folder, 0o777, (USER, GROUP))
    (folder / "x.npy").write_bytes(SMALL.blob)
    give(folder / "x.npy", 0o644, (USER, GROUP))

    def look():
        mine = shared / "own"
        return [
            attempted(os.chmod, mine / "x.npy", 0o666),
            attempted(os.utime, mine / "x.npy"),
            attempted(os.unlink, mine / "x.npy"),
            attempted(os.rename, mine / "x.npy", mine / "y.npy"),
            attempted(os.mkdir, mine / "z"),
            attempted(lambda: (mine / "new").write_bytes(b"")),
            written(mine / "x/rows/0-3.npy"),
        ]

    assert as_other_user(look) == ["EPERM"] * 6 + [True]
    assert sorted(os.listdir(folder)) == ["x.npy"]
    assert np.array_equal(np.load(folder / "x.npy")[:3], -SMALL.array[:3], equal_nan=True)


AS_ORDINARY_USER = """
    cd "$1"
    mknod fuse c 10 229
    chmod 666 fuse
    mount --bind fuse /dev/fuse
    exec setpriv --reuid 65534 --regid 65534 --clear-groups sh -euc '
        trap "./npyfs umount mnt" EXIT
        ./npyfs mount --writable data mnt
        cp part.npy mnt/mine/rows/0-3.npy
        ! cp part.npy mnt/theirs/rows/0-3.npy
        ! cp part.npy mnt/new.npy
        grep -c " $PWD/mnt fuse.npyfs rw," /proc/self/mounts
    '
"""


def test_an_ordinary_user_mounts_their_files_writable():
    """In a mount namespace of its own, in which everybody may open /dev/fuse, as is usual."""
    with open_directory() as directory:
        for name, owner in {"data": (USER, GROUP), "mnt": (USER, GROUP)}.items():
            (directory / name).mkdir()
            give(directory / name, 0o755, owner)
        shutil.copy(program(), directory / "npyfs")
        (directory / "part.npy").write_bytes(OTHER)
        for name, owner in {"mine": (USER, GROUP), "theirs": (0, 0)}.items():
            (directory / f"data/{name}.npy").write_bytes(SMALL.blob)
            give(directory / f"data/{name}.npy", 0o644, owner)
        script = ["--mount", "--propagation", "private", "sh", "-euc", AS_ORDINARY_USER, "sh"]
        done = run("unshare", *script, directory)
        assert done.stdout == "1\n", done.stderr
        mine = np.load(directory / "data/mine.npy")
        assert oracle.raw(mine[:3]) == OTHER[-mine[:3].nbytes :]
        assert oracle.raw(mine[3:]) == oracle.raw(SMALL.array[3:])
        assert read(directory / "data/theirs.npy") == SMALL.blob
