"""Where the file is that a path takes its bytes from."""

from __future__ import annotations

import os
import re
from pathlib import Path

MOUNTS = "/proc/self/mountinfo"


def file_of(path: str, source: str) -> str | None:
    """The file that ``source`` in the header.json of a path means, if it can be told."""
    # What is not Unicode is not said in full.
    if "\ufffd" in source:
        return None
    served = _mounted_at(path) or _directory_of(path)
    file = served / source if served.is_dir() else served
    return os.path.realpath(file) if file.is_file() else None


def _mounted_at(path: str) -> Path | None:
    """What is mounted where a path is, if that is npyfs."""
    real = Path(os.path.realpath(path))
    above = {os.fsencode(directory) for directory in (real, *real.parents)}
    innermost: tuple[int, Path | None] = (0, None)
    with open(MOUNTS, "rb") as table:
        for line in table:
            # proc_pid_mountinfo(5); after the dash come the type and the source.
            place, kind = (part.split(b" ") for part in line.rstrip(b"\n").split(b" - ", 1))
            mountpoint = _unescaped(place[4])
            if mountpoint in above and len(mountpoint) >= innermost[0]:
                is_npyfs = kind[0] == b"fuse.npyfs" and place[3] == b"/"
                innermost = len(mountpoint), Path(os.fsdecode(_unescaped(kind[1]))) if is_npyfs else None
    return innermost[1]


def _unescaped(field: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), field)


def _directory_of(path: str) -> Path:
    """The longest beginning of a path that is a directory: without a mount, that is the source."""
    directory = Path(path).absolute()
    while not directory.is_dir():
        directory = directory.parent
    return directory
