"""Draws one page with the results for a photo: the segmentation, the texture maps and four stains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from math import prod
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from orchestrator.domain.images import Image

WIDTH = 2400
HEIGHT = 1350
TOP = 132  # upper edge of the images; all sizes and positions are in pixels
BOTTOM = 1306  # lower edge of the lowest captions
MARGIN = 70  # minimum distance of the blocks from the left and right edges of the page
GAP = 22  # between images
BLOCK_GAP = 48  # between the left and the right block
CAPTION_HEIGHT = 46
PAPER = (250, 248, 244)
INK = (40, 34, 29)
GREY_INK = (132, 122, 112)
TITLE_SIZE = 44
CAPTION_SIZE = 25
MAP_CAPTION_SIZE = 20
CORNER_RADIUS = 10

Pair = tuple[int, int]
"""Width and height, x and y, or columns and rows."""


class StainedPicture(NamedTuple):
    """One stain on the page."""

    label: str
    hex: str  # '#RRGGBB'
    picture_srgb: Image


class _Layout(NamedTuple):
    """Sizes of the left block (photo above segmentation) and of the right block (a row of maps above the stains)."""

    stain_grid: Pair  # columns and rows
    left_size: Pair  # of one picture
    map_size: Pair
    stain_size: Pair
    right_width: int

    @property
    def weighted_area(self) -> int:
        """Weighted sum of the areas of one photo, one map and one stained picture. The weights are not tuned."""
        return 2 * prod(self.left_size) + 3 * prod(self.map_size) + 6 * prod(self.stain_size)


def contact_sheet(
    photo_srgb: Image, overlay_srgb: Image, maps: Mapping[str, Image], stained: list[StainedPicture], title: str
) -> Image:
    """Return a 16:9 page, [HEIGHT, WIDTH, 3] uint8 sRGB, which shows at most four stains.

    Args:
        overlay_srgb: the photo with the masks, [H, W, 3] uint8 as the photo.
        maps: texture maps by their captions, [H, W, 3] or [H, W] uint8.
    """
    layouts = _layouts(photo_srgb.shape[1] / photo_srgb.shape[0], len(maps))
    layout = max(layouts, key=lambda layout: layout.weighted_area)
    page = Pillow.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(page)
    x = (WIDTH - layout.left_size[0] - BLOCK_GAP - layout.right_width) // 2
    right = x + layout.left_size[0] + BLOCK_GAP
    draw.text((x, 46), title, INK, ImageFont.load_default(TITLE_SIZE))
    subtitle = "one photo in  ·  materials and stains out"
    draw.text((right + layout.right_width, 64), subtitle, GREY_INK, ImageFont.load_default(CAPTION_SIZE), anchor="ra")
    photo_place, overlay_place = _places(x, TOP, (1, 2), layout.left_size)
    _paste(page, photo_srgb, photo_place, layout.left_size, "Photo", CAPTION_SIZE)
    _paste(page, overlay_srgb, overlay_place, layout.left_size, "Parts and materials", CAPTION_SIZE)
    step = (layout.right_width - layout.map_size[0]) // (len(maps) - 1)
    for index, (label, picture) in enumerate(maps.items()):
        _paste(page, picture, (right + index * step, TOP), layout.map_size, label, MAP_CAPTION_SIZE)
    stains_left = right + (layout.right_width - _row_width(layout.stain_grid[0], layout.stain_size[0])) // 2
    places = _places(stains_left, TOP + layout.map_size[1] + CAPTION_HEIGHT, layout.stain_grid, layout.stain_size)
    for stain, place in zip(stained, places, strict=False):
        _paste(page, stain.picture_srgb, place, layout.stain_size, stain.label, CAPTION_SIZE, stain.hex)
    return np.asarray(page, np.uint8)


def _layouts(aspect: float, map_count: int) -> Iterator[_Layout]:
    """Yield the layouts that fit on the page, for photos of the aspect ratio ``aspect`` (width / height)."""
    page_width, page_height = WIDTH - 2 * MARGIN - BLOCK_GAP, BOTTOM - TOP
    for stain_grid, max_right_width in product(((2, 2), (4, 1)), range(700, page_width - 300, 10)):
        columns, rows = stain_grid
        map_width, stain_width = ((max_right_width - (count - 1) * GAP) // count for count in (map_count, columns))
        left_size = _fit(aspect, page_width - max_right_width, page_height // 2 - CAPTION_HEIGHT)
        map_size = _fit(aspect, map_width, page_height // 3)
        stain_size = _fit(aspect, stain_width, (page_height - map_size[1] - (rows + 1) * CAPTION_HEIGHT) // rows)
        right_width = max(_row_width(map_count, map_size[0]), _row_width(columns, stain_size[0]))
        yield _Layout(stain_grid, left_size, map_size, stain_size, right_width)


def _row_width(count: int, width: int) -> int:
    return count * width + (count - 1) * GAP


def _fit(aspect: float, width: int, height: int) -> Pair:
    """Return the largest (width, height) of this aspect ratio inside the box."""
    return max(1, min(width, int(height * aspect))), max(1, min(height, int(width / aspect)))


def _places(x: int, y: int, grid: Pair, size: Pair) -> list[Pair]:
    """Return the top left corner of every cell of a grid."""
    cells = product(range(grid[1]), range(grid[0]))
    return [(x + column * (size[0] + GAP), y + row * (size[1] + CAPTION_HEIGHT)) for row, column in cells]


def _paste(
    page: Pillow.Image, picture: Image, place: Pair, size: Pair, label: str, label_size: int, hex: str = ""
) -> None:
    """Draw a picture with round corners, its caption below it, and the swatch of ``hex`` if it is not empty."""
    resized = Pillow.fromarray(np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8))
    corners = Pillow.new("L", (size[0] * 2, size[1] * 2), 0)  # drawn twice as large, so that the corners are smooth
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, size[0] * 2 - 1, size[1] * 2 - 1), 2 * CORNER_RADIUS, fill=255)
    page.paste(resized.convert("RGB"), place, corners.resize(size, Pillow.Resampling.BOX))
    draw = ImageDraw.Draw(page)
    left, middle = place[0], place[1] + size[1] + 21
    if hex:
        draw.rounded_rectangle((left, middle - 11, left + 38, middle + 11), 5, fill=hex)
        left += 50
        draw.text((place[0] + size[0], middle), hex, GREY_INK, ImageFont.load_default(MAP_CAPTION_SIZE), anchor="rm")
    draw.text((left, middle), label, INK, ImageFont.load_default(label_size), anchor="lm")
