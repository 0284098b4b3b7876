"""slice/<expr>: NumPy's basic indexing to the letter, in one spelling of each number."""

import errno
import itertools
import os

import pytest

import oracle
from checks import (
    ENCODINGS,
    assert_absent,
    assert_array,
    assert_encodings,
    assert_header,
    assert_served,
    error_of,
    load,
)

BOUNDS = ["", "-13", "-12", "-11", "-5", "-1", "0", "1", "6", "11", "12", "13"]
STEPS = ["", "1", "2", "5", "12", "13", "-1", "-2", "-5", "-12", "-13"]


def agree(tree, name, text):
    """The path exists exactly when NumPy has an answer, and then it is that answer."""
    view = oracle.sliced(tree.samples[name].array, text)
    path = tree / name / "slice" / text
    if view is None:
        assert_absent(path)
    else:
        assert_encodings(tree, oracle.Chain(f"{name}/slice/{text}", view))


@pytest.mark.parametrize("step", STEPS)
def test_every_start_and_stop_clamps_as_in_numpy(arrays, step):
    """On an axis of 12; a second colon with nothing after it is the same slice."""
    colon = [":", ""] if step == "" else [f":{step}"]
    for start, stop, last in itertools.product(BOUNDS, BOUNDS, colon):
        agree(arrays, "complex", f"{start}:{stop}{last}")


@pytest.mark.parametrize("i", range(-14, 15))
def test_integers_count_from_either_end_and_stop_at_the_array(arrays, i):
    for text in (f"{i}", f"{i},{i}", f"...,{i}", f"{i},...", f":,{i}", f"None,{i}", f"{i}:{i},{i}"):
        agree(arrays, "complex", text)


FORMS = ["0", "-1", ":", "1:", "::-1", ":-1:2", "...", "None"]


@pytest.mark.parametrize("first", FORMS)
def test_items_combine_as_in_numpy(arrays, first):
    """All ways to put up to four items after one another, on three axes."""
    for length in range(4):
        for rest in itertools.product(FORMS, repeat=length):
            text = ",".join([first, *rest])
            view = oracle.sliced(arrays.samples["cube"].array, text)
            if length < 3:
                agree(arrays, "cube", text)
            elif view is None:
                assert_absent(arrays / "cube/slice" / text, [".npy"])
            else:
                path = arrays / "cube/slice" / f"{text}.npy"
                assert_array(load(path), view, path)


@pytest.mark.parametrize("text", [
    "0,0", "-12:-3:3,::-4", "...,None,3", "None,::5,None,1:2", "5,...,5", "11:0:-4,0", "3:3",
    "::-1,::-1", "0:0,...", "9223372036854775807:", "...", ":,:", "None", "None,...,None", "-1,-1,None",
    "::12,::9",
])  # fmt: skip
@pytest.mark.parametrize("name", ["complex", "quadrants", "fortran", "table"])
def test_a_slice_is_a_whole_array_with_a_true_header(arrays, name, text):
    view = arrays.chain(name).slice(text)
    assert_served(arrays, view)
    assert_header(arrays, view, arrays.samples[name])
    for nested in (view.slice("..."), view.transposed(), view.slice("None").slice("0")):
        assert_served(arrays, nested)
        assert_header(arrays, nested, arrays.samples[name])


@pytest.mark.parametrize("name", ["point", "line", "none", "hollow", "dim6"])
@pytest.mark.parametrize(
    "text", ["...", "None", "...,None", "0", ":", "0,0", "::-1", "...,0", "...,:", "None,None"]
)
def test_points_and_empty_arrays_slice_as_in_numpy(arrays, name, text):
    agree(arrays, name, text)


HUGE = ["9223372036854775807", "9223372036854775808", "18446744073709551616", "1" + "0" * 60]


@pytest.mark.parametrize("huge", HUGE)
def test_bounds_and_steps_of_any_length_clamp(arrays, huge):
    forms = ":N N: -N: :-N ::N ::-N N:-N:-1".replace("N", huge)
    for text in forms.split():
        agree(arrays, "complex", text)
        assert oracle.sliced(arrays.samples["complex"].array, text) is not None
    for text in (huge, f"-{huge}", f"0,{huge}"):
        agree(arrays, "complex", text)
    agree(arrays, "complex", f"3:{huge}:{huge},-{huge}:")


@pytest.mark.parametrize(
    "text",
    [
        "-9223372036854775808:",
        ":-9223372036854775808:-1",
        "::-9223372036854775808",
        "-9223372036854775808",
    ],
)
def test_the_least_64_bit_integer_is_a_bound_like_any(arrays, text):
    agree(arrays, "complex", text)


# What Python would read, or nearly, but is not the one spelling; or NumPy rejects.
NO_SLICES = [
    "+1", "01", "-0", "00", "1:+2", "01:", ":02", "::01", "-00", "- 1", "1_0", "0x1", "1e0", "1.0", "1L",
    "²", "１", "٣", "1٣", ":1３", " 0", "0 ", "0 :1", "0:1 ", "0, 1", "0 ,1", "0,1,", ",", ",0", "0,,1",
    ":,", "(0,1)", "(0)", "[0]", "0,[1]", "[0,1]", "::0", "::-0", "0:1:0", "::00", "...,...",
    "0,...,...", "....", ".....", "..,0", ". . .", "…", "Ellipsis", "0,0,0", "0,0,0,0", ":,:,:",
    "...,0,0,0", "12", "-13", "0,9", "0,-10", "99999999999999999999", "True", "False", "none", "NONE",
    "None:", "None:None", "0:None", "newaxis", "np.newaxis", "slice(0)", "slice(0,1)", ":::", "0:1:2:3",
    "::1:", "0-5", "--1", "~0", "1+1", "a", "'r'", "0;1", "0:1\n", "\n", "\t0", "*", "0,*", "1j", "0|1",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_SLICES)
def test_what_is_misspelt_or_rejected_does_not_exist(arrays, text):
    assert oracle.sliced(arrays.samples["complex"].array, text) is None
    assert_absent(f"{arrays / 'complex/slice'}/{text}")


def test_an_empty_expression_is_no_slice(arrays):
    assert_absent(f"{arrays / 'complex/slice'}/", [".npy", ".raw"])


def test_two_spellings_of_one_view_are_two_files_with_the_same_bytes(arrays):
    chain = arrays.chain("complex")
    texts = ["...", ":", "::", "0:", "0:12", ":999", "::1", ":,:", ":,...", "...,:", "-12:12:1,-9:9:1"]
    served = {(arrays / chain.slice(text).npy).read_bytes() for text in texts}
    assert served == {oracle.npy(chain.view)}


def _name(extension, length):
    """A slice name of that many bytes, extension and all, that NumPy accepts."""
    return ":" + "9" * (length - 1 - len(extension)) + extension


@pytest.mark.parametrize("extension", ENCODINGS)
def test_a_name_has_255_bytes_at_most(arrays, extension):
    directory = arrays / "complex/slice"
    assert os.stat(directory / _name(extension, 255))
    assert error_of(os.stat, directory / _name(extension, 256)) == errno.ENAMETOOLONG
    assert error_of(os.stat, directory / _name(extension, 4000)) == errno.ENAMETOOLONG
    for elsewhere in ("complex/rows", "complex", "complex/parts/3", ""):
        assert error_of(os.stat, arrays / elsewhere / ("é" * 128)) == errno.ENAMETOOLONG


def new_axes(count):
    return ",".join(["None"] * count) + ",..."


def test_new_axes_end_at_the_64_that_numpy_has(arrays):
    """One name holds no more than 255 bytes, so it takes two of them to get there."""
    fifty = arrays.chain("complex").slice(new_axes(48))
    assert_encodings(arrays, fifty)
    most = fifty.slice(new_axes(14))
    assert most.view.ndim == 64
    assert_served(arrays, most)
    assert_header(arrays, most, arrays.samples["complex"])
    assert oracle.sliced(fifty.view, new_axes(15)) is None
    assert_absent(arrays / fifty.path / "slice" / new_axes(15))
    assert_absent(arrays / most.path / "slice/None")
    assert_served(arrays, most.axis(63, 2, 5))
    assert_served(arrays, most.slice("...,0").slice("None,..."))


def test_an_axis_taken_away_makes_room_for_a_new_one(arrays):
    """NumPy counts the axes of the result, not those of the index."""
    most = arrays.chain("complex").slice(new_axes(48)).slice(new_axes(14))
    for text in ("None,0", "0,None,...", "None,None,0", "...,None,0"):
        view = oracle.sliced(most.view, text)
        path = arrays / most.path / "slice" / text
        if view is None:
            assert_absent(path)
        else:
            assert_array(load(f"{path}.npy"), view, path)
