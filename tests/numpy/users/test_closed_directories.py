"""Nobody gets past a directory that is closed to them, whatever is renamed into its place and wherever
links lead. The closed directories belong to one user; another one, who may rename, reads."""

import os
import time
from pathlib import Path

import pytest

import corpus
import oracle
from checks import attempted
from corpus import SMALL as OPEN
from mounting import Mount
from processes import repeating
from refusals import exchange
from users import ACCESS, GROUP, SOMEBODY, USER, access_list, as_other_user, give, open_directory

SECRET = corpus.sample("x", (7, 5), "<f8", seed=9)
"""Whose size alone tells that it was found."""


def add(path, sample=OPEN, mode=0o644, owner=(SOMEBODY, SOMEBODY)):
    path.write_bytes(sample.blob)
    give(path, mode, owner)
    return path


def folder(path, mode=0o755, owner=(SOMEBODY, SOMEBODY)):
    path.mkdir(parents=True)
    give(path, mode, owner)
    return path


@pytest.fixture
def grounds():
    """A directory with a `source` of the user who reads, which all may enter."""
    with open_directory() as directory:
        folder(directory / "source", 0o755, (USER, GROUP))
        yield directory


def opened(path, flags=os.O_RDONLY):
    file = os.open(path, flags)
    try:
        return os.read(file, 1 << 20).hex() if flags == os.O_RDONLY else "opened"
    finally:
        os.close(file)


def everything_here():
    """Whatever can be had from the working directory by its names."""
    names = ("x.npy", "x/rows/0-3.npy", "x.raw", "x/header.json", "deep/x.npy", "only.txt")
    return {
        "list": attempted(os.listdir, "."),
        "list deeper": attempted(os.listdir, "deep"),
        "link": attempted(os.readlink, "link"),
        **{f"stat {name}": attempted(lambda: os.stat(name).st_size) for name in names},
        **{f"read {name}": attempted(opened, name) for name in names},
        **{f"write {name}": attempted(opened, name, os.O_WRONLY) for name in ("x.npy", "x/rows/0-3.npy")},
    }


@pytest.mark.parametrize("writable", [(), ("--writable",)], ids=["read-only", "writable"])
@pytest.mark.parametrize("kept", [False, True], ids=["at once", "with the names that the kernel had"])
def test_a_closed_directory_in_the_place_of_one_s_own_shows_nothing(grounds, writable, kept):
    """Natively the user stays in the directory that they are in, wherever that is moved."""
    source = grounds / "source"
    tops = (("open", 0o755, OPEN, (USER, GROUP)), ("closed", 0o700, SECRET, (SOMEBODY, SOMEBODY)))
    for top, mode, sample, owner in tops:
        folder(source / top, owner=owner)
        for within in ("sub", "sub/deep"):
            add(folder(source / top / within, owner=owner) / "x.npy", sample, 0o666)
        (source / top / "sub/link").symlink_to(f"the text of {top}")
        os.chmod(source / top, mode)
    add(source / "closed/sub/only.txt", SECRET)

    def look():
        os.chdir(mount / "open/sub")
        before = everything_here() if kept else None
        os.rename(source / "open", source / "aside")
        os.rename(source / "closed", source / "open")
        return before, everything_here()

    with Mount(source, grounds / "mount", "--allow-other", "--ttl=0", *writable) as mount:
        before, after = as_other_user(look)
        assert before is None or before["link"] == "the text of open" and "x.npy" in before["list"]
        assert all(seen in ("ESTALE", "ENOENT", "EROFS") for seen in after.values()), after
        assert os.readlink(mount / "open/sub/link") == "the text of closed", "a user who may enter finds it"


TRIES, MOST_SECONDS = 3000, 60
"""How often the secret is looked for: so often, and until the open directory was met too, but not for ever."""


def test_a_link_is_not_led_past_a_closed_directory_while_that_changes_places(grounds):
    """The way there must be looked at as it is gone: looked at afterwards, it may be another."""
    source = grounds / "source"
    for name, mode, sample in (("turn", 0o755, OPEN), ("closed", 0o700, SECRET)):
        add(folder(source / name) / "x.npy", sample)
        os.chmod(source / name, mode)
    (source / "link.npy").symlink_to("closed/x.npy")
    allowed = {OPEN.array.nbytes, oracle.npy(OPEN.array[:3]).hex(), oracle.raw(OPEN.array).hex()}

    def look():
        tries, met, until = 0, set(), time.monotonic() + MOST_SECONDS
        while (tries < TRIES or not allowed <= met) and met <= allowed | ERRORS:
            if time.monotonic() > until:
                break
            tries += 1
            met |= {attempted(lambda: os.stat(mount / "link.raw").st_size) for _ in range(4)}
            met |= {attempted(opened, mount / path) for path in ("link/rows/0-3.npy", "link.raw")}
        return tries, list(met)

    with Mount(source, grounds / "mount", "--allow-other", "--ttl=0") as mount:
        with repeating(lambda: exchange(source / "turn", source / "closed")):
            tries, met = as_other_user(look)
    assert set(met) <= allowed | ERRORS, f"the secret was read after {tries} tries"
    assert allowed <= set(met), f"the open directory was not met in {tries} tries"


ERRORS = {"ENOENT", "ESTALE", "EACCES"}


# Everybody else may, but not the user who reads.
DENIED = access_list(7, 5, 5, 5, {(USER, 0)})

CLOSED = ("closed", "closed to the group", "closed by a list")
WAYS = ("x.npy", "sub/x.npy", "sub/../../open/x.npy")


@pytest.fixture
def outside(grounds):
    """Beside the source, directories that are closed to the user and one that is open, all with files
    that everybody may read."""
    modes = dict(zip(CLOSED, (0o700, 0o705, 0o755)), open=0o755)
    for name, mode in modes.items():
        top = folder(grounds / "outside" / name, owner=(SOMEBODY, GROUP))
        sample = OPEN if name == "open" else SECRET
        add(top / "x.npy", sample)
        add(folder(top / "sub") / "x.npy", sample)
        os.chmod(top, mode)
    os.setxattr(grounds / "outside/closed by a list", ACCESS, DENIED)
    return grounds / "outside"


def as_a_link(path):
    """What a link that is not followed is: its text, its directory if it has any, and what is there."""
    stem = path.with_suffix("")
    return [
        attempted(os.readlink, path),
        attempted(os.listdir, stem),
        [attempted(opened, name) for name in (path, stem / "rows/0-3.npy", stem / "T.raw", f"{stem}.raw")],
    ]


def test_followed_links_lead_nobody_past_a_closed_directory(grounds, outside):
    source = grounds / "source"
    links = {}
    for start in (outside, Path("../outside")):
        for top in CLOSED:
            for way in WAYS:
                links[f"{len(links)}.npy"] = start / top / way
    links["chain.npy"] = "0.npy"
    folders = {"folder": outside / "closed", "folder within": "../outside/closed/sub"}
    for name, text in {**links, **folders}.items():
        (source / name).symlink_to(text)

    def look():
        seen = {name: as_a_link(mount / name) for name in links}
        texts = [(mount / Path(name).stem / "error.txt").read_text() for name in links]
        lists = {name: as_a_link(mount / name)[:2] for name in folders}
        return seen, texts, lists

    with Mount(source, grounds / "mount", "--allow-other", "--follow-symlinks") as mount:
        seen, texts, lists = as_other_user(look)
    for name, text in links.items():
        assert seen[name] == [str(text), ["error.txt"], ["EACCES", *["ENOENT"] * 3]], name
    why = "the symlink leads through a directory that not everybody may search"
    assert texts == [f"{name}: {why}\n" for name in links]
    # The way to the first is open, and the directory itself is not.
    assert lists == {"folder": ["EINVAL", "EACCES"], "folder within": [str(folders["folder within"]), "EACCES"]}


def test_followed_links_lead_everybody_through_open_directories(grounds, outside):
    """Up to where one of them is closed."""
    source = grounds / "source"
    folder(source / "deep/deeper")
    (source / "deep/deeper/up.npy").symlink_to("../../../outside/open/sub/../x.npy")
    (source / "absolute.npy").symlink_to(outside / "open/x.npy")
    (source / "chain.npy").symlink_to("absolute.npy")
    (source / "folder").symlink_to("../outside/open")
    (outside / "open/sub/beside.npy").symlink_to("../x.npy")
    stems = ("absolute", "chain", "folder/x", "folder/sub/x", "folder/sub/beside", "deep/deeper/up")
    ends = (".npy", "/rows/0-3.npy", "/T.raw", ".raw")
    expected = [OPEN.blob, oracle.npy(OPEN.array[:3]), oracle.raw(OPEN.array.T), oracle.raw(OPEN.array)]

    def look():
        return [[attempted(opened, mount / f"{stem}{end}") for end in ends] for stem in stems]

    with Mount(source, grounds / "mount", "--allow-other", "--follow-symlinks", "--ttl=0") as mount:
        assert as_other_user(look) == [[blob.hex() for blob in expected]] * len(stems)
        assert as_other_user(lambda: sorted(os.listdir(mount / "folder"))) == ["sub", "x", "x.npy"]
        # Looked at again with each open, whatever was seen a moment ago.
        os.chmod(outside / "open", 0o700)
        found = as_other_user(look)
        assert {blob for blobs in found for blob in blobs} <= ERRORS, found
