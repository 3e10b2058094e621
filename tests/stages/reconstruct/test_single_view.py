"""The camera of one photo and the shape by symmetry, of furniture made of boxes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from orchestrator.domain.images import FloatMap, Image
from orchestrator.errors import Canceled
from orchestrator.geometry.cameras import Camera
from orchestrator.geometry.rasterize import NOTHING, depth_map
from orchestrator.stages.reconstruct.single_image.single_view import View, estimate_views
from orchestrator.stages.reconstruct.single_image.symmetric_hull import Hull, choose_view, symmetric_hull
from tests.support.boxes import CABINET, CHAIR, TABLE, Box, camera_at, mesh_of, photo_of

SIZE = (480, 360)
CELLS = 64


def seen(piece: tuple[Box, ...], azimuth_deg: float, elevation_deg: float) -> tuple[Image, Image]:
    return photo_of(piece, camera_at(azimuth_deg, elevation_deg, piece, SIZE))


def contains(hull: Hull, points: list[list[float]]) -> np.ndarray:
    """[N] whether the points lie inside: the solid angle that the surface covers (Van Oosterom & Strackee 1983)."""
    found = []
    for point in np.array(points):
        a, b, c = np.moveaxis(hull.vertices[hull.triangles] - point, 1, 0)
        la, lb, lc = (np.linalg.norm(side, axis=1) for side in (a, b, c))
        below = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
        found.append(abs(2 * np.arctan2((a * np.cross(b, c)).sum(1), below).sum()) > 2 * np.pi)
    return np.array(found)


def volume(hull: Hull) -> float:
    return float(trimesh.Trimesh(hull.vertices, hull.triangles, process=False).volume)


@pytest.mark.parametrize(
    ("piece", "azimuth_deg", "elevation_deg"),
    [(CHAIR, 30.0, 18.0), (CHAIR, -24.0, 12.0), (TABLE, -35.0, 14.0), (CABINET, 25.0, 10.0)],
    ids=["chair from the right", "chair from the left", "table", "cabinet"],
)
def test_the_camera_and_the_box_are_found(piece: tuple[Box, ...], azimuth_deg: float, elevation_deg: float) -> None:
    photo, mask = seen(piece, azimuth_deg, elevation_deg)
    view = estimate_views(photo, mask)[0]
    width, height, depth = np.ptp(mesh_of(piece)[0], axis=0)
    assert view.azimuth_deg == pytest.approx(azimuth_deg, abs=2.0)
    assert view.elevation_deg == pytest.approx(elevation_deg, abs=2.0)
    assert view.width == pytest.approx(width / height, rel=0.08)
    assert view.depth == pytest.approx(depth / height, rel=0.12)


def test_the_mirrored_photo_is_one_from_the_other_side() -> None:
    photo, mask = seen(CHAIR, 30, 18)
    view = estimate_views(np.ascontiguousarray(photo[:, ::-1]), np.ascontiguousarray(mask[:, ::-1]))[0]
    assert view.azimuth_deg == pytest.approx(-30, abs=2)


def test_a_known_focal_length_is_kept() -> None:
    photo, mask = seen(TABLE, 30, 18)
    focal = 50 / 36 * SIZE[0]
    view = estimate_views(photo, mask, focal)[0]
    assert view.camera.matrix[0, 0] == pytest.approx(focal, rel=0.06)


@pytest.fixture(scope="module")
def chair() -> tuple[View, Image]:
    photo, mask = seen(CHAIR, 30, 18)
    return choose_view(mask, estimate_views(photo, mask)), mask


def test_a_chair_has_room_over_and_under_its_seat(chair: tuple[View, Image]) -> None:
    view, mask = chair
    hull = symmetric_hull(mask, view, CELLS)
    assert trimesh.Trimesh(hull.vertices, hull.triangles, process=False).is_watertight
    over = [[x, 0.75, z] for x in (-0.1, 0, 0.1) for z in (0.0, 0.15)]
    under = [[x, 0.2, z] for x in (-0.08, 0, 0.08) for z in (-0.08, 0, 0.08)]
    assert not contains(hull, over + under).any()
    assert contains(hull, [[0.0, 0.47, 0.1], [0.1, 0.75, -view.depth / 2 + 0.03]]).all()


def test_a_chair_is_alike_front_and_back_up_to_its_seat(chair: tuple[View, Image]) -> None:
    view, mask = chair
    assert 0.3 < symmetric_hull(mask, view, CELLS).symmetry.below < 0.6  # the seat is at 0.5 of the height


def test_a_table_has_room_under_its_top() -> None:
    photo, mask = seen(TABLE, 30, 18)
    hull = symmetric_hull(mask, choose_view(mask, estimate_views(photo, mask)), CELLS)
    assert hull.symmetry.below == 1.0
    assert not contains(hull, [[x, y, z] for x in (-0.5, 0.0, 0.5) for y in (0.3, 0.8) for z in (-0.3, 0, 0.3)]).any()
    assert contains(hull, [[0.85, 0.3, 0.45], [-0.85, 0.3, -0.45], [0.0, 0.96, 0.0]]).all()


def test_a_cabinet_is_solid_and_as_large_as_it_is() -> None:
    photo, mask = seen(CABINET, 30, 18)
    hull = symmetric_hull(mask, choose_view(mask, estimate_views(photo, mask)), CELLS)
    # 0.41 deep with its drawer; the box has 1 % of the height to spare on each side
    assert volume(hull) == pytest.approx(1.0 * 0.7 * 0.41 / 0.7**3, rel=0.1)


def model_depth(camera: Camera, piece: tuple[Box, ...]) -> FloatMap:
    """What a perfect depth model would say: up to scale and offset."""
    depth = depth_map(camera, *mesh_of(piece))
    return np.where(depth.triangle != NOTHING, 0.3 * depth.depth - 0.1, 2.0).astype(np.float32)


def test_a_good_depth_map_carves_and_a_bad_one_is_not_used(chair: tuple[View, Image]) -> None:
    view, mask = chair
    plain = symmetric_hull(mask, view, CELLS)
    noise = np.random.default_rng(1).random((90, 120)).astype(np.float32)
    np.testing.assert_array_equal(symmetric_hull(mask, view, CELLS, noise).vertices, plain.vertices)
    true = model_depth(camera_at(30, 18, CHAIR, SIZE), CHAIR)
    assert volume(symmetric_hull(mask, view, CELLS, true)) <= volume(plain) * 1.02


def test_a_cancel_stops_the_search(chair: tuple[View, Image]) -> None:
    view, mask = chair

    def cancel(fraction: float, message: str) -> None:
        raise Canceled(f"{fraction} {message}")

    with pytest.raises(Canceled):
        estimate_views(np.zeros((*mask.shape, 3), np.uint8), mask, None, cancel)
    with pytest.raises(Canceled):
        choose_view(mask, [view], cancel)
    with pytest.raises(Canceled):
        symmetric_hull(mask, replace(view), CELLS, None, cancel)
