"""Writes a job's photos and masks for COLMAP, and determines whether the background moves with the camera."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

MAX_SIDE_PX = 2048  # maximum longer side of the photos for texture and depth; features are found on smaller ones
FILM_WIDTH_MM = 35.0  # film width by which COLMAP divides the 35 mm equivalent focal length
BACKGROUND_SIDE_PX = 240  # longer side of the photos for the background analysis
MASK_GROWTH_KERNEL_PX = 13  # grows the masks, so that the outline of the piece is not a background edge
MIN_EDGE_STRENGTH = 12.0  # minimum gradient of an edge, grey levels per two pixels; not tuned
MIN_EDGE_SHARE = 0.02  # minimum share of edge pixels in a background with structure; not tuned
MAX_STATIC_DEVIATION = 9.0  # maximum standard deviation of a static pixel over all photos, grey levels; not tuned
MIN_STATIC_SHARE = 0.4  # minimum share of static pixels among the edge pixels of a static background; not tuned


def file_name(number: int) -> str:
    return f"{number:04d}.png"


def prepare_photo(folder: Path, number: int, photo: str, mask: str) -> float:
    """Write the photo and its mask upright and at most MAX_SIDE_PX large. Return the focal length in px, or 0."""
    with Image.open(photo) as opened:
        exif = opened.getexif().get_ifd(ExifTags.IFD.Exif)
        focal_mm = float(exif.get(ExifTags.Base.FocalLengthIn35mmFilm, 0) or 0)
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    upright.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.LANCZOS)
    upright.save(folder / "images" / file_name(number), compress_level=1)
    with Image.open(mask) as opened:
        resized = opened.convert("L").resize(upright.size, Image.Resampling.BILINEAR)
    resized.point([0] * 128 + [255] * 128).save(folder / "masks" / f"{file_name(number)}.png")
    return focal_mm / FILM_WIDTH_MM * max(upright.size)


def prepare_color_photo(folder: Path, number: int, color_photo: str) -> None:
    """Write the version of a photo for the texture, at the size of the photo from ``prepare_photo``."""
    with Image.open(folder / "images" / file_name(number)) as photo, Image.open(color_photo) as opened:
        resized = ImageOps.exif_transpose(opened).convert("RGB").resize(photo.size, Image.Resampling.LANCZOS)
    resized.save(folder / "looks" / file_name(number), compress_level=1)


def background_moves(folder: Path, count: int) -> bool:
    """Return whether the background has structure that differs between the photos and helps to place the cameras.

    On a turntable the camera stands still, so the pixels around the piece are the same in all photos. A plain
    background has no edges. In both cases only the piece shows how it turned.
    """
    greys, outside = zip(*(_grey_and_background(folder, number) for number in range(count)), strict=True)
    edges = [
        (_gradient(grey) > MIN_EDGE_STRENGTH) & background for grey, background in zip(greys, outside, strict=True)
    ]
    background_pixels = sum(int(background.sum()) for background in outside)
    edge_pixels = sum(int(edge.sum()) for edge in edges)
    if background_pixels == 0 or edge_pixels < MIN_EDGE_SHARE * background_pixels:
        return False
    if len({grey.shape for grey in greys}) > 1:
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # from pixels that the piece covers in every photo
        deviation = np.nanstd(np.where(np.stack(outside), np.stack(greys), np.nan), axis=0)
    static_edge_pixels = int((np.stack(edges) & (deviation < MAX_STATIC_DEVIATION)).sum())
    return static_edge_pixels < MIN_STATIC_SHARE * edge_pixels


def _grey_and_background(folder: Path, number: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the reduced photo [h, w] in grey levels, and whether each pixel is background [h, w]."""
    grey = cv2.imread(str(folder / "images" / file_name(number)), cv2.IMREAD_GRAYSCALE)
    mask = cv2.imread(str(folder / "masks" / f"{file_name(number)}.png"), cv2.IMREAD_GRAYSCALE)
    width, height = (max(1, round(side * BACKGROUND_SIDE_PX / max(grey.shape))) for side in grey.shape[::-1])
    mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
    background = cv2.dilate(mask, np.ones((MASK_GROWTH_KERNEL_PX, MASK_GROWTH_KERNEL_PX), np.uint8)) == 0
    return cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32), background


def _gradient(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the gradient magnitude in grey levels per two pixels."""
    return np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=0.25), cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=0.25))
