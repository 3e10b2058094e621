"""The door for pictures: what comes in is checked and decoded, what goes out is encoded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain import Image, ImageFormat
from orchestrator.imaging.photo import MAX_BYTES, Photo, PhotoInfo, encode_image, probe_photo, read_photo

__all__ = ["MAX_BYTES", "Photo", "PhotoInfo", "check_photo", "encode_result", "read_mask", "read_photo"]


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
