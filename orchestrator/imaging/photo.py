"""Decodes untrusted photos and encodes images. Limits are checked on the header, before any pixel is decoded."""

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
from PIL import ExifTags, ImageCms, ImageFile, ImageOps, PngImagePlugin, UnidentifiedImageError
from PIL import Image as Pillow

from orchestrator.domain.images import Image, ImageFormat
from orchestrator.errors import InvalidInput

MAX_BYTES = 50 << 20
"""Largest photo file."""
MAX_PIXELS = 100_000_000
MIN_SIDE = 32
"""Shortest side in pixels. The filters and models need at least this much context."""
MAX_SIDE = 32_767
"""Longest side in pixels. OpenCV's filters store coordinates in 16 bits."""
WEBP_MAX_SIDE = 16_383
"""Longest side that the WebP format supports."""
WEBP_QUALITY = 92
"""Not tuned."""
PNG_COMPRESSION = 1
"""zlib level. It takes a tenth of the time of level 6, and the files are about a tenth larger."""
MAX_FOCAL_LENGTH_MM = 10_000
"""A focal length of this or more is treated as missing."""
QUARTER_TURNS = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""
ALLOWED = "supported formats are JPEG, PNG, WebP and HEIC"
JPEG = "image/jpeg"
MEDIA_TYPES = {"JPEG": JPEG, "MPO": JPEG, "PNG": "image/png", "WEBP": "image/webp", "HEIF": "image/heic"}
"""Media type by Pillow's name of the format."""
SIGNATURES = {
    "a GIF": (b"GIF8",),
    "a PDF": (b"%PDF",),
    "a TIFF or a raw photo": (b"II*\0", b"MM\0*"),
    "a BMP": (b"BM",),
    "a ZIP archive": (b"PK\x03\x04",),
    "a program": (b"\x7fELF", b"MZ"),
    "a GLB model": (b"glTF",),
    "a Blender file": (b"BLENDER",),
    "a damaged JPEG": (b"\xff\xd8",),
    "a damaged PNG": (b"\x89PNG",),
    "a damaged WebP": (b"RIFF",),
}
"""First bytes of common files, for the error message when Pillow does not recognise a file."""
DECODER_ERRORS = (OSError, ValueError, SyntaxError, EOFError, Warning, RuntimeError, MemoryError, LookupError)
"""What Pillow's decoders raise on damaged files. These errors have no common base class."""

pillow_heif.register_heif_opener()
Pillow.MAX_IMAGE_PIXELS = MAX_PIXELS
ImageFile.LOAD_TRUNCATED_IMAGES = False
PngImagePlugin.MAX_TEXT_MEMORY = 4 << 20


@dataclass(frozen=True)
class PhotoInfo:
    """The header of a photo. The size is that of the upright photo, in pixels."""

    width: int
    height: int
    media_type: str


def probe_photo(data: bytes, field: str = "photo") -> PhotoInfo:
    """Read the header of a photo and check it, without decoding the pixels.

    Args:
        field: path of the field in error messages.

    Raises:
        InvalidInput: the file is empty, too large, animated or in an unsupported format, or its width or height is
            out of range.
    """
    with _opened(data, field) as picture:
        return _check_header(picture, field)


def read_photo(data: bytes, field: str = "photo", max_side: int | None = None) -> Image:
    """Decode a photo: rotated upright, converted to sRGB, transparent pixels composited on white.

    Args:
        field: path of the field in error messages.
        max_side: shrink the photo so that its longer side has at most this many pixels.

    Returns:
        [H, W, 3] uint8.

    Raises:
        InvalidInput: see ``probe_photo``; also if the file is damaged.
    """
    with _opened(data, field) as picture:
        info = _check_header(picture, field)
        if max_side is not None and info.media_type == JPEG and picture.mode in ("L", "RGB"):
            picture.draft(None, (max_side, max_side))  # decodes at the next larger power-of-two fraction
        picture.load()
        profile = picture.info.get("icc_profile")
        upright = ImageOps.exif_transpose(picture)
        srgb = np.asarray(_on_white(_to_srgb(_to_eight_bit(upright), profile)))
    if max_side is not None and max(srgb.shape[:2]) > max_side:
        scale = max_side / max(info.width, info.height)
        size = (max(1, round(info.width * scale)), max(1, round(info.height * scale)))
        srgb = cv2.resize(srgb, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(srgb, dtype=np.uint8)


def focal_length_35mm(data: bytes, field: str = "photo") -> float:
    """Return the 35 mm equivalent focal length in millimetres from the EXIF data, or 0 if it is missing."""
    with _opened(data, field) as picture:
        focal = picture.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm)
    return float(focal) if isinstance(focal, int | float) and 0 < focal < MAX_FOCAL_LENGTH_MM else 0.0


@contextmanager
def _opened(data: bytes, field: str) -> Iterator[Pillow.Image]:
    """Open a photo. Errors of Pillow in this context become InvalidInput."""
    if not data:
        raise InvalidInput(field, f"the file is empty; {ALLOWED}")
    if len(data) > MAX_BYTES:
        raise InvalidInput(field, f"{len(data)} bytes are too many; a photo may have at most {MAX_BYTES} bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Pillow.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP", "HEIF")) as picture:
                yield picture
    except InvalidInput:
        raise
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning):
        raise InvalidInput(field, f"the image has too many pixels; at most {MAX_PIXELS} are allowed") from None
    except UnidentifiedImageError:
        raise InvalidInput(field, f"the file is {_guess_type(data)}; {ALLOWED}") from None
    except DECODER_ERRORS as error:
        raise InvalidInput(field, f"the file is damaged ({type(error).__name__}); upload it again") from None


def _check_header(picture: Pillow.Image, field: str) -> PhotoInfo:
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise InvalidInput(field, f"{width}×{height} pixels are too many; at most {MAX_PIXELS} are allowed")
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_SIDE:
        rule = f"each side must have {MIN_SIDE} to {MAX_SIDE} pixels"
        raise InvalidInput(field, f"{width}×{height} pixels are not allowed; {rule}")
    if picture.format not in ("MPO", "HEIF") and getattr(picture, "is_animated", False):
        raise InvalidInput(field, "the image is animated; upload a single frame")
    if picture.getexif().get(ExifTags.Base.Orientation, 1) in QUARTER_TURNS:
        width, height = height, width
    return PhotoInfo(width, height, MEDIA_TYPES[picture.format or "JPEG"])


def _to_eight_bit(picture: Pillow.Image) -> Pillow.Image:
    """Convert 16-bit, palette, 1-bit and premultiplied images to 8-bit channels."""
    if picture.mode.startswith("I") or picture.mode == "F":  # 16-bit grey, which Pillow's own conversion would clip
        values = np.asarray(picture).astype(np.float32)
        return Pillow.fromarray(np.round(values / 257.0).clip(0, 255).astype(np.uint8))
    if picture.mode in ("P", "PA", "1"):
        return picture.convert("RGBA" if "transparency" in picture.info or picture.mode == "PA" else "RGB")
    return picture.convert(picture.mode.upper()) if picture.mode in ("La", "RGBa") else picture


def _to_srgb(picture: Pillow.Image, profile: bytes | None) -> Pillow.Image:
    """Convert an 8-bit image to RGB or RGBA in sRGB. A damaged or unsuitable ICC profile is ignored."""
    if profile:
        try:
            return _apply_profile(picture, profile)
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
    if picture.mode in ("RGB", "RGBA"):
        return picture
    return picture.convert("RGBA" if picture.mode == "LA" else "RGB")


def _apply_profile(picture: Pillow.Image, profile: bytes) -> Pillow.Image:
    """Convert an image from its ICC profile to RGB or RGBA in sRGB."""
    source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    has_grey_alpha = picture.mode == "LA"  # LittleCMS does not support grey with alpha
    colors = picture.convert("L") if has_grey_alpha else picture
    mode = "RGBA" if picture.mode == "RGBA" else "RGB"
    converted = ImageCms.profileToProfile(colors, source, target, outputMode=mode)
    if converted is None:
        raise ValueError("the profile was not applied")
    if has_grey_alpha:
        converted.putalpha(picture.getchannel("A"))
    return converted


def _on_white(picture: Pillow.Image) -> Pillow.Image:
    if picture.mode != "RGBA":
        return picture
    white = Pillow.new("RGBA", picture.size, (255, 255, 255, 255))
    return Pillow.alpha_composite(white, picture).convert("RGB")


def _guess_type(data: bytes) -> str:
    """Describe the type of a file that Pillow does not recognise."""
    for description, signatures in SIGNATURES.items():
        if data.startswith(signatures):
            return description
    if data[:1024].lstrip().lower().startswith((b"<svg", b"<?xml")):
        return "an SVG or XML file"
    return "a damaged HEIC, or a video" if data[4:8] == b"ftyp" else "not an image"


def encode_image(image: Image | NDArray[np.uint16], format: ImageFormat, field: str = "format") -> bytes:
    """Encode an image without metadata. The same input gives the same bytes.

    Args:
        image: [H, W], [H, W, 3] (RGB) or [H, W, 4] (RGBA) uint8; or [H, W] uint16, only as PNG.
        field: path of the format's field in error messages.

    Raises:
        InvalidInput: the image is too large for WebP.
    """
    options = [cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION]
    if format is ImageFormat.WEBP:
        height, width = image.shape[:2]
        if max(height, width) > WEBP_MAX_SIDE:
            rule = f"at most {WEBP_MAX_SIDE} per side; use PNG"
            raise InvalidInput(field, f"{width}×{height} pixels are too many for WebP, {rule}")
        options = [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY]
    # OpenCV encodes BGR or BGRA.
    bgr = image if image.ndim == 2 else np.ascontiguousarray(image[..., [2, 1, 0, 3][: image.shape[2]]])
    encoded, data = cv2.imencode(f".{format.value}", bgr, options)
    if not encoded:
        raise InvalidInput(field, f"an image of shape {image.shape} cannot be encoded as {format.value}")
    return data.tobytes()
