"""Reads the directory (IFD) of a TIFF file. EXIF data is a TIFF file too.

Nothing in the file is trusted: every value is checked against the end of the file when it is read, and values that
cannot be read count as missing (TIFF 6.0; BigTIFF).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MAX_ENTRIES = 4096
"""Maximum number of entries that are read. Cameras and editors write fewer than 100."""
BYTES_PER_VALUE = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
"""Size of a value by its TIFF type."""
INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
"""Codes of ``struct`` by TIFF type, for types of integers."""
BYTE_ORDERS = {b"II": "<", b"MM": ">"}
CLASSIC = (b"\x2a\0", b"\0\x2a")
"""Version 42 in either byte order. Some writers use the wrong one, and every reader accepts it."""
HEADER_BYTES = 8
BIG = {"<": b"\x2b\0", ">": b"\0\x2b"}


@dataclass(frozen=True)
class Tag:
    """The type of the values of a tag, their number, and where they are in the file."""

    type: int
    count: int
    start: int


@dataclass(frozen=True)
class TiffDirectory:
    """A directory of a TIFF file. ``order`` is the byte order as in ``struct``."""

    data: bytes
    order: str
    is_big: bool
    tags: dict[int, Tag]

    def integers(self, number: int, limit: int) -> tuple[int, ...]:
        """The values of a tag. Empty if it is missing, unreadable, not of integers, or has more than ``limit``."""
        tag = self.tags.get(number)
        if tag is None or tag.type not in INTEGERS or tag.count > limit or not self.is_inside(number):
            return ()
        return struct.unpack_from(f"{self.order}{tag.count}{INTEGERS[tag.type]}", self.data, tag.start)

    def integer(self, number: int) -> int | None:
        """The first value of a tag, or None; see ``integers``."""
        values = self.integers(number, limit=16)
        return values[0] if values else None

    def raw(self, number: int) -> bytes:
        """The bytes of a tag. Empty if it is missing or unreadable."""
        tag = self.tags.get(number)
        if tag is None or not self.is_inside(number):
            return b""
        return self.data[tag.start : tag.start + tag.count * BYTES_PER_VALUE[tag.type]]

    def is_inside(self, number: int) -> bool:
        """Whether the file contains all values of a tag that the directory has."""
        tag = self.tags[number]
        return tag.start + tag.count * BYTES_PER_VALUE[tag.type] <= len(self.data)


def read_directory(data: bytes, offset: int | None = None) -> TiffDirectory | None:
    """Read the first directory of a TIFF file, or the one at ``offset``. None if the file has no readable directory.

    The directory may be cut: the entries before the end of the file are read.
    """
    order = BYTE_ORDERS.get(data[:2])
    if order is None:
        return None
    is_big = data[2:4] == BIG[order]
    if not is_big and data[2:4] not in CLASSIC:
        return None
    # The fields of an entry are tag, type, count and the value, or the offset of the values if they do not fit in.
    entry, inline, word = (
        (struct.Struct(f"{order}HHQ8s"), 8, "Q") if is_big else (struct.Struct(f"{order}HHI4s"), 4, "I")
    )
    try:
        if offset is None:
            offset = struct.unpack_from(f"{order}{word}", data, 8 if is_big else 4)[0]
        if not HEADER_BYTES <= offset < len(data):
            return None
        (count,) = struct.unpack_from(f"{order}{'Q' if is_big else 'H'}", data, offset)
    except struct.error:
        return None
    first = offset + (8 if is_big else 2)
    tags: dict[int, Tag] = {}
    for at in range(first, first + min(count, MAX_ENTRIES) * entry.size, entry.size):
        if at + entry.size > len(data):
            break
        number, type, value_count, value = entry.unpack_from(data, at)
        if number in tags or type not in BYTES_PER_VALUE or value_count == 0:
            continue
        start = at + entry.size - inline
        if value_count * BYTES_PER_VALUE[type] > inline:
            (start,) = struct.unpack(f"{order}{word}", value)
        tags[number] = Tag(type, value_count, start)
    return TiffDirectory(data, order, is_big, tags)
