"""Decodes untrusted photos and encodes images."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFile, UnidentifiedImageError

from orchestrator.domain.images import Image, ImageFormat
from orchestrator.errors import InvalidInput
from orchestrator.imaging import photo_colors
from orchestrator.imaging.photo_files import bmp, exif, isobmff, jpeg, png, tiff
from orchestrator.imaging.photo_files.limits import MAX_BYTES, MAX_PIXELS, check_size
from orchestrator.imaging.photo_files.photo_file import PhotoFile, PhotoFormat, damaged
from orchestrator.imaging.photo_files.signatures import ALLOWED, identify

WHITE = 255
BLACK = 0
WEBP_MAX_SIDE = 16_383
"""Longest side that the WebP format supports."""
WEBP_QUALITY = 92
"""Not tuned."""
PNG_COMPRESSION = 1
"""zlib level. It takes a tenth of the time of level 6, and the files are about a tenth larger."""
READERS: dict[PhotoFormat, Callable[[bytes, str], PhotoFile]] = {
    PhotoFormat.JPEG: jpeg.read_jpeg,
    PhotoFormat.PNG: png.read_png,
    PhotoFormat.AVIF: isobmff.read_avif,
    PhotoFormat.HEIF: isobmff.read_heic,
    PhotoFormat.TIFF: tiff.read_tiff,
    PhotoFormat.BMP: bmp.read_bmp,
    PhotoFormat.WEBP: lambda data, _: PhotoFile(PhotoFormat.WEBP, data),
}
"""Separates pixels and metadata, by format."""
TURNS = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}
"""The transformation that turns a photo upright, by EXIF orientation."""
DECODER_ERRORS = (
    *(OSError, ValueError, SyntaxError, EOFError, Warning, RuntimeError, LookupError),
    *(TypeError, AttributeError, ArithmeticError, AssertionError, struct.error, zlib.error),
)
"""What Pillow's decoders raise on damaged files. These errors have no common base class."""

pillow_heif.register_heif_opener()
Pillow.MAX_IMAGE_PIXELS = MAX_PIXELS
ImageFile.LOAD_TRUNCATED_IMAGES = False
# Pillow warns about metadata, and about sizes that are refused here. ``warnings.catch_warnings`` is not thread-safe.
warnings.filterwarnings("ignore", module=r"PIL\b")


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
    file = _read_file(data, field)
    with _opened(file, field) as picture:
        return _info(picture, file)


def read_photo(data: bytes, field: str = "photo", max_side: int | None = None, backdrop: int = WHITE) -> Image:
    """Decode a photo: the first page, rotated upright, converted to sRGB.

    Args:
        field: path of the field in error messages.
        max_side: shrink the photo so that its longer side has at most this many pixels.
        backdrop: grey level on which transparent pixels are composited.

    Returns:
        [H, W, 3] uint8.

    Raises:
        InvalidInput: see ``probe_photo``; also if the file is damaged, or if some of its pixels are missing.
    """
    file = _read_file(data, field)
    with _opened(file, field) as picture:
        info = _info(picture, file)
        if max_side is not None and file.format is PhotoFormat.JPEG and picture.mode in ("L", "RGB"):
            picture.draft(None, (max_side, max_side))  # decodes at the next larger power-of-two fraction
        picture.load()
        if file.format is PhotoFormat.JPEG:
            jpeg.check_arrived(file, picture, field)
        if file.format is PhotoFormat.PNG:
            png.check_arrived(file, picture, field)
        turn = TURNS.get(_orientation(picture, file))
        rgb = photo_colors.to_srgb(picture, file, backdrop)
        srgb = np.asarray(rgb if turn is None else rgb.transpose(turn))
    if max_side is not None and max(srgb.shape[:2]) > max_side:
        scale = max_side / max(info.width, info.height)
        size = (max(1, round(info.width * scale)), max(1, round(info.height * scale)))
        srgb = cv2.resize(srgb, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(srgb, dtype=np.uint8)


def read_channels(data: bytes, field: str = "photo") -> tuple[Image, str]:
    """Decode the channels of a photo as they are stored: not rotated and without conversion to sRGB.

    Returns:
        [H, W, 4] uint8 RGBA, and Pillow's name of the mode of the file.

    Raises:
        InvalidInput: see ``read_photo``.
    """
    file = _read_file(data, field)
    with _opened(file, field) as picture:
        picture.load()
        return np.asarray(photo_colors.to_eight_bit(picture, file).convert("RGBA")), picture.mode


def focal_length_35mm(data: bytes, field: str = "photo") -> float:
    """Return the 35 mm equivalent focal length in millimetres from the EXIF data, or 0 if it is missing."""
    file = _read_file(data, field)
    metadata = file.exif
    if file.format in (PhotoFormat.WEBP, PhotoFormat.HEIF, PhotoFormat.AVIF):
        try:
            with Pillow.open(io.BytesIO(data), formats=(file.format.name,)) as picture:
                metadata = picture.info.get("exif") or b""
        except (*DECODER_ERRORS, MemoryError, Pillow.DecompressionBombError):
            return 0.0
    return exif.focal_length_35mm(metadata)


def _read_file(data: bytes, field: str) -> PhotoFile:
    if not data:
        raise InvalidInput(field, f"the file is empty; {ALLOWED}")
    if len(data) > MAX_BYTES:
        raise InvalidInput(field, f"{len(data)} bytes are too many; a photo may have at most {MAX_BYTES} bytes")
    return READERS[identify(data, field)](data, field)


@contextmanager
def _opened(file: PhotoFile, field: str) -> Iterator[Pillow.Image]:
    """Open a photo and check its header. Errors of Pillow in this context become InvalidInput."""
    try:
        with Pillow.open(io.BytesIO(file.pixels), formats=(file.format.name,)) as picture:
            check_size(*picture.size, field)
            if file.format is not PhotoFormat.HEIF and getattr(picture, "is_animated", False):
                raise InvalidInput(field, "the image is animated; upload a single frame")
            yield picture
    except Pillow.DecompressionBombError:
        raise InvalidInput(field, f"the image has too many pixels; at most {MAX_PIXELS} are allowed") from None
    except UnidentifiedImageError:
        raise damaged(file.format, "its header is not readable", field) from None
    except MemoryError:
        raise InvalidInput(field, "the image needs too much memory to decode") from None
    except DECODER_ERRORS as error:
        raise damaged(file.format, f"its pixels are not readable ({type(error).__name__})", field) from None


def _info(picture: Pillow.Image, file: PhotoFile) -> PhotoInfo:
    width, height = picture.size
    if _orientation(picture, file) in exif.QUARTER_TURNS:
        width, height = height, width
    return PhotoInfo(width, height, file.format.value)


def _orientation(picture: Pillow.Image, file: PhotoFile) -> int:
    """The EXIF orientation of the decoded pixels."""
    if file.format is PhotoFormat.HEIF:
        return exif.UPRIGHT  # the decoder turns the pixels
    if file.format is PhotoFormat.AVIF:
        # Pillow copies the orientation of the container, which is authoritative, to the EXIF data.
        return exif.orientation(picture.info.get("exif") or b"", b"")
    if file.format is PhotoFormat.WEBP:
        return exif.orientation(picture.info.get("exif") or b"", picture.info.get("xmp") or b"")
    return exif.orientation(file.exif, file.xmp)


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
