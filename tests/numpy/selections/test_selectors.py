"""parts/, windows/, fields/ and T, alone and one inside another."""

import errno
import os

import numpy as np
import pytest

import corpus
import dtypes
import oracle
from checks import (
    assert_absent,
    assert_array,
    assert_encodings,
    assert_header,
    assert_served,
    error_of,
    load,
    read,
)

RECORDS = [
    corpus.sample(f"{name}-{order}", (4, 3), dtype, order)
    for name, dtype in dtypes.RECORDS.items()
    for order in "CF"
]
COMPLEX = [
    corpus.sample("c8", (4, 3), "<c8"),
    corpus.sample("c16", (4, 3), ">c16", "F"),
    corpus.sample("c32", (4, 3), "<c32"),
]
HOLDING = np.dtype([("re", "<f4"), ("z", ">c8", (2,)), ("deep", [("w", "<c16")])])


@pytest.fixture(scope="module")
def records(mounted):
    with mounted([*RECORDS, *COMPLEX, corpus.sample("holding", (5,), HOLDING)]) as tree:
        yield tree


WITH_ROWS = ["line", "table", "fortran", "cube", "none", "hollow", "dim6", "records"]


@pytest.mark.parametrize("name", WITH_ROWS)
def test_parts_are_those_of_array_split(arrays, name):
    chain = arrays.chain(name)
    length = len(chain.view)
    for of in {1, 2, 3, 7, max(length, 1), length + 1, length + 5}:
        for i in {0, 1, of // 2, of - 1} & set(range(of)):
            assert_served(arrays, chain.part(i, of))
            assert_header(arrays, chain.part(i, of), arrays.samples[name])


@pytest.mark.parametrize("name", ["line", "fortran", "none"])
def test_the_parts_listed_are_the_array(arrays, name):
    array = arrays.samples[name].array
    for of in (1, 3, len(array) + 2):
        width = len(str(of - 1))
        listed = os.listdir(arrays / name / f"parts/{of}")
        assert listed == [f"{i:0{width}}.npy" for i in range(of)]
        loaded = [load(arrays / name / f"parts/{of}/{i}.npy") for i in range(of)]
        assert_array(np.concatenate(loaded).astype(array.dtype), array, name)


def test_there_may_be_far_more_parts_than_rows(arrays):
    """The number of parts is a name, not a list: 2^32 of them cost nothing."""
    last = 2**32 - 1
    assert_array(
        load(arrays / f"line/parts/{last + 1}/0.npy"), arrays.samples["line"].array[0:1], "first"
    )
    assert load(arrays / f"line/parts/{last + 1}/{last}.npy").shape == (0,)
    with os.scandir(arrays / f"line/parts/{last + 1}") as entries:
        assert {next(entries).name for _ in range(3)} <= {f"{i:010}.npy" for i in range(10)}
    assert_absent(arrays / f"line/parts/{last + 1}/{last + 1}")


@pytest.mark.parametrize("path", [
    "parts/0", "parts/01", "parts/1٣", "parts/1３", "parts/+3", "parts/-3", "parts/4294967297",
    "parts/99999999999999999999", "parts/3.0", "parts/a", "parts/3/3", "parts/3/-1", "parts/3/01",
    "parts/3/+1", "parts/3/1-2", "parts/3/a", "parts/3/00", "parts/3/ 1",
])  # fmt: skip
def test_a_part_spelt_any_other_way_does_not_exist(arrays, path):
    assert_absent(arrays / "table" / path)


@pytest.mark.parametrize("path", ["parts/3", "windows/3,1", "chunks/3,1", "slice", "fields"])
def test_a_selector_half_spelt_is_a_directory_and_no_array(arrays, path):
    assert_absent(arrays / "records" / path, [".npy", ".raw"])
    assert os.path.isdir(arrays / "records" / path)


@pytest.mark.parametrize("name", ["line", "fortran", "cube", "hollow", "records"])
def test_windows_are_whole_and_step_along_the_rows(arrays, name):
    chain = arrays.chain(name)
    length = len(chain.view)
    for size in {1, 2, length // 2, length}:
        for step in {1, 3, length, length * 10, 2**63 - 1}:
            count = (length - size) // step + 1
            for k in {0, count // 2, count - 1}:
                assert_served(arrays, chain.window(k, size, step))
            assert_absent(arrays / chain.path / f"windows/{size},{step}/{count}")
    assert_header(arrays, chain.window(1, 2, 3), arrays.samples[name])


@pytest.mark.parametrize("name", ["line", "cube"])
def test_the_windows_listed_are_all_there_are(arrays, name):
    array = arrays.samples[name].array
    for size, step in ((1, 1), (3, 2), (len(array), 1), (2, len(array))):
        listed = os.listdir(arrays / name / f"windows/{size},{step}")
        count = len(np.lib.stride_tricks.sliding_window_view(array, size, axis=0)[::step])
        width = len(str(count - 1))
        assert listed == [f"{k:0{width}}.npy" for k in range(count)]


@pytest.mark.parametrize("name", ["line", "fortran", "cube", "dim6", "records"])
def test_chunks_are_the_array_cut_along_each_axis(arrays, name):
    chain = arrays.chain(name)
    whole = chain.view.shape
    for shape in ([1] * len(whole), [max(1, n // 2) for n in whole], [n + 7 for n in whole]):
        counts = [-(-n // min(n, m)) for n, m in zip(whole, shape)]
        for place in ([0] * len(whole), [n - 1 for n in counts], [n // 2 for n in counts]):
            assert_served(arrays, chain.chunk(shape, place))
            assert_header(arrays, chain.chunk(shape, place), arrays.samples[name])
        name_of_none = ",".join(map(str, counts))
        assert_absent(arrays / chain.path / f"chunks/{','.join(map(str, shape))}/{name_of_none}")


@pytest.mark.parametrize("name", ["line", "table", "cube"])
def test_the_chunks_listed_are_all_there_are_in_the_order_of_the_array(arrays, name):
    array = arrays.samples[name].array
    shape = [-(-n // 12) for n in array.shape]
    counts = [-(-n // m) for n, m in zip(array.shape, shape)]
    directory = arrays / name / f"chunks/{','.join(map(str, shape))}"
    listed = os.listdir(directory)
    places = list(np.ndindex(*counts))
    padded = [",".join(f"{i:0{len(str(n - 1))}}" for i, n in zip(place, counts)) for place in places]
    assert listed == [f"{place}.npy" for place in padded] == sorted(listed)
    for place, file in list(zip(places, listed))[:: max(1, len(listed) // 20)]:
        plain = f"{','.join(map(str, place))}.npy"
        assert read(directory / file) == read(directory / plain), file


@pytest.mark.parametrize("path", [
    "chunks/0,1", "chunks/1", "chunks/1,", "chunks/,1", "chunks/1,1,1", "chunks/01,1", "chunks/-1,1",
    "chunks/+1,1", "chunks/1, 1", "chunks/1x1", "chunks/a,1", "chunks/1٣,1", "chunks/9,9/0", "chunks/9,9/0,0,0",
    "chunks/9,9/12,0", "chunks/9,9/000,0", "chunks/9,9/-1,0", "chunks/9,9/+0,0", "chunks/9,9/0,0x",
])  # fmt: skip
def test_a_chunk_spelt_any_other_way_does_not_exist(arrays, path):
    assert_absent(arrays / "table" / path)


def test_an_array_without_elements_has_no_chunks(arrays):
    for name in ("none", "hollow"):
        assert "chunks" not in os.listdir(arrays / name)
        shape = ",".join("1" * arrays.samples[name].array.ndim)
        assert os.listdir(arrays / name / f"chunks/{shape}") == []
    assert_absent(arrays / "point/chunks")


@pytest.mark.parametrize("path", [
    "windows/0,1", "windows/1٣,1", "windows/1,1１", "windows/1,0", "windows/101,1", "windows/1",
    "windows/1,", "windows/,1", "windows/1,1,1", "windows/01,1", "windows/1,01", "windows/-1,1",
    "windows/1,-1", "windows/+1,1", "windows/1, 1", "windows/1-1", "windows/a,1", "windows/1,1/100",
    "windows/1,1/000", "windows/1,1/-1", "windows/1,1/+1", "windows/1,1/0-1", "windows/60,41/1",
])  # fmt: skip
def test_a_window_spelt_any_other_way_does_not_exist(arrays, path):
    assert_absent(arrays / "table" / path)


def test_the_last_window_is_the_last_whole_one(arrays):
    """Of 100 rows: 40 to 100 is whole, 41 to 101 is none (see the misspelt above)."""
    assert_served(arrays, arrays.chain("table").window(1, 60, 40))


def test_an_empty_array_has_no_window(arrays):
    for path in ("windows/0,1", "windows/1,1", "windows/1,1/0"):
        assert_absent(arrays / "none" / path)


def reachable(name, extension=".npy"):
    """Whether a field's name can be a file's: UTF-8, and short enough."""
    try:
        return len((oracle.escaped(name) + extension).encode()) <= 255
    except UnicodeEncodeError:
        return False


def fields_within(chain, depth=0):
    """Every field of a record, and of the records inside it."""
    for name in chain.view.dtype.names or ():
        if reachable(name):
            inner = chain.field(name)
            yield inner
            yield from fields_within(inner, depth + 1)


@pytest.mark.parametrize("sample", RECORDS, ids=str)
def test_every_field_is_an_array(records, sample):
    """Nested ones compose, sub-arrays add axes, titles are not names, padding is none."""
    for chain in fields_within(records.chain(sample.name)):
        assert_served(records, chain)
        assert_header(records, chain, sample)


@pytest.mark.parametrize("sample", RECORDS, ids=str)
def test_the_fields_listed_are_those_a_file_name_can_hold(records, sample):
    chain = records.chain(sample.name)
    names = [name for name in chain.view.dtype.names if reachable(name)]
    if names:
        listed = os.listdir(records / chain.path / "fields")
        assert sorted(listed) == sorted(["USAGE.txt", *(f"{oracle.escaped(name)}.npy" for name in names)])


def test_a_name_too_long_for_a_file_is_left_to_the_header(records):
    """252 bytes and an extension are more than a name can hold; 251 are not."""
    fields = records / "too_long-C/fields"
    assert error_of(os.stat, f"{fields}/{'n' * 252}.npy") == errno.ENAMETOOLONG
    assert load(f"{fields}/{'m' * 251}.npy").dtype == np.dtype("<i2")


@pytest.mark.parametrize("path", [
    "titles-C/fields/The first", "titles-C/fields/2nd", "ri-C/fields/R", "ri-C/fields/x",
    "ri-C/fields/real", "ri-C/fields/r ", "ri-C/fields/0", "ri-C/fields/%72", "names-C/fields/a%2eb",
    "names-C/fields/50%", "names-C/fields/a.b", "names-C/fields/nothing", "names-C/fields/%25%",
    "names-C/fields/%ZZ", "names-C/fields/%2", "gaps-C/fields/%", "ri-C/fields/r/fields", "c8/fields/r",
    "c8/fields/re", "c8/fields/real/fields", "c8/fields/%72eal",
])  # fmt: skip
def test_a_field_spelt_any_other_way_does_not_exist(records, path):
    assert_absent(records / path)


def test_arrays_without_fields_have_no_such_directory(arrays):
    for name in ("line", "table", "point"):
        assert_absent(arrays / name / "fields", [""])
        assert_absent(arrays / name / "fields/real")


@pytest.mark.parametrize("sample", COMPLEX, ids=str)
def test_complex_arrays_have_real_and_imag(records, sample):
    chain = records.chain(sample.name)
    assert sorted(os.listdir(records / chain.path / "fields")) == ["USAGE.txt", "imag.npy", "real.npy"]
    for view in (
        chain.real(),
        chain.imag(),
        chain.rows(1).imag(),
        chain.slice("::-2,::2").real(),
        chain.imag().rows(0, 2),
    ):
        assert_served(records, view)
        assert_header(records, view, sample)


def test_complex_numbers_inside_records_come_apart_too(records):
    chain, sample = records.chain("holding"), records.samples["holding"]
    for view in (
        chain.field("z").real(),
        chain.field("deep").field("w").imag(),
        chain.rows(2).field("z").imag().rows(1),
    ):
        assert_served(records, view)
        assert_header(records, view, sample)


def test_a_field_keeps_its_place_wherever_it_is_asked_for(arrays):
    """a['r'][0:3] and a[0:3]['r'] are one view, and so one file's bytes."""
    chain = arrays.chain("quadrants")
    before, after = chain.field("r").rows(0, 3).cols(5, 9), chain.rows(0, 3).cols(5, 9).field("r")
    assert read(arrays / before.npy) == read(arrays / after.npy) == oracle.npy(before.view)


@pytest.mark.parametrize(
    "name", ["line", "table", "fortran", "cube", "point", "none", "hollow", "dim6", "records"]
)
def test_t_turns_the_axes_round_and_twice_is_nothing(arrays, name):
    chain = arrays.chain(name)
    for view in (
        chain.transposed(),
        chain.transposed().transposed(),
        chain.slice("None,...").transposed(),
    ):
        assert_served(arrays, view)
        assert_header(arrays, view, arrays.samples[name])
    assert read(arrays / f"{name}/T/T.npy") == read(arrays / f"{name}/slice/....npy")


def test_t_is_spelt_with_a_capital_and_nothing_below_it_but_selectors(arrays):
    for path in ("table/t", "table/T/t", "table/T/0", "table/TT"):
        assert_absent(arrays / path)


def test_selectors_compose_in_any_order(arrays):
    chain = arrays.chain("records")
    composed = [
        chain.rows(0, 6).field("pos").slice("::2").transposed(),
        chain.field("trail").field("x").part(1, 3).axis(-1, 1).transposed(),
        chain.part(0, 2).window(1, 2, 1).cols(1, 4).field("mass"),
        chain.transposed().part(2, 3).slice("None,...,::-1").field("pos").field("y"),
        chain.window(2, 3, 2).rows(1).rows(2).field("trail").rows(1).field("z"),
    ]
    for view in composed:
        assert_served(arrays, view)
        assert_header(arrays, view, arrays.samples["records"])
        assert_encodings(arrays, view.slice("..."))
