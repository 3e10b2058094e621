"""Unusual, damaged and malicious photos with the expected result of decoding them."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import pillow_heif
from PIL import Image as Pillow
from PIL import ImageCms, PngImagePlugin

from tests.support.photo_bytes import png_chunk
from tests.support.pictures import jpeg, wood_photo

pillow_heif.register_heif_opener()

# Red, green, blue and white quarters reveal rotations, swapped channels and shifts.
QUARTERS = np.zeros((96, 128, 3), np.uint8)
QUARTERS[:48, :64], QUARTERS[:48, 64:] = (200, 40, 40), (40, 180, 60)
QUARTERS[48:, :64], QUARTERS[48:, 64:] = (50, 60, 200), (235, 235, 235)


@dataclass(frozen=True)
class Case:
    """One file. It raises InvalidInput if ``rejected``, else it decodes to ``expected`` within ``tolerance``."""

    data: bytes
    rejected: bool = True
    expected: np.ndarray | None = None
    tolerance: int = 12  # loss of JPEG and WebP at quality 92, in 8-bit steps, away from edges


def save(picture: Pillow.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def png_header(width: int, height: int, *chunks: bytes) -> bytes:
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + png_chunk(b"IEND", b"")


def turned(orientation: int) -> Pillow.Image:
    """QUARTERS, stored such that the EXIF orientation restores it."""
    inverse = {
        1: None,
        2: Pillow.Transpose.FLIP_LEFT_RIGHT,
        3: Pillow.Transpose.ROTATE_180,
        4: Pillow.Transpose.FLIP_TOP_BOTTOM,
        5: Pillow.Transpose.TRANSPOSE,
        6: Pillow.Transpose.ROTATE_90,
        7: Pillow.Transpose.TRANSVERSE,
        8: Pillow.Transpose.ROTATE_270,
    }[orientation]
    picture = Pillow.fromarray(QUARTERS)
    return picture if inverse is None else picture.transpose(inverse)


def rotated(orientation: int) -> bytes:
    """QUARTERS as JPEG, with an EXIF orientation."""
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    return save(turned(orientation), "JPEG", quality=95, exif=exif)


def inner_difference(srgb: np.ndarray, expected: np.ndarray) -> int:
    """The largest difference away from the edges of the quarters, where chroma subsampling mixes their colours."""
    inner = np.r_[4:44, 52:92][:, None], np.r_[4:60, 68:124][None]
    return int(np.abs(srgb[inner].astype(int) - expected[inner].astype(int)).max())


def _corpus() -> dict[str, Case]:
    plain = Pillow.fromarray(QUARTERS)
    photo, board = jpeg(QUARTERS, 95), jpeg(wood_photo(320, 240))
    whole_png = save(plain, "PNG")
    alpha = Pillow.fromarray(np.dstack([QUARTERS, np.full((96, 128), 255, np.uint8)]))
    half = Pillow.fromarray(np.dstack([np.zeros((96, 128, 3), np.uint8), np.full((96, 128), 128, np.uint8)]))
    grey = np.linspace(0, 255, 128, dtype=np.uint8)[None].repeat(96, 0)
    deep = (grey.astype(np.uint16) * 257).astype("<u2")
    frames = [plain, plain.transpose(Pillow.Transpose.ROTATE_180)]
    bomb = png_chunk(b"IDAT", zlib.compress(b"\0" * (1 << 20), 9))
    big_text = PngImagePlugin.PngInfo()
    big_text.add_itxt("Comment", "x" * (8 << 20), zip=True)
    grey_rgb = np.dstack([grey] * 3)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped_crc = bytearray(whole_png)
    swapped_crc[29] ^= 0xFF
    good = {
        "plain jpeg": Case(photo, False, QUARTERS),
        "progressive jpeg": Case(save(plain, "JPEG", quality=95, progressive=True), False, QUARTERS),
        "jpeg followed by other data": Case(photo + b"PK\x03\x04" + b"\0" * 999, False, QUARTERS),
        "plain png": Case(whole_png, False, QUARTERS, 0),
        "webp": Case(save(plain, "WEBP", lossless=True), False, QUARTERS, 1),
        "heic": Case(save(plain, "HEIF", quality=95), False, QUARTERS),
        "opaque alpha": Case(save(alpha, "PNG"), False, QUARTERS, 0),
        "half transparent black on white": Case(save(half, "PNG"), False, np.full((96, 128, 3), 127, np.uint8), 1),
        "16-bit grey": Case(save(Pillow.fromarray(deep), "PNG"), False, grey_rgb, 1),
        "grey": Case(save(Pillow.fromarray(grey), "PNG"), False, grey_rgb, 0),
        "grey with alpha": Case(save(Pillow.fromarray(grey).convert("LA"), "PNG"), False, grey_rgb, 0),
        "palette": Case(save(plain.quantize(4, dither=Pillow.Dither.NONE), "PNG"), False, QUARTERS, 3),
        "cmyk jpeg": Case(save(plain.convert("CMYK"), "JPEG", quality=95), False, QUARTERS, 24),
        "srgb profile": Case(save(plain, "PNG", icc_profile=srgb), False, QUARTERS, 2),
        "avif": Case(save(plain, "AVIF", quality=95, subsampling="4:4:4"), False, QUARTERS),
        "tiff": Case(save(plain, "TIFF", compression="tiff_lzw"), False, QUARTERS, 0),
        "bmp": Case(save(plain, "BMP"), False, QUARTERS, 0),
        "png with 8 MB of text": Case(save(plain, "PNG", pnginfo=big_text), False, QUARTERS, 0),
        "broken profile": Case(save(plain, "PNG", icc_profile=b"\0" * 200), False, QUARTERS, 0),
    }
    good |= {f"orientation {number}": Case(rotated(number), False, QUARTERS) for number in range(1, 9)}
    bad = {
        "empty": b"",
        "one byte": b"\xff",
        "jpeg cut to a tenth": board[: len(board) // 10],
        "jpeg cut in half": board[: len(board) // 2],
        "png cut in half": whole_png[: len(whole_png) // 2],
        "webp cut in half": save(plain, "WEBP", lossless=True)[:60],
        "heic cut in half": save(plain, "HEIF")[:300],
        "png header of 50000 x 50000": png_header(50_000, 50_000),
        "png bomb": png_header(30_000, 30_000, bomb),
        "png without pixels": png_header(640, 480),
        "png with a wrong checksum": bytes(swapped_crc),
        "one pixel": save(Pillow.new("RGB", (1, 1)), "PNG"),
        "a strip": save(Pillow.new("RGB", (20_000, 8)), "PNG"),
        "animated png": save(plain, "PNG", save_all=True, append_images=frames[1:]),
        "animated webp": save(plain, "WEBP", save_all=True, append_images=frames[1:]),
        "gif": save(plain, "GIF"),
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        "xml": b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
        "pdf": b"%PDF-1.7\n" + b"0" * 100,
        "text": b"this is a chair.jpg, believe me",
        "program": b"\x7fELF" + b"\0" * 400,
        "glb": b"glTF" + b"\0" * 400,
        "noise": bytes(range(256)) * 40,
        "jpeg signature and zeros": b"\xff\xd8\xff\xe0" + b"\0" * 4000,
    }
    return good | {name: Case(data) for name, data in bad.items()}


CORPUS = _corpus()
