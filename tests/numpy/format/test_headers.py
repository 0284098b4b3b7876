"""Every .npy that NumPy writes or accepts is an array; every other says why not."""

import json
import os
import re

import numpy as np
import pytest

import corpus
import headers
import oracle
from checks import (
    assert_absent,
    assert_array,
    assert_encodings,
    assert_header,
    assert_same_bytes,
    assert_served,
    load,
    read,
)

SAMPLES = corpus.samples()
ODD = list(headers.accepted())
BROKEN = headers.MALFORMED | {name: blob for name, (blob, _) in headers.READABLE.items()}


@pytest.fixture(scope="module")
def odd(mounted):
    with mounted(ODD) as tree:
        yield tree


GOOD = corpus.sample("good", (6, 2), "<i4")


@pytest.fixture(scope="module")
def broken(mounted):
    """Files that are no arrays, and a good one among them."""
    with mounted([GOOD], broken=BROKEN) as tree:
        yield tree


def reason(tree, name):
    return read(tree / name / "error.txt").decode()


def test_the_corpus_is_what_numpy_itself_loads(everything, odd):
    """The oracle's own arrays are checked before they check anything else."""
    for tree in (everything, odd):
        for name, sample in tree.samples.items():
            loaded = load(tree.source / f"{name}.npy")
            assert loaded.dtype == sample.array.dtype, name
            assert oracle.raw(loaded) == oracle.raw(sample.array), name


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
class TestEverySample:
    def test_the_file_keeps_its_bytes(self, everything, sample):
        path = everything / f"{sample.name}.npy"
        assert os.stat(path).st_size == len(sample.blob)
        assert_same_bytes(read(path), sample.blob, path)

    def test_raw_is_the_items_in_c_order(self, everything, sample):
        path = everything / f"{sample.name}.raw"
        assert os.stat(path).st_size == sample.array.nbytes
        assert_same_bytes(read(path), oracle.raw(sample.array), path)

    def test_header_json_is_true(self, everything, sample):
        assert_header(everything, everything.chain(sample.name), sample)

    def test_the_whole_as_a_slice_is_what_np_save_writes(self, everything, sample):
        whole = everything.chain(sample.name).slice("...")
        assert_served(everything, whole)
        assert_header(everything, whole, sample)

    def test_reversed_and_transposed_it_is_still_right(self, everything, sample):
        chain = everything.chain(sample.name)
        backwards = chain.slice("::-1") if sample.array.ndim else chain.slice("None")
        for view in (backwards, chain.transposed(), backwards.transposed()):
            assert_served(everything, view)
            assert_header(everything, view, sample)

    def test_its_rows_are_right(self, everything, sample):
        if sample.array.ndim == 0:
            assert_absent(everything / sample.name / "rows", [""])
            return
        chain, length = everything.chain(sample.name), len(sample.array)
        views = [chain.rows(0, length), chain.rows(length // 3, length - length // 3)]
        for view in views + ([chain.rows(length - 1)] if length else []):
            assert_served(everything, view)
            assert_header(everything, view, sample)


@pytest.mark.parametrize("sample", ODD, ids=str)
def test_a_header_spelt_oddly_is_an_array_like_any(odd, sample):
    assert_same_bytes(read(odd / f"{sample.name}.npy"), sample.blob, sample.name)
    chain = odd.chain(sample.name)
    for view in (
        chain.slice("..."),
        chain.slice("::-1"),
        chain.rows(0, len(sample.array)),
        chain.transposed(),
    ):
        assert_served(odd, view)
        assert_header(odd, view, sample)


@pytest.mark.parametrize("name", BROKEN)
class TestWhatIsNoArray:
    def test_keeps_its_bytes(self, broken, name):
        assert_same_bytes(read(broken / f"{name}.npy"), BROKEN[name], name)

    def test_says_why_in_one_sentence(self, broken, name):
        sentence = reason(broken, name).removesuffix("\n")
        assert sentence.isprintable() and sentence == sentence.strip(), repr(sentence)
        assert 3 <= len(sentence.split()) and len(sentence) < 600, sentence

    def test_has_nothing_else_to_offer(self, broken, name):
        assert set(os.listdir(broken / name)) - {"header.json"} == {"error.txt"}
        for selection in ("rows", "rows/0.npy", "slice", "slice/....npy", "T", "T.npy", "parts/1"):
            assert_absent(broken / name / selection, [""])
        assert_absent(broken / name, [".raw"])

    def test_harms_no_neighbour(self, broken, name):
        reason(broken, name)
        assert_encodings(broken.mount, broken.chain("good").rows(1, 3))


@pytest.mark.parametrize("name", headers.READABLE)
def test_a_header_that_could_be_read_is_shown(broken, name):
    header = json.loads(read(broken / name / "header.json"))
    assert header["shape"] == headers.READABLE[name][1]


def test_the_reasons_tell_different_faults_apart(broken):
    """A reader of error.txt must not be told the same of everything."""
    names = ["empty", "bad_magic", "version_4_0", "header_cut", "key_missing", "shape_list"]
    names += ["shape_negative", "descr_unknown", "objects", "cut_by_a_byte", "shape_huge"]
    said = {re.sub(r"\d+", "N", reason(broken, name).replace(name, "X")) for name in names}
    assert len(said) == len(names), said


@pytest.mark.parametrize("name", headers.LONG_TAIL)
def test_an_unusual_type_name_is_served_right_or_refused(own_mount, name):
    """np.load takes some of these, a map more of them; a wrong guess is the only sin."""
    blob = corpus.container(headers.LONG_TAIL[name]) + bytes(range(200))
    path = own_mount.source / "x.npy"
    path.write_bytes(blob)
    assert read(own_mount / "x.npy") == blob
    if (own_mount / "x/error.txt").exists():
        assert read(own_mount / "x/error.txt").strip()
    else:
        assert_array(load(own_mount / "x/slice/....npy"), load(path, mmap_mode="r"), name)


def test_headers_past_ten_thousand_characters_load_when_asked(everything):
    """np.load refuses them by default, which is its rule and not ours to bend."""
    name = "long-600-fields"
    path = everything / name / "rows/0-2.npy"
    with pytest.raises(ValueError, match="max_header_size"):
        np.load(path)
    assert_array(load(path), everything.samples[name].array[0:2], path)
