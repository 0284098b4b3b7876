"""What a command shows on a terminal: a real one, that the command's standard output is."""

import contextlib
import os
import pty
import re
import subprocess

from mounting import COMMAND_SECONDS, program

# What programs take for a word about colours. On a CI system logs show them.
COLOUR = ("CI", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE")

COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def on_terminal(*words, environment=None, status=0):
    """Run npyfs there; what it wrote, as text in which a line ends as in a file. Errors are a pipe's."""
    ours, theirs = pty.openpty()
    variables = {name: value for name, value in os.environ.items() if name not in COLOUR}
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        with os.fdopen(theirs, "wb") as its_end:
            child = subprocess.Popen(
                [program(), *map(os.fspath, words)],
                stdin=subprocess.DEVNULL,
                stdout=its_end,
                stderr=subprocess.PIPE,
                env=variables | {"TERM": "xterm-256color"} | (environment or {}),
            )
        shown = b""
        # Reading fails once nobody has the other end open.
        with contextlib.suppress(OSError):
            while block := terminal.read(65536):
                shown += block
        _, said = child.communicate(timeout=COMMAND_SECONDS)
    assert child.returncode == status, said
    return shown.decode().replace("\r\n", "\n")


def plain(text):
    """The text without its colours, of which there are none but those of whole words."""
    text = COLOURS.sub("", text)
    assert "\x1b" not in text
    return text
