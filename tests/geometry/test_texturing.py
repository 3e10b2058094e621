from __future__ import annotations

import numpy as np

from orchestrator.geometry.mesh import unwrap
from orchestrator.geometry.rasterize import NO_TRIANGLE, rasterize
from orchestrator.geometry.texturing import bake_from_photos
from tests.support.painted_sphere import camera_ring, photograph, sphere_mesh, sphere_texture, texture_at

SIZE = 512


def test_texture_shows_the_colours_of_the_photos() -> None:
    mesh, painting = unwrap(*sphere_mesh(4)), sphere_texture()
    cameras = camera_ring(12, distance=4, size=(320, 240), focal=300)
    photos, masks = zip(*(photograph(camera, painting) for camera in cameras), strict=True)
    texture = bake_from_photos(mesh, photos, cameras, masks, SIZE)
    corners = mesh.uv[mesh.triangles] * SIZE
    raster = rasterize(corners, np.ones(corners.shape[:2]), (SIZE, SIZE))
    filled = raster.triangle != NO_TRIANGLE
    points = mesh.vertices[mesh.triangles[raster.triangle[filled]]]
    points = np.einsum("mk,mkd->md", raster.weights[filled], points)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    truth = texture_at(points[:, None], painting)[:, 0]
    error = np.abs(texture[filled].astype(int) - truth).mean(1)
    visible = points[:, 1] > -0.3
    assert np.median(error[visible]) < 6
    assert np.percentile(error[visible], 95) < 30
    # No photo shows the bottom. It takes the colours of its neighbours, neither black nor the grey of the background.
    bottom = points[:, 1] < -0.8
    assert texture[filled][bottom].min(1).mean() > 20
    assert (texture[~filled].max(1) == 0).mean() < 0.02
