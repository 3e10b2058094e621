"""Validates and decodes uploaded photos and 3D models, and encodes result images."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags
from PIL import Image as Pillow

from orchestrator.domain.images import Image, ImageFormat
from orchestrator.imaging.photo import (
    BLACK,
    PhotoInfo,
    encode_image,
    focal_length_35mm,
    probe_photo,
    read_photo,
)
from orchestrator.imaging.photo_files.limits import MAX_BYTES
from orchestrator.mesh_files.check import MAX_BYTES as MAX_MESH_BYTES
from orchestrator.mesh_files.check import check_mesh

# Re-exported, because jobs and commands use ``imaging`` and ``mesh_files`` only through the stages.
__all__ = ["MAX_BYTES", "MAX_MESH_BYTES", "check_mesh", "read_photo"]

JPEG_QUALITY = 97
"""Quality of the photos for reconstruction. Not tuned."""


def check_photo(data: bytes, field: str) -> PhotoInfo:
    """Decode the whole photo to validate it, and return its header. Errors name ``field``; see ``read_photo``."""
    info = probe_photo(data, field)
    read_photo(data, field)
    return info


def read_mask(data: bytes, field: str, max_side: int | None = None) -> Image:
    """Decode an image as a [H, W] uint8 mask, the maximum of its channels. See ``read_photo``.

    White is inside. Black and transparent pixels are outside.
    """
    return np.ascontiguousarray(read_photo(data, field, max_side, backdrop=BLACK).max(axis=2))


def encode_result(image: Image | NDArray[np.uint16], format: ImageFormat, field: str = "format") -> tuple[bytes, str]:
    """Encode an image and return its bytes and media type. See ``encode_image``.

    16-bit images are always encoded as PNG, because WebP has 8 bits.
    """
    file_format = ImageFormat.PNG if image.dtype == np.uint16 else format
    return encode_image(image, file_format, field), f"image/{file_format.value}"


def read_map(data: bytes) -> Image:
    """Decode a map from a stain job to [H, W] or [H, W, 3] uint8. 16-bit maps are reduced to 8 bits."""
    values = np.asarray(Pillow.open(io.BytesIO(data)))
    if values.dtype != np.uint8:
        values = np.round(values.astype(np.float32) / 257.0).astype(np.uint8)
    return values


def write_photo(srgb: Image, original: bytes, target: Path, size: tuple[int, int]) -> Path:
    """Write an image as a JPEG with the focal length of the original photo, for structure from motion.

    Args:
        srgb: [H, W, 3] uint8, upright: the photo itself or a stage's version of it.
        original: the photo's file. Only the focal length is copied from its EXIF data.
        target: path of the JPEG, which is also returned.
        size: width and height of the JPEG.
    """
    upright = Pillow.fromarray(srgb)
    if upright.size != size:
        upright = upright.resize(size, Pillow.Resampling.LANCZOS)
    exif = Pillow.Exif()
    focal = focal_length_35mm(original)
    if focal:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = round(focal)
    scratch = target.with_name(f".{target.name}.part")
    upright.save(scratch, "JPEG", quality=JPEG_QUALITY, subsampling=0, exif=exif)
    scratch.replace(target)
    return target
