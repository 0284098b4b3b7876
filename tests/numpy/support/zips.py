"""Archives: as programs write them, and byte by byte with whatever lies in them."""

import dataclasses
import io
import struct
import zipfile
import zlib

import numpy as np


def saved(**arrays):
    """The bytes of an archive that np.savez writes."""
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def of_members(members, method=zipfile.ZIP_STORED):
    """The bytes of an archive of these members: bytes by name, or pairs where names repeat."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, blob in members.items() if isinstance(members, dict) else members:
            archive.writestr(zipfile.ZipInfo(name), blob, method)
    return out.getvalue()


@dataclasses.dataclass
class Item:
    """A member, and what is said of it where that is not the truth."""

    name: bytes
    data: bytes = b""
    flags: int = 0
    method: int = 0
    size: int = None
    packed_size: int = None
    at: int = None
    local_name: bytes = None
    local_magic: bytes = b"PK\3\4"


def directory_entry(item, at):
    size = len(item.data) if item.size is None else item.size
    packed = size if item.packed_size is None else item.packed_size
    at = at if item.at is None else item.at
    extra = b"".join(struct.pack("<Q", n) for n in (size, packed, at) if n >= 0xFFFFFFFF)
    extra = struct.pack("<HH", 1, len(extra)) + extra if extra else b""
    size, packed, at = (min(n, 0xFFFFFFFF) for n in (size, packed, at))
    fixed = struct.pack(
        "<4sHHHHHHLLLHHHHHLL", b"PK\1\2", 45, 45, item.flags, item.method, 0, 0, zlib.crc32(item.data), packed,
        size, len(item.name), len(extra), 0, 0, 0, 0, at,
    )  # fmt: skip
    return fixed + item.name + extra


def end_record(count, size, start, disk=0):
    return struct.pack("<4sHHHHLLH", b"PK\5\6", disk, disk, count & 0xFFFF, count & 0xFFFF, size, start, 0)


def long_end(count, size, start):
    """The end of an archive of more members than the last record has room for."""
    long = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, start + size, 1)
    return long + locator + end_record(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)


def by_hand(items, end=None):
    """The bytes of an archive of these items. `end` makes the last record of the directory's size and start."""
    file, directory = bytearray(), bytearray()
    for item in items:
        directory += directory_entry(item, len(file))
        name = item.name if item.local_name is None else item.local_name
        file += struct.pack(
            "<4sHHHHHLLLHH", item.local_magic, 45, item.flags, item.method, 0, 0, zlib.crc32(item.data),
            len(item.data), len(item.data), len(name), 0,
        )  # fmt: skip
        file += name + item.data
    end = end or (lambda size, start: end_record(len(items), size, start))
    return bytes(file + directory + end(len(directory), len(file)))
