"""npyfs.mount: a mount for as long as a block runs, however it ends."""

import multiprocessing
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import npyfs
from mounting import in_mount_table, program, run, wait_until

TIMEOUT = 60


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A directory with an array of 1000 rows of 10; temporary files go beside it."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "source").mkdir()
    np.save(tmp_path / "source/x.npy", np.arange(10_000).reshape(1000, 10))
    return tmp_path / "source"


def assert_nothing_left(source):
    assert not os.listdir(source.parent / "tmp")
    with open("/proc/self/mountinfo") as table:
        assert str(source.parent) not in table.read()


def test_it_is_there_in_the_block_and_gone_after_it(source):
    with npyfs.mount(source) as mnt:
        assert mnt.is_absolute() and in_mount_table(mnt)
        assert np.load(mnt / "x/rows/3-5.npy").tolist() == np.arange(30, 50).reshape(2, 10).tolist()
    assert_nothing_left(source)


def test_an_exception_passes_and_the_mount_comes_down(source, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with npyfs.mount(source, tmp_path / "mnt") as mnt:
            assert mnt == tmp_path / "mnt"
            raise KeyboardInterrupt
    assert not in_mount_table(tmp_path / "mnt") and (tmp_path / "mnt").is_dir()
    assert_nothing_left(source)


def test_what_cannot_be_mounted_says_why_and_leaves_nothing(source):
    for wrong, why in [(source / "missing", "missing: No such file"), (source / "x", "the array is the file")]:
        with pytest.raises(npyfs.Error, match=why), npyfs.mount(wrong):
            pass
    with pytest.raises(npyfs.Error, match="nonsense"), npyfs.mount(source, nonsense=True):
        pass
    with pytest.raises(npyfs.Error) as raised, npyfs.mount(source, wriatble=True):
        pass
    assert "wriatble" in str(raised.value) and "\n" not in str(raised.value)
    assert repr(npyfs.Error) == "<class 'npyfs.Error'>"
    assert_nothing_left(source)


@pytest.mark.parametrize("name", ["foreground", "debug", "until_eof"])
def test_what_would_never_begin_is_refused(source, name):
    with pytest.raises(ValueError, match=f"{name} is no option here"), npyfs.mount(source, **{name: True}):
        pass
    with npyfs.mount(source, **{name: False}) as mnt:
        assert in_mount_table(mnt)
    assert_nothing_left(source)


def test_options_are_those_of_the_command(source, tmp_path):
    log = tmp_path / "log"
    with npyfs.mount(source, writable=True, no_tiles=True, ttl=0.5, threads=None, log_file=log) as mnt:
        np.save(mnt / "x/rows/0.npy", np.full(10, -1))
        assert os.listdir(mnt / "x/rows") == ["USAGE.txt"]
        assert log.exists()
    assert np.load(source / "x.npy")[:2].tolist() == [[-1] * 10, list(range(10, 20))]


def test_what_is_still_mapped_can_be_read_after_the_block(source):
    with npyfs.mount(source) as mnt:
        column = np.load(mnt / "x/cols/7.npy", mmap_mode="r")
    assert_nothing_left(source)
    assert column.tolist() == list(range(7, 10_000, 10))


def test_a_process_that_was_forked_does_not_hold_the_mount(source):
    event = multiprocessing.get_context("fork").Event()
    child = None
    try:
        with npyfs.mount(source) as mnt:
            child = multiprocessing.get_context("fork").Process(target=event.wait, args=[TIMEOUT])
            child.start()
        assert not in_mount_table(mnt)
    finally:
        event.set()
        child.join(TIMEOUT)


KILLED = """
import sys, npyfs
with npyfs.mount(*sys.argv[1:]) as mnt:
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_is_ended_leaves_no_mount(source, tmp_path, number):
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(npyfs.__file__))}
    words = [sys.executable, "-c", KILLED, source, tmp_path / "mnt"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, env=environment, **pipes) as process:
        assert process.stdout.readline() == b"ready\n"
        assert in_mount_table(tmp_path / "mnt")
        process.send_signal(number)
        process.wait(TIMEOUT)
    wait_until(lambda: not in_mount_table(tmp_path / "mnt"), TIMEOUT, "unmounted")


def test_the_module_is_the_command_too(source):
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(npyfs.__file__))}
    for words in [["--version"], ["ls", source / "x"]]:
        as_module = run(sys.executable, "-m", "npyfs", *words, env=environment)
        assert as_module.stdout == run(program(), *words).stdout
    assert run(sys.executable, "-m", "npyfs", "ls", "/missing", env=environment, check=False).returncode == 1
