"""Checks the header of a BMP file."""

from __future__ import annotations

from orchestrator.errors import InvalidInput
from orchestrator.imaging.photo_files.photo_file import PhotoFile, PhotoFormat

COMPRESSION_OFFSET = 30
FULL_HEADER_BYTES = 40
"""Size of the smallest header that has a compression method; the file header of 14 bytes precedes it."""
HEADER_SIZE_OFFSET = 14
UNCOMPRESSED = 0
RUN_LENGTHS = (1, 2)
UNSUPPORTED = (4, 5, 6, 11, 12, 13)
"""JPEG, PNG, colour masks with alpha, and CMYK."""
MAX_RUN_LENGTH_BYTES = 4 << 20
"""Largest file with run lengths. Pillow decodes them in Python, about 2 MB per second."""
REMEDY = "save it as PNG or JPEG"


def read_bmp(data: bytes, field: str) -> PhotoFile:
    """Check a BMP file. Raises InvalidInput if its compression is not supported."""
    header_size = int.from_bytes(data[HEADER_SIZE_OFFSET : HEADER_SIZE_OFFSET + 4], "little")
    has_method = header_size >= FULL_HEADER_BYTES
    method = int.from_bytes(data[COMPRESSION_OFFSET : COMPRESSION_OFFSET + 4], "little") if has_method else UNCOMPRESSED
    if method in UNSUPPORTED:
        raise InvalidInput(field, f"the BMP is compressed by method {method}, which is not supported; {REMEDY}")
    if method in RUN_LENGTHS and len(data) > MAX_RUN_LENGTH_BYTES:
        rule = f"with run lengths, at most {MAX_RUN_LENGTH_BYTES} bytes are allowed"
        raise InvalidInput(field, f"the BMP has {len(data)} bytes; {rule}; {REMEDY}")
    return PhotoFile(PhotoFormat.BMP, data)
