"""With --allow-other another user sees of an archive's members what they may see of the archive, and no more."""

import itertools
import os

import numpy as np
import pytest

import oracle
import zips
from checks import attempted, read
from users import (
    ACCESS,
    FILE_MODES,
    FOLDER_MODES,
    GROUP,
    OWNERS,
    SOMEBODY,
    USER,
    access_list,
    as_other_user,
    give,
    shared_mount,
)

ARRAY = np.arange(30).reshape(6, 5)
MEMBERS = {"a.npy": oracle.saved(ARRAY), "sub/b.txt": b"text", "bad.npy": b"no array"}
BLOB = zips.of_members(MEMBERS)
LENGTHS = {"a.npy": len(MEMBERS["a.npy"]), "a.raw": 240, "a/rows/0-3.npy": 248, "a/T.raw": 240, "sub/b.txt": 4}
TEXTS = ["a/header.json", "a/rows/USAGE.txt", "bad/error.txt"]
DIRECTORIES = [".", "sub", "a", "a/rows", "bad"]


def populate(source):
    for mode, owner in itertools.product(FILE_MODES, OWNERS):
        path = source / f"{mode:03o} {owner[0]} {owner[1]}.npz"
        path.write_bytes(BLOB)
        give(path, mode, owner)
    for mode in FOLDER_MODES:
        folder = source / f"folder {mode:03o}"
        folder.mkdir()
        (folder / "x.npz").write_bytes(BLOB)
        give(folder, mode, (SOMEBODY, GROUP))
    for name, users in {"named": [(USER, 4)], "named out": [(USER, 0)]}.items():
        path = source / f"{name}.npz"
        path.write_bytes(BLOB)
        os.chmod(path, 0o644)
        os.setxattr(path, ACCESS, access_list(6, 4, 0 if users[0][1] else 4, 4, users))
    (source / "to closed.npz").symlink_to("600 0 0.npz")


@pytest.fixture(scope="module")
def shared():
    with shared_mount(populate) as mount:
        yield mount


@pytest.mark.parametrize("group", [GROUP, SOMEBODY])
def test_members_are_open_to_whom_the_archive_is(shared, group):
    def look():
        seen = []
        for path in paths:
            native = attempted(lambda: len(read(shared.source / path)))
            members = shared / path.with_suffix("")
            opened = [attempted(lambda: len(read(members / name))) for name in [*LENGTHS, *TEXTS]]
            seen.append((native, opened, [attempted(os.listdir, members / name) for name in DIRECTORIES]))
        return seen

    paths = [path.relative_to(shared.source) for path in sorted(shared.source.rglob("*.npz"))]
    granted = 0
    for path, (native, opened, listed) in zip(paths, as_other_user(look, group)):
        if native == len(BLOB):
            granted += 1
            assert opened[: len(LENGTHS)] == list(LENGTHS.values()), path
            assert min(opened[len(LENGTHS) :]) > 0 and all(map(len, listed)), path
        else:
            assert native == "EACCES", path
            assert set([*opened, *listed]) == {"EACCES"}, path
    assert 20 < granted < len(paths) - 20, "both must occur"
