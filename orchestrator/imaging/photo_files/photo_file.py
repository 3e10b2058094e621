"""The formats of photos, and a photo file separated into pixels and metadata."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from orchestrator.errors import InvalidInput


class PhotoFormat(Enum):
    """A file format of photos: Pillow's name of it, and its media type."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    WEBP = "image/webp"
    HEIF = "image/heic"
    AVIF = "image/avif"
    TIFF = "image/tiff"
    BMP = "image/bmp"


@dataclass(frozen=True)
class PhotoFile:
    """A photo file, prepared such that Pillow decodes its pixels and does not parse its other metadata.

    Attributes:
        pixels: a file that decodes to the pixels, upright or not.
        exif: EXIF data, unchecked: a TIFF file, which ``Exif\0\0`` may precede. Empty for WebP, HEIC and AVIF, whose
            decoders return it.
        xmp: XMP packet, unchecked.
        profile: ICC profile, unchecked. Empty for the formats whose decoders return it.
        is_cut: the file lacks its end marker, which ``pixels`` has.
        color_key: the transparent colour, one level per channel in steps of the stored depth. Empty if there is none.
        depth: bits per channel in the file.
        white_is_zero: the levels of ``pixels`` are inverted.
        gamma: exponent with which the levels encode linear light; 0 for sRGB or a profile.
    """

    format: PhotoFormat
    pixels: bytes
    exif: bytes = b""
    xmp: bytes = b""
    profile: bytes = b""
    is_cut: bool = False
    color_key: tuple[int, ...] = ()
    depth: int = 8
    white_is_zero: bool = False
    gamma: float = 0.0


def damaged(format: PhotoFormat, problem: str, field: str) -> InvalidInput:
    """The error for a file whose pixels cannot be decoded completely."""
    name = "HEIC" if format is PhotoFormat.HEIF else format.name
    return InvalidInput(field, f"the file is a damaged {name}: {problem}; upload it again")
