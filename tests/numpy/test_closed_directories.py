"""Nobody gets past a directory that is closed to them, whatever is renamed into its place and wherever
links lead. The closed directories belong to somebody, and another user, who may rename, reads."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

import corpus
from mounting import Mount
from test_other_users import GROUP, SOMEBODY, USER, as_other_user, attempted, give

OPEN = corpus.sample("x", (6, 5), "<f8")
SECRET = corpus.sample("x", (6, 5), "<f8", seed=9)


def add(path, sample=OPEN, mode=0o644, owner=(SOMEBODY, SOMEBODY)):
    path.write_bytes(sample.blob)
    give(path, mode, owner)
    return path


def folder(path, mode=0o755, owner=(SOMEBODY, SOMEBODY)):
    path.mkdir(parents=True)
    give(path, mode, owner)
    return path


@pytest.fixture
def grounds():
    """A directory with a `source` of the user who reads, which all may enter."""
    directory = Path(tempfile.mkdtemp())
    try:
        os.chmod(directory, 0o755)
        folder(directory / "source", 0o755, (USER, GROUP))
        yield directory
    finally:
        shutil.rmtree(directory)


def opened(path, flags=os.O_RDONLY):
    file = os.open(path, flags)
    try:
        return os.read(file, 1 << 20).hex() if flags == os.O_RDONLY else "opened"
    finally:
        os.close(file)


def everything_here():
    """Whatever can be had from the working directory by its names."""
    names = ("x.npy", "x/rows/0-3.npy", "x.raw", "x/header.json", "deep/x.npy", "only.txt")
    return {
        "list": attempted(os.listdir, "."),
        "list deeper": attempted(os.listdir, "deep"),
        "link": attempted(os.readlink, "link"),
        **{f"stat {name}": attempted(lambda: os.stat(name).st_size) for name in names},
        **{f"read {name}": attempted(opened, name) for name in names},
        **{f"write {name}": attempted(opened, name, os.O_WRONLY) for name in ("x.npy", "x/rows/0-3.npy")},
    }


@pytest.mark.parametrize("writable", [(), ("--writable",)], ids=["read-only", "writable"])
@pytest.mark.parametrize("kept", [False, True], ids=["at once", "with the names that the kernel had"])
def test_a_closed_directory_in_the_place_of_one_s_own_shows_nothing(grounds, writable, kept):
    """Natively the user stays in the directory that they are in, wherever that is moved."""
    source = grounds / "source"
    tops = (("open", 0o755, OPEN, (USER, GROUP)), ("closed", 0o700, SECRET, (SOMEBODY, SOMEBODY)))
    for top, mode, sample, owner in tops:
        folder(source / top, owner=owner)
        for within in ("sub", "sub/deep"):
            add(folder(source / top / within, owner=owner) / "x.npy", sample, 0o666)
        (source / top / "sub/link").symlink_to(f"the text of {top}")
        os.chmod(source / top, mode)
    add(source / "closed/sub/only.txt", SECRET)

    def look():
        os.chdir(mount / "open/sub")
        before = everything_here() if kept else None
        os.rename(source / "open", source / "aside")
        os.rename(source / "closed", source / "open")
        return before, everything_here()

    with Mount(source, grounds / "mount", "--allow-other", "--ttl=0", *writable) as mount:
        before, after = as_other_user(look)
        assert before is None or before["link"] == "the text of open" and "x.npy" in before["list"]
        assert all(seen in ("ESTALE", "ENOENT", "EROFS") for seen in after.values()), after
        assert os.readlink(mount / "open/sub/link") == "the text of closed", "who may enter finds it"
