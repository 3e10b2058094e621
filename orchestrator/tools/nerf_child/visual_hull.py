"""The visual hull of masks (Laurentini 1994), from which the training starts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from orchestrator.tools.nerf_child.photos import Photos, grow_mask

# Share of the photos whose masks may wrongly exclude a point. 0.04 and 0.08 were used before; not measured separately.
MAX_WRONG_MASKS = 0.05
MIN_FRAMED = 0.5  # minimum share of the photos whose frame must contain a point of the hull; not tuned
BATCH_POINTS = 1 << 18  # points tested at once, to limit memory
SEARCH_CELLS = (48, 64)  # cells along the longest side of the box, in the two rounds of ``find_bounds``
SEARCH_MARGIN = 1.1  # radius of the sphere that is searched, relative to the largest silhouette
SEARCH_MASK_GROWTH = 0.7  # growth of the masks in the search, in voxels


def inside_hull(photos: Photos, points: Tensor, mask_growth_px: float) -> Tensor:
    """Return whether ``points`` [P, 3] lie in the visual hull of the masks, which are grown by ``mask_growth_px``."""
    masks = [grow_mask(mask, round(mask_growth_px)) for mask in photos.masks]
    inside = torch.zeros(len(points), dtype=torch.int32, device=points.device)
    framed = torch.zeros_like(inside)
    for start in range(0, len(points), BATCH_POINTS):
        batch = slice(start, start + BATCH_POINTS)
        for number, mask in enumerate(masks):
            pixels, depth = photos.cameras.project(number, points[batch])
            column, row = torch.floor(pixels).long().unbind(-1)
            height, width = mask.shape
            in_frame = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (depth > 0)
            in_mask = mask[row.clamp(0, height - 1), column.clamp(0, width - 1)] > 0.5
            framed[batch] += in_frame
            inside[batch] += in_frame & in_mask
    max_wrong = (MAX_WRONG_MASKS * framed).floor()
    return (inside >= framed - max_wrong) & (framed >= max(2.0, MIN_FRAMED * len(masks)))


def find_bounds(photos: Photos) -> tuple[Tensor, Tensor]:
    """Return the lowest and the highest corner [3] of the visual hull.

    Raises:
        ValueError: the hull is empty, or fewer than two masks show a piece.
    """
    cameras = photos.cameras
    centre, radius = _search_sphere(photos)
    low, high = centre - radius, centre + radius
    for cells in SEARCH_CELLS:
        voxel = float((high - low).max()) / cells
        shape = [int(side) + 2 for side in ((high - low) / voxel).tolist()]
        growth_px = SEARCH_MASK_GROWTH * voxel * cameras.pixels_per_unit(centre)
        inside = inside_hull(photos, lattice(low, voxel, shape), growth_px).view(*shape).nonzero()
        if not len(inside):
            raise ValueError("the visual hull of the masks is empty; check that all photos show the same piece")
        low, high = low + (inside.amin(0) - 1) * voxel, low + (inside.amax(0) + 1) * voxel
    return low, high


def _search_sphere(photos: Photos) -> tuple[Tensor, float]:
    """Return the point [3] nearest to the rays through the mask centroids, and the radius of the sphere to search."""
    cameras = photos.cameras
    device = cameras.intrinsics.device
    used = [number for number, mask in enumerate(photos.masks) if float(mask.max()) > 0.5]
    if len(used) < 2:
        raise ValueError(f"{len(used)} of {len(photos.masks)} masks show a piece; at least 2 are required")
    camera = torch.tensor(used, device=device)
    mask_pixels = [(photos.masks[number] > 0.5).nonzero().float() for number in used]
    centroids = torch.stack([pixels.mean(0).flip(0) for pixels in mask_pixels])
    origins, directions = cameras.rays(camera, centroids)
    projectors = torch.eye(3, device=device) - directions[:, :, None] * directions[:, None, :]
    right_side = (projectors @ origins[..., None]).sum(0)
    centre = torch.linalg.lstsq(projectors.sum(0), right_side).solution[:, 0]
    extent_px = torch.stack([(pixels - pixels.mean(0)).norm(dim=-1).max() for pixels in mask_pixels])
    distance = (origins - centre).norm(dim=-1)
    return centre, float((extent_px / cameras.intrinsics[camera, 0, 0] * distance).max()) * SEARCH_MARGIN


def lattice(low: Tensor, voxel: float, shape: Sequence[int]) -> Tensor:
    """Return the positions [P, 3] of the values of a regular grid, the last axis fastest."""
    axes = [low[axis] + voxel * torch.arange(count, device=low.device) for axis, count in enumerate(shape)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).view(-1, 3)
