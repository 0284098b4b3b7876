"""The mount stands in for the source: names, bytes, links, attributes, and no change."""

import json
import os
import stat

import pytest

import corpus
import dtypes
from checks import assert_absent, assert_encodings, assert_header, assert_same_bytes, read
from corpus import SMALL
from mounting import Mount
from oracle import Chain

OTHER = corpus.sample("x", (4,), "<i2", seed=9)

# Where the directory of an array is, for the arrays whose name is not taken.
DIRECTORIES = {
    "x.npy": "x",
    "sub/deep/y.npy": "sub/deep/y",
    "with space.npy": "with space",
    "new\nline.npy": "new\nline",
    "日本.npy": "日本",
    "dot.ted.npy": "dot.ted",
    "twice.npy.npy": "twice.npy",
    ".npy": ".npy.d",
    "..npy": "..npy.d",
    "...npy": "...npy.d",
    "....npy": "...",
    ".hidden.npy": ".hidden",
    "big.npy": "big.npy.d",
    "file.npy": "file.npy.d",
    "linked.npy": "linked.npy.d",
    "pair.npy": "pair.npy.d",
    "pair.npy.npy": "pair.npy.npy.d",
}


def populate(source):
    """A directory with everything that directories have."""
    (source / "sub/deep").mkdir(parents=True)
    for path in DIRECTORIES:
        (source / path).write_bytes(SMALL.blob)
    for path, text in {
        "plain.txt": b"text\n",
        "empty": b"",
        "UPPER.NPY": SMALL.blob,
        "x.npz": b"PK",
        "x.npy~": b"old",
    }.items():
        (source / path).write_bytes(text)
    (source / "folder.npy").mkdir()
    (source / "folder.npy/inner.npy").write_bytes(SMALL.blob)
    _take_names(source)
    _link(source)
    os.mkfifo(source / "pipe")
    os.mkfifo(source / "pipe.npy")
    os.mknod(source / "socket.npy", stat.S_IFSOCK | 0o644)


def _take_names(source):
    """Real entries where arrays would have had their directories."""
    (source / "big").mkdir()
    (source / "big/real").write_bytes(b"real")
    (source / "file").write_bytes(b"file")
    (source / "linked").symlink_to("plain.txt")
    (source / "pair").mkdir()
    (source / "both.npy").write_bytes(SMALL.blob)
    (source / "both").mkdir()
    (source / "both.npy.d").write_bytes(b"taken")
    (source / "raw.npy").write_bytes(SMALL.blob)
    (source / "raw.raw").write_bytes(b"real too")


LINKS = {
    "to_text": "plain.txt",
    "to_folder": "sub/deep",
    "nowhere": "is/nothing",
    "inside.npy": "sub/deep/y.npy",
    "again.npy": "inside.npy",
    "sub/up.npy": "../x.npy",
    "through.npy": "to_folder/y.npy",
    "outside.npy": "../outside.npy",
    "around.npy": "../source/../outside.npy",
    "odd text": "./sub//deep/../deep",
}


def _link(source):
    for name, target in LINKS.items():
        (source / name).symlink_to(target)
    (source.parent / "outside.npy").write_bytes(OTHER.blob)
    (source / "absolute.npy").symlink_to(source.parent / "outside.npy")


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    directory = tmp_path_factory.mktemp("mirror")
    (directory / "source").mkdir()
    populate(directory / "source")
    with Mount(directory / "source", directory / "mount") as mount:
        yield mount


def test_every_file_keeps_its_name_and_bytes(mirror):
    for folder, _, files in os.walk(mirror.source):
        for name in files:
            original = os.path.join(folder, name)
            if stat.S_ISREG(os.lstat(original).st_mode):
                served = mirror / os.path.relpath(original, mirror.source)
                assert os.stat(served).st_size == os.stat(original).st_size
                assert_same_bytes(read(served), read(original), served)


def test_a_listing_is_the_source_and_the_directories_of_its_arrays(mirror):
    left_out = {"pipe", "pipe.npy", "socket.npy"}
    added = {path for path in DIRECTORIES.values() if "/" not in path}
    added |= {"inside", "again", "through", "outside", "around", "absolute", "raw", "x.npz.d"}
    assert set(os.listdir(mirror.path)) == set(os.listdir(mirror.source)) - left_out | added
    assert set(os.listdir(mirror / "folder.npy")) == {"inner.npy", "inner"}
    assert set(os.listdir(mirror / "sub")) == {"deep", "up.npy", "up"}


@pytest.mark.parametrize("path", DIRECTORIES)
def test_an_array_has_its_directory_under_a_name_that_is_free(mirror, path):
    chain = Chain(DIRECTORIES[path], SMALL.array)
    assert_encodings(mirror, chain.rows(1, 4).cols(0, 2))
    assert_header(mirror, chain, SMALL, path)


def test_a_taken_name_stays_what_it_is(mirror):
    assert os.listdir(mirror / "big") == ["real"]
    assert read(mirror / "big/real") == b"real"
    assert read(mirror / "file") == b"file"
    assert os.readlink(mirror / "linked") == "plain.txt"
    assert os.listdir(mirror / "both") == []
    assert read(mirror / "both.npy.d") == b"taken"
    assert read(mirror / "raw.raw") == b"real too"
    assert_absent(mirror / "both.npy.d.npy.d", [""])


def test_what_is_no_array_gains_no_directory(mirror):
    for path in "UPPER UPPER.NPY.d folder folder.npy.d plain pipe pipe.npy socket socket.npy".split():
        assert_absent(mirror / path, [""])


def test_a_link_keeps_its_text(mirror):
    for name, target in LINKS.items():
        assert os.readlink(mirror / name) == target
    assert os.readlink(mirror / "absolute.npy") == os.readlink(mirror.source / "absolute.npy")


@pytest.mark.parametrize("path", ["inside", "again", "sub/up", "through"])
def test_a_link_to_an_array_beneath_the_source_is_an_array(mirror, path):
    assert_encodings(mirror, Chain(path, SMALL.array).rows(2, 5))
    assert_same_bytes(read(mirror / f"{path}.npy"), SMALL.blob, path)


@pytest.mark.parametrize("path", ["outside", "around", "absolute"])
def test_a_link_that_leads_out_only_says_so(mirror, path):
    assert os.listdir(mirror / path) == ["error.txt"]
    assert len(read(mirror / path / "error.txt").decode().split()) >= 3
    for inner in ("header.json", "rows", "rows/0.npy", "slice/....npy"):
        assert_absent(mirror / path / inner, [""])
    assert_absent(mirror / path, [".raw"])


def test_names_that_are_not_unicode_are_names_too(own_mount):
    name = b"\xff\xfe caf\xe9"
    with open(os.fsencode(own_mount.source) + b"/" + name + b".npy", "wb") as file:
        file.write(SMALL.blob)
    root = os.fsencode(own_mount.path) + b"/"
    assert set(os.listdir(root)) == {name, name + b".npy"}
    assert read(root + name + b".npy") == SMALL.blob
    source = json.loads(read(root + name + b"/header.json"))["source"]
    assert source == (name + b".npy").decode(errors="replace")


def owner_and_time(path):
    status = os.stat(path)
    return status.st_uid, status.st_gid, status.st_mtime_ns


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o600, 0o444, 0o755], ids=oct)
def test_attributes_are_the_backing_files_without_write_bits(own_mount, mode):
    original = own_mount.source / "x.npy"
    original.write_bytes(SMALL.blob)
    os.chmod(original, mode)
    os.utime(original, ns=(10**18 + 1, 10**18 + 123456789))
    read_bits = mode & 0o444
    due = dict.fromkeys("x x/rows x/rows/0-3 x/slice".split(), read_bits | read_bits >> 2)
    files = "x.npy x.raw x/rows/0-3.npy x/slice/0,0.raw x/header.json x/cols/USAGE.txt"
    for path, bits in (due | dict.fromkeys(files.split(), mode & ~0o222)).items():
        assert oct(stat.S_IMODE(os.stat(own_mount / path).st_mode)) == oct(bits), path
        assert owner_and_time(own_mount / path) == owner_and_time(original), path


def test_a_single_file_is_mounted_as_its_arrays_directory(tmp_path):
    record = corpus.sample("big", (20, 3), dtypes.RECORDS["ri"])
    (tmp_path / "big.npy").write_bytes(record.blob)
    with Mount(tmp_path / "big.npy", tmp_path / "mount") as mount:
        whole = Chain(".", record.array)
        entries = "header.json USAGE.txt rows cols slice parts windows chunks fields"
        assert sorted(os.listdir(mount.path)) == sorted(entries.split())
        assert_header(mount, whole, record, "big.npy")
        for view in (
            whole.rows(3, 7),
            whole.field("r").slice("::-1"),
            whole.transposed(),
            whole.part(1, 4),
        ):
            assert_encodings(mount, view)
            assert_header(mount, view, record, "big.npy")


def test_what_appears_in_the_source_appears_in_the_mount(own_mount):
    """Nothing is gathered when mounting, so nothing is missed after it."""
    for i in range(3):
        (own_mount.source / f"d{i}").mkdir()
        (own_mount.source / f"d{i}/x.npy").write_bytes(SMALL.blob)
        assert set(os.listdir(own_mount / f"d{i}")) == {"x.npy", "x"}
        assert_encodings(own_mount, Chain(f"d{i}/x", SMALL.array).rows(0, 2))
