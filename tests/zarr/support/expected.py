"""Which dtypes Zarr can hold, in words of NumPy's own, and when two arrays are equal."""

import numpy as np

import dtypes


def v2_holds(dtype):
    """Anything that has bytes, a name for each field, and no byte that is in no field."""
    if dtype.subdtype:
        return v2_holds(dtype.subdtype[0]) and dtype.itemsize > 0
    if dtype.names is None:
        return dtype.kind != "O" and dtype.itemsize > 0
    fields = [dtype.fields[name][0] for name in dtype.names]
    return (
        len(fields) > 0
        and dtypes.padding(dtype) == 0
        and all(is_text(name) for name in dtype.names)
        and all(v2_holds(field) for field in fields)
    )


def is_text(name):
    """Whether a field's name is one that JSON can say, and not empty."""
    return name != "" and not any("\ud800" <= c <= "\udfff" for c in name)


def v3_holds(dtype):
    """No sub-arrays either, no numbers of 16 bytes, and nothing big-endian in records."""
    if dtype.names is not None:
        fields = [dtype.fields[name][0] for name in dtype.names]
        in_order = all(field.byteorder != ">" for field in fields)
        return v2_holds(dtype) and in_order and all(v3_holds(field) for field in fields)
    return v2_holds(dtype) and not dtype.subdtype and dtype.char not in "gG"


def assert_same(got, expected, where):
    """Equal shapes and values, in either byte order: Zarr readers give the machine's own."""
    assert got.shape == expected.shape, f"{where}: shape {got.shape}, not {expected.shape}"
    got, expected = comparable(np.asarray(got)), comparable(expected)
    # `equiv` allows for another byte order and for no other difference of dtypes.
    assert np.can_cast(got.dtype, expected.dtype, "equiv"), f"{where}: dtype {got.dtype}"
    assert got.astype(expected.dtype).tobytes() == expected.tobytes(), f"{where}: other values"


def comparable(array):
    """Records with plain dtypes, and dates as integers: NumPy does not swap the bytes of dates without
    a unit when it casts them."""
    if array.dtype.names is not None:
        return array.view(plain(array.dtype))
    if array.dtype.kind in "mM":
        return array.view(array.dtype.byteorder + "i8")
    return array


def plain(dtype):
    """A dtype without titles, and with one shape for a sub-array of sub-arrays."""
    if dtype.names is not None:
        return np.dtype([(name, plain(dtype.fields[name][0])) for name in dtype.names])
    shape = ()
    while dtype.subdtype:
        dtype, inner = dtype.subdtype
        shape += inner
    return np.dtype((plain(dtype), shape)) if shape else dtype
