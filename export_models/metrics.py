"""How far maps are from the truth. All take arrays of pixels; a mask [H, W] bool says which count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap

Mask = NDArray[np.bool_]


def si_rmse(found: FloatMap, truth: FloatMap, mask: Mask) -> float:
    """Scale-invariant RMSE: root mean square error after the one factor that makes it least.

    Relative to the truth's root mean square, so that pictures of dark and of light pieces count alike:
    0 is perfect, 1 is no better than black.

    Args:
        found, truth: [H, W] or [H, W, C], linear; one factor for all channels.
    """
    return float(np.sqrt(_scaled_square_error(found[mask], truth[mask])))


def lmse(found: FloatMap, truth: FloatMap, mask: Mask, window: int = 20) -> float:
    """Local mean squared error (Grosse et al. 2009): as ``si_rmse`` squared, with a factor for each window.

    Windows overlap by half. Errors and energies are summed over windows before they are divided.
    """
    error = energy = 0.0
    height, width = mask.shape
    for top in range(0, height - window + 1, window // 2):
        for left in range(0, width - window + 1, window // 2):
            place = (slice(top, top + window), slice(left, left + window))
            inside = mask[place]
            if inside.any():
                local_truth = truth[place][inside]
                square = float(np.sum(np.square(local_truth, dtype=np.float64)))
                error += _scaled_square_error(found[place][inside], local_truth) * square
                energy += square
    return error / max(energy, 1e-12)


def mean_angular_error_deg(found: FloatMap, truth: FloatMap, mask: Mask) -> float:
    """Mean angle in degrees between normals [H, W, 3]; they need not be unit."""
    one, other = found[mask].astype(np.float64), truth[mask].astype(np.float64)
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    cosine = (one * other).sum(axis=-1) / np.maximum(lengths, 1e-12)
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))).mean())


def mae(found: FloatMap, truth: FloatMap, mask: Mask) -> float:
    """Mean absolute error."""
    return float(np.abs(found[mask] - truth[mask]).mean())


def iou(found: Mask, truth: Mask) -> float:
    """Intersection over union of two masks; 1 where both are empty."""
    union = int((found | truth).sum())
    return 1.0 if union == 0 else float((found & truth).sum() / union)


def _scaled_square_error(found: FloatMap, truth: FloatMap) -> float:
    one, other = found.astype(np.float64).ravel(), truth.astype(np.float64).ravel()
    energy = float(other @ other)
    factor = float(one @ other) / max(float(one @ one), 1e-12)
    return float(np.square(factor * one - other).sum()) / max(energy, 1e-12)
