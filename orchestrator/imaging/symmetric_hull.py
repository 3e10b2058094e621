"""The shape of a piece of furniture from one silhouette: its visual hull with its own mirror image.

Furniture is symmetric left and right, so that a photo from one side is also a photo, mirrored, from the other side:
two calibrated silhouettes from one (Rothwell et al. 1993; François et al. 2003, Mirror symmetry ⇒ 2-view stereo
geometry). The visual hull of both (Laurentini 1994) within the piece's box still holds wedges that no two silhouettes
can carve, such as the room over a chair's seat; ``_plain`` takes those away.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_opening, gaussian_filter, map_coordinates
from skimage.measure import marching_cubes

from orchestrator.domain import FloatMap, Image, Progress, no_progress
from orchestrator.imaging.cameras import Camera, Floats
from orchestrator.imaging.mesh import Triangles
from orchestrator.imaging.single_view import View

ROOM = 0.01
"""The box is enlarged by this share of its height: a silhouette is cut by a pixel more easily than by the box."""
FULL = 0.9
"""A row of voxels is as wide as the widest on a ray from this share on."""
SQUARE = 1.15
"""Sides whose lengths differ by less may be meant to be the same."""
SYMMETRY_SLACK = 0.012
"""How much more of the silhouette than by left and right alone a stronger symmetry may fail to explain."""
NEAR = 0.08
"""Of the box's mean side: what is this close to the widest row belongs to it."""


@dataclass(frozen=True)
class _Grid:
    """Middles of voxels: x symmetric about 0, y from below the floor up, z from back to front."""

    x: Floats
    y: Floats
    z: Floats
    pitch: float
    box: tuple[float, float]  # width and depth

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.x), len(self.y), len(self.z)

    def slab(self, start: int, stop: int) -> Floats:
        """[n, 3] the middles of the slices ``start`` to ``stop`` along x."""
        return np.stack(np.meshgrid(self.x[start:stop], self.y, self.z, indexing="ij"), -1).reshape(-1, 3)


class Symmetry(Enum):
    """What a piece looks the same after; each adds silhouettes for free."""

    NONE = 1
    SIDES = 2  # left and right: nearly all furniture
    BOTH = 4  # and front and back: tables, benches, shelves
    QUARTER = 8  # and quarter turns: stools, round and square tables


@dataclass(frozen=True)
class Hull:
    """A closed mesh in the view's world, and what it rests on."""

    vertices: Floats  # [V, 3]
    triangles: Triangles  # [T, 3]
    symmetry: Symmetry
    coverage: float  # share of the silhouette that the symmetric hull explains


def symmetric_hull(mask: Image, view: View, cells: int, progress: Progress = no_progress) -> Hull:
    """Return a closed mesh whose silhouette in ``view`` is the mask, as symmetric as the silhouette lets it be.

    Args:
        mask: [H, W] uint8, 255 on the piece.
        cells: voxels along the longest side of the box.
    """
    grid = _grid(view, cells)
    progress(0.0, "carving the silhouette")
    cone = _carve(grid, view.camera, mask, progress)
    symmetry, field, coverage = _most_symmetric(cone, view)
    progress(0.6, "taking away what no silhouette shows")
    inside = field > 0
    kept = _plain(grid, inside, cone, view)
    kept = _filled(kept, cone, symmetry)
    lone = _unexplained(cone, kept)
    field = np.where(lone, cone.field, field)
    removed = binary_opening((field > 0) & ~kept & ~lone, iterations=2)
    soft = 0.5 - gaussian_filter(removed.astype(np.float32), 1.0)
    field = np.minimum(field, soft * (3 * grid.pitch))
    progress(0.9, "making the mesh")
    vertices, triangles, _, _ = marching_cubes(np.pad(field, 1, constant_values=-grid.pitch), 0.0)
    origin = np.array([grid.x[0], grid.y[0], grid.z[0]]) - grid.pitch
    return Hull(vertices * grid.pitch + origin, np.asarray(triangles[:, ::-1], np.int32), symmetry, coverage)


def _grid(view: View, cells: int) -> _Grid:
    width, depth = view.width, view.depth
    if max(width, depth) <= SQUARE * min(width, depth):  # may have quarter turns, which need a square grid
        width = depth = max(width, depth)
    pitch = max(width, 1.0, depth) / cells
    half_x, half_z = (int(np.ceil(side / 2 / pitch)) + 3 for side in (width, depth))
    return _Grid(
        x=(np.arange(2 * half_x) - half_x + 0.5) * pitch,
        y=(np.arange(int(np.ceil(1 / pitch)) + 6) - 2.5) * pitch,
        z=(np.arange(2 * half_z) - half_z + 0.5) * pitch,
        pitch=pitch,
        box=(view.width, view.depth),
    )


def _signed_distance(mask: Image) -> FloatMap:
    """[H, W] px to the silhouette's edge, positive inside; beyond the photo it is outside."""
    padded = np.pad((mask > 127).astype(np.uint8), 1)
    within = cv2.distanceTransform(padded, cv2.DIST_L2, 5)
    beyond = cv2.distanceTransform(1 - padded, cv2.DIST_L2, 5)
    return np.asarray((np.where(padded > 0, within - 0.5, 0.5 - beyond))[1:-1, 1:-1], np.float32)


@dataclass(frozen=True)
class _Cone:
    """The voxels as the photo shows them. All [X, Y, Z] but the last."""

    field: FloatMap  # how deep inside the silhouette's cone and the box, in the world's unit
    pixel: NDArray[np.int32]  # number of the pixel that shows it, in a coarse photo of one pixel a voxel
    depth: FloatMap  # distance along the camera's axis
    silhouette: NDArray[np.bool_]  # [pixels] of the coarse photo


def _carve(grid: _Grid, camera: Camera, mask: Image, progress: Progress) -> _Cone:
    distance = _signed_distance(mask)
    field, depth = np.empty(grid.shape, np.float32), np.empty(grid.shape, np.float32)
    pixel = np.empty(grid.shape, np.int32)
    focal = float(camera.matrix[0, 0])
    nearness = focal / float(np.linalg.norm(camera.position - [0, 0.5, 0]))  # px a unit
    coarse = min(1.0, 1.0 / (grid.pitch * nearness))
    columns, rows = (int(np.ceil(side * coarse)) for side in camera.size)
    half_x, half_z = grid.box[0] / 2 + ROOM, grid.box[1] / 2 + ROOM
    step = max(1, 400_000 // (len(grid.y) * len(grid.z)))
    for start in range(0, len(grid.x), step):
        progress(0.6 * start / len(grid.x), "carving the silhouette")
        points = grid.slab(start, start + step)
        at, far = camera.project(points)
        deep = map_coordinates(distance, at.T[::-1] - 0.5, order=1, cval=-1e3)
        x, y, z = points.T
        box = np.stack([half_x - np.abs(x), y, 1 + ROOM - y, half_z - np.abs(z)]).min(0)
        shape = (-1, len(grid.y), len(grid.z))
        some = slice(start, start + step)
        field[some] = np.minimum(deep * far / focal, box).reshape(shape)
        depth[some] = far.reshape(shape)
        where = np.clip((at * coarse).astype(np.int64), 0, [columns - 1, rows - 1])
        pixel[some] = (where[:, 1] * columns + where[:, 0]).reshape(shape)
    small = cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_AREA) > 127
    return _Cone(field, pixel, depth, small.ravel())


def _most_symmetric(cone: _Cone, view: View) -> tuple[Symmetry, FloatMap, float]:
    """The strongest symmetry that the silhouette allows, the field of its hull, and how much of the silhouette is left.

    A symmetry that the piece does not have carves away parts of it, which leaves holes in its silhouette.
    """
    sides = np.minimum(cone.field, cone.field[::-1])
    base = _coverage(cone, sides)
    both = np.minimum(sides, sides[:, :, ::-1])
    if sides.shape[0] == sides.shape[2]:
        quarter = np.minimum(both, both.transpose(2, 1, 0))
        if (found := _coverage(cone, quarter)) >= base - SYMMETRY_SLACK:
            return Symmetry.QUARTER, quarter, found
    if (found := _coverage(cone, both)) >= base - SYMMETRY_SLACK:
        return Symmetry.BOTH, both, found
    return Symmetry.SIDES, sides, base


def _coverage(cone: _Cone, field: FloatMap) -> float:
    covered = np.zeros(len(cone.silhouette), bool)
    covered[cone.pixel[field > 0]] = True
    return float((covered & cone.silhouette).sum() / max(cone.silhouette.sum(), 1))


def _plain(grid: _Grid, inside: NDArray[np.bool_], cone: _Cone, view: View) -> NDArray[np.bool_]:
    """Which voxels to keep: of all that could explain a pixel, those in the widest rows.

    Furniture is made of boards and bars that span its width: a back, a seat, a pair of legs. A row (y, z) of the hull
    that is narrower than another on the same line of sight is what the silhouettes failed to carve. Each pixel keeps
    the widest that there is, so that the silhouette stays whole.
    """
    reach = np.abs(grid.x)[:, None, None]
    wide = np.where(inside, reach, 0.0).max(0)  # [Y, Z] half the width of the row
    x, y, z = np.nonzero(inside)
    seen = cone.pixel[x, y, z]
    width = wide[y, z]
    count = len(cone.silhouette)
    widest = np.zeros(count)
    np.maximum.at(widest, seen, width)
    full = width >= FULL * widest[seen]
    # The place of the widest rows on each line of sight, as a range of depths from back to front.
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, seen[full], grid.z[z[full]])
    np.maximum.at(high, seen[full], grid.z[z[full]])
    near = NEAR * (view.width + view.depth + 1) / 3
    at = grid.z[z]
    kept = np.zeros(grid.shape, bool)
    kept[x, y, z] = full | ((at >= low[seen] - near) & (at <= high[seen] + near))
    return np.asarray(kept | kept[::-1])


def _filled(kept: NDArray[np.bool_], cone: _Cone, symmetry: Symmetry) -> NDArray[np.bool_]:
    """What is seen, and what lies straight behind it without a gap.

    The room below a table's top is hidden by it from above, so that no silhouette carves it; but nothing is seen in
    front of it either. A cabinet's body lies behind its front.
    """
    x, y, z = np.nonzero(kept)
    nearest = np.full(len(cone.silhouette), np.inf, np.float32)
    np.minimum.at(nearest, cone.pixel[kept], cone.depth[kept])
    pitch = abs(float(cone.depth[1, 0, 0] - cone.depth[0, 0, 0])) + abs(float(cone.depth[0, 0, 1] - cone.depth[0, 0, 0]))
    first = kept & (cone.depth <= nearest[cone.pixel] + 2 * pitch)
    first = _spread(first, symmetry)
    filled = np.zeros_like(kept)
    reached = np.zeros(kept.shape[:2], bool)
    for number in range(kept.shape[2] - 1, -1, -1):
        reached = kept[:, :, number] & (first[:, :, number] | reached)
        filled[:, :, number] = reached
    return _spread(filled, symmetry)


def _spread(chosen: NDArray[np.bool_], symmetry: Symmetry) -> NDArray[np.bool_]:
    """The voxels and their images."""
    if symmetry.value >= Symmetry.SIDES.value:
        chosen = chosen | chosen[::-1]
    if symmetry.value >= Symmetry.BOTH.value:
        chosen = chosen | chosen[:, :, ::-1]
    if symmetry is Symmetry.QUARTER:
        chosen = chosen | chosen.transpose(2, 1, 0)
    return chosen


def _unexplained(cone: _Cone, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The voxels of the silhouette alone where the symmetric shape leaves a hole in it: one side has what the other
    has not."""
    covered = np.zeros(len(cone.silhouette), bool)
    covered[cone.pixel[kept]] = True
    return np.asarray((cone.silhouette & ~covered)[cone.pixel] & (cone.field > 0))
