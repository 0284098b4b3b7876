"""A directory in which a recipe is run as if it were a machine: its data, its mounts, its programs."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import mounting
from mounting import Mount, run, wait_until
from range_server import serving

SFTP_SERVER = next(
    path
    for path in ("/usr/lib/openssh/sftp-server", "/usr/lib/ssh/sftp-server", "/usr/libexec/openssh/sftp-server")
    if os.path.exists(path)
)
SECONDS = 120


class Place:
    """The directory, where `/mnt/…` of a recipe is beneath it, and `https://example.org` serves it."""

    def __init__(self, path, server):
        self.path = path
        self._server = server
        self._samba = None

    def write(self, name, text):
        """A file of a recipe."""
        (self.path / name).write_text(self._here(text))
        if name == "smb.conf":
            self._start_samba()

    def python(self, text):
        """What Python prints, line by line."""
        return self._run([sys.executable, "-c", self._here(text)])

    def shell(self, command):
        """What a command line prints."""
        return self._run(["bash", "-c", self._here(command)])

    def _run(self, command):
        environment = os.environ | {"PATH": f"{self.path}/bin:{os.environ['PATH']}"}
        done = run(*command, cwd=self.path, env=environment, timeout=SECONDS)
        # What runs in the background can fail with no other trace.
        assert not done.stderr, done.stderr
        return done.stdout

    def _here(self, text):
        # By plain HTTP, which obstore does only if it is told to.
        text = text.replace(
            "HTTPStore('https://example.org')", f"HTTPStore('{self._server.url}', client_options={{'allow_http': True}})"
        )
        text = text.replace("https://example.org", self._server.url)
        return re.sub(r"(?<![\w/])/mnt/(?=\w)", f"{self.path}/mnt/", text)

    def program(self, name, script):
        """A program that is found before any other of its name."""
        path = self.path / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def _start_samba(self):
        """A server of the share in smb.conf, on a port of its own."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        kinds = "lock state cache pid ncalrpc".split()
        directories = [f"--option={kind} {'dir' if kind == 'ncalrpc' else 'directory'}={self.path}/samba/{kind}" for kind in kinds]
        for kind in [*kinds, "private"]:
            (self.path / "samba" / kind).mkdir(parents=True)
        directories.append(f"--option=private dir={self.path}/samba/private")
        words = ["--foreground", "--no-process-group", f"--configfile={self.path}/smb.conf", f"--port={port}", f"--log-basename={self.path}/samba"]
        # In a session of its own: it ends all processes of its group when it ends.
        self._samba = subprocess.Popen(["/usr/sbin/smbd", *words, *directories], stdin=subprocess.DEVNULL, start_new_session=True)

        def answers():
            assert self._samba.poll() is None, "smbd has ended"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return True

        wait_until(answers, 60, "served by smbd")
        client = f"exec /usr/bin/smbclient --port={port} --option='client min protocol=SMB2'"
        self.program("smbclient", f'first=$1 share=${{2#//server/}}\nshift 2\n{client} "$first" "//127.0.0.1/$share" "$@"')

    def end(self):
        """Ends what a recipe has left: a server, and mounts within its directory."""
        if self._samba:
            self._samba.terminate()
            self._samba.wait(timeout=60)
        for mountpoint in (self.path / "mnt").iterdir():
            if mounting.in_mount_table(mountpoint):
                run("umount", "-l", mountpoint)


@contextlib.contextmanager
def place(data):
    """A place with a copy of the data, mounted on /mnt/npy."""
    with contextlib.ExitStack() as stack:
        # Other users come by here, such as the guest of a file server.
        path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="npyfs-recipe-")))
        path.chmod(0o755)
        shutil.copytree(data, path / "data")
        for directory in "bin", "mnt/npy":
            (path / directory).mkdir(parents=True)
        place = Place(path, stack.enter_context(serving(path)))
        place.program("npyfs", f'exec {mounting.program()} "$@"')
        place.program("python", f'exec {sys.executable} "$@"')
        place.program("ssh", f"exec {SFTP_SERVER}")
        stack.callback(place.end)
        with Mount(path / "data", path / "mnt/npy"):
            yield place
