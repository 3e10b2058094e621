from __future__ import annotations

import numpy as np

from orchestrator.geometry.mesh import unwrap
from orchestrator.geometry.rasterize import NOTHING, rasterize
from orchestrator.geometry.texturing import bake_from_photos
from tests.support.ball import ball, color_at, paint, photograph, ring_of


def test_the_texture_shows_what_the_photos_showed() -> None:
    mesh, painting = unwrap(*ball(4)), paint()
    cameras = ring_of(12, distance=4, size=(320, 240), focal=300)
    photos, masks = zip(*(photograph(camera, painting) for camera in cameras), strict=True)
    texture = bake_from_photos(mesh, photos, cameras, masks, 512)
    corners = mesh.uv[mesh.triangles] * 512
    raster = rasterize(corners, np.ones(corners.shape[:2]), (512, 512))
    filled = raster.triangle != NOTHING
    places = mesh.vertices[mesh.triangles[raster.triangle[filled]]]
    places = np.einsum("mk,mkd->md", raster.weights[filled], places)
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    truth = color_at(places[:, None], painting)[:, 0]
    error = np.abs(texture[filled].astype(int) - truth).mean(1)
    seen = places[:, 1] > -0.3
    assert np.median(error[seen]) < 6
    assert np.percentile(error[seen], 95) < 30
    # Where no photo looked, there is paint of the neighbours, neither black nor the grey of the background.
    below = places[:, 1] < -0.8
    assert texture[filled][below].min(1).mean() > 20
    assert (texture[~filled].max(1) == 0).mean() < 0.02
