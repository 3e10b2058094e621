"""The stain as a translucent film over wood, solved so that the mean colour of the wood reaches a target.

Light crosses the film twice and is absorbed by the Beer–Lambert law: ``R_out = R_wood · exp(−2 · coats · k)`` for each
channel. This is the limit without scattering of Kubelka's layer over a background (Kubelka 1948, New contributions to
the optics of intensely light-scattering materials, part I, JOSA 38). A film without scattering colours the wood without
covering it. The factor is the same for light and dark grain, so the contrast of the grain in log light is unchanged.

A film can only darken. If the target is lighter than the wood, the wood is bleached first, by a gain with a shoulder
that keeps the reflectance below 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap
from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.imaging.color import LINEAR_STEPS, LUMINANCE_WEIGHTS, linear_from_color

MIN_TARGET = 6e-4
"""Smallest mean reflectance that a stain can reach: two 8-bit sRGB steps above black."""
MAX_TARGET = 0.9
"""Largest mean reflectance that a stain can reach, roughly that of the whitest bleached wood. Not tuned."""
SHOULDER = 8.0
"""Sharpness of the bleach's shoulder. At a bleached reflectance of 0.75, the grain keeps 90 % of its contrast."""
MIN_ALBEDO = 4e-3
"""Reflectance of black velvet. Wood is never darker, so a smaller value is a hole or noise and is not amplified."""
HISTOGRAM_BINS = 4096
"""Bins of the reflectance histogram, evenly spaced over [0, 1]."""
MAX_GAIN = 1e4
"""Upper end of the search for the bleach's gain."""
BISECTION_STEPS = 60
"""Steps of this search, enough for the precision of float64."""

_BIN_ALBEDO = np.maximum((np.arange(HISTOGRAM_BINS) + 0.5) / HISTOGRAM_BINS, MIN_ALBEDO)


@dataclass(frozen=True)
class Film:
    """A solved stain for one piece of wood. Arrays have 3 values, for red, green and blue."""

    geometric_mean: NDArray[np.float64]  # of the wood's reflectance; the contrast of the grain is scaled about it
    bleach: NDArray[np.float64]  # gain before the film, 1 if none is needed
    absorption: NDArray[np.float64]  # k of one coat, >= 0
    bare_mean: NDArray[np.float64]  # mean reflectance of the wood
    stained_mean: NDArray[np.float64]  # mean reflectance of the stained wood
    coats: float  # thickness; one coat reaches the target
    preserve_grain: float  # exponent of the grain's contrast, in [0, 1]

    def apply(self, reflectance: NDArray[np.float64], channel: int) -> NDArray[np.float64]:
        """Return the reflectance of the stained wood, in [0, 1], for the bare reflectance of one channel."""
        grain = _scale_grain(reflectance, self.geometric_mean[channel], self.preserve_grain)
        transmission = float(np.exp(-2.0 * self.coats * self.absorption[channel]))
        return _bleach(grain, self.bleach[channel]) * transmission

    def factors(self, channel: int) -> FloatMap:
        """Return the stained reflectance relative to the bare one, for LINEAR_STEPS + 1 bare reflectances in [0, 1]."""
        bare = np.maximum(np.arange(LINEAR_STEPS + 1) / LINEAR_STEPS, MIN_ALBEDO)
        return np.asarray(self.apply(bare, channel) / bare, np.float32)

    @property
    def luminance_factor(self) -> float:
        """Mean luminance of the stained wood, relative to the bare wood."""
        return float(LUMINANCE_WEIGHTS @ self.stained_mean / (LUMINANCE_WEIGHTS @ self.bare_mean))

    @property
    def hue_uniformity(self) -> float:
        """How far ``unify_hue`` moves the stained wood to the hue of the film, in [0, 1].

        A film that changes the channels unevenly also amplifies every small difference in hue: a grey stain on orange
        wood would turn pale areas blue, which no pigment does. The more uneven the film, the higher this value.
        """
        factors = self.stained_mean / self.bare_mean
        return float(1.0 - factors.min() / factors.max())

    def unify_hue(self, stained: list[FloatMap]) -> list[FloatMap]:
        """Move the hue of stained reflectance (three planes) to that of the film, keeping its luminance and mean."""
        red, green, blue = (plane * weight for plane, weight in zip(stained, LUMINANCE_WEIGHTS, strict=True))
        light = red + green + blue
        film_hue = self.stained_mean.astype(np.float32) / np.float32(LUMINANCE_WEIGHTS @ self.stained_mean)
        kept, moved = np.float32(1.0 - self.hue_uniformity), np.float32(self.hue_uniformity)
        return [plane * kept + light * (moved * hue) for plane, hue in zip(stained, film_hue, strict=True)]


def histogram(albedo_linear: FloatMap, weights: FloatMap) -> NDArray[np.float64]:
    """Return the [HISTOGRAM_BINS] total weight of each reflectance in [0, 1], for one channel."""
    bins = np.clip(albedo_linear * HISTOGRAM_BINS, 0, HISTOGRAM_BINS - 1).astype(np.intp)
    return np.asarray(np.bincount(bins.ravel(), weights.ravel(), HISTOGRAM_BINS), np.float64)


def solve(
    histograms: NDArray[np.float64], target: SrgbColor, *, coats: float = 1.0, preserve_grain: float = 1.0
) -> Film:
    """Find the film whose first coat brings the mean reflectance of the wood to the target.

    Args:
        histograms: [3, HISTOGRAM_BINS] histogram of the wood's linear reflectance for each channel, not empty.
        target: mean colour of the stained wood after one coat, limited to [MIN_TARGET, MAX_TARGET] per channel.
        coats: thickness of the film. Each further coat absorbs the same share again.
        preserve_grain: 1 keeps the contrast of the grain in log light, 0 removes it.
    """
    goals = np.clip(linear_from_color(target), MIN_TARGET, MAX_TARGET)
    solved = [_solve_channel(*channel, coats, preserve_grain) for channel in zip(histograms, goals, strict=True)]
    geometric_mean, bleach, absorption, bare_mean, stained_mean = np.array(solved).T
    return Film(geometric_mean, bleach, absorption, bare_mean, stained_mean, coats, preserve_grain)


def _solve_channel(
    counts: NDArray[np.float64], goal: float, coats: float, preserve_grain: float
) -> tuple[float, float, float, float, float]:
    """Return the first five attributes of ``Film`` for one channel."""
    weights = counts / counts.sum()
    geometric_mean = float(np.exp(weights @ np.log(_BIN_ALBEDO)))
    grain = _scale_grain(_BIN_ALBEDO, geometric_mean, preserve_grain)
    mean = float(weights @ grain)
    bleach = _solve_bleach(grain, weights, goal) if goal > mean else 1.0
    # The mean is proportional to the film's transmission, so the solution is closed-form.
    absorption = max(0.0, -0.5 * float(np.log(goal / mean)))
    stained_mean = float(weights @ _bleach(grain, bleach)) * float(np.exp(-2.0 * coats * absorption))
    return geometric_mean, bleach, absorption, float(weights @ _BIN_ALBEDO), stained_mean


def _solve_bleach(grain: NDArray[np.float64], weights: NDArray[np.float64], goal: float) -> float:
    """Return the gain whose bleached mean is ``goal``, by bisection. The mean grows monotonically with the gain."""
    low, high = 0.0, float(np.log(MAX_GAIN))
    for _ in range(BISECTION_STEPS):
        middle = (low + high) / 2
        if float(weights @ _bleach(grain, float(np.exp(middle)))) < goal:
            low = middle
        else:
            high = middle
    return float(np.exp(high))


def _scale_grain(reflectance: NDArray[np.float64], geometric_mean: float, exponent: float) -> NDArray[np.float64]:
    """Scale the contrast in log light about the geometric mean."""
    return np.asarray(geometric_mean * (reflectance / geometric_mean) ** exponent)


def _bleach(reflectance: NDArray[np.float64], gain: float) -> NDArray[np.float64]:
    """Lighten by a gain that is proportional for dark values and stays below 1 for light ones."""
    if gain == 1.0:
        return reflectance
    lit = gain * reflectance
    return np.asarray(lit / (1.0 + lit**SHOULDER) ** (1.0 / SHOULDER))
