"""Cuts the piece out of its photo, with its contact shadow as a separate layer."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.cutout import CutoutOptions
from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.progress import Progress, no_progress, subrange
from orchestrator.domain.segment import Box
from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.errors import NoPieceFound
from orchestrator.imaging.color import encode_srgb, linear_from_srgb
from orchestrator.imaging.matting import alpha_matte, foreground_colors
from orchestrator.imaging.refine import PIECE_EDGE

Mask = NDArray[np.bool_]

MIN_PIECE_SHARE = 0.005
VISIBLE = 13

SHADOW_SIDE = 512
RIM = 2
LOWER_SHARE = 0.4
REACH = 0.28
NOISE_MARGIN = 2.0
NOISE_CLEAR = 0.06
NOISE_BUSY = 0.15
HUE_TOLERANCE = 0.04
HUE_PER_DARKNESS = 0.11
FIT_ROUNDS = 12
MIN_SHADOW = 0.03


@dataclass(frozen=True)
class Cutout:
    """A piece cut out of its photo."""

    image: Image  # [h, w, 4] RGBA with straight alpha; [h, w, 3] RGB on a background colour
    shadow: Image | None  # [h, w, 4] RGBA, black with alpha, to be placed under the image; None if there is none
    box: Box  # the frame of the image in the photo, in pixels; extends past the photo where the margin does
    piece_share: float  # share of the photo that the piece covers, in [0, 1]


def cutout(photo_srgb: Image, maps: MaterialMaps, options: CutoutOptions, progress: Progress = no_progress) -> Cutout:
    """Cut out the piece in one photo.

    Args:
        photo_srgb: [H, W, 3] uint8.
        maps: model outputs for this photo.

    Raises:
        NoPieceFound: the piece covers less than 0.5 % of the photo.
    """
    share = float((maps.foreground > PIECE_EDGE).mean())
    if share < MIN_PIECE_SHARE:
        raise NoPieceFound(share=share, minimum=MIN_PIECE_SHARE)
    alpha = alpha_matte(photo_srgb, maps.foreground, subrange(progress, 0.0, 0.5))
    piece_share = float(alpha.mean()) / 255
    if piece_share < MIN_PIECE_SHARE:
        raise NoPieceFound(share=piece_share, minimum=MIN_PIECE_SHARE)
    colors = foreground_colors(photo_srgb, alpha, subrange(progress, 0.5, 0.9))
    shadow = contact_shadow(photo_srgb, alpha) if options.shadow else None
    frame = _frame(alpha, shadow, options)
    image = _crop(np.dstack([colors, alpha]), frame)
    layer = None
    if shadow is not None:
        cropped = _crop(shadow, frame)
        layer = np.dstack([np.zeros((*cropped.shape, 3), np.uint8), cropped])
    if options.background is not None:
        image = _composite(image, layer, options.background)
    left, top, right, bottom = frame
    return Cutout(image, layer, Box(left, top, right, bottom), piece_share)


def _frame(alpha: Image, shadow: Image | None, options: CutoutOptions) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the result in the photo."""
    height, width = alpha.shape
    if not options.trim:
        return 0, 0, width, height
    visible = alpha >= VISIBLE
    if shadow is not None:
        visible |= shadow >= VISIBLE
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    left, top, right, bottom = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    margin = round(options.margin * max(right - left, bottom - top))
    return left - margin, top - margin, right + margin, bottom + margin


def _crop(image: Image, frame: tuple[int, int, int, int]) -> Image:
    """The frame of an image; 0 where it extends past the image."""
    left, top, right, bottom = frame
    height, width = image.shape[:2]
    inside = image[max(0, top) : bottom, max(0, left) : right]
    pad = (max(0, -top), max(0, bottom - height), max(0, -left), max(0, right - width))
    return np.asarray(cv2.copyMakeBorder(inside, *pad, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0)), np.uint8)


def _composite(piece: Image, shadow: Image | None, background: SrgbColor) -> Image:
    """[h, w, 3] the shadow and the piece over a colour; sRGB values are blended, as image viewers do."""
    out = np.empty((*piece.shape[:2], 3), np.float32)
    out[:] = (background.red, background.green, background.blue)
    if shadow is not None:
        out *= np.float32(1) - shadow[..., 3:].astype(np.float32) / 255
    alpha = piece[..., 3:].astype(np.float32) / 255
    out += alpha * (piece[..., :3] - out)
    return np.asarray(np.rint(out), np.uint8)


def contact_shadow(photo_srgb: Image, alpha: Image) -> Image | None:
    """Extract the shadow that the piece casts on the ground around its lower part."""
    height, width = alpha.shape
    scale = min(1.0, SHADOW_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = linear_from_srgb(np.asarray(cv2.resize(photo_srgb, size, interpolation=cv2.INTER_AREA), np.uint8))
    cover = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA) > 5
    nearness = _nearness(cover)
    kernel = np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)
    visible = cv2.dilate(cover.astype(np.uint8), kernel) == 0
    log_light = np.log(np.maximum(small, 1e-3)).astype(np.float32)
    residual, noise, trust = _ground_residual(log_light, visible, cover)
    if trust == 0:
        return None
    residual = np.asarray(np.dstack([_smoothed(residual[..., channel], visible) for channel in range(3)]), np.float32)
    change = residual.mean(axis=2)
    hue = np.abs(residual - change[..., None]).max(axis=2)
    darkness = np.clip(-change - NOISE_MARGIN * noise, 0, None)
    likeness = np.clip((1.6 - hue / (HUE_TOLERANCE + HUE_PER_DARKNESS * darkness)) / 0.6, 0, 1)
    foreign = visible & ((hue > 2 * HUE_TOLERANCE + 1.5 * HUE_PER_DARKNESS * darkness) | (change > 0.25))
    patches = cv2.morphologyEx(foreign.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    covered = np.maximum.accumulate(patches[::-1], axis=0)[::-1].astype(np.float32)
    above = cv2.GaussianBlur(cv2.dilate(covered, np.ones((5, 5), np.uint8)), (0, 0), 6.0, sigmaY=2.0)
    darkness *= likeness * (1 - above)
    darkness = _filled(darkness.astype(np.float32), visible) * nearness * np.float32(trust)
    darkness = cv2.GaussianBlur(darkness, (0, 0), 1.0)
    opacity = 1.0 - encode_srgb(np.exp(-darkness))
    if opacity.max() < MIN_SHADOW:
        return None
    large = cv2.resize(opacity.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.rint(np.clip(large, 0, 1) * 255), np.uint8)


def _smoothed(values: FloatMap, known: Mask) -> FloatMap:
    weight = known.astype(np.float32)
    total = cv2.GaussianBlur(values * weight, (0, 0), 1.0)
    return np.asarray(total / np.maximum(cv2.GaussianBlur(weight, (0, 0), 1.0), 1e-3), np.float32)


def _nearness(cover: Mask) -> FloatMap:
    rows, columns = np.flatnonzero(cover.any(axis=1)), np.flatnonzero(cover.any(axis=0))
    top, bottom = rows[0], rows[-1] + 1
    size = max(bottom - top, columns[-1] + 1 - columns[0])
    start = bottom - LOWER_SHARE * (bottom - top)
    lower = cover.copy()
    lower[: int(start)] = False
    distance = cv2.distanceTransform((~lower).astype(np.uint8), cv2.DIST_L2, 5)
    near = _smoothstep(1.0 - distance / (REACH * size))
    down = _smoothstep((np.arange(cover.shape[0], dtype=np.float32) - start) / (0.15 * (bottom - top)))
    return near * down[:, None]


def _smoothstep(values: FloatMap) -> FloatMap:
    t = np.clip(values, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _ground_residual(log_light: FloatMap, visible: Mask, cover: Mask) -> tuple[FloatMap, float, float]:
    rows, columns = np.flatnonzero(cover.any(axis=1)), np.flatnonzero(cover.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    size = max(bottom - top, right - left)
    region = np.zeros_like(visible)
    start = int(bottom - 0.35 * (bottom - top))
    region[start : int(bottom + 0.4 * size), max(0, int(left - 0.6 * size)) : int(right + 0.6 * size)] = True
    sample = region & visible
    if sample.sum() < 200:
        return np.zeros_like(log_light), 0.0, 0.0
    y, x = np.mgrid[: cover.shape[0], : cover.shape[1]].astype(np.float64) / size
    y -= bottom / size
    x -= (left + right) / 2 / size
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    basis, values = terms[sample], log_light[sample].astype(np.float64)
    light = values.mean(axis=1)
    weights = np.ones(len(values))
    noise = 0.0
    for _ in range(FIT_ROUNDS):
        coefficients, *_ = np.linalg.lstsq(basis * weights[:, None], values * weights[:, None], rcond=None)
        difference = light - (basis @ coefficients).mean(axis=1)
        above = difference[difference > 0]
        noise = float(np.median(above)) / 0.6745 if len(above) else 0.0
        scale = max(noise, 0.005)
        # Shadows are darker than the ground: values below the fit count less.
        weights = np.where(
            difference < 0, 1 / (1 + (difference / scale) ** 2), 1 / (1 + (difference / (3 * scale)) ** 2)
        )
    residual = (log_light - terms @ coefficients).astype(np.float32)
    trust = float(np.clip((NOISE_BUSY - noise) / (NOISE_BUSY - NOISE_CLEAR), 0, 1))
    return residual, noise, trust


def _filled(values: FloatMap, known: Mask) -> FloatMap:
    """Extend values into the unknown area, from near to far."""
    out, weight = values * known, known.astype(np.float32)
    done = known.copy()
    sigma = 1.5
    while not done.all() and sigma < max(values.shape):
        blurred = cv2.GaussianBlur(weight, (0, 0), sigma)
        guess = cv2.GaussianBlur(values * weight, (0, 0), sigma) / np.maximum(blurred, 1e-9)
        new = ~done & (blurred > 0.1)
        out[new] = guess[new]
        done |= new
        sigma *= 2
    return out
