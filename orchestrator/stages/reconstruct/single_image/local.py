"""Reconstructs a piece from one photo by symmetry and furniture priors, without a trained model.

The empirical constants of this package were chosen with the 14 pieces of the benchmark ``single_image`` in view. Other
pieces may be reconstructed less well. The benchmark ``single_image_constants`` measures the effect of the constants.
"""

from __future__ import annotations

import numpy as np
import trimesh

from orchestrator.domain.images import Image
from orchestrator.domain.progress import Progress, subrange
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import CaptureReport, PhotoCamera, ReconstructedMesh
from orchestrator.geometry.arrays import Floats, Triangles
from orchestrator.geometry.mesh import place_on_floor, unwrap, write_glb
from orchestrator.geometry.mesh_cleanup import clean_mesh, simplify, smooth
from orchestrator.imaging.photo import focal_length_35mm
from orchestrator.stages.reconstruct.mesh_output import GLB_NAME
from orchestrator.stages.reconstruct.single_image.camera_estimation import ViewEstimate, estimate_views
from orchestrator.stages.reconstruct.single_image.mirrored_texture import bake_mirrored
from orchestrator.stages.reconstruct.single_image.photo import SinglePhoto, touched_borders
from orchestrator.stages.reconstruct.single_image.symmetric_hull import SymmetricHull, choose_view, symmetric_hull
from orchestrator.stages.reconstruct.single_image.symmetry import Symmetry
from orchestrator.stages.reconstruct.task import ReconstructTask

SEARCH_SIDE_PX = 800
"""Maximum longer side of the photo for the camera estimate. A larger photo does not improve the straight edges."""
CELLS = {Quality.PREVIEW: 88, Quality.FINAL: 128}
"""Voxels along the longest side of the box: 1.1 cm and 8 mm for a piece of one metre."""
MAX_TRIANGLES = {Quality.PREVIEW: 15_000, Quality.FINAL: 40_000}
"""Enough for the detail that CELLS voxels resolve. The time for unwrapping grows with the number of triangles."""
FULL_FRAME_DIAGONAL_MM = 43.27
"""Diagonal of the 36 × 24 mm film that 35 mm equivalent focal lengths refer to."""
SIMPLIFY_ATTEMPTS = 8
SIMPLIFY_STEP = 0.95
"""Factor of the triangle count between two attempts."""
SMOOTHING_ROUNDS = 2
"""Rounds of smoothing, which removes the steps of the voxels. Not tuned."""
MAX_OPEN_FILL = 0.4
"""Maximum share of its bounding box that an open piece, such as a table, fills. The back of an open piece gets the
texture of its front. The back of a cabinet does not, because it has no doors."""
FRONTAL_ADVICE_DEG = 12.0
"""Within this azimuth, the photo shows little of the depth of the piece."""


def reconstruct_locally(task: ReconstructTask, photo: SinglePhoto) -> ReconstructedMesh:
    """Return the reconstruction from two views: the photo, and its mirror image from the other side of the piece."""
    progress = task.progress
    hull, view = estimate_shape(task, photo, subrange(progress, 0.0, 0.6))
    progress(0.6, "cleaning the mesh")
    vertices, triangles = clean_mesh(hull.vertices, hull.triangles)
    vertices = smooth(vertices, triangles, SMOOTHING_ROUNDS)
    max_triangles = min(task.options.max_triangles, MAX_TRIANGLES[task.quality])
    vertices, triangles = _simplify_watertight(vertices, triangles, max_triangles)
    progress(0.65, "unwrapping the mesh")
    mesh = unwrap(vertices, triangles)
    mirror_back = _is_open_and_symmetric(hull.symmetry, vertices, triangles)
    bake_progress = subrange(progress, 0.7, 0.95)
    texture = bake_mirrored(mesh, photo, view.camera, task.options.texture_size, bake_progress, mirror_back=mirror_back)
    placed, dimensions = place_on_floor(mesh.vertices, task.options.dimensions)
    glb = task.folder / GLB_NAME
    write_glb(glb, mesh.with_vertices(placed), texture)
    progress(1.0, "3D model reconstructed from one photo")
    report = CaptureReport(photos=1, photos_used=(0,), advice=_advice(photo.mask, view))
    camera = _photo_camera(view, mesh.vertices, placed, photo.mask)
    return ReconstructedMesh(glb, report, len(mesh.vertices), len(triangles), dimensions, camera=camera)


def estimate_shape(task: ReconstructTask, photo: SinglePhoto, progress: Progress) -> tuple[SymmetricHull, ViewEstimate]:
    """Estimate the camera and the shape in a reduced photo."""
    small = photo.reduced(SEARCH_SIDE_PX)
    height, width = small.mask.shape
    focal_mm = focal_length_35mm(task.photos[0].read_bytes())
    focal_px = focal_mm / FULL_FRAME_DIAGONAL_MM * float(np.hypot(width, height)) if focal_mm else None
    views = estimate_views(small.photo_srgb, small.mask, focal_px, subrange(progress, 0.0, 0.25))
    view = choose_view(small.mask, views, subrange(progress, 0.25, 0.5))
    depth = None if task.maps is None else task.maps.depth
    return symmetric_hull(small.mask, view, CELLS[task.quality], depth, subrange(progress, 0.5, 1.0)), view


def _simplify_watertight(vertices: Floats, triangles: Triangles, max_triangles: int) -> tuple[Floats, Triangles]:
    """Simplify the mesh, to fewer triangles on each attempt, until it stays watertight; else return the last attempt.

    Edge collapse sometimes makes a mesh non-manifold. Another target number of triangles may avoid this.
    """
    simplified = vertices, triangles
    for attempt in range(SIMPLIFY_ATTEMPTS):
        simplified = simplify(vertices, triangles, round(max_triangles * SIMPLIFY_STEP**attempt))
        if trimesh.Trimesh(*simplified, process=False).is_watertight:
            break
    return simplified


def _is_open_and_symmetric(symmetry: Symmetry, vertices: Floats, triangles: Triangles) -> bool:
    """Return whether the back of the piece presumably looks like its front; see MAX_OPEN_FILL."""
    volume = trimesh.Trimesh(vertices, triangles, process=False).volume
    fill = volume / float(np.prod(np.ptp(vertices, axis=0)))
    return symmetry.front_back_height == 1.0 and symmetry.left_right and bool(fill < MAX_OPEN_FILL)


def _photo_camera(view: ViewEstimate, vertices: Floats, placed: Floats, mask: Image) -> PhotoCamera:
    """Return the camera of the full-size photo in the frame of the ``placed`` vertices."""
    scale = float(np.ptp(placed, axis=0).max() / np.ptp(vertices, axis=0).max())
    similarity = np.diag([scale, scale, scale, 1.0])
    similarity[:3, 3] = placed.min(0) - vertices.min(0) * scale
    camera = view.camera.transformed(similarity).resized(mask.shape[1], mask.shape[0])
    intrinsics = tuple(map(tuple, camera.intrinsics.tolist()))
    world_to_camera = tuple(map(tuple, camera.world_to_camera.tolist()))
    return PhotoCamera(intrinsics, world_to_camera, camera.size)


def _advice(mask: Image, view: ViewEstimate) -> tuple[str, ...]:
    """Return how to take photos that give a better 3D model."""
    advice = ["the back is inferred by symmetry; take 20 or more photos from all around to reconstruct what is there"]
    if abs(view.azimuth_deg) < FRONTAL_ADVICE_DEG:
        advice.append("the photo shows only the front, so the depth is uncertain; step 30° to the side")
    if any(touched_borders(mask)):
        advice.append("the piece is cut off at the border of the photo; step back")
    return tuple(advice)
