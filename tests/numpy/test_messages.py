"""What .npyfs/log tells another user than the mount's owner."""

import mmap
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from checks import error_of
from mounting import Mount, program, run
from test_other_users import ARRAY, as_other_user, give


@pytest.fixture
def shared():
    directory = Path(tempfile.mkdtemp())
    try:
        os.chmod(directory, 0o755)
        (directory / "source").mkdir(mode=0o755)
        (directory / "source/x.npy").write_bytes(ARRAY.blob)
        give(directory / "source/x.npy", 0o666, (0, 0))
        with Mount(directory / "source", directory / "mount", "--allow-other", "--writable") as mount:
            yield mount
    finally:
        shutil.rmtree(directory)


def test_what_is_refused_of_a_map_is_told_to_who_stored_it(shared):
    """The kernel writes it back, and does not say for whom."""

    def look():
        with open(shared / "x.npy", "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
            memory[20] ^= 1
            code = error_of(memory.flush)
            memory[20] ^= 1
        return code, (shared / ".npyfs/log").read_text()

    (shared / "x/rows/0-2.npy").read_bytes()
    error_of((shared / "x/rows/0-2.npy").write_bytes, b"no array")
    code, log = as_other_user(look)
    assert code is not None
    assert "write: x.npy: a: not written: the bytes of the header stay as they are" in log, log
    assert "a[0:2]" not in log, log
    assert "a[0:2]" in (shared / ".npyfs/log").read_text()


def test_the_log_is_printed_by_npyfs_cat_too(shared):
    error_of((shared / "x/rows/0-2.npy").write_bytes, b"no array")
    assert "a[0:2]" in run(program(), "cat", shared / ".npyfs/log").stdout
    assert run(program(), "ls", shared / ".npyfs").stdout == "log\n"
