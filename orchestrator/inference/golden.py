"""The golden inputs: three path-traced images at two sizes, used to compare a candidate with the serving version."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from orchestrator.domain.images import FloatMap, Image
from orchestrator.imaging.filters import shrink
from orchestrator.inference.letterbox import pad_to_square, to_model_input

PHOTOS = tuple(sorted((Path(__file__).parent.parent / "demo_photos").glob("*.jpg")))
SIDES = (256, 512)
"""Sides of the square inputs, in pixels."""


def golden_inputs() -> Iterator[tuple[str, FloatMap]]:
    """Yield a display name and an input tensor for every photo at every size; see ``golden_input``."""
    for side in SIDES:
        for photo in PHOTOS:
            yield f"{photo.stem} at {side}", golden_input(photo, side)


def golden_input(photo: Path, side: int) -> FloatMap:
    """Return the photo as a model input: [1, 3, side, side] float32, sRGB in [0, 1]."""
    with Pillow.open(photo) as file:
        pixels: Image = np.asarray(file.convert("RGB"))
    return to_model_input(pad_to_square(shrink(pixels, side), side))
