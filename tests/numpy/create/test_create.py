"""npyfs create: the file that np.save makes of zeros, or nothing at all."""

import contextlib
import itertools
import json
import os
import re
import resource
import signal
import stat
import subprocess

import numpy as np
import pytest

import disks
import dtypes
import oracle
from checks import assert_same_bytes, read
from mounting import program, run, wait_until

ROOM = 16 << 20

# What fills no disk, but the small ones here: 32 MiB.
TOO_MUCH = (ROOM * 2 // 8,)

FILESYSTEMS = ["tmpfs", "ext4", "ext4 without fallocate"]


@contextlib.contextmanager
def filesystem(kind, directory, room=ROOM):
    """An empty filesystem of a few megabytes."""
    if kind == "tmpfs":
        with disks.tmpfs(directory, room) as root:
            yield root
        return
    # Only files made of extents can be given room in advance.
    features = "extent" if kind == "ext4" else "^extent,^64bit"
    with disks.ext4(directory, room, "-O", features) as root:
        (root / "lost+found").rmdir()
        yield root


@pytest.fixture(scope="module", params=FILESYSTEMS)
def disk(request, tmp_path_factory):
    with filesystem(request.param, tmp_path_factory.mktemp("disk")) as root:
        yield root


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    """Where many small files are made quickly."""
    with filesystem("tmpfs", tmp_path_factory.mktemp("memory")) as root:
        yield root


def words(path, shape, dtype, *options):
    return program(), "create", path, f"--shape={text_of(shape)}", f"--dtype={dtype}", *options


def create(path, shape, dtype, *options, **how):
    return run(*words(path, shape, dtype, *options), **how)


def text_of(shape):
    return shape if isinstance(shape, str) else str(shape)


def zeros(shape, dtype, order="C"):
    """The file that NumPy makes."""
    return oracle.saved(np.zeros(shape, dtype, order))


def assert_created(directory, shape, text, dtype, *options, order="C"):
    path = directory / "new.npy"
    create(path, shape, text, "--order", order, *options)
    try:
        assert os.listdir(directory) == ["new.npy"]
        assert_same_bytes(read(path), zeros(shape, dtype, order), (shape, text, order, options))
    finally:
        path.unlink()


def assert_refused(path, shape, dtype, *options, status=1, why=None, **how):
    """Said in one line, or as a mistake in the command line; and nothing has changed."""
    before = listing(path.parent)
    done = create(path, shape, dtype, *options, check=False, **how)
    assert done.returncode == status, (done.returncode, done.stderr)
    if status == 1:
        said = re.escape(f"npyfs: {path}: {why}") + r"(: \d+ bytes .* needed, .*)?\n"
        assert re.fullmatch(said, done.stderr), done.stderr
    else:
        assert done.stderr.startswith("error: ") and (why or "") in done.stderr, done.stderr
    assert done.stdout == ""
    assert listing(path.parent) == before
    return done


def listing(directory):
    """All that there is in a directory, and what a change to it would change."""
    found = {}
    for entry in os.scandir(directory):
        status = entry.stat(follow_symlinks=False)
        content = read(entry.path) if stat.S_ISREG(status.st_mode) else None
        found[entry.name] = status.st_ino, status.st_mode, status.st_mtime_ns, status.st_ctime_ns, content
    return found


SHAPES = [(), (0,), (1,), (7,), (3, 4), (1, 5), (5, 1), (1, 1), (0, 3), (2, 3, 4), (2, 0, 3), (2, 1, 3)]

NAMES = """
    f8 <f8 >i4 =u2 |u1 float64 int32 uint8 complex64 bool ? b S10 U5 >U5 V16 V S U c >U M8 >m8 >M8[generic] M8[ns] >M8[25us]
    datetime64[ns] datetime64[Y/4] timedelta64[s] m8 longdouble g half n N l L int float str bytes void
""".split()


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("name", dtypes.ALL)
def test_every_dtype_is_written_as_numpy_writes_it(memory, name, order):
    """Given as the descr of its header."""
    dtype = dtypes.ALL[name]
    descr = repr(np.lib.format.dtype_to_descr(dtype))
    for shape in [(), (3, 4)]:
        assert_created(memory, shape, descr, dtype, order=order)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_written_as_numpy_writes_it(memory, shape):
    for order, dtype in itertools.product("CF", ["<f8", "|S1", "|V0", "|u1", ">M8[D]", "[]"]):
        meant = [] if dtype == "[]" else dtype
        assert_created(memory, shape, dtype, meant, order=order)
        assert_created(memory, shape, dtype, meant, "--sparse", order=order)


def test_every_name_of_a_dtype_is_understood_as_numpy_understands_it(memory):
    known = {name for name in np.sctypeDict if isinstance(name, str)} | set(np.typecodes["All"])
    known -= {name for name in known if np.dtype(name).hasobject}
    assert len(known) > 60
    for name in sorted(known | set(NAMES)):
        assert_created(memory, (2,), name, name)


def test_a_shape_can_be_typed_in_several_ways(memory):
    for text, shape in [("3", (3,)), ("3,", (3,)), ("(3)", (3,)), ("2,3", (2, 3)), ("( 2, 3, )", (2, 3))]:
        create(memory / "x.npy", text, "f4")
        assert_same_bytes(read(memory / "x.npy"), zeros(shape, "f4"), text)
        (memory / "x.npy").unlink()
    assert_created(memory, (1,) * 64, "i1", "i1", order="F")


def test_the_descr_of_header_json_makes_a_like_array(memory):
    dtype = np.dtype([("r", "<f4"), ("m", ">i2", (2, 3)), ("n", [("x", "|u1"), ("y", "<U3")])])
    np.save(memory / "a.npy", np.ones((3, 2), dtype))
    header = json.loads(run(program(), "info", memory / "a.npy").stdout)
    create(memory / "b.npy", tuple(header["shape"]), json.dumps(header["descr"]))
    assert_same_bytes(read(memory / "b.npy"), zeros((3, 2), dtype), "b.npy")
    for name in ("a.npy", "b.npy"):
        (memory / name).unlink()


def test_long_headers_and_foreign_names_take_the_versions_that_numpy_takes(memory):
    long = np.dtype([(f"field{i}", "<f4") for i in range(3000)])
    assert_created(memory, (2,), repr(long.descr), long)
    foreign = np.dtype([("質量", "<f4")])
    assert_created(memory, (2,), repr(foreign.descr), foreign)


@pytest.mark.parametrize(
    "dtype",
    ["", "f12", "float65", "<float64", " f8", "f8 ", "S-1", "M8[fortnight]", "M8[ns", "int128", "b8"]
    + ["[('a', 'f4'), ('a', 'i4')]", "[('a',)]", "[('a', 'f4', -1)]", "[(1, 'f4')]", "[('a', 'f4')"]
    + ["[('a', 'S3000000000')]", "[('a', 'f4', 2, 3)]", "[('a', 'f5')]", "3.5"],
)
def test_what_is_no_dtype_to_numpy_is_none_here(tmp_path, dtype):
    with pytest.raises((TypeError, ValueError, SyntaxError, RuntimeError)):
        np.lib.format.descr_to_dtype(eval(dtype) if dtype.startswith("[") else dtype)
    assert_refused(tmp_path / "x.npy", "3", dtype, status=2, why="for '--dtype <DTYPE>'")


@pytest.mark.parametrize("dtype", ["O", "object", "|O", "T", "[('a', 'f4'), ('b', [('c', 'O', (2,))])]"])
def test_python_objects_are_refused(tmp_path, dtype):
    assert_refused(tmp_path / "x.npy", "3", dtype, status=2, why="Python objects are pickled")


def test_what_is_not_an_array_is_a_mistake_in_the_command_line(tmp_path):
    path = tmp_path / "x.npy"
    for shape in ["", "-1", "2,-3", "2,,3", "x", "1e6", "(2", "9223372036854775808", ",".join("1" * 65)]:
        assert_refused(path, shape, "f8", status=2, why="for '--shape <N,N>'")
    assert_refused(path, "3", "('f4', (2,))", status=2, why="only a field can be a sub-array")
    assert_refused(path, "3", "f8", "--order=K", status=2, why="neither C nor F")
    # A separate word, which could be taken for an option.
    done = run(program(), "create", path, "--dtype", "f8", "--shape", "-1", check=False)
    assert done.returncode == 2 and "the length -1 is negative" in done.stderr


def test_what_no_file_can_hold_is_refused(tmp_path):
    path, most = tmp_path / "x.npy", 2**63 - 1
    why = "the shape asks for more bytes than a file can hold"
    for shape, dtype in [((most,), "u1"), ((most - 1, 2), "u1"), ((0, most), "f8"), ((1 << 60,), "f8")]:
        assert_refused(path, shape, dtype, why=why)
        assert_refused(path, shape, dtype, "--sparse", why=why)
    # No filesystem has them, and this one says so.
    for options in [(), ("--sparse",)]:
        assert_refused(path, (most - 1000,), "u1", *options, why="File too large")
    # More than is read, and NumPy would write it.
    name = "\x01" * 100_000
    done = create(path, "3", f"[('{name}', 'f4')]", check=False)
    assert done.returncode == 1 and "at most 262144 are read" in done.stderr
    assert os.listdir(tmp_path) == []


def test_what_is_too_large_names_both_sizes(tmp_path):
    with filesystem("tmpfs", tmp_path) as disk:
        available = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        said = assert_refused(disk / "x.npy", TOO_MUCH, "f8", why="No space left on device").stderr
        needed = 128 + 8 * TOO_MUCH[0]
        assert f": {needed} bytes (32.00 MiB) are needed, {available} bytes (16.00 MiB) are available" in said

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    said = assert_refused(tmp_path / "x.npy", (1000,), "f8", why="File too large", preexec_fn=limit).stderr
    assert ": 8128 bytes (7.94 KiB) are needed, a file may have 4096 bytes (4.00 KiB) (ulimit -f)" in said


def test_a_list_is_a_shape_too(tmp_path):
    create(tmp_path / "x.npy", "[10,10]", "f8")
    assert_same_bytes(read(tmp_path / "x.npy"), zeros((10, 10), "f8"), "[10,10]")


def test_a_file_is_made_in_the_source_and_not_in_the_mount(own_mount):
    (own_mount.source / "sub").mkdir()
    for name in ["new.npy", "sub/new.npy"]:
        done = run(*words(own_mount / name, (3,), "f8"), check=False)
        assert done.returncode == 1
        assert done.stderr.endswith(f"make it in the source: {own_mount.source / name}\n"), done.stderr


def test_a_limit_on_files_is_an_error_and_not_the_end(tmp_path):
    """The kernel sends SIGXFSZ, which leaves no time to remove anything."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    for options in [(), ("--sparse",)]:
        assert_refused(tmp_path / "x.npy", (1000,), "f8", *options, why="File too large", preexec_fn=limit)


def test_what_exists_is_left_as_it_is(tmp_path):
    paths = [tmp_path / f"{name}.npy" for name in ("file", "directory", "dangling", "link", "fifo")]
    file, directory, dangling, link, fifo = paths
    file.write_bytes(b"something else")
    directory.mkdir()
    dangling.symlink_to("nothing.npy")
    link.symlink_to("file.npy")
    os.mkfifo(fifo)
    for path, options in itertools.product(paths, [(), ("--sparse",)]):
        assert_refused(path, (3,), "f8", *options, why="it exists already")
    assert file.read_bytes() == b"something else" and len(os.listdir(tmp_path)) == 5


def test_a_path_that_can_be_no_array_is_refused(tmp_path):
    for name in ("x", "x.NPY", "x.npy.tmp", "x.npy/"):
        words = program(), "create", f"{tmp_path}/{name}", "--shape=3", "--dtype=f8"
        done = run(*words, check=False)
        why = "to be an array in a mount, its name must end in .npy, in lower case"
        assert (done.returncode, done.stderr) == (1, f"npyfs: {tmp_path}/{name}: {why}\n")
    assert os.listdir(tmp_path) == []
    (tmp_path / "file").write_bytes(b"")
    for path, why in [
        (tmp_path / "nowhere/x.npy", f"there is no directory {tmp_path}/nowhere to make it in"),
        (tmp_path / "file/x.npy", "Not a directory"),
        (tmp_path / f"{'x' * 252}.npy", "File name too long"),
    ]:
        done = create(path, (3,), "f8", check=False)
        assert (done.returncode, done.stderr) == (1, f"npyfs: {path}: {why}\n")
    assert os.listdir(tmp_path) == ["file"]


def test_a_path_is_relative_to_where_one_is_and_may_be_any_bytes(tmp_path):
    name = os.fsdecode(b"\xff \n.npy")
    create(name, (3,), "f8", cwd=tmp_path)
    assert os.listdir(tmp_path) == [name]
    assert_same_bytes(read(tmp_path / name), zeros((3,), "f8"), name)


def test_of_eight_at_once_one_makes_the_file(disk):
    for _ in range(8):
        started = [
            subprocess.Popen(words(disk / "x.npy", (100_000 + i,), "f8"), stderr=subprocess.PIPE, text=True)
            for i in range(8)
        ]
        said = [process.communicate(timeout=60)[1] for process in started]
        winners = [i for i, process in enumerate(started) if process.returncode == 0]
        assert len(winners) == 1, said
        losers = {said[i] for i in range(8) if i not in winners}
        assert losers == {f"npyfs: {disk}/x.npy: it exists already\n"}
        assert os.listdir(disk) == ["x.npy"]
        assert_same_bytes(read(disk / "x.npy"), zeros((100_000 + winners[0],), "f8"), winners)
        (disk / "x.npy").unlink()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o027, 0o077])
def test_permissions_are_what_the_umask_leaves(tmp_path, umask):
    create(tmp_path / "x.npy", (3,), "f8", umask=umask)
    assert stat.S_IMODE(os.stat(tmp_path / "x.npy").st_mode) == 0o666 & ~umask


def test_the_space_is_reserved_unless_it_is_not_wanted(disk):
    shape = (1000, 1000)
    for options in [(), ("--sparse",)]:
        create(disk / "x.npy", shape, "f8", *options)
        status = os.stat(disk / "x.npy")
        assert status.st_size == 128 + 8_000_000
        if options:
            assert status.st_blocks * 512 <= 16384
        else:
            assert status.st_blocks * 512 >= status.st_size
        assert_same_bytes(read(disk / "x.npy"), zeros(shape, "f8"), options)
        (disk / "x.npy").unlink()


def test_a_full_disk_is_reported_and_nothing_is_left(disk):
    def free():
        return os.statvfs(disk).f_bfree

    before = free()
    assert_refused(disk / "x.npy", TOO_MUCH, "f8", why="No space left on device")
    wait_until(lambda: free() == before, 30, "free again")
    create(disk / "x.npy", TOO_MUCH, "f8", "--sparse")
    (disk / "x.npy").unlink()


def test_a_sparse_file_needs_room_for_its_header(tmp_path):
    with filesystem("tmpfs", tmp_path, 1 << 20) as disk:
        (disk / "filler").write_bytes(bytes(1 << 20))
        for shape in [(3,), TOO_MUCH]:
            assert_refused(disk / "x.npy", shape, "f8", "--sparse", why="No space left on device")
            assert_refused(disk / "x.npy", shape, "f8", why="No space left on device")


def stopped_midway(disk, shape):
    """A create that has written some of its zeros, and waits; or None if it was too quick."""
    creating = subprocess.Popen(words(disk / "x.npy", shape, "f8"), stderr=subprocess.PIPE, text=True)
    wait_until(lambda: os.listdir(disk), 20, "started")
    creating.send_signal(signal.SIGSTOP)
    os.waitpid(creating.pid, os.WUNTRACED)
    [name] = os.listdir(disk)
    if name != "x.npy" and os.stat(disk / name).st_size < 128 + 8 * shape[0]:
        assert not name.endswith(".npy"), "or a mount would show it"
        return creating
    creating.kill()
    creating.communicate()
    (disk / name).unlink()
    return None


def stopped_midway_in_the_end(disk):
    """To write so many zeros takes far longer than to see that it has begun; one try of many is enough."""
    return next(filter(None, (stopped_midway(disk, (25_000_000,)) for _ in range(100))))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing(tmp_path, number):
    with filesystem("ext4 without fallocate", tmp_path, 256 << 20) as disk:
        creating = stopped_midway_in_the_end(disk)
        creating.send_signal(number)
        creating.send_signal(signal.SIGCONT)
        said = creating.communicate(timeout=20)[1]
        assert (creating.returncode, said) == (1, f"npyfs: {disk}/x.npy: interrupted\n")
        assert os.listdir(disk) == []


def test_a_stop_and_a_continuation_change_nothing(tmp_path):
    with filesystem("ext4 without fallocate", tmp_path, 256 << 20) as disk:
        creating = stopped_midway_in_the_end(disk)
        creating.send_signal(signal.SIGCONT)
        assert creating.communicate(timeout=60)[1] == "" and creating.returncode == 0
        assert os.listdir(disk) == ["x.npy"]
        assert os.stat(disk / "x.npy").st_size == 128 + 200_000_000


def test_what_is_created_is_mounted_like_any_array(own_mount):
    create(own_mount.source / "new.npy", (1000, 10), "[('r', '<f4'), ('i', '<f4')]")
    wait_until(lambda: os.path.exists(own_mount / "new"), 30, "there")
    values = np.lib.format.open_memmap(own_mount.source / "new.npy", "r+")
    values["i"][500:510] = 7
    values.flush()
    part = np.load(own_mount / "new/rows/495-505/fields/i.npy")
    assert_same_bytes(part.tobytes(), np.ascontiguousarray(values["i"][495:505]).tobytes(), "rows 495-505")
