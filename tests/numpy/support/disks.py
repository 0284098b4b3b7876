"""Small filesystems of a test's own, unmounted at its end."""

import contextlib

from mounting import run, wait_until


@contextlib.contextmanager
def mounted_at(path, *how):
    """Mounts a filesystem: `with mounted_at(path, *words of mount) as path`."""
    path.mkdir(exist_ok=True)
    run("mount", *how, path)
    try:
        yield path
    finally:
        try:
            # A file on it may still be open for a moment after its last reader is done.
            wait_until(lambda: run("umount", path, check=False).returncode == 0, 20, "unmounted")
        except BaseException:
            run("umount", "-l", path, check=False)
            raise


def tmpfs(directory, size):
    """A filesystem in memory of this many bytes: `with tmpfs(…) as path`."""
    return mounted_at(directory / "disk", "-t", "tmpfs", "-o", f"size={size}", "tmpfs")


def ext4(directory, size, *options, mounted="loop"):
    """A filesystem in the file `image`, of this many bytes; `options` are those of mkfs.ext4."""
    image = directory / "image"
    with open(image, "wb") as file:
        file.truncate(size)
    run("mkfs.ext4", "-q", *options, image)
    return mounted_at(directory / "disk", "-o", mounted, image)
