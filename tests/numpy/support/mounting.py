"""A mount as a value: it is there inside a `with`, and gone after it.

Nothing here knows about arrays. Every call that could wait for ever has a
deadline, because what is under test is what would keep it waiting.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

READY_SECONDS = ENDED_SECONDS = COMMAND_SECONDS = 60
"""Far longer than anything takes: what is not over by then hangs, however busy the machine is."""

_PR_SET_PDEATHSIG = 1


class MountFailed(AssertionError):
    """The program did not mount, or did not end, as it promises to."""


def program():
    """The npyfs under test; the suite has nothing to say without one."""
    path = os.environ.get("NPYFS")
    if not path:
        raise MountFailed("set NPYFS to the npyfs binary to test")
    if not os.access(path, os.X_OK):
        raise MountFailed(f"NPYFS={path}: there is no program to run")
    return os.path.abspath(path)


def run(*command, check=True, timeout=COMMAND_SECONDS, **options):
    """Run a tool to its end and return what it said, as text unless asked otherwise."""
    options.setdefault("text", True)
    done = subprocess.run(
        [os.fspath(word) for word in command],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=timeout,
        **options,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}: {done.stderr}")
    return done


def wait_until(true, seconds, what):
    """Poll a condition up to a deadline; the only waiting this suite does."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s: not yet {what}")
        time.sleep(0.01)


def in_mount_table(path):
    """Whether something is mounted there, dead or alive; never touches the mount."""
    with open("/proc/self/mountinfo") as table:
        return any(line.split()[4] == os.fspath(path) for line in table)


def _end_with_the_suite():
    """In the child: should the suite die, SIGTERM; a mount never outlives it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Mount:
    """`npyfs mount -f SOURCE MOUNTPOINT`, from its readiness to its clean end."""

    def __init__(self, source, mountpoint, *options):
        self.source = Path(source).resolve()
        self.path = Path(mountpoint).resolve()
        self.options = [str(option) for option in options]
        self._child = None
        self._connection = None
        self._log = None
        self._expected_status = 0
        self._ended = False

    def __truediv__(self, relative):
        return self.path / relative

    @property
    def pid(self):
        return self._child.pid

    def __enter__(self):
        if not os.path.exists("/dev/fuse"):
            raise MountFailed("/dev/fuse is missing: no mount can be tested here")
        self.path.mkdir(parents=True, exist_ok=True)
        self._log = tempfile.TemporaryFile()
        self._child = subprocess.Popen(
            [program(), "mount", "-f", self.source, self.path, *self.options],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            preexec_fn=_end_with_the_suite,
        )
        try:
            wait_until(self._ready, READY_SECONDS, f"mounted at {self.path}")
        except BaseException:
            self._force_down()
            raise
        device = os.minor(os.stat(self.path).st_dev)
        self._connection = Path(f"/sys/fs/fuse/connections/{device}")
        return self

    def __exit__(self, failure, *_):
        try:
            if not self._ended:
                run(program(), "umount", self.path, timeout=ENDED_SECONDS)
            status = self._child.wait(timeout=ENDED_SECONDS)
            if failure is None and status != self._expected_status:
                raise MountFailed(f"npyfs ended with {status}: {self.log()}")
            if in_mount_table(self.path):
                raise MountFailed(f"{self.path} is still mounted after umount")
        finally:
            self._force_down()

    def kill(self):
        """Ends the program as a crash would; `npyfs umount` must still clean up in the end."""
        self._expected_status = -signal.SIGKILL
        self._child.kill()
        self._child.wait(timeout=ENDED_SECONDS)

    def end(self, number):
        """Has the program unmount and end by a signal."""
        self._child.send_signal(number)
        self._child.wait(timeout=ENDED_SECONDS)
        self._ended = True

    def log(self):
        """What the program has said so far."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def _ready(self):
        if self._child.poll() is not None:
            raise MountFailed(f"npyfs ended with {self._child.returncode}: {self.log()}")
        return os.path.ismount(self.path)

    def _force_down(self):
        """The last resort, a no-op after a clean end; touches only what we started."""
        if self._child.poll() is None:
            if self._connection:
                with contextlib.suppress(OSError):
                    (self._connection / "abort").write_text("1")
            self._child.terminate()
            try:
                self._child.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait(timeout=5)
        if in_mount_table(self.path):
            run("umount", "-l", self.path, check=False)
        self._log.close()
