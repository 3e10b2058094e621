"""Draws masks over a photo."""

from __future__ import annotations

import colorsys
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from orchestrator.domain.images import Image
from orchestrator.imaging.filters import shrink, to_float

MAX_SIDE = 1600
"""Longest side of the overlay, which is meant for a screen."""
TINT = 0.45
"""Opacity of a mask's colour."""
DIM = 0.75
"""Brightness of the photo outside the masks."""
LABELS_PER_SIDE = 34
"""The font size is the longer side of the overlay, divided by this number."""

Rectangle = tuple[int, int, int, int]
"""Left, top, right, bottom."""


@dataclass(frozen=True)
class LabeledMask:
    """A mask to draw."""

    name: str  # determines the colour
    label: str  # '' draws no label
    mask: Image  # [H, W] uint8

    @property
    def color(self) -> tuple[int, int, int]:
        """RGB colour, which is the same for a name in every image."""
        hue = int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:2]) / 65536
        red, green, blue = colorsys.hls_to_rgb(hue, 0.55, 0.85)
        return round(red * 255), round(green * 255), round(blue * 255)


def draw_masks(photo_srgb: Image, masks: Sequence[LabeledMask]) -> Image:
    """Dim the photo, and tint, outline and label each mask.

    Args:
        photo_srgb: [H, W, 3] uint8.
        masks: masks of the size of the photo.

    Returns:
        [h, w, 3] uint8, at most ``MAX_SIDE`` pixels long.
    """
    small = shrink(photo_srgb, MAX_SIDE).astype(np.float32)
    tinted = small * DIM
    small_masks = [replace(mask, mask=shrink(mask.mask, MAX_SIDE)) for mask in masks]
    for mask in small_masks:
        opacity = to_float(mask.mask)[..., None]
        tinted += opacity * (small * (1 - TINT) + np.array(mask.color, np.float32) * TINT - tinted)
    overlay = np.ascontiguousarray(np.round(tinted.clip(0, 255)), np.uint8)
    long_side = max(overlay.shape[:2])
    for mask in small_masks:
        contours, _ = cv2.findContours((mask.mask > 127).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        long_contours = [contour for contour in contours if len(contour) > long_side / 20]
        cv2.drawContours(overlay, long_contours, -1, mask.color, max(1, round(long_side / 500)), cv2.LINE_AA)
    return _draw_labels(overlay, small_masks)


def _draw_labels(overlay: Image, masks: Sequence[LabeledMask]) -> Image:
    page = Pillow.fromarray(overlay)
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(max(12, max(page.size) // LABELS_PER_SIDE))
    occupied: list[Rectangle] = []
    for mask in masks:
        solid = (mask.mask > 127).astype(np.uint8)
        if not mask.label or not solid.any():
            continue
        # The point farthest from the edge of the mask is always on the mask, unlike its centre of mass.
        y, x = np.unravel_index(int(cv2.distanceTransform(solid, cv2.DIST_L2, 3).argmax()), solid.shape)
        left, top, right, bottom = pen.textbbox((0, 0), mask.label, font)
        width, height = round(right - left) + 14, round(bottom - top) + 10
        x0 = int(np.clip(x - width / 2, 2, max(2, page.width - width - 2)))
        y0 = int(np.clip(y - height / 2, 2, max(2, page.height - height - 2)))
        y0 = _free_top((x0, y0, x0 + width, y0 + height), occupied, page.height)
        box = (x0, y0, x0 + width, y0 + height)
        occupied.append(box)
        pen.rounded_rectangle(box, 5, (24, 22, 20), outline=mask.color, width=2)
        pen.text((x0 + 7 - left, y0 + 5 - top), mask.label, (255, 255, 255), font)
    return np.asarray(page)


def _free_top(label: Rectangle, occupied: Sequence[Rectangle], page_height: int) -> int:
    """Return the nearest top at which a label overlaps no other label, or its current top if there is no such top."""
    left, top, right, bottom = label
    spans = [(other[1], other[3]) for other in occupied if left < other[2] and other[0] < right]
    height = bottom - top
    for y in sorted(range(page_height - height), key=lambda candidate: abs(candidate - top)):
        if all(y >= other_bottom or y + height <= other_top for other_top, other_bottom in spans):
            return y
    return top
