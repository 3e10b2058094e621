"""The visual hull of a sphere, from exact masks and from wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.geometry.visual_hull import Silhouette, find_bounds, hull_distance, silhouette_of
from tests.support.painted_sphere import camera_ring, photograph, sphere_texture


def sphere_silhouettes(empty: int = 0) -> list[Silhouette]:
    """Return silhouettes of the unit sphere from 24 sides. The first ``empty`` masks are empty."""
    cameras, texture = camera_ring(24, distance=4, size=(200, 160), focal=230), sphere_texture()
    masks = [photograph(camera, texture)[1] for camera in cameras]
    return [
        silhouette_of(camera, mask * np.uint8(number >= empty))
        for number, (camera, mask) in enumerate(zip(cameras, masks, strict=True))
    ]


def points_on_ring(radius: float) -> np.ndarray:
    """Return points [50, 3] float32 on a horizontal ring around the origin."""
    azimuths = np.linspace(0, 2 * np.pi, 50)
    return np.stack([radius * np.cos(azimuths), 0 * azimuths, radius * np.sin(azimuths)], -1).astype(np.float32)


@pytest.mark.parametrize("radius", [0.8, 0.95, 1.05, 1.2])
def test_hull_distance_is_the_signed_distance_to_the_sphere(radius: float) -> None:
    assert hull_distance(sphere_silhouettes(), points_on_ring(radius)) == pytest.approx(radius - 1, abs=0.05)


def test_a_single_wrong_mask_does_not_carve_the_hull() -> None:
    assert (hull_distance(sphere_silhouettes(empty=1), points_on_ring(0.9)) < 0).all()


def test_find_bounds_returns_the_box_around_the_sphere() -> None:
    low, high = find_bounds(sphere_silhouettes(), np.zeros(3))
    assert low[[0, 2]] == pytest.approx([-1, -1], abs=0.12)
    assert high[[0, 2]] == pytest.approx([1, 1], abs=0.12)
