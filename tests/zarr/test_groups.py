"""D.zarr and .zarr: the arrays beneath a directory, as a group in which there is nothing else."""

import json
import os
import shutil
import stat
import warnings

import numpy as np
import pytest
import zarr

import corpus
import dtypes
from expected import assert_same
from mounting import Mount, run
from readers import by_tensorstore, files
from served import put

ARRAYS = {
    "a": corpus.sample("a", (30, 4), "<f8"),
    "b": corpus.sample("b", (3, 4, 5), ">i2", "F"),
    "point": corpus.sample("point", (), "<c8"),
    "none": corpus.sample("none", (0, 3), "<f4"),
    "sub/a": corpus.sample("a", (7, 2), "|u1"),
    "sub/deep/x y": corpus.sample("x", (5, 6), "<f4"),
    "sub/deep/é": corpus.sample("e", (5,), "<f4"),
    # A directory has the name.
    "sub/deep.npy": corpus.sample("deep", (4,), "<i8"),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Arrays, and all that is not to be in a group."""
    directory = tmp_path_factory.mktemp("group")
    source = directory / "source"
    for path, sample in ARRAYS.items():
        put(source, path, sample)
    (source / "empty").mkdir()
    (source / "sub/notes.txt").write_text("no array")
    np.savez(source / "sub/archive.npz", member=ARRAYS["point"].array)
    (source / "sub/link.npy").symlink_to("a.npy")
    (source / "broken.npy").write_bytes(b"no array")
    (source / "long.npy").write_bytes(corpus.sample("long", (3,), "<f16").blob)
    for name in ("__x", "...", "zarr.json"):
        put(source, name, ARRAYS["point"])
    (source / os.fsdecode(b"\xff.npy")).write_bytes(ARRAYS["point"].blob)
    zarr.create_array(source / "real.zarr", shape=(3,), dtype="i4", fill_value=7)
    with Mount(source, directory / "mount") as mount:
        yield mount


MEMBERS = {**ARRAYS, "sub/link": ARRAYS["sub/a"]}
GROUPS = {"empty", "sub", "sub/deep"}


def members(directory, **options):
    """Everything beneath a group by path, or how zarr-python fails or warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Object at .* is not recognized")
        group = zarr.open_group(directory, mode="r", zarr_format=3, **options)
        return dict(group.members(max_depth=None))


@pytest.mark.parametrize("consolidated", [True, False])
def test_a_group_has_all_arrays_beneath_and_nothing_else(tree, consolidated):
    found = members(tree / ".zarr", use_consolidated=consolidated)
    assert set(found) == set(MEMBERS) | GROUPS
    for path, sample in MEMBERS.items():
        assert_same(found[path][...], sample.array, path)
        assert_same(by_tensorstore(tree / ".zarr" / path), sample.array, path)


def test_a_directory_is_a_group_beside_itself(tree):
    found = members(tree / "sub.zarr")
    beneath = {path.removeprefix("sub/") for path in {*MEMBERS, *GROUPS} if path.startswith("sub/")}
    assert set(found) == beneath
    # The name of an array comes first, as it does for deep.raw; the group is beneath the one before.
    assert_same(zarr.open_array(tree / "sub/deep.zarr", mode="r", zarr_format=3)[...], ARRAYS["sub/deep.npy"].array, "deep")


def test_its_directories_list_members_and_no_other_name(tree):
    for group in ("", *GROUPS):
        listed = set(os.listdir(tree / ".zarr" / group))
        inside = {path for path in {*MEMBERS, *GROUPS} if os.path.dirname(path) == group}
        assert listed == {"zarr.json"} | {os.path.basename(path) for path in inside}, group
    assert not [name for name in os.listdir(tree.path) if name == ".zarr" or name == "sub.zarr"]
    for name in ("a.npy", "a.zarr", "sub/notes.txt", "nowhere", "long", "__x", "real.zarr", ".zattrs"):
        assert not os.path.exists(tree / ".zarr" / name), name


def test_the_metadata_of_members_is_what_their_own_files_say(tree):
    for group in ("", "sub"):
        metadata = json.loads((tree / ".zarr" / group / "zarr.json").read_text())
        inner = metadata["consolidated_metadata"]["metadata"]
        for path, member in inner.items():
            own = json.loads((tree / ".zarr" / group / path / "zarr.json").read_text())
            own.pop("consolidated_metadata", None)
            assert member == own, path
        assert len(inner) == len([path for path in {*MEMBERS, *GROUPS} if path.startswith(group)]) - bool(group)


def test_no_dimension_has_two_lengths_in_a_group(tree):
    lengths = {}
    for path, member in members(tree / ".zarr").items():
        if isinstance(member, zarr.Array):
            for name, length in zip(member.metadata.dimension_names or (), member.shape):
                assert lengths.setdefault((os.path.dirname(path), name), length) == length, path


def test_an_entry_of_the_source_keeps_its_name(own_mount):
    (own_mount.source / "sub").mkdir()
    assert os.path.isdir(own_mount / "sub.zarr")
    (own_mount.source / "sub.zarr").write_text("mine")
    assert (own_mount / "sub.zarr").read_text() == "mine"
    (own_mount.source / ".zarr").write_text("mine too")
    assert (own_mount / ".zarr").read_text() == "mine too"


def test_a_group_follows_its_directory(own_mount):
    assert members(own_mount / ".zarr") == {}
    put(own_mount.source, "x", ARRAYS["a"])
    assert set(members(own_mount / ".zarr")) == {"x"}
    put(own_mount.source, "sub/y", ARRAYS["a"])
    os.rename(own_mount.source / "x.npy", own_mount.source / "z.npy")
    assert set(members(own_mount / ".zarr")) == {"z", "sub", "sub/y"}
    put(own_mount.source, "z", ARRAYS["b"])
    assert members(own_mount / ".zarr")["z"].shape == ARRAYS["b"].array.shape
    shutil.rmtree(own_mount.source / "sub")
    assert set(members(own_mount / ".zarr")) == {"z"}
    assert not os.path.exists(own_mount / "sub.zarr")


def test_a_text_that_is_open_stays_what_it_was(own_mount):
    put(own_mount.source, "x", ARRAYS["a"])
    with open(own_mount / ".zarr/zarr.json") as text:
        put(own_mount.source, "y", ARRAYS["b"])
        assert set(members(own_mount / ".zarr")) == {"x", "y"}
        assert set(json.load(text)["consolidated_metadata"]["metadata"]) == {"x"}


@pytest.mark.parametrize(("count", "holds"), [(1000, True), (1001, False)])
def test_a_large_group_does_not_hold_what_its_members_say(own_mount, count, holds):
    blob = corpus.sample("x", (2,), "|u1").blob
    for i in range(count):
        (own_mount.source / f"{i:04}.npy").write_bytes(blob)
    metadata = json.loads((own_mount / ".zarr/zarr.json").read_text())
    assert ("consolidated_metadata" in metadata) == holds
    group = zarr.open_group(own_mount / ".zarr", mode="r", zarr_format=3)
    assert len(list(group)) == count and group[f"{count - 1:04}"].shape == (2,)


def test_where_others_see_the_mount_a_group_says_only_names(tmp_path):
    """A header that somebody may not read is in no text that they may."""
    source = tmp_path / "source"
    put(source, "open", ARRAYS["a"])
    put(source, "closed", ARRAYS["b"])
    os.chmod(source / "closed.npy", 0o600)
    (source / "private").mkdir(mode=0o700)
    for directory in (tmp_path.parent.parent, tmp_path.parent, tmp_path, source):
        os.chmod(directory, 0o755)
    reader = ["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups"]
    with Mount(source, tmp_path / "mount", "--allow-other") as mount:
        assert "consolidated_metadata" not in json.loads((mount / ".zarr/zarr.json").read_text())
        assert stat.S_IMODE(os.stat(mount / ".zarr").st_mode) == 0o555
        assert stat.S_IMODE(os.stat(mount / "private.zarr").st_mode) == 0o500
        assert stat.S_IMODE(os.stat(mount / "private.zarr/zarr.json").st_mode) == 0o400
        cat = lambda path: run(*reader, "cat", mount / path, check=False, text=False).returncode
        assert cat(".zarr/open/zarr.json") == cat(".zarr/open/c/0/0") == cat(".zarr/zarr.json") == 0
        for path in ("closed/zarr.json", "closed/c/0/0/0", "private/zarr.json"):
            assert cat(f".zarr/{path}") != 0, path
        assert cat("private.zarr/zarr.json") != 0 and cat("closed.zarr/zarr.json") != 0


def test_a_copy_needs_no_mount(tree, tmp_path):
    for name in (".zarr", "sub.zarr", "b.zarr"):
        run("cp", "-r", tree / name, tmp_path / name)
        assert files(tmp_path / name) == files(tree / name)
    found = members(tmp_path / ".zarr")
    assert set(found) == set(MEMBERS) | GROUPS
    for path, sample in MEMBERS.items():
        assert_same(found[path][...], sample.array, path)
    copy = zarr.open_array(tmp_path / "b.zarr", mode="r", zarr_format=3)
    assert_same(copy[...], ARRAYS["b"].array, "b")


def test_followed_symlinks_lead_to_members(tmp_path):
    source = tmp_path / "source"
    put(source, "sub/x", ARRAYS["a"])
    put(tmp_path / "elsewhere", "y", ARRAYS["b"])
    (source / "link").symlink_to(tmp_path / "elsewhere")
    (source / "sub/up").symlink_to("..")
    (source / "y.npy").symlink_to(tmp_path / "elsewhere/y.npy")
    with Mount(source, tmp_path / "mount", "--follow-symlinks") as mount:
        assert set(members(mount / ".zarr")) == {"sub", "sub/x", "link", "link/y", "y"}
    with Mount(source, tmp_path / "mount") as mount:
        assert set(members(mount / ".zarr")) == {"sub", "sub/x"}


def test_records_are_members_too(own_mount):
    sample = corpus.sample("x", (5,), dtypes.RECORDS["ri"])
    put(own_mount.source, "x", sample)
    got = zarr.open_group(own_mount / ".zarr", mode="r", zarr_format=3)["x"][...]
    assert np.array_equal(got["r"], sample.array["r"], equal_nan=True)


def test_many_files_as_one_array_are_one_in_zarr_too(own_mount):
    parts = [corpus.sample(f"{i}", (4 + i, 3), "<f4", seed=i) for i in range(12)]
    for sample in parts:
        put(own_mount.source, f"sub/{sample.name}", sample)
    joined = np.concatenate([sample.array for sample in parts])
    for path, view in [("concat.zarr", joined), ("concat/chunks/10,2.zarr", joined), ("concat/T.zarr", joined.T)]:
        directory = own_mount / "sub" / path
        assert_same(zarr.open_array(directory, mode="r", zarr_format=3)[...], view, path)
        assert_same(by_tensorstore(directory), view, path)
    assert set(members(own_mount / "sub.zarr")) == {sample.name for sample in parts}
