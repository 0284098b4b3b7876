"""Headers with a slip of the pen: read as NumPy reads them, or refused; never otherwise.

NPYFS_SEED repeats a run, NPYFS_CASES makes it longer. Every failure names the seed.
"""

import json
import os
import secrets

import numpy as np
import pytest

import corpus
import headers
import oracle
from checks import assert_array, assert_same_bytes, read

SEED = int(os.environ.get("NPYFS_SEED") or secrets.randbits(32))
CASES = int(os.environ.get("NPYFS_CASES") or 2000)

TEXTS = [
    text for text in (headers.ACCEPTED | headers.PYTHON_2 | headers.LONG_TAIL).values() if len(text) < 500
]
LETTERS = " \t\n#'\"()[]{}:,.0123456789xob_+-<>=|?uUrbfiSVMmLTrue\f\\/%é\xa0²"


def slip(rng, text):
    """A header with up to three characters put in, left out or changed."""
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(text)))
        letter = LETTERS[rng.integers(len(LETTERS))]
        after = text[at:] if rng.random() < 0.4 else text[at + 1 :]
        text = text[:at] + (letter if rng.random() < 0.6 else "") + after
    return text


@pytest.fixture(scope="module")
def blobs():
    """Files by name, each with data enough for what its header may have become."""
    rng = np.random.default_rng(SEED)
    made = {}
    for number in range(CASES):
        version = corpus.VERSIONS[rng.integers(3)]
        text = slip(rng, TEXTS[rng.integers(len(TEXTS))])
        made[f"h{number}"] = corpus.container(text, version) + bytes(range(256)) * 8
    return made


def numpy_reads(path):
    """The array NumPy maps, or None; its reasons to refuse are many and any will do."""
    try:
        return np.asarray(np.load(path, mmap_mode="r", max_header_size=1 << 20))
    except Exception:
        return None


def test_a_header_with_a_slip_is_read_as_numpy_reads_it_or_refused(mounted, blobs):
    agreed = 0
    with mounted([], broken=blobs) as tree:
        for name, blob in blobs.items():
            told = f"NPYFS_SEED={SEED}: {name} with the header {blob[:300]!r}"
            assert_same_bytes(read(tree / f"{name}.npy"), blob, told)
            array = numpy_reads(tree.source / f"{name}.npy")
            if (tree / name / "error.txt").exists() or array is None:
                continue
            header = json.loads(read(tree / name / "header.json"))
            expected = oracle.described(array)
            assert {member: header[member] for member in expected} == expected, told
            assert_same_bytes(read(tree / f"{name}.raw"), oracle.raw(array), told)
            whole = np.load(tree / name / "slice/....npy", max_header_size=1 << 20)
            assert_array(whole, array, told)
            agreed += 1
    assert agreed > CASES // 50, f"NPYFS_SEED={SEED}: hardly any header was read"
