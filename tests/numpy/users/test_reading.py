"""With --allow-other another user sees through the mount what the files' permissions let
them see without it, and no more."""

import os

import numpy as np
import pytest

from checks import attempted, read
from corpus import SMALL
from users import GROUP, SOMEBODY, array_files, as_other_user, of_all_modes, paths, shared_mount, sights


@pytest.fixture(scope="module")
def shared():
    with shared_mount(of_all_modes) as mount:
        yield mount


@pytest.mark.parametrize("group", [GROUP, SOMEBODY])
def test_another_user_sees_of_the_source_what_they_see_without_the_mount(shared, group):
    names = paths(shared.source)
    denied = 0
    for path, (native, served) in zip(names, as_other_user(lambda: sights(shared, names), group)):
        assert served == native, path
        denied += "EACCES" in native.values()
    assert 100 < denied < len(names) - 100, "both must occur"


@pytest.mark.parametrize("group", [GROUP, SOMEBODY])
def test_an_array_s_directory_is_open_to_whom_its_file_is(shared, group):
    def look():
        seen = []
        for path in names:
            stem = path.with_suffix("")
            inner = ("rows/0-3.npy", "T.raw", "header.json", "cols/USAGE.txt")
            native = attempted(lambda: len(read(shared.source / path)))
            opened = [attempted(lambda: len(read(shared / stem / name))) for name in inner]
            beside = attempted(lambda: len(read(shared / f"{stem}.raw")))
            listed = [attempted(os.listdir, shared / stem / name) for name in (".", "rows", "cols")]
            seen.append((native, opened, beside, listed))
        return seen

    names = array_files(shared.source)
    row, whole = np.prod(SMALL.array.shape[1:]) * 8, SMALL.array.nbytes
    for path, (native, opened, beside, listed) in zip(names, as_other_user(look, group)):
        if native == len(SMALL.blob):
            assert opened[:2] == [128 + 3 * row, whole], path
            assert min(opened[2:]) > 0 and beside == whole and all(map(len, listed)), path
        else:
            assert native == "EACCES"
            assert [*opened, beside, *listed] == ["EACCES"] * 8, path


def test_a_link_gives_another_user_no_more_than_its_target(shared):
    def look():
        listed = [attempted(os.listdir, shared / name) for name in links]
        inner = [shared / name / path for name in links for path in ("rows/0.npy", "T.raw", "header.json")]
        return listed, [attempted(lambda: len(read(path))) for path in inner]

    links = ("to closed", "through closed")
    listed, inner = as_other_user(look)
    assert listed == ["EACCES", ["error.txt"]]
    assert set(inner) == {"EACCES", "ENOENT"}
