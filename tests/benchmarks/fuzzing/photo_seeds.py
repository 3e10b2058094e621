"""Small photo files of every accepted format and kind of encoding, from which mutated photos are made."""

from __future__ import annotations

import io
import zlib
from functools import cache

import cv2
import numpy as np
import tifffile
from PIL import Image as Pillow
from PIL import ImageCms, PngImagePlugin

from tests.support.bad_photos import CORPUS, save
from tests.support.photo_bytes import SHORT, entry, exif, png_chunk, tiff_photo
from tests.support.pictures import wood_photo

WIDTH, HEIGHT = 64, 48
MAX_SEED_BYTES = 40_000
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""The passes of an interlaced PNG: first column, first row, step of columns and step of rows."""


@cache
def photo_seeds() -> dict[str, bytes]:
    """Return the files by name."""
    corpus = {f"corpus: {name}": case.data for name, case in CORPUS.items() if 0 < len(case.data) <= MAX_SEED_BYTES}
    return {**_jpegs(), **_pngs(), **_modern(), **_tiffs(), **_bmps(), **corpus}


def _picture() -> Pillow.Image:
    return Pillow.fromarray(wood_photo(WIDTH, HEIGHT))


def _transparent() -> Pillow.Image:
    alpha = np.linspace(0, 255, WIDTH, dtype=np.uint8)[None].repeat(HEIGHT, 0)
    return Pillow.fromarray(np.dstack([wood_photo(WIDTH, HEIGHT), alpha]))


def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _metadata() -> bytes:
    return exif(entry(0x0112, SHORT, 6), entry(0x010F, 2, *b"Camera"), entry(0x8769, 4, 8))


def _jpegs() -> dict[str, bytes]:
    plain = _picture()
    views = io.BytesIO()
    plain.save(views, "MPO", save_all=True, append_images=[plain.rotate(180)])
    restarts = cv2.imencode(".jpg", wood_photo(WIDTH, HEIGHT), [cv2.IMWRITE_JPEG_RST_INTERVAL, 2])[1].tobytes()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="5"/></x:xmpmeta>'
    return {
        "jpeg": save(plain, "JPEG", quality=85, exif=_metadata(), xmp=xmp),
        "jpeg progressive": save(plain, "JPEG", progressive=True, icc_profile=_profile()),
        "jpeg progressive grey": save(plain.convert("L"), "JPEG", progressive=True),
        "jpeg 4:4:4": save(plain, "JPEG", subsampling=0, comment=b"a comment"),
        "jpeg cmyk": save(plain.convert("CMYK"), "JPEG"),
        "jpeg restarts": restarts,
        "jpeg two views": views.getvalue(),
    }


def _pngs() -> dict[str, bytes]:
    plain = _picture()
    grey = np.asarray(plain.convert("L"))
    deep = grey.astype(np.uint16) * 257
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", '<rdf tiff:Orientation="3"/>', zip=True)
    texts.add_text("Raw profile type exif", "\nexif\n 8\n49492a0008000000\n", zip=True)
    deep_colors = cv2.imencode(".png", np.dstack([deep] * 3))[1].tobytes()
    return {
        "png": save(plain, "PNG", exif=_metadata(), icc_profile=_profile()),
        "png alpha": save(_transparent(), "PNG", pnginfo=texts),
        "png grey alpha": save(_transparent().convert("LA"), "PNG"),
        "png grey 16": save(Pillow.fromarray(deep), "PNG"),
        "png rgb 16": deep_colors,
        "png rgb 16 transparent": _with_chunk(deep_colors, png_chunk(b"tRNS", bytes(range(6)))),
        "png rgb transparent": save(plain, "PNG", transparency=(10, 20, 30)),
        "png palette": save(plain.quantize(9), "PNG", transparency=bytes((0, 128, 255))),
        "png 1 bit": save(plain.convert("1"), "PNG"),
        "png gamma": _with_chunk(save(plain, "PNG"), png_chunk(b"gAMA", (100_000).to_bytes(4, "big"))),
        "png interlaced": _interlaced(grey),
        "png animated": save(plain, "PNG", save_all=True, append_images=[plain.rotate(180)]),
    }


def _with_chunk(png: bytes, chunk: bytes) -> bytes:
    """Insert a chunk after the header of a PNG."""
    return png[:33] + chunk + png[33:]


def _interlaced(grey: np.ndarray) -> bytes:
    """Encode [H, W] uint8 as an interlaced PNG, which Pillow does not write."""
    passes = [grey[top::row_step, left::column_step] for left, top, column_step, row_step in ADAM7]
    rows = b"".join(b"\0" + row.tobytes() for picture in passes for row in picture)
    header = b"".join(side.to_bytes(4, "big") for side in grey.shape[::-1]) + bytes((8, 0, 0, 0, 1))
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _modern() -> dict[str, bytes]:
    plain, transparent = _picture(), _transparent()
    return {
        "webp": save(plain, "WEBP", exif=_metadata(), icc_profile=_profile(), xmp=b'<rdf tiff:Orientation="8"/>'),
        "webp lossless": save(transparent, "WEBP", lossless=True),
        "webp lossy alpha": save(transparent, "WEBP", alpha_quality=50),
        "webp animated": save(plain, "WEBP", save_all=True, append_images=[plain.rotate(180)]),
        "heic": save(plain, "HEIF", exif=_metadata(), icc_profile=_profile()),
        "heic alpha": save(transparent, "HEIF"),
        "heic two images": save(plain, "HEIF", save_all=True, append_images=[plain.rotate(180)]),
        "avif": save(plain, "AVIF", exif=_metadata(), icc_profile=_profile()),
        "avif alpha": save(transparent, "AVIF", subsampling="4:4:4"),
        "avif animated": save(plain, "AVIF", save_all=True, append_images=[plain.rotate(180)]),
    }


def _tiffs() -> dict[str, bytes]:
    plain, transparent = _picture(), _transparent()
    deep = np.asarray(plain).astype(np.uint16) * 257
    tiled = io.BytesIO()
    tifffile.imwrite(tiled, np.asarray(plain), photometric="rgb", tile=(16, 16))
    compressions = ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "tiff_lzma", "zstd")
    return {
        "tiff": save(plain, "TIFF", exif=_metadata()[6:], icc_profile=_profile()),
        **{f"tiff {name}": save(plain, "TIFF", compression=name) for name in compressions},
        "tiff alpha": save(transparent, "TIFF", compression="tiff_lzw"),
        "tiff cmyk": save(plain.convert("CMYK"), "TIFF"),
        "tiff lab": save(plain.convert("LAB"), "TIFF"),
        "tiff palette": save(plain.quantize(9), "TIFF"),
        "tiff fax": save(plain.convert("1"), "TIFF", compression="group4"),
        "tiff fax 3": save(plain.convert("1"), "TIFF", compression="group3"),
        "tiff pages": save(plain, "TIFF", save_all=True, append_images=[plain]),
        "tiff tiled": tiled.getvalue(),
        "tiff 16 bits": tiff_photo(deep, 2, order=">", deflate=True),
        "tiff big": tiff_photo(np.asarray(plain), 2, big=True),
    }


def _bmps() -> dict[str, bytes]:
    plain = _picture()
    return {
        "bmp": save(plain, "BMP"),
        "bmp alpha": save(_transparent(), "BMP"),
        "bmp palette": save(plain.quantize(9), "BMP"),
        "bmp 1 bit": save(plain.convert("1"), "BMP"),
        "bmp run lengths": _run_lengths(np.asarray(plain.quantize(9))),
    }


def _run_lengths(levels: np.ndarray) -> bytes:
    """Encode [H, W] uint8 as a BMP with run lengths of 1, which Pillow does not write."""
    rows = b"".join(b"".join(bytes((1, level)) for level in row) + b"\0\0" for row in levels[::-1].tolist()) + b"\0\1"
    palette = b"".join(bytes((level * 20, level * 10, level * 5, 0)) for level in range(9))
    height, width = levels.shape
    words = (40, width, height, 1 | 8 << 16, 1, len(rows), 0, 0, 9, 0)
    info = b"".join(word.to_bytes(4, "little") for word in words)
    offset = 14 + len(info) + len(palette)
    head = b"BM" + (offset + len(rows)).to_bytes(4, "little") + bytes(4) + offset.to_bytes(4, "little")
    return head + info + palette + rows
