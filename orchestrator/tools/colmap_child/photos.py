"""The photos of a job, upright and not too large, and what their surroundings tell."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

MAX_SIDE_PX = 2048
"""Photos are used at most this large, for texture and depth; features are found on smaller ones."""
FOCAL_TAG, EXIF_IFD = 0xA405, 0x8769
FILM_WIDTH_MM = 35.0
"""What COLMAP divides the 35 mm equivalent focal length by."""
BACKGROUND_SIDE_PX = 240
EDGE_STRENGTH, PLAIN_SHARE = 12.0, 0.02
"""Grey levels a pixel, and the share of such edges under which surroundings are plain."""
STILL_GREY, STILL_SHARE = 9.0, 0.4
"""Spread of grey levels over all photos under which a place stands still, and the share of the edges that do."""


def name_of(number: int) -> str:
    return f"{number:04d}.png"


def prepare(folder: Path, number: int, photo: str, mask: str) -> float:
    """Write the photo and its mask upright and not too large; return the focal length in px, 0 where unknown."""
    with Image.open(photo) as opened:
        millimetres = float(opened.getexif().get_ifd(EXIF_IFD).get(FOCAL_TAG, 0) or 0)
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    upright.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.LANCZOS)
    upright.save(folder / "images" / name_of(number), compress_level=1)
    with Image.open(mask) as opened:
        small = (
            opened.convert("L").resize(upright.size, Image.Resampling.BILINEAR).point(lambda value: 255 * (value > 127))
        )
    small.save(folder / "masks" / f"{name_of(number)}.png")
    return millimetres / FILM_WIDTH_MM * max(upright.size)


def prepare_look(folder: Path, number: int, look: str) -> None:
    """Write the other picture of a photo at the photo's size."""
    with Image.open(folder / "images" / name_of(number)) as photo, Image.open(look) as opened:
        fitted = ImageOps.exif_transpose(opened).convert("RGB").resize(photo.size, Image.Resampling.LANCZOS)
    fitted.save(folder / "looks" / name_of(number), compress_level=1)


def background_moves(folder: Path, count: int) -> bool:
    """Whether the surroundings have structure that is elsewhere in each photo: then they help to place the cameras.

    On a turntable the camera stands still: the places around the piece look the same in all photos. Plain surroundings
    have no edges. In both cases only the piece itself tells how it turned.
    """
    greys, outside = [], []
    for number in range(count):
        grey = cv2.imread(str(folder / "images" / name_of(number)), cv2.IMREAD_GRAYSCALE)
        mask = cv2.imread(str(folder / "masks" / f"{name_of(number)}.png"), cv2.IMREAD_GRAYSCALE)
        size = tuple(max(1, round(side * BACKGROUND_SIDE_PX / max(grey.shape))) for side in grey.shape[::-1])
        greys.append(cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32))
        mask = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
        outside.append(cv2.dilate(mask, np.ones((13, 13), np.uint8)) == 0)
    edges = [edge_strength(grey) > EDGE_STRENGTH for grey in greys]
    around = sum(int(out.sum()) for out in outside)
    strong = sum(int((edge & out).sum()) for edge, out in zip(edges, outside, strict=True))
    if around == 0 or strong < PLAIN_SHARE * around:
        return False
    if len({grey.shape for grey in greys}) > 1:
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of places that the piece covers in every photo
        spread = np.nanstd(np.where(np.stack(outside), np.stack(greys), np.nan), axis=0)
    still = spread < STILL_GREY
    kept = sum(int((edge & out & still).sum()) for edge, out in zip(edges, outside, strict=True))
    return kept < STILL_SHARE * strong


def edge_strength(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=0.25), cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=0.25))
