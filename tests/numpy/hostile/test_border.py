"""Nothing outside of the source is opened, nor what is no regular file, whatever a name is or becomes.

The traps are inotify watches: they tell of every open of a file, whoever it is by, and of
no mere look at its attributes.
"""

import contextlib
import ctypes
import os
import stat
import subprocess
import time

import numpy as np
import pytest

import corpus
import oracle
from checks import assert_absent, assert_encodings, assert_same_bytes, error_of, read
from corpus import SMALL as INSIDE, SMALL_OTHER as OUTSIDE
from disks import mounted_at
from mounting import Mount, wait_until
from oracle import Chain
from processes import repeating
from refusals import exchange

SWAPPED_SECONDS, MOST_SECONDS = 1, 60
"""How long names take turns: until then, and until each path was met, but not for ever."""

_libc = ctypes.CDLL(None, use_errno=True)
_IN_ACCESS, _IN_OPEN = 0x1, 0x20


class Traps:
    """Tells whether files, or files in directories, have been opened."""

    def __init__(self, *paths):
        self._queue = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._queue >= 0
        for path in paths:
            watch = _libc.inotify_add_watch(self._queue, os.fsencode(path), _IN_OPEN | _IN_ACCESS)
            assert watch >= 0, f"{path}: {os.strerror(ctypes.get_errno())}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._queue)

    def sprung(self):
        """Whether anything was opened since the last time that this was asked."""
        with contextlib.suppress(BlockingIOError):
            return bool(os.read(self._queue, 1 << 16))
        return False


def touch(path):
    """Opens a file as it stands there, with no symlink followed by ourselves, and reads it."""
    with contextlib.suppress(OSError):
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            return os.read(file, 1 << 20)
        finally:
            os.close(file)


def touch_all(root):
    """Everything that is listed, and what is not but could be there."""
    for folder, folders, files in os.walk(root):
        for name in files:
            touch(os.path.join(folder, name))
        for name in folders + files:
            stem = os.path.join(folder, name).removesuffix(".npy")
            for inner in ("", ".npy", ".raw", ".npy.d", "/header.json", "/rows/0-3.npy", "/T.raw"):
                touch(stem + inner)


@pytest.fixture
def grounds(tmp_path):
    """`source` with an array, and `outside` with another. Links that lead from the source to
    `outside` lead nowhere from the mount, so that this process does not follow them."""
    source, outside = tmp_path / "deep/source", tmp_path / "outside"
    source.mkdir(parents=True)
    outside.mkdir()
    (source / "x.npy").write_bytes(INSIDE.blob)
    (outside / "x.npy").write_bytes(OUTSIDE.blob)
    return tmp_path


OUT = "../../outside"


def test_what_links_out_of_the_source_lead_to_is_never_opened(grounds):
    source, outside = grounds / "deep/source", grounds / "outside"
    (source / "sub").mkdir()
    for name, text in {
        "relative.npy": f"{OUT}/x.npy",
        "around.npy": f"sub/../{OUT}/x.npy",
        "back.npy": "../../deep/source/x.npy",
        "absolute.npy": outside / "x.npy",
        "by a process.npy": f"/proc/self/cwd/{outside}/x.npy",
        "chain.npy": "relative.npy",
        "folder": OUT,
        "folder.npy": outside,
        "through.npy": "folder/x.npy",
        "sub/up.npy": f"../{OUT}/x.npy",
    }.items():
        (source / name).symlink_to(text)
    with Traps(outside, outside / "x.npy") as traps, Mount(source, grounds / "mount") as mount:
        touch_all(mount.path)
        assert not traps.sprung()
        for name in ("relative", "around", "back", "absolute", "by a process", "chain", "through", "sub/up"):
            assert os.listdir(mount / name) == ["error.txt"]
        assert_encodings(mount, Chain("x", INSIDE.array).rows(1, 3))
        read(outside / "x.npy")
        assert traps.sprung(), "the trap is a dud"


def test_two_dots_lead_nowhere(grounds):
    """Neither in the names of files nor in those of fields, nor where they are written otherwise."""
    source, outside = grounds / "deep/source", grounds / "outside"
    record = np.zeros(3, [("..", "<i4"), ("../../../outside/x.npy", "<i4"), (".", "<i4"), ("/", "<i4")])
    np.save(source / "record.npy", record)
    for name in ("..npy", "...npy", "%2E%2E.npy", "..%2F..%2Foutside.npy"):
        (source / name).write_bytes(INSIDE.blob)
    with Traps(outside, outside / "x.npy") as traps, Mount(source, grounds / "mount") as mount:
        touch_all(mount.path)
        for folder, folders, files in os.walk(mount.path):
            assert not {".", ".."} & {*folders, *files}, folder
        for path in ("x/rows/../../x.npy", "x/slice/..", "x/../..", "..", "record/fields/.."):
            assert os.path.samefile(mount / path, os.path.normpath(mount / path)), path
        assert_absent(mount / "x/..%2F..%2Foutside")
        assert_absent(mount / "record/fields/..%2F..%2Foutside")
        assert len(os.listdir(mount / "record/fields")) == 5
        assert not traps.sprung()


def test_devices_fifos_and_sockets_are_never_opened(grounds):
    """Not even for a moment: a tape would rewind, and a writer that waits at a FIFO would go on."""
    source = grounds / "deep/source"
    os.mknod(source / "character.npy", stat.S_IFCHR | 0o644, os.makedev(1, 3))
    os.mknod(source / "block.npy", stat.S_IFBLK | 0o644, os.makedev(7, 0))
    os.mknod(source / "socket.npy", stat.S_IFSOCK | 0o644)
    os.mkfifo(source / "fifo.npy")
    special = [source / f"{name}.npy" for name in ("character", "block", "socket", "fifo")]
    for path in special:
        (source / f"to {path.name}").symlink_to(path.name)
    (source / "to null.npy").symlink_to("/dev/null")
    writer = subprocess.Popen(["sh", "-c", 'echo > "$0"', source / "fifo.npy"])
    try:
        with Traps(*special) as traps, Mount(source, grounds / "mount") as mount:
            touch_all(mount.path)
            for path in special:
                assert touch(mount / path.name) is None
                assert error_of(os.stat, mount / path.stem)
            assert not traps.sprung()
            assert writer.poll() is None, "whoever waits for a reader waits on"
            touch(source / "fifo.npy")
            assert traps.sprung(), "the trap is a dud"
            writer.wait(timeout=20)
    finally:
        writer.kill()
        writer.wait()


def swapping(spot, stand_in, array):
    """A process that exchanges two names, over and over. Each time it puts a new file in the array's
    place, since a file that is open already is not looked up again."""

    def swap():
        new = stand_in.with_name("new")
        new.write_bytes(INSIDE.blob)
        os.replace(new, array)
        exchange(spot, stand_in)
        exchange(spot, stand_in)

    return repeating(swap)


def fifo(path, _):
    os.mkfifo(path)


def device(path, _):
    os.mknod(path, stat.S_IFCHR | 0o644, os.makedev(1, 3))


# What takes turns with something beneath the source: where, and which.
TURNS = {
    "a file and a link out": ("sub/x.npy", lambda path, _: path.symlink_to(f"{OUT}/x.npy")),
    "a file and an absolute link": ("sub/x.npy", lambda path, outside: path.symlink_to(outside / "x.npy")),
    "a file and a link to a link": ("sub/x.npy", lambda path, _: path.symlink_to("../leads out.npy")),
    "a link and a link out": ("sub/link.npy", lambda path, _: path.symlink_to(f"{OUT}/x.npy")),
    "a directory and a link out": ("sub", lambda path, _: path.symlink_to(OUT)),
    "a file and a FIFO": ("sub/x.npy", fifo),
    "a file and a device": ("sub/x.npy", device),
}


@pytest.mark.parametrize("spot, make", TURNS.values(), ids=TURNS)
def test_what_becomes_another_while_it_is_looked_up_opens_nothing_else(grounds, spot, make):
    source, outside, stand_in = grounds / "deep/source", grounds / "outside", grounds / "deep/other"
    (source / "sub").mkdir()
    (source / "sub/x.npy").write_bytes(INSIDE.blob)
    (source / "sub/link.npy").symlink_to("../x.npy")
    (source / "leads out.npy").symlink_to(f"{OUT}/x.npy")
    make(stand_in, outside)
    name, array = ("sub/link", "x.npy") if "link" in spot else ("sub/x", "sub/x.npy")
    due = {
        f"{name}/rows/0-3.npy": oracle.npy(INSIDE.array[:3]),
        f"{name}/T.raw": oracle.raw(INSIDE.array.T),
        f"{name}.raw": oracle.raw(INSIDE.array),
        "sub/x.npy": INSIDE.blob,
    }
    met = dict.fromkeys(due, 0)
    special = [] if stand_in.is_symlink() else [stand_in]
    with Traps(outside, outside / "x.npy", *special) as traps:
        with Mount(source, grounds / "mount", "--ttl=0") as mount:
            with swapping(source / spot, stand_in, source / array):
                began = time.monotonic()
                while (spent := time.monotonic() - began) < SWAPPED_SECONDS or not all(met.values()):
                    assert spent < MOST_SECONDS, met
                    for path, blob in due.items():
                        got = touch(mount / path)
                        if got is not None:
                            assert_same_bytes(got, blob, path)
                            met[path] += 1
        assert not traps.sprung()
        read(outside / "x.npy")
        assert traps.sprung(), "the trap is a dud"


# Other filesystems. What is mounted in the source was put there by its owner, and is a part of it.


def tmpfs(path):
    return mounted_at(path, "-t", "tmpfs", "tmpfs")


def test_a_source_on_another_filesystem_has_a_border_too(grounds):
    with tmpfs(grounds / "deep/tmpfs") as source:
        (source / "x.npy").write_bytes(INSIDE.blob)
        (source / "out.npy").symlink_to(f"{OUT}/x.npy")
        with Traps(grounds / "outside") as traps, Mount(source, grounds / "mount") as mount:
            touch_all(mount.path)
            assert_encodings(mount, Chain("x", INSIDE.array).rows(1, 3).cols(0, 2))
            assert os.listdir(mount / "out") == ["error.txt"]
            assert not traps.sprung()


def test_filesystems_mounted_in_the_source_are_a_part_of_it(grounds):
    """Two of them, new, give their files the same numbers: each name still has its own bytes."""
    source = grounds / "deep/source"
    with Mount(source, grounds / "mount") as mount:
        with tmpfs(source / "one") as one, tmpfs(source / "two") as two:
            versions = {one: OUTSIDE, two: corpus.sample("x", (6, 5), "<f8", seed=3)}
            for folder, sample in versions.items():
                (folder / "x.npy").write_bytes(sample.blob)
                (folder / "up.npy").symlink_to("../x.npy")
                (folder / "out.npy").symlink_to(f"../{OUT}/x.npy")
            assert os.stat(one / "x.npy").st_ino == os.stat(two / "x.npy").st_ino, "or this proves nothing"
            with Traps(grounds / "outside") as traps:
                touch_all(mount.path)
                for _ in range(3):
                    for folder, sample in versions.items():
                        chain = Chain(f"{folder.name}/x", sample.array)
                        assert_encodings(mount, chain.rows(1, 3).cols(0, 2))
                        assert_same_bytes(read(mount / folder.name / "x.npy"), sample.blob, folder)
                        assert_encodings(mount, Chain(f"{folder.name}/up", INSIDE.array).rows(1, 3))
                        assert os.listdir(mount / folder.name / "out") == ["error.txt"]
                assert not traps.sprung()
        wait_until(lambda: os.listdir(mount / "one") == [], 20, "empty again")


def test_a_bind_mount_in_the_source_is_a_part_of_it_and_what_links_lead_to_from_there_is_not(grounds):
    source, outside = grounds / "deep/source", grounds / "outside"
    beyond = grounds / "beyond"
    beyond.mkdir()
    (beyond / "x.npy").write_bytes(OUTSIDE.blob)
    (outside / "beyond.npy").symlink_to("../../../beyond/x.npy")
    (outside / "straight.npy").symlink_to(beyond / "x.npy")
    with Mount(source, grounds / "mount") as mount, mounted_at(source / "bound", "--bind", outside):
        with Traps(beyond, beyond / "x.npy") as traps:
            touch_all(mount.path)
            assert_encodings(mount, Chain("bound/x", OUTSIDE.array).rows(1, 3))
            for name in ("beyond", "straight"):
                assert os.listdir(mount / "bound" / name) == ["error.txt"]
            assert not traps.sprung()
