"""Random arrays, random chains of selectors: whatever NumPy yields, the path yields.

NPYFS_SEED repeats a run, NPYFS_CASES makes it longer. Every failure names the seed.
"""

import os
import secrets

import numpy as np
import pytest

import generators
import oracle
from checks import (
    assert_absent,
    assert_array,
    assert_directory,
    assert_encodings,
    assert_header,
    assert_same_bytes,
    load,
)

SEED = int(os.environ.get("NPYFS_SEED") or secrets.randbits(32))
CASES = int(os.environ.get("NPYFS_CASES") or 3000)
BATCH = 50
ARRAYS = 60


@pytest.fixture(scope="module")
def tree(mounted):
    rng = np.random.default_rng(SEED)
    with mounted([generators.random_sample(rng, i) for i in range(ARRAYS)]) as tree:
        yield tree


def random_chains(tree, batch):
    """The chains of a batch, each batch the same whatever others are run."""
    rng = np.random.default_rng([SEED, batch])
    names = list(tree.samples)
    for _ in range(min(BATCH, CASES - batch * BATCH)):
        name = names[rng.integers(len(names))]
        yield rng, tree.samples[name], generators.random_chain(rng, tree.chain(name))


def named(sample, chain):
    array = sample.array
    return f"NPYFS_SEED={SEED}: {chain.path} of {array.dtype} {array.shape} {array.strides}"


def assert_any_part(path, expected, rng, edge):
    """Reads that end and begin anywhere, most often near the header's edge and the end."""
    file = os.open(path, os.O_RDONLY)
    try:
        for near in (0, edge, len(expected), int(rng.integers(len(expected) + 1))):
            at = max(near + int(rng.integers(-9, 10)), 0)
            length = int(
                rng.integers(0, 40) if rng.random() < 0.5 else rng.integers(0, len(expected) + 99)
            )
            assert_same_bytes(
                os.pread(file, length, at), expected[at : at + length], f"{path} at {at}, {length}"
            )
    finally:
        os.close(file)


def assert_one(tree, rng, sample, chain):
    """Everything that is promised of one path."""
    assert_encodings(tree, chain)
    assert_directory(tree / chain.path)
    assert_array(load(tree / chain.npy), chain.view, chain.path)
    expected = oracle.npy(chain.view)
    edge = len(expected) - chain.view.nbytes
    assert_any_part(tree / chain.npy, expected, rng, edge)
    assert_any_part(tree / chain.raw, oracle.raw(chain.view), rng, 0)
    assert_header(tree, chain, sample)


@pytest.mark.parametrize("batch", range(-(-CASES // BATCH)))
def test_a_random_chain_of_selectors_is_the_view_it_spells(tree, batch):
    for rng, sample, chain in random_chains(tree, batch):
        try:
            assert_one(tree, rng, sample, chain)
        except Exception as failure:
            raise AssertionError(f"{named(sample, chain)}\n{failure}") from failure


def scrambled(rng, name):
    """A name with one character changed, dropped, doubled or put in."""
    letters = "0123456789-+:,.% Nonexa"
    at = int(rng.integers(len(name)))
    letter = letters[rng.integers(len(letters))]
    return [
        name[:at] + letter + name[at + 1 :],
        name[:at] + name[at + 1 :],
        name[:at] + letter + name[at:],
    ][rng.integers(3)]


@pytest.mark.parametrize("batch", range(-(-CASES // BATCH // 4)))
def test_a_random_slice_with_a_slip_is_judged_as_numpy_judges_it(tree, batch):
    """A misspelt expression is either another one, or no file; never an approximation."""
    for rng, sample, chain in random_chains(tree, batch):
        text = scrambled(rng, generators.random_slice(rng, chain.view))
        if text in ("", ".", "..") or text.endswith((".npy", ".raw")):
            continue
        view = oracle.sliced(chain.view, text)
        path = tree / chain.path / "slice" / text
        try:
            if view is None:
                assert_absent(path)
            else:
                assert_encodings(tree, oracle.Chain(f"{chain.path}/slice/{text}", view))
        except AssertionError as failure:
            raise AssertionError(f"{named(sample, chain)}, slice/{text}\n{failure}") from failure
