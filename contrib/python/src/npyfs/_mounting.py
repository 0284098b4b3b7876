"""A mount as a context manager."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Union

from ._program import StrPath, run

Option = Union[bool, int, float, str, "os.PathLike[str]", None]

OF_NO_USE = ("foreground", "debug", "until_eof")
"""Options of ``npyfs mount`` that keep it from ending once it has mounted, and the one that it always gets."""


@contextlib.contextmanager
def mount(
    source: StrPath, mountpoint: StrPath | None = None, *, writable: bool = False, **options: Option
) -> Iterator[Path]:
    """Mount a directory, or a single file, for as long as a ``with`` block runs.

    Parameters
    ----------
    source : str or path-like
        The directory, or the ``.npy`` or ``.npz`` file, to serve.
    mountpoint : str or path-like, optional
        An empty directory to mount on, which is made if it is missing. By default a temporary one, which
        is removed afterwards.
    writable : bool, optional
        Let the values of arrays be written through the mount.
    **options : bool, int, float, str or path-like
        Any other option of ``npyfs mount``, with ``_`` for ``-``: ``ttl=5``, ``allow_other=True``.

    Yields
    ------
    pathlib.Path
        The mountpoint.

    Raises
    ------
    Error
        If it cannot be mounted. The message says why.
    ValueError
        If an option is ``foreground`` or ``debug``, with which the block would never begin, or ``until_eof``.

    Notes
    -----
    However the block ends, the mount comes down. Files that are still open, and arrays that are still
    mapped, can be read until they are closed. If this process is killed, the mount comes down as well; if
    it has forked others, then with the last of them.

    Examples
    --------
    >>> with npyfs.mount("data") as mnt:            # doctest: +SKIP
    ...     part = np.load(mnt / "big/parts/16/3.npy")
    """
    for name in OF_NO_USE:
        if options.get(name):
            raise ValueError(f"{name} is no option here: a mount serves in the background until its block ends")
    with contextlib.ExitStack() as stack:
        if mountpoint is None:
            mountpoint = stack.enter_context(_temporary_directory())
        path = Path(mountpoint).absolute()
        # The daemon unmounts when its end of this has nothing more to read, whatever becomes of us.
        ours, theirs = socket.socketpair()
        stack.enter_context(ours)
        words = _words({"writable": writable, **options})
        with theirs:
            run("mount", "--until-eof", *words, "--", os.fspath(source), path, stdin=theirs.fileno())
        try:
            yield path
        finally:
            ours.shutdown(socket.SHUT_WR)
            # It closes its end once it has unmounted.
            ours.recv(1)


@contextlib.contextmanager
def _temporary_directory() -> Iterator[str]:
    path = tempfile.mkdtemp(prefix="npyfs-")
    try:
        yield path
    finally:
        # Never what is in it: that would be the source's, if it were still mounted.
        with contextlib.suppress(OSError):
            os.rmdir(path)


def _words(options: dict[str, Option]) -> list[str]:
    words = []
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if value is True:
            words.append(option)
        elif value is not None and value is not False:
            words.append(f"{option}={os.fspath(value) if isinstance(value, os.PathLike) else value}")
    return words
