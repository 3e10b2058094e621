"""Normals and depth of a larger model replace those of ``surface_estimation`` where they are valid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from orchestrator.inference.roles.moge2 import STEP, to_inputs, with_geometry
from tests.support.wooden_scene import wooden_scene

MAPS = wooden_scene().maps
HEIGHT, WIDTH = MAPS.depth.shape


def outputs(valid: np.ndarray, depth: float = 3.0) -> dict[str, np.ndarray]:
    """Return normals that point to the right, and a constant depth."""
    ones = np.ones((1, 1, *valid.shape), np.float32)
    normal = np.concatenate([ones, 0 * ones, 0 * ones], axis=1)
    return {"normal": normal, "depth": depth * ones, "valid": valid[None, None].astype(np.float32)}


def test_the_sides_of_the_input_are_multiples_and_keep_the_shape() -> None:
    image = to_inputs(np.zeros((500, 1000, 3), np.uint8))["image"]
    assert image.shape == (1, 3, 16 * STEP, 31 * STEP)
    assert to_inputs(np.zeros((5, 900, 3), np.uint8))["image"].shape[2] == STEP


def test_valid_pixels_get_the_geometry_of_the_model_in_metres() -> None:
    changed = with_geometry(MAPS, outputs(np.ones((64, 96))))
    assert np.allclose(changed.normal, [1, 0, 0])
    assert np.allclose(changed.depth, 3.0)


def test_other_pixels_keep_their_normals_and_their_depth_is_scaled_to_metres() -> None:
    own = replace(MAPS, depth=np.tile(np.linspace(1, 2, WIDTH, dtype=np.float32), (HEIGHT, 1)))
    valid = np.zeros((HEIGHT, WIDTH))
    valid[:, : WIDTH // 2] = 1
    changed = with_geometry(own, outputs(valid, depth=5.0))
    left, right = changed.depth[:, : WIDTH // 2 - 1], changed.depth[:, WIDTH // 2 + 1 :]
    assert np.allclose(left, 5.0)
    assert np.allclose(right / own.depth[:, WIDTH // 2 + 1 :], 5.0 / 1.25, rtol=0.02)  # the median of the left half
    assert np.allclose(changed.normal[:, WIDTH // 2 + 1 :], own.normal[:, WIDTH // 2 + 1 :])
    assert np.allclose(np.linalg.norm(changed.normal, axis=2), 1, atol=1e-5)


def test_an_output_that_is_nowhere_valid_changes_nothing() -> None:
    assert with_geometry(MAPS, outputs(np.zeros((HEIGHT, WIDTH)))) is MAPS
