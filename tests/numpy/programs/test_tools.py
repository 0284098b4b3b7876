"""Plain tools, and many readers at once, take the mount for an ordinary directory."""

import concurrent.futures
import filecmp
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import corpus
import dtypes
import oracle
import reader
from checks import assert_same_bytes, read
from mounting import program, run

READERS = 16
READERS_SECONDS = 100

BULK = corpus.sample("bulk", (3000, 100), "<i4")


@pytest.fixture(scope="module")
def tree(mounted):
    """Arrays of a few tiles each, one of them all zeros, as sparse files like to be."""
    zeros = corpus.numpy_header(np.zeros((500, 512))) + bytes(500 * 512 * 8)
    zeros = corpus.Sample("zeros", zeros, np.zeros((500, 512)))
    samples = [
        BULK,
        zeros,
        corpus.sample("fortran", (1700, 90), ">f4", "F"),
        corpus.sample("point", (), "<f8"),
    ]
    samples += [
        corpus.sample("record", (900, 5), dtypes.RECORDS["gaps"]),
        corpus.sample("line", (40000,), "<c8"),
    ]
    with mounted(samples, f"--tile-bytes={1 << 18}") as tree:
        yield tree


@pytest.fixture(scope="module")
def listed(tree):
    """Every file that a walk finds, and its bytes."""
    root = tree.mount.path
    found = [Path(folder, name) for folder, _, files in os.walk(root) for name in files]
    return {str(path.relative_to(root)): read(path) for path in found}


def assert_copied(directory, listed):
    """A copy of the mount: the same files, the same bytes."""
    copied = {
        str(path.relative_to(directory)): path for path in Path(directory).rglob("*") if path.is_file()
    }
    assert copied.keys() == listed.keys()
    for name, path in copied.items():
        assert_same_bytes(read(path), listed[name], name)


def test_what_is_listed_is_what_numpy_says_it_is(tree, listed):
    """So that the copies below are compared with something that is right."""
    assert {"bulk.npy", "bulk/header.json", "bulk/cols/USAGE.txt", "record/fields/a.npy"} <= listed.keys()
    for name, sample in tree.samples.items():
        assert_same_bytes(listed[f"{name}.npy"], sample.blob, name)
        rows = [path for path in listed if path.startswith(f"{name}/rows/") and path.endswith(".npy")]
        assert len(rows) > 1 or name in ("point", "record")
        for path in rows:
            start, stop = map(int, Path(path).stem.split("-"))
            assert_same_bytes(listed[path], oracle.npy(sample.array[start:stop]), path)


def test_names_listed_are_names_found(tree, listed):
    """A listed name spells its file exactly, and find sees the sizes that reads confirm."""
    found = run("find", tree.mount.path, "-type", "f", "-printf", "%P\\t%s\\n").stdout.splitlines()
    sizes = dict(line.split("\t") for line in found)
    assert {name: int(size) for name, size in sizes.items()} == {
        name: len(blob) for name, blob in listed.items()
    }
    for name in listed:
        assert Path(name).name in os.listdir((tree / name).parent)


def test_cp_copies_all_of_it(tree, listed, tmp_path):
    run("cp", "-r", tree.mount.path, tmp_path / "copy")
    assert_copied(tmp_path / "copy", listed)


def test_cp_with_attributes_copies_all_of_it(tree, listed, tmp_path):
    run("cp", "-a", tree.mount.path, tmp_path / "copy")
    assert_copied(tmp_path / "copy", listed)
    tile = next(name for name in listed if name.startswith("bulk/rows/"))
    assert os.stat(tmp_path / "copy" / tile).st_mtime_ns == os.stat(tree.source / "bulk.npy").st_mtime_ns


@pytest.mark.parametrize("sparse", [["-S"], []], ids=["sparse", "plain"])
def test_tar_packs_all_of_it(tree, listed, tmp_path, sparse):
    """With -S, tar takes st_blocks for the truth about holes: 0 would lose the data."""
    (tmp_path / "out").mkdir()
    run("tar", *sparse, "-C", tree.mount.path, "-cf", tmp_path / "all.tar", ".")
    run("tar", "-C", tmp_path / "out", "-xf", tmp_path / "all.tar")
    assert_copied(tmp_path / "out", listed)


def test_rsync_copies_all_of_it_and_then_nothing(tree, listed, tmp_path):
    root = f"{tree.mount.path}/"
    run("rsync", "-a", root, tmp_path / "copy")
    assert_copied(tmp_path / "copy", listed)
    again = run("rsync", "-a", "--itemize-changes", root, tmp_path / "copy")
    assert again.stdout == ""
    assert run("rsync", "-ac", "--itemize-changes", root, tmp_path / "copy").stdout == ""


def test_cmp_finds_no_difference(tree, tmp_path):
    run("cmp", tree / "bulk.npy", tree.source / "bulk.npy")
    np.save(tmp_path / "expected.npy", BULK.array[:, 7:77])
    run("cmp", tree / "bulk/cols/7-77.npy", tmp_path / "expected.npy")
    assert not filecmp.cmp(tree / "bulk/cols/7-77.npy", tree / "bulk/cols/8-78.npy", shallow=False)


def test_sha256sum_agrees_with_what_numpy_saves(tree):
    views = [
        tree.chain("bulk").cols(0, 50),
        tree.chain("fortran").slice("::-3"),
        tree.chain("record").rows(5, 500),
    ]
    lines = run("sha256sum", *(tree / view.npy for view in views)).stdout.split("\n")
    assert [line.split()[0] for line in lines if line] == [
        hashlib.sha256(oracle.npy(v.view)).hexdigest() for v in views
    ]


@pytest.mark.parametrize("size", [1, 7, 127, 511, 513, 4095, 4097, 65537, 1 << 20])
def test_dd_reads_in_blocks_of_any_size(tree, tmp_path, size):
    count = min(-(-(1 << 20) // size), 3000)
    for view in (
        tree.chain("bulk").cols(1, 50),
        tree.chain("bulk").rows(100, 900),
        tree.chain("fortran").slice("1:,::-1"),
    ):
        out = tmp_path / "out"
        run("dd", f"if={tree / view.npy}", f"of={out}", f"bs={size}", f"count={count}")
        assert_same_bytes(read(out), oracle.npy(view.view)[: size * count], view.path)
        run("dd", f"if={tree / view.npy}", f"of={out}", f"bs={size}", "skip=3", "count=5")
        assert_same_bytes(read(out), oracle.npy(view.view)[size * 3 : size * 8], view.path)


def test_searches_and_counts_end(tree):
    run("du", "-a", tree.mount.path)
    run("ls", "-lR", tree.mount.path)
    found = run("grep", "-rl", "fortran_order", "--include=header.json", tree.mount.path).stdout.split()
    assert len(found) == len(tree.samples)
    assert run("head", "-c", "6", tree / "bulk/T.npy", text=False).stdout == b"\x93NUMPY"


def assert_all_read_well(tree, *groups):
    """A process for each group of readers, a thread for each reader; all at once."""
    words = [sys.executable, reader.__file__, tree / "bulk", tree.source / "bulk.npy", READERS]
    processes = [
        subprocess.Popen([str(word) for word in (*words, *group)], stderr=subprocess.PIPE, text=True)
        for group in groups
    ]
    try:
        for process in processes:
            complaint = process.communicate(timeout=READERS_SECONDS)[1]
            assert process.returncode == 0, f"{process.returncode}: {complaint}"
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()


def test_sixteen_processes_read_at_once(tree):
    assert_all_read_well(tree, *([i] for i in range(READERS)))


def test_sixteen_threads_of_one_process_read_at_once(tree):
    assert_all_read_well(tree, range(READERS))


def test_sixteen_readers_share_one_open_file(tree):
    """Reads at random places of one descriptor, none of which may disturb another."""
    view = tree.chain("bulk").cols(3, 90)
    expected = oracle.npy(view.view)

    def read_places(seed):
        for at, length in np.random.default_rng(seed).integers(0, len(expected), (200, 2)) // [1, 8]:
            assert_same_bytes(os.pread(file, length, at), expected[at : at + length], view.path)

    file = os.open(tree / view.npy, os.O_RDONLY)
    try:
        with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
            list(pool.map(read_places, range(READERS), timeout=READERS_SECONDS))
    finally:
        os.close(file)


def test_the_same_tree_can_be_had_without_a_mount(tree, listed):
    """cat, ls and info walk the source by the same rules, for where there is no FUSE."""
    paths = "bulk/cols/3-9.npy bulk/cols/3-9.raw record/fields/b.npy bulk.npy line/slice/::-2/T.npy"
    for path in paths.split():
        said = run(program(), "cat", tree.source / path, text=False).stdout
        assert_same_bytes(said, read(tree / path), path)
    names = run(program(), "ls", tree.source / "record/fields").stdout.split()
    assert sorted(names) == sorted(os.listdir(tree / "record/fields"))
    for path in ("bulk", "bulk/rows/0-5", "record/fields/a"):
        told = json.loads(run(program(), "info", tree.source / path).stdout)
        served = json.loads(read(tree / path / "header.json"))
        assert told | {"source": served["source"]} == served


def test_what_does_not_exist_is_explained_without_a_mount(tree):
    for path in ("bulk/rows/0-5000000", "bulk/cols/x", "point/rows", "nothing/rows/0"):
        refused = run(program(), "info", tree.source / path, check=False)
        assert refused.returncode == 1 and len(refused.stderr.split("\n")) == 2, refused.stderr
