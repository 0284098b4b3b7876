"""A Dask cluster makes a spectrogram of a long signal, window by window, and draws it.

    python spectrogram.py [PICTURE]

Each task reads one window by its path. No worker reads the rest of the signal.
"""

import contextlib
import os
import subprocess
import sys
import tempfile

import matplotlib
import numpy as np
from dask.distributed import Client, LocalCluster

matplotlib.use("agg")
import matplotlib.pyplot as plt

NPYFS = os.environ.get("NPYFS", "npyfs")
PICTURE = sys.argv[1] if len(sys.argv) > 1 else "spectrogram.png"
RATE = 4_000  # samples a second
SECONDS = 600
SIZE, STEP = 4_000, 2_000


@contextlib.contextmanager
def mounted(source, mountpoint, *options):
    subprocess.run([NPYFS, "mount", *options, source, mountpoint], check=True)
    try:
        yield mountpoint
    finally:
        subprocess.run([NPYFS, "umount", mountpoint], check=True)


def signal():
    """Two tones that rise and fall, and noise."""
    t = np.arange(RATE * SECONDS) / RATE
    pitch = 600 + 300 * np.sin(2 * np.pi * t / 200)
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / RATE)
    rising = 0.5 * np.sin(2 * np.pi * (200 * t + t**2))
    return (tone + rising + np.random.default_rng(1).normal(0, 1, t.size)).astype("<f4")


def spectrum(samples):
    """The power in each of 100 bands."""
    power = np.abs(np.fft.rfft(samples * np.hanning(SIZE))[: SIZE // 2]) ** 2
    return power.reshape(100, -1).mean(axis=1)


def spectrum_of_file(path):
    return spectrum(np.load(path))


def main():
    with tempfile.TemporaryDirectory() as directory:
        source, mountpoint = f"{directory}/data", f"{directory}/mnt"
        os.mkdir(source)
        samples = signal()
        np.save(f"{source}/signal.npy", samples)
        cluster = LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", local_directory=directory
        )
        with mounted(source, mountpoint), cluster, Client(cluster) as client:
            windows = f"{mountpoint}/signal/windows/{SIZE},{STEP}"
            # Sorted by name they are in the array's order.
            paths = [f"{windows}/{name}" for name in sorted(os.listdir(windows))]
            spectrogram = np.array(client.gather(client.map(spectrum_of_file, paths, batch_size=50)))
    starts = range(0, samples.size - SIZE + 1, STEP)
    assert np.array_equal(spectrogram, [spectrum(samples[k : k + SIZE]) for k in starts])

    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    axes.imshow(
        10 * np.log10(spectrogram.T), origin="lower", aspect="auto", cmap="magma",
        extent=(0, SECONDS, 0, RATE / 2), vmin=36, vmax=58,
    )  # fmt: skip
    axes.set(xlabel="seconds", ylabel="Hz", title=f"signal/windows/{SIZE},{STEP}: {len(paths)} windows")
    figure.savefig(PICTURE, dpi=100)
    print(f"{len(paths)} windows by 2 workers, all equal to NumPy's; the picture is {PICTURE}")


if __name__ == "__main__":
    main()
