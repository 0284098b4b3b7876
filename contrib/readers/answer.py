"""Reads arrays with one reader, which the first argument names.

For each path on standard input there is a line of JSON on standard output: the array's shape, its dtype and its elements
in C order, as hexadecimal; or an error. Each reader has an interpreter of its own, so this file needs no more than
that one reader, and the first line says which version of it this is. Some are so old that it must run on Python 3.6.
"""

import json
import os
import sys
import warnings

import numpy as np
from numpy.lib.recfunctions import repack_fields


def by_numpy(path):
    array = np.load(path)
    mapped = np.load(path, mmap_mode="r") if array.size else array
    assert mapped.dtype == array.dtype and mapped.tobytes() == array.tobytes()
    return array


def by_zarr(path):
    import zarr

    return zarr.open_array(path, mode="r", zarr_format=3)[...]


def by_zarr_v2(path):
    import zarr

    return zarr.open_array(path, mode="r")[...]


def by_tensorstore(path):
    import tensorstore

    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": path}}
    return tensorstore.open(spec, read=True).result().read().result()


def by_dask(path):
    import dask.array

    return dask.array.from_zarr(path).compute()


def by_xarray(path):
    import xarray

    group, name = path.rsplit("/", 1)
    return xarray.open_zarr(group)[name].values


def by_gdal(path):
    from osgeo import gdal

    gdal.UseExceptions()
    group = gdal.OpenEx(path, gdal.OF_MULTIDIM_RASTER).GetRootGroup()
    [name] = group.GetMDArrayNames()
    return group.OpenMDArray(name).ReadAsArray()


def by_napari(path):
    from napari_ome_zarr import napari_get_reader

    image, level = path.rsplit("/", 1)
    [(levels, _, kind)] = napari_get_reader(image)(image)
    assert kind == "image"
    return np.asarray(levels[int(level)])


def by_ome_zarr(path):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    image, level = path.rsplit("/", 1)
    [node] = Reader(parse_url(image))()
    return np.asarray(node.data[int(level)])


# By name: what reads, and the package whose version counts.
READERS = {
    "numpy": (by_numpy, "numpy"),
    "zarr": (by_zarr, "zarr"),
    "zarr-v2": (by_zarr_v2, "zarr"),
    "tensorstore": (by_tensorstore, "tensorstore"),
    "dask": (by_dask, "dask"),
    "xarray": (by_xarray, "xarray"),
    "gdal": (by_gdal, "GDAL"),
    "napari": (by_napari, "napari-ome-zarr"),
    "ome-zarr": (by_ome_zarr, "ome-zarr"),
}


def answer(read, path):
    try:
        array = np.asarray(read(path))
    except Exception as error:  # Whatever a reader raises, it has refused the array.
        return {"error": f"{type(error).__name__}: {error}"}
    # In the machine's byte order, and with no padding in records.
    dtype = repack_fields(array.dtype.newbyteorder("="), recurse=True)
    return {
        "shape": array.shape,
        "dtype": dtype.str if dtype.names is None else dtype.descr,
        "bytes": array.astype(dtype).tobytes().hex(),
    }


def version(package):
    if package == "numpy":
        return np.__version__
    import importlib.metadata

    return importlib.metadata.version(package)


def main():
    warnings.simplefilter("ignore")
    out, sys.stdout = sys.stdout, open(os.devnull, "w")  # Some readers print.
    read, package = READERS[sys.argv[1]]
    print(version(package), file=out)
    for line in sys.stdin:
        print(json.dumps(answer(read, line.rstrip("\n"))), file=out, flush=True)


main()
