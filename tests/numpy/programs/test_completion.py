"""What bash, zsh and fish write when somebody presses Tab, read back as the words that they pass on."""

import contextlib
import os
import shlex
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from keyboard import Keyboard
from mounting import Mount, program

SCRIPTS = Path(__file__).parents[3] / "contrib/completions"

STARTED = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source <(npyfs completions bash)"),
    "zsh": (
        ["zsh", "-f", "-i"],
        f"fpath=({shlex.quote(str(SCRIPTS))} $fpath); autoload -Uz compinit; compinit -u -D",
    ),
    "zsh, sourced": (
        ["zsh", "-f", "-i"],
        "autoload -Uz compinit; compinit -u -D; source <(npyfs completions zsh)",
    ),
    "fish": (["fish", "--no-config", "-i"], "npyfs completions fish | source"),
}
"""How each shell is started, and how it comes to know npyfs."""

TRIES = 5
"""How often keys are typed until they do what they should, on a machine that is busy."""

NOTING = """#!/bin/sh
case $#,$1 in *,complete | 2,completions) exec {program} "$@" ;; esac
printf '%s\\0' "$@" >{noted}.new && mv {noted}.new {noted}
"""
"""Notes the words that it is called with, instead of doing anything."""


class Home:
    """A home directory with arrays in it, and an npyfs that notes what it is called with."""

    def __init__(self, directory):
        self.directory = directory
        self.noted = directory / "noted"
        (directory / "bin").mkdir()
        npyfs = directory / "bin/npyfs"
        npyfs.write_text(NOTING.format(program=shlex.quote(program()), noted=shlex.quote(str(self.noted))))
        npyfs.chmod(0o755)
        (directory / "data").mkdir()
        for name in ("big", "my array"):
            np.save(directory / f"data/{name}.npy", np.zeros((100, 10)))
        (directory / "data/notes.txt").write_text("")

    @contextlib.contextmanager
    def shell(self, name):
        """A shell that knows npyfs."""
        command, knows = STARTED[name]
        assert shutil.which(command[0]), f"{command[0]} is not installed"
        environment = {
            "HOME": str(self.directory),
            "PATH": f"{self.directory}/bin:{os.environ['PATH']}",
            "TERM": "xterm",
            "LANG": "C.UTF-8",
        }
        with Keyboard(command, self.directory, environment) as keyboard:
            keyboard.type(f"{knows}\r")
            self.name, self.keyboard = name, keyboard
            self.words("npyfs known\r")
            yield self

    def words(self, keys):
        """The words that npyfs is called with by what is typed."""
        self.noted.unlink(missing_ok=True)
        self.keyboard.type(keys)
        self.keyboard.wait_until(lambda _: self.noted.exists(), f"called by {keys!r}")
        return self.noted.read_text().split("\0")[:-1]

    def comes_to_write(self, keys, words):
        """Whether npyfs is called with these words by what is typed. A shell that has waited for too long writes nothing,
        and somebody types it again."""
        return any(self.words(keys) == words for _ in range(TRIES))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module", params=STARTED)
def shell(request, home):
    with home.shell(request.param) as shell:
        yield shell


@pytest.mark.parametrize(("keys", "words"), [
    ("inf\tx", ["info", "x"]),
    ("mount --writ\tx", ["mount", "--writable", "x"]),
    ("completions fi\tx", ["completions", "fish", "x"]),
    ("create new.npy --dtype float6\tx", ["create", "new.npy", "--dtype", "float64", "x"]),
    ("create new.npy --dtype=float6\tx", ["create", "new.npy", "--dtype=float64", "x"]),
    # No blank after a directory, and one after a file.
    ("cat dat\tx", ["cat", "data/x"]),
    ("cat data/n\tx", ["cat", "data/notes.txt", "x"]),
    ("cat data/big/ro\t0-50.npy", ["cat", "data/big/rows/0-50.npy"]),
    ("ls ./data/big/USA\tx", ["ls", "./data/big/USAGE.txt", "x"]),
    ("info data/big.npy data/big/rows/0-50/col\tx", ["info", "data/big.npy", "data/big/rows/0-50/cols/x"]),
    ("refs data/bi\t.\tx", ["refs", "data/big.npy", "x"]),
    ("mount data/bi\tx", ["mount", "data/big.npy", "x"]),
    # Names that a shell has to write in another way, and parts that it would split.
    ("cat data/my\t/ro\tx", ["cat", "data/my array/rows/x"]),
    ("cat data/my\\ ar\t/ro\tx", ["cat", "data/my array/rows/x"]),
    ("cat data/big/slice/0:5,0:5/head\tx", ["cat", "data/big/slice/0:5,0:5/header.json", "x"]),
])  # fmt: skip
def test_tab_writes_what_was_meant(shell, keys, words):
    assert shell.comes_to_write(f"npyfs {keys}\r", words)


def test_quotes_may_be_open(shell):
    # After a whole name bash closes them itself.
    close = "" if shell.name == "bash" else "'"
    assert shell.comes_to_write(f"npyfs cat 'data/my ar\t/ro\tx{close}\r", ["cat", "data/my array/rows/x"])


def test_the_home_directory_may_be_typed_as_a_tilde(shell):
    for keys, name in [("npyfs cat ~/data/big/ro\tx\r", "big"), ("npyfs cat ~/data/my\t/ro\tx\r", "my array")]:
        assert shell.comes_to_write(keys, ["cat", f"{shell.directory}/data/{name}/rows/x"])


def test_tab_shows_what_there_is(shell):
    names = ["header.json", "USAGE.txt", "rows/", "cols/", "slice/", "parts/", "windows/", "chunks/"]
    clear = "\x15"
    typed = []

    def are_shown(shown):
        if not typed or time.monotonic() > typed[-1] + 5:
            typed.append(time.monotonic())
            shell.keyboard.type(f"{clear}npyfs cat data/big/\t\t")
        return all(name in shown for name in names)

    shell.keyboard.wait_until(are_shown, f"shown {names}")
    assert shell.words(f"{clear}npyfs known\r") == ["known"]


@pytest.fixture
def hanging(tmp_path):
    """A mount that does not answer, since its source does not: who waits for it cannot be killed."""
    (tmp_path / "source/sub").mkdir(parents=True)
    with Mount(tmp_path / "source", tmp_path / "inner") as inner:
        with Mount(inner.path, tmp_path / "mount") as mount:
            os.kill(inner.pid, signal.SIGSTOP)
            try:
                yield mount
            finally:
                os.kill(inner.pid, signal.SIGCONT)


def test_a_mountpoint_is_completed_though_its_daemon_hangs(shell, hanging):
    typed = str(hanging.path)[:-3]
    assert shell.comes_to_write(f"npyfs umount {typed}\tx\r", ["umount", str(hanging.path), "x"])


def test_a_shell_goes_on_though_a_mount_hangs(home, hanging):
    with home.shell("bash") as shell:
        assert shell.words(f"npyfs cat {hanging.path}/su\tx\r") == ["cat", f"{hanging.path}/sux"]


def test_tab_writes_no_more_than_all_of_very_many_names_have_in_common(home):
    many = home.directory / "many"
    many.mkdir()
    array = (home.directory / "data/big.npy").read_bytes()
    for i in range(3000):
        (many / f"x{i:04}.npy").write_bytes(array)
    with home.shell("bash") as shell:
        assert shell.comes_to_write("npyfs cat many/\t2999/ro\tx\r", ["cat", "many/x2999/rows/x"])
