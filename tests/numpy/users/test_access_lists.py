"""With --allow-other, POSIX access lists hold through the mount as they do without it: for files,
folders, slices and listings, for users, groups, masks and default lists."""

import contextlib
import os
import random
import shutil
import struct

import numpy as np
import pytest

from checks import attempted, read
from corpus import SMALL
from mounting import Mount, program, run
from users import (
    ACCESS,
    GROUP,
    MASK_TAG,
    OTHER_TAG,
    OWNER_TAG,
    SOMEBODY,
    USER,
    access_list,
    array_files,
    as_other_user,
    give,
    open_directory,
    opened,
    paths,
    shared_mount,
    sights,
    writable,
)

DEFAULT = "system.posix_acl_default"

EXTRA = 23456
"""A group that the other user may be in besides."""

MEMBERSHIPS = [(GROUP, []), (SOMEBODY, []), (SOMEBODY, [EXTRA]), (EXTRA, [GROUP, 4])]

FILES, FOLDERS = 160, 70


def some_list(rng, permissions):
    """Any list; it names the other user, or a group, most of the time."""
    pick = lambda: rng.choice(permissions)  # noqa: E731
    users = {USER: pick(), SOMEBODY: pick(), 777: pick()}
    groups = {GROUP: pick(), EXTRA: pick(), 888: pick()}
    some = lambda named: rng.sample(sorted(named.items()), rng.randrange(len(named) + 1))  # noqa: E731
    return access_list(pick(), pick(), pick(), pick(), some(users), some(groups))


def populate(source, seed=7):
    """Files and folders with lists of all kinds, also of such as the folder gives them."""
    rng = random.Random(seed)
    owners = [(0, 0), (0, GROUP), (SOMEBODY, GROUP), (SOMEBODY, SOMEBODY), (USER, SOMEBODY), (0, EXTRA)]
    for number in range(FILES):
        path = source / f"{number}.npy"
        path.write_bytes(SMALL.blob)
        give(path, 0o600, rng.choice(owners))
        os.setxattr(path, ACCESS, some_list(rng, [0, 1, 2, 4, 5, 6, 7]))
    for number in range(FOLDERS):
        folder = source / f"folder {number}"
        folder.mkdir()
        with contextlib.suppress(ValueError):
            os.setxattr(folder, DEFAULT, some_list(rng, [0, 4, 5, 6, 7]))
        for name, mode in {"open.npy": 0o644, "closed.npy": 0o600, "group.npy": 0o660}.items():
            (folder / name).write_bytes(SMALL.blob)
            give(folder / name, mode, rng.choice(owners))
        # These are what the folder's default list makes of them.
        (folder / "given.npy").write_bytes(SMALL.blob)
        (folder / "deeper").mkdir()
        (folder / "deeper/given.npy").write_bytes(SMALL.blob)
        (folder / "link.npy").symlink_to("given.npy")
        give(folder, 0o700, rng.choice(owners))
        os.setxattr(folder, ACCESS, some_list(rng, [0, 1, 4, 5, 7]))
        (source / f"into {number}.npy").symlink_to(f"folder {number}/open.npy")


@pytest.fixture(scope="module", params=[(), ("--writable",)], ids=["read-only", "writable"])
def shared(request):
    with shared_mount(populate, *request.param) as mount:
        yield mount


@pytest.mark.parametrize("group, groups", MEMBERSHIPS)
def test_a_list_counts_as_it_does_without_the_mount(shared, group, groups):
    names = paths(shared.source)
    denied = granted = 0
    for path, (native, served) in zip(names, as_other_user(lambda: sights(shared, names), group, groups)):
        assert served == native, path
        denied += "EACCES" in native.values()
        granted += native["open"] == len(SMALL.blob)
    assert min(denied, granted) > 50, "both must occur"


@pytest.mark.parametrize("group, groups", MEMBERSHIPS)
def test_slices_are_open_to_whom_the_list_of_their_file_opens_it(shared, group, groups):
    def look():
        seen = []
        for path in names:
            stem = path.with_suffix("")
            native = attempted(lambda: len(read(shared.source / path)))
            inner = ("rows/0-3.npy", "T.raw", "header.json", "cols/USAGE.txt")
            inside = [attempted(lambda: len(read(shared / stem / name))) for name in inner]
            inside.append(attempted(lambda: len(read(shared / f"{stem}.raw"))))
            listed = [attempted(os.listdir, shared / stem / name) for name in (".", "rows", "cols")]
            looked = attempted(lambda: os.stat(shared / stem / "rows/0-3.npy").st_size)
            seen.append((native, inside, listed, looked))
        return seen

    names = array_files(shared.source)
    row, whole = np.prod(SMALL.array.shape[1:]) * 8, SMALL.array.nbytes
    for path, (native, inside, listed, looked) in zip(names, as_other_user(look, group, groups)):
        if native == len(SMALL.blob):
            assert inside[:2] == [128 + 3 * row, whole], path
            assert min(inside[2:]) > 0 and all(map(len, listed)) and looked == inside[0], path
        else:
            assert native == "EACCES", path
            assert [*inside, *listed, looked] == ["EACCES"] * 9, path


@pytest.mark.parametrize("group, groups", MEMBERSHIPS)
def test_who_may_write_by_a_list_may_write_here_and_nobody_else(group, groups):
    def look():
        return [
            (
                writable(shared.source / path),
                writable(shared / path),
                opened(shared.source / path, os.O_RDONLY),
                [opened(shared / path.with_suffix("") / name, os.O_WRONLY) for name in inner],
            )
            for path in names
        ]

    inner = ("rows/0-3.npy", "T.raw")
    with shared_mount(populate, "--writable") as shared:
        names = array_files(shared.source)
        found = as_other_user(look, group, groups)
    for path, (native, served, reads, slices) in zip(names, found):
        assert served == native, path
        # Others do not get into its directory.
        expected = None if native[0] is None and reads is None else "EACCES"
        assert slices == [expected] * len(inner), path
    assert len([1 for native, *_ in found if native[0] is None]) > 10
    assert len([1 for native, *_ in found if native[0] == "EACCES"]) > 10


def test_the_list_that_an_entry_has_says_what_its_mode_does(shared):
    """For `getfacl`: of a file that of the source, of what is made of it one that fits."""
    writes = "--writable" in shared.options

    def parsed(path, name=ACCESS):
        entries = list(struct.iter_unpack("<HHi", os.getxattr(path, name)[4:]))
        return {(tag, who): permissions for tag, permissions, who in entries}

    def derived(native, change):
        made = {key: change(permissions) for key, permissions in native.items()}
        mask = (MASK_TAG, -1)
        made[mask] = made[mask] or (2 if native[mask] else 0)
        return made

    for number in range(FILES):
        native = parsed(shared.source / f"{number}.npy")
        as_file = derived(native, lambda bits: bits if writes else bits & 5)
        as_folder = derived(native, lambda bits: 5 | (bits & 2 if writes else 0) if bits & 4 else 0)
        as_text = derived(native, lambda bits: bits & 5)
        for path, expected in {
            f"{number}.npy": as_file,
            f"{number}": as_folder,
            f"{number}/rows": as_folder,
            f"{number}/rows/0-3.npy": as_file,
            f"{number}.raw": as_file,
            f"{number}/header.json": as_text,
        }.items():
            assert parsed(shared / path) == expected, path
            mode = os.stat(shared / path).st_mode
            assert mode >> 3 & 7 == expected[MASK_TAG, -1], path
            assert mode >> 6 & 7 == expected[OWNER_TAG, -1] and mode & 7 == expected[OTHER_TAG, -1], path
            assert os.listxattr(shared / path) == [ACCESS], path
    for number in range(FOLDERS):
        folder = f"folder {number}"
        assert parsed(shared / folder, DEFAULT) == parsed(shared.source / folder, DEFAULT)


def test_there_are_no_other_extended_attributes_and_none_is_set(shared):
    path = shared.source / "0.npy"
    os.setxattr(path, "user.note", b"x")
    assert attempted(os.getxattr, shared / "0.npy", "user.note") == "ENODATA"
    assert attempted(os.setxattr, shared / "0.npy", "user.note", b"y") in ("ENOTSUP", "EROFS")
    new = access_list(7, 7, 7, 7)
    assert attempted(os.setxattr, shared / "0.npy", ACCESS, new) in ("ENOTSUP", "EROFS")
    assert os.getxattr(path, ACCESS) != new


def test_a_list_that_changes_counts_from_the_next_open_on(tmp_path):
    """Also for what is open and shared by others, and though the kernel remembers the entry."""
    os.chmod(tmp_path, 0o755)
    for parent in [*tmp_path.parents][:2]:
        os.chmod(parent, 0o755)
    source = tmp_path / "source"
    source.mkdir(mode=0o755)
    (source / "x.npy").write_bytes(SMALL.blob)
    os.chmod(source / "x.npy", 0o666)
    with Mount(source, tmp_path / "mount", "--allow-other", "--writable", "--ttl", "60") as mount:
        held = os.open(mount / "x/rows/0-3.npy", os.O_RDWR)

        def look():
            names = ("x.npy", "x/rows/0-3.npy", "x/T.raw")
            return [opened(mount / name, way) for name in names for way in (os.O_RDONLY, os.O_WRONLY)]

        try:
            assert as_other_user(look) == [None] * 6
            os.setxattr(source / "x.npy", ACCESS, access_list(6, 6, 6, 6, {(USER, 4)}))
            assert as_other_user(look) == [None, "EACCES"] * 3
            os.setxattr(source / "x.npy", ACCESS, access_list(6, 6, 6, 6, {(USER, 0)}))
            assert as_other_user(look) == ["EACCES"] * 6
            os.removexattr(source / "x.npy", ACCESS)
            os.setxattr(source, ACCESS, access_list(7, 5, 5, 5, {(USER, 4)}))
            assert as_other_user(look) == ["EACCES"] * 6, "its folder is closed"
        finally:
            os.close(held)


AS_ORDINARY_USER = """
    cd "$1"
    mknod fuse c 10 229
    chmod 666 fuse
    mount --bind fuse /dev/fuse
    echo user_allow_other >fuse.conf
    mount --bind fuse.conf /etc/fuse.conf
    setpriv --reuid 65534 --regid 65534 --clear-groups ./npyfs mount --allow-other data mnt
    as() { setpriv --reuid $1 --regid $1 --clear-groups sh -c "$2" 2>/dev/null || echo denied; }
    for user in 12345 23456; do
        for path in x.npy x/rows/0-3.npy x/T.raw; do as $user "cat mnt/$path >/dev/null && echo read"; done
        as $user 'ls mnt/x >/dev/null && echo listed'
    done
    setpriv --reuid 65534 --regid 65534 --clear-groups ./npyfs umount mnt
"""


def test_a_list_counts_on_an_ordinary_user_s_mount_for_others():
    """It lends the rights of that user: to those whom the list lets in, and to nobody else."""
    with open_directory() as directory:
        for name in ("data", "mnt"):
            (directory / name).mkdir()
            give(directory / name, 0o755, (USER, GROUP))
        shutil.copy(program(), directory / "npyfs")
        (directory / "data/x.npy").write_bytes(SMALL.blob)
        give(directory / "data/x.npy", 0o644, (USER, GROUP))
        os.setxattr(directory / "data/x.npy", ACCESS, access_list(6, 0, 4, 4, {(SOMEBODY, 0)}))
        script = ["--mount", "--propagation", "private", "sh", "-euc", AS_ORDINARY_USER, "sh"]
        said = run("unshare", *script, directory).stdout.split()
        assert said == ["denied"] * 4 + ["read"] * 3 + ["listed"]
