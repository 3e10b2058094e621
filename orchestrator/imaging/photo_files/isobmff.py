"""Identifies AVIF and HEIC files and checks their sizes (ISO/IEC 14496-12 and 23008-12, AV1 Image File Format)."""

from __future__ import annotations

import re

from orchestrator.imaging.photo_files.limits import check_pixels
from orchestrator.imaging.photo_files.photo_file import PhotoFile, PhotoFormat

SIZE = re.compile(rb"ispe\0\0\0\0(.{4})(.{4})", re.DOTALL)
"""The property that contains the width and the height of an image."""
EXIF_ITEM = re.compile(rb"(infe[\2\3].{3}(?:.{4}|.{6}))Exif", re.DOTALL)
"""The entry of the EXIF data in the list of items, with an item number of 16 or 32 bits."""
UNKNOWN_ITEM = rb"\1free"
MAX_BRAND_BYTES = 256


def brands(data: bytes) -> frozenset[bytes]:
    """The brands of an ISO base media file, or none for other files."""
    if data[4:8] != b"ftyp":
        return frozenset()
    box = data[8 : min(int.from_bytes(data[:4], "big"), MAX_BRAND_BYTES)]
    return frozenset(box[at : at + 4] for at in range(0, len(box), 4) if at != 4)  # a version follows the major brand


def check_sizes(data: bytes, field: str) -> None:
    """Raise InvalidInput if a size in the header is not allowed. libavif reports such files as damaged."""
    for size in SIZE.finditer(data):
        check_pixels(int.from_bytes(size[1], "big"), int.from_bytes(size[2], "big"), field)


def read_heic(data: bytes, field: str) -> PhotoFile:
    """Check the sizes in a HEIC file. Its decoder returns the EXIF data unchecked."""
    check_sizes(data, field)
    return PhotoFile(PhotoFormat.HEIF, data)


def read_avif(data: bytes, field: str) -> PhotoFile:
    """Separate an AVIF file. libavif refuses files with broken EXIF data, so its entry is renamed."""
    check_sizes(data, field)
    return PhotoFile(PhotoFormat.AVIF, EXIF_ITEM.sub(UNKNOWN_ITEM, data))
