"""Converts decoded photos of every colour model and depth to sRGB with 8 bits per channel."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageCms

from orchestrator.domain.images import BoolMask
from orchestrator.imaging.color import encode_srgb
from orchestrator.imaging.photo_files.photo_file import PhotoFile, PhotoFormat

PROFILE_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError)
"""What Pillow raises on a damaged or unsuitable profile."""


def to_srgb(picture: Pillow.Image, file: PhotoFile, backdrop: int) -> Pillow.Image:
    """Convert the decoded ``picture`` of ``file`` to mode RGB in sRGB.

    Args:
        backdrop: grey level on which transparent pixels are composited.
    """
    profile = file.profile or picture.info.get("icc_profile")
    colors = _apply_profile(to_eight_bit(picture, file), profile)
    if file.gamma:
        colors = _apply_gamma(colors, file.gamma)
    return _composite(colors, backdrop)


def to_eight_bit(picture: Pillow.Image, file: PhotoFile) -> Pillow.Image:
    """Convert the decoded ``picture`` of ``file`` to mode L, LA, RGB, RGBA or CMYK, without its ICC profile."""
    transparent = _color_key_mask(picture, file) if file.color_key else None
    colors = _convert_mode(picture, file)
    if transparent is not None:
        colors.putalpha(Pillow.fromarray(np.where(transparent, 0, 255).astype(np.uint8)))
    if file.format is PhotoFormat.BMP and colors.mode == "RGBA" and not colors.getchannel("A").getbbox():
        colors = colors.convert("RGB")  # some writers leave the fourth byte of opaque pixels zero
    return colors


def _convert_mode(picture: Pillow.Image, file: PhotoFile) -> Pillow.Image:
    """Convert 16-bit, palette, 1-bit, premultiplied and other images to L, LA, RGB, RGBA or CMYK."""
    mode = picture.mode
    if mode.startswith("I;16"):  # which Pillow's own conversion would clip
        levels = np.round(np.asarray(picture).astype(np.float32) / 257.0).astype(np.uint8)
        return Pillow.fromarray(255 - levels if file.white_is_zero else levels)
    if mode in ("P", "PA"):
        return picture.convert("RGBA" if "transparency" in picture.info or mode == "PA" else "RGB")
    if mode in ("La", "RGBa"):
        return picture.convert(mode.upper())
    if mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return picture
    return picture.convert("L" if mode == "1" else "RGB")


def _color_key_mask(picture: Pillow.Image, file: PhotoFile) -> BoolMask:
    """Return [H, W] bool, true for the pixels that have the transparent colour exactly."""
    if len(file.color_key) == 1:
        largest = (1 << file.depth) - 1
        scale = 255 // largest if file.depth < 8 else 1  # Pillow scales shallow levels to 8 bits
        levels = np.asarray(picture.convert("L") if picture.mode == "1" else picture)
        return np.asarray(levels == file.color_key[0] * scale)
    colors = np.asarray(picture)
    if file.depth == 16:  # Pillow keeps only the upper 8 bits
        encoded = np.frombuffer(file.pixels, np.uint8)
        colors = cv2.imdecode(encoded, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)[..., ::-1]
    first, second, third = (colors[..., channel] == level for channel, level in enumerate(file.color_key))
    return np.asarray(first & second & third)


def _apply_profile(picture: Pillow.Image, profile: object) -> Pillow.Image:
    """Convert an 8-bit image to RGB or RGBA in sRGB. A damaged or unsuitable ICC profile is ignored."""
    if isinstance(profile, bytes) and profile:
        try:
            return _convert_profile(picture, profile)
        except PROFILE_ERRORS:
            pass
    if picture.mode in ("RGB", "RGBA"):
        return picture
    return picture.convert("RGBA" if picture.mode == "LA" else "RGB")


def _convert_profile(picture: Pillow.Image, profile: bytes) -> Pillow.Image:
    """Convert an image from its ICC profile to RGB or RGBA in sRGB."""
    source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    has_grey_alpha = picture.mode == "LA"  # LittleCMS does not support grey with alpha
    colors = picture.convert("L") if has_grey_alpha else picture
    mode = "RGBA" if picture.mode == "RGBA" else "RGB"
    converted = ImageCms.profileToProfile(colors, source, target, outputMode=mode)
    if converted is None:
        raise ValueError("the profile was not applied")
    if has_grey_alpha:
        converted.putalpha(picture.getchannel("A"))
    return converted


def _apply_gamma(picture: Pillow.Image, gamma: float) -> Pillow.Image:
    """Convert RGB or RGBA to sRGB. The levels in [0, 1] are linear light to the power of ``gamma``."""
    levels = np.round(encode_srgb((np.arange(256) / 255) ** (1 / gamma)) * 255).astype(int).tolist()
    return picture.point(levels * 3 + list(range(256)) * (picture.mode == "RGBA"))


def _composite(picture: Pillow.Image, backdrop: int) -> Pillow.Image:
    if picture.mode != "RGBA":
        return picture
    ground = Pillow.new("RGBA", picture.size, (backdrop, backdrop, backdrop, 255))
    return Pillow.alpha_composite(ground, picture).convert("RGB")
