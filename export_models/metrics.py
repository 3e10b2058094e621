"""Metrics of predicted maps. All except ``iou`` compare two arrays on the pixels of a mask [H, W]."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from export_models.dataset.connectivity import label_connected
from orchestrator.domain.images import FloatMap

Mask = NDArray[np.bool_]

MAX_FOLD_DEG = 30.0
"""Angle between the normals of neighbouring pixels from which they belong to different surfaces. Not tuned."""


def si_rmse(prediction: FloatMap, truth: FloatMap, mask: Mask) -> float:
    """Return the scale-invariant RMSE: the root mean square error after the optimal scaling of the prediction.

    It is relative to the root mean square of the truth, so that images of dark and of light pieces have the same
    weight. 0 is perfect; 1 is the error of a black prediction.

    Args:
        prediction, truth: [H, W] or [H, W, C], linear. All channels share one scale.
    """
    return float(np.sqrt(_scaled_square_error(prediction[mask], truth[mask])))


def lmse(prediction: FloatMap, truth: FloatMap, mask: Mask, window: int = 20) -> float:
    """Return the local mean squared error (Grosse et al. 2009): the square of ``si_rmse`` with a scale per window.

    Windows overlap by half. Errors and energies are summed over the windows before the division.

    Args:
        prediction, truth: [H, W] or [H, W, C], linear. All channels share one scale.
        window: side of a window in pixels.
    """
    error = energy = 0.0
    height, width = mask.shape
    for top in range(0, height - window + 1, window // 2):
        for left in range(0, width - window + 1, window // 2):
            area = (slice(top, top + window), slice(left, left + window))
            inside = mask[area]
            if inside.any():
                local_truth = truth[area][inside]
                local_energy = float(np.sum(np.square(local_truth, dtype=np.float64)))
                error += _scaled_square_error(prediction[area][inside], local_truth) * local_energy
                energy += local_energy
    return error / max(energy, 1e-12)


def mean_angular_error_deg(prediction: FloatMap, truth: FloatMap, mask: Mask) -> float:
    """Return the mean angle in degrees between vectors [H, W, 3] of any length."""
    a, b = prediction[mask].astype(np.float64), truth[mask].astype(np.float64)
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    cosine = (a * b).sum(axis=-1) / np.maximum(lengths, 1e-12)
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))).mean())


def mae(prediction: FloatMap, truth: FloatMap, mask: Mask) -> float:
    """Return the mean absolute error."""
    return float(np.abs(prediction[mask] - truth[mask]).mean())


def iou(prediction: Mask, truth: Mask) -> float:
    """Return the intersection over union of two masks; 1 if both are empty."""
    union = int((prediction | truth).sum())
    return 1.0 if union == 0 else float((prediction & truth).sum() / union)


def label_surfaces(component: NDArray[np.uint8], material: NDArray[np.uint8], normal: FloatMap) -> NDArray[np.int64]:
    """Return the number of the surface of each pixel of the piece [H, W], from 0; the background gets numbers too.

    A surface is a connected area of one part and one material without sharp folds.

    Args:
        component, material: [H, W] classes.
        normal: [H, W, 3] unit.
    """
    index = np.arange(component.size).reshape(component.shape)
    classes = component.astype(int) * 256 + material
    links = []
    for a, b in (((slice(None), slice(-1)), (slice(None), slice(1, None))), ((slice(-1),), (slice(1, None),))):
        is_flat = (normal[a] * normal[b]).sum(-1) > np.cos(np.radians(MAX_FOLD_DEG))
        is_linked = (classes[a] == classes[b]) & is_flat
        links.append(np.stack([index[a][is_linked], index[b][is_linked]], 1))
    return label_connected(np.concatenate(links), component.size).reshape(component.shape)


def _scaled_square_error(prediction: FloatMap, truth: FloatMap) -> float:
    a, b = prediction.astype(np.float64).ravel(), truth.astype(np.float64).ravel()
    scale = float(a @ b) / max(float(a @ a), 1e-12)
    return float(np.square(scale * a - b).sum()) / max(float(b @ b), 1e-12)
