"""One surface from the masks and the depths of all photos: a signed distance within the visual hull.

The depths are fused as a truncated signed distance (Curless & Levoy 1996, A volumetric method for building complex
models from range images); where they say nothing, the hull stands.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.measure import marching_cubes

from orchestrator.domain.images import FloatMap
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import ToolFailed
from orchestrator.geometry.cameras import Camera, Floats
from orchestrator.geometry.hull import AT_ONCE, Grid, seen_from
from orchestrator.geometry.mesh import Triangles
from orchestrator.imaging.sampling import sample

Volume = NDArray[np.float32]

TRUNCATION = 4.0
"""In voxels: deeper behind a seen surface a photo knows nothing; farther before it there is free space."""
TRUST_HULL = 1.0
"""In voxels: depths are not exact enough to move the hull by less than this."""
SPREAD = (3.5, 1.2)
"""In voxels: over how much the depths are evened out, coarse to fine."""
PRIOR_VOTES = 1.3
"""How many photos the hull, or the coarser surface, outweighs."""


def fuse(
    cameras: Sequence[Camera],
    depths: Sequence[FloatMap],
    grid: Grid,
    chosen: NDArray[np.int64],
    hull: NDArray[np.float32],
    progress: Progress = no_progress,
) -> NDArray[np.float32]:
    """Return the signed distance [M] of the places ``chosen``, positive outside, cut off at TRUNCATION voxels.

    Args:
        depths: [H, W] each, NaN where unknown.
        chosen: [M] flat numbers of ``grid``.
        hull: [M] distance beside the hull.
    """
    reach = TRUNCATION * grid.step
    total, weight = np.zeros(grid.count, np.float32), np.zeros(grid.count, np.float32)
    for start in range(0, len(chosen), AT_ONCE):
        some = chosen[start : start + AT_ONCE]
        places = grid.places(some)
        for number, (camera, depth) in enumerate(zip(cameras, depths, strict=True)):
            done = (start + len(some) * number / len(cameras)) / len(chosen)
            progress(0.8 * done, "joining the depths of all photos")
            at, far = seen_from(camera, places)
            before = sample(depth, at, nearest=True, outside=float("nan")) - far
            known = (before > -reach) & (far > 0)  # NaN is not
            total[some] += np.where(known, np.minimum(before, reach), 0)
            weight[some] += known
    progress(0.8, "evening out the surface")
    prior = np.full(grid.count, reach, np.float32)
    prior[chosen] = np.clip(hull, -reach, reach)
    seen = _evened(total.reshape(grid.shape), weight.reshape(grid.shape), prior.reshape(grid.shape)).ravel()[chosen]
    doubt = np.clip(2 + hull / (TRUST_HULL * grid.step), 0, 1) * TRUST_HULL * grid.step
    return np.clip(np.maximum(hull, seen - doubt), -reach, reach)


def _evened(total: Volume, weight: Volume, prior: Volume) -> Volume:
    """The mean of the depths' distances around each place, over as little as holds enough of them.

    Normalised convolution (Knutsson & Westin 1993) from coarse to fine; each result is the next one's ``prior``, so
    that no step shows where knowledge ends.
    """
    for sigma in SPREAD:
        sums, votes = (gaussian_filter(volume, sigma, truncate=2.0) for volume in (total, weight))
        prior = (sums + PRIOR_VOTES * prior) / (votes + PRIOR_VOTES)
    return prior


def surface(grid: Grid, chosen: NDArray[np.int64], field: NDArray[np.float32]) -> tuple[Floats, Triangles]:
    """Return the mesh of the zero of ``field``, counter-clockwise seen from outside (marching cubes).

    Raises:
        ToolFailed: there is no surface.
    """
    reach = TRUNCATION * grid.step
    volume = np.full(grid.count, reach, np.float32)
    volume[chosen] = field
    padded = np.pad(volume.reshape(grid.shape), 1, constant_values=reach)
    if padded.min() >= 0:
        raise ToolFailed("nothing of the piece is left after carving: the masks of the photos do not fit together")
    vertices, triangles, _, _ = marching_cubes(padded, 0.0, gradient_direction="descent")  # type: ignore[no-untyped-call]
    return (vertices.astype(np.float64) - 1) * grid.step + grid.origin, np.asarray(triangles, np.int32)
