"""The command ``npyfs``: where it is, and what it answers."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
from typing import Any, Union

StrPath = Union[str, "os.PathLike[str]"]


class Error(OSError):
    """What npyfs said when it could not do what it was asked."""

    __module__ = __package__


def program() -> str:
    """The path of the command that was installed with this package, or else of one on PATH."""
    try:
        files = importlib.metadata.files(__package__ or "npyfs") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    installed = [str(file.locate()) for file in files if file.parts[-2:] == ("bin", "npyfs")]
    # `pip install --target` moves the command to another place than it notes down.
    installed.append(os.path.join(os.path.dirname(__file__), "..", "bin", "npyfs"))
    for path in installed:
        if os.access(path, os.X_OK):
            return os.path.realpath(path)
    found = shutil.which("npyfs")
    if found is None:
        raise Error("there is no command npyfs, neither beside this package nor on PATH")
    return found


def run(*words: StrPath, stdin: int = subprocess.DEVNULL) -> str:
    """What the command prints; what it says when it fails is an `Error`."""
    done = subprocess.run([program(), *words], stdin=stdin, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode != 0:
        said = done.stderr.strip()
        # Of a wrong command line: what follows is for who types one.
        said = said.partition("\n")[0].removeprefix("error: ") if done.returncode == 2 else said
        raise Error(said.removeprefix("npyfs: "))
    return done.stdout


def info(path: StrPath) -> dict[str, Any]:
    """What an array, or a slice of one, is.

    Parameters
    ----------
    path : str or path-like
        A path in a mount, or the path that it would have in one: ``data/big/rows/0-50``. The ending
        ``.npy`` may be there or not.

    Returns
    -------
    dict
        What ``header.json`` says of it, and under ``"file"`` the path of the file that holds its bytes, if
        it is known to be on this machine. With ``"offset"``, ``"shape"`` and ``"strides"`` each element can be found
        there.

    Raises
    ------
    Error
        If there is no such array. The message says why.
    """
    described: dict[str, Any] = json.loads(run("info", "--with-file", "--", os.fspath(path)))
    return described
