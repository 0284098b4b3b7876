"""Arrays as Zarr directories: the one place that says how the tests come by them."""

import os
import pathlib
import subprocess

PROGRAM = os.environ.get(
    "NPYFS_CONVERT",
    pathlib.Path(__file__).parents[2] / "target/debug/examples/convert",
)


class Refused(Exception):
    """Zarr cannot hold the array; the message says why."""


def zarr_of(source, view, target, format, chunks):
    """The directory of a view of the file `source`.

    `format` is v3, v2 or ome; `chunks` a shape such as "2,3", or bytes such as "4096B".
    """
    done = subprocess.run(
        [PROGRAM, source, view, target, format, chunks], capture_output=True, text=True, timeout=60
    )
    if done.returncode:
        raise Refused(done.stderr.strip())
    return target
