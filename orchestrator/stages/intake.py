"""The door for pictures and models: what comes in is checked and decoded, what goes out is encoded."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from orchestrator.domain.images import Image, ImageFormat
from orchestrator.imaging.photo import (
    EXIF_IFD,
    FOCAL_LENGTH_35MM,
    MAX_BYTES,
    Photo,
    PhotoInfo,
    encode_image,
    focal_length_35mm,
    probe_photo,
    read_photo,
)
from orchestrator.mesh_files.check import MAX_BYTES as MAX_MESH_BYTES
from orchestrator.mesh_files.check import MeshFileInfo, check_mesh

__all__ = [
    "MAX_BYTES",
    "MAX_MESH_BYTES",
    "MAX_MODEL_BYTES",
    "Photo",
    "PhotoInfo",
    "check_mesh_file",
    "check_model_file",
    "check_photo",
    "encode_result",
    "read_map",
    "read_mask",
    "read_photo",
    "write_photo",
]


def check_photo(data: bytes, field: str) -> PhotoInfo:
    """What the photo is, once all of it could be decoded.

    Raises:
        InvalidInput: it can't be.
    """
    info = probe_photo(data, field)
    read_photo(data, field)
    return info


def read_mask(data: bytes, field: str, max_side: int | None = None) -> Image:
    """[H, W] uint8: the brightness of a picture, white where the mask holds.

    Raises:
        InvalidInput: it can't be decoded.
    """
    srgb = read_photo(data, field, max_side).srgb
    return np.ascontiguousarray(srgb.max(axis=2))


def encode_result(image: Image | NDArray[np.uint16], format: ImageFormat) -> tuple[bytes, str]:
    """The picture's bytes and media type; 16 bits are always PNG."""
    kind = ImageFormat.PNG if image.dtype == np.uint16 else format
    return encode_image(image, kind), f"image/{kind.value}"


def check_mesh_file(data: bytes, filename: str, field: str, *, blender: str = "") -> MeshFileInfo:
    """Validate a 3D file: its structure and paths in this process, its geometry with a real reader in a sandbox.

    Args:
        blender: a ``blender`` executable; the bpy wheel if empty.

    Raises:
        InvalidInput: the file is damaged, too large, of another kind, or refers to files outside itself.
        ToolFailed: the reader of this format is not installed.
    """
    return check_mesh(data, filename, field, blender=blender)


check_model_file = check_mesh_file
MAX_MODEL_BYTES = MAX_MESH_BYTES


def read_map(data: bytes) -> Image:
    """[H, W] or [H, W, 3] uint8: a map that a stain job wrote; 16 bits lose their lower half."""
    picture = Pillow.open(io.BytesIO(data))
    values = np.asarray(picture)
    if values.dtype != np.uint8:
        values = np.round(values.astype(np.float32) / 257.0).astype(np.uint8)
    return values


def write_photo(srgb: Image, original: bytes, target: Path, size: tuple[int, int]) -> Path:
    """Write a picture as a JPEG of ``size`` that tells structure from motion the lens of the original.

    Args:
        srgb: [H, W, 3] uint8, upright: the photo itself, or what a stage made of it.
        original: the photo's file; of its EXIF the focal length is kept and nothing else.
    """
    upright = Pillow.fromarray(srgb)
    if upright.size != size:
        upright = upright.resize(size, Pillow.Resampling.LANCZOS)
    exif = Pillow.Exif()
    focal = focal_length_35mm(original)
    if focal:
        exif.get_ifd(EXIF_IFD)[FOCAL_LENGTH_35MM] = round(focal)
    scratch = target.with_name(f".{target.name}.part")
    upright.save(scratch, "JPEG", quality=97, subsampling=0, exif=exif)
    scratch.replace(target)
    return target
