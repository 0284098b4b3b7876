"""What the tests assert of a path, each in one place."""

import errno
import json
import os
import stat

import numpy as np

import oracle

ENCODINGS = ["", ".npy", ".raw"]


def read(path):
    """A file's bytes, asked for until there are no more."""
    with open(path, "rb", buffering=0) as file:
        return file.read()


def assert_same_bytes(got, expected, where):
    """Equal bytes, or a failure that says where they part instead of showing them all."""
    if got == expected:
        return
    at = next((i for i, (x, y) in enumerate(zip(got, expected)) if x != y), min(len(got), len(expected)))
    near = slice(max(at - 8, 0), at + 56)
    raise AssertionError(
        f"{where}: {len(got)} bytes where {len(expected)} are expected, first different at {at}:\n"
        f"  got      {got[near]!r}\n  expected {expected[near]!r}"
    )


def assert_file(path, expected):
    """A regular file of exactly these bytes, whose attributes say so beforehand."""
    status = os.stat(path)
    assert stat.S_ISREG(status.st_mode), f"{path} is no regular file"
    assert status.st_size == len(expected), f"{path}: st_size {status.st_size}, not {len(expected)}"
    blocks = -(-len(expected) // 512)
    assert status.st_blocks == blocks, f"{path}: st_blocks {status.st_blocks}, not {blocks}"
    assert_same_bytes(read(path), expected, path)


def assert_encodings(mount, chain):
    """Both encodings of a view, to the byte."""
    assert_file(mount / chain.npy, oracle.npy(chain.view))
    assert_file(mount / chain.raw, oracle.raw(chain.view))


def load(path, mmap_mode=None):
    """np.load, which for the longest headers must be told that they are meant."""
    return np.load(path, mmap_mode=mmap_mode, max_header_size=1 << 20)


def assert_array(got, expected, where):
    """Equal shape, dtype and items."""
    assert got.shape == expected.shape, f"{where}: shape {got.shape}, not {expected.shape}"
    assert got.dtype == expected.dtype, f"{where}: dtype {got.dtype}, not {expected.dtype}"
    assert_same_bytes(oracle.raw(got), oracle.raw(expected), where)


def assert_served(mount, chain):
    """The whole promise of a path: its encodings, and what np.load makes of them."""
    assert_encodings(mount, chain)
    path = mount / chain.npy
    assert_array(load(path), chain.view, path)
    assert_directory(mount / chain.path)


def assert_directory(path):
    assert stat.S_ISDIR(os.stat(path).st_mode), f"{path} is no directory"


def error_of(action, *arguments):
    """The errno of something that must fail."""
    try:
        action(*arguments)
    except OSError as error:
        return error.errno
    raise AssertionError(f"{action.__name__}{arguments} succeeded")


def attempted(action, *arguments):
    """What an action returns, or the name of its errno."""
    try:
        return action(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]


def refused(action, *arguments):
    """The name of the errno of something that must fail."""
    return errno.errorcode[error_of(action, *arguments)]


def snapshot(directory):
    """All that there is to a tree, except the times of access."""
    for folder, folders, files in sorted(os.walk(directory)):
        for path in [folder, *(os.path.join(folder, name) for name in sorted(folders + files))]:
            found = os.lstat(path)
            content = read(path) if stat.S_ISREG(found.st_mode) else None
            link = os.readlink(path) if stat.S_ISLNK(found.st_mode) else None
            xattrs = os.listxattr(path, follow_symlinks=False)
            attributes = found.st_mode, found.st_uid, found.st_nlink, found.st_mtime_ns, found.st_ctime_ns
            yield path, attributes, xattrs, content, link


def assert_absent(path, encodings=ENCODINGS):
    """No file of that name, in any encoding, and no directory."""
    for encoding in encodings:
        name = f"{path}{encoding}"
        code = error_of(os.lstat, name)
        assert code == errno.ENOENT, f"{name}: {errno.errorcode[code]}, not ENOENT"


def descr_of(value):
    """A descr as NumPy takes it, from header.json, where every tuple became a list."""
    if isinstance(value, str):
        return value
    if _is_subarray(*value):
        return descr_of(value[0]), tuple(value[1])
    return [_field_of(*field) for field in value]


def _is_subarray(*parts):
    """A base and a shape, where fields would be a list of lists that begin with a name."""
    return len(parts) == 2 and all(isinstance(n, int) for n in parts[1])


def _field_of(name, descr, *shape):
    titled = tuple(name) if isinstance(name, list) else name
    return (titled, descr_of(descr), *map(tuple, shape))


def mapped(header, blob):
    """The array that a header describes, laid over the backing file's bytes."""
    dtype = np.lib.format.descr_to_dtype(descr_of(header["descr"]))
    shape = tuple(header["shape"])
    if header["nbytes"] == 0:
        return np.ndarray(shape, dtype, b"")
    meant = [step if n > 1 else 0 for step, n in zip(header["strides"], shape)]
    return np.ndarray(shape, dtype, blob, header["offset"], meant)


def assert_header(mount, chain, sample, source=None, member=None):
    """Everything that header.json says, the mapping and the expression included."""
    path = mount / chain.path / "header.json"
    header = json.loads(read(path))
    for key, value in oracle.described(chain.view).items():
        assert header[key] == value, f"{path}: {key} is {header[key]}, not {value}"
    if not chain.view.dtype.names:
        assert not header.get("fields"), f"{path}: fields where there are none"
    assert header["source"] == (source or f"{sample.name}.npy"), path
    assert header.get("member") == member, path
    assert header["format_version"] == list(sample.version), path
    assert len(header["strides"]) == chain.view.ndim, path
    assert_array(mapped(header, sample.blob), chain.view, f"{path}, mapped")
    assert_expression(header["expression"], chain, sample, path)


def assert_expression(text, chain, sample, where):
    """The expression makes the view in plain Python, given nothing but `a`.

    An array like any, where no axis is left as well: a scalar would have another
    byte order, and a string no longer its width.
    """
    where = f"{where}: {text}"
    try:
        value = eval(text, {"__builtins__": {}}, {"a": sample.array})
    except Exception as error:
        raise AssertionError(f"{where}: {error}") from error
    assert isinstance(value, np.ndarray), f"{where}: a {type(value).__name__}, not an array"
    assert_array(value, chain.view, where)
