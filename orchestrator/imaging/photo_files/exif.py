"""Reads the orientation and the focal length from the metadata of a photo. Broken metadata counts as missing."""

from __future__ import annotations

import re

from orchestrator.imaging.photo_files.tiff_directory import TiffDirectory, read_directory

ORIENTATION = 0x0112
EXIF_DIRECTORY = 0x8769
FOCAL_LENGTH_35MM = 0xA405
UPRIGHT = 1
LAST_ORIENTATION = 8
QUARTER_TURNS = (5, 6, 7, 8)
"""Orientations that swap width and height."""
XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')
PREFIX = b"Exif\0\0"
"""Precedes the TIFF file in JPEG and WebP; some writers repeat it."""
MAX_FOCAL_LENGTH_MM = 10_000
"""A focal length of this or more is treated as missing."""


def orientation(exif: bytes, xmp: bytes) -> int:
    """Return the orientation from 1 (upright) to 8 of EXIF 2.3, from the EXIF data or else from the XMP packet."""
    directory = _directory(exif)
    value = directory.integer(ORIENTATION) if directory else None
    if value is not None and UPRIGHT <= value <= LAST_ORIENTATION:
        return value
    match = XMP_ORIENTATION.search(xmp)
    return int(match[1]) if match else UPRIGHT


def focal_length_35mm(exif: bytes) -> float:
    """Return the 35 mm equivalent focal length in millimetres, or 0 if it is missing."""
    directory = _directory(exif)
    offset = directory.integer(EXIF_DIRECTORY) if directory else None
    details = read_directory(directory.data, offset) if directory and offset else None
    focal = details.integer(FOCAL_LENGTH_35MM) if details else None
    return float(focal) if focal is not None and 0 < focal < MAX_FOCAL_LENGTH_MM else 0.0


def _directory(exif: bytes) -> TiffDirectory | None:
    return read_directory(exif.removeprefix(PREFIX).removeprefix(PREFIX))
