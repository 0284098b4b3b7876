"""Small filesystems of a test's own, unmounted in the end."""

import contextlib

from mounting import run


@contextlib.contextmanager
def mounted_at(path, *how):
    path.mkdir(exist_ok=True)
    run("mount", *how, path)
    try:
        yield path
    finally:
        run("umount", "-l", path, check=False)


def tmpfs(directory, size):
    """A filesystem in memory of so many bytes: `with tmpfs(…) as path`."""
    return mounted_at(directory / "disk", "-t", "tmpfs", "-o", f"size={size}", "tmpfs")


def ext4(directory, size, *options):
    """A filesystem on a disk of so many bytes, which is the file `image`; options as of mkfs.ext4."""
    image = directory / "image"
    with open(image, "wb") as file:
        file.truncate(size)
    run("mkfs.ext4", "-q", *options, image)
    return mounted_at(directory / "disk", "-o", "loop", image)
