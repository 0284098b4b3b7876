"""What .npyfs/log tells another user than the mount's owner."""

import mmap

import pytest

from checks import error_of
from corpus import SMALL
from mounting import program, run
from users import as_other_user, give, shared_mount


def populate(source):
    (source / "x.npy").write_bytes(SMALL.blob)
    give(source / "x.npy", 0o666, (0, 0))


@pytest.fixture
def shared():
    with shared_mount(populate, "--writable") as mount:
        yield mount


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
    assert run(program(), "ls", shared / ".npyfs").stdout == "log\nstats.json\n"
