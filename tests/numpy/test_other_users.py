"""With --allow-other another user sees through the mount what the files' permissions let
them see without it, and no more."""

import errno
import itertools
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

import corpus
from checks import read
from mounting import Mount

ARRAY = corpus.sample("x", (6, 5), "<f8")

USER, GROUP, SOMEBODY = 65534, 65534, 12345
FILE_MODES = [0o644, 0o640, 0o604, 0o600, 0o444, 0o040, 0o004, 0o000, 0o222, 0o755, 0o711, 0o200]
FOLDER_MODES = [0o755, 0o750, 0o705, 0o711, 0o744, 0o700, 0o555, 0o051, 0o004, 0o001, 0o000]
OWNERS = [(0, 0), (USER, GROUP), (SOMEBODY, GROUP), (USER, SOMEBODY), (SOMEBODY, SOMEBODY)]


def give(path, mode, owner):
    os.chown(path, *owner)
    os.chmod(path, mode)


def populate(source):
    """Files of every mode and owner, in folders of every mode and owner."""
    for mode, owner in itertools.product(FILE_MODES, OWNERS):
        path = source / f"{mode:03o} {owner[0]} {owner[1]}.npy"
        path.write_bytes(ARRAY.blob)
        give(path, mode, owner)
    for mode, owner in itertools.product(FOLDER_MODES, OWNERS):
        folder = source / f"folder {mode:03o} {owner[0]} {owner[1]}"
        (folder / "deeper").mkdir(parents=True)
        for name, file_mode in {"open.npy": 0o644, "closed.npy": 0o600, "deeper/open.npy": 0o644}.items():
            (folder / name).write_bytes(ARRAY.blob)
            give(folder / name, file_mode, (0, 0))
        (folder / "link.npy").symlink_to("open.npy")
        (folder / "out").symlink_to("../644 0 0.npy")
        give(folder, mode, owner)
    (source / "to closed.npy").symlink_to("600 0 0.npy")
    (source / "through closed.npy").symlink_to("folder 700 0 0/open.npy")


def paths(source):
    """Every path, as root finds them."""
    found = [Path(".")]
    for folder, folders, files in os.walk(source):
        found += [Path(folder, name).relative_to(source) for name in folders + files]
    return found


def attempted(action, *arguments):
    try:
        return action(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]


def attributes(path):
    """Without write bits, which the mount takes away."""
    found = os.lstat(path)
    folder = os.path.isdir(path) and not os.path.islink(path)
    return found.st_mode & ~0o222, found.st_uid, found.st_gid, None if folder else found.st_size


def sight(path):
    """What can be seen of a path: its attributes, text, entries, bytes, or why not."""
    return {
        "stat": attempted(attributes, path),
        "link": attempted(os.readlink, path),
        "list": attempted(lambda: sorted(os.listdir(path))),
        "open": attempted(lambda: len(read(path))),
        "may": [os.access(path, mode) for mode in (os.F_OK, os.R_OK, os.X_OK)],
    }


def as_other_user(look, group=GROUP, groups=()):
    """What a function returns in a process of another user, who is in one group, or in `groups` too."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(groups)
            os.setresgid(group, group, group)
            os.setresuid(USER, USER, USER)
            with open(into, "w") as file:
                json.dump(look(), file)
        finally:
            os._exit(0)
    os.close(into)
    with open(out) as file:
        told = file.read()
    os.waitpid(child, 0)
    return json.loads(told)


@pytest.fixture(scope="module")
def shared():
    """A mount for all users, in a directory that all of them may enter."""
    directory = Path(tempfile.mkdtemp())
    try:
        os.chmod(directory, 0o755)
        (directory / "source").mkdir(mode=0o755)
        populate(directory / "source")
        with Mount(directory / "source", directory / "mount", "--allow-other") as mount:
            yield mount
    finally:
        shutil.rmtree(directory)


def without_arrays(entries):
    """A listing as the source has it, or an error as it is."""
    if isinstance(entries, str):
        return entries
    return [name for name in entries if f"{name}.npy" not in entries]


def sights(mount, names):
    """What is seen of each path in the source, and what through the mount."""
    seen = []
    for path in names:
        native, served = sight(mount.source / path), sight(mount / path)
        served["list"] = without_arrays(served["list"])
        seen.append((native, served))
    return seen


@pytest.mark.parametrize("group", [GROUP, SOMEBODY])
def test_another_user_sees_of_the_source_what_they_see_without_the_mount(shared, group):
    names = paths(shared.source)
    denied = 0
    for path, (native, served) in zip(names, as_other_user(lambda: sights(shared, names), group)):
        assert served == native, path
        denied += "EACCES" in native.values()
    assert 100 < denied < len(names) - 100, "both are to be met"


@pytest.mark.parametrize("group", [GROUP, SOMEBODY])
def test_an_array_s_directory_is_open_to_whom_its_file_is(shared, group):
    def look():
        seen = []
        for path in names:
            stem = path.with_suffix("")
            inner = ("rows/0-3.npy", "T.raw", "header.json", "cols/USAGE.txt")
            native = attempted(lambda: len(read(shared.source / path)))
            opened = [attempted(lambda: len(read(shared / stem / name))) for name in inner]
            beside = attempted(lambda: len(read(shared / f"{stem}.raw")))
            listed = [attempted(os.listdir, shared / stem / name) for name in (".", "rows", "cols")]
            seen.append((native, opened, beside, listed))
        return seen

    names = [path for path in paths(shared.source) if path.suffix == ".npy"]
    names = [path for path in names if not (shared.source / path).is_symlink()]
    row, whole = np.prod(ARRAY.array.shape[1:]) * 8, ARRAY.array.nbytes
    for path, (native, opened, beside, listed) in zip(names, as_other_user(look, group)):
        if native == len(ARRAY.blob):
            assert opened[:2] == [128 + 3 * row, whole], path
            assert min(opened[2:]) > 0 and beside == whole and all(map(len, listed)), path
        else:
            assert native == "EACCES"
            assert [*opened, beside, *listed] == ["EACCES"] * 8, path


def test_a_link_gives_another_user_no_more_than_its_target(shared):
    def look():
        listed = [attempted(os.listdir, shared / name) for name in links]
        inner = [shared / name / path for name in links for path in ("rows/0.npy", "T.raw", "header.json")]
        return listed, [attempted(lambda: len(read(path))) for path in inner]

    links = ("to closed", "through closed")
    listed, inner = as_other_user(look)
    assert listed == ["EACCES", ["error.txt"]]
    assert set(inner) == {"EACCES", "ENOENT"}
