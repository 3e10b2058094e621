"""Small photo files that take long, or much memory, to decode."""

from __future__ import annotations

import io
import zlib

import PIL.Image as Pillow

from tests.support.photo_bytes import png_chunk

SOS = b"\xff\xda"


def many_scans(side: int = 5000, scans: int = 40) -> bytes:
    """Return a progressive JPEG of about 100 kB that repeats its last scan. Each scan visits all blocks."""
    buffer = io.BytesIO()
    Pillow.new("RGB", (side, side), (150, 110, 70)).save(buffer, "JPEG", progressive=True, quality=85)
    data = buffer.getvalue()
    start = data.rindex(SOS)
    scan = data[start:-2]
    return data[:start] + scan * scans + data[-2:]


def huge_png(side: int = 9900) -> bytes:
    """Return a PNG of about 300 kB with 98 megapixels of one colour."""
    header = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    compress, row = zlib.compressobj(9), b"\0" + bytes([150, 110, 70]) * side
    rows = b"".join(compress.compress(row) for _ in range(side)) + compress.flush()
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks
