"""The stain as a translucent film over wood, solved so that the wood's mean reaches a colour.

Light crosses the film twice and is absorbed by Beer–Lambert's law: ``R_out = R_wood · exp(−2 · coats · k)`` for each
channel. This is the limit without scattering of Kubelka's layer over a background (Kubelka 1948, New contributions
to the optics of intensely light-scattering materials, part I, JOSA 38): a dye colours, it does not cover.
A factor keeps every ratio between light and dark grain, so the grain's contrast in log light is untouched.
A film can only darken. Where the target is lighter than the wood, a bleach comes first: a gain with a shoulder that
keeps reflectance below 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap
from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.imaging.color import LINEAR_STEPS, LUMINANCE_WEIGHTS, linear_from_color

DARKEST, LIGHTEST = 6e-4, 0.9
"""Mean reflectances that a stain can reach: half an 8-bit step above black, and the whitest bleached wood."""
SHOULDER = 8.0
"""How late the bleach bends: at reflectance 0.75 the grain keeps 90 % of its contrast."""
LEAST_ALBEDO = 4e-3
"""Reflectance of black velvet: no wood is darker, so less is a hole or noise and is not amplified."""
HISTOGRAM_BINS = 4096
MOST_GAIN = 1e4

_BIN_ALBEDO = np.maximum((np.arange(HISTOGRAM_BINS) + 0.5) / HISTOGRAM_BINS, LEAST_ALBEDO)


@dataclass(frozen=True)
class Film:
    """A solved stain for one piece of wood; three values each are for red, green and blue.

    Attributes:
        middle: geometric mean reflectance of the wood, about which the grain's contrast is scaled.
        bleach: gain before the film; 1 where none is needed.
        absorption: k of one coat, ≥ 0.
        coats: thickness of the film; 1 is what reaches the target.
        preserve_grain: exponent of the grain's contrast, 0 to 1.
        bare: mean reflectance of the wood.
        stained: mean reflectance of the stained wood.
    """

    middle: tuple[float, float, float]
    bleach: tuple[float, float, float]
    absorption: tuple[float, float, float]
    coats: float
    preserve_grain: float
    bare: tuple[float, float, float]
    stained: tuple[float, float, float]

    def over(self, reflectance: NDArray[np.float64], channel: int) -> NDArray[np.float64]:
        """Reflectance in [0, 1] of stained wood, one channel, any shape."""
        grain = _grain(reflectance, self.middle[channel], self.preserve_grain)
        transmitted = float(np.exp(-2.0 * self.coats * self.absorption[channel]))
        return _bleached(grain, self.bleach[channel]) * transmitted

    @property
    def luminance_factor(self) -> float:
        """How much darker (or lighter) the film makes the wood, as the eye sees it."""
        return float(LUMINANCE_WEIGHTS @ np.asarray(self.stained) / (LUMINANCE_WEIGHTS @ np.asarray(self.bare)))

    @property
    def hue_hold(self) -> float:
        """How far, from 0 to 1, stained wood takes the film's own hue.

        A film that changes the channels unevenly also enlarges every small difference of hue: grey on orange wood
        would come out blue where the wood is pale. A pigment does not do that; the more uneven, the more it holds.
        """
        factors = np.asarray(self.stained) / np.asarray(self.bare)
        return float(1.0 - factors.min() / factors.max())

    def hold_hue(self, filmed: list[FloatMap]) -> list[FloatMap]:
        """Draw the hue of stained reflectance (three planes) to the film's own; mean and luminance stay."""
        red, green, blue = (plane * weight for plane, weight in zip(filmed, LUMINANCE_WEIGHTS, strict=True))
        light = red + green + blue
        own = np.asarray(self.stained, np.float32) / np.float32(LUMINANCE_WEIGHTS @ np.asarray(self.stained))
        kept, held = np.float32(1.0 - self.hue_hold), np.float32(self.hue_hold)
        return [plane * kept + light * (held * share) for plane, share in zip(filmed, own, strict=True)]

    def factors(self, channel: int) -> FloatMap:
        """Stained over bare reflectance, for the LINEAR_STEPS + 1 bare reflectances 0 … 1."""
        bare = np.maximum(np.arange(LINEAR_STEPS + 1) / LINEAR_STEPS, LEAST_ALBEDO)
        return np.asarray(self.over(bare, channel) / bare, np.float32)


def histogram(albedo_linear: FloatMap, weights: FloatMap) -> NDArray[np.float64]:
    """[HISTOGRAM_BINS] weight of each reflectance in [0, 1], for one channel."""
    bins = np.clip(albedo_linear * HISTOGRAM_BINS, 0, HISTOGRAM_BINS - 1).astype(np.intp)
    return np.asarray(np.bincount(bins.ravel(), weights.ravel(), HISTOGRAM_BINS), np.float64)


def solve(
    histograms: NDArray[np.float64], target: SrgbColor, *, coats: float = 1.0, preserve_grain: float = 1.0
) -> Film:
    """Find the film whose one coat brings the wood's mean reflectance to the target.

    Args:
        histograms: [3, HISTOGRAM_BINS], the wood's linear reflectance as ``histogram`` counts it; not empty.
        target: the colour that the mean of the stained wood reaches with one coat, as far as DARKEST and LIGHTEST
            allow.
        coats: thickness to apply; each coat more absorbs the same share again.
        preserve_grain: 1 keeps the grain's contrast in log light, 0 removes it.
    """
    goals = np.clip(linear_from_color(target), DARKEST, LIGHTEST)
    middle, bleach, absorption, bare, stained = [], [], [], [], []
    for counts, goal in zip(histograms, goals, strict=True):
        weights = counts / counts.sum()
        center = float(np.exp(weights @ np.log(_BIN_ALBEDO)))
        grain = _grain(_BIN_ALBEDO, center, preserve_grain)
        mean = float(weights @ grain)
        gain = _solve_bleach(grain, weights, float(goal)) if goal > mean else 1.0
        # The mean is proportional to the film's transmission, so its root needs no search.
        k = max(0.0, -0.5 * float(np.log(goal / mean)))
        middle.append(center)
        bleach.append(gain)
        absorption.append(k)
        bare.append(float(weights @ _BIN_ALBEDO))
        stained.append(float(weights @ _bleached(grain, gain)) * float(np.exp(-2.0 * coats * k)))
    return Film(
        _three(middle), _three(bleach), _three(absorption), coats, preserve_grain, _three(bare), _three(stained)
    )


def _solve_bleach(grain: NDArray[np.float64], weights: NDArray[np.float64], goal: float) -> float:
    """The gain whose bleached mean is ``goal``: the mean grows with the gain, so bisection finds the one root."""
    low, high = 0.0, float(np.log(MOST_GAIN))
    for _ in range(60):
        middle = (low + high) / 2
        if float(weights @ _bleached(grain, float(np.exp(middle)))) < goal:
            low = middle
        else:
            high = middle
    return float(np.exp(high))


def _grain(reflectance: NDArray[np.float64], middle: float, preserve: float) -> NDArray[np.float64]:
    """Scale the contrast in log light about the middle."""
    return np.asarray(middle * (reflectance / middle) ** preserve)


def _bleached(reflectance: NDArray[np.float64], gain: float) -> NDArray[np.float64]:
    """Lighten; proportional while dark, below 1 for any gain."""
    if gain == 1.0:
        return reflectance
    lit = gain * reflectance
    return np.asarray(lit / (1.0 + lit**SHOULDER) ** (1.0 / SHOULDER))


def _three(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue
