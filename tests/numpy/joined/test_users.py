"""A join grants each user what every one of its files grants them, and never more."""

import itertools
import os
import time

import numpy as np
import pytest

import shards
import users
from checks import attempted, read
from users import GROUP, SOMEBODY, USER, as_other_user, give, shared_mount

KINDS = [(mode, owner) for mode in (0o644, 0o640, 0o600, 0o604, 0o044) for owner in ((0, 0), (USER, GROUP), (0, GROUP))]
FOLDERS = [(0o755, (0, 0)), (0o711, (0, 0)), (0o750, (0, GROUP)), (0o700, (USER, GROUP))]


def array(value):
    return np.full((4, 3), value, "<i4")


def fill(folder, kinds):
    shards.write(folder, {f"{i}.npy": array(i) for i in range(len(kinds))})
    for i, (mode, owner) in enumerate(kinds):
        give(folder / f"{i}.npy", mode, owner)


def of_all_kinds(source):
    """Directories of two files of every two kinds, and of a few kinds of directories."""
    for i, kinds in enumerate(itertools.product(KINDS, repeat=2)):
        fill(source / f"pair {i}", kinds)
    for i, (kind, folder) in enumerate(itertools.product(KINDS, FOLDERS)):
        fill(source / f"folder {i}", [kind] * 3)
        give(source / f"folder {i}", *folder)


@pytest.fixture(scope="module")
def shared():
    with shared_mount(of_all_kinds) as mount:
        yield mount


INNER = ["concat.npy", "concat/rows/0-2.npy", "concat/sources.json", "concat/header.json", "stack/T.raw"]


def natively(folder):
    """Whether all files can be read without the mount, and listed."""
    names = attempted(os.listdir, folder)
    return names != "EACCES" and all(attempted(lambda n=n: len(read(folder / n))) != "EACCES" for n in names)


@pytest.mark.parametrize(("group", "groups"), [(GROUP, ()), (SOMEBODY, ()), (SOMEBODY, (GROUP,))])
def test_a_join_is_open_to_whom_all_its_files_are_open_and_to_nobody_else(shared, group, groups):
    def look():
        found = []
        for folder in folders:
            opened = [attempted(lambda p=p: len(read(shared / folder / p))) for p in INNER]
            listed = attempted(os.listdir, shared / folder / "concat")
            found.append((natively(shared.source / folder), [*opened, "EACCES" if listed == "EACCES" else 1]))
        return found

    folders = sorted(os.listdir(shared.source))
    granted = closed = 0
    for folder, (native, opened) in zip(folders, as_other_user(look, group, groups)):
        is_open = "EACCES" not in opened
        assert is_open or set(opened) == {"EACCES"}, (folder, opened)
        assert native or not is_open, f"{folder}: more than the source grants"
        owners = {(os.stat(path).st_uid, os.stat(path).st_gid) for path in (shared.source / folder).iterdir()}
        modes = [os.stat(path).st_mode & 0o444 for path in (shared.source / folder).iterdir()]
        can_say = folder.startswith("pair") and (len(owners) == 1 or set(modes) == {0o444})
        assert is_open or not (native and can_say), f"{folder}: less than can be said"
        granted, closed = granted + is_open, closed + (not is_open)
    assert granted > 20 and closed > 20, "both are to be met"


def test_root_reads_every_join(shared):
    for folder in os.listdir(shared.source):
        expected = np.concatenate([np.load(path) for path in shards_of(shared.source / folder)])
        assert np.array_equal(np.load(shared / folder / "concat.npy"), expected)


def shards_of(folder):
    return sorted(folder.glob("*.npy"))


@pytest.fixture
def own():
    with shared_mount(lambda source: fill(source, [(0o644, (0, 0))] * 5)) as mount:
        yield mount


def reads(mount):
    """What another user gets of all, in bytes or as an error; not from the kernel's pages."""

    def look():
        def one(path):
            file = os.open(mount / path, os.O_RDONLY | os.O_DIRECT)
            try:
                return os.pread(file, 1 << 16, 0).hex()
            finally:
                os.close(file)

        return attempted(one, "concat.raw")

    return as_other_user(look)


def test_a_file_that_is_closed_is_not_read_by_a_join_from_then_on(own):
    whole = b"".join(array(i).tobytes() for i in range(5)).hex()
    time.sleep(1.3)
    assert reads(own) == whole
    for mode, owner in [(0o600, (0, 0)), (0o640, (0, 0)), (0o600, (USER, GROUP))]:
        give(own.source / "3.npy", mode, owner)
        # An error at once, by whichever of the looks at it comes first.
        assert reads(own) in ("EACCES", "EIO")
        time.sleep(1.3)
        assert reads(own) == "EACCES"
        give(own.source / "3.npy", 0o644, (0, 0))
        time.sleep(1.3)
        assert reads(own) == whole


def test_the_attributes_are_those_that_all_files_have(own):
    for i in range(5):
        os.utime(own.source / f"{i}.npy", (1000 + i, 2000 - i))
    for name, kind, size in [("concat.npy", 0o100444, 128 + 240), ("concat", 0o040555, 0)]:
        found = os.stat(own / name)
        assert (found.st_mode, found.st_uid, found.st_gid, found.st_size) == (kind, 0, 0, size)
        assert (found.st_atime, found.st_mtime) == (1004, 2000)
        assert found.st_ctime == max(os.stat(path).st_ctime for path in shards_of(own.source))


def set_list(path, user, permissions):
    """Sets an access list that names a user."""
    os.setxattr(path, users.ACCESS, users.access_list(6, 4, 4, 4, [(user, permissions)]))


def test_access_lists_count_where_all_files_have_the_same_and_close_a_join_where_they_differ(own):
    time.sleep(1.3)
    assert reads(own) not in ("EACCES", "EIO")
    set_list(own.source / "3.npy", USER, 0)
    # The mode bits are as they were.
    assert reads(own) in ("EACCES", "EIO")
    time.sleep(1.3)
    assert reads(own) == "EACCES"
    assert as_other_user(lambda: attempted(os.listdir, own / "concat"), GROUP) == "EACCES"
    for i in range(5):
        set_list(own.source / f"{i}.npy", USER, 4)
    time.sleep(1.3)
    assert reads(own) == b"".join(array(i).tobytes() for i in range(5)).hex()
    for i in range(5):
        set_list(own.source / f"{i}.npy", USER, 0)
    time.sleep(1.3)
    assert reads(own) == "EACCES"


def test_a_symlink_in_a_join_leads_nobody_to_what_is_closed_to_them(own):
    (own.source / "closed").mkdir()
    shards.write(own.source / "closed", {"x.npy": array(9)})
    (own.source / "9.npy").symlink_to("closed/x.npy")
    time.sleep(1.3)
    assert reads(own) not in ("EACCES", "EIO")
    os.chmod(own.source / "closed", 0o700)
    assert reads(own) in ("EACCES", "EIO", "ENOENT")
    time.sleep(1.3)
    assert reads(own) in ("EACCES", "ENOENT")
