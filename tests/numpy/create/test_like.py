"""npyfs create --like: what is not given is as it is in another array."""

import numpy as np

import oracle
from checks import assert_same_bytes, read
from mounting import program, run


def test_an_array_is_made_like_another(tmp_path, everything):
    like = tmp_path / "like.npy"
    for array in [np.ones((3, 4), ">f4", order="F"), np.ones(5, [("a", "<i2"), ("b", "S3", (2,))]), np.ones((), "M8[D]")]:
        np.save(like, array)
        create_like(tmp_path, like, (), array.shape, array.dtype, "F" if array.ndim == 2 else "C")
    np.save(like, np.ones((3, 4), ">f4", order="F"))
    create_like(tmp_path, like, ("--shape=7,8",), (7, 8), ">f4", "F")
    create_like(tmp_path, like, ("--dtype=i2",), (3, 4), "<i2", "F")
    create_like(tmp_path, like, ("--order=C",), (3, 4), ">f4", "C")
    # A slice in a mount is an array too.
    name, sample = next((n, s) for n, s in everything.samples.items() if s.array.ndim == 2 and len(s.array) > 2)
    create_like(tmp_path, everything / f"{name}/rows/0-2.npy", ("--order=C",), (2, sample.array.shape[1]), sample.array.dtype, "C")


def create_like(directory, like, options, shape, dtype, order):
    path = directory / "new.npy"
    run(program(), "create", path, "--like", like, *options)
    assert_same_bytes(read(path), oracle.saved(np.zeros(shape, dtype, order)), (like, options))
    path.unlink()


def test_what_is_like_no_array_is_refused(tmp_path):
    (tmp_path / "bad.npy").write_bytes(b"no array")
    np.save(tmp_path / "objects.npy", np.array([None]), allow_pickle=True)
    for like, why in [
        ("missing.npy", "the header cannot be read: No such file or directory"),
        ("bad.npy", "not a .npy file"),
        ("objects.npy", "Python objects are pickled"),
    ]:
        done = run(program(), "create", tmp_path / "x.npy", "--like", tmp_path / like, check=False)
        assert done.returncode == 1 and why in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 1
    done = run(program(), "create", tmp_path / "x.npy", "--dtype=f8", check=False)
    assert done.returncode == 2 and "--shape" in done.stderr
    assert not (tmp_path / "x.npy").exists()
