"""Conversions between sRGB, linear RGB and CIE Lab, and the CIEDE2000 colour difference."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.srgb_color import SrgbColor

LINEAR_STEPS = 65535
"""Number of steps of the linear-to-sRGB lookup table. The darkest sRGB byte spans 20 steps."""
LUMINANCE_WEIGHTS = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Weights of relative luminance for linear sRGB (IEC 61966-2-1, Rec. 709 primaries)."""


def decode_srgb(value: ArrayLike) -> NDArray[np.float64]:
    """Convert sRGB values in [0, 1] to linear RGB (IEC 61966-2-1)."""
    encoded = np.asarray(value, np.float64)
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def encode_srgb(linear: ArrayLike) -> NDArray[np.float64]:
    """Convert linear RGB to sRGB in [0, 1]. Values outside [0, 1] are clipped."""
    clipped = np.clip(np.asarray(linear, np.float64), 0.0, 1.0)
    return np.where(clipped <= 0.0031308, clipped * 12.92, 1.055 * clipped ** (1 / 2.4) - 0.055)


_LINEAR_OF_BYTE: NDArray[np.float32] = decode_srgb(np.arange(256) / 255.0).astype(np.float32)
_BYTE_OF_STEP: Image = np.rint(encode_srgb(np.arange(LINEAR_STEPS + 1) / LINEAR_STEPS) * 255.0).astype(np.uint8)


def linear_from_srgb(image_srgb: Image) -> FloatMap:
    """Convert an sRGB uint8 image to linear RGB in [0, 1], float32, same shape."""
    return np.asarray(cv2.LUT(image_srgb, _LINEAR_OF_BYTE), np.float32).reshape(image_srgb.shape)


def steps_from_linear(linear: FloatMap) -> NDArray[np.uint16]:
    """Convert linear values in [0, 1] to lookup-table indices in [0, LINEAR_STEPS], clipped and rounded."""
    scaled = np.clip(linear * np.float32(LINEAR_STEPS) + np.float32(0.5), 0, LINEAR_STEPS)
    return scaled.astype(np.uint16)


def srgb_from_linear(linear: FloatMap) -> Image:
    """Convert linear RGB to an sRGB uint8 image, same shape. Values outside [0, 1] are clipped.

    The exact inverse of ``linear_from_srgb``.
    """
    return np.take(_BYTE_OF_STEP, steps_from_linear(linear))


def luminance(linear: FloatMap) -> FloatMap:
    """Return the [...] relative luminance of [..., 3] linear RGB."""
    return np.asarray(linear @ LUMINANCE_WEIGHTS, np.float32)


def linear_from_color(color: SrgbColor) -> NDArray[np.float64]:
    """Convert a colour to [3] linear RGB."""
    return decode_srgb(np.array([color.red, color.green, color.blue]) / 255.0)


def color_from_linear(linear: ArrayLike) -> SrgbColor:
    """Convert [3] linear RGB to the nearest 8-bit colour."""
    red, green, blue = (int(value) for value in np.rint(encode_srgb(linear) * 255.0))
    return SrgbColor(red, green, blue)


def lab_from_linear(linear: ArrayLike) -> NDArray[np.float64]:
    """Convert [..., 3] linear RGB to CIE 1976 L*a*b* (D65, 2°). Values outside [0, 1] are clipped."""
    return np.asarray(rgb2lab(encode_srgb(linear)), np.float64)


def ciede2000(lab_a: ArrayLike, lab_b: ArrayLike) -> NDArray[np.float64]:
    """Return the [...] CIEDE2000 difference of two [..., 3] Lab arrays, with kL = kC = kH = 1."""
    return np.asarray(deltaE_ciede2000(lab_a, lab_b), np.float64)
