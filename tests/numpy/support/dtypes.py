"""The dtypes the suite is about: one of each kind that a .npy file can hold."""

import numpy as np

UNITS = ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"]


def stored(dtype):
    """The dtype as it comes back from a file, which forgets what a header cannot say."""
    return np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(np.dtype(dtype)))


def _both_orders(codes):
    return [order + code for code in codes for order in "<>"]


def _plain():
    """Types whose items are one value: text of the descr -> dtype."""
    one_byte = ["|b1", "|i1", "|u1"]
    numbers = "i2 i4 i8 u2 u4 u8 f2 f4 f8 f16 c8 c16 c32".split()
    strings = ["|S1", "|S5", "|V1", "|V7"] + _both_orders(["U1", "U3"])
    empty = ["|S0", "|V0", "<U0"]
    times = [f"<M8[{unit}]" for unit in UNITS] + ["<m8[h]", "<m8[ns]"]
    odd_times = ["<M8", ">m8", ">M8[D]", "<M8[25us]", "<m8[8M]", ">m8[7as]"]
    names = one_byte + _both_orders(numbers) + strings + empty + times + odd_times
    return {name: stored(name) for name in names}


POINT = [("x", "<f8"), ("y", ">f4"), ("z", "<i2")]

# Field names that a path has to escape, or that look like something else in one.
ODD_NAMES = [
    "a.b", "a/b", "50%", "with space", "it's", 'q"q', "back\\slash", "it's \"both\"", "new\nline",
    "tab\t", "nul\0nul", ".", "..", "%", "%2E", "x.npy", "rows", "0-5", "日本", "é", "\u200b\xad", "🙂",
    "-", "*", "a" * 200,
]  # fmt: skip


def _records():
    """Structured types by what is particular about them."""
    aligned = np.dtype([("a", "u1"), ("b", "<f8"), ("c", [("d", "<u2"), ("e", "u1")])], align=True)
    gaps = {"names": ["a", "b"], "formats": ["<i2", ">f4"], "offsets": [1, 5], "itemsize": 16}
    titles = [(("The first", "n"), "<i2"), (("2nd", "deep"), [(("in", "x"), "<f4")], (2,))]
    shaped = [("m", "<f4", (2, 3)), ("v", "|u1", (4,)), ("one", "<i2", (1,)), ("s", "|S3")]
    nested = [("pos", POINT), ("mass", "<f4"), ("trail", POINT, (2,))]
    return {
        "ri": np.dtype([("r", "<f4"), ("i", "<f4")]),
        "nested": np.dtype(nested),
        "titles": np.dtype(titles),
        "shaped": np.dtype(shaped),
        "gaps": np.dtype(gaps),
        "aligned": aligned,
        "gaps_inside": np.dtype([("g", gaps, (2,)), ("t", aligned)]),
        "everything": np.dtype(
            [("f", "|b1"), ("c", ">c8"), ("u", "<U2"), ("t", "<M8[us]"), ("v", "|V3"), ("l", "<f16")]
        ),
        "names": np.dtype([(name, "<i2") for name in ODD_NAMES]),
        "latin": np.dtype([("é", "<i2"), ("ÿ\xa0", "<f4")]),
        "nameless": np.lib.format.descr_to_dtype([("", "<i2"), ("x", "<f4")]),
        "surrogate": np.dtype([("\ud800", "<i2"), ("x", "<f4")]),
        "too_long": np.dtype([("n" * 252, "<i2"), ("m" * 251, "<i2"), ("x", "<f4")]),
        "empty_field": np.lib.format.descr_to_dtype([("s", "|S0"), ("x", "<f4"), ("u", "<U0")]),
        "no_fields": np.dtype([]),
        "twice_shaped": np.dtype([("a", np.dtype(("<i2", (2,))), (3,)), ("b", "|u1")]),
        "empty_shape": np.dtype([("z", "<i2", (0,)), ("x", "<f4"), ("w", "|S2", (2, 0))]),
        "voids": np.dtype([("r", "|V3"), ("n", "|S2", (2, 2))]),
    }  # fmt: skip


PLAIN = _plain()
RECORDS = {name: stored(dtype) for name, dtype in _records().items()}
ALL = PLAIN | RECORDS


def leaves(view):
    """The arrays of plain values inside a view: itself, or those of its fields.

    What is not in a leaf is padding, which no NumPy operation promises to keep.
    """
    if view.dtype.names is None:
        yield view
        return
    for name in view.dtype.names:
        yield from leaves(view[name])


def padding(dtype):
    """How many bytes of an item belong to no field."""
    if dtype.subdtype:
        base, shape = dtype.subdtype
        return padding(base) * int(np.prod(shape))
    if dtype.names is None:
        return 0
    fields = [dtype.fields[name][0] for name in dtype.names]
    return dtype.itemsize - sum(field.itemsize - padding(field) for field in fields)
