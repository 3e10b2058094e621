from __future__ import annotations

import numpy as np
import pytest

from orchestrator.errors import ToolFailed
from orchestrator.geometry.arrays import Floats, Triangles
from orchestrator.geometry.mesh_cleanup import clean_mesh, simplify, smooth
from tests.support.painted_sphere import sphere_mesh


@pytest.fixture
def sphere() -> tuple[Floats, Triangles]:
    return sphere_mesh(4)


def test_cleaning_removes_debris_and_keeps_the_piece(sphere: tuple[Floats, Triangles]) -> None:
    vertices, triangles = sphere
    debris = vertices * 0.005 + [3, 0, 0]
    degenerate = np.array([[0, 0, 1], [2, 2, 2]], np.int32)
    not_finite = [[0, 1, 2 * len(vertices)]]
    cleaned, kept = clean_mesh(
        np.concatenate([vertices, debris, [[np.nan] * 3]]),
        np.concatenate([triangles, triangles[:5], triangles + len(vertices), degenerate, not_finite]),
    )
    assert len(cleaned) == len(vertices)
    assert len(kept) == len(triangles)
    assert np.abs(np.linalg.norm(cleaned, axis=1) - 1).max() < 1e-9


def test_cleaning_rejects_a_mesh_without_valid_triangles() -> None:
    with pytest.raises(ToolFailed, match="empty"):
        clean_mesh(np.zeros((3, 3)), np.array([[0, 1, 2]], np.int32))


def test_simplifying_keeps_the_shape(sphere: tuple[Floats, Triangles]) -> None:
    vertices, triangles = simplify(*sphere, 1000)
    assert len(triangles) <= 1000
    assert np.abs(np.linalg.norm(vertices, axis=1) - 1).max() < 0.02


def test_smoothing_removes_noise_and_keeps_the_size(sphere: tuple[Floats, Triangles]) -> None:
    vertices, triangles = sphere
    noisy = vertices * (1 + np.random.default_rng(1).normal(0, 0.01, (len(vertices), 1)))
    radius = np.linalg.norm(smooth(noisy, triangles, 10), axis=1)
    assert radius.std() < 0.004
    assert abs(radius.mean() - 1) < 0.005
