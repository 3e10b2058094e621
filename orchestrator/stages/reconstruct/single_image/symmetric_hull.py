"""The shape of a piece of furniture from one silhouette: its visual hull with its own mirror image.

Furniture is symmetric left and right, so that a photo from one side is also a photo, mirrored, from the other side:
two calibrated silhouettes from one (Rothwell et al. 1993; François et al. 2003, Mirror symmetry ⇒ 2-view stereo
geometry). The visual hull of both (Laurentini 1994) within the piece's box still holds air that no two silhouettes
can carve; ``furniture_air`` takes that away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter
from skimage.measure import marching_cubes

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import ToolFailed
from orchestrator.geometry.cameras import Floats
from orchestrator.geometry.mesh import Triangles
from orchestrator.stages.reconstruct.single_image.furniture_air import (
    crumbs,
    free_by_depth,
    hidden_air,
    replaced_by_board,
    unexplained,
)
from orchestrator.stages.reconstruct.single_image.silhouette_cone import carve, grid_of
from orchestrator.stages.reconstruct.single_image.single_view import View, refined
from orchestrator.stages.reconstruct.single_image.symmetry import Symmetry, most_symmetric, seat_layer

CANDIDATES, REFINEMENTS, COARSE_CELLS = 5, 40, 40
HOLE_COST, MOST_HOLES = 3.0, 0.1
"""Cost of a silhouette that the symmetric hull explains not at all, beside what the camera's search calls cost;
beyond that many holes the piece itself is not symmetric, from no side."""
SYMMETRY_BONUS, FRONTAL_DEG = 0.08, 10.0
"""A view from the side from which front and back look alike is hardly so by chance."""


@dataclass(frozen=True)
class Hull:
    """A closed mesh in the view's world, and what it rests on."""

    vertices: Floats  # [V, 3]
    triangles: Triangles  # [T, 3]
    symmetry: Symmetry
    coverage: float  # share of the silhouette that left and right being alike explains


def choose_view(mask: Image, views: Sequence[View], progress: Progress = no_progress) -> View:
    """Return the view whose symmetric hull explains most of the silhouette, the views' own costs considered.

    From a wrong side, the mirror image of the silhouette carves parts away that the photo shows.
    """
    done = 0

    def holes(view: View) -> float:
        nonlocal done
        progress(min(done / (CANDIDATES + REFINEMENTS), 1.0), "comparing the photo with its mirror image")
        done += 1
        grid = grid_of(view, COARSE_CELLS)
        symmetry, _, covered = most_symmetric(grid, carve(grid, view.camera, mask, no_progress))
        # From straight before the piece, every silhouette is that of something symmetric.
        proof = SYMMETRY_BONUS * symmetry.below if abs(view.azimuth_deg) > FRONTAL_DEG and symmetry.sides else 0.0
        return HOLE_COST * min(1 - covered, MOST_HOLES) - proof

    best = min(views[:CANDIDATES], key=lambda view: view.cost + holes(view))
    return refined(best, holes, REFINEMENTS)


def symmetric_hull(
    mask: Image, view: View, cells: int, depth: FloatMap | None = None, progress: Progress = no_progress
) -> Hull:
    """Return a closed mesh whose silhouette in ``view`` is the mask, as symmetric as the silhouette lets it be.

    Args:
        mask: [H, W] uint8, 255 on the piece.
        cells: voxels along the longest side of the box.
        depth: [h, w] of the whole photo, from a model, up to scale and offset; without it, or where it contradicts
            the silhouette, the shape rests on the silhouette alone.

    Raises:
        ToolFailed: the silhouette is thinner than a voxel everywhere.
    """
    grid = grid_of(view, cells)
    progress(0.0, "carving the silhouette")
    cone = carve(grid, view.camera, mask, progress)
    symmetry, field, coverage = most_symmetric(grid, cone)
    progress(0.6, "taking away what no silhouette shows")
    if depth is not None:
        free = free_by_depth(grid, cone, field > 0, depth)
        field = np.where(free | free[::-1] if symmetry.sides else free, -grid.pitch, field)
    inside = field > 0
    needless = hidden_air(grid, cone, inside)
    if symmetry.sides:
        needless |= replaced_by_board(
            grid, cone, inside, max(symmetry.below, grid.y[0] + grid.pitch * seat_layer(grid, inside))
        )
    lone = unexplained(grid, cone, inside & ~needless)
    field = np.where(lone, cone.field, field)
    removed = needless & ~lone
    removed = binary_dilation(removed, iterations=2) & ~(inside & ~removed)  # with the air beside it
    soft = 0.5 - gaussian_filter(removed.astype(np.float32), 0.8)
    field = np.minimum(field, soft * (3 * grid.pitch))
    field = np.where(crumbs(field > 0), -grid.pitch, field)
    if not (field > 0).any():
        raise ToolFailed("the piece is too thin in the photo to give it a shape; take it larger")
    progress(0.9, "making the mesh")
    vertices, triangles, _, _ = marching_cubes(  # type: ignore[no-untyped-call]
        np.pad(field, 1, constant_values=-grid.pitch), 0.0
    )
    origin = np.array([grid.x[0], grid.y[0], grid.z[0]]) - grid.pitch
    return Hull(vertices * grid.pitch + origin, np.asarray(triangles[:, ::-1], np.int32), symmetry, coverage)
