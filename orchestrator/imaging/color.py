"""Colour: sRGB and linear light, CIE Lab, and the CIEDE2000 difference."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.srgb_color import SrgbColor

LINEAR_STEPS = 65535
"""Linear light is rounded to this many steps before it is looked up: the darkest sRGB step is 20 of them."""

LUMINANCE_WEIGHTS = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Relative luminance of linear sRGB (IEC 61966-2-1, Rec. 709 primaries)."""

_XYZ_FROM_LINEAR = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE_D65 = _XYZ_FROM_LINEAR.sum(axis=1)


def decode_srgb(value: ArrayLike) -> NDArray[np.float64]:
    """Linear light of sRGB values in [0, 1] (IEC 61966-2-1)."""
    encoded = np.asarray(value, np.float64)
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def encode_srgb(linear: ArrayLike) -> NDArray[np.float64]:
    """sRGB in [0, 1] of linear light; what lies outside [0, 1] is clipped."""
    light = np.clip(np.asarray(linear, np.float64), 0.0, 1.0)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


_LINEAR_OF_BYTE: NDArray[np.float32] = decode_srgb(np.arange(256) / 255.0).astype(np.float32)
_BYTE_OF_STEP: Image = np.rint(encode_srgb(np.arange(LINEAR_STEPS + 1) / LINEAR_STEPS) * 255.0).astype(np.uint8)


def linear_from_srgb(image_srgb: Image) -> FloatMap:
    """Linear light in [0, 1] float32 of an sRGB uint8 picture, same shape."""
    return np.asarray(cv2.LUT(image_srgb, _LINEAR_OF_BYTE), np.float32).reshape(image_srgb.shape)


def steps_from_linear(linear: FloatMap) -> NDArray[np.uint16]:
    """Linear light as a table index in [0, LINEAR_STEPS], clipped and rounded."""
    scaled = np.clip(linear * np.float32(LINEAR_STEPS) + np.float32(0.5), 0, LINEAR_STEPS)
    return scaled.astype(np.uint16)


def srgb_from_linear(linear: FloatMap) -> Image:
    """sRGB uint8 of linear light; values outside [0, 1] are clipped. Undoes ``linear_from_srgb`` exactly."""
    return srgb_from_steps(steps_from_linear(linear))


def srgb_from_steps(steps: NDArray[np.uint16]) -> Image:
    """sRGB uint8 of what ``steps_from_linear`` gave."""
    return np.take(_BYTE_OF_STEP, steps)


def luminance(linear: FloatMap) -> FloatMap:
    """[...] relative luminance of [..., 3] linear RGB."""
    return np.asarray(linear @ LUMINANCE_WEIGHTS, np.float32)


def linear_from_color(color: SrgbColor) -> NDArray[np.float64]:
    """[3] linear RGB of a colour."""
    return decode_srgb(np.array([color.red, color.green, color.blue]) / 255.0)


def color_from_linear(linear: ArrayLike) -> SrgbColor:
    """The nearest colour of [3] linear RGB."""
    red, green, blue = (int(value) for value in np.rint(encode_srgb(linear) * 255.0))
    return SrgbColor(red, green, blue)


def lab_from_linear(linear: ArrayLike) -> NDArray[np.float64]:
    """[..., 3] CIE 1976 L*a*b* (D65, 2°) of [..., 3] linear RGB."""
    xyz = np.asarray(linear, np.float64) @ _XYZ_FROM_LINEAR.T / _WHITE_D65
    delta = 6.0 / 29.0
    f = np.where(xyz > delta**3, np.cbrt(xyz), xyz / (3 * delta**2) + 4.0 / 29.0)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def ciede2000(lab_a: ArrayLike, lab_b: ArrayLike) -> NDArray[np.float64]:
    """CIEDE2000 difference of two [..., 3] Lab arrays, with kL = kC = kH = 1.

    Sharma, Wu, Dalal: The CIEDE2000 color-difference formula (Color Research & Application 30, 2005).
    The numbers in comments are the equations of that paper.
    """
    first, second = np.asarray(lab_a, np.float64), np.asarray(lab_b, np.float64)
    lightness_1, a_1, b_1 = first[..., 0], first[..., 1], first[..., 2]
    lightness_2, a_2, b_2 = second[..., 0], second[..., 1], second[..., 2]

    mean_chroma_7 = ((np.hypot(a_1, b_1) + np.hypot(a_2, b_2)) / 2) ** 7  # (2), (3)
    g = 0.5 * (1 - np.sqrt(mean_chroma_7 / (mean_chroma_7 + 25.0**7)))  # (4)
    a_1, a_2 = a_1 * (1 + g), a_2 * (1 + g)  # (5)
    chroma_1, chroma_2 = np.hypot(a_1, b_1), np.hypot(a_2, b_2)  # (6)
    hue_1 = np.degrees(np.arctan2(b_1, a_1)) % 360  # (7)
    hue_2 = np.degrees(np.arctan2(b_2, a_2)) % 360

    grey = chroma_1 * chroma_2 == 0
    turn = hue_2 - hue_1
    turn = np.where(turn > 180, turn - 360, np.where(turn < -180, turn + 360, turn))
    turn = np.where(grey, 0.0, turn)  # (10)
    delta_hue = 2 * np.sqrt(chroma_1 * chroma_2) * np.sin(np.radians(turn) / 2)  # (11)

    total = hue_1 + hue_2
    far = np.abs(hue_1 - hue_2) > 180
    mean_hue = np.where(far, np.where(total < 360, total + 360, total - 360), total) / 2
    mean_hue = np.where(grey, total, mean_hue)  # (14)
    mean_lightness = (lightness_1 + lightness_2) / 2  # (12)
    mean_chroma = (chroma_1 + chroma_2) / 2  # (13)

    t = (
        1
        - 0.17 * np.cos(np.radians(mean_hue - 30))
        + 0.24 * np.cos(np.radians(2 * mean_hue))
        + 0.32 * np.cos(np.radians(3 * mean_hue + 6))
        - 0.20 * np.cos(np.radians(4 * mean_hue - 63))
    )  # (15)
    rotation = 30 * np.exp(-(((mean_hue - 275) / 25) ** 2))  # (16)
    weight = 2 * np.sqrt(mean_chroma**7 / (mean_chroma**7 + 25.0**7))  # (17)
    offset = (mean_lightness - 50) ** 2
    scale_lightness = 1 + 0.015 * offset / np.sqrt(20 + offset)  # (18)
    scale_chroma = 1 + 0.045 * mean_chroma  # (19)
    scale_hue = 1 + 0.015 * mean_chroma * t  # (20)

    lightness_term = (lightness_2 - lightness_1) / scale_lightness
    chroma_term = (chroma_2 - chroma_1) / scale_chroma
    hue_term = delta_hue / scale_hue
    cross = -np.sin(np.radians(2 * rotation)) * weight * chroma_term * hue_term  # (21)
    return np.asarray(np.sqrt(np.maximum(lightness_term**2 + chroma_term**2 + hue_term**2 + cross, 0.0)))  # (22)
