"""The members of an .npz: what np.load has of them, and every slice of each."""

import dataclasses
import io
import itertools
import os
import stat
from pathlib import Path

import numpy as np
import pytest

import corpus
import dtypes
import generators
import oracle
import zips
from checks import (
    assert_absent,
    assert_array,
    assert_encodings,
    assert_file,
    assert_header,
    assert_same_bytes,
    load,
    read,
    refused,
)
from mounting import Mount, program, run
from oracle import Chain

SAMPLES = {sample.name: sample for sample in corpus.samples()}
RANDOM = {
    sample.name: sample
    for sample in (generators.random_sample(np.random.default_rng([7, i]), i) for i in range(40))
}
CHAINS = 400
MADE = sorted((Path(__file__).parents[2] / "archives").glob("*.npz"))
READ_ONLY = 0o222


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """An archive of the whole corpus, and one of random arrays, under one mount."""
    directory = tmp_path_factory.mktemp("archives")
    (directory / "source").mkdir()
    for name, samples in {"all": SAMPLES, "random": RANDOM}.items():
        members = {f"{sample.name}.npy": sample.blob for sample in samples.values()}
        (directory / f"source/{name}.npz").write_bytes(zips.of_members(members))
    with Mount(directory / "source", directory / "mount") as mount:
        yield mount


@pytest.fixture
def served(own_mount):
    """Puts an archive under a mount, and says where its members are."""

    def serve(blob, name="x"):
        (own_mount.source / f"{name}.npz").write_bytes(blob)
        return own_mount / name

    return serve


def loaded(blob, name):
    """A member, as NumPy loads it."""
    with np.load(io.BytesIO(blob), max_header_size=1 << 20) as archive:
        return archive[name]


def assert_values(got, expected, where):
    """Equal arrays but for padding, which np.load leaves to chance where it does not read the file itself."""
    assert got.shape == expected.shape and got.dtype == expected.dtype, where
    for leaf, other in zip(dtypes.leaves(got), dtypes.leaves(expected), strict=True):
        assert_same_bytes(oracle.raw(leaf), oracle.raw(other), where)


def walk(directory):
    """Everything that a directory of members lists, and what it leads to but arrays' own directories."""
    for name in sorted(os.listdir(directory)):
        path = directory / name
        yield path
        if path.is_dir() and "header.json" not in os.listdir(path) and "error.txt" not in os.listdir(path):
            yield from walk(path)


def listed(directory):
    return [os.fspath(path.relative_to(directory)) for path in walk(directory)]


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=str)
def test_a_member_is_what_np_load_has_of_it(tree, sample):
    assert_file(tree / f"all/{sample.name}.npy", sample.blob)
    whole = load(tree / f"all/{sample.name}.npy")
    assert_array(whole, sample.array, sample.name)
    assert_array(load(tree / f"all/{sample.name}/slice/....npy"), sample.array, sample.name)
    with np.load(tree.source / "all.npz", max_header_size=1 << 20) as archive:
        assert_values(archive[sample.name], whole, sample.name)
    if sample.array.nbytes:
        assert_array(load(tree / f"all/{sample.name}.npy", "r"), sample.array, sample.name)


def test_a_random_chain_of_selectors_is_the_view_of_the_member(tree):
    rng = np.random.default_rng(5)
    blob = read(tree.source / "random.npz")
    for sample in itertools.islice(itertools.cycle(RANDOM.values()), CHAINS):
        chain = generators.random_chain(rng, Chain(f"random/{sample.name}", sample.array))
        assert_encodings(tree, chain)
        assert_array(load(tree / chain.npy), chain.view, chain.path)
        if chain.view.nbytes:
            assert_array(load(tree / chain.npy, "r"), chain.view, chain.path)
        # Offsets are those in the archive.
        in_archive = dataclasses.replace(sample, blob=blob)
        assert_header(tree, chain, in_archive, "random.npz", member=f"{sample.name}.npy")


@pytest.mark.parametrize("path", MADE, ids=lambda path: path.stem)
def test_an_archive_by_any_program_is_what_np_load_has(served, path):
    blob = path.read_bytes()
    members = served(blob)
    if path.stem == "zipfile-executable":
        with pytest.raises(ValueError):
            np.load(io.BytesIO(blob))
        assert os.listdir(members) == ["error.txt"]
        return
    is_stored = not any(word in path.stem for word in ("compressed", "deflated", "lzma", "encrypted"))
    for name in ("a", "sub/b"):
        if is_stored:
            expected = loaded(blob, name)
            assert_encodings(members, Chain(name, expected))
            assert_encodings(members, Chain(name, expected).rows(1, 2))
            assert_array(load(members / f"{name}.npy"), expected, name)
        else:
            what = "encrypted" if "encrypted" in path.stem else "compressed; np.savez does not compress"
            assert os.listdir(members / name) == ["error.txt"]
            said = f"x.npz/{name}.npy: the member is {what}\n"
            assert read(members / name / "error.txt").decode() == said
            assert_absent(members / name, [".npy", ".raw"])
            assert run(program(), "info", members.parent.parent / f"source/x/{name}.npy", check=False).returncode == 1
    stored = ["a", "a.npy", "sub", "sub/b", "sub/b.npy"]
    assert listed(members) == (stored if is_stored else ["a", "sub", "sub/b"])
    # A directory of a mount lists nothing that cannot be looked up.
    names = run(program(), "ls", members.parent.parent / "source/x").stdout.split()
    assert sorted(names) == (["a.npy", "a/", "sub/"] if is_stored else ["a/", "sub/"])


def test_names_are_those_of_the_archive(served):
    names = ["a b", "ü", "日本", "sub/x", "sub/deep/er/x", "dots.in.name", ".hidden", "x.npy", "new\nline", "-", "0"]
    arrays = {name: np.arange(i + 1) for i, name in enumerate(names)}
    blob = zips.saved(**arrays)
    members = served(blob)
    for name, array in arrays.items():
        assert_array(loaded(blob, name), array, name)
        if name != "x.npy":
            assert_encodings(members, Chain(name, array))
    # `x.npy.npy`, whose directory has the name that `x.npy` would have: there is none.
    assert_array(load(members / "x.npy.npy"), arrays["x.npy"], "x.npy.npy")
    assert_array(load(members / "x.npy/rows/0-2.npy"), arrays["x.npy"][:2], "x.npy/rows/0-2.npy")
    tops = {name.split("/")[0] for name in names}
    files = {f"{name}.npy" for name in names if "/" not in name}
    assert set(os.listdir(members)) == tops | files
    assert listed(members / "sub") == ["deep", "deep/er", "deep/er/x", "deep/er/x.npy", "x", "x.npy"]


def test_of_members_of_one_name_the_last_counts(served):
    first, last = (oracle.saved(np.full(3, i)) for i in range(2))
    with pytest.warns(UserWarning, match="Duplicate name"):
        blob = zips.of_members([("a.npy", first), ("b.npy", first), ("a.npy", last)])
    members = served(blob)
    assert_array(load(members / "a.npy"), loaded(blob, "a"), "a")
    assert_array(load(members / "a/rows/0-2.npy"), np.full(2, 1), "a")
    assert listed(members) == ["a", "a.npy", "b", "b.npy"]


def test_a_taken_name_stays_what_it_is(served):
    array = np.arange(7)
    npy, text = oracle.saved(array), b"text"
    blob = zips.of_members(
        {"a.npy": npy, "a": text, "b.npy": npy, "b/c.txt": text, "d.npy": npy, "d": text, "d.npy.d": text, ".npy": npy}
    )
    members = served(blob)
    assert_file(members / "a", text)
    assert_file(members / "b/c.txt", text)
    for directory in ("a.npy.d", "b.npy.d", ".npy.d"):
        assert_array(load(members / directory / "rows/2-4.npy"), array[2:4], directory)
    assert_file(members / "d.npy.d", text)
    directories = ["a.npy.d", "b", "b.npy.d", ".npy.d"]
    files = [".npy", "a", "a.npy", "b.npy", "d", "d.npy", "d.npy.d"]
    assert sorted(os.listdir(members)) == sorted(directories + files)
    assert all(stat.S_ISREG(os.stat(members / name).st_mode) for name in files)


def test_the_archive_s_directory_gives_way_to_entries_and_arrays(own_mount):
    blob, array = zips.saved(a=np.arange(5)), np.arange(3)
    for name in ("free", "beside", "taken", "both", "second"):
        (own_mount.source / f"{name}.npz").write_bytes(blob)
    for name in ("beside", "second.npz.d"):
        np.save(own_mount.source / f"{name}.npy", array)
    for name in ("taken", "both", "both.npz.d"):
        (own_mount.source / name).mkdir()
    np.save(own_mount.source / "second.npy", array)
    (own_mount.source / "link.npz").symlink_to("free.npz")
    (own_mount.source / "broken.npz").symlink_to("nothing")
    (own_mount.source / "capitals.NPZ").write_bytes(blob)
    for directory in ("free", "beside.npz.d", "taken.npz.d", "link"):
        assert sorted(os.listdir(own_mount / directory)) == ["a", "a.npy"], directory
        assert_array(load(own_mount / directory / "a/rows/1-3.npy"), np.arange(5)[1:3], directory)
    assert os.listdir(own_mount / "taken") == os.listdir(own_mount / "both") == []
    assert_array(load(own_mount / "beside/rows/0-2.npy"), array[:2], "beside")
    listed = set(os.listdir(own_mount.path)) - set(os.listdir(own_mount.source))
    assert listed == {"free", "beside.npz.d", "beside", "taken.npz.d", "link", "second", "second.npz.d"}
    # The directory of the array in `second.npz.d.npy`.
    assert_array(load(own_mount / "second.npz.d/rows/0-2.npy"), array[:2], "second.npz.d")
    assert_absent(own_mount / "capitals", [""])


def test_what_is_no_array_is_a_file(served):
    cut, inner = oracle.saved(np.arange(9))[:-1], zips.saved(a=np.arange(3))
    members = served(zips.of_members({"a.txt": b"text", "empty": b"", "cut.npy": cut, "inner.npz": inner}))
    for name, blob in {"a.txt": b"text", "empty": b"", "cut.npy": cut, "inner.npz": inner}.items():
        assert_file(members / name, blob)
    assert read(members / "cut/error.txt") == b"x.npz/cut.npy: header says 200 bytes, the file has 199\n"
    assert listed(members) == ["a.txt", "cut", "cut.npy", "empty", "inner.npz"]
    assert np.load(members / "inner.npz")["a"].tolist() == [0, 1, 2]


def test_objects_have_no_slices(served):
    members = served(zips.saved(a=np.array([{}, None], object)))
    assert sorted(os.listdir(members / "a")) == ["error.txt", "header.json"]
    assert "Python objects" in read(members / "a/error.txt").decode()


def test_an_archive_can_be_mounted_by_itself(tmp_path):
    (tmp_path / "x.npz").write_bytes(zips.saved(a=np.arange(6), **{"sub/b": np.arange(4)}))
    with Mount(tmp_path / "x.npz", tmp_path / "mount") as mount:
        assert listed(mount.path) == ["a", "a.npy", "sub", "sub/b", "sub/b.npy"]
        assert_encodings(mount, Chain("a", np.arange(6)).rows(2, 5))
        assert_encodings(mount, Chain("sub/b", np.arange(4)))
        assert "X.npz" in read(mount / "USAGE.txt").decode()
        assert_absent(mount / "sub/USAGE.txt", [""])
        # What is there now is another archive.
        (tmp_path / "new").write_bytes(zips.saved(c=np.arange(3)))
        os.replace(tmp_path / "new", tmp_path / "x.npz")
        assert listed(mount.path) == ["c", "c.npy"]
        assert refused(os.open, mount / "a.npy", os.O_RDONLY) == "ENOENT"


def test_a_file_that_is_no_archive_cannot_be_mounted(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"PK\3\4 and nothing else")
    failed = run(program(), "mount", "-f", tmp_path / "x.npz", tmp_path, check=False)
    assert failed.returncode == 1 and "x.npz: the archive is cut off" in failed.stderr


def test_all_of_it_is_there_without_a_mount(served, own_mount):
    members = served(zips.saved(a=np.arange(12).reshape(3, 4), **{"sub/b": np.arange(4)}))
    source = own_mount.source / "x"
    for path in ("a.npy", "a.raw", "a/rows/1.npy", "a/header.json", "a/USAGE.txt", "sub/b/slice/::-1.raw"):
        assert run(program(), "cat", source / path, text=False).stdout == read(members / path), path
    for path in (".", "sub", "a", "a/rows"):
        shown = run(program(), "ls", source / path).stdout.splitlines()
        assert sorted(name.rstrip("/") for name in shown) == sorted(os.listdir(members / path)), path
    for path in ("a", "a.npy", "a/rows/1", "sub/b"):
        json = read(members / path.removesuffix(".npy") / "header.json")
        assert run(program(), "info", source / path, text=False).stdout == json, path
        assert run(program(), "info", members / path, text=False).stdout == json, path
    told = run(program(), "info", own_mount.source / "x.npz").stdout
    assert told.startswith('{\n  "source": "x.npz",\n  "members": 2,\n  "arrays": [\n    {\n      "source": "x.npz",\n')


def test_members_that_are_left_out_are_told_of(own_mount):
    good = oracle.saved(np.arange(3))
    blob = zips.by_hand([zips.Item(b"../evil.npy", good), zips.Item(b"a.npy", good), zips.Item(b"/b.npy", good)])
    (own_mount.source / "x.npz").write_bytes(blob)
    os.utime(own_mount.source / "x.npz", (1, 1))
    said = "2 members are left out: the name of one, '../evil.npy', is not a path below the archive"
    for _ in range(3):
        assert listed(own_mount / "x") == ["a", "a.npy"]
        load(own_mount / "x/a/rows/1.npy")
    assert own_mount.log().count(f"x.npz: {said}") == 1
    told = run(program(), "info", own_mount.source / "x.npz")
    assert '"members": 1' in told.stdout and said in told.stderr


def test_an_archive_is_not_written_on_any_mount(own_writable):
    """Not by root, for whom no mode counts, nor by its owner; and no mode says otherwise."""
    path = own_writable.source / "x.npz"
    path.write_bytes(zips.of_members({"a.npy": oracle.saved(np.arange(5)), "sub/b.txt": b"text"}))
    before = read(path)
    os.chmod(own_writable.source, 0o755)
    members = own_writable / "x"

    def attempts():
        for name in ("a.npy", "a.raw", "a/rows/0-2.npy", "a/T.npy", "sub/b.txt"):
            for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
                yield refused(os.open, members / name, flags)
            yield refused(os.truncate, members / name, 0)

    assert set(attempts()) == {"EPERM"}
    for action in (os.unlink, os.rmdir, os.mkdir):
        assert refused(action, members / "new") in ("EPERM", "ENOENT")
    assert refused(os.unlink, members / "a.npy") == "EPERM"
    assert refused(os.open, members / "new.npy", os.O_CREAT | os.O_WRONLY) == "EPERM"
    why = "an archive is not written, since its checksums would be wrong; write arrays in .npy files"
    assert f"x.npz/a.npy: {why}" in read(own_writable / ".npyfs/log").decode()
    for found in [members, *walk(members), members / "a/rows", members / "a/rows/0-2.npy", members / "a/T.raw"]:
        assert os.stat(found).st_mode & READ_ONLY == 0, found
    assert read(path) == before
