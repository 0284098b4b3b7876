"""Writers that meet a file which is not, or no longer, what they opened; and a disk with no room."""

import mmap
import os
import shutil
import signal
import stat
import threading
import time

import numpy as np
import pytest

import corpus
import oracle
from checks import read, refused
from disks import tmpfs
from mounting import Mount, run
from writers import patched, replaced

SAMPLE, PATHS = corpus.VIEWED, list(corpus.VIEWS)


@pytest.mark.parametrize("bits", [0o4644, 0o2644, 0o6755, 0o2755])
def test_a_file_that_gives_rights_is_not_written(mounted, bits):
    """On a disk a write takes setuid and setgid away; here the mode stays, and so does the file."""
    with mounted([SAMPLE], "--writable") as tree:
        backing = tree.source / "x.npy"
        os.chmod(backing, bits)
        for path in PATHS:
            assert refused(os.open, tree / path, os.O_WRONLY) == "EPERM"
            assert refused(os.open, tree / path, os.O_RDWR) == "EPERM"
        assert stat.S_IMODE(os.stat(backing).st_mode) == bits
        assert read(backing) == SAMPLE.blob


def test_an_array_that_was_rewritten_is_not_written_by_who_had_it_open(mounted):
    """Its bytes lie elsewhere by now, or mean something else."""
    with mounted([SAMPLE], "--writable") as tree:
        backing = tree.source / "x.npy"
        files = [os.open(tree / path, access) for path in PATHS for access in (os.O_WRONLY, os.O_RDWR)]
        contents = [read(tree / path) for path in PATHS for _ in range(2)]
        try:
            for other in (SAMPLE.array.T, SAMPLE.array.view(">i8"), SAMPLE.array[:7]):
                backing.write_bytes(oracle.saved(other))
                before = read(backing)
                for file, content in zip(files, contents):
                    assert refused(os.pwrite, file, content, 0) == "EIO"
                assert read(backing) == before
        finally:
            # They are told once more.
            assert {refused(os.close, file) for file in files} == {"EIO"}


def test_a_file_renamed_over_is_not_written_by_who_had_the_old_one_open(mounted):
    with mounted([SAMPLE], "--writable") as tree:
        backing = tree.source / "x.npy"
        file = os.open(tree / PATHS[1], os.O_WRONLY)
        try:
            os.link(backing, tree.source / "old")
            (tree.source / "new").write_bytes(SAMPLE.blob)
            os.replace(tree.source / "new", backing)
            os.pwrite(file, oracle.npy(np.zeros((30, 50))), 0)
        finally:
            os.close(file)
        assert read(backing) == SAMPLE.blob
        assert np.all(np.load(tree.source / "old")[10:40] == 0)


@pytest.mark.parametrize("path", PATHS)
def test_a_file_replaced_by_a_part_of_one_is_an_error_when_it_is_closed(mounted, tmp_path, path):
    """So `cp` says that its source was cut off. What came has arrived."""
    with mounted([SAMPLE], "--writable") as tree:
        old = np.arange(1.0, 1 + np.load(tree / path).size).reshape(np.load(tree / path).shape)
        if path == "x/T.npy":
            old = np.asfortranarray(old)
        np.save(tree / path, old)
        content = oracle.saved(old + 1)
        data = len(content) - old.nbytes
        order = "F" if np.isfortran(old) else "C"
        for size in (1, 8, 60, data - 1, data, data + 1, data + 88, len(content) - 1):
            assert refused(replaced, tree / path, content[:size]) == "EINVAL", size
            came = max(0, (size - data) // 8)
            now, before, after = (values.ravel(order) for values in (np.load(tree / path), old, old + 1))
            assert (now[:came] == after[:came]).all() and (now[came + 1 :] == before[came + 1 :]).all(), size
        (tmp_path / "cut.npy").write_bytes(content[:-8])
        said = run("cp", tmp_path / "cut.npy", tree / path, check=False)
        assert said.returncode == 1 and "Invalid argument" in said.stderr
        replaced(tree / path, content)
        assert (np.load(tree / path) == old + 1).all()
        # Who replaces a few bytes only has not replaced a file.
        patched(tree / path, data, content[data : data + 8], os.O_WRONLY)


@pytest.mark.parametrize("path", PATHS)
def test_another_header_in_a_map_is_an_error_and_takes_no_value_with_it(mounted, path):
    with mounted([SAMPLE], "--writable") as tree:
        with open(tree / path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
            memory[20] ^= 1
            memory[-8:] = np.float64(42).tobytes()
            assert refused(memory.flush) == "EINVAL"
            memory[20] ^= 1
        assert np.load(tree / path).ravel("K")[-1] == 42
        assert read(tree.source / "x.npy")[:128] == SAMPLE.blob[:128]


def test_a_full_disk_is_an_error_and_the_end_of_no_one(tmp_path):
    """A file with holes promises more than there is room for. What had fit stays."""
    values = np.arange(400_000.0)
    content = oracle.npy(values)
    with tmpfs(tmp_path, "5M") as disk:
        (disk / "x.npy").write_bytes(content[:128])
        os.truncate(disk / "x.npy", len(content))
        (disk / "ballast").write_bytes(bytes(4_000_000))
        with Mount(disk, tmp_path / "mount", "--writable") as mount:
            with open(mount / "x.npy", "wb", buffering=0) as file:
                done = file.write(content)
                assert 0 < done < len(content)
                assert refused(file.write, content[done:]) == "ENOSPC"
                assert refused(patched, mount / "x/slice/::-1.npy", 128, content[128:]) == "ENOSPC"
                os.unlink(disk / "ballast")
                while done < len(content):
                    done += file.write(content[done:])
            np.save(mount / "x/rows/7-9.npy", values[7:9])
            assert read(disk / "x.npy") == content


def test_numpy_is_told_of_a_full_disk_though_it_looks_at_its_end_only(tmp_path):
    """`tofile`, and so `np.save`, passes over what the C library says of the last bytes."""
    content = oracle.npy(np.zeros((1000, 1000)))

    def fill(path):
        with pytest.raises(OSError), open(path, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    with tmpfs(tmp_path, "16M") as disk:
        (disk / "x.npy").write_bytes(content[:128])
        os.truncate(disk / "x.npy", len(content))
        fill(disk / "ballast")
        with Mount(disk, tmp_path / "mount", "--writable") as mount:
            for path, value in {"rows/900": np.ones(1000), "rows/500": np.ones(1000), "T/rows/7": np.ones(1000)}.items():
                assert refused(np.save, mount / f"x/{path}.npy", value) == "ENOSPC"
                assert refused(value.tofile, mount / f"x/{path}.raw") == "ENOSPC"
                with open(mount / f"x/{path}.raw", "wb") as file:
                    file.write(value.tobytes())
                    assert refused(file.flush) == "ENOSPC"
                    assert refused(os.fsync, file.fileno()) == "ENOSPC"
                    os.truncate(disk / "ballast", 0)
                    file.flush()
                    os.fsync(file.fileno())
                assert (np.load(mount / f"x/{path}.npy") == 1).all()
                fill(disk / "ballast")


def test_numpy_is_told_of_what_does_not_fit(mounted):
    with mounted([SAMPLE], "--writable") as tree:
        for path in ("x/rows/5.raw", "x/cols/3.raw"):
            old = np.fromfile(tree / path)
            assert refused(np.append(old, 1).tofile, tree / path) == "EFBIG"
            assert refused(old[1:].tofile, tree / path) == "EINVAL"


def test_commands_that_write_to_one_file_in_turn_replace_it_together(mounted, tmp_path):
    with mounted([SAMPLE], "--writable") as tree:
        content = oracle.saved(SAMPLE.array[::-1])
        (tmp_path / "f").write_bytes(content)
        script = 'set -e; { head -c 128 "$1"; tail -c +129 "$1"; } > "$2"'
        run("bash", "-c", script, "bash", tmp_path / "f", tree / "x.npy")
        assert read(tree.source / "x.npy") == content


def test_a_copy_with_its_mode_is_one(mounted, tmp_path):
    with mounted([SAMPLE], "--writable") as tree:
        (tmp_path / "f").write_bytes(oracle.saved(SAMPLE.array[::-1]))
        os.chmod(tmp_path / "f", stat.S_IMODE(os.stat(tree / "x.npy").st_mode))
        shutil.copy(tmp_path / "f", tree / "x.npy")
        os.chown(tree / "x.npy", os.getuid(), os.getgid())
        assert refused(os.chmod, tree / "x.npy", 0o600) == "EPERM"
        assert read(tree.source / "x.npy") == read(tmp_path / "f")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_what_is_stored_through_a_map_is_written_before_the_mount_goes(tmp_path, how):
    (tmp_path / "source").mkdir()
    (tmp_path / "source/x.npy").write_bytes(SAMPLE.blob)
    with Mount(tmp_path / "source", tmp_path / "mount", "--writable") as mount:
        views = [np.load(mount / path, mmap_mode="r+") for path in ("x/cols/3-9.npy", "x/cols/20.npy")]
        for view in views:
            view[...] = 42
        mount.end(how)
        now = np.load(tmp_path / "source/x.npy")
        assert (now[:, 3:9] == 42).all() and (now[:, 20] == 42).all()


def test_an_element_is_one_writer_s_or_the_other_s(mounted):
    """Each stores elements of which all bytes are the same."""
    with mounted([SAMPLE], "--writable") as tree:
        np.save(tree / "x.npy", np.zeros_like(SAMPLE.array))
        over = threading.Event()

        def fill(path, byte):
            while not over.is_set():
                with open(tree / path, "wb", buffering=0) as file:
                    file.write(bytes([byte]) * 8 * 60)

        paths = ("x/cols/3.raw", "x/slice/:,3.raw", "x/T/rows/3.raw")
        writing = [threading.Thread(target=fill, args=job) for job in zip(paths, (1, 2, 3))]
        for thread in writing:
            thread.start()
        until = time.monotonic() + 2
        while time.monotonic() < until:
            items = np.load(tree.source / "x.npy").view("u1").reshape(60, 50, 8)[:, 3]
            mixed = (items != items[:, :1]).any(axis=1)
            assert not mixed.any(), items[mixed]
        over.set()
        for thread in writing:
            thread.join(20)
