"""Alpha mattes: the opacity of a piece at each pixel of its photo, and its colour without the background.

Alpha and colours are estimated on sRGB values, not in linear light, because image viewers composite sRGB values.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.imaging import guided
from orchestrator.imaging.refine import PIECE_EDGE
from orchestrator.imaging.strips import Strip, for_each_strip, strips

Mask = NDArray[np.bool_]

BAND = 8
CERTAIN_PIECE = 0.9
CERTAIN_BACKGROUND = 0.1
WINDOW_RADIUS = 4
WINDOW_EPSILON = 1e-5
KNOWN_WEIGHT = 100.0
PRIOR_WEIGHT = 0.02
LIKELIHOOD_FLOOR = 0.05
COLOR_WEIGHT = 1.0
COLOR_BINS = 24
COLOR_SMOOTHING = 1.0
ITERATIONS = 60
TOLERANCE = 1e-5
EDGE_RADIUS = 2
EDGE_EPSILON = 1e-4
CLEAR = 0.05
OPAQUE = 0.95
COLOR_SIDE = 1024
SMALL_SIDE = 32
SMALL_ROUNDS = 10
ROUNDS = 2


def alpha_matte(photo_srgb: Image, likelihood: FloatMap, progress: Progress = no_progress) -> Image:
    """Estimate the opacity of the piece.

    Args:
        photo_srgb: [H, W, 3] uint8.
        likelihood: [h, w] in [0, 1], probability of the piece at model resolution.

    Returns:
        [H, W] uint8, 255 is opaque.
    """
    height, width = likelihood.shape
    guide = cv2.resize(photo_srgb, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    fitted = guided.fit(_solve_matte(guide, likelihood), photo_srgb, radius=EDGE_RADIUS, epsilon=EDGE_EPSILON)
    alpha = np.empty(photo_srgb.shape[:2], np.uint8)

    def write(strip: Strip) -> None:
        values = fitted.rows(photo_srgb[strip.rows], strip.numbers)[0]
        alpha[strip.rows] = np.rint(np.clip((values - CLEAR) / (OPAQUE - CLEAR), 0, 1) * 255)

    for_each_strip(write, strips(*alpha.shape), progress, "edges of the piece")
    return alpha


def _solve_matte(guide: FloatMap, likelihood: FloatMap) -> FloatMap:
    piece, background = _known(likelihood)
    known = piece | background
    prior = np.where(piece, 1.0, np.where(background, 0.0, _color_prior(guide, likelihood, piece, background)))
    laplacian = _MattingLaplacian(guide)
    weight = np.where(known, KNOWN_WEIGHT, PRIOR_WEIGHT).astype(np.float32)
    return laplacian.solve(prior.astype(np.float32), weight)


def _known(likelihood: FloatMap) -> tuple[Mask, Mask]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * BAND + 1, 2 * BAND + 1))
    piece = cv2.erode((likelihood > CERTAIN_PIECE).astype(np.uint8), kernel) > 0
    background = cv2.erode((likelihood < CERTAIN_BACKGROUND).astype(np.uint8), kernel) > 0
    return piece, background


def _color_prior(guide: FloatMap, likelihood: FloatMap, piece: Mask, background: Mask) -> FloatMap:
    lab = cv2.cvtColor(guide, cv2.COLOR_RGB2Lab) / np.array([100, 160, 160], np.float32)
    bins = np.clip((lab + np.array([0, 0.5, 0.5], np.float32)) * COLOR_BINS, 0, COLOR_BINS - 1).astype(np.intp)
    index = np.ravel_multi_index(tuple(bins[..., c] for c in range(3)), (COLOR_BINS,) * 3)

    def density(region: Mask) -> NDArray[np.float64]:
        counts = np.bincount(index[region], minlength=COLOR_BINS**3).reshape((COLOR_BINS,) * 3).astype(np.float64)
        return np.asarray(gaussian_filter(counts / max(counts.sum(), 1), COLOR_SMOOTHING), np.float64).ravel()

    ratio = np.log(density(piece) + 1e-7) - np.log(density(background) + 1e-7)
    p = np.clip(likelihood.astype(np.float64), LIKELIHOOD_FLOOR, 1 - LIKELIHOOD_FLOOR)
    odds = np.log(p / (1 - p)) - np.log(PIECE_EDGE / (1 - PIECE_EDGE)) + COLOR_WEIGHT * ratio[index]
    return np.asarray(1 / (1 + np.exp(-odds)), np.float32)


class _MattingLaplacian:
    """Matrix-free closed-form matting."""

    def __init__(self, guide: FloatMap) -> None:
        self._guide = guide
        self._count = self._box(np.ones(guide.shape[:2], np.float32))
        self._mean = self._average(guide)
        rows = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
        products = np.dstack([guide[..., i] * guide[..., j] for i, j in rows])
        covariance = self._average(products) - np.dstack([self._mean[..., i] * self._mean[..., j] for i, j in rows])
        for diagonal in (0, 3, 5):
            covariance[..., diagonal] += WINDOW_EPSILON
        a, b, c, d, e, f = np.moveaxis(covariance.astype(np.float64), -1, 0)
        cofactors = [d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b]
        determinant = a * cofactors[0] + b * cofactors[1] + c * cofactors[2]
        self._inverse = [(x / determinant).astype(np.float32) for x in cofactors]

    def apply(self, alpha: FloatMap) -> FloatMap:
        joint = self._average(np.dstack([self._guide * alpha[..., None], alpha]))
        mean = joint[..., 3]
        covariance = joint[..., :3] - self._mean * mean[..., None]
        x, y, z = covariance[..., 0], covariance[..., 1], covariance[..., 2]
        a, b, c, d, e, f = self._inverse
        slopes = np.dstack([a * x + b * y + c * z, b * x + d * y + e * z, c * x + e * y + f * z])
        offset = mean - (slopes * self._mean).sum(axis=2)
        total = self._box(np.dstack([slopes, offset]))
        return np.asarray(self._count * alpha - (total[..., :3] * self._guide).sum(axis=2) - total[..., 3], np.float32)

    def solve(self, target: FloatMap, weight: FloatMap) -> FloatMap:
        weight = weight * self._count
        diagonal = weight + self._count
        alpha = target.copy()
        residual = weight * target - (self.apply(alpha) + weight * alpha)
        scaled = residual / diagonal
        direction = scaled
        error = float(np.vdot(residual, scaled))
        limit = None
        for _ in range(ITERATIONS):
            if limit is None:
                limit = error * TOLERANCE
            if error <= limit:
                break
            image = self.apply(direction) + weight * direction
            step = error / float(np.vdot(direction, image))
            alpha = alpha + np.float32(step) * direction
            residual = residual - np.float32(step) * image
            scaled = residual / diagonal
            before, error = error, float(np.vdot(residual, scaled))
            direction = scaled + np.float32(error / before) * direction
        return np.clip(alpha, 0, 1).astype(np.float32)

    def _box(self, values: FloatMap) -> FloatMap:
        size = (2 * WINDOW_RADIUS + 1, 2 * WINDOW_RADIUS + 1)
        return np.asarray(cv2.boxFilter(values, -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT), np.float32)

    def _average(self, values: FloatMap) -> FloatMap:
        return self._box(values) / (self._count if values.ndim == 2 else self._count[..., None])


def foreground_colors(photo_srgb: Image, alpha: Image, progress: Progress = no_progress) -> Image:
    """Estimate the piece's own colour at each pixel, free of the background.

    Returns:
        [H, W, 3] uint8 sRGB.
    """
    height, width = alpha.shape
    scale = min(1.0, COLOR_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small_photo = cv2.resize(photo_srgb, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    small_alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    both = _smooth_colors(small_photo, small_alpha)
    fitted = guided.smooth(both, photo_srgb)
    out = np.zeros_like(photo_srgb)

    def write(strip: Strip) -> None:
        photo = photo_srgb[strip.rows].astype(np.float32) / 255
        opacity = (alpha[strip.rows].astype(np.float32) / 255)[..., None]
        planes = np.moveaxis(fitted.rows(photo_srgb[strip.rows], strip.numbers), 0, -1)
        foreground, background = planes[..., :3], planes[..., 3:]
        rest = photo - opacity * foreground - (1 - opacity) * background
        foreground = foreground + rest * opacity / (opacity**2 + (1 - opacity) ** 2)
        out[strip.rows] = np.rint(np.clip(foreground, 0, 1) * 255)

    for_each_strip(write, strips(height, width), progress, "colours of the piece")
    return out


def _resized(values: FloatMap, size: tuple[int, int], interpolation: int) -> FloatMap:
    """OpenCV drops dimensions of length 1; keep them."""
    resized = cv2.resize(values, size, interpolation=interpolation)
    return np.asarray(resized, np.float32).reshape(size[1], size[0], *values.shape[2:])


def _smooth_colors(photo: FloatMap, alpha: FloatMap) -> FloatMap:
    """Fast multi-level foreground estimation (Germer et al. 2020)."""
    height, width = alpha.shape
    levels = max(1, int(np.ceil(np.log2(max(height, width)))))
    colors = np.zeros((1, 1, 6), np.float32)
    colors[..., :3] = (photo * alpha[..., None]).sum((0, 1)) / max(float(alpha.sum()), 1e-6)
    colors[..., 3:] = (photo * (1 - alpha)[..., None]).sum((0, 1)) / max(float((1 - alpha).sum()), 1e-6)
    for level in range(levels + 1):
        size = (max(1, round(width ** (level / levels))), max(1, round(height ** (level / levels))))
        colors = _resized(colors, size, cv2.INTER_LINEAR)
        small_photo = _resized(photo, size, cv2.INTER_AREA)
        small_alpha = _resized(alpha, size, cv2.INTER_AREA)
        rounds = SMALL_ROUNDS if max(size) <= SMALL_SIDE else ROUNDS
        colors = _relaxed(small_photo, small_alpha, colors, rounds)
    return colors


def _relaxed(photo: FloatMap, alpha: FloatMap, colors: FloatMap, rounds: int) -> FloatMap:
    height, width = alpha.shape
    padded = np.pad(alpha, 1, mode="edge")
    places = [(slice(y, y + height), slice(x, x + width)) for y, x in ((0, 1), (2, 1), (1, 0), (1, 2))]
    weights = [1e-5 + np.abs(alpha - padded[place]) for place in places]
    total = sum(weights)
    front, mixed, back = alpha**2 + total, alpha * (1 - alpha), (1 - alpha) ** 2 + total
    determinant = front * back - mixed**2
    front, mixed, back = ((x / determinant)[..., None] for x in (front, mixed, back))
    seen = np.dstack([photo * alpha[..., None], photo * (1 - alpha)[..., None]])
    for _ in range(rounds):
        around = np.pad(colors, ((1, 1), (1, 1), (0, 0)), mode="edge")
        right = seen + sum(weight[..., None] * around[place] for weight, place in zip(weights, places, strict=True))
        first, second = right[..., :3], right[..., 3:]
        colors = np.clip(np.dstack([back * first - mixed * second, front * second - mixed * first]), 0, 1)
    return colors.astype(np.float32)
