"""Changes the structure of photo files, with right lengths and checksums, so that decoders read the changed parts."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from random import Random

from tests.benchmarks.fuzzing.byte_mutations import changed_bytes, changed_parts, edge
from tests.support.photo_bytes import png_chunk

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_KINDS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"gAMA", b"iCCP", b"sRGB", b"eXIf", b"acTL", b"fcTL", b"fdAT")
JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
JPEG_CODES = (0xC0, 0xC1, 0xC2, 0xC4, 0xC9, 0xCC, 0xD8, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xE0, 0xE1, 0xE2, 0xEE, 0xFE)
BOX_NAMES = (b"ftyp", b"meta", b"iinf", b"infe", b"iloc", b"iprp", b"ipco", b"ispe", b"ipma", b"hvcC", b"av1C", b"irot")
CONTAINER_BOXES = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0}
"""Boxes that consist of other boxes, and the size of the fields before them."""
MAX_DEPTH = 8
Part = tuple[bytes, bytes]
"""The kind and the body of a chunk, segment or box."""


def changed_photo(data: bytes, choice: Random, other: bytes) -> bytes:
    """Change the structure of a photo. A file of another format, or a damaged one, is returned as it is.

    Args:
        other: another photo, from which parts are copied if it has the same format.
    """
    for signature, change in CHANGES.items():
        if re.match(signature, data, re.DOTALL):
            try:
                return change(data, choice, other if re.match(signature, other, re.DOTALL) else data)
            except (struct.error, zlib.error, IndexError, ValueError, OverflowError):  # damaged by earlier changes
                return data
    return data


def _change_png(data: bytes, choice: Random, other: bytes) -> bytes:
    chunks = _png_chunks(data)
    at = choice.randrange(len(chunks))
    kind, body = chunks[at]
    operation = choice.randrange(5)
    if operation == 0:
        chunks = changed_parts(chunks, choice, _png_chunks(other))
    elif operation == 1:
        chunks[at] = choice.choice(PNG_KINDS), body
    elif operation == 2 and len(chunks[0][1]) == 13:
        header = bytearray(chunks[0][1])
        place, size = choice.choice(((0, 4), (4, 4), (8, 1), (9, 1), (10, 1), (11, 1), (12, 1)))
        header[place : place + size] = choice.choice((edge(choice, size, "big"), bytes(size - 1) + b"\4", b"\6" * size))
        chunks[0] = b"IHDR", bytes(header)
    elif operation == 3:
        pixels = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
        others = [chunk for chunk in chunks if chunk[0] != b"IDAT"]
        chunks = [*others[:-1], (b"IDAT", zlib.compress(changed_bytes(pixels, choice, body))), *others[-1:]]
    else:
        chunks[at] = kind, changed_bytes(body, choice, other)
    return PNG_SIGNATURE + b"".join(png_chunk(kind, body) for kind, body in chunks)


def _png_chunks(data: bytes) -> list[Part]:
    chunks, at = [], len(PNG_SIGNATURE)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunks.append((kind, data[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def _change_jpeg(data: bytes, choice: Random, other: bytes) -> bytes:
    segments = _jpeg_segments(data)
    at = choice.randrange(len(segments))
    kind, body = segments[at]
    operation = choice.randrange(5)
    frames = [number for number, (kind, _) in enumerate(segments) if kind in (b"\xff\xc0", b"\xff\xc2")]
    if operation == 0:
        segments = changed_parts(segments, choice, _jpeg_segments(other))
    elif operation == 1:
        segments[at] = bytes((0xFF, choice.choice(JPEG_CODES))), body
    elif operation == 2 and frames:
        frame = bytearray(segments[frames[0]][1])
        place, size = choice.choice(((2, 1), (3, 2), (5, 2), (7, 1), (8, 1), (9, 1), (10, 1)))
        frame[place : place + size] = edge(choice, size, "big")
        segments[frames[0]] = segments[frames[0]][0], bytes(frame)
    elif len(body) > 2:
        changed = changed_bytes(body[2:], choice, other)
        has_length = int.from_bytes(body[:2], "big") == len(body)
        segments[at] = kind, (struct.pack(">H", min(len(changed) + 2, 65535)) if has_length else body[:2]) + changed
    return data[:2] + b"".join(kind + body for kind, body in segments)


def _jpeg_segments(data: bytes) -> list[Part]:
    """The markers after the start marker, each with all bytes up to the next one."""
    segments, at = [], 2
    while marker := JPEG_MARKER.search(data, at):
        end = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
        following = JPEG_MARKER.search(data, min(end, len(data)))
        at = following.start() if following else len(data)
        segments.append((marker[0], data[marker.end() : at]))
    return segments


def _change_riff(data: bytes, choice: Random, other: bytes) -> bytes:
    chunks = _riff_chunks(data)
    at = choice.randrange(len(chunks))
    if choice.random() < 0.4:
        chunks = changed_parts(chunks, choice, _riff_chunks(other))
    else:
        chunks[at] = chunks[at][0], changed_bytes(chunks[at][1], choice, other)
    body = b"".join(kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2) for kind, body in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _riff_chunks(data: bytes) -> list[Part]:
    chunks, at = [], 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        chunks.append((kind, data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return chunks


def _change_boxes(data: bytes, choice: Random, other: bytes, depth: int = 0) -> bytes:
    boxes = _boxes(data)
    at = choice.randrange(len(boxes))
    kind, body = boxes[at]
    head = CONTAINER_BOXES.get(kind)
    if head is not None and depth < MAX_DEPTH and choice.random() < 0.8:
        boxes[at] = kind, body[:head] + _change_boxes(body[head:], choice, other, depth + 1)
    elif choice.random() < 0.3:
        boxes = changed_parts(boxes, choice, _boxes(other))
    elif choice.random() < 0.2:
        boxes[at] = choice.choice(BOX_NAMES), body
    else:
        boxes[at] = kind, changed_bytes(body, choice, other)
    return b"".join(struct.pack(">I", 8 + len(body)) + kind + body for kind, body in boxes)


def _boxes(data: bytes) -> list[Part]:
    boxes, at = [], 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + length if length >= 8 else len(data)
        boxes.append((kind, data[at + 8 : end]))
        at = end
    return boxes


def _change_tiff(data: bytes, choice: Random, other: bytes) -> bytes:
    """Change an entry of the first directory, or the header."""
    order, word_order = ("<", "little") if data[:2] == b"II" else (">", "big")
    is_big = data[2:4] in (b"\x2b\0", b"\0\x2b")
    start = struct.unpack_from(f"{order}{'Q' if is_big else 'I'}", data, 8 if is_big else 4)[0]
    count = struct.unpack_from(f"{order}{'Q' if is_big else 'H'}", data, start)[0]
    entry_size, first = (20, start + 8) if is_big else (12, start + 2)
    changed = bytearray(data)
    for _ in range(choice.choice((1, 1, 2, 4))):
        at = first + entry_size * choice.randrange(min(count, 100))
        place, size = choice.choice(((0, 2), (2, 2), (4, 4), (8, 4), (8, 2), (12, 4) if is_big else (8, 4)))
        value = edge(choice, size, word_order) if choice.random() < 0.6 else other[at + place : at + place + size]
        small = choice.randrange(12).to_bytes(size, word_order)  # type: ignore[arg-type]
        changed[at + place : at + place + size] = choice.choice((value, value, small))
    return bytes(changed)


def _change_bmp(data: bytes, choice: Random, _: bytes) -> bytes:
    changed = bytearray(data)
    place, size = choice.choice(
        ((2, 4), (10, 4), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2), (30, 4), (34, 4), (46, 4))
    )
    small = choice.choice((1, 2, 3, 4, 8, 16, 24, 32, 40, 64, 108, 124)).to_bytes(size, "little")
    changed[place : place + size] = choice.choice((edge(choice, size, "little"), small))
    return bytes(changed)


CHANGES: dict[bytes, Callable[[bytes, Random, bytes], bytes]] = {
    rb"\x89PNG": _change_png,
    rb"\xff\xd8": _change_jpeg,
    rb"RIFF....WEBP": _change_riff,
    rb"....ftyp": _change_boxes,
    rb"II|MM": _change_tiff,
    rb"BM": _change_bmp,
}
"""The function for each format, by a pattern of its first bytes."""
