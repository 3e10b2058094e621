"""Guided upsampling: bring a small map to the photo's resolution along the photo's own edges.

He, Sun: Fast Guided Filter (arXiv:1505.00996, 2015), after He, Sun, Tang: Guided Image Filtering (TPAMI 2013).
The map is explained locally as a linear function of the photo. The coefficients of that function are solved at
the map's resolution, enlarged, and applied to the photo at full resolution: no large window ever runs over it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap, Image

RADIUS = 2
"""Half the window, in pixels of the small map. More blurs what the models resolved: with true normals at half size,
2 leaves an error of 7°, 6 of 14°."""
EPSILON = 1e-4
"""Variance of the guide (sRGB in [0, 1]) below which a window counts as flat: 1 % contrast."""


@dataclass(frozen=True)
class GuidedMap:
    """A map held as coefficients of the photo, ready to be read at any rows of the photo.

    Attributes:
        planes: C × (G + 1) arrays [h, w] float32; for each of the map's C channels the slopes for the guide's
            G channels, then the offset. Planar, because rows are then enlarged and combined contiguously.
        guides: G: 3 for the photo's channels, 1 for its brightness, 0 for a map that is smooth anyway.
        height: H of the photo.
        width: W of the photo.
    """

    planes: tuple[FloatMap, ...]
    guides: int
    height: int
    width: int

    def rows(self, photo_rows_srgb: Image, rows: NDArray[np.intp]) -> FloatMap:
        """Return the map at some rows of the photo.

        Each pixel is computed from its own place alone, so strips put together equal the whole, bit for bit.

        Args:
            photo_rows_srgb: [n, W, 3] uint8, those rows of the photo.
            rows: [n] ascending row numbers in [0, H).

        Returns:
            [C, n, W] float32.
        """
        guides = _guide_channels(photo_rows_srgb, self.guides)
        lines = _RowReader(rows, self.planes[0].shape, self.height, self.width)
        step = self.guides + 1
        out = np.empty((len(self.planes) // step, len(rows), self.width), np.float32)
        for channel in range(len(out)):
            *slopes, offset = self.planes[channel * step : (channel + 1) * step]
            out[channel] = lines.read(offset)
            for slope, guide in zip(slopes, guides, strict=True):
                out[channel] += lines.read(slope) * guide
        return out


def fit(
    map_low: FloatMap, photo_srgb: Image, *, radius: int = RADIUS, epsilon: float = EPSILON, grey: bool = False
) -> GuidedMap:
    """Solve a small map as a local linear function of the photo.

    Args:
        map_low: [h, w] or [h, w, C] float32, the map of the whole photo at a smaller (or the same) resolution.
        photo_srgb: [H, W, 3] uint8.
        radius: half the window, in pixels of the map.
        epsilon: variance of the guide that counts as flat; more gives a smoother map.
        grey: guide by brightness alone, for maps whose edges do not follow colour.
    """
    height, width = map_low.shape[:2]
    small_photo = cv2.resize(photo_srgb, (width, height), interpolation=cv2.INTER_AREA)
    guides = _guide_channels(np.asarray(small_photo, np.uint8), 1 if grey else 3)
    channels = map_low.reshape(height, width, -1)

    def mean(values: FloatMap) -> FloatMap:
        size = (2 * radius + 1, 2 * radius + 1)
        return np.asarray(cv2.blur(values, size, borderType=cv2.BORDER_REFLECT_101), np.float32)

    guide_means = [mean(guide) for guide in guides]
    count = len(guides)
    covariance = [
        [mean(u * v) - mu * mv for v, mv in zip(guides, guide_means, strict=True)]
        for u, mu in zip(guides, guide_means, strict=True)
    ]
    for i in range(count):
        covariance[i][i] = covariance[i][i] + np.float32(epsilon)

    planes: list[FloatMap] = []
    for channel in range(channels.shape[2]):
        values = np.ascontiguousarray(channels[..., channel], np.float32)
        value_mean = mean(values)
        shared = [mean(guide * values) - m * value_mean for guide, m in zip(guides, guide_means, strict=True)]
        slopes = _solve(covariance, shared)
        offset = value_mean - sum(slope * m for slope, m in zip(slopes, guide_means, strict=True))
        planes += [mean(np.ascontiguousarray(plane, np.float32)) for plane in (*slopes, offset)]
    return GuidedMap(tuple(planes), count, *photo_srgb.shape[:2])


def smooth(map_low: FloatMap, photo_srgb: Image) -> GuidedMap:
    """A blurred map, [h, w] or [h, w, C], which has no edges to follow: it is only enlarged."""
    channels = map_low.reshape(*map_low.shape[:2], -1)
    planes = tuple(np.ascontiguousarray(channels[..., channel]) for channel in range(channels.shape[2]))
    return GuidedMap(planes, 0, *photo_srgb.shape[:2])


def upsample(
    map_low: FloatMap, photo_srgb: Image, *, radius: int = RADIUS, epsilon: float = EPSILON, grey: bool = False
) -> FloatMap:
    """Enlarge a small map to the photo's resolution along the photo's edges.

    Args: as for ``fit``.

    Returns:
        [H, W] or [H, W, C] float32, as ``map_low`` has it. Values may leave the map's range a little.
    """
    fitted = fit(map_low, photo_srgb, radius=radius, epsilon=epsilon, grey=grey)
    planes = fitted.rows(photo_srgb, np.arange(photo_srgb.shape[0]))
    return planes[0] if map_low.ndim == 2 else np.ascontiguousarray(np.moveaxis(planes, 0, -1))


def _solve(matrix: list[list[FloatMap]], right: list[FloatMap]) -> list[FloatMap]:
    """Solve one small symmetric positive definite system a pixel, all at once, by Gaussian elimination.

    NumPy's own batched solver calls LAPACK for each pixel, which takes ten times as long for 3 × 3.
    """
    count = len(right)
    left = [[plane.astype(np.float64) for plane in row] for row in matrix]
    values = [plane.astype(np.float64) for plane in right]
    for i in range(count):
        for j in range(i + 1, count):
            factor = left[j][i] / left[i][i]
            for k in range(i + 1, count):
                left[j][k] -= factor * left[i][k]
            values[j] -= factor * values[i]
    for i in reversed(range(count)):
        for k in range(i + 1, count):
            values[i] -= left[i][k] * values[k]
        values[i] /= left[i][i]
    return [plane.astype(np.float32) for plane in values]


def _guide_channels(photo_srgb: Image, count: int) -> list[FloatMap]:
    """``count`` [n, W] float32 arrays in [0, 1], sRGB-encoded: the photo's channels, its brightness, or none."""
    if count == 0:
        return []
    scaled = photo_srgb.astype(np.float32) * np.float32(1 / 255)
    if count == 1:
        return [np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2GRAY), np.float32)]
    return [np.ascontiguousarray(channel) for channel in cv2.split(scaled)]


class _RowReader:
    """Reads rows of small planes at the photo's resolution, bilinearly, pixel centres at halves.

    Not by ``cv2.resize``, whose last bits depend on how many rows it is given.
    """

    def __init__(self, rows: NDArray[np.intp], small: tuple[int, ...], height: int, width: int) -> None:
        above, below, self._down = _neighbours(rows, small[0], height)
        self._left, self._right, self._across = _neighbours(np.arange(width), small[1], width)
        self._needed = slice(int(above[0]), int(below[-1]) + 1)
        self._above, self._below = above - above[0], below - above[0]

    def read(self, plane: FloatMap) -> FloatMap:
        """[n, W] float32."""
        block = plane[self._needed]
        wide = _between(np.take(block, self._left, axis=1), np.take(block, self._right, axis=1), self._across)
        return _between(wide[self._above], wide[self._below], self._down[:, None])


def _neighbours(
    positions: NDArray[np.intp], small: int, large: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """For pixels of a line of ``large``: the two nearest of ``small``, and the second one's weight."""
    position = np.clip((positions + 0.5) * (small / large) - 0.5, 0, small - 1)
    first = np.floor(position).astype(np.intp)
    return first, np.minimum(first + 1, small - 1), (position - first).astype(np.float32)


def _between(first: FloatMap, second: FloatMap, weight: NDArray[np.float32]) -> FloatMap:
    """Linear interpolation, in place: both arrays are fresh copies."""
    second -= first
    second *= weight
    second += first
    return second
