"""Validates and decodes uploaded photos and 3D models, and encodes result images."""

from __future__ import annotations

import io
import threading
from concurrent.futures import Future
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags
from PIL import Image as Pillow

from orchestrator.decoding import photos
from orchestrator.decoding.photos import DecodedPhoto, check_photo_here
from orchestrator.decoding.pool import decode_pool
from orchestrator.domain.assets import FileInfo
from orchestrator.domain.images import Image, ImageFormat
from orchestrator.imaging.photo import encode_image
from orchestrator.imaging.photo_files.limits import MAX_BYTES
from orchestrator.mesh_files.check import MAX_BYTES as MAX_MESH_BYTES
from orchestrator.mesh_files.check import check_mesh, check_mesh_here

# Re-exported, because jobs and commands use ``imaging`` and ``mesh_files`` only through the stages.
__all__ = ["MAX_BYTES", "MAX_MESH_BYTES", "check_mesh"]

JPEG_QUALITY = 97
"""Quality of the photos for reconstruction. Not tuned."""


def start_check(
    file: Path, kind: str, filename: str, field: str, tenant: str, canceled: threading.Event, blender: str
) -> Future[FileInfo]:
    """Queue the check of an uploaded file, which decodes a photo or mask completely, and reads a 3D model.

    Args:
        kind: photo, mask or model.
        field: of the API, for the InvalidInput that the future has if the file is refused.
        canceled: is set when the result is not needed any more.

    Raises:
        ResourceExhausted: too many files wait to be checked.
    """

    def check_model() -> FileInfo:
        info = check_mesh_here(file, filename, field, blender=blender)
        return FileInfo(info.media_type, "zip" if info.is_archive else info.format.value)

    def check_photo() -> FileInfo:
        info = check_photo_here(file, field, canceled)
        return FileInfo(info.media_type, width=info.width, height=info.height)

    pool = decode_pool()
    return pool.meshes.submit(tenant, check_model) if kind == "model" else pool.photos.submit(tenant, check_photo)


def read_photo(data: bytes, field: str = "photo", max_side: int | None = None, *, tenant: str = "") -> Image:
    """Decode a photo as [H, W, 3] uint8 sRGB, upright, in a process with limits.

    Args:
        max_side: shrink the photo so that its longer side has at most this many pixels.
        tenant: whose photo it is. The processes serve the tenants in turn.

    Raises:
        InvalidInput: see ``imaging.photo.read_photo``; also if decoding needs too much memory or CPU time.
        ResourceExhausted: the machine is overloaded.
    """
    return decode_photo(data, field, max_side, tenant=tenant).srgb


def decode_photo(data: bytes, field: str = "photo", max_side: int | None = None, *, tenant: str = "") -> DecodedPhoto:
    """Like ``read_photo``, with the focal length in the metadata."""
    return photos.decode_photo(data, field, max_side, tenant)


def read_mask(data: bytes, field: str, max_side: int | None = None, *, tenant: str = "") -> Image:
    """Decode an image as a [H, W] uint8 mask, the maximum of its channels. See ``read_photo``.

    White is inside. Black and transparent pixels are outside.
    """
    return photos.decode_mask(data, field, max_side, tenant)


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


def write_photo(srgb: Image, focal_length_mm: float, target: Path, size: tuple[int, int]) -> Path:
    """Write an image as a JPEG with the focal length of the photo, for structure from motion.

    Args:
        srgb: [H, W, 3] uint8, upright: the photo itself or a stage's version of it.
        focal_length_mm: 35 mm equivalent; 0 if it is unknown.
        target: path of the JPEG, which is also returned.
        size: width and height of the JPEG.
    """
    upright = Pillow.fromarray(srgb)
    if upright.size != size:
        upright = upright.resize(size, Pillow.Resampling.LANCZOS)
    exif = Pillow.Exif()
    if focal_length_mm:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = round(focal_length_mm)
    scratch = target.with_name(f".{target.name}.part")
    upright.save(scratch, "JPEG", quality=JPEG_QUALITY, subsampling=0, exif=exif)
    scratch.replace(target)
    return target
