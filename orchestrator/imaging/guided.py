"""Guided upsampling: enlarges a small map to the resolution of a photo, along the edges of the photo.

He, Sun: Fast Guided Filter (arXiv:1505.00996, 2015), after He, Sun, Tang: Guided Image Filtering (TPAMI 2013).
The map is modelled as a locally linear function of the photo. The coefficients of that function are computed at the
resolution of the map, enlarged, and applied to the photo at full resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap, Image

RADIUS = 2
"""Default window radius in pixels of the small map. A larger window blurs detail that the models resolved. On true
normals at half resolution, the mean error after upsampling is 7° with radius 2 and 14° with radius 6."""
EPSILON = 1e-4
"""Default variance of the guide (sRGB in [0, 1]) below which a window is treated as flat: 1 % contrast. Not tuned."""


@dataclass(frozen=True)
class GuidedMap:
    """A map stored as coefficients of a linear function of the photo. ``rows`` evaluates it at full resolution.

    ``channels`` contains [h, w] float32 planes for each channel of the map: one plane of slopes for each channel of the
    guide, then one plane of offsets. The guide is RGB (3 slopes), brightness (1 slope), or none (plain interpolation).
    """

    channels: tuple[tuple[FloatMap, ...], ...]
    height: int  # of the photo
    width: int

    def rows(self, photo_rows_srgb: Image, rows: NDArray[np.intp]) -> FloatMap:
        """Evaluate the map at some rows of the photo.

        The result of a row does not depend on which other rows are evaluated, so an image that is processed in strips
        is bit-identical to one that is processed as a whole.

        Args:
            photo_rows_srgb: [n, W, 3] uint8, the pixels of these rows.
            rows: [n] ascending row indices in [0, H).

        Returns:
            [C, n, W] float32.
        """
        guides = _guide_channels(photo_rows_srgb, len(self.channels[0]) - 1)
        reader = _RowReader(rows, self.channels[0][0].shape, self.height, self.width)
        out = np.empty((len(self.channels), len(rows), self.width), np.float32)
        for values, (*slopes, offset) in zip(out, self.channels, strict=True):
            values[:] = reader.read(offset)
            for slope, guide in zip(slopes, guides, strict=True):
                values += reader.read(slope) * guide
        return out


class Guide:
    """A photo at the resolution of its maps, with the statistics of all windows. All maps of the photo can share it.

    Args:
        photo_srgb: [H, W, 3] uint8.
        shape: height and width of the maps, at most those of the photo.
        radius: window radius in pixels of the maps.
        epsilon: variance of the guide below which a window is treated as flat. A larger value gives a smoother map.
        grey: use only the brightness of the photo as the guide, for maps whose edges do not follow colour.
    """

    def __init__(
        self,
        photo_srgb: Image,
        shape: tuple[int, ...],
        *,
        radius: int = RADIUS,
        epsilon: float = EPSILON,
        grey: bool = False,
    ) -> None:
        self._photo_size = photo_srgb.shape[:2]
        self._window = (2 * radius + 1, 2 * radius + 1)
        small_photo = cv2.resize(photo_srgb, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
        channels = _guide_channels(np.asarray(small_photo, np.uint8), 1 if grey else 3)
        self._channels = [(channel, self._mean(channel)) for channel in channels]
        covariance = [
            [self._mean(u * v) - u_mean * v_mean for v, v_mean in self._channels] for u, u_mean in self._channels
        ]
        for i in range(len(channels)):
            covariance[i][i] += np.float32(epsilon)
        self._covariance = _Solver(covariance)

    def fit(self, map_low: FloatMap) -> GuidedMap:
        """Fit a map [h, w] or [h, w, C] of the whole photo as a locally linear function of the photo."""
        fitted = []
        for values in _planes(map_low):
            mean = self._mean(values)
            covariance = [self._mean(guide * values) - guide_mean * mean for guide, guide_mean in self._channels]
            slopes = self._covariance.solve(covariance)
            offset = mean - sum(
                slope * guide_mean for slope, (_, guide_mean) in zip(slopes, self._channels, strict=True)
            )
            fitted.append(tuple(self._mean(coefficient) for coefficient in (*slopes, offset)))
        return GuidedMap(tuple(fitted), *self._photo_size)

    def _mean(self, values: FloatMap) -> FloatMap:
        return np.asarray(cv2.blur(values, self._window, borderType=cv2.BORDER_REFLECT_101), np.float32)


def fit(
    map_low: FloatMap, photo_srgb: Image, *, radius: int = RADIUS, epsilon: float = EPSILON, grey: bool = False
) -> GuidedMap:
    """Fit one map of a photo. See ``Guide`` for the arguments."""
    return Guide(photo_srgb, map_low.shape, radius=radius, epsilon=epsilon, grey=grey).fit(map_low)


def without_guide(map_low: FloatMap, photo_srgb: Image) -> GuidedMap:
    """Return a map [h, w] or [h, w, C] as a GuidedMap that only interpolates it bilinearly, for smooth maps."""
    return GuidedMap(tuple((plane,) for plane in _planes(map_low)), *photo_srgb.shape[:2])


def upsample(
    map_low: FloatMap, photo_srgb: Image, *, radius: int = RADIUS, epsilon: float = EPSILON, grey: bool = False
) -> FloatMap:
    """Fit a small map and evaluate it at the resolution of the photo. The arguments are those of ``fit``.

    Returns:
        [H, W] or [H, W, C] float32. Values may slightly exceed the range of ``map_low``.
    """
    fitted = fit(map_low, photo_srgb, radius=radius, epsilon=epsilon, grey=grey)
    planes = fitted.rows(photo_srgb, np.arange(photo_srgb.shape[0]))
    return planes[0] if map_low.ndim == 2 else np.ascontiguousarray(np.moveaxis(planes, 0, -1))


def _planes(image: FloatMap) -> list[FloatMap]:
    """Return the channels of [h, w] or [h, w, C] as contiguous planes."""
    return [np.ascontiguousarray(plane, np.float32) for plane in np.moveaxis(np.atleast_3d(image), -1, 0)]


class _Solver:
    """Solves one small symmetric positive definite system per pixel by Gaussian elimination, vectorised over pixels.

    ``numpy.linalg.solve`` takes ten times as long for 3 × 3 systems because it calls LAPACK for each pixel.
    """

    def __init__(self, matrix: list[list[FloatMap]]) -> None:
        self._rows = [[plane.astype(np.float64) for plane in row] for row in matrix]
        self._factors: list[list[NDArray[np.float64]]] = []
        for i, row in enumerate(self._rows):
            below = self._rows[i + 1 :]
            self._factors.append([other[i] / row[i] for other in below])
            for other, factor in zip(below, self._factors[i], strict=True):
                for k in range(i + 1, len(row)):
                    other[k] -= factor * row[k]

    def solve(self, right: list[FloatMap]) -> list[FloatMap]:
        """Return the solution for one right side."""
        values = [plane.astype(np.float64) for plane in right]
        for i, factors in enumerate(self._factors):
            for j, factor in enumerate(factors, i + 1):
                values[j] -= factor * values[i]
        for i in reversed(range(len(values))):
            for k in range(i + 1, len(values)):
                values[i] -= self._rows[i][k] * values[k]
            values[i] /= self._rows[i][i]
        return [plane.astype(np.float32) for plane in values]


def _guide_channels(photo_srgb: Image, count: int) -> list[FloatMap]:
    """Return ``count`` guide channels [n, W] float32 in [0, 1], sRGB-encoded: RGB (3), brightness (1) or none (0)."""
    if count == 0:
        return []
    scaled = photo_srgb.astype(np.float32) * np.float32(1 / 255)
    return _planes(scaled if count == 3 else np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2GRAY), np.float32))


class _RowReader:
    """Interpolates rows of small planes bilinearly at the resolution of the photo, with pixel centres at 0.5.

    ``cv2.resize`` is not used because the last bits of its results depend on the number of rows.
    """

    def __init__(self, rows: NDArray[np.intp], plane_shape: tuple[int, ...], height: int, width: int) -> None:
        above, below, self._row_weight = _neighbours(rows, plane_shape[0], height)
        self._left, self._right, self._column_weight = _neighbours(np.arange(width), plane_shape[1], width)
        self._source_rows = slice(int(above[0]), int(below[-1]) + 1)
        self._above, self._below = above - above[0], below - above[0]

    def read(self, plane: FloatMap) -> FloatMap:
        """Return the [n, W] float32 rows of a plane."""
        block = plane[self._source_rows]
        left, right = (np.take(block, columns, axis=1) for columns in (self._left, self._right))
        wide = _interpolate(left, right, self._column_weight)
        return _interpolate(wide[self._above], wide[self._below], self._row_weight[:, None])


def _neighbours(
    positions: NDArray[np.intp], small: int, large: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return the two nearest pixels on an axis of length ``small`` for positions on an axis of length ``large``.

    The third array is the interpolation weight of the second pixel.
    """
    position = np.clip((positions + 0.5) * (small / large) - 0.5, 0, small - 1)
    first = np.floor(position).astype(np.intp)
    return first, np.minimum(first + 1, small - 1), (position - first).astype(np.float32)


def _interpolate(first: FloatMap, second: FloatMap, weight: NDArray[np.float32]) -> FloatMap:
    """Interpolate linearly. Overwrites ``second``."""
    second -= first
    second *= weight
    second += first
    return second
