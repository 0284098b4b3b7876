"""Header texts that nobody's np.save writes: odd ones that count, and broken ones."""

import numpy as np

from corpus import container, sample

SHAPE = (3, 4)
PLAIN = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }"


def _text(descr="'<f4'", fortran_order="False", shape="(3, 4)"):
    return f"{{'descr': {descr}, 'fortran_order': {fortran_order}, 'shape': {shape}, }}"


# Spellings of the header of a (3, 4) array of <f4, all of which NumPy accepts.
ACCEPTED = {
    "reordered": "{'shape': (3, 4), 'descr': '<f4', 'fortran_order': False}\n",
    "double_quotes": '{"descr": "<f4", "fortran_order": False, "shape": (3, 4)}\n',
    "unicode_strings": "{u'descr': u'<f4', u'fortran_order': False, U'shape': (3, 4)}\n",
    "raw_strings": "{r'descr': R'<f4', 'fortran_order': False, 'shape': (3, 4)}\n",
    "triple_quotes": "{'''descr''': \"\"\"<f4\"\"\", 'fortran_order': False, 'shape': (3, 4)}\n",
    "joined_strings": "{'de' 'scr': '<' \"f4\", 'fortran_order': False, 'shape': (3, 4)}\n",
    "escapes": r"{'\x64escr': '\74f\u0034', 'fortran_order': False, 'shape': (3, 4)}",
    "no_newline": PLAIN,
    "no_spaces": "{'descr':'<f4','fortran_order':False,'shape':(3,4)}",
    "many_lines": "{\n  'descr': '<f4',\n\t'fortran_order': False,\n\n  'shape': (3,\n   4)\n}\n",
    "crlf": "{'descr': '<f4',\r\n 'fortran_order': False,\r\n 'shape': (3, 4)}\r\n",
    "leading_space": "  \t" + PLAIN + "\n",
    "leading_comment": "# written by hand\n" + PLAIN,
    "comments": "{'descr': '<f4', # four bytes\n 'fortran_order': False, 'shape': (3, 4)} # }\n",
    "hexadecimal": _text(shape="(0x3, 0X4)"),
    "octal_and_binary": _text(shape="(0o3, 0B100)"),
    "underscores": _text(shape="(0x_3, 0b1_00)"),
    "plus_sign": _text(shape="(+3, +4)"),
    "parentheses": _text(descr="('<f4')", shape="((3), (4),)"),
    "duplicate_keys": "{'shape': (7,), 'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)}",
    "native_order": _text(descr="'=f4'"),
    "no_order": _text(descr="'f4'"),
    "any_order": _text(descr="'|f4'"),
    "long_comment": PLAIN + " #" + "x" * 20000 + "\n",
    "wide_padding": PLAIN + " " * 15000 + "\n",
}

# Type names that no file writes but np.dtype knows: to be served right or refused.
LONG_TAIL = {
    "word": _text(descr="'float32'"),
    "letter": _text(descr="'f'"),
    "capital": _text(descr="'Float32'"),
    "intp": _text(descr="'p'"),
    "list": _text(descr="'f4,f8'"),
    "shaped": _text(descr="'(2,)f4'"),
    "counted": _text(descr="'2f4'"),
    "field_sized_by_shape": _text(descr="[('a', '|S0', 3)]"),
    "field_of_no_size_shaped": _text(descr="[('a', '|S0', (3,))]"),
    "field_counted": _text(descr="[('a', '2i2'), ('b', 'f4')]"),
    "field_list_shape": _text(descr="[('a', '<i2', [2])]"),
    "field_titled_by_a_number": _text(descr="[((1, 'a'), '<i2')]"),
    "subarray": _text(descr="('<f4', (2,))"),
}

# NumPy lets the L of Python 2's integers pass, but only in versions 1.0 and 2.0.
PYTHON_2 = {
    "python2_long": _text(shape="(3L, 4L)"),
    "python2_hexadecimal_long": _text(shape="(0x3L, 4)"),
    "python2_spaced_long": _text(shape="(3 L, 4)"),
}


def accepted():
    """A sample for each accepted spelling, data following the text wherever it ends."""
    for name, text in (ACCEPTED | PYTHON_2).items():
        yield sample(f"odd-{name}", SHAPE, "<f4", header=container(text))
        yield sample(f"odd-{name}-v2", SHAPE, "<f4", header=container(text, (2, 0)))
    for name, text in ACCEPTED.items():
        yield sample(f"odd-{name}-v3", SHAPE, "<f4", header=container(text, (3, 0)))
    yield from _other_accepted()


def _other_accepted():
    """Accepted headers of arrays that are not the (3, 4) one."""
    for width in (0, 1, 5, 64):
        header = container(_text(descr="'>i8'", fortran_order="True") + " " * width + "\n")
        yield sample(f"odd-data-at-{len(header)}", SHAPE, ">i8", "F", header=header)
    yield sample(
        "odd-fortran-line", (5,), "<f4", header=container(_text(fortran_order="True", shape="(5,)"))
    )
    yield sample("odd-underscored", (10, 1), "<f4", header=container(_text(shape="(1_0, 1)")))
    yield sample("odd-trailing-bytes", SHAPE, "<f4", tail=b"and more, which count for nothing")
    yield sample("odd-empty-at-eof", (0,), "<f4", header=container(_text(shape="(0,)")))
    yield sample("odd-scaled-time", (4,), "<m8[8M]", header=container(_text("'<m8[2Y/3]'", shape="(4,)")))
    listed = "[['r', '<f4'], ('i', '<f4', 2), (('Title', 't'), '<i2', (1, 2))]"
    record = np.dtype([("r", "<f4"), ("i", "<f4", (2,)), (("Title", "t"), "<i2", (1, 2))])
    yield sample("odd-field-lists", (4,), record, header=container(_text(listed, shape="(4,)")))
    gap = np.dtype({"names": ["a", "b"], "formats": ["|u1", "<i4"], "offsets": [0, 4], "itemsize": 8})
    padded = container(_text("[('a', 'u1'), ('', 'V3'), ('b', '<i4')]", shape="(4,)"))
    yield sample("odd-padding", (4,), gap, header=padded)
    shaped_padding = _text("[('a', 'u1', ()), ('', 'V1', (3,)), ('b', '<i4')]", shape="(4,)")
    yield sample("odd-padding-shaped", (4,), gap, header=container(shaped_padding))
    nameless = np.dtype({"names": ["x"], "formats": ["<f4"], "offsets": [4], "itemsize": 8})
    shaped_nameless = _text("[('', '<i2', (2,)), ('x', '<f4')]", shape="(4,)")
    yield sample("odd-nameless-subarray", (4,), nameless, header=container(shaped_nameless))
    counted = np.dtype([("a", "<U3", (2,)), ("b", "<i2", (1,))])
    integers = container(_text("[('a', '<U3', 2), ('b', '<i2', 1)]", shape="(4,)"))
    yield sample("odd-integer-shapes", (4,), counted, header=integers)


_DATA = bytes(range(48))


def _file(text, version=(1, 0), data=_DATA):
    return container(text, version) + data


# Files that NumPy refuses, by what is wrong with them. `data` is 48 bytes wherever
# the header should be what is refused.
MALFORMED = {
    "empty": b"",
    "one_byte": b"\x93",
    "magic_only": b"\x93NUMPY",
    "no_length": b"\x93NUMPY\x01\x00",
    "half_length": b"\x93NUMPY\x01\x00\x40",
    "bad_magic": b"\x93NUMPX" + _file(PLAIN)[6:],
    "text": b"this is no array at all\n" * 10,
    "zip": b"PK\x03\x04" + bytes(100),
    "version_1_1": _file(PLAIN, (1, 1)),
    "version_4_0": _file(PLAIN, (4, 0)),
    "version_0_0": _file(PLAIN, (0, 0)),
    "header_cut": _file(PLAIN)[:40],
    "header_longer_than_file": b"\x93NUMPY\x01\x00\xff\xff" + PLAIN.encode() + _DATA,
    "header_4_gib": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + PLAIN.encode() + _DATA,
    "header_empty": _file(""),
    "header_blank": _file("   \n"),
    "header_nul_padded": _file(PLAIN + "\0\0\0\0"),
    "header_bad_utf8": _file(b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)} #\xff", (3, 0)),
    "header_unclosed": _file(PLAIN[:-1]),
    "header_twice": _file(PLAIN + PLAIN),
    "header_list": _file("['descr', '<f4']"),
    "header_call": _file("dict(descr='<f4', fortran_order=False, shape=(3, 4))"),
    "header_deep": _file("(" * 30000 + ")" * 30000),
    "header_deep_lists": _file(_text(descr="[" * 20000)),
    "key_missing": _file("{'descr': '<f4', 'shape': (3, 4)}"),
    "key_extra": _file("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), 'more': 1}"),
    "key_bytes": _file("{b'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)}"),
    "order_number": _file(_text(fortran_order="0")),
    "order_text": _file(_text(fortran_order="'False'")),
    "order_none": _file(_text(fortran_order="None")),
    "shape_list": _file(_text(shape="[3, 4]")),
    "shape_number": _file(_text(shape="(3)")),
    "shape_sum": _file(_text(shape="(1+2, 4)")),
    "shape_minus_minus": _file(_text(shape="(--3, 4)")),
    "shape_float": _file(_text(shape="(3.0, 4)")),
    "shape_text": _file(_text(shape="('3', 4)")),
    "shape_bool": _file(_text(shape="(True, 4)")),
    "shape_negative": _file(_text(shape="(-1, 4)")),
    "shape_negative_zero": _file(_text(shape="(-3, -4)")),
    "shape_numpy_integer": _file(_text(shape="(np.int64(3), 4)")),
    "shape_leading_zero": _file(_text(shape="(03, 4)")),
    "shape_huge": _file(_text(shape="(9223372036854775807, 2)")),
    "shape_beyond_64_bits": _file(_text(shape="(18446744073709551617,)")),
    "shape_many_digits": _file(_text(shape="(" + "9" * 4000 + ",)")),
    "shape_wraps_to_zero": _file(_text(shape="(4294967296, 4294967296)")),
    "shape_zero_times_huge": _file(_text(shape="(0, 9223372036854775807, 9223372036854775807)")),
    "shape_65_axes": _file(_text(shape="(" + "1, " * 65 + ")")),
    "descr_bytes": _file(_text(descr="b'<f4'")),
    "descr_none": _file(_text(descr="None")),
    "descr_number": _file(_text(descr="4")),
    "descr_unknown": _file(_text(descr="'<q9'")),
    "descr_nothing": _file(_text(descr="''")),
    "descr_f3": _file(_text(descr="'<f3'")),
    "descr_bad_unit": _file(_text(descr="'<M8[parsec]'")),
    "descr_negative_size": _file(_text(descr="'|S-4'")),
    "descr_huge_size": _file(_text(descr="'|S9999999999999999999999'")),
    "fields_same_name": _file(_text(descr="[('a', '<i2'), ('a', '<i2')]")),
    "fields_two_nameless": _file(_text(descr="[('', '<i2'), ('', '<i2')]")),
    "fields_number": _file(_text(descr="[('a', 4)]")),
    "fields_one_part": _file(_text(descr="[('a',)]")),
    "fields_four_parts": _file(_text(descr="[('a', '<i2', (2,), 1)]")),
    "fields_name_number": _file(_text(descr="[(1, '<i2')]")),
    "fields_negative_shape": _file(_text(descr="[('a', '<i2', (-2,))]")),
    "python2_long_in_v3": _file(PYTHON_2["python2_long"], (3, 0)),
}

# Files whose header can be read though no array can be served, with its shape.
READABLE = {
    "objects": (_file(_text(descr="'|O'")), [3, 4]),
    "objects_in_a_record": (_file(_text(descr="[('a', '<i4'), ('b', [('c', '|O')])]")), [3, 4]),
    "cut_by_a_byte": (_file(PLAIN, data=_DATA[:-1]), [3, 4]),
    "cut_to_nothing": (_file(PLAIN, data=b""), [3, 4]),
    "cut_far_short": (_file(_text(shape="(1000000000, 1000000000)"), data=_DATA), [10**9, 10**9]),
}
