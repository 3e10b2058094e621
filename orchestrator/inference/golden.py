"""The golden inputs: three path-traced pictures of furniture that come with Heartwood, at two sizes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from orchestrator.domain.images import FloatMap, Image
from orchestrator.inference.letterbox import as_input, fill_square, shrink

PHOTOS = tuple(sorted((Path(__file__).parent.parent / "demo_photos").glob("*.jpg")))
SIDES = (256, 512)


def golden_inputs() -> Iterator[tuple[str, FloatMap]]:
    """Yield a name for people and [1, 3, side, side] float32 sRGB in [0, 1] of each picture at each size."""
    for side in SIDES:
        for photo in PHOTOS:
            yield f"{photo.stem} at {side}", golden_input(photo, side)


def golden_input(photo: Path, side: int) -> FloatMap:
    """[1, 3, side, side] float32 sRGB in [0, 1]."""
    with Pillow.open(photo) as opened:
        pixels: Image = np.asarray(opened.convert("RGB"))
    return as_input(fill_square(shrink(pixels, side), side))
