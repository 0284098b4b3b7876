"""The oracle: what a path under the mount must yield, by NumPy's own word.

A `Chain` is a path and the view that the path stands for, grown together one
selector at a time. The second half says what bytes each encoding of a view has.
"""

import io
import re
from dataclasses import dataclass, field

import numpy as np

import dtypes

_NUMBER = r"(?:0|-?[1-9][0-9]*)"
_ITEM = rf"(?:{_NUMBER}|(?:{_NUMBER})?:(?:{_NUMBER})?(?::(?:{_NUMBER})?)?|\.\.\.|None)"
_SLICE = re.compile(rf"{_ITEM}(?:,{_ITEM})*", re.ASCII)


def index_of(text):
    """The index that a slice name spells, or None where it is no spelling of one."""
    if not _SLICE.fullmatch(text):
        return None
    index = eval(f"np.s_[{text}]", {"__builtins__": {}, "np": np})
    return index if isinstance(index, tuple) else (index,)


def take(array, index):
    """a[index], but an array where NumPy would hand out a scalar."""
    return array[index] if Ellipsis in index else array[(*index, Ellipsis)]


def sliced(array, text):
    """The view that slice/<text> yields, or None where there is no such path."""
    index = index_of(text)
    if index is None:
        return None
    try:
        return take(array, index)
    except (IndexError, ValueError, OverflowError):
        return None


def escaped(name):
    """A field's name as part of a path."""
    if name == "":
        return "%"
    return re.sub(r"[./%\0]", lambda found: f"%{ord(found[0]):02X}", name)


@dataclass(frozen=True)
class Chain:
    """A path below the mount, without an encoding, and the array it must yield."""

    path: str
    view: np.ndarray = field(repr=False)

    @property
    def npy(self):
        return self.path + ".npy"

    @property
    def raw(self):
        return self.path + ".raw"

    def _then(self, selector, view):
        return Chain(f"{self.path}/{selector}", view)

    def axis(self, k, start, stop=None, directory=None):
        """One index, or a half-open range, on axis k counted from either end."""
        before = (slice(None),) * (k % self.view.ndim)
        chosen = start if stop is None else slice(start, stop)
        name = f"{start}" if stop is None else f"{start}-{stop}"
        directory = directory or f"axis{k}"
        return self._then(f"{directory}/{name}", take(self.view, (*before, chosen)))

    def rows(self, start, stop=None):
        return self.axis(0, start, stop, "rows")

    def cols(self, start, stop=None):
        return self.axis(1, start, stop, "cols")

    def slice(self, text):
        view = sliced(self.view, text)
        assert view is not None, f"the test asks for slice/{text}, which NumPy rejects"
        return self._then(f"slice/{text}", view)

    def part(self, i, of):
        return self._then(f"parts/{of}/{i}", np.array_split(self.view, of)[i])

    def window(self, k, size, step):
        whole = range(0, len(self.view) - size + 1, step)
        return self._then(f"windows/{size},{step}/{k}", self.view[whole[k] :][:size])

    def chunk(self, shape, place):
        """The chunk at a place, one number for each axis, of a shape that may be larger than the array."""
        ranges = (slice(i * min(n, m), (i + 1) * min(n, m)) for i, n, m in zip(place, shape, self.view.shape))
        name = f"{','.join(map(str, shape))}/{','.join(map(str, place))}"
        return self._then(f"chunks/{name}", self.view[tuple(ranges)])

    def field(self, name):
        return self._then(f"fields/{escaped(name)}", self.view[name])

    def real(self):
        return self._then("fields/real", self.view.real)

    def imag(self):
        return self._then("fields/imag", self.view.imag)

    def transposed(self):
        return self._then("T", self.view.T)


def items(view):
    """The same view over opaque items, so that copies keep every byte of each.

    NumPy copies records field by field and leaves their padding to chance.
    """
    return view.view(f"V{view.dtype.itemsize}")


def raw(view):
    """The items in C order."""
    return items(view).tobytes("C") if view.nbytes else b""


def npy(view):
    """What np.save writes for a copy of the view in K order, with the two exceptions.

    The header is NumPy's own. The data are too, unless the items are records with
    padding: then they are the items of the same K-order copy made of opaque bytes.
    """
    header = npy_header(view)
    if view.nbytes == 0:
        return header
    data = items(view).copy(order="K").tobytes("A")
    if dtypes.padding(view.dtype) == 0:
        assert header + data == saved(view.copy(order="K")), "the oracle contradicts itself"
    return header + data


def npy_header(view):
    """The header alone.

    Copies of empty items get items of one character; that one is taken back in
    the text, where it is one digit, so that the rest stays NumPy's word.
    """
    copy = view.copy(order="K")
    whole = saved(copy)
    header = whole[: len(whole) - copy.nbytes]
    if copy.dtype != view.dtype:
        assert view.dtype.itemsize == 0, "the oracle compares with another dtype"
        header = header.replace(copy.dtype.str.encode(), view.dtype.str.encode())
    return header


def fortran_order(view):
    """The design's rule, word for word; the tests hold it against NumPy's headers."""
    strides = [abs(s) for s, n in zip(view.strides, view.shape) if n > 1]
    rising = all(a < b for a, b in zip(strides, strides[1:]))
    return view.size > 0 and len(strides) >= 2 and rising


def saved(array):
    """The bytes of a file that np.save writes."""
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def jsonable(descr):
    """A descr as JSON holds it: every tuple is a list."""
    return [jsonable(part) for part in descr] if isinstance(descr, (list, tuple)) else descr


def described(view):
    """The members of header.json that follow from the view alone."""
    header = {
        "descr": jsonable(np.lib.format.dtype_to_descr(view.dtype)),
        "shape": list(view.shape),
        "ndim": view.ndim,
        "size": view.size,
        "itemsize": view.dtype.itemsize,
        "nbytes": view.nbytes,
        "fortran_order": fortran_order(view),
    }
    if view.dtype.names:
        header["fields"] = {name: _described_field(view.dtype, name) for name in view.dtype.names}
    return header


def _described_field(record, name):
    """A field by its items and the axes it adds, those of sub-arrays of sub-arrays too."""
    field = np.ndarray((), record, bytes(record.itemsize))[name]
    descr = np.lib.format.dtype_to_descr(field.dtype)
    return {"descr": jsonable(descr), "offset": record.fields[name][1], "shape": list(field.shape)}
