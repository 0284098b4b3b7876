"""A program at a terminal, to which a test types."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

from mounting import COMMAND_SECONDS

ROWS, COLUMNS = 50, 200


class Keyboard:
    """The program is there inside a `with`, and gone after it."""

    def __init__(self, command, directory, environment):
        self._command = [os.fspath(word) for word in command]
        self._directory = directory
        self._environment = environment
        self._shown = b""

    def __enter__(self):
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            try:
                os.chdir(self._directory)
                os.execvpe(self._command[0], self._command, self._environment)
            finally:
                os._exit(127)
        size = struct.pack("HHHH", ROWS, COLUMNS, 0, 0)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)
        return self

    def __exit__(self, *_):
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)

    def type(self, keys):
        os.write(self._terminal, keys.encode())

    def wait_until(self, true, what):
        """Reads what the program shows until a condition holds; it is given all that was shown since the last time."""
        deadline = time.monotonic() + COMMAND_SECONDS
        while not true(self._shown.decode(errors="replace")):
            ready, _, _ = select.select([self._terminal], [], [], 0.01)
            if ready:
                try:
                    self._shown += os.read(self._terminal, 1 << 16)
                except OSError:
                    raise AssertionError(f"it ended, and not yet {what}: {self._shown!r}") from None
            if time.monotonic() > deadline:
                raise AssertionError(f"not yet {what}: {self._shown!r}")
        self._shown = b""
