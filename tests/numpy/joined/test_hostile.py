"""Hostile files among those of one array: an error that names the file, and no harm to anybody."""

import os

import numpy as np
import pytest

import hostile_files
import shards
from checks import assert_absent, read
from mounting import Mount, wait_until

FILES = dict(hostile_files.files())
SHOWN = 300


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A directory for each hostile file, which comes after a good one; and one with the good one alone."""
    directory = tmp_path_factory.mktemp("hostile")
    source = directory / "source"
    source.mkdir()
    for i, blob in enumerate([*FILES.values(), b""]):
        folder = source / str(i)
        folder.mkdir()
        (folder / "a.npy").write_bytes(hostile_files.GOOD.blob)
        if i < len(FILES):
            (folder / "b.npy").write_bytes(blob)
    with Mount(source, directory / "mount") as mount:
        yield mount
        assert "panicked" not in mount.log()


def test_a_hostile_file_among_others_is_named_with_what_is_wrong_with_it(tree):
    refused = 0
    for i, name in enumerate(FILES):
        own = tree / str(i) / "b/error.txt"
        if not own.exists():
            # An array, which goes with the good one or not.
            concat = tree / str(i) / "concat"
            assert (concat / "header.json").exists() or read(concat / "error.txt").startswith(
                f"{i}/concat: b.npy: it".encode()
            ), name
            continue
        refused += 1
        why = read(own).decode().split(": ", 1)[1].rstrip("\n")
        for how in ("concat", "stack"):
            assert os.listdir(tree / str(i) / how) == ["error.txt"], name
            said = read(tree / str(i) / how / "error.txt").decode()
            assert said.startswith(f"{i}/{how}: b.npy: {why[: SHOWN - 20]}"), (name, said)
            assert len(said) < 600 and said[:-1].isprintable()
            assert_absent(tree / str(i) / how, [".npy", ".raw"])
    assert refused > 100


def test_the_good_ones_are_an_array_all_the_same(tree):
    assert np.array_equal(np.load(tree / str(len(FILES)) / "concat.npy"), hostile_files.GOOD.array, equal_nan=True)


def test_a_file_that_lies_about_its_length_takes_no_memory(tmp_path):
    """Headers of more bytes than there can be, each and together."""
    (tmp_path / "source").mkdir()
    array = np.lib.format.open_memmap(tmp_path / "source/0.npy", "w+", "|u1", (1 << 43,))
    del array
    for i in range(1, 5):
        os.link(tmp_path / "source/0.npy", tmp_path / f"source/{i}.npy")
    with Mount(tmp_path / "source", tmp_path / "mount") as mount:
        assert os.stat(mount / "concat.raw").st_size == 5 << 43
        with open(mount / "concat.raw", "rb") as file:
            assert os.pread(file.fileno(), 10, (3 << 43) - 5) == bytes(10)
        assert np.load(mount / "stack/slice/:,-1.npy").tolist() == [0] * 5


def test_files_whose_sizes_add_up_to_more_than_a_number_can_say_are_no_array(tmp_path):
    (tmp_path / "source").mkdir()
    for i in range(4):
        header = hostile_files.text("'|V0'", "False", f"({1 << 62}, 0)")
        (tmp_path / f"source/{i}.npy").write_bytes(hostile_files.whole(header, 0))
    with Mount(tmp_path / "source", tmp_path / "mount") as mount:
        found = os.listdir(mount / "concat")
        assert found == ["error.txt"], found
        assert b"3.npy: there are too many files, or rows" in read(mount / "concat/error.txt")


def test_a_directory_that_changes_all_the_time_keeps_no_reader_waiting(tmp_path):
    (tmp_path / "source").mkdir()
    shards.write(tmp_path / "source", {f"{i}.npy": np.full((3,), i) for i in range(100)})
    with Mount(tmp_path / "source", tmp_path / "mount") as mount:
        child = os.fork()
        if child == 0:
            while True:
                (tmp_path / "source/x.npy").write_bytes(shards.blob(np.arange(3)))
                os.remove(tmp_path / "source/x.npy")
        try:
            for _ in range(50):
                try:
                    assert np.load(mount / "concat/rows/150-153.npy").tolist() == [50] * 3
                except OSError:
                    pass
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)
        (tmp_path / "source/x.npy").unlink(missing_ok=True)
        wait_until(lambda: (mount / "concat.npy").exists(), 5, "an array")
        assert len(np.load(mount / "concat.npy")) == 300
