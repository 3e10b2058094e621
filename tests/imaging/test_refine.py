"""A box or a point becomes a mask that follows the picture's edges, never a rectangle."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.segment import Box, Point
from orchestrator.imaging.refine import mask_from_likelihood, mask_from_prompt


def round_seat(side: int = 400) -> tuple[Image, np.ndarray]:
    """A brown disc on a grey wall with a little noise, and where it is."""
    truth = np.zeros((side, side), np.uint8)
    cv2.circle(truth, (side // 2, side // 2), side // 4, 255, -1)
    noise = np.random.default_rng(0).normal(0, 3, (side, side, 3))
    colour = np.where(truth[..., None] > 0, (120, 70, 40), (180, 182, 185))
    return np.clip(colour + noise, 0, 255).astype(np.uint8), truth > 0


def no_model(photo: Image) -> FloatMap:
    return np.full((photo.shape[0] // 4, photo.shape[1] // 4), 0.5, np.float32)


def iou(mask: Image, truth: np.ndarray) -> float:
    found = mask > 127
    return float((found & truth).sum() / (found | truth).sum())


@pytest.mark.parametrize("slack", [2, 20, 50])
def test_a_loose_box_finds_the_disc(slack: int) -> None:
    photo, truth = round_seat()
    mask = mask_from_prompt(photo, Box(100 - slack, 100 - slack, 300 + slack, 300 + slack), (), no_model(photo))
    # The box's inscribed disc covers 78.5 % of a tight box: above that a rectangle can't come.
    assert iou(mask, truth) >= 0.95


def test_points_on_and_off_the_piece_decide() -> None:
    photo, truth = round_seat()
    points = (Point(200, 200), Point(230, 180), Point(20, 20, inside=False), Point(380, 380, inside=False))
    assert iou(mask_from_prompt(photo, None, points, no_model(photo)), truth) >= 0.95


def test_a_flat_picture_gives_no_mask_beyond_the_box() -> None:
    flat = np.full((200, 200, 3), 128, np.uint8)  # no edge to hold on to
    likelihood = np.zeros((50, 50), np.float32)
    likelihood[15:35, 15:35] = 1.0
    mask = mask_from_prompt(flat, Box(40, 40, 160, 160), (), likelihood)
    outside = np.ones((200, 200), bool)
    outside[36:164, 36:164] = False
    assert mask.max() == 255
    assert mask[outside].max() == 0


def test_a_coarse_likelihood_is_brought_to_the_photos_edges() -> None:
    photo, truth = round_seat()
    coarse = cv2.resize(truth.astype(np.float32), (25, 25), interpolation=cv2.INTER_AREA)
    plain = cv2.resize(coarse, (400, 400), interpolation=cv2.INTER_LINEAR) > 0.5
    guided = mask_from_likelihood(photo, coarse) > 127
    assert (guided != truth).sum() < (plain != truth).sum()


def test_bars_thinner_than_a_models_cell_are_cut_out_at_the_photos_edges() -> None:
    truth = np.zeros((384, 384), np.uint8)
    for across in (0, 1):  # the crossed bars of a chair's back
        ends = ((60, 60), (320, 320)) if across else ((320, 60), (60, 320))
        cv2.line(truth, *ends, color=(1.0,), thickness=5)
    photo = np.where(truth[..., None] > 0, (170, 110, 60), (200, 205, 210)).astype(np.uint8)
    blurred = cv2.GaussianBlur(truth.astype(np.float32), (0, 0), 4.0)  # as a network with cells of 6 pixels sees them
    blurred *= 0.9 / blurred.max()
    assert iou(np.where(blurred > 0.5, 255, 0).astype(np.uint8), truth > 0) < 0.97
    assert iou(mask_from_likelihood(photo, blurred), truth > 0) > 0.99
