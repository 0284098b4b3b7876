"""npyfs ls and cat: long listings, JSON, several paths."""

import json
import os

import numpy as np
import pytest

import zips
from checks import read
from mounting import program, run
from terminal import on_terminal, plain


@pytest.fixture
def source(own_mount):
    np.save(own_mount.source / "big.npy", np.zeros((1000, 100)))
    np.save(own_mount.source / "iq.npy", np.zeros(3, [("r", "<f4"), ("i", "<f4")]))
    (own_mount.source / "x.npz").write_bytes(zips.saved(b=np.arange(9)))
    (own_mount.source / "bad.npy").write_bytes(b"no array")
    (own_mount.source / "notes.txt").write_text("notes")
    (own_mount.source / "sub").mkdir()
    return own_mount.source


def listed(*words):
    return run(program(), "ls", *words).stdout


LONG = """\
                                                  bad/
       8 B                                        bad.npy
                                                  big/
781.38 KiB  float64                   (1000, 100) big.npy
                                                  iq/
     152 B  {r: float32, i: float32}  (3,)        iq.npy
       5 B                                        notes.txt
                                                  sub/
                                                  x/
     340 B                                        x.npz
"""


def test_a_long_listing_has_sizes_dtypes_and_shapes(own_mount, source):
    words = lambda text: [line.split() for line in text.splitlines()]
    expected = [line if "x.npz" not in line else [str(os.stat(source / "x.npz").st_size), "B", "x.npz"] for line in words(LONG)]
    for root in (source, own_mount.path):
        for text in (listed("-l", root), plain(on_terminal("ls", "--long", root))):
            assert words(text) == expected
            names = {line.rindex("  ") + 2 for line in text.splitlines()}
            assert len(names) == 1, "names stand below each other"
        assert listed("-l", root / "iq/fields").splitlines()[1].split() == ["140", "B", "float32", "(3,)", "r.npy"]
        assert listed("-l", root / "x").split() == ["200", "B", "int64", "(9,)", "b.npy", "b/"]
        assert listed("-l", root / "big/rows/3.npy").split()[:5] == ["928", "B", "float64", "(100,)", str(root / "big/rows/3.npy")]


def test_json_has_an_object_for_each_entry_of_all_paths(own_mount, source):
    for root in (source, own_mount.path):
        told = json.loads(listed("--json", root, root / "big/parts/3", root / "big.raw"))
        told = {entry["path"]: entry for entry in told}
        assert told[f"{root}/big.npy"] == {
            "path": f"{root}/big.npy",
            "kind": "file",
            "size": 800128,
            "descr": "<f8",
            "shape": [1000, 100],
        }
        assert told[f"{root}/sub"] == {"path": f"{root}/sub", "kind": "directory"}
        assert told[f"{root}/bad.npy"] == {"path": f"{root}/bad.npy", "kind": "file", "size": 8}
        assert told[f"{root}/iq.npy"]["descr"] == [["r", "<f4"], ["i", "<f4"]]
        assert told[f"{root}/big/parts/3/0.npy"]["shape"] == [334, 100]
        assert told[f"{root}/big.raw"]["size"] == 800000
        assert sum(path.startswith(f"{root}/big/parts") for path in told) == 3
    assert json.loads(listed("--json", source / "sub")) == []
    inside = json.loads(run(program(), "ls", "--json", cwd=source).stdout)
    assert "big.npy" in [entry["path"] for entry in inside]


def test_several_paths_have_headings_and_files_come_first(source):
    text = listed(source / "big/parts/2", source / "big.npy", source / "sub", source / "iq/fields")
    expected = f"{source}/big.npy\n\n{source}/big/parts/2:\n0.npy\n1.npy\n\n{source}/sub:\n\n{source}/iq/fields:\nUSAGE.txt\nr.npy\ni.npy\n"
    assert text == expected
    long = run(program(), "ls", "-l", source / "big/parts/2", source / "sub").stdout
    assert long.splitlines()[0] == f"{source}/big/parts/2:" and long.endswith(f"\n\n{source}/sub:\n")


def test_a_path_that_fails_hides_no_other(source):
    done = run(program(), "ls", source / "nowhere", source / "big/parts/2", source / "big/rows/0-5000", check=False)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 2
    assert done.stdout == f"{source}/big/parts/2:\n0.npy\n1.npy\n"
    done = run(program(), "ls", "--json", source / "nowhere", source / "big/parts/2", check=False)
    assert done.returncode == 1 and len(json.loads(done.stdout)) == 2


def test_a_long_listing_of_billions_starts_at_once(source):
    path = source / "big/parts/4000000000"
    for option in ("-l", "--json"):
        script = 'set -o pipefail; "$0" ls "$1" "$2" | head -n 3'
        done = run("bash", "-c", script, program(), option, path)
        assert len(done.stdout.splitlines()) == 3


def test_cat_writes_several_files_one_after_another(own_mount, source):
    names = ["big/rows/3.raw", "notes.txt", "iq/fields/r.npy"]
    expected = b"".join(read(own_mount / name) for name in names)
    assert run(program(), "cat", *(source / name for name in names), text=False).stdout == expected
    # What comes after an error is not written, as if nothing were missing.
    done = run(program(), "cat", source / names[1], source / "nowhere", source / names[0], check=False)
    assert done.returncode == 1 and done.stdout == "notes"


def test_cat_writes_text_and_nothing_else_to_a_terminal(own_mount, source):
    for name in ("big.npy", "big/rows/0-2.raw"):
        for path in (source / name, own_mount.path / name):
            assert on_terminal("cat", path, status=1) == "", path
            assert run("sh", "-c", '"$0" cat "$1" | cat', program(), path, text=False).stdout == read(own_mount / name)
    for name in ("big/header.json", "big/USAGE.txt"):
        assert on_terminal("cat", source / name) == run(program(), "cat", source / name).stdout
    (source / "long.txt").write_text("é" * (1 << 20) + "\t\n")
    assert on_terminal("cat", source / "long.txt") == "é" * (1 << 20) + "\t\n"
