"""Identifies files by their first bytes. The error for a file that is not a supported photo names what it is."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.errors import InvalidInput
from orchestrator.imaging.photo_files.isobmff import brands
from orchestrator.imaging.photo_files.photo_file import PhotoFormat

ALLOWED = "supported formats are JPEG, PNG, WebP, HEIC, AVIF, TIFF and BMP"
SIGNATURES = {
    b"\xff\xd8": PhotoFormat.JPEG,
    b"\x89PNG": PhotoFormat.PNG,
    b"II\x2a\0": PhotoFormat.TIFF,
    b"MM\0\x2a": PhotoFormat.TIFF,
    b"II\0\x2a": PhotoFormat.TIFF,
    b"MM\x2a\0": PhotoFormat.TIFF,
    b"II\x2b\0": PhotoFormat.TIFF,
    b"MM\0\x2b": PhotoFormat.TIFF,
    b"BM": PhotoFormat.BMP,
}
"""First bytes of the formats that have no brand."""
AVIF_BRANDS = frozenset({b"avif", b"avis"})
HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
CR3_BRAND = b"crx "
CR2_MARK = b"CR"
"""Marks a TIFF file as a raw photo of Canon."""
CR2_OFFSET = 8
HEAD_BYTES = 1024


@dataclass(frozen=True)
class OtherFile:
    """A kind of file that is not a supported photo: its name, what to do instead, and its first bytes."""

    name: str
    remedy: str
    signatures: tuple[bytes, ...] = ()


AS_PNG = "save it as PNG or JPEG"
EXPORT_PICTURE = "export the picture in it as PNG or JPEG"
UNPACK = "upload the photos in it one by one"
RAW_SIGNATURES = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"\0MRM", b"FOVb")
RAW = OtherFile("a raw photo", "export it from a raw converter as JPEG or TIFF", RAW_SIGNATURES)
VIDEO_SIGNATURES = (b"\x1aE\xdf\xa3", b"FLV\1", b"\0\0\1\xba", b"\0\0\1\xb3")
VIDEO = OtherFile("a video or another media file", "save one frame as PNG or JPEG", VIDEO_SIGNATURES)
UNKNOWN = OtherFile("not an image", "upload a photo")
OTHER_FILES = (
    OtherFile("a GIF", AS_PNG, (b"GIF8",)),
    OtherFile("a PDF", EXPORT_PICTURE, (b"%PDF",)),
    OtherFile("a PostScript file", EXPORT_PICTURE, (b"%!PS", b"\xc5\xd0\xd3\xc6")),
    OtherFile("a Photoshop document", "save a copy as PNG or TIFF", (b"8BPS",)),
    OtherFile("a GIMP document", "export it as PNG or TIFF", (b"gimp xcf",)),
    OtherFile("an icon", AS_PNG, (b"\0\0\1\0", b"\0\0\2\0", b"icns")),
    OtherFile("a JPEG XL", AS_PNG, (b"\xff\x0a", b"\0\0\0\x0cJXL ")),
    OtherFile("a JPEG 2000", AS_PNG, (b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51")),
    OtherFile("a JPEG XR", AS_PNG, (b"II\xbc",)),
    OtherFile("an HDR image", AS_PNG, (b"v/1\1", b"#?RADIANCE", b"#?RGBE")),
    OtherFile("a DDS or KTX texture", AS_PNG, (b"DDS ", b"\xabKTX")),
    OtherFile("a QOI", AS_PNG, (b"qoif",)),
    RAW,
    VIDEO,
    OtherFile("a ZIP archive or an Office document", UNPACK, (b"PK\3\4",)),
    OtherFile("an archive", UNPACK, (b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b")),
    OtherFile("a program", "upload a photo", (b"\x7fELF", b"MZ")),
    OtherFile("a GLB model", "upload it as a 3D model", (b"glTF",)),
    OtherFile("a Blender file", "render it as PNG or JPEG", (b"BLENDER",)),
)
TEXT_FILES = (
    OtherFile("an SVG or XML file", AS_PNG, (b"<svg", b"<?xml")),
    OtherFile("a web page", "download the photo itself", (b"<!doctype html", b"<html")),
)
"""Text files, which may begin with white space, in lower case."""


def identify(data: bytes, field: str) -> PhotoFormat:
    """Return the format of a photo file. Raises InvalidInput for other files, with their name and the remedy."""
    found = brands(data)
    if found & AVIF_BRANDS:
        return PhotoFormat.AVIF
    if found & HEIC_BRANDS:
        return PhotoFormat.HEIF
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return PhotoFormat.WEBP
    for signature, format in SIGNATURES.items():
        if data.startswith(signature) and not _is_cr2(data):
            return format
    other = _identify_other(data, found)
    raise InvalidInput(field, f"the file is {other.name}; {other.remedy}; {ALLOWED}")


def _is_cr2(data: bytes) -> bool:
    return data.startswith((b"II", b"MM")) and data[CR2_OFFSET : CR2_OFFSET + len(CR2_MARK)] == CR2_MARK


def _identify_other(data: bytes, found: frozenset[bytes]) -> OtherFile:
    if CR3_BRAND in found or _is_cr2(data):
        return RAW
    if found or (data.startswith(b"RIFF") and data[8:11] == b"AVI"):
        return VIDEO
    text = data[:HEAD_BYTES].lstrip().lower()
    for others, head in ((OTHER_FILES, data[:HEAD_BYTES]), (TEXT_FILES, text)):
        for other in others:
            if head.startswith(other.signatures):
                return other
    return UNKNOWN
