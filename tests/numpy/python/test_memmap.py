"""npyfs.memmap: a path as an array that is the source's own file, and is what np.load has of that path."""

import os

import numpy as np
import pytest

import corpus
import generators
import npyfs
import npyfs._mapping
from checks import assert_array, load
from mounting import Mount, run


def assert_mapped(path, expected, mode="r"):
    """The array, as a map of a file."""
    got = npyfs.memmap(path, mode)
    assert isinstance(got, np.memmap), path
    assert_array(got, expected, path)
    return got


def test_every_array_is_what_np_load_has_of_it(everything):
    for name in everything.samples:
        assert_mapped(everything.source / name, load(everything / f"{name}.npy"))


def test_any_selection_is_in_a_mount_and_without_one(arrays, rng):
    for i, name in enumerate([*arrays.samples] * 4):
        chain = generators.random_chain(rng, arrays.chain(name))
        directory = arrays.source if i % 2 else arrays.mount.path
        assert_mapped(directory / (chain.npy if i % 3 else chain.path), chain.view)


def test_backwards_and_by_field(arrays):
    table, records = arrays.chain("table"), arrays.chain("quadrants")
    for chain in [table.slice("::-2,50:3:-1"), table.transposed(), records.slice("5:50,::-1").field("i")]:
        got = assert_mapped(arrays.source / chain.path, chain.view)
        assert got.strides == chain.view.strides


def test_what_is_assigned_is_in_the_file_and_nothing_else_is(own_mount):
    path = own_mount.source / "x.npy"
    path.write_bytes(corpus.VIEWED.blob)
    expected = corpus.VIEWED.array.copy()
    expected[::-2, ::3] = np.arange(30 * 17).reshape(30, 17)
    array = npyfs.memmap(own_mount.source / "x/slice/::-2,::3", "r+")
    array[...] = expected[::-2, ::3]
    array.flush()
    assert path.stat().st_size == len(corpus.VIEWED.blob)
    for written in [path, own_mount / "x.npy"]:
        assert_array(np.load(written), expected, written)


def test_a_copy_and_an_array_to_read_leave_the_file_as_it_is(own_mount):
    path = own_mount.source / "x.npy"
    path.write_bytes(corpus.SMALL.blob)
    copy = npyfs.memmap(own_mount / "x/T", "c")
    copy[...] = 1
    with pytest.raises(ValueError, match="read-only"):
        npyfs.memmap(own_mount / "x/T")[...] = 1
    with pytest.raises(ValueError, match="mode is 'w\\+'"):
        npyfs.memmap(own_mount / "x/T", "w+")
    assert path.read_bytes() == corpus.SMALL.blob


def test_what_has_no_strides_in_one_file_says_so(own_mount):
    for i in range(2):
        np.save(own_mount.source / f"{i}.npy", np.arange(6))
    for path in ["concat", "stack/T", "concat/rows/0-2.npy"]:
        with pytest.raises(ValueError, match="in many files"):
            npyfs.memmap(own_mount / path)


def test_members_of_archives_are_mapped_where_they_are_stored_and_only_to_be_read(own_mount):
    source = own_mount.source
    a = np.arange(60.0).reshape(6, 10)
    np.savez(source / "x.npz", a=a)
    np.savez_compressed(source / "y.npz", a=a)
    for directory in [source, own_mount.path]:
        assert_mapped(directory / "x/a/slice/::-1,3:", a[::-1, 3:])
        with pytest.raises(ValueError, match="a member of an archive can only be read"):
            npyfs.memmap(directory / "x/a", "r+")
        with pytest.raises(npyfs.Error, match="compressed"):
            npyfs.memmap(directory / "y/a")


def test_what_is_no_array_says_why(own_mount):
    source = own_mount.source
    np.save(source / "x.npy", np.arange(6))
    (source / "short.npy").write_bytes(corpus.SMALL.blob[:-1])
    np.savez(source / "z.npz", a=np.arange(6))
    for path, why in [("x/rows/3-9", "6 rows"), ("y", "no such file"), ("short", "header says")]:
        with pytest.raises(npyfs.Error, match=why):
            npyfs.memmap(source / path)
    with pytest.raises(ValueError, match="name one in it"):
        npyfs.memmap(source / "z.npz")
    np.save(source / "y.zarr.npy", np.arange(4))
    for path in ("x.zarr", "x/rows/2-4.zarr", "x.zarr/"):
        with pytest.raises(ValueError, match="readers of Zarr"):
            npyfs.memmap(f"{source}/{path}")
    assert npyfs.memmap(source / "y.zarr").tolist() == [0, 1, 2, 3]


def test_the_file_is_found_wherever_it_is_served(tmp_path):
    source = tmp_path / "a b\\c"
    (source / "sub").mkdir(parents=True)
    array = np.arange(24).reshape(4, 6)
    np.save(source / "sub/x.npy", array)
    (source / "link.npy").symlink_to("sub/x.npy")
    file = str(source / "sub/x.npy")
    with Mount(source, tmp_path / "mount") as mount:
        for path in [mount / "sub/x/T", source / "sub/x/T", mount / "link/T", source / "link/T"]:
            assert npyfs.info(path)["file"] == file, path
            assert_mapped(path, array.T)
    with Mount(source / "sub/x.npy", tmp_path / "mount") as mount:
        assert_mapped(mount / "T", array.T)
        # Beneath another mount, what is said is of that one.
        (tmp_path / "other").mkdir()
        run("mount", "--bind", mount.path, tmp_path / "other")
        try:
            assert_mapped(tmp_path / "other/rows/1", array[1])
        finally:
            run("umount", tmp_path / "other")


def test_another_file_of_the_same_name_is_not_taken_for_the_mount_s(tmp_path):
    """As in another mount namespace, where the source's path leads elsewhere."""
    source, array = tmp_path / "source", np.arange(24).reshape(4, 6)

    def save(array):
        source.mkdir()
        np.save(source / "x.npy", array)
        np.savez(source / "z.npz", a=array)

    save(array)
    with Mount(source, tmp_path / "mount") as mount, Mount(source / "x.npy", tmp_path / "single") as single:
        paths = [mount / "x", mount / "x.npy", mount / "x/rows/1-3.npy", mount / "z/a", single.path, single / "T"]
        files = [npyfs.info(path)["file"] for path in paths]
        assert files == [str(source / name) for name in ["x.npy"] * 3 + ["z.npz"] + ["x.npy"] * 2]
        source.rename(tmp_path / "old")
        save(array * 0)
        for path in paths:
            assert "file" not in npyfs.info(path)
            with pytest.raises(ValueError, match="where its file is on this machine is not known"):
                npyfs.memmap(path, "c")


def test_a_file_is_found_right_after_it_was_written(tmp_path):
    (tmp_path / "source").mkdir()
    array = np.lib.format.open_memmap(tmp_path / "source/x.npy", "w+", shape=(6,))
    with Mount(tmp_path / "source", tmp_path / "mount", "--ttl=1000") as mount:
        for i in range(3):
            array[...] = i
            array.flush()
            os.utime(tmp_path / "source/x.npy")
            assert_mapped(mount / "x", array)


def test_a_file_that_is_replaced_meanwhile_is_looked_at_again(tmp_path, monkeypatch):
    arrays = [np.arange(24), np.arange(40.0).reshape(5, 8)]
    np.save(tmp_path / "x.npy", arrays[0])
    np.save(tmp_path / "new.npy", arrays[1])

    def once_replaced(path, info=npyfs.info):
        found = info(path)
        if (tmp_path / "new.npy").exists():
            os.replace(tmp_path / "new.npy", tmp_path / "x.npy")
        return found

    monkeypatch.setattr(npyfs._mapping, "info", once_replaced)
    assert_mapped(tmp_path / "x", arrays[1])


@pytest.mark.parametrize("mode", ["r", "r+"])
def test_a_file_that_is_cut_off_meanwhile_is_an_error_and_stays_as_it_is(tmp_path, monkeypatch, mode):
    np.save(tmp_path / "x.npy", np.arange(24))
    found = npyfs.info(tmp_path / "x")
    os.truncate(tmp_path / "x.npy", 300)
    monkeypatch.setattr(npyfs._mapping, "info", lambda path: found)
    with pytest.raises(npyfs.Error, match="shorter than its header says"):
        npyfs.memmap(tmp_path / "x", mode)
    assert (tmp_path / "x.npy").stat().st_size == 300


def test_an_array_keeps_the_file_that_it_was_made_of(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(24))
    array = npyfs.memmap(tmp_path / "x/slice/::-1")
    np.save(tmp_path / "new.npy", np.zeros(3))
    os.replace(tmp_path / "new.npy", tmp_path / "x.npy")
    assert_array(array, np.arange(24)[::-1], "x")
