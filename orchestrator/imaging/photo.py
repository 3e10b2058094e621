"""Read a photo that anybody may have sent, and write pictures that anybody can open.

Everything that can be refused is refused from the header, before a pixel is decoded.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageCms, ImageFile, ImageOps, PngImagePlugin, UnidentifiedImageError

from orchestrator.domain.images import Image, ImageFormat
from orchestrator.errors import InvalidInput

MAX_BYTES = 50 << 20
MAX_PIXELS = 100_000_000
MIN_SIDE = 32
"""Smaller pictures show no furniture, and no filter of ours has a meaning on them."""
MAX_SIDE = 32_767
"""OpenCV's filters count rows and columns in 16 bits."""
WEBP_MAX_SIDE = 16_383
EXIF_IFD, FOCAL_LENGTH_35MM = 0x8769, 0xA405
"""EXIF 2.32: where the camera's settings stand, and among them the 35 mm equivalent focal length."""
ALLOWED = "allowed are JPEG, PNG, WebP and HEIC"
FORMATS = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "HEIF": "image/heic"}


pillow_heif.register_heif_opener()
Pillow.MAX_IMAGE_PIXELS = MAX_PIXELS
ImageFile.LOAD_TRUNCATED_IMAGES = False
PngImagePlugin.MAX_TEXT_MEMORY = 4 << 20


@dataclass(frozen=True)
class PhotoInfo:
    """What the header says; width and height of the upright photo, in pixels."""

    width: int
    height: int
    media_type: str


@dataclass(frozen=True)
class Photo:
    """An upright photo in sRGB, [H, W, 3] uint8."""

    srgb: Image
    media_type: str


def probe_photo(data: bytes, field: str = "photo") -> PhotoInfo:
    """Read the header and refuse what can't be a photo.

    Raises:
        InvalidInput: it is empty, too large, too small, of another kind, or animated.
    """
    with _opened(data, field) as picture:
        return _info(picture, field)


def read_photo(data: bytes, field: str = "photo", max_side: int | None = None) -> Photo:
    """Decode a photo: turned upright, over white where it is transparent, converted to sRGB.

    Args:
        max_side: shrink so that the longer side has at most this many pixels.

    Raises:
        InvalidInput: as ``probe_photo``, or the file is damaged.
    """
    with _opened(data, field) as picture:
        info = _info(picture, field)
        if max_side is not None and info.media_type == "image/jpeg" and picture.mode in ("L", "RGB"):
            picture.draft(None, (max_side, max_side))  # decodes at the next larger power-of-two fraction
        picture.load()
        profile = picture.info.get("icc_profile")
        upright = ImageOps.exif_transpose(picture)
        colours = _converted(_eight_bit(upright), profile)
        srgb = np.asarray(_over_white(colours))
    if max_side is not None and max(srgb.shape[:2]) > max_side:
        scale = max_side / max(info.width, info.height)
        size = (max(1, round(info.width * scale)), max(1, round(info.height * scale)))
        srgb = cv2.resize(srgb, size, interpolation=cv2.INTER_AREA)
    return Photo(np.ascontiguousarray(srgb, dtype=np.uint8), info.media_type)


def focal_length_35mm(data: bytes, field: str = "photo") -> float:
    """The 35 mm equivalent focal length in millimetres that the photo's EXIF tells, or 0."""
    with _opened(data, field) as picture:
        told = picture.getexif().get_ifd(EXIF_IFD).get(FOCAL_LENGTH_35MM)
    return float(told) if isinstance(told, int | float) and 0 < told < 10_000 else 0.0


@contextmanager
def _opened(data: bytes, field: str) -> Iterator[Pillow.Image]:
    if not data:
        raise InvalidInput(field, f"the file is empty; {ALLOWED}")
    if len(data) > MAX_BYTES:
        raise InvalidInput(field, f"{len(data)} bytes are too many; a photo has at most {MAX_BYTES}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Pillow.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP", "HEIF")) as picture:
                yield picture
    except InvalidInput:
        raise
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning):
        raise InvalidInput(field, f"the picture has more than {MAX_PIXELS} pixels, the most that is allowed") from None
    except UnidentifiedImageError:
        raise InvalidInput(field, f"it looks like {_looks_like(data)}; {ALLOWED}") from None
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        Warning,
        RuntimeError,
        MemoryError,
        IndexError,
        KeyError,
    ) as error:
        # What Pillow's decoders raise on damage has no common base class.
        raise InvalidInput(field, f"the file is damaged ({type(error).__name__}); send it again") from None


def _info(picture: Pillow.Image, field: str) -> PhotoInfo:
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise InvalidInput(field, f"{width}×{height} pixels are too many; at most {MAX_PIXELS} are allowed")
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_SIDE:
        raise InvalidInput(
            field, f"{width}×{height} is not allowed; each side must have {MIN_SIDE} to {MAX_SIDE} pixels"
        )
    if picture.format != "MPO" and getattr(picture, "is_animated", False) and picture.format != "HEIF":
        raise InvalidInput(field, "the picture is animated; send one frame")
    if picture.getexif().get(0x0112, 1) in (5, 6, 7, 8):  # TIFF 6.0 tag Orientation: the quarter turns
        width, height = height, width
    return PhotoInfo(width, height, FORMATS[picture.format or "JPEG"])


def _eight_bit(picture: Pillow.Image) -> Pillow.Image:
    if picture.mode.startswith("I") or picture.mode == "F":  # 16-bit grey: Pillow's own conversion clips
        values = np.asarray(picture).astype(np.float32)
        return Pillow.fromarray(np.round(values / 257.0).clip(0, 255).astype(np.uint8))
    if picture.mode in ("P", "PA", "1"):
        return picture.convert("RGBA" if "transparency" in picture.info or picture.mode == "PA" else "RGB")
    if picture.mode == "La" or picture.mode == "RGBa":
        return picture.convert(picture.mode.upper())
    return picture


def _converted(picture: Pillow.Image, profile: bytes | None) -> Pillow.Image:
    """sRGB (alpha kept). A profile that can't be read, or is of other channels, is taken for sRGB."""
    plain = {"L": "RGB", "LA": "RGBA"}
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            out = "RGBA" if picture.mode in ("RGBA", "LA") else "RGB"
            colours = picture
            if picture.mode == "LA":  # LittleCMS has no grey with alpha
                colours = picture.convert("L")
            made = ImageCms.profileToProfile(
                colours, source, target, outputMode=out if colours.mode == "RGBA" else "RGB"
            )
            if made is not None:
                if picture.mode == "LA":
                    made.putalpha(picture.getchannel("A"))
                return made
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
    if picture.mode in ("RGB", "RGBA"):
        return picture
    return picture.convert(plain.get(picture.mode, "RGB"))


def _over_white(picture: Pillow.Image) -> Pillow.Image:
    if picture.mode != "RGBA":
        return picture
    white = Pillow.new("RGBA", picture.size, (255, 255, 255, 255))
    return Pillow.alpha_composite(white, picture).convert("RGB")


SIGNATURES = (
    (b"GIF8", "a GIF"),
    (b"%PDF", "a PDF"),
    (b"II*\0", "a TIFF or a raw photo"),
    (b"MM\0*", "a TIFF or a raw photo"),
    (b"BM", "a BMP"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"glTF", "a GLB model"),
    (b"BLENDER", "a Blender file"),
    (b"\xff\xd8", "a damaged JPEG"),
    (b"\x89PNG", "a damaged PNG"),
    (b"RIFF", "a damaged WebP"),
)


def _looks_like(data: bytes) -> str:
    for signature, name in SIGNATURES:
        if data.startswith(signature):
            return name
    head = data[:1024].lstrip().lower()
    if head.startswith((b"<svg", b"<?xml")):
        return "an SVG or XML file"
    if data[4:8] == b"ftyp":
        return "a damaged HEIC, or a video"
    return "no picture"


_BGR_ORDER = {3: [2, 1, 0], 4: [2, 1, 0, 3]}
"""Channel order of OpenCV's encoders, by the number of channels."""


def encode_image(image: Image | NDArray[np.uint16], format: ImageFormat) -> bytes:
    """Write a picture without any metadata but its colour space; the same input gives the same bytes.

    Args:
        image: [H, W], [H, W, 3] or [H, W, 4] (RGBA) uint8, or [H, W] uint16 (always PNG: WebP has 8 bits).

    Raises:
        InvalidInput: WebP can't hold a picture of this size.
    """
    swapped = image if image.ndim == 2 else np.ascontiguousarray(image[..., _BGR_ORDER[image.shape[2]]])
    if format is ImageFormat.WEBP and image.dtype == np.uint8:
        if max(image.shape[:2]) > WEBP_MAX_SIDE:
            raise InvalidInput("stain.format", f"WebP holds at most {WEBP_MAX_SIDE} pixels a side; use PNG")
        suffix, options = ".webp", [cv2.IMWRITE_WEBP_QUALITY, 92]
    else:
        # Level 1 with the default strategy: a tenth of the time of level 6 for about a tenth more bytes.
        suffix, options = ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1]
    done, data = cv2.imencode(suffix, swapped, options)
    if not done:
        raise InvalidInput("photo", f"a picture of shape {image.shape} can't be written as {format.value}")
    return data.tobytes()
