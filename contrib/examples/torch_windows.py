"""A PyTorch DataLoader over windows that overlap: each sample is a file of the mount.

    python torch_windows.py
"""

import contextlib
import os
import subprocess
import tempfile

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

NPYFS = os.environ.get("NPYFS", "npyfs")
SIZE, STEP = 64, 16


@contextlib.contextmanager
def mounted(source, mountpoint, *options):
    subprocess.run([NPYFS, "mount", *options, source, mountpoint], check=True)
    try:
        yield mountpoint
    finally:
        subprocess.run([NPYFS, "umount", mountpoint], check=True)


class Windows(Dataset):
    """The windows of an array, by their place in it."""

    def __init__(self, directory):
        # Sorted by name they are in the array's order.
        self.paths = [f"{directory}/{name}" for name in sorted(os.listdir(directory))]

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, k):
        return k, torch.from_numpy(np.load(self.paths[k]))


def main():
    with tempfile.TemporaryDirectory() as directory:
        source, mountpoint = f"{directory}/data", f"{directory}/mnt"
        os.mkdir(source)
        array = np.random.default_rng(1).random((20_000, 8), "f4")
        np.save(f"{source}/series.npy", array)
        with mounted(source, mountpoint):
            windows = Windows(f"{mountpoint}/series/windows/{SIZE},{STEP}")
            loader = DataLoader(windows, batch_size=32, shuffle=True, num_workers=2)
            seen = 0
            for places, batch in loader:
                expected = np.stack([array[k * STEP : k * STEP + SIZE] for k in places])
                assert np.array_equal(batch.numpy(), expected)
                seen += len(batch)
        assert seen == len(windows) == (len(array) - SIZE) // STEP + 1
        print(f"{seen} windows of {SIZE} rows in batches of 32, shuffled: all are equal to NumPy's")


if __name__ == "__main__":
    main()
