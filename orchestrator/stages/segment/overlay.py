"""A photo with its masks drawn over it, for people."""

from __future__ import annotations

import colorsys
import hashlib
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from orchestrator.domain.images import Image

MAX_SIDE = 1600
"""The overlay is for a screen, not for measuring."""
Rectangle = tuple[int, int, int, int]
"""Left, top, right, bottom."""
TINT, DIM = 0.45, 0.75
LABELS_TALL = 34
"""Lines of labels that would fill the picture."""


def draw_masks(photo_srgb: Image, masks: Sequence[tuple[str, str, Image]]) -> Image:
    """[h, w, 3] uint8: the photo dimmed, each mask tinted, outlined and labelled.

    Args:
        photo_srgb: [H, W, 3] uint8.
        masks: (name, label, [H, W] uint8 mask); a name always has the same colour; '' is no label.
    """
    height, width = photo_srgb.shape[:2]
    scale = min(1.0, MAX_SIDE / max(height, width))
    size = (round(width * scale), round(height * scale))
    small = cv2.resize(photo_srgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    picture = small * DIM
    scaled = [
        (name, label, np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.uint8))
        for name, label, mask in masks
    ]
    for name, _, mask in scaled:
        share = (mask.astype(np.float32) / 255)[..., None]
        picture += share * (small * (1 - TINT) + np.array(color_of(name), np.float32) * TINT - picture)
    drawn = np.ascontiguousarray(np.round(picture.clip(0, 255)), np.uint8)
    line = max(1, round(max(size) / 500))
    for name, _, mask in scaled:
        contours, _ = cv2.findContours((mask > 127).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        long = [contour for contour in contours if len(contour) > max(size) / 20]
        cv2.drawContours(drawn, long, -1, color_of(name), line, cv2.LINE_AA)
    return _labelled(drawn, scaled)


def color_of(name: str) -> tuple[int, int, int]:
    """The colour of a component's name, the same in every picture."""
    hue = int.from_bytes(hashlib.sha256(name.encode()).digest()[:2]) / 65536
    red, green, blue = colorsys.hls_to_rgb(hue, 0.55, 0.85)
    return round(red * 255), round(green * 255), round(blue * 255)


def _labelled(drawn: Image, masks: Sequence[tuple[str, str, Image]]) -> Image:
    page = Pillow.fromarray(drawn)
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(max(12, max(page.size) // LABELS_TALL))
    taken: list[Rectangle] = []
    for name, label, mask in masks:
        solid = (mask > 127).astype(np.uint8)
        if not label or not solid.any():
            continue
        # The point farthest from the mask's edge is always on the mask, unlike its centre of mass.
        y, x = np.unravel_index(int(cv2.distanceTransform(solid, cv2.DIST_L2, 3).argmax()), solid.shape)
        left, top, right, bottom = pen.textbbox((0, 0), label, font)
        width, height = round(right - left) + 14, round(bottom - top) + 10
        x0 = int(np.clip(x - width / 2, 2, max(2, page.width - width - 2)))
        y0 = int(np.clip(y - height / 2, 2, max(2, page.height - height - 2)))
        y0 = _free((x0, y0, x0 + width, y0 + height), taken, page.height)
        taken.append((x0, y0, x0 + width, y0 + height))
        pen.rounded_rectangle((x0, y0, x0 + width, y0 + height), 5, (24, 22, 20), outline=color_of(name), width=2)
        pen.text((x0 + 7 - left, y0 + 5 - top), label, (255, 255, 255), font)
    return np.asarray(page)


def _free(label: Rectangle, taken: Sequence[Rectangle], room: int) -> int:
    """The top nearest to that of ``label`` at which it hides none of ``taken``; its own where there is none."""
    left, top, right, bottom = label
    beside = [(upper, lower) for other, upper, beyond, lower in taken if left < beyond and other < right]
    height = bottom - top
    tops = sorted(range(room - height), key=lambda tried: abs(tried - top))
    return next((one for one in tops if all(one >= lower or one + height <= upper for upper, lower in beside)), top)
