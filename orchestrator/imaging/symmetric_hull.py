"""The shape of a piece of furniture from one silhouette: its visual hull with its own mirror image.

Furniture is symmetric left and right, so that a photo from one side is also a photo, mirrored, from the other side:
two calibrated silhouettes from one (Rothwell et al. 1993; François et al. 2003, Mirror symmetry ⇒ 2-view stereo
geometry). The visual hull of both (Laurentini 1994) within the piece's box still holds wedges that no two silhouettes
can carve, such as the room over a chair's seat; ``_plain`` takes those away.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.measure import marching_cubes

from orchestrator.domain import FloatMap, Image, Progress, no_progress
from orchestrator.imaging.cameras import Camera, Floats
from orchestrator.imaging.mesh import Triangles
from orchestrator.imaging.single_view import View

ROOM = 0.01
"""The box is enlarged by this share of its height: a silhouette is cut by a pixel more easily than by the box."""
FULL = 0.9
"""A row of voxels is as wide as the widest on a ray from this share on."""
NEAR = 0.08
"""Of the box's mean side: what is this close to the widest row belongs to it."""


@dataclass(frozen=True)
class _Grid:
    """Middles of voxels: x symmetric about 0, y from below the floor up, z from back to front."""

    x: Floats
    y: Floats
    z: Floats
    pitch: float

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.x), len(self.y), len(self.z)

    def slab(self, start: int, stop: int) -> Floats:
        """[n, 3] the middles of the slices ``start`` to ``stop`` along x."""
        return np.stack(np.meshgrid(self.x[start:stop], self.y, self.z, indexing="ij"), -1).reshape(-1, 3)


def symmetric_hull(
    mask: Image, view: View, cells: int, progress: Progress = no_progress
) -> tuple[Floats, Triangles]:
    """Return a closed mesh, symmetric about x = 0, whose silhouette in ``view`` is the mask.

    Args:
        mask: [H, W] uint8, 255 on the piece.
        cells: voxels along the longest side of the box.
    """
    grid = _grid(view, cells)
    distance = _signed_distance(mask)
    progress(0.0, "carving the silhouette and its mirror image")
    field, pixel = _carved(grid, view.camera, distance, progress)
    field = np.minimum(field, field[::-1])
    inside = field > 0
    progress(0.6, "taking away what no silhouette shows")
    kept = _plain(grid, inside, pixel, view)
    soft = gaussian_filter(kept.astype(np.float32), 0.8) - 0.5
    field = np.minimum(field, soft * (2 * grid.pitch))
    progress(0.9, "making the mesh")
    vertices, triangles, _, _ = marching_cubes(np.pad(field, 1, constant_values=-grid.pitch), 0.0)
    origin = np.array([grid.x[0], grid.y[0], grid.z[0]]) - grid.pitch
    return vertices * grid.pitch + origin, np.asarray(triangles[:, ::-1], np.int32)


def _grid(view: View, cells: int) -> _Grid:
    sides = np.array([view.width, 1.0, view.depth])
    pitch = float(sides.max()) / cells
    half_x, half_z = (int(np.ceil(side / 2 / pitch)) + 3 for side in (view.width, view.depth))
    return _Grid(
        x=(np.arange(2 * half_x) - half_x + 0.5) * pitch,
        y=(np.arange(int(np.ceil(1 / pitch)) + 6) - 2.5) * pitch,
        z=(np.arange(2 * half_z) - half_z + 0.5) * pitch,
        pitch=pitch,
    )


def _signed_distance(mask: Image) -> FloatMap:
    """[H, W] px to the silhouette's edge, positive inside; beyond the photo it is outside."""
    padded = np.pad((mask > 127).astype(np.uint8), 1)
    within = cv2.distanceTransform(padded, cv2.DIST_L2, 5)
    beyond = cv2.distanceTransform(1 - padded, cv2.DIST_L2, 5)
    return np.asarray((np.where(padded > 0, within - 0.5, 0.5 - beyond))[1:-1, 1:-1], np.float32)


def _carved(
    grid: _Grid, camera: Camera, distance: FloatMap, progress: Progress
) -> tuple[FloatMap, NDArray[np.int32]]:
    """How deep each voxel lies inside the silhouette's cone and the box, in the world's unit; and the number of the
    pixel of a coarse photo (one pixel a voxel) that shows it."""
    field = np.empty(grid.shape, np.float32)
    pixel = np.empty(grid.shape, np.int32)
    focal = float(camera.matrix[0, 0])
    nearness = focal / float(np.linalg.norm(camera.position - [0, 0.5, 0]))  # px a unit
    coarse = min(1.0, 1.0 / (grid.pitch * nearness))
    columns = int(np.ceil(camera.size[0] * coarse)) + 1
    half = np.array([-grid.x[0], 0.5, -grid.z[0]]) - 3.5 * grid.pitch  # the box itself lies 3 to 4 voxels inside
    step = max(1, 400_000 // (len(grid.y) * len(grid.z)))
    for start in range(0, len(grid.x), step):
        progress(0.6 * start / len(grid.x), "carving the silhouette and its mirror image")
        points = grid.slab(start, start + step)
        at, depth = camera.project(points)
        deep = map_coordinates(distance, at.T[::-1] - 0.5, order=1, cval=-1e3)
        box = np.stack(
            [
                half[0] + ROOM + grid.pitch - np.abs(points[:, 0]),
                points[:, 1],
                1 + ROOM - points[:, 1],
                half[2] + ROOM + grid.pitch - np.abs(points[:, 2]),
            ]
        ).min(0)
        shape = (-1, len(grid.y), len(grid.z))
        field[start : start + step] = np.minimum(deep * depth / focal, box).reshape(shape)
        where = np.clip((at * coarse).astype(np.int64), 0, columns - 1)
        pixel[start : start + step] = (where[:, 1] * columns + where[:, 0]).reshape(shape)
    return field, pixel


def _plain(grid: _Grid, inside: NDArray[np.bool_], pixel: NDArray[np.int32], view: View) -> NDArray[np.bool_]:
    """Which voxels to keep: of all that could explain a pixel, those in the widest rows.

    Furniture is made of boards and bars that span its width: a back, a seat, a pair of legs. A row (y, z) of the hull
    that is narrower than another on the same line of sight is what the silhouettes failed to carve. Each pixel keeps
    the widest that there is, so that the silhouette stays whole.
    """
    reach = np.abs(grid.x)[:, None, None]
    wide = np.where(inside, reach, 0.0).max(0)  # [Y, Z] half the width of the row
    x, y, z = np.nonzero(inside)
    seen = pixel[x, y, z]
    width = wide[y, z]
    count = int(pixel.max()) + 1
    widest = np.zeros(count)
    np.maximum.at(widest, seen, width)
    full = width >= FULL * widest[seen]
    # The place of the widest row on each line of sight, as a range of depths from back to front.
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, seen[full], grid.z[z[full]])
    np.maximum.at(high, seen[full], grid.z[z[full]])
    near = NEAR * (view.width + view.depth + 1) / 3
    at = grid.z[z]
    kept = np.zeros(grid.shape, bool)
    kept[x, y, z] = full | ((at >= low[seen] - near) & (at <= high[seen] + near))
    return np.asarray(kept | kept[::-1])
