"""Cut a board out of a stained photo: the largest rectangle that is all wood, to lay over the wood of a 3D model."""

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
"""The rectangle is looked for at this size: its edges then lie within half a percent of the photo."""
MIN_SHARE = 0.002
"""Of the photo: a smaller board repeats so often over a piece that it looks like a pattern."""


def wood_texture(maps: dict[str, Image], width_m: float, materials: tuple[str, ...], folder: Path) -> WoodTexture:
    """Write the board's maps into ``folder``.

    Args:
        maps: ``albedo`` [H, W, 3] sRGB, ``roughness``, ``height`` and ``wood_mask`` [H, W] uint8, of one stained photo.
        width_m: how wide the whole photo is in truth.
        materials: names of the model's materials that the board replaces; none means the one that covers most of it.

    Raises:
        NoWoodFound: no board in the photo is large enough.
    """
    left, top, right, bottom = largest_rectangle(maps["wood_mask"] > 127)
    height, width = maps["wood_mask"].shape
    share = (right - left) * (bottom - top) / (width * height)
    if share < MIN_SHARE:
        raise NoWoodFound(share=share, minimum=MIN_SHARE)
    paths = {}
    for name in ("albedo", "roughness", "height"):
        paths[name] = folder / f"wood-{name}.png"
        Pillow.fromarray(np.ascontiguousarray(maps[name][top:bottom, left:right])).save(paths[name])
    return WoodTexture(
        albedo=paths["albedo"],
        roughness=paths["roughness"],
        height=paths["height"],
        width_m=width_m * (right - left) / width,
        materials=materials,
    )


def largest_rectangle(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom (exclusive) of the largest upright rectangle inside ``mask`` [H, W].

    The histogram method: for each row, the heights of the columns of set pixels above it, and the largest rectangle
    under them with a stack. Empty (all zero) where nothing is set.
    """
    height, width = mask.shape
    scale = min(1.0, SEARCH_SIDE_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Only pixels that are wood all through count, so that the enlarged rectangle holds nothing else.
    small = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.999
    best, found = 0, (0, 0, 0, 0)
    columns = np.zeros(size[0] + 1, np.int64)  # the last stays 0 and empties the stack
    for row in range(size[1]):
        columns[:-1] = np.where(small[row], columns[:-1] + 1, 0)
        stack: list[tuple[int, int]] = []
        for column, tall in enumerate(columns.tolist()):
            start = column
            while stack and stack[-1][1] >= tall:
                start, before = stack.pop()
                if before * (column - start) > best:
                    best = before * (column - start)
                    found = (start, row + 1 - before, column, row + 1)
            stack.append((start, tall))
    left, top, right, bottom = found
    across, down = width / size[0], height / size[1]
    return (int(np.ceil(left * across)), int(np.ceil(top * down)), int(right * across), int(bottom * down))
