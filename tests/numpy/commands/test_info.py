"""npyfs info: a summary for a person, and the same facts as JSON for a program."""

import json
import os
import re
import shlex
import subprocess

import numpy as np
import pytest

import corpus
import dtypes
import oracle
import zips
from checks import assert_array, load, read
from mounting import Mount, program, run
from terminal import on_terminal, plain

LINE = re.compile(r"^(\w+) +(\S.*)$", re.MULTILINE)

EXAMPLE = re.compile(r"^(npyfs \w+ .*?)  +# (\S.*)$", re.MULTILINE)

KINDS = [
    *corpus.a_few(),
    *(corpus.sample(f"record {name}", (4, 3), dtype) for name, dtype in dtypes.RECORDS.items()),
    corpus.sample("it's one", (1,), "<i4"),
    corpus.sample("cube-F", (3, 4, 5), ">c8", "F"),
    corpus.sample("-", (2, 0, 3), "<i4"),
    corpus.sample("new\nline\x1b[31m", (), "<i4"),
]


@pytest.fixture(scope="module")
def kinds(mounted):
    with mounted(KINDS) as tree:
        yield tree


def summary(path):
    """The summary of an array: its lines by their labels, and its examples with what they mean."""
    text = plain(on_terminal("info", path))
    title, rest = text.split("\n", 1)
    lines, _, examples = rest.partition("\n\n")
    return title, dict(LINE.findall(lines)), EXAMPLE.findall(examples)


def paste(command, directory):
    """Runs a line as a shell does into which it is pasted."""
    assert command.startswith("npyfs ")
    script = shlex.quote(program()) + command.removeprefix("npyfs")
    subprocess.run(["bash", "-ec", script], cwd=directory, check=True, timeout=60, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("sample", KINDS, ids=str)
def test_the_examples_of_an_array_work_and_are_what_is_said_of_them(kinds, sample, tmp_path):
    for root in (kinds.source, kinds.mount.path):
        _, _, examples = summary(root / f"{sample.name}.npy")
        assert len(examples) == 3
        for command, meaning in examples:
            paste(command, tmp_path)
            with np.errstate(all="ignore"):
                due = eval(meaning.encode().decode(), {"a": sample.array, "np": np})
            if command.endswith("> slice.npy"):
                assert_array(load(tmp_path / "slice.npy"), due, command)
            elif command.endswith("> slice.raw"):
                assert read(tmp_path / "slice.raw") == oracle.raw(due), command
            else:
                assert command.startswith("npyfs info ")
        assert {command.split()[1] for command, _ in examples} == {"cat", "info"}


def test_a_summary_says_what_an_array_is_and_where_it_lies(tmp_path):
    np.save(tmp_path / "big.npy", np.zeros((1000, 100)))
    path = tmp_path / "big"
    title, lines, _ = summary(path)
    assert title == str(path)
    assert lines == {
        "shape": "(1000, 100)",
        "dtype": "float64 (<f8)",
        "size": "781.25 KiB, 100000 elements of 8 B",
        "order": "C",
        "bytes": f"{path}.npy, from byte 128 on, in one piece",
        "zarr": "1 chunk of (1000, 100)",
        "paths": "rows  cols  slice  parts  windows  chunks  T",
    }
    _, lines, _ = summary(path / "rows/2-4.npy")
    assert lines["array"] == f"a[2:4], where a is {path}.npy"
    assert lines["bytes"] == f"{path}.npy, from byte 1728 on, in one piece"
    _, lines, _ = summary(path / "slice/::-2,5:7")
    assert lines["bytes"] == f"{path}.npy, from byte {128 + 999 * 800 + 40}"
    assert lines["strides"] == "(-1600, 8) bytes"
    assert summary(path / "T")[1]["order"] == "Fortran"


def test_a_summary_names_the_chunks_of_the_zarr_directory_or_says_why_there_is_none(tmp_path):
    np.save(tmp_path / "big.npy", np.zeros((1000, 100)))
    np.save(tmp_path / "long.npy", np.zeros(3, "g"))
    np.save(tmp_path / "empty.npy", np.zeros((0, 3)))
    assert summary(tmp_path / "big.zarr")[1]["zarr"] == "1 chunk of (1000, 100)"
    in_chunks = "100 chunks of (300, 4), in a grid of (4, 25)"
    assert summary(tmp_path / "big/chunks/300,4.zarr")[1]["zarr"] == in_chunks
    assert summary(tmp_path / "long")[1]["zarr"] == "none: Zarr v3 has no type for <f16"
    assert summary(tmp_path / "empty")[1]["zarr"].startswith("no chunks, since the array is empty")
    # A mount has chunks of its own.
    with Mount(tmp_path, tmp_path.parent / "mount", "--chunk-bytes=80000") as mount:
        for path in ("big", "big.npy", "big.zarr"):
            assert summary(mount / path)[1]["zarr"] == "10 chunks of (100, 100), in a grid of (10, 1)"
        assert summary(mount / "big/chunks/300,4.zarr")[1]["zarr"] == in_chunks
        assert summary(mount / "big/rows/0-5")[1]["zarr"] == "1 chunk of (5, 100)"


def test_a_record_has_a_line_for_each_field(tmp_path):
    dtype = np.dtype([("r", "<f4"), ("i", ">i2", (2, 3)), ("new\nline", "<M8[ns]")])
    np.save(tmp_path / "x.npy", np.zeros(3, dtype))
    text = plain(on_terminal("info", tmp_path / "x"))
    assert (
        "dtype   a record of 24 bytes\n"
        "fields  r          float32         at byte 0\n"
        "        i          >i2 (2, 3)      at byte 4\n"
        "        new\\nline  datetime64[ns]  at byte 16\n"
    ) in text
    np.save(tmp_path / "x.npy", np.zeros(3, [(f"f{i}", "u1") for i in range(1000)]))
    text = plain(on_terminal("info", tmp_path / "x"))
    assert "        f19  uint8  at byte 19\n        and 980 more; --json has all of them\n" in text


def test_members_of_archives_and_many_files_say_where_they_are(tmp_path):
    (tmp_path / "x.npz").write_bytes(zips.saved(**{"sub/a": np.arange(9)}))
    (tmp_path / "run").mkdir()
    for i in range(3):
        np.save(tmp_path / f"run/{i}.npy", np.arange(4))
    _, lines, _ = summary(tmp_path / "x/sub/a")
    offset = json.loads(run(program(), "info", tmp_path / "x/sub/a").stdout)["offset"]
    assert lines["bytes"] == f"{tmp_path}/x.npz, member sub/a.npy, from byte {offset} on, in one piece"
    _, lines, _ = summary(tmp_path / "run/concat/rows/2-9")
    assert lines["array"] == f"a[2:9], where a is {tmp_path}/run/concat"
    assert lines["bytes"] == f"in 3 files of {tmp_path}/run; sources.json says which"


def a_directory(path):
    """A directory with arrays, archives, and what is neither."""
    np.save(path / "big.npy", np.zeros((1000, 100)))
    np.save(path / "iq.npy", np.zeros(3, [("r", "<f4"), ("i", "<f4")]))
    (path / "x.npz").write_bytes(zips.saved(b=np.arange(9), **{"sub/a": np.arange(4, dtype="u1")}))
    (path / "bad.npy").write_bytes(b"no array")
    (path / "gone.npy").symlink_to("nowhere")
    (path / "bad.npz").write_bytes(b"no archive")
    (path / "esc\x1b[31m.npy").write_bytes(b"no array")
    (path / "notes.txt").write_text("notes")
    (path / "sub").mkdir()
    return path


NO_ARRAY = r"not a .npy file: it does not start with \x93NUMPY"

TABLE = f"""
name           shape        dtype                           size
bad.npy        {NO_ARRAY}
bad.npz        not a .npz file: it does not start with PK
big.npy        (1000, 100)  float64                   781.25 KiB
esc\\x1b[31m.npy  {NO_ARRAY}
gone.npy       the symlink does not lead to a file
iq.npy         (3,)         {{r: float32, i: float32}}        24 B
x.npz          an archive of 2 members

2 arrays, 781.27 KiB; 1 archive; 4 cannot be read
and 1 directory: sub
"""


def same_words(text):
    return [line.split() for line in text.splitlines()]


def test_a_directory_is_a_table_of_its_arrays(tmp_path):
    a_directory(tmp_path)
    title, table = plain(on_terminal("info", tmp_path)).split("\n", 1)
    assert title == str(tmp_path)
    assert same_words(table) == same_words(TABLE)
    ends = {line.index(line.split("  ")[-1]) + len(line.split("  ")[-1]) for line in table.splitlines() if "KiB" in line and "(" in line}
    assert len(ends) == 1, "sizes end in one column"
    assert plain(on_terminal("info", tmp_path / "sub")).endswith("\nno arrays directly in it\n")


def test_an_archive_is_a_table_of_its_members(tmp_path):
    a_directory(tmp_path)
    for path in ("x.npz", "x"):
        table = plain(on_terminal("info", tmp_path / path)).split("\n", 1)[1]
        assert same_words(table) == same_words(
            "\nname shape dtype size\nb.npy (9,) int64 72 B\nsub/a.npy (4,) uint8 4 B\n\n"
            "2 arrays, 76 B; 2 members in all\n"
        )
    (tmp_path / "packed.npz").write_bytes(zips.of_members({"a.npy": oracle.saved(np.arange(3))}, zips.zipfile.ZIP_DEFLATED))
    table = plain(on_terminal("info", tmp_path / "packed.npz"))
    assert table.endswith("a.npy  the member is compressed; np.savez does not compress\n\n1 member; 1 cannot be read\n")


def test_the_directories_in_a_directory_are_named_at_its_end(tmp_path):
    for name in ("run", "a\nb", "frames"):
        (tmp_path / name).mkdir()
    # Neither the directory of an array nor that of an archive is one of them.
    np.save(tmp_path / "x.npy", np.zeros(3))
    (tmp_path / "y.npz").write_bytes(zips.saved(a=np.arange(9)))
    for path in (tmp_path, tmp_path / "."):
        assert plain(on_terminal("info", path)).endswith("\nand 3 directories: a\\nb, frames, run\n")
    assert json.loads(run(program(), "info", tmp_path).stdout)["directories"] == ["a\nb", "frames", "run"]
    with Mount(tmp_path, tmp_path.parent / "mount") as mount:
        assert plain(on_terminal("info", mount.path)).endswith("\nand 3 directories: a\\nb, frames, run\n")
    for i in range(10):
        (tmp_path / f"frames/{i}").mkdir()
    few = "no arrays directly in it\nand 10 directories: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert plain(on_terminal("info", tmp_path / "frames")).endswith(f"\n{few}\n")
    (tmp_path / "frames/more").mkdir()
    assert plain(on_terminal("info", tmp_path / "frames")).endswith(f"{few.replace('10', '11')}, …\n")


def test_examples_and_chunks_of_small_arrays_are_what_one_would_write(tmp_path):
    np.save(tmp_path / "scalar.npy", np.array(3.5))
    np.save(tmp_path / "short.npy", np.arange(3.0))
    _, lines, examples = summary(tmp_path / "scalar")
    assert lines["zarr"] == "one chunk"
    assert not any("...." in command for command, _ in examples)
    for name in ("scalar", "short"):
        usage = run(program(), "cat", tmp_path / name / "USAGE.txt").stdout
        assert "...." not in usage and "parts/4" not in usage, usage
    assert "parts/3/0.npy" in usage


def test_the_same_facts_are_one_json_document(tmp_path):
    a_directory(tmp_path)
    piped = run(program(), "info", tmp_path).stdout
    assert on_terminal("info", "--json", tmp_path) == piped
    told = json.loads(piped)
    assert told["directory"] == "." and set(told) == {"directory", "directories", "arrays"}
    assert told["directories"] == ["sub"]
    arrays = {array["source"]: array for array in told["arrays"]}
    assert list(arrays) == ["bad.npy", "bad.npz", "big.npy", "esc\x1b[31m.npy", "gone.npy", "iq.npy", "x.npz"]
    for name in ("big", "iq"):
        assert arrays[f"{name}.npy"] == json.loads(run(program(), "cat", tmp_path / name / "header.json").stdout)
    assert arrays["bad.npy"] == {"source": "bad.npy", "error": NO_ARRAY}
    assert arrays["x.npz"] == {"source": "x.npz", "members": 2}
    told = json.loads(run(program(), "info", tmp_path / "x.npz").stdout)
    assert (told["source"], told["members"]) == ("x.npz", 2)
    assert [member["member"] for member in told["arrays"]] == ["b.npy", "sub/a.npy"]
    assert told["arrays"][0] == json.loads(run(program(), "info", tmp_path / "x/b").stdout)
    assert json.loads(run(program(), "info", tmp_path / "sub").stdout)["arrays"] == []


def test_json_of_an_array_is_its_header_on_a_terminal_too(kinds):
    for sample in KINDS[::5]:
        header = run(program(), "cat", kinds.source / sample.name / "header.json").stdout
        for path in (sample.name, f"{sample.name}.npy"):
            assert run(program(), "info", kinds.source / path).stdout == header
            assert run(program(), "info", kinds / path).stdout == header
            assert on_terminal("info", "--json", kinds.source / path) == header


def test_a_mount_says_what_it_serves(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    a_directory(source)
    for options, mode, writable in [([], "read-only", False), (["--writable"], "writable", True)]:
        with Mount(source, tmp_path / "mount", *options) as mount:
            line = f"{mount.path} serves {source}, {mode}"
            for path in (".", "sub", "x"):
                assert f"\nmount  {line}\n" in plain(on_terminal("info", mount / path)), path
                told = json.loads(run(program(), "info", mount / path).stdout)
                where = {"mountpoint": str(mount.path), "source": str(source), "writable": writable}
                assert told["mount"] == where
            title, table = plain(on_terminal("info", mount.path)).split("\n", 1)
            assert same_words(table.split("\n", 1)[1]) == same_words(TABLE)
            assert summary(mount / "big/rows/0-5")[1]["mount"] == line
            assert summary(mount / "x/b")[1]["mount"] == line
    with Mount(source / "big.npy", tmp_path / "mount") as mount:
        _, lines, _ = summary(mount.path)
        assert lines["mount"] == f"{mount.path} serves {source}/big.npy, read-only"
        assert lines["bytes"] == f"{source}/big.npy, from byte 128 on, in one piece"
        assert summary(mount / "rows/3")[1]["array"] == f"a[3], where a is {source}/big.npy"


def test_of_an_array_that_the_source_no_longer_has_the_mount_s_word_is_shown(tmp_path):
    """Another directory has the source's path by now: nothing is said of what is there."""
    source = tmp_path / "source"
    source.mkdir()
    np.save(source / "big.npy", np.zeros((1000, 100)))
    with Mount(source, tmp_path / "mount") as mount:
        source.rename(tmp_path / "old")
        source.mkdir()
        header = read(mount / "big/header.json").decode()
        assert on_terminal("info", mount / "big") == header
        np.save(source / "big.npy", np.zeros((7, 7)))
        assert on_terminal("info", mount / "big") == header
        assert "(7, 7)" not in plain(on_terminal("info", mount / "big"))


def test_what_a_mount_says_cannot_act_on_a_terminal(tmp_path):
    source = tmp_path / "source"
    (source / "x").mkdir(parents=True)
    (source / "x/header.json").write_text('{"a":\n"\x1b[31m\x9b\x7f"}\n')
    (source / ".npyfs").mkdir()
    (source / ".npyfs/stats.json").write_text('{"a": "\x9b\x7f"}\n')
    with Mount(source, tmp_path / "mount") as mount:
        for words in [["info"], ["info", "--json"]]:
            assert on_terminal(*words, mount / "x") == '{"a":\n"\\x1b[31m\\u{9b}\\x7f"}\n'
        assert on_terminal("stats", "--json", mount.path) == '{"a": "\\u{9b}\\x7f"}\n'
        assert run(program(), "info", mount / "x").stdout == (source / "x/header.json").read_text()
        os.truncate(source / "x/header.json", (16 << 20) + 1)
        done = run(program(), "info", mount / "x", check=False)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", f"npyfs: {mount.path}/x: file too large\n")


def test_colours_are_for_terminals_that_want_them(tmp_path):
    a_directory(tmp_path)
    for words in (["info", tmp_path], ["info", tmp_path / "big"], ["ls", "-l", tmp_path]):
        assert "\x1b[" in on_terminal(*words)
        assert "\x1b" not in on_terminal(*words, environment={"NO_COLOR": "1"})
        assert "\x1b" not in on_terminal(*words, environment={"TERM": "dumb"})
        assert "\x1b" not in run(program(), *words).stdout


def test_several_paths_are_said_one_after_another_and_what_fails_hides_no_other(tmp_path):
    a_directory(tmp_path)
    text = plain(on_terminal("info", tmp_path / "big", tmp_path / "nowhere", tmp_path / "iq", status=1))
    first, second = text.split(f"\n\n{tmp_path}/iq\n")
    assert first.startswith(f"{tmp_path}/big\nshape ") and second.startswith("shape ")
    said = run(program(), "info", tmp_path / "bad.npy", tmp_path / "nowhere", check=False)
    assert said.returncode == 1 and said.stdout == "" and len(said.stderr.splitlines()) == 2
