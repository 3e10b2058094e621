"""One page that shows what Heartwood made of a photo: what it found, the texture maps, and four stains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from orchestrator.domain.images import Image
from orchestrator.stages.stain.stain import SurfaceMaps

WIDTH, HEIGHT = 2400, 1350
TOP, BOTTOM, SIDE = 132, 1306, 70
GAP, BLOCK_GAP, CAPTION = 22, 48, 46
PAPER, INK, QUIET = (250, 248, 244), (40, 34, 29), (132, 122, 112)
TITLE_SIZE, CAPTION_SIZE, MAP_CAPTION_SIZE = 44, 25, 20
CORNER = 10
STAINS = 4


@dataclass(frozen=True)
class StainedPicture:
    """One stain on the sheet."""

    label: str
    hex: str  # '#RRGGBB'
    picture_srgb: Image


@dataclass(frozen=True)
class _Layout:
    """A left block (photo, findings) and a right block (maps in a row, stains below), sized for one aspect ratio."""

    stains: tuple[int, int]  # columns, rows
    left_size: tuple[int, int]  # width and height of one picture
    map_size: tuple[int, int]
    stain_size: tuple[int, int]

    @property
    def area(self) -> int:
        """Pixels that pictures cover; a stain counts more than the photo, and a map least."""
        photo, texture, stain = (width * height for width, height in (self.left_size, self.map_size, self.stain_size))
        return 2 * photo + 3 * texture + 6 * stain

    @property
    def right_width(self) -> int:
        return max(_span(5, self.map_size[0]), _span(self.stains[0], self.stain_size[0]))


def contact_sheet(
    photo_srgb: Image,
    overlay_srgb: Image,
    albedo_srgb: Image,
    surface: SurfaceMaps,
    stained: list[StainedPicture],
    title: str = "Heartwood",
) -> Image:
    """[HEIGHT, WIDTH, 3] uint8 sRGB, 16:9, fit for a slide.

    Args:
        photo_srgb: [H, W, 3] uint8.
        overlay_srgb: [H, W, 3] uint8, the photo with what was found drawn over it.
        albedo_srgb: [H, W, 3] uint8.
        surface: the texture maps.
        stained: the stains to show; the first four are.
        title: stands at the top.
    """
    layout = _best_layout(photo_srgb.shape[1] / photo_srgb.shape[0])
    page = Pillow.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(page)
    x = (WIDTH - layout.left_size[0] - BLOCK_GAP - layout.right_width) // 2
    right = x + layout.left_size[0] + BLOCK_GAP
    draw.text((x, 46), title, INK, ImageFont.load_default(TITLE_SIZE))
    edge = right + layout.right_width
    about = "one photo in  ·  materials and stains out"
    draw.text((edge, 64), about, QUIET, ImageFont.load_default(CAPTION_SIZE), anchor="ra")

    findings = [("Photo", photo_srgb), ("What was found", overlay_srgb)]
    for (label, picture), place in zip(findings, _places(x, TOP, (1, 2), layout.left_size), strict=True):
        _paste(page, picture, place, layout.left_size, label, CAPTION_SIZE)

    maps = [
        ("Albedo", albedo_srgb),
        ("Normal", surface.normal),
        ("Roughness", surface.roughness),
        ("Occlusion", surface.ambient_occlusion),
        ("Height", np.asarray(surface.height >> 8, np.uint8)),
    ]
    step = (layout.right_width - layout.map_size[0]) // (len(maps) - 1)
    for index, (label, picture) in enumerate(maps):
        _paste(page, picture, (right + index * step, TOP), layout.map_size, label, MAP_CAPTION_SIZE)

    below = TOP + layout.map_size[1] + CAPTION
    step = layout.right_width - _span(layout.stains[0], layout.stain_size[0])
    for stain, (left, top) in zip(
        stained, _places(right + step // 2, below, layout.stains, layout.stain_size), strict=False
    ):
        _paste(page, stain.picture_srgb, (left, top), layout.stain_size, stain.label, CAPTION_SIZE, stain.hex)
    return np.asarray(page, np.uint8)


def _best_layout(aspect: float) -> _Layout:
    """Of a few arrangements, the one that shows the pictures largest."""
    return max(_layouts(aspect), key=lambda layout: layout.area)


def _layouts(aspect: float) -> Iterator[_Layout]:
    room, tall = WIDTH - 2 * SIDE - BLOCK_GAP, BOTTOM - TOP
    for stains, width in product(((2, 2), (4, 1)), range(700, room - 300, 10)):
        left_size = _fit(aspect, room - width, tall // 2 - CAPTION)
        map_size = _fit(aspect, _part(width, 5), tall // 3)
        rest = tall - map_size[1] - CAPTION - stains[1] * CAPTION
        yield _Layout(stains, left_size, map_size, _fit(aspect, _part(width, stains[0]), rest // stains[1]))


def _part(width: int, count: int) -> int:
    return (width - (count - 1) * GAP) // count


def _span(count: int, width: int) -> int:
    return count * width + (count - 1) * GAP


def _fit(aspect: float, width: int, height: int) -> tuple[int, int]:
    """The largest (width, height) of that aspect inside the box."""
    return max(1, min(width, int(height * aspect))), max(1, min(height, int(width / aspect)))


def _places(x: int, y: int, grid: tuple[int, int], size: tuple[int, int]) -> list[tuple[int, int]]:
    columns, rows = grid
    return [
        (x + column * (size[0] + GAP), y + row * (size[1] + CAPTION))
        for row in range(rows)
        for column in range(columns)
    ]


def _paste(
    page: Pillow.Image,
    picture: Image,
    place: tuple[int, int],
    size: tuple[int, int],
    label: str,
    text: int,
    hex: str = "",
) -> None:
    """Put a picture with round corners on the page, its caption below, and a swatch beside that for a colour."""
    small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    shown = Pillow.fromarray(small).convert("RGB")
    corners = Pillow.new("L", (size[0] * 2, size[1] * 2), 0)  # drawn twice as large, so that the corners are smooth
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, size[0] * 2 - 1, size[1] * 2 - 1), 2 * CORNER, fill=255)
    page.paste(shown, place, corners.resize(size, Pillow.Resampling.BOX))
    draw = ImageDraw.Draw(page)
    left, middle = place[0], place[1] + size[1] + 21
    if hex:
        draw.rounded_rectangle((left, middle - 11, left + 38, middle + 11), 5, fill=hex)
        left += 50
        font = ImageFont.load_default(MAP_CAPTION_SIZE)
        draw.text((place[0] + size[0], middle), hex, QUIET, font, anchor="rm")
    draw.text((left, middle), label, INK, ImageFont.load_default(text), anchor="lm")
