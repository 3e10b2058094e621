"""Separates the pixels of a PNG file from its metadata, and finds out whether all rows arrived (PNG, third edition)."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image as Pillow

from orchestrator.errors import InvalidInput
from orchestrator.imaging.photo_files.limits import check_size
from orchestrator.imaging.photo_files.photo_file import PhotoFile, PhotoFormat, damaged

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = struct.Struct(">IIBBBBB")
"""Width, height, bits per channel, colour type, and the methods of compression, filtering and interlacing."""
GREY = 0
RGB = 2
PALETTE = 3
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, 4: 2, 6: 4}
"""Channels by colour type."""
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""The passes of an interlaced file: first column, first row, step of columns and step of rows."""
LAST_FRAME_COUNT = 0x8000_0000
"""Largest valid number of frames. A file with an invalid number is not animated."""
MAX_CHUNKS = 100_000
"""Maximum number of chunks. Encoders write at least 8 KB per chunk, which makes 6400 in 50 MB."""
MAX_METADATA_BYTES = 4 << 20
"""Maximum size of a decompressed profile or text. Profiles of printers have up to 3 MB. A larger one is ignored."""
GAMMA_UNIT = 100_000
"""Value of a gAMA chunk for an exponent of 1 (PNG, third edition)."""
GAMMA_RANGE = (0.2, 3.0)
"""Exponents outside this range are ignored as errors of the writer. Not tuned."""
SRGB_GAMMA = 1 / 2.2
"""Exponent that writers of sRGB state (PNG, third edition)."""
GAMMA_TOLERANCE = 0.05
"""Maximum relative deviation from the exponent of sRGB that counts as sRGB. Not tuned."""
XMP_KEYWORD = b"XML:com.adobe.xmp"
EXIF_KEYWORDS = (b"Raw profile type exif", b"Raw profile type APP1")
"""Texts in which ImageMagick stores EXIF data, as hexadecimal digits after three lines."""
EXIF_TEXT_LINES = 3
HEXADECIMAL = re.compile(rb"(?:[0-9a-fA-F]{2})*")
BLOCK_BYTES = 1 << 16
"""Bytes that are decompressed at a time to count them. They become at most 66 MB."""


@dataclass(frozen=True)
class Chunk:
    """A chunk. The body is cut if the file ends early."""

    kind: bytes
    body: bytes
    is_intact: bool  # the checksum is right


def read_png(data: bytes, field: str) -> PhotoFile:
    """Separate a PNG file. Raises InvalidInput if it is animated, or if its header or palette is damaged."""
    chunks: dict[bytes, Chunk] = {}
    compressed: list[bytes] = []
    for count, chunk in enumerate(_chunks(data)):
        if count >= MAX_CHUNKS:
            raise damaged(PhotoFormat.PNG, f"it has more than {MAX_CHUNKS} chunks", field)
        if chunk.kind == b"IDAT":
            compressed.append(chunk.body)
        else:
            kind = chunk.kind + _keyword(chunk) if chunk.kind in (b"tEXt", b"zTXt", b"iTXt") else chunk.kind
            chunks.setdefault(kind, chunk)
    header, palette, alpha = (_required(chunks, kind, field) for kind in (b"IHDR", b"PLTE", b"tRNS"))
    if len(header) != HEADER.size:
        raise damaged(PhotoFormat.PNG, f"its header has {len(header)} bytes instead of {HEADER.size}", field)
    if 1 < int.from_bytes(_body(chunks, b"acTL")[:4], "big") <= LAST_FRAME_COUNT:
        raise InvalidInput(field, "the image is animated; upload a single frame")
    width, height, depth, color_type, *_ = HEADER.unpack(header)
    check_size(width, height, field)
    pixels = [SIGNATURE, _chunk(b"IHDR", header)]
    color_key: tuple[int, ...] = ()
    if color_type == PALETTE:
        if not palette:
            raise damaged(PhotoFormat.PNG, "its palette is missing", field)
        pixels.append(_chunk(b"PLTE", palette))
        pixels += [_chunk(b"tRNS", alpha[: len(palette) // 3])] if alpha else []
    elif alpha and color_type in (GREY, RGB):
        color_key = _color_key(alpha, CHANNELS[color_type], depth, field)
    pixels += [_chunk(b"IDAT", b"".join(compressed)), _chunk(b"IEND", b"")]
    exif = _body(chunks, b"eXIf") or _text_exif(chunks)
    xmp = _text(chunks.get(b"iTXt" + XMP_KEYWORD))
    profile = _decompress(_body(chunks, b"iCCP").partition(b"\0")[2][1:])  # after the name and the compression method
    gamma = 0.0 if chunks.keys() & {b"iCCP", b"sRGB", b"cICP"} else _gamma(_body(chunks, b"gAMA"))
    return PhotoFile(
        PhotoFormat.PNG, b"".join(pixels), exif, xmp, profile, color_key=color_key, depth=depth, gamma=gamma
    )


def check_arrived(file: PhotoFile, picture: Pillow.Image, field: str) -> None:
    """Raise InvalidInput if the compressed data of a PNG file end before the last row.

    Args:
        picture: the decoded file. Missing rows are zero, unless the file is interlaced.
    """
    width, height, depth, color_type, _, _, interlacing = HEADER.unpack_from(file.pixels, len(SIGNATURE) + 8)
    if not interlacing and np.asarray(picture.crop((0, height - 1, width, height))).any():
        return
    expected = 0
    for left, top, column_step, row_step in ADAM7 if interlacing else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // column_step), -(-(height - top) // row_step)
        row_bytes = 1 + -(-columns * CHANNELS[color_type] * depth // 8)  # the filter type, and whole bytes of levels
        expected += rows * row_bytes if columns > 0 and rows > 0 else 0
    body = next(chunk.body for chunk in _chunks(file.pixels) if chunk.kind == b"IDAT")
    actual = _decompressed_size(body, expected)
    if actual < expected:
        raise damaged(PhotoFormat.PNG, f"it ends early, after {actual / expected:.0%} of its pixels", field)


def _chunks(data: bytes) -> Iterator[Chunk]:
    """The chunks up to the end of the image or of the file."""
    at = len(SIGNATURE)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        checksum = data[at + 8 + length : at + 12 + length]
        yield Chunk(kind, body, checksum == _checksum(kind, body))
        if kind == b"IEND":
            return
        at += 12 + length


def _checksum(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + _checksum(kind, body)


def _required(chunks: dict[bytes, Chunk], kind: bytes, field: str) -> bytes:
    """The body of a chunk that determines pixels, or nothing. Raises InvalidInput if its checksum is wrong."""
    chunk = chunks.get(kind)
    if chunk is not None and not chunk.is_intact:
        raise damaged(PhotoFormat.PNG, f"the checksum of its chunk {kind.decode()} is wrong", field)
    return chunk.body if chunk is not None else b""


def _body(chunks: dict[bytes, Chunk], kind: bytes) -> bytes:
    chunk = chunks.get(kind)
    return chunk.body if chunk is not None and chunk.is_intact else b""


def _color_key(alpha: bytes, channels: int, depth: int, field: str) -> tuple[int, ...]:
    if len(alpha) < 2 * channels:
        raise damaged(PhotoFormat.PNG, f"its transparent colour has {len(alpha)} bytes", field)
    return tuple(level & ((1 << depth) - 1) for level in struct.unpack_from(f">{channels}H", alpha))


def _gamma(body: bytes) -> float:
    """The exponent of a gAMA chunk; 0 if it is damaged, invalid, or that of sRGB."""
    gamma = int.from_bytes(body, "big") / GAMMA_UNIT if len(body) == 4 else 0.0
    is_plausible = GAMMA_RANGE[0] <= gamma <= GAMMA_RANGE[1]
    return gamma if is_plausible and abs(gamma / SRGB_GAMMA - 1) > GAMMA_TOLERANCE else 0.0


def _keyword(chunk: Chunk) -> bytes:
    return chunk.body[:80].partition(b"\0")[0]


def _text(chunk: Chunk | None) -> bytes:
    """The text of a tEXt, zTXt or iTXt chunk, or nothing if it is damaged or too long."""
    if chunk is None:
        return b""
    _, _, rest = chunk.body.partition(b"\0")
    is_compressed = chunk.kind == b"zTXt"
    if chunk.kind == b"iTXt":
        is_compressed, (*_, rest) = rest[:1] == b"\1", rest[2:].split(b"\0", 2)  # language, translated keyword, text
    elif is_compressed:
        rest = rest[1:]  # the compression method
    return _decompress(rest) if is_compressed else rest


def _text_exif(chunks: dict[bytes, Chunk]) -> bytes:
    for keyword in EXIF_KEYWORDS:
        text = _text(chunks.get(b"zTXt" + keyword) or chunks.get(b"tEXt" + keyword))
        digits = b"".join(text.split(b"\n")[EXIF_TEXT_LINES:])
        if digits and HEXADECIMAL.fullmatch(digits):
            return bytes.fromhex(digits.decode("ascii"))
    return b""


def _decompress(compressed: bytes) -> bytes:
    """Decompress a profile or text. Empty if it is damaged or too long."""
    decompressor = zlib.decompressobj()
    try:
        plain = decompressor.decompress(compressed, MAX_METADATA_BYTES)
    except zlib.error:
        return b""
    return plain if decompressor.eof else b""


def _decompressed_size(compressed: bytes, limit: int) -> int:
    """The number of bytes that are decompressed before the end or before damaged data, up to about ``limit``."""
    decompressor = zlib.decompressobj()
    count = 0
    for at in range(0, len(compressed), BLOCK_BYTES):
        if count >= limit or decompressor.eof:
            break
        try:
            count += len(decompressor.decompress(compressed[at : at + BLOCK_BYTES]))
        except zlib.error:
            break
    return count
