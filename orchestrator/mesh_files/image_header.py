"""Read the size of a texture from its header, without decoding a pixel."""

from __future__ import annotations

import struct

from orchestrator.mesh_files.limits import Refused, shown

MAX_SIDE = 8192
"""The largest that every GPU since 2010 takes as a texture."""
MAX_TEXTURE_PIXELS = 512_000_000
"""Of all textures of a model together: 30 of 4096 × 4096, 2 GB once decoded."""
TEXTURES = ("png", "jpg", "jpeg", "webp", "ktx2", "bmp", "tga")
"""Extensions of the textures that we can measure here and that Blender or glTF's tools read."""


class Textures:
    """Adds up the textures of one model and refuses those that are too large, one by one and together."""

    def __init__(self) -> None:
        self.pixels = 0

    def add(self, data: bytes | memoryview, where: str) -> str:
        """Check one encoded picture and return its format, such as ``png``.

        Raises:
            Refused: its kind is not known, its header is cut short, or it is too large.
        """
        data = memoryview(data)
        try:
            format, width, height = _measured(data)
        except (struct.error, IndexError):
            raise Refused(f"{where} is cut short: its header is not whole") from None
        if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
            raise Refused(f"{where} has {width}×{height} pixels; each side must have 1 to {MAX_SIDE}")
        self.pixels += width * height
        if self.pixels > MAX_TEXTURE_PIXELS:
            raise Refused(f"the textures have more than {MAX_TEXTURE_PIXELS} pixels together, the most that is allowed")
        if not format:
            raise Refused(f"{where} begins with {shown(bytes(data[:8]))}; allowed are PNG, JPEG, WebP and KTX2")
        return format


def _measured(data: memoryview) -> tuple[str, int, int]:
    """Format, width and height; ``("", 1, 1)`` for a kind that is not known."""
    head = bytes(data[:64])
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return ("png", *struct.unpack_from(">II", data, 16))
    if head.startswith(b"\xff\xd8"):
        return ("jpg", *_jpeg(data))
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return ("webp", *_webp(head))
    if head.startswith(b"\xabKTX 20\xbb\r\n\x1a\n"):
        return ("ktx2", *struct.unpack_from("<II", data, 20))
    if head.startswith(b"BM"):
        width, height = struct.unpack_from("<ii", data, 18)
        return "bmp", width, abs(height)
    if head.startswith(b"v/1\x01"):  # OpenEXR: the attribute dataWindow, xMin yMin xMax yMax
        mark = b"dataWindow\0box2i\0\x10\0\0\0"
        at = bytes(data[: 1 << 16]).find(mark)
        left, top, right, bottom = struct.unpack_from("<iiii", data, at + len(mark) if at >= 0 else len(data))
        return "exr", right - left + 1, bottom - top + 1
    if head[4:8] == b"ftyp":  # AVIF: the largest ImageSpatialExtentsProperty (ISO/IEC 23008-12, 6.5.3)
        return ("avif", *_avif(bytes(data[: 1 << 16])))
    if len(head) >= 18 and head[1] in (0, 1) and head[2] in (1, 2, 3, 9, 10, 11):  # TGA has no signature
        return ("tga", *struct.unpack_from("<HH", data, 12))
    return "", 1, 1


def _jpeg(data: memoryview) -> tuple[int, int]:
    """Walk the segments to the frame header (ITU-T T.81, B.2.2)."""
    at = 2
    while True:
        if data[at] != 0xFF:
            raise IndexError(at)
        kind = data[at + 1]
        if kind == 0xFF:  # fill bytes
            at += 1
            continue
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        (length,) = struct.unpack_from(">H", data, at + 2)
        at += 2 + max(length, 2)


def _webp(head: bytes) -> tuple[int, int]:
    """RFC 9649, 2.5 to 2.7."""
    kind = head[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", head, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", head, 26)
    return width & 0x3FFF, height & 0x3FFF


def _avif(head: bytes) -> tuple[int, int]:
    sizes = []
    at = head.find(b"ispe")
    while at >= 0:
        sizes.append(struct.unpack_from(">II", head, at + 8))
        at = head.find(b"ispe", at + 4)
    return max(sizes, key=lambda size: size[0] * size[1]) if sizes else (0, 0)
