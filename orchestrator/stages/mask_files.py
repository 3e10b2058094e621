"""Checks and reads the files of masks that callers edited."""

from __future__ import annotations

import cv2
import numpy as np

from orchestrator.decoding.photos import inspect_mask
from orchestrator.domain.images import Image
from orchestrator.errors import InvalidInput
from orchestrator.stages import intake


def check_edited_mask(data: bytes, field: str, *, tenant: str = "") -> None:
    """Raise InvalidInput, which names ``field``, if an uploaded mask has colours or transparent pixels.

    Paint programs may save a grey picture as RGB or RGBA. It is accepted if its channels are equal and it is opaque.
    """
    rule = "save it as a greyscale image without transparency, white inside the part and black outside"
    mask = inspect_mask(data, field, tenant)
    if mask.is_transparent:
        raise InvalidInput(field, f"the mask has transparent pixels (mode {mask.mode}); {rule}")
    if mask.is_colored:
        raise InvalidInput(field, f"the mask has colours (mode {mask.mode}); {rule}")


def read_mask_of_size(data: bytes, field: str, size: tuple[int, int], *, tenant: str = "") -> Image:
    """Decode a mask as [H, W] uint8 of the ``size`` (width, height), which may differ from that of the file."""
    mask = intake.read_mask(data, field, tenant=tenant)
    if (mask.shape[1], mask.shape[0]) == size:
        return mask
    shrinks = mask.shape[1] > size[0]
    resized = cv2.resize(mask, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)
