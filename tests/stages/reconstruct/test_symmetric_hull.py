"""Camera and shape from one silhouette, of furniture made of boxes."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from orchestrator.domain.images import FloatMap, Image
from orchestrator.errors import Canceled
from orchestrator.geometry.cameras import Camera
from orchestrator.geometry.rasterize import NO_TRIANGLE, rasterize_mesh
from orchestrator.stages.reconstruct.single_image.camera_estimation import ViewEstimate, estimate_views
from orchestrator.stages.reconstruct.single_image.symmetric_hull import SymmetricHull, choose_view, symmetric_hull
from tests.support.boxes import CABINET, CHAIR, TABLE, Box, camera_at, mesh_of, photo_of

SIZE = (480, 360)
CELLS = 64


def take_photo(piece: tuple[Box, ...], azimuth_deg: float, elevation_deg: float) -> tuple[Image, Image]:
    return photo_of(piece, camera_at(azimuth_deg, elevation_deg, piece, SIZE))


def hull_of(piece: tuple[Box, ...]) -> SymmetricHull:
    photo, mask = take_photo(piece, 30, 18)
    return symmetric_hull(mask, choose_view(mask, estimate_views(photo, mask)), CELLS)


def contains(hull: SymmetricHull, points: list[list[float]]) -> np.ndarray:
    """Return whether ``points`` [N, 3] lie inside, by the solid angle of the mesh (Van Oosterom & Strackee 1983)."""
    inside = []
    for point in np.array(points):
        a, b, c = np.moveaxis(hull.vertices[hull.triangles] - point, 1, 0)
        la, lb, lc = (np.linalg.norm(side, axis=1) for side in (a, b, c))
        denominator = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
        solid_angle = 2 * np.arctan2((a * np.cross(b, c)).sum(1), denominator).sum()
        inside.append(abs(solid_angle) > 2 * np.pi)
    return np.array(inside)


def volume(hull: SymmetricHull) -> float:
    return float(trimesh.Trimesh(hull.vertices, hull.triangles, process=False).volume)


@pytest.mark.parametrize(
    ("piece", "azimuth_deg", "elevation_deg"),
    [(CHAIR, 30.0, 18.0), (CHAIR, -24.0, 12.0), (TABLE, -35.0, 14.0), (CABINET, 25.0, 10.0)],
    ids=["chair from the right", "chair from the left", "table", "cabinet"],
)
def test_estimated_camera_and_box_are_close_to_the_truth(
    piece: tuple[Box, ...], azimuth_deg: float, elevation_deg: float
) -> None:
    photo, mask = take_photo(piece, azimuth_deg, elevation_deg)
    view = estimate_views(photo, mask)[0]
    width, height, depth = np.ptp(mesh_of(piece)[0], axis=0)
    assert view.azimuth_deg == pytest.approx(azimuth_deg, abs=2.0)
    assert view.elevation_deg == pytest.approx(elevation_deg, abs=2.0)
    assert view.width == pytest.approx(width / height, rel=0.08)
    assert view.depth == pytest.approx(depth / height, rel=0.12)


def test_flipped_photo_has_the_opposite_azimuth() -> None:
    photo, mask = take_photo(CHAIR, 30, 18)
    view = estimate_views(np.ascontiguousarray(photo[:, ::-1]), np.ascontiguousarray(mask[:, ::-1]))[0]
    assert view.azimuth_deg == pytest.approx(-30, abs=2)


def test_known_focal_length_is_kept() -> None:
    photo, mask = take_photo(TABLE, 30, 18)
    focal_px = 50 / 36 * SIZE[0]
    view = estimate_views(photo, mask, focal_px)[0]
    assert view.camera.intrinsics[0, 0] == pytest.approx(focal_px, rel=0.06)


@pytest.fixture(scope="module")
def chair() -> tuple[ViewEstimate, Image]:
    photo, mask = take_photo(CHAIR, 30, 18)
    return choose_view(mask, estimate_views(photo, mask)), mask


def test_chair_is_empty_above_and_below_its_seat(chair: tuple[ViewEstimate, Image]) -> None:
    view, mask = chair
    hull = symmetric_hull(mask, view, CELLS)
    assert trimesh.Trimesh(hull.vertices, hull.triangles, process=False).is_watertight
    above = [[x, 0.75, z] for x in (-0.1, 0, 0.1) for z in (0.0, 0.15)]
    below = [[x, 0.2, z] for x in (-0.08, 0, 0.08) for z in (-0.08, 0, 0.08)]
    assert not contains(hull, above + below).any()
    assert contains(hull, [[0.0, 0.47, 0.1], [0.1, 0.75, -view.depth / 2 + 0.03]]).all()


def test_chair_has_front_back_symmetry_up_to_its_seat(chair: tuple[ViewEstimate, Image]) -> None:
    view, mask = chair
    assert 0.3 < symmetric_hull(mask, view, CELLS).symmetry.front_back_height < 0.6  # the seat is at half the height


def test_table_is_empty_under_its_top() -> None:
    hull = hull_of(TABLE)
    assert hull.symmetry.front_back_height == 1.0
    assert not contains(hull, [[x, y, z] for x in (-0.5, 0.0, 0.5) for y in (0.3, 0.8) for z in (-0.3, 0, 0.3)]).any()
    assert contains(hull, [[0.85, 0.3, 0.45], [-0.85, 0.3, -0.45], [0.0, 0.96, 0.0]]).all()


def test_cabinet_is_solid_and_has_the_right_volume() -> None:
    # It is 0.41 deep with its drawer. The box has a margin of 1 % of the height on each side.
    assert volume(hull_of(CABINET)) == pytest.approx(1.0 * 0.7 * 0.41 / 0.7**3, rel=0.1)


def relative_depth(camera: Camera, piece: tuple[Box, ...]) -> FloatMap:
    """Return the exact depth with another scale and offset, as a depth model may return it."""
    raster = rasterize_mesh(camera, *mesh_of(piece))
    return np.where(raster.triangle != NO_TRIANGLE, 0.3 * raster.depth - 0.1, 2.0).astype(np.float32)


def test_correct_depth_map_carves_and_wrong_depth_map_is_ignored(chair: tuple[ViewEstimate, Image]) -> None:
    view, mask = chair
    without_depth = symmetric_hull(mask, view, CELLS)
    noise = np.random.default_rng(1).random((90, 120)).astype(np.float32)
    np.testing.assert_array_equal(symmetric_hull(mask, view, CELLS, noise).vertices, without_depth.vertices)
    depth = relative_depth(camera_at(30, 18, CHAIR, SIZE), CHAIR)
    assert volume(symmetric_hull(mask, view, CELLS, depth)) <= volume(without_depth) * 1.02


def test_cancel_stops_every_phase(chair: tuple[ViewEstimate, Image]) -> None:
    view, mask = chair

    def cancel(fraction: float, message: str) -> None:
        raise Canceled(f"{fraction} {message}")

    with pytest.raises(Canceled):
        estimate_views(np.zeros((*mask.shape, 3), np.uint8), mask, None, cancel)
    with pytest.raises(Canceled):
        choose_view(mask, [view], cancel)
    with pytest.raises(Canceled):
        symmetric_hull(mask, view, CELLS, None, cancel)
