"""Cuts a board out of a stained photo: the largest rectangle of wood, to be used as the texture of a 3D model."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from orchestrator.domain.images import Image
from orchestrator.errors import NoWoodFound
from orchestrator.stages.render.turntable import WoodTexture

SEARCH_SIDE_PX = 256
"""Longer side of the mask in which the rectangle is searched. Its edges are accurate to half a percent of the photo."""
MIN_SHARE = 0.002
"""Minimum area of the board as a share of the photo. A smaller board visibly repeats on a piece. Not tuned."""


def wood_texture(maps: dict[str, Image], width_m: float, materials: tuple[str, ...], folder: Path) -> WoodTexture:
    """Find the board in a stained photo and write its maps to ``folder``.

    Args:
        maps: the maps of one stained photo: ``albedo`` [H, W, 3] uint8 sRGB; ``roughness``, ``height`` and
            ``wood_mask`` [H, W] uint8.
        width_m: physical width of the whole photo.
        materials: see ``WoodTexture``.

    Raises:
        NoWoodFound: the largest board is smaller than MIN_SHARE of the photo.
    """
    left, top, right, bottom = largest_rectangle(maps["wood_mask"] > 127)
    height, width = maps["wood_mask"].shape
    share = (right - left) * (bottom - top) / (width * height)
    if share < MIN_SHARE:
        raise NoWoodFound(share=share, minimum=MIN_SHARE)
    paths = {name: folder.resolve() / f"wood-{name}.png" for name in ("albedo", "roughness", "height")}
    for name, path in paths.items():
        Pillow.fromarray(np.ascontiguousarray(maps[name][top:bottom, left:right])).save(path)
    return WoodTexture(**paths, width_m=width_m * (right - left) / width, materials=materials)


def largest_rectangle(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom (exclusive) of the largest axis-aligned rectangle inside ``mask`` [H, W].

    All four are 0 if no pixel is set. For each row, the columns of set pixels that end in the row form a histogram. A
    stack finds the largest rectangle under it in linear time.
    """
    height, width = mask.shape
    scale = min(1.0, SEARCH_SIDE_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # A pixel of the small mask counts only if all of its original pixels are set.
    small = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.999
    largest_area, largest = 0, (0, 0, 0, 0)
    heights = np.zeros(size[0] + 1, np.int64)  # the last stays 0, so that every row empties the stack
    for row in range(size[1]):
        heights[:-1] = np.where(small[row], heights[:-1] + 1, 0)
        stack: list[tuple[int, int]] = []  # (first column, height) of open rectangles, in order of height
        for column, column_height in enumerate(heights.tolist()):
            start = column
            while stack and stack[-1][1] >= column_height:
                start, open_height = stack.pop()
                if open_height * (column - start) > largest_area:
                    largest_area = open_height * (column - start)
                    largest = (start, row + 1 - open_height, column, row + 1)
            stack.append((start, column_height))
    left, top, right, bottom = largest
    scale_x, scale_y = width / size[0], height / size[1]
    return (int(np.ceil(left * scale_x)), int(np.ceil(top * scale_y)), int(right * scale_x), int(bottom * scale_y))
