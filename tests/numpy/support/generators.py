"""Random arrays and random chains of selectors, from one seed."""

import numpy as np

import corpus
import dtypes
from oracle import sliced

MAX_DEPTH = 4
MAX_NDIM = 6


def random_sample(rng, number):
    """An array of any dtype, order, version and shape, zero-length axes among them."""
    names = list(dtypes.ALL)
    dtype = dtypes.ALL[names[rng.integers(len(names))]]
    longest = 9 if rng.random() < 0.8 else 70
    shape = [int(n) for n in rng.integers(1, longest, rng.integers(0, MAX_NDIM + 1))]
    while np.prod(shape) * max(dtype.itemsize, 4) > 100_000:
        shape[rng.integers(len(shape))] = 1
    if shape and rng.random() < 0.1:
        shape[rng.integers(len(shape))] = 0
    order, version = "CF"[rng.integers(2)], [None, (1, 0), (2, 0), (3, 0)][rng.integers(4)]
    if name_needs_unicode(dtype):
        version = None
    return corpus.sample(
        f"random{number}", tuple(shape), dtype, order, version, seed=int(rng.integers(2**32))
    )


def name_needs_unicode(dtype):
    """Whether the header fits no older version, so that the choice is not ours."""
    try:
        str(np.lib.format.dtype_to_descr(dtype)).encode("latin1")
    except UnicodeEncodeError:
        return True
    return False


def random_chain(rng, chain):
    """Up to MAX_DEPTH selectors after one another, each one that applies.

    Most draws that leave nothing of an array are taken back: empty views are
    worth having, but they are all alike.
    """
    missing = rng.integers(1, MAX_DEPTH + 1)
    while missing:
        choices = _choices(chain.view)
        grown = choices[rng.integers(len(choices))](rng, chain)
        if grown.view.size or not chain.view.size or rng.random() < 0.1:
            chain, missing = grown, missing - 1
    return chain


def _choices(view):
    """The selectors that apply to a view, the interesting ones more often."""
    grow = [_slice, _slice, _transposed]
    if view.ndim:
        grow += [_range, _range, _index if 0 not in view.shape else _range, _part]
    if view.ndim and len(view):
        grow += [_window]
    if view.ndim and view.size:
        grow += [_chunk]
    if any(_has_path(name) for name in view.dtype.names or ()):
        grow += [_field] * 3
    if view.dtype.kind == "c":
        grow += [_complex_part] * 2
    return grow


def _has_path(name):
    return len(name) <= 250 and name.isprintable()


def _directory(rng, k, ndim):
    """One of the names of an axis."""
    usual = {0: ["rows"], 1: ["cols"]}.get(k, [])
    names = [*usual, f"axis{k}", f"axis{k - ndim}"]
    return names[rng.integers(len(names))]


def _range(rng, chain):
    k = int(rng.integers(chain.view.ndim))
    start, stop = sorted(int(n) for n in rng.integers(0, chain.view.shape[k] + 1, 2))
    return chain.axis(k, start, stop, _directory(rng, k, chain.view.ndim))


def _index(rng, chain):
    k = int(rng.integers(chain.view.ndim))
    i = int(rng.integers(chain.view.shape[k]))
    return chain.axis(k, i, directory=_directory(rng, k, chain.view.ndim))


def _part(rng, chain):
    of = int(rng.integers(1, len(chain.view) + 4))
    return chain.part(int(rng.integers(of)), of)


def _window(rng, chain):
    size = int(rng.integers(1, len(chain.view) + 1))
    step = int(rng.integers(1, len(chain.view) + 2))
    count = (len(chain.view) - size) // step + 1
    return chain.window(int(rng.integers(count)), size, step)


def _chunk(rng, chain):
    shape = [int(rng.integers(1, n + 2)) for n in chain.view.shape]
    place = [int(rng.integers(-(-n // min(n, m)))) for n, m in zip(chain.view.shape, shape)]
    return chain.chunk(shape, place)


def _field(rng, chain):
    names = [name for name in chain.view.dtype.names if _has_path(name)]
    return chain.field(names[rng.integers(len(names))])


def _complex_part(rng, chain):
    return chain.real() if rng.random() < 0.5 else chain.imag()


def _transposed(rng, chain):
    return chain.transposed()


def _slice(rng, chain):
    return chain.slice(random_slice(rng, chain.view))


def random_slice(rng, view):
    """An expression that NumPy accepts for this view; drawn until one is."""
    while True:
        given = rng.integers(view.ndim + 1) if rng.random() < 0.5 else view.ndim
        text = ",".join(_item(rng, n) for n in view.shape[:given])
        text = _with(rng, text, "...", 0.4 if text else 1)
        text = _with(rng, text, "None", 0.2)
        if len(text) < 100 and sliced(view, text) is not None:
            return text


def _with(rng, text, item, chance):
    """The expression with one more item somewhere, or without."""
    items = text.split(",") if text else []
    if rng.random() < chance:
        items.insert(rng.integers(len(items) + 1), item)
    return ",".join(items)


def _item(rng, n):
    """An integer, or a slice any of whose parts may be missing or out of bounds."""
    if n and rng.random() < 0.25:
        return str(rng.integers(-n, n))
    step = str(rng.choice([-3, -2, -1, -1, 2, 3])) if rng.random() < 0.7 else ""
    bounds = ["" if rng.random() < 0.6 else str(rng.integers(-n - 2, n + 3)) for _ in range(2)]
    return ":".join([*bounds, step] if step or rng.random() < 0.3 else bounds)
