"""A user other than the one who mounts: what they see and may write, with a mount and without."""

import contextlib
import itertools
import os
import shutil
import struct
import tempfile
from pathlib import Path

from checks import attempted, read
from corpus import SMALL
from mounting import Mount
from processes import in_child

USER, GROUP, SOMEBODY = 65534, 65534, 12345
FILE_MODES = [0o644, 0o640, 0o604, 0o600, 0o444, 0o040, 0o004, 0o000, 0o222, 0o755, 0o711, 0o200]
FOLDER_MODES = [0o755, 0o750, 0o705, 0o711, 0o744, 0o700, 0o555, 0o051, 0o004, 0o001, 0o000]
ACCESS = "system.posix_acl_access"
OWNER_TAG, USER_TAG, GROUP_TAG, NAMED_GROUP_TAG, MASK_TAG, OTHER_TAG = 1, 2, 4, 8, 16, 32
OWNERS = [(0, 0), (USER, GROUP), (SOMEBODY, GROUP), (USER, SOMEBODY), (SOMEBODY, SOMEBODY)]


def give(path, mode, owner):
    os.chown(path, *owner)
    os.chmod(path, mode)


def access_list(owner, group, other, mask, users=(), groups=()):
    """A list in the form of the kernel's extended attribute."""
    entries = [(OWNER_TAG, owner, -1)]
    entries += [(USER_TAG, permissions, user) for user, permissions in sorted(users)]
    entries += [(GROUP_TAG, group, -1)]
    entries += [(NAMED_GROUP_TAG, permissions, named) for named, permissions in sorted(groups)]
    entries += [(MASK_TAG, mask, -1), (OTHER_TAG, other, -1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


def become(user=USER, group=GROUP, groups=()):
    """Gives up root's rights for those of a user who is in one group, or in `groups` too."""
    os.setgroups(groups)
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)


def as_other_user(look, group=GROUP, groups=()):
    """What a function returns in a process of another user."""

    def other():
        become(USER, group, groups)
        return look()

    return in_child(other)


@contextlib.contextmanager
def open_directory():
    """A new directory that all users may enter, as pytest's own may not be."""
    directory = Path(tempfile.mkdtemp())
    try:
        os.chmod(directory, 0o755)
        yield directory
    finally:
        shutil.rmtree(directory)


@contextlib.contextmanager
def shared_mount(populate, *options):
    """A mount for all users, of a source that `populate` has filled."""
    with open_directory() as directory:
        (directory / "source").mkdir(mode=0o755)
        populate(directory / "source")
        with Mount(directory / "source", directory / "mount", "--allow-other", *options) as mount:
            yield mount


def of_all_modes(source):
    """Files of every mode and owner, in folders of every mode and owner."""
    for mode, owner in itertools.product(FILE_MODES, OWNERS):
        path = source / f"{mode:03o} {owner[0]} {owner[1]}.npy"
        path.write_bytes(SMALL.blob)
        give(path, mode, owner)
    for mode, owner in itertools.product(FOLDER_MODES, OWNERS):
        folder = source / f"folder {mode:03o} {owner[0]} {owner[1]}"
        (folder / "deeper").mkdir(parents=True)
        for name, file_mode in {"open.npy": 0o644, "closed.npy": 0o600, "deeper/open.npy": 0o644}.items():
            (folder / name).write_bytes(SMALL.blob)
            give(folder / name, file_mode, (0, 0))
        (folder / "link.npy").symlink_to("open.npy")
        (folder / "out").symlink_to("../644 0 0.npy")
        give(folder, mode, owner)
    (source / "to closed.npy").symlink_to("600 0 0.npy")
    (source / "through closed.npy").symlink_to("folder 700 0 0/open.npy")


def paths(source):
    """Every path below the source, as root finds them."""
    found = [Path(".")]
    for folder, folders, files in os.walk(source):
        found += [Path(folder, name).relative_to(source) for name in folders + files]
    return found


def array_files(source):
    """The paths of array files that are no symlinks."""
    found = [path for path in paths(source) if path.suffix == ".npy"]
    return [path for path in found if not (source / path).is_symlink()]


def attributes(path):
    """Without write bits, which the mount takes away."""
    found = os.lstat(path)
    folder = os.path.isdir(path) and not os.path.islink(path)
    return found.st_mode & ~0o222, found.st_uid, found.st_gid, None if folder else found.st_size


def sight(path):
    """What can be seen of a path: its attributes, text, entries, bytes, or why not."""
    return {
        "stat": attempted(attributes, path),
        "link": attempted(os.readlink, path),
        "list": attempted(lambda: sorted(os.listdir(path))),
        "open": attempted(lambda: len(read(path))),
        "may": [os.access(path, mode) for mode in (os.F_OK, os.R_OK, os.X_OK)],
    }


def without_arrays(entries):
    """A listing as the source has it, or an error as it is."""
    if isinstance(entries, str):
        return entries
    return [name for name in entries if f"{name}.npy" not in entries]


def sights(mount, names):
    """What is seen of each path in the source, and what through the mount."""
    seen = []
    for path in names:
        native, served = sight(mount.source / path), sight(mount / path)
        served["list"] = without_arrays(served["list"])
        seen.append((native, served))
    return seen


def opened(path, access):
    """Whether a file can be opened so, or why not; nothing is written."""
    return attempted(lambda: os.close(os.open(path, access)))


def writable(path):
    """In which ways a path is writable."""
    ways = (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND)
    return [*(opened(path, way) for way in ways), os.access(path, os.W_OK)]
