"""Builds photo files byte by byte, to have files that no encoder writes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 12: 8, 16: 8}
CODES = {1: "B", 2: "B", 3: "H", 4: "I", 5: "I", 7: "B", 12: "d", 16: "Q"}
SHORT = 3
LONG = 4

Entry = tuple[int, int, int, bytes]
"""Tag, type, number of values, and the values, or their position if they do not fit."""


def entry(tag: int, type: int, *values: float, order: str = "<") -> Entry:
    raw = struct.pack(f"{order}{len(values)}{CODES[type]}", *values)
    return tag, type, len(raw) // SIZES[type], raw


def tiff_file(entries: Sequence[Entry], order: str = "<", big: bool = False, head: bytes = b"") -> bytes:
    """A TIFF or BigTIFF file with one directory. Values that do not fit into an entry follow the directory.

    Args:
        head: bytes between the header and the directory, such as pixels. They begin at ``first_byte(big)``.
    """
    room, word, count_word = (8, "Q", "Q") if big else (4, "I", "H")
    start = first_byte(big) + len(head)
    mark = b"II" if order == "<" else b"MM"
    header = mark + (struct.pack(f"{order}HHHQ", 43, 8, 0, start) if big else struct.pack(f"{order}HI", 42, start))
    outside = b""
    position = start + struct.calcsize(f"<{count_word}") + len(entries) * (4 + 2 * room) + room
    body = struct.pack(f"{order}{count_word}", len(entries))
    for tag, type, count, raw in sorted(entries):
        value = raw.ljust(room, b"\0")
        if len(raw) > room:
            value = struct.pack(f"{order}{word}", position + len(outside))
            outside += raw
        body += struct.pack(f"{order}HH{word}", tag, type, count) + value
    return header + head + body + bytes(room) + outside


def first_byte(big: bool = False) -> int:
    return 16 if big else 8


def tiff_photo(
    pixels: np.ndarray,
    model: int,
    *extra: Entry,
    order: str = "<",
    big: bool = False,
    deflate: bool = False,
    bits: int | None = None,
) -> bytes:
    """A TIFF file with one strip. ``pixels`` is [H, W] or [H, W, C]; ``model`` its photometric interpretation.

    Args:
        bits: bits per channel, if ``pixels`` are the bytes of packed rows.
    """
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    depth = bits or pixels.dtype.itemsize * 8
    raw = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    strip = zlib.compress(raw) if deflate else raw
    entries = {
        256: entry(256, LONG, width * 8 // depth if bits else width, order=order),
        257: entry(257, LONG, height, order=order),
        258: entry(258, SHORT, *[depth] * channels, order=order),
        259: entry(259, SHORT, 8 if deflate else 1, order=order),
        262: entry(262, SHORT, model, order=order),
        273: entry(273, 16 if big else LONG, first_byte(big), order=order),
        277: entry(277, SHORT, channels, order=order),
        279: entry(279, 16 if big else LONG, len(strip), order=order),
    }
    entries |= {tag: (tag, *rest) for tag, *rest in extra}
    return tiff_file(list(entries.values()), order, big, strip)


def exif(*entries: Entry, order: str = "<") -> bytes:
    return b"Exif\0\0" + tiff_file(entries, order)


def jpeg_segment(code: int, body: bytes) -> bytes:
    return bytes([0xFF, code]) + struct.pack(">H", len(body) + 2) + body


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """A JPEG file with ``segments`` after its start marker."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_photo(rows: np.ndarray, width: int, depth: int, color_type: int, *chunks: bytes, interlace: int = 0) -> bytes:
    """A PNG file of ``rows``, the bytes of each row without a filter type, and ``chunks`` before the pixels."""
    header = struct.pack(">IIBBBBB", width, len(rows), depth, color_type, 0, 0, interlace)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    parts = (png_chunk(b"IHDR", header), *chunks, png_chunk(b"IDAT", zlib.compress(data)), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
