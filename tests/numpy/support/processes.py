"""Work done by processes forked from the suite."""

import contextlib
import faulthandler
import json
import multiprocessing
import os
import random
import signal
import traceback


def child(work, *arguments):
    """Starts a process that does some work, whatever becomes of it. Its exit status is 0, 1, or 2 for an OSError."""
    pid = os.fork()
    if pid == 0:
        status = 1
        # The suite's own handler would report every signal.
        faulthandler.disable()
        try:
            work(*arguments)
            status = 0
        except OSError:
            status = 2
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def in_child(work, *arguments):
    """What a function returns in a process of its own, by way of JSON."""

    def tell():
        with open(into, "w") as file:
            json.dump(work(*arguments), file)

    out, into = os.pipe()
    pid = child(tell)
    os.close(into)
    with open(out) as file:
        told = file.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == 0, f"the process ended with {status}"
    return json.loads(told)


@contextlib.contextmanager
def repeating(action):
    """Does something over and over in another process: `with repeating(action): …`."""

    def repeat():
        while True:
            action()

    pid = child(repeat)
    try:
        yield
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), "the other process has ended"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def start(task, *arguments):
    """Starts a process that ends with the suite. Forked, it has NumPy at once, however busy the machine is."""

    def seeded():
        random.seed()
        task(*arguments)

    process = multiprocessing.get_context("fork").Process(target=seeded, daemon=True)
    process.start()
    return process


def anonymous_bytes(pid):
    """Memory of a process that is its own, not pages of files it maps."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


def peak_and_now(process):
    """The most memory that a process has had, and what it has, in bytes."""
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    peak, now = (int(status[key].split()[0]) << 10 for key in ("VmHWM", "VmRSS"))
    return peak, now


def worked(process):
    """Seconds that all threads of a process have worked; other processes do not count into it."""
    times = (process / "stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
