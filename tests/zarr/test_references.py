"""References as fsspec, zarr-python and VirtualiZarr read them: over HTTP, with nothing mounted."""

import json
import os
import resource
import subprocess

import fsspec
import numpy as np
import obstore
import pytest
import virtualizarr
import xarray
import zarr
from obspec_utils.registry import ObjectStoreRegistry
from virtualizarr.manifests import ChunkManifest, ManifestArray, ManifestGroup, ManifestStore
from virtualizarr.parsers import KerchunkJSONParser
from zarr.core.metadata.v3 import ArrayV3Metadata

import corpus
import dtypes
import mounting
from expected import assert_same, v2_holds, v3_holds
from range_server import serving


def references(source, *options):
    """What `npyfs refs` prints, and what it says of files that it leaves out."""
    done = mounting.run(mounting.program(), "refs", source, *map(str, options), check=False)
    parsed = json.loads(done.stdout)
    assert parsed["version"] == 1
    assert done.returncode == (1 if done.stderr else 0), done.stderr
    return parsed["refs"], done.stderr


def store(refs):
    is_local = not any(isinstance(value, list) and value[0].startswith("http") for value in refs.values())
    remote = {} if is_local else {"remote_protocol": "http", "remote_options": {"asynchronous": True}}
    filesystem = fsspec.filesystem(
        "reference",
        fo={"version": 1, "refs": refs},
        asynchronous=True,
        skip_instance_cache=True,
        **remote,
    )
    return zarr.storage.FsspecStore(filesystem, read_only=True)


def open_array(refs):
    return zarr.open_array(store(refs), mode="r", zarr_format=3)


def open_group(refs):
    return zarr.open_group(store(refs), mode="r", zarr_format=3)


def save(directory, samples):
    directory.mkdir(parents=True, exist_ok=True)
    for sample in samples:
        (directory / f"{sample.name}.npy").write_bytes(sample.blob)
    return directory


def inline(refs):
    """The keys of the chunks that are written out."""
    return [key for key, value in refs.items() if isinstance(value, str) and value.startswith("base64:")]


def test_every_dtype_and_order_over_http(tmp_path):
    # A prime number of rows, so that the last chunk is often written out.
    samples = [
        corpus.sample(f"{number}-{order}", (127, 3) if order == "C" else (3, 127), dtype, order)
        for number, dtype in enumerate(dtypes.ALL.values())
        for order in "CF"
    ]
    with serving(save(tmp_path / "data", samples)) as server:
        refs, said = references(tmp_path / "data", "--url", server.url, "--chunk-bytes", 300)
        group = open_group(refs)
        for sample in samples:
            if v3_holds(sample.array.dtype):
                assert_same(group[sample.name][...], sample.array, sample.name)
                assert len(inline({k: v for k, v in refs.items() if k.startswith(sample.name + "/")})) <= 1
            else:
                assert sample.name not in group
                assert f"/{sample.name}.npy: " in said
    assert len(list(group.members())) > 100 and len(inline(refs)) > 30
    assert said.splitlines()[-1].endswith("files and directories are left out")


@pytest.mark.parametrize("chunk_bytes", [1, 12, 40, 4096])
def test_every_shape_over_http(tmp_path, chunk_bytes):
    samples = [s for s in corpus.every_shape() if v3_holds(s.array.dtype)]
    with serving(save(tmp_path / "data", samples)) as server:
        refs, said = references(tmp_path / "data", "--url", server.url, "--chunk-bytes", chunk_bytes)
        group = open_group(refs)
        for sample in samples:
            assert_same(group[sample.name][...], sample.array, sample.name)
    assert not said and len(samples) == 2 * len(corpus.SHAPES)


@pytest.mark.parametrize("seed", range(60))
def test_random_arrays_and_chunks(tmp_path, seed):
    rng = np.random.default_rng([19, seed])
    shape = tuple(rng.integers(1, 40, rng.integers(1, 4)))
    dtype = rng.choice([name for name in dtypes.PLAIN if v3_holds(dtypes.PLAIN[name])])
    sample = corpus.sample("x", shape, dtypes.PLAIN[dtype], rng.choice(["C", "F"]), tail=b"more")
    path = save(tmp_path, [sample]) / "x.npy"
    refs, _ = references(path, "--chunk-bytes", int(rng.integers(1, sample.array.nbytes + 99)))
    assert_same(open_array(refs)[...], sample.array, path)
    # No range ends after the array, where there may be other bytes, or none.
    end = sample.offset + sample.array.nbytes
    assert all(start + len <= end for _, start, len in (v for v in refs.values() if isinstance(v, list)))
    assert len(inline(refs)) <= 1


def test_nothing_is_written_out_where_the_rows_of_a_chunk_divide_the_array(tmp_path):
    for order in "CF":
        path = save(tmp_path, [corpus.sample(order, (1000, 1000), "<f4", order)]) / f"{order}.npy"
        refs, _ = references(path, "--chunk-bytes", "120K")
        shape = [25, 1000] if order == "C" else [1000, 25]
        assert json.loads(refs["zarr.json"])["chunk_grid"]["configuration"]["chunk_shape"] == shape
        assert not inline(refs)


def test_two_rows_ask_for_one_chunk_and_nothing_else(tmp_path):
    sample = corpus.sample("x", (1000, 100), "<f8")
    save(tmp_path, [sample])
    with serving(tmp_path) as server:
        refs, _ = references(tmp_path / "x.npy", "--url", server.url, "--chunk-bytes", "80000")
        assert_same(open_array(refs)[530:532], sample.array[530:532], "two rows")
        assert server.served == [("/x.npy", sample.offset + 5 * 80000, 80000)]


# What a URL has to escape, and what a shell, a path or JSON might.
NAMES = ["plain", "with space", "50%", "50%25", "a#b", "a?b=c&d", "é", "日本", "a+b", "q\"'", "{{u}}", "a:b", "\u202e"]


def test_arrays_of_any_name_in_directories_of_any_name(tmp_path):
    for name in NAMES:
        save(tmp_path / "data" / name / "deep", [corpus.sample(name, (5, 4), "<i4")])
    expected = corpus.sample("", (5, 4), "<i4").array
    with serving(tmp_path / "data") as server:
        for options in [], ["--url", server.url], ["--url", server.url + "/"]:
            refs, said = references(tmp_path / "data", *options)
            assert not said
            group = open_group(refs)
            for name in NAMES:
                assert_same(group[f"{name}/deep/{name}"][...], expected, name)
    members = {name for name, _ in group.members(max_depth=None)}
    assert members == {path for name in NAMES for path in (name, f"{name}/deep", f"{name}/deep/{name}")}


def test_what_zarr_cannot_name_is_left_out(tmp_path):
    bad = ["__reserved/x.npy", "...d/y.npy", os.fsdecode(b"\xff.npy"), "broken.npy", "out.npy"]
    good = ["a/x.npy", "x.npy", "x/inside.npy"]
    for name in bad + good:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.save(tmp_path / name, np.arange(3))
    (tmp_path / "broken.npy").write_text("no array")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no array")
    (tmp_path / "...d").rename(tmp_path / "...")
    (tmp_path / "out.npy").unlink()
    (tmp_path / "out.npy").symlink_to("nowhere")
    refs, said = references(tmp_path)
    groups = {key.removesuffix("/zarr.json") for key in refs if key.endswith("/zarr.json")}
    # An array gives its name way to a directory, as in a mount.
    assert groups == {"a", "a/x", "x.npy.d", "x", "x/inside"}
    *lines, last = said.splitlines()
    assert len(lines) == 4 and last.endswith(": 4 files and directories are left out")
    for name in "__reserved/x.npy", ".../y.npy", r"\xff.npy", "broken.npy":
        assert any(f"{name}: " in line and line.endswith("; left out") for line in lines), (name, said)


def test_the_axes_are_named_so_that_no_two_arrays_share_one(tmp_path):
    save(tmp_path, [corpus.sample("a", (2, 3), "<i4"), corpus.sample("a_1", (4,), "<i4")])
    group = open_group(references(tmp_path)[0])
    assert group["a"].metadata.dimension_names == ("a_0", "a_1")
    assert group["a_1"].metadata.dimension_names == ("a_1_0",)


SELECTIONS = {
    "rows/3-8": lambda a: a[3:8],
    "rows/7": lambda a: a[7],
    "cols/2-9": lambda a: a[:, 2:9],
    "slice/::-3,4:8": lambda a: a[::-3, 4:8],
    "slice/1:9,::2": lambda a: a[1:9, ::2],
    "T": lambda a: a.T,
    "T/cols/1-5.npy": lambda a: a.T[:, 1:5],
    "parts/3/1": lambda a: np.array_split(a, 3)[1],
}


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("path", SELECTIONS)
def test_a_path_inside_an_array_is_that_selection(tmp_path, path, order):
    sample = corpus.sample("x", (11, 9, 2), "<i4", order)
    expected = SELECTIONS[path](sample.array)
    save(tmp_path, [sample])
    for chunk_bytes in 24, 40, 1 << 20:
        refs, _ = references(tmp_path / "x" / path, "--chunk-bytes", chunk_bytes)
        assert_same(open_array(refs)[...], expected, f"{path} {chunk_bytes}")
        end = sample.offset + sample.array.nbytes
        assert all(start + len <= end for _, start, len in (v for v in refs.values() if isinstance(v, list)))


def test_a_field_is_read_item_by_item(tmp_path):
    sample = corpus.sample("iq", (20, 3), dtypes.ALL["ri"])
    save(tmp_path, [sample])
    with serving(tmp_path) as server:
        refs, _ = references(tmp_path / "iq/fields/i", "--url", server.url)
        array = open_array(refs)
        assert_same(array[...], sample.array["i"], "fields/i")
        assert array.chunks == (1, 1) and array.metadata.dimension_names == ("iq['i']_0", "iq['i']_1")


def test_a_selection_in_too_many_pieces_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((65537, 2), "u1"))
    done = mounting.run(mounting.program(), "refs", tmp_path / "x/cols/1", check=False)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith(f"npyfs: {tmp_path}/x/cols/1: its elements lie in 65537 pieces of the file, and ")
    refs, _ = references(tmp_path / "x/rows/1-65537/cols/1")
    assert len(refs) == 1 + 65536


def test_an_array_of_an_archive_is_ranges_of_the_archive(tmp_path):
    arrays = {"a": np.arange(3000).reshape(100, 30), "sub/b": np.arange(9.0)}
    np.savez(tmp_path / "x.npz", **arrays)
    with serving(tmp_path) as server:
        options = ["--url", server.url, "--chunk-bytes", 4800]
        for path, expected in [("a", arrays["a"]), ("sub/b.npy", arrays["sub/b"]), ("a/rows/30-50", arrays["a"][30:50])]:
            refs, _ = references(tmp_path / "x" / path, *options)
            assert_same(open_array(refs)[...], expected, path)
        assert {path for path, _, _ in server.served} == {"/x.npz"}


def test_what_no_reference_can_say_is_refused_with_the_way_out(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.arange(3))
    np.savez_compressed(tmp_path / "packed.npz", a=np.arange(3))
    for name in "01":
        (tmp_path / "run").mkdir(exist_ok=True)
        np.save(tmp_path / f"run/{name}.npy", np.arange(3))
    for path, why in [
        ("x.npz", "an archive; give one of its arrays: X/weights is the array called weights in X.npz"),
        ("x", "an archive; give one of its arrays: X/weights is the array called weights in X.npz"),
        ("packed/a", "the member is compressed; np.savez does not compress"),
        ("run/concat", "many files as one array, and a reference is to one file; give a file, or the directory"),
        ("run/stack/rows/0", "many files as one array, and a reference is to one file; give a file, or the directory"),
        ("run/0.zarr", "give the array, without .zarr and chunks/…; --chunk-bytes says how large its chunks are"),
        ("run/0/chunks/2.zarr", "give the array, without .zarr and chunks/…; --chunk-bytes says how large its chunks are"),
    ]:
        done = mounting.run(mounting.program(), "refs", tmp_path / path, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", f"npyfs: {tmp_path}/{path}: {why}\n")


def test_a_path_in_a_mount_is_the_source_s_unless_something_else_is_there(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    np.save(source / "x.npy", np.arange(24).reshape(4, 6))
    np.savez(source / "z.npz", a=np.arange(9))
    paths = [".", "x.npy", "x/rows/1-3", "z/a"]
    with mounting.Mount(source, tmp_path / "mount") as mount:
        for path in paths:
            assert references(mount / path) == references(source / path), path
        source.rename(tmp_path / "old")
        mounting.run("cp", "--recursive", tmp_path / "old", source)
        for path in paths:
            done = mounting.run(mounting.program(), "refs", mount / path, check=False)
            why = "where its file is on this machine is not known"
            assert (done.returncode, done.stdout, done.stderr) == (1, "", f"npyfs: {mount / path}: {why}\n")


def stores(server):
    """Where VirtualiZarr finds files, and what a web server has."""
    over_http = obstore.store.HTTPStore(server.url, client_options={"allow_http": True})
    return ObjectStoreRegistry({"file://": obstore.store.LocalStore(), server.url: over_http})


def by_virtualizarr(directory, server, *options, skip=()):
    """References by v2, which its parser reads, as a store of Zarr."""
    refs, said = references(directory, "--url", server.url, "--zarr-format", "2", *options)
    (directory / "refs.json").write_text(json.dumps({"version": 1, "refs": refs}))
    parser = KerchunkJSONParser(skip_variables=skip)
    return parser(f"file://{directory}/refs.json", stores(server)), said


def test_virtualizarr_reads_what_its_parser_knows_over_http(tmp_path):
    known = [dtype for dtype in dtypes.ALL.values() if v3_holds(dtype) and dtype.kind in "biufc"]
    samples = [
        corpus.sample(f"{number}-{order}-{place}", shape, dtype, order)
        for number, dtype in enumerate(known)
        for order in "CF"
        for place, shape in enumerate([(60, 6), (5, 1, 24), (1, 4, 5), (30,)])
    ]
    save(tmp_path, samples)
    assert len(known) > 10
    with serving(tmp_path) as server:
        store, said = by_virtualizarr(tmp_path, server, "--chunk-bytes", 1440)
        group = zarr.open_group(store, mode="r", zarr_format=3)
        for sample in samples:
            assert_same(group[sample.name][...], sample.array, sample.name)
    assert not said and {path for path, _, _ in server.served} == {f"/{sample.name}.npy" for sample in samples}


def test_virtualizarr_makes_one_dataset_of_several_files(tmp_path):
    samples = [corpus.sample(name, (40, 30), "<f4") for name in ("a", "b")]
    save(tmp_path, samples)
    with serving(tmp_path) as server:
        references(tmp_path)
        by_virtualizarr(tmp_path, server)
        registry, parser = stores(server), KerchunkJSONParser()
        with virtualizarr.open_virtual_dataset(f"file://{tmp_path}/refs.json", registry, parser) as virtual:
            assert not server.served
            assert virtual["b"].shape == (40, 30)
        loaded = xarray.open_zarr(parser(f"file://{tmp_path}/refs.json", registry), consolidated=False)
        assert_same(loaded["b"][7:9].values, samples[1].array[7:9], "two rows")


def test_virtualizarr_refuses_a_chunk_that_is_written_out(tmp_path):
    save(tmp_path, [corpus.sample("x", (127, 3), "<f8")])
    with serving(tmp_path) as server:
        with pytest.raises(NotImplementedError, match="inlined"):
            by_virtualizarr(tmp_path, server, "--chunk-bytes", 300)


def test_virtualizarr_reads_v3_by_a_manifest_over_http(tmp_path):
    samples = [corpus.sample(order, (100, 30), ">f4", order) for order in "CF"]
    save(tmp_path, samples)

    def array(name):
        chunks = {k.removeprefix(f"{name}/c/"): v for k, v in refs.items() if k.startswith(f"{name}/c/")}
        entries = {
            key.replace("/", "."): dict(zip(("path", "offset", "length"), value))
            for key, value in chunks.items()
        }
        metadata = ArrayV3Metadata.from_dict(json.loads(refs[f"{name}/zarr.json"]))
        return ManifestArray(metadata=metadata, chunkmanifest=ChunkManifest(entries))

    with serving(tmp_path) as server:
        refs, _ = references(tmp_path, "--url", server.url, "--chunk-bytes", 1200)
        arrays = {sample.name: array(sample.name) for sample in samples}
        group = zarr.open_group(ManifestStore(ManifestGroup(arrays=arrays), registry=stores(server)), mode="r", zarr_format=3)
        for sample in samples:
            assert_same(group[sample.name][...], sample.array, sample.name)


def test_every_dtype_and_order_by_v2_over_http(tmp_path):
    samples = [
        corpus.sample(f"{number}-{order}", (127, 3), dtype, order)
        for number, dtype in enumerate(dtypes.ALL.values())
        for order in "CF"
    ]
    with serving(save(tmp_path / "data", samples)) as server:
        options = "--url", server.url, "--chunk-bytes", 600, "--zarr-format", 2
        refs, said = references(tmp_path / "data", *options)
        group = zarr.open_group(store(refs), mode="r", zarr_format=2)
        for sample in samples:
            assert (f"{sample.name}/.zarray" in refs) == v2_holds(sample.array.dtype), sample.name
            assert (f"/{sample.name}.npy: " in said) != v2_holds(sample.array.dtype), sample.name
            if v3_holds(sample.array.dtype) and not has_nested_records(sample.array.dtype):
                assert_same(group[sample.name][...], sample.array, sample.name)


def has_nested_records(dtype):
    """Which zarr-python 3.1 does not read by v2."""
    return any(dtype.fields[name][0].names for name in dtype.names or ())


def test_xarray_reads_v2_by_its_engine_for_kerchunk(tmp_path):
    samples = [corpus.sample(order, (100, 30), ">f4", order) for order in "CF"]
    save(tmp_path, samples)
    with serving(tmp_path) as server:
        refs, _ = references(tmp_path, "--url", server.url, "--chunk-bytes", 1000, "--zarr-format", 2)
        (tmp_path / "refs.json").write_text(json.dumps({"version": 1, "refs": refs}))
        dataset = xarray.open_dataset(str(tmp_path / "refs.json"), engine="kerchunk")
        for sample in samples:
            assert_same(dataset[sample.name].values, sample.array, sample.name)


def test_a_terabyte_takes_no_memory(tmp_path):
    path = tmp_path / "big.npy"
    shape = (1 << 27, 1 << 10)
    with path.open("wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        offset = file.tell()
        file.truncate(offset + (1 << 40))
    with (tmp_path / "refs.json").open("wb") as out:
        command = [mounting.program(), "refs", path]
        limit = lambda: resource.setrlimit(resource.RLIMIT_DATA, (32 << 20, 32 << 20))
        subprocess.run(command, stdout=out, check=True, timeout=60, preexec_fn=limit)
    refs = json.loads((tmp_path / "refs.json").read_text())["refs"]
    assert len(refs) == 1 + (1 << 18)
    assert refs["c/262143/0"][1:] == [offset + (1 << 40) - (4 << 20), 4 << 20]
