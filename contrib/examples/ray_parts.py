"""Ray reads the parts of an array as the blocks of a dataset.

    python ray_parts.py
"""

import contextlib
import os
import subprocess
import tempfile

import numpy as np
import ray

NPYFS = os.environ.get("NPYFS", "npyfs")
PARTS = 16


@contextlib.contextmanager
def mounted(source, mountpoint, *options):
    subprocess.run([NPYFS, "mount", *options, source, mountpoint], check=True)
    try:
        yield mountpoint
    finally:
        subprocess.run([NPYFS, "umount", mountpoint], check=True)


def sums(batch):
    """The sum of each row."""
    return {"sum": batch["data"].sum(axis=1)}


def main():
    with tempfile.TemporaryDirectory() as directory:
        source, mountpoint = f"{directory}/data", f"{directory}/mnt"
        os.mkdir(source)
        array = np.random.default_rng(1).integers(0, 1000, (100_000, 16))
        np.save(f"{source}/readings.npy", array)
        # With this the rows come in the array's order.
        ray.data.DataContext.get_current().execution_options.preserve_order = True
        with mounted(source, mountpoint), ray.init(num_cpus=2, include_dashboard=False, logging_level="warning"):
            dataset = ray.data.read_numpy(f"{mountpoint}/readings/parts/{PARTS}")
            batches = dataset.map_batches(sums).iter_batches(batch_format="numpy")
            rows = np.concatenate([batch["sum"] for batch in batches])
        assert np.array_equal(rows, array.sum(axis=1))
        print(f"the sums of {len(rows)} rows from {PARTS} parts are all equal to NumPy's")


if __name__ == "__main__":
    main()
