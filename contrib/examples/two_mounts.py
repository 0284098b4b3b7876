"""One cluster on two machines, each with a mount of its own of the same source.

    python two_mounts.py [MIB]

The machines are two directories here, and their workers are started in them as `dask worker` would be. On
real machines the mounts have one path, such as /mnt/npy, and the source is on a filesystem that both reach.
"""

import contextlib
import os
import subprocess
import sys
import tempfile

import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster

NPYFS = os.environ.get("NPYFS", "npyfs")
MIB = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
MACHINES = ["one", "two"]

# The array on every machine, in 32 parts along its rows.
PATH = "mnt/readings/parts/32"


@contextlib.contextmanager
def machine(directory, source, scheduler):
    """A mount, and two workers that find it at the path that it has on every machine."""
    os.mkdir(directory)
    subprocess.run([NPYFS, "mount", source, f"{directory}/mnt"], check=True)
    command = f"{sys.executable} -m dask worker --nworkers 2 --nthreads 1 --no-dashboard"
    words = [*command.split(), "--local-directory", directory, scheduler]
    workers = subprocess.Popen(words, cwd=directory, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        workers.terminate()
        workers.wait()
        subprocess.run([NPYFS, "umount", f"{directory}/mnt"], check=True)


def work_of(dask_worker):
    """Where a worker is, and how many tasks it has done."""
    return os.path.basename(os.getcwd()), dask_worker.state.executed_count


def main():
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        source = f"{directory}/data"
        os.mkdir(source)
        rows = (MIB << 20) // (4 * 16)
        np.save(f"{source}/readings.npy", np.random.default_rng(1).integers(0, 1000, (rows, 16), "<i4"))

        cluster = stack.enter_context(LocalCluster(n_workers=0, dashboard_address=":0"))
        for name in MACHINES:
            stack.enter_context(machine(f"{directory}/{name}", source, cluster.scheduler_address))
        client = stack.enter_context(Client(cluster))
        client.wait_for_workers(4, timeout=120)

        os.chdir(f"{directory}/{MACHINES[0]}")
        array = da.from_npy_stack(PATH)
        means, (counts, _) = client.compute(
            (array.mean(axis=0), da.histogram(array, bins=50, range=(0, 1000))), sync=True
        )
        done = list(client.run(work_of).values())
        os.chdir("/")

        plain = np.load(f"{source}/readings.npy", mmap_mode="r")
        assert np.array_equal(means, plain.mean(axis=0))
        assert np.array_equal(counts, np.histogram(plain, bins=50, range=(0, 1000))[0])
        tasks = {name: sum(count for place, count in done if place == name) for name in MACHINES}
        assert all(tasks.values()), tasks
        print(f"tasks done on each machine: {tasks}; means and histogram are equal to NumPy's")


if __name__ == "__main__":
    main()
