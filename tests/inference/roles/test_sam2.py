"""Boxes and points become tensors of SAM 2.1, and its masks become likelihoods and regions."""

from __future__ import annotations

import numpy as np

from orchestrator.domain.segment import Box, Point, Prompt
from orchestrator.inference.roles.sam2 import MAX_REGION_POINTS, SIDE, best_masks, region_points, regions, to_inputs

PHOTO = np.zeros((200, 400, 3), np.uint8)
GRID = SIDE // 4


def logits(left: int, right: int, value: float = 8.0) -> np.ndarray:
    """Return a mask of some columns."""
    mask = np.full((GRID, GRID), -value, np.float32)
    mask[:, left:right] = value
    return mask


def test_prompts_are_scaled_to_the_square_and_padded_with_ignored_points() -> None:
    prompts = [Prompt("leg", Box(0, 0, 400, 100), (Point(200, 100, inside=False),)), Prompt("", points=(Point(4, 2),))]
    inputs = to_inputs(PHOTO, prompts)
    assert inputs["image"].shape == (1, 3, SIDE, SIDE)
    assert inputs["labels"].tolist() == [[[2, 3, 0], [1, -10, -10]]]
    assert inputs["labels"].dtype == np.int32
    assert inputs["points"][0, 0].tolist() == [[0, 0], [SIDE, SIDE / 2], [SIDE / 2, SIDE / 2]]
    assert inputs["points"].shape == (1, 2, 3, 2)


def test_of_three_masks_the_one_of_the_highest_quality_is_used() -> None:
    masks = np.stack([logits(0, 64), logits(64, 128), logits(128, 256)])[None, None]
    quality = np.array([[[0.2, 0.9, 0.5]]], np.float32)
    (likelihood,) = best_masks({"masks": masks, "quality": quality}, (50, 100))
    assert likelihood.shape == (50, 100)
    assert likelihood[:, 30:45].min() > 0.99
    assert likelihood[:, :20].max() < 0.01
    assert likelihood[:, 60:].max() < 0.01


def test_region_points_are_few_and_on_the_piece() -> None:
    foreground = np.zeros((150, 300), np.float32)
    foreground[20:140, 100:260] = 1
    points = region_points(foreground)
    assert 0.6 * MAX_REGION_POINTS < len(points) <= MAX_REGION_POINTS
    assert all(foreground[int(y * 150), int(x * 300)] == 1 for x, y in points)
    assert len(region_points(np.zeros((150, 300), np.float32))) == 0


def test_regions_are_good_stable_unique_and_sorted_by_area() -> None:
    small, large, repeated = logits(0, 40), logits(60, 200), logits(61, 200)
    bad, unstable, empty = logits(200, 256), logits(210, 250, 0.5), np.full((GRID, GRID), -8, np.float32)
    masks = np.stack([small, large, repeated, bad, unstable, empty]).reshape(1, 2, 3, GRID, GRID)
    quality = np.array([[[0.95, 0.9, 0.85], [0.3, 0.99, 0.99]]], np.float32)
    found = regions({"masks": masks, "quality": quality}, (64, 64))
    assert [round(float((region > 0.5).mean()), 2) for region in found] == [0.55, 0.16]
