"""Reads and checks the photo and the mask of a single-image reconstruction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PillowImage

from orchestrator.domain.images import Image
from orchestrator.errors import InvalidInput
from orchestrator.imaging.filters import shrink

FIELD = "reconstruct.upload_id"
"""The request field that errors refer to."""
MIN_MASK_SHARE = 0.002
"""Minimum share of the photo that the piece covers. A smaller piece shows too little to reconstruct."""
MIN_COMPONENT_SHARE = 0.01
"""Disconnected parts of the mask that cover a smaller share of the piece's area are noise. Not tuned."""
MIN_HOLE_SHARE = 0.0005
"""Holes in the mask that cover a smaller share of the piece's area are noise. Not tuned."""


@dataclass(frozen=True)
class SinglePhoto:
    """The photo of a piece and its mask, of the same size."""

    photo_srgb: Image  # [H, W, 3] uint8
    color_srgb: Image  # [H, W, 3] uint8, gives the texture; the photo itself, or a stained version of it
    mask: Image  # [H, W] uint8, 255 on the piece, without noise

    def reduced(self, max_side: int) -> SinglePhoto:
        """Return the photo with a longer side of at most ``max_side`` pixels."""
        return SinglePhoto(*(shrink(image, max_side) for image in (self.photo_srgb, self.color_srgb, self.mask)))


def read_photo(photo: Path, mask: Path, color_photo: Path | None) -> SinglePhoto:
    """Read the files. Raises InvalidInput if their sizes differ, the piece is too small, or it touches all borders."""
    mask_image = _read(mask, "L")
    photo_srgb = _read_rgb(photo, mask_image)
    cleaned_mask = _remove_noise(mask_image)
    share = float((cleaned_mask > 0).mean())
    if share < MIN_MASK_SHARE:
        raise InvalidInput(
            FIELD,
            f"the piece covers {share:.2%} of the photo, at least {MIN_MASK_SHARE:.1%} is required; take a photo that "
            "shows one piece of furniture larger, in front of a plain background",
        )
    if all(touched_borders(mask_image)):
        raise InvalidInput(
            FIELD,
            "the piece touches all four borders of the photo, so its outline is not visible; take a photo that shows "
            "the whole piece with space around it",
        )
    color_srgb = _read_rgb(color_photo, mask_image) if color_photo else photo_srgb
    return SinglePhoto(photo_srgb, color_srgb, cleaned_mask)


def touched_borders(mask: Image) -> list[bool]:
    """Return whether the piece touches the left, right, top and bottom border."""
    return [bool((line > 127).any()) for line in (mask[:, 0], mask[:, -1], mask[0], mask[-1])]


def _remove_noise(mask: Image) -> Image:
    """Return the mask [H, W] without small components and holes, which would change the outline of the piece."""
    binary = (mask > 127).astype(np.uint8)
    for value, min_share in ((1, MIN_COMPONENT_SHARE), (0, MIN_HOLE_SHARE)):
        same_value = (binary == value).astype(np.uint8)
        _, components, stats, _ = cv2.connectedComponentsWithStats(same_value, connectivity=4)
        small = np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] < min_share * int(binary.sum())) + 1
        binary[np.isin(components, small)] = 1 - value
    return binary * np.uint8(255)


def _read(path: Path, mode: str) -> Image:
    with PillowImage.open(path) as opened:
        return np.asarray(opened.convert(mode))


def _read_rgb(path: Path, mask: Image) -> Image:
    image = _read(path, "RGB")
    if mask.shape != image.shape[:2]:
        raise InvalidInput(
            FIELD,
            f"the mask has {mask.shape[1]} × {mask.shape[0]} pixels, the photo {image.shape[1]} × {image.shape[0]}; "
            "the sizes must be equal",
        )
    return image
