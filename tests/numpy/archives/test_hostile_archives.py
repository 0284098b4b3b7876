"""Archives that were made to do harm: a fault concerns its member, or the archive where there is none to blame, and
costs little."""

import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest

import oracle
import zips
from checks import assert_absent, assert_array, assert_same_bytes, load, read
from mounting import Mount, wait_until
from processes import peak_and_now, worked
from zips import Item

ARRAY = np.arange(12).reshape(3, 4)
NPY = oracle.saved(ARRAY)
BIG = 1 << 40

PLACE = "reaches into what comes after it in the archive"
OTHER = "has the header of another one"
COMPRESSED = "is compressed; np.savez does not compress"

MEMBERS = {
    "compressed": (Item(b"bad.npy", NPY, method=8), COMPRESSED),
    "of an unknown method": (Item(b"bad.npy", NPY, method=99), COMPRESSED),
    "encrypted": (Item(b"bad.npy", NPY, flags=1), "is encrypted"),
    "strongly encrypted": (Item(b"bad.npy", NPY, flags=1 | 1 << 6), "is encrypted"),
    "masked": (Item(b"bad.npy", NPY, flags=1 << 13), "is encrypted"),
    "of two sizes": (Item(b"bad.npy", NPY, packed_size=len(NPY) - 1), "is not compressed, and yet has two sizes"),
    "a byte too long": (Item(b"bad.npy", NPY, size=len(NPY) + 1), PLACE),
    "a terabyte long": (Item(b"bad.npy", NPY, size=BIG), PLACE),
    "as long as can be": (Item(b"bad.npy", NPY, size=(1 << 64) - 1), PLACE),
    "in another member": (Item(b"bad.npy", NPY, at=0), OTHER),
    "beyond the end": (Item(b"bad.npy", NPY, at=BIG), PLACE),
    "before any byte": (Item(b"bad.npy", NPY, at=(1 << 64) - 1), PLACE),
    "another by its own header": (Item(b"bad.npy", NPY, local_name=b"bat.npy"), OTHER),
    "without a header": (Item(b"bad.npy", NPY, local_magic=b"PK\0\0"), "has no header in its place"),
}

NO_ARRAYS = {
    "an archive": (zips.saved(a=ARRAY), "not a .npy file: it does not start with \\x93NUMPY"),
    "cut off": (NPY[:-1], "header says 224 bytes, the file has 223"),
    "cut off in its header": (NPY[:50], "the header takes 128 bytes, the file has 50"),
    "empty": (b"", "the file is empty"),
    "a bomb of a shape": (
        oracle.saved(np.zeros(0, "u1")).replace(b"(0,), }" + b" " * 18, b"(1152921504606846976,)}  "),
        "header says 1152921504606847104 bytes, the file has 128",
    ),
}

LEFT_OUT = ["", ".", "..", "../x", "x/../y", "/x", "x//y", "x/./y", "x\0y", "x" * 256, "/".join("x" * 2049)]

BROKEN = {
    "cut off in its last record": (lambda blob: blob[:-10], "the archive's central directory is damaged"),
    "cut off": (lambda blob: blob[:-22], "the archive is cut off: there is no end record in it"),
    "only a beginning": (lambda blob: blob[:4], "the archive is cut off: there is no end record in it"),
    "empty": (lambda blob: b"", "not a .npz file: it does not start with PK"),
    "an array": (lambda blob: NPY, "not a .npz file: it does not start with PK"),
    "of zeros": (lambda blob: bytes(4096), "not a .npz file: it does not start with PK"),
    "split": (
        lambda blob: blob[:-22] + zips.end_record(1, *struct.unpack("<LL", blob[-10:-2]), disk=1),
        "the archive is one of several files",
    ),
    "of a directory that is elsewhere": (
        lambda blob: blob[:-6] + struct.pack("<L", BIG >> 10)[:4] + blob[-2:],
        "the archive's central directory is damaged",
    ),
    "of a directory that is shorter than it is said to be": (
        lambda blob: blob[:-10] + struct.pack("<L", 1 << 20) + blob[-6:],
        "the archive's central directory is damaged",
    ),
}

SECONDS, BYTES = 0.5, 16 << 20
"""What the first look at one may take: ten times what the worst does."""


def surrounded(bad):
    """An archive in which the bad member stands between good ones."""
    return zips.by_hand([Item(b"a.npy", NPY), bad, Item(b"c/d.npy", NPY)])


def archives():
    for name, (bad, _) in MEMBERS.items():
        yield name, surrounded(bad)
    for name, (blob, _) in NO_ARRAYS.items():
        yield f"member: {name}", surrounded(Item(b"bad.npy", blob))
    for name, (spoilt, _) in BROKEN.items():
        yield f"archive: {name}", spoilt(surrounded(Item(b"bad.npy", NPY)))
    yield "names", zips.by_hand([Item(b"a.npy", NPY), *(Item(name.encode(), NPY) for name in LEFT_OUT)])
    yield "quoted", quoted()
    yield "deep", zips.by_hand([Item(b"x/" * 2000 + b"deep.npy", NPY), Item(b"a.npy", NPY)])
    yield "overlapping", zips.by_hand([Item(b"%d.npy" % i, NPY if i == 0 else b"", at=0) for i in range(10_000)])


def quoted():
    """An archive in an archive, whose member is listed as one of the outer one too."""
    inner = zips.by_hand([Item(b"x.npy", NPY)])
    start = 30 + len(b"inner.zip")
    both = [Item(b"inner.zip", inner), Item(b"x.npy", NPY, at=start)]
    directory = b"".join(zips.directory_entry(item, 0) for item in both)
    file = zips.by_hand(both[:1])[: start + len(inner)]
    return file + directory + zips.end_record(2, len(directory), len(file))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hostile archives")
    (directory / "source").mkdir()
    for name, blob in archives():
        (directory / f"source/{name}.npz").write_bytes(blob)
    with Mount(directory / "source", directory / "mount") as mount:
        yield mount
        assert "panicked" not in mount.log()


def assert_good(tree, *members):
    for member in members:
        assert_same_bytes(read(tree / f"{member}.npy"), NPY, member)
        assert_array(load(tree / member / "slice/::2,1:.npy"), ARRAY[::2, 1:], member)


@pytest.mark.parametrize("name", MEMBERS)
def test_a_fault_of_a_member_is_its_own(tree, name):
    members = tree / name
    assert os.listdir(members / "bad") == ["error.txt"]
    said = f"{name}.npz/bad.npy: the member {MEMBERS[name][1]}\n"
    assert read(members / "bad/error.txt").decode() == said
    assert_absent(members / "bad", [".npy", ".raw"])
    assert_good(members, "a", "c/d")
    assert {"a", "a.npy", "bad", "c"} <= set(os.listdir(members)) <= {"a", "a.npy", "bad", "bad.npy", "c"}


@pytest.mark.parametrize("name", NO_ARRAYS)
def test_a_member_that_is_no_array_says_why_and_is_a_file(tree, name):
    blob, why = NO_ARRAYS[name]
    members = tree / f"member: {name}"
    assert_same_bytes(read(members / "bad.npy"), blob, name)
    assert read(members / "bad/error.txt").decode() == f"member: {name}.npz/bad.npy: {why}\n"
    assert_absent(members / "bad", [".raw"])
    assert_good(members, "a", "c/d")


@pytest.mark.parametrize("name", BROKEN)
def test_an_archive_that_cannot_be_read_says_why(tree, name):
    name = f"archive: {name}"
    assert os.listdir(tree / name) == ["error.txt"]
    why = BROKEN[name.removeprefix("archive: ")][1]
    assert read(tree / name / "error.txt").decode() == f"{name}.npz: {why}\n"
    assert_absent(tree / name / "a")
    assert_same_bytes(read(tree / f"{name}.npz"), read(tree.source / f"{name}.npz"), name)


def test_names_that_are_no_paths_below_the_archive_are_left_out(tree):
    assert sorted(os.listdir(tree / "names")) == ["a", "a.npy"]
    assert_good(tree / "names", "a")
    for path in ("names/../..", "names/x", "names/x/y", "names/" + "x" * 255):
        assert path == "names/../.." or not (tree / path).exists()


def test_no_byte_is_in_two_members(tree):
    assert sorted(os.listdir(tree / "quoted")) == ["x", "x.npy"]
    assert_good(tree / "quoted", "x")
    assert sorted(os.listdir(tree / "overlapping"), key=len)[0].startswith("0")
    assert_good(tree / "overlapping", "0")
    assert OTHER in read(tree / "overlapping/9999/error.txt").decode()


def test_a_member_may_be_as_deep_as_a_path_is_long(tree):
    assert_good(tree / "deep", "a")
    # Step by step, since no path is as long as this one.
    directory = os.open(tree / "deep", os.O_PATH)
    for _ in range(2000):
        below = os.open("x", os.O_PATH, dir_fd=directory)
        os.close(directory)
        directory = below
    file = os.open("deep.npy", os.O_RDONLY, dir_fd=directory)
    assert_same_bytes(os.read(file, 1 << 20), NPY, "deep.npy")
    os.close(file)
    os.close(directory)


def costs(directory, round):
    with Mount(directory / "source", directory / f"mount {round}") as mount:
        process = Path(f"/proc/{mount.pid}")
        newest = max(path.stat().st_ctime for path in mount.source.iterdir())
        wait_until(lambda: time.time() - newest > 1.1, 30, "settled")
        list(mount.path.iterdir())
        for path in sorted(mount.source.iterdir()):
            # Forgets the peak that was.
            (process / "clear_refs").write_text("5")
            (_, before), start = peak_and_now(process), worked(process)
            for name in sorted(os.listdir(mount / path.stem))[:20]:
                found = mount / path.stem / name
                _ = os.listdir(found) if found.is_dir() else read(found) if found.exists() else None
            (peak, _), end = peak_and_now(process), worked(process)
            yield path.stem, end - start, peak - before


def test_none_takes_long_or_much_memory(tree):
    """The best of three mounts counts: what costs too much does so every time."""
    rounds = [list(costs(tree.source.parent, round)) for round in range(3)]
    for tries in zip(*rounds):
        name, seconds, memory = (min(column) for column in zip(*tries))
        assert seconds < SECONDS, f"{name}: {seconds:.3f} s"
        assert memory < BYTES, f"{name}: {memory} bytes"
