"""Files that were made to do harm: what a reader of .npy must survive, refuse or get right.

`python hostile_files.py DIRECTORY` writes them there and prints what NumPy and npyfs make of each.
"""

import os
import pickle
import struct
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

import mounting
from corpus import container, sample

MAGIC = b"\x93NUMPY"

SECRET = b"\xee" * 64
"""What follows the data wherever the file is not cut off; data never have this byte."""

MARKER = Path(tempfile.gettempdir()) / f"npyfs-pickle-{os.getpid()}"
"""Made by whoever executes one of the pickles."""

MAX_HEADER = 1 << 18
"""The longest header that npyfs reads, and that NumPy is asked to."""


def text(descr="'<f4'", fortran_order="False", shape="(3, 4)"):
    return f"{{'descr': {descr}, 'fortran_order': {fortran_order}, 'shape': {shape}, }}"


def whole(header, nbytes=48, version=(1, 0)):
    """A header as it is given, so many bytes of data, and the secret."""
    if version == (1, 0) and len(header) > 0xFFFF:
        version = (2, 0)
    return container(header, version) + bytes(i % 200 for i in range(nbytes)) + SECRET


def _starts():
    """Magic, version and the header's length."""
    plain = whole(text())
    yield "magic-wrong-first", b"\x92" + plain[1:]
    yield "magic-wrong-last", plain[:5] + b"y" + plain[6:]
    yield "magic-twice", MAGIC + plain
    yield "magic-late", b"\0" + plain
    yield "magic-utf8", "\x93NUMPY".encode() + plain[6:]
    yield "zeros", bytes(4096)
    yield "zip-without-members", b"PK\x05\x06" + bytes(18)
    yield "pickle-of-a-call", _pickle()
    for version in [(0, 0), (0, 1), (1, 1), (2, 1), (3, 1), (4, 0), (255, 0), (255, 255), (1, 255)]:
        yield "version-{}-{}".format(*version), MAGIC + bytes(version) + plain[8:]
    for name, length in {"0": 0, "1": 1, "past-the-end": 60000, "the-most": 65535}.items():
        yield f"length-{name}", MAGIC + b"\1\0" + struct.pack("<H", length) + plain[10:]
    for version in (2, 3):
        for name, length in {"2-gib": 1 << 31, "4-gib": (1 << 32) - 1, "256-kib": MAX_HEADER}.items():
            cut = MAGIC + bytes([version, 0]) + struct.pack("<I", length) + plain[10:]
            yield f"length-{name}-v{version}", cut
    size = len(text())
    for more in (-40, -1, 1, 47, 48, 49, 48 + len(SECRET), 49 + len(SECRET)):
        yield f"length-off-by{more:+}", MAGIC + b"\1\0" + struct.pack("<H", size + more) + plain[10:]
    yield "length-big-endian", MAGIC + b"\1\0" + struct.pack(">H", size) + plain[10:]


def _truncations():
    """Every one of a small file; the last lacks a single byte."""
    small = container(text(descr="'<u2'", shape="(2,)")) + b"\1\2\3\4"
    for length in range(len(small)):
        yield f"cut-to-{length:03}", small[:length]
    yield "cut-not", small


def _syntax():
    """Texts that are not the literal they should be, or hardly."""
    plain = text()
    for name, header in {
        "nothing": "",
        "blank": " " * 1000,
        "newlines": "\n" * 1000,
        "indented": "\n  " + plain,
        "tabs-before": "\t \t" + plain,
        "form-feed": "\f" + plain,
        "vertical-tab": "\v" + plain,
        "no-break-space": "\xa0" + plain,
        "byte-order-mark": "\xef\xbb\xbf" + plain,
        "nul-inside": plain.replace(" ", "\0", 1),
        "nul-behind": plain + "\0",
        "nul-in-a-name": text(descr="[('a\0', '<f4')]"),
        "nul-in-a-comment": plain + " # \0",
        "unclosed": plain[:-1],
        "unclosed-string": plain[:-3] + "'",
        "closed-twice": plain + "}",
        "brackets-crossed": text(shape="(3, 4]"),
        "twice": plain + " " + plain,
        "two-lines": plain + "\n" + plain,
        "semicolon": plain + ";",
        "assignment": "a = " + plain,
        "tuple-of-one": plain + ",",
        "in-parentheses": "(((" + plain + ")))",
        "call": "dict(descr='<f4', fortran_order=False, shape=(3, 4))",
        "import": "__import__('os').system('true')",
        "comprehension": "{k: v for k, v in [('descr', '<f4')]}",
        "f-string": text(descr="f'<f4'"),
        "bytes": text(descr="b'<f4'"),
        "double-star": "{**" + plain + "}",
        "backslash-at-the-end": plain + "\\",
        "backslash-alone": plain[:-1] + "\\ }",
        "line-joined": plain.replace(" ", " \\\n", 1),
        "comment-only": "# " + plain,
        "comment-at-the-end": plain + "# no newline",
        "escape-named": text(descr=r"[('\N{BULLET}', '<f4')]"),
        "escape-cut": text(descr=r"[('\x4', '<f4')]"),
        "escape-beyond-unicode": text(descr=r"[('\U00110000', '<f4')]"),
        "none": "None",
        "list": "[" + plain + "]",
        "set": "{'descr', 'fortran_order', 'shape'}",
        "number": "3",
        "names": "{descr: '<f4', fortran_order: False, shape: (3, 4)}",
        "brackets-199": "(" * 199 + plain + ")" * 199,
        "brackets-200": "(" * 200 + plain + ")" * 200,
        "brackets-by-the-thousand": "[" * 250_000,
        "brackets-matched": "(" * 125_000 + ")" * 125_000,
        "braces-by-the-million": "{" * 1_000_000,
        "dicts-nested": "{1:" * 80_000,
        "minus-by-the-thousand": "-" * 250_000 + "1",
        "sum-without-end": "1" + "+1" * 125_000,
        "commas": "(" + "," * 250_000 + ")",
        "brackets-in-a-short-text": "[" * 5000,
        "ones": "(" + "1," * 125_000 + ")",
        "strings-side-by-side": "''" * 125_000,
        "digits": "9" * 250_000,
        "escapes": "'" + "\\x41" * 60_000 + "'",
        "backslashes": "\\\n" * 125_000,
        "comments": "#\n" * 125_000,
        "longest": plain + " " * (MAX_HEADER - len(plain)),
        "too-long": plain + " " * (MAX_HEADER + 1 - len(plain)),
        "long-comment": plain + " #" + "x" * 250_000,
    }.items():
        yield f"text-{name}", whole(header)
    yield "text-bad-utf8", whole(text().encode() + b" # \xff\xfe", version=(3, 0))
    yield "text-cut-utf8", whole(text().encode() + b" # \xe2\x82", version=(3, 0))
    surrogate = text(descr="[('X', '<f4')]").encode().replace(b"X", b"\xed\xa0\x80")
    yield "text-surrogate-utf8", whole(surrogate, version=(3, 0))
    yield "text-overlong-utf8", whole(text().encode() + b" # \xc0\xaf", version=(3, 0))
    yield "text-utf16", whole(text().encode("utf-16"))


def _keys():
    """Keys too many, too few, twice, or such as no dict takes."""
    plain = text()
    for key in ("descr", "fortran_order", "shape"):
        yield f"key-without-{key}", whole(plain.replace(f"'{key}'", "'no'"))
    for name, header in {
        "none-at-all": "{}",
        "extra": plain[:-1] + "'more': 1}",
        "extra-empty": plain[:-1] + "'': 1}",
        "extra-huge": plain[:-1] + "'" + "k" * 250_000 + "': 1}",
        "many": "{" + "".join(f"'{i}': {i}, " for i in range(15_000)) + plain[1:],
        "same-by-the-thousand": "{" + "'shape': (9,), " * 10_000 + plain[1:],
        "twice": plain[:-1] + "'shape': (2, 2)}",
        "twice-broken-last": plain[:-1] + "'shape': None}",
        "twice-broken-first": "{'shape': None, " + plain[1:],
        "bytes": plain.replace("'shape'", "b'shape'"),
        "number": plain[:-1] + "1: 1}",
        "unhashable-list": plain[:-1] + "[]: 1}",
        "unhashable-dict": plain[:-1] + "{}: 1}",
        "unhashable-in-a-tuple": plain[:-1] + "(1, []): 1}",
        "tuple": plain[:-1] + "(1, 2): 1}",
        "none": plain[:-1] + "None: 1}",
        "capital": plain.replace("shape", "Shape"),
        "with-a-blank": plain.replace("'shape'", "'shape '"),
    }.items():
        yield f"key-{name}", whole(header, 16 if name == "twice" else 48)


def _orders():
    for name, order in {
        "0": "0", "1": "1", "none": "None", "text": "'True'", "float": "1.0", "tuple": "(True,)", "list": "[]",
        "lower-case": "true", "and": "True and True", "parentheses": "(True)", "fortran": "True",
    }.items():  # fmt: skip
        yield f"order-{name}", whole(text(fortran_order=order))


def _shapes():
    """Shapes that are none, and those whose sizes overflow something."""
    for name, shape in {
        "list": "[3, 4]", "number": "12", "none": "None", "text": "'34'", "dict": "{3: 4}", "set": "{3, 4}",
        "nested": "((3, 4),)", "nested-list": "([3], 4)", "with-none": "(3, None)", "with-text": "('3', 4)",
        "float": "(3.0, 4)", "float-exponent": "(3e0, 4)", "complex": "(3j, 4)", "true": "(True, 12)",
        "false": "(False, 12)", "only-true": "(True,)", "negative": "(-1,)", "negative-both": "(-3, -4)",
        "negative-and-zero": "(-1, 0)", "minus-one-of-two": "(3, -1)", "least": "(-9223372036854775808,)",
        "minus-zero": "(-0, 4)", "double-minus": "(--3, 4)", "leading-zero": "(03, 4)", "expression": "(3*1, 4)",
        "ellipsis": "(...,)", "long": "(3L, 4l)", "2-to-the-63": "(9223372036854775808,)",
        "2-to-the-64": "(18446744073709551616,)", "2-to-the-64-and-12": "(18446744073709551628,)",
        "wraps-to-zero": "(4294967296, 4294967296)", "wraps-to-12": "(4611686018427387907, 4)",
        "wraps-negative": "(9223372036854775807, 3)", "times-itemsize": "(4611686018427387904,)",
        "largest": "(9223372036854775807,)", "zero-and-too-big": "(0, 9223372036854775807, 9223372036854775807)",
        "digits": f"({'9' * 5000},)", "hex-digits": f"(0x{'f' * 5000},)", "65-axes": f"({'1, ' * 65})",
        "1000-axes": f"({'1, ' * 1000})", "a-petabyte": "(1000000000, 1000000)", "one-too-many": "(13,)",
    }.items():  # fmt: skip
        yield f"shape-{name}", whole(text(shape=shape))[: -len(SECRET)]
    for name, shape, nbytes in (
        ("64-axes", f"({'1, ' * 64})", 4),
        ("empty", "(0,)", 0),
        ("empty-and-large", "(0, 2305843009213693951)", 0),
        ("large-and-empty", "(1000000000, 1000000000, 0)", 0),
        ("0-d", "()", 4),
        ("python2-long", "(3L, 0x4L)", 48),
        ("underscores", "(0x_3, 0b1_00)", 48),
        ("many-zeros", "(000, 4)", 0),
    ):
        yield f"shape-{name}", whole(text(shape=shape), nbytes)
    yield "shape-python2-long-v3", whole(text(shape="(3L, 4)"), version=(3, 0))


def _descrs():
    """What is no dtype, and dtypes of no size or of too much."""
    for name, descr in {
        "none": "None", "number": "4", "true": "True", "empty": "''", "blank": "' '", "tuple-empty": "()",
        "tuple-of-one": "('<f4',)", "dict": "{'names': ['a'], 'formats': ['<f4']}", "unknown": "'<q9'",
        "f3": "'<f3'", "f-huge": "'<f18446744073709551620'", "f-negative": "'<f-4'", "two-orders": "'<>f4'",
        "no-code": "'<4'", "size-first": "'4<f'", "trailing": "'<f4 '", "trailing-nul": r"'<f4\x00'",
        "s-negative": "'|S-4'", "s-2-gib": "'|S2147483648'", "s-huge": f"'|S{'9' * 40}'", "u-2-gib": "'<U536870912'",
        "unit-unknown": "'<M8[parsec]'", "unit-open": "'<M8[s'",
        "unit-huge": "'<M8[99999999999s]'", "unit-nested": "'<M8[[s]]'", "digits-unicode": "'<f\u00b2'",
        "sub-array": "('<f4', (3,))", "sub-array-huge": "('<f4', (65536, 65536))", "surrogate": r"'\ud800'",
        "very-long": "'" + "f" * 250_000 + "'", "name-of-a-class": "'object_'", "python-name": "'builtins.eval'",
    }.items():  # fmt: skip
        yield f"descr-{name}", whole(text(descr=descr))
    for name, descr in {"unit-zero": "'<M8[0s]'", "unit-odd": "'<M8[7s/2]'"}.items():
        yield f"descr-{name}", whole(text(descr=descr), 96)
    for name, descr, shape, nbytes in (
        ("s0", "'|S0'", "(3, 4)", 0),
        ("v0-many", "'|V0'", "(1000000000000,)", 0),
        ("s0-most", "'|S0'", "(9223372036854775807,)", 0),
        ("u0-too-many", "'<U0'", "(9223372036854775807, 2)", 0),
        ("no-fields-many", "[]", "(1000000000000,)", 0),
        ("empty-field-many", "[('a', '|S0')]", "(1000000000000,)", 0),
        ("s-2-gib-none", "'|S2147483647'", "(0,)", 0),
        ("s-2-gib-cut", "'|S2147483647'", "(4294967297,)", 48),
        ("bool", "'|b1'", "(48,)", 48),
        ("unsigned-order", "'>u1'", "(48,)", 48),
    ):
        yield f"descr-{name}", whole(text(descr=descr, shape=shape), nbytes)


def _fields():
    """Records: odd names, deep nesting, sub-arrays beyond measure."""
    for name, descr in {
        "same-name": "[('a', '<i2'), ('a', '<i2')]",
        "title-is-a-name": "[(('b', 'a'), '<i2'), ('b', '<i2')]",
        "same-title": "[(('t', 'a'), '<i2'), (('t', 'b'), '<i2')]",
        "two-nameless": "[('', '<i2'), ('', '<i2')]",
        "unhashable-title": "[(([], 'a'), '<i2')]",
        "name-number": "[(1, '<i2')]",
        "name-none": "[(None, '<i2')]",
        "name-of-three": "[(('a', 'b', 'c'), '<i2')]",
        "not-a-tuple": "['a', '<i2']",
        "text": "'a, b'",
        "no-dtype": "[('a',)]",
        "four-parts": "[('a', '<i2', (2,), 0)]",
        "shape-negative": "[('a', '<i2', (-1,))]",
        "shape-bool": "[('a', '<i2', True)]",
        "shape-text": "[('a', '<i2', '2')]",
        "shape-2-gib": "[('a', '<i2', (65536, 65536))]",
        "shape-wraps": "[('a', '<i2', (4294967296, 4294967296))]",
        "shape-of-65-axes": f"[('a', '<i2', ({'1, ' * 65}))]",
        "sum-2-gib": "[('a', '|V2000000000'), ('b', '|V2000000000')]",
        "dict": "{'a': '<i2'}",
        "nested-100": _nested(100),
    }.items():
        yield f"fields-{name}", whole(text(descr=descr))
    for name, descr, nbytes in (
        ("nested-90", _nested(90), 48),
        ("nested-98", _nested(98), 48),
        ("sub-arrays-nested", "[('a', " + "(" * 30 + "'<f4'" + ", (1,))" * 30 + ")]", 48),
        ("sub-array-empty", "[('a', '<f4', (0, 2147483647)), ('b', '<f4')]", 48),
        ("sub-array-of-64-axes", f"[('a', '<f4', ({'1, ' * 64}))]", 48),
        ("padding-only", "[('', '|V4')]", 48),
        ("padding-named", "[((None, ''), '|V4')]", 48),
        ("nameless", "[('', '<i4')]", 48),
        ("parent", "[('..', '<i2'), ('.', '<i2')]", 48),
        ("path", "[('../../../etc/passwd', '<i2'), ('/etc/shadow', '<i2')]", 48),
        ("like-entries", "[('header.json', '<i2'), ('x.npy', '<i1'), ('T', '<i1')]", 48),
        ("escaped-already", "[('%2E%2E%2F', '<i2'), ('%', '<i2')]", 48),
        ("with-nul", r"[('a\x00b', '<i2'), ('a', '<i2')]", 48),
        ("with-newlines", r"[('a\nb', '<i2'), ('\x1b[2J', '<i2')]", 48),
        ("surrogate", r"[('\ud800', '<i2'), ('\udfff', '<i2')]", 48),
        ("long-name", f"[('{'n' * 5000}', '<f4')]", 48),
        ("quotes", r"""[('"\'', '<i2'), ('\\', '<i2')]""", 48),
    ):
        yield f"fields-{name}", whole(text(descr=descr, shape="(12,)"), nbytes)
    for name, field, count in (
        ("many", "('{:x}','u1'),", 10_900),
        ("many-empty", "('{:x}',[]),", 10_900),
        ("many-shaped", "('{:x}','u1',(1,)),", 6_500),
        ("too-many", "('{:x}','u1'),", 11_000),
    ):
        descr = "[" + "".join(map(field.format, range(count))) + "]"
        yield f"fields-{name}", whole(text(descr=descr, shape="(2,)"), 0 if "[]" in field else 2 * count)
    named = text(descr="[('é', '<f4')]", shape="(12,)")
    yield "fields-latin1", whole(named.encode("latin1"))
    yield "fields-latin1-v3", whole(named.encode("latin1"), version=(3, 0))
    yield "fields-utf8-v3", whole(named, version=(3, 0))


def _nested(depth):
    """Records in records."""
    return "[('a', " * depth + "'<f4'" + ")]" * depth


class _Trap:
    """Unpickled, it makes the marker."""

    def __reduce__(self):
        return open, (os.fspath(MARKER), "w")


def _pickle():
    return pickle.dumps(_Trap())


def _objects():
    """Python objects, whose pickles do something when they are loaded."""
    for name, descr in {
        "alone": "'|O'",
        "o8": "'O8'",
        "ordered": "'<O'",
        "in-a-record": "[('a', '<i4'), ('b', '|O')]",
        "in-a-sub-array": "[('a', '|O', (2, 2))]",
        "deep": "[('a', [('b', [('c', '|O')])])]",
        "beside-padding": "[('a', '|O'), ('', '|V4')]",
    }.items():
        yield f"objects-{name}", container(text(descr=descr, shape="(1,)")) + _pickle()
    yield "objects-none", container(text(descr="'|O'", shape="(0,)")) + _pickle()


def files():
    """Every hostile file: its stem and its bytes."""
    for group in (_starts, _truncations, _syntax, _keys, _orders, _shapes, _descrs, _fields, _objects):
        yield from group()


GOOD = sample("good", (3, 4), "<f4")


def numpy_reads(path):
    """The array that NumPy loads of a file, or in one line why it does not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = np.load(path, allow_pickle=False, max_header_size=MAX_HEADER)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:100]!r}"
    return loaded if isinstance(loaded, np.ndarray) else f"no array but {type(loaded).__name__}"


def verdict(outcome):
    """An array in a few words; a refusal in its own."""
    if isinstance(outcome, str):
        return outcome
    shape = str(outcome.shape)
    return f"{str(outcome.dtype)[:30]} {shape if len(shape) < 40 else shape[:36] + ' ...'}"


def main(directory):
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    for name, blob in files():
        path = directory / f"{name}.npy"
        path.write_bytes(blob)
        told = mounting.run(mounting.program(), "info", directory / name, check=False)
        ours = "an array" if told.returncode == 0 else told.stderr.partition(f"{name}: ")[2].strip()[:100]
        print(f"{name:32} | {verdict(numpy_reads(path)):60.60} | {ours}")


if __name__ == "__main__":
    main(*sys.argv[1:])
