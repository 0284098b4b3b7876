"""Members of archives are Zarr arrays, like every other array."""

import numpy as np

import corpus
from readers import assert_read

ARRAYS = {
    "a": corpus.sample("a", (30, 4), "<f8").array,
    "sub/b": corpus.sample("b", (7, 5), "<i2", "F").array,
    "point": corpus.sample("point", (), "<f4").array,
}


def test_a_member_and_its_selections_are_zarr_arrays(own_mount):
    np.savez(own_mount.source / "x.npz", **ARRAYS)
    for name, array in ARRAYS.items():
        assert_read(own_mount / f"x/{name}.zarr", array)
    assert_read(own_mount / "x/a/rows/2-9.zarr", ARRAYS["a"][2:9])
    assert_read(own_mount / "x/a/chunks/4,3.zarr", ARRAYS["a"])
    assert_read(own_mount / "x/sub/b/T.zarr", ARRAYS["sub/b"].T)
