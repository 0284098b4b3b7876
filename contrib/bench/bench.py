"""Runs every case and writes the table and the plot; to be called by `run`, which sets up its needs."""

import argparse
import os
import platform
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path

for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # settings for other programs, which slow NumPy
    os.environ.pop(name, None)

import cases  # noqa: E402
import chunks  # noqa: E402
import loader  # noqa: E402
import report  # noqa: E402
import shards  # noqa: E402
import slow  # noqa: E402
import stage  # noqa: E402
import staging  # noqa: E402
import writers  # noqa: E402
from rounds import warm_memory  # noqa: E402

HERE = Path(__file__).resolve().parent


def package(name):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True)
    return f"{name} {done.stdout or 'of unknown version'}"


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if "model name" in line), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    virtual = " (virtual)" if "hypervisor" in Path("/proc/cpuinfo").read_text() else ""
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "zarr", "tensorstore", "dask", "h5py", "ratarmount"))
    return (
        f"{os.cpu_count()} cores of {cpu}{virtual}, {memory:.0f} GiB, Linux {platform.release()}; "
        f"Python {platform.python_version()}, {packages}, {package('bindfs')}, {package('squashfuse')}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="only check that everything runs")
    parser.add_argument("--only", metavar="CASE", help="only these cases, and nothing is written")
    args = parser.parse_args()
    results, notes = [], []

    def say(note):
        notes.append(note)
        print("-", note, flush=True)

    def wanted(case):
        return not args.only or case.__name__ in args.only.split(",")

    with tempfile.TemporaryDirectory(prefix="npyfs-bench-") as directory:
        data = stage.Data(Path(directory), args.tiny)
        with stage.everything(data) as mounts:
            for case in (
                cases.cold, cases.whole_file, cases.large_rows, staging.staged, cases.small_rows, cases.many_readers,
                loader.data_loader,
                cases.strided, slow.slow_source, chunks.zarr_reads, chunks.chunk_bytes, chunks.dask_sum,
                chunks.zarr_group, cases.members, cases.sizes, shards.joined, cases.directories, cases.memory,
                writers.writing,
            ):  # fmt: skip
                if not wanted(case):
                    continue
                warm_memory(1 << 20 if args.tiny else 4 << 30)
                takes_notes = "say" in case.__code__.co_varnames
                for result in case(data, mounts, *[say] * takes_notes):
                    results.append(result)
                    print(report.table([result]).split("\n", 2)[2], flush=True)
    text = f"{machine()}.\n\n{report.table(results)}\n\n" + "".join(f"- {note}\n" for note in notes)
    if not args.tiny and not args.only:
        header = (HERE / "results.md.in").read_text()
        (HERE / "results.md").write_text(header + text)
        report.plot(results, HERE / "results.svg")
    elif args.tiny:
        report.plot(results, os.devnull)


if __name__ == "__main__":
    main()
