"""Boxes, points and likelihoods become masks that follow the edges of the photo."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.segment import Box, Point
from orchestrator.imaging.refine import mask_from_likelihood, mask_from_prompt


def round_seat(side: int = 400) -> tuple[Image, np.ndarray]:
    """A brown disc in front of a grey wall with a little noise, and its true mask."""
    truth = np.zeros((side, side), np.uint8)
    cv2.circle(truth, (side // 2, side // 2), side // 4, 255, -1)
    noise = np.random.default_rng(0).normal(0, 3, (side, side, 3))
    colour = np.where(truth[..., None] > 0, (120, 70, 40), (180, 182, 185))
    return np.clip(colour + noise, 0, 255).astype(np.uint8), truth > 0


def uniform_likelihood(photo: Image) -> FloatMap:
    return np.full((photo.shape[0] // 4, photo.shape[1] // 4), 0.5, np.float32)


def iou(mask: Image, truth: np.ndarray) -> float:
    solid = mask > 127
    return float((solid & truth).sum() / (solid | truth).sum())


@pytest.mark.parametrize("slack", [2, 20, 50])
def test_a_loose_box_gives_the_mask_of_the_disc(slack: int) -> None:
    photo, truth = round_seat()
    mask = mask_from_prompt(
        photo, Box(100 - slack, 100 - slack, 300 + slack, 300 + slack), (), uniform_likelihood(photo)
    )
    # A disc covers 78.5 % of its bounding box, so a rectangle has an IoU of at most 0.785.
    assert iou(mask, truth) >= 0.95


def test_points_inside_and_outside_give_the_mask_of_the_disc() -> None:
    photo, truth = round_seat()
    points = (Point(200, 200), Point(230, 180), Point(20, 20, inside=False), Point(380, 380, inside=False))
    assert iou(mask_from_prompt(photo, None, points, uniform_likelihood(photo)), truth) >= 0.95


def test_an_image_without_edges_gives_no_mask_outside_the_box() -> None:
    flat = np.full((200, 200, 3), 128, np.uint8)
    likelihood = np.zeros((50, 50), np.float32)
    likelihood[15:35, 15:35] = 1.0
    mask = mask_from_prompt(flat, Box(40, 40, 160, 160), (), likelihood)
    outside = np.ones((200, 200), bool)
    outside[36:164, 36:164] = False
    assert mask.max() == 255
    assert mask[outside].max() == 0


@pytest.mark.parametrize(
    ("box", "points"),
    [
        (Box(31.5, 31.5, 32, 32), ()),  # rounds to a pixel outside the photo
        (Box(0, 0, 1, 1), (Point(0, 0, inside=False),)),
        (None, (Point(16, 16, inside=False),)),
        (Box(0, 0, 32, 32), ()),
        (Box(0, 0, 32, 32), (Point(0, 0), Point(31, 31, inside=False))),
    ],
)
def test_a_prompt_without_background_or_without_foreground_gives_a_mask(
    box: Box | None, points: tuple[Point, ...]
) -> None:
    photo = round_seat(32)[0]
    assert mask_from_prompt(photo, box, points, uniform_likelihood(photo)).shape == (32, 32)


def test_a_coarse_likelihood_moves_to_the_edges_of_the_photo() -> None:
    photo, truth = round_seat()
    coarse = cv2.resize(truth.astype(np.float32), (25, 25), interpolation=cv2.INTER_AREA)
    plain = cv2.resize(coarse, (400, 400), interpolation=cv2.INTER_LINEAR) > 0.5
    guided = mask_from_likelihood(photo, coarse) > 127
    assert (guided != truth).sum() < (plain != truth).sum()


def test_bars_thinner_than_a_cell_of_the_model_follow_the_edges_of_the_photo() -> None:
    truth = np.zeros((384, 384), np.uint8)
    for across in (0, 1):  # the crossed bars of a chair back
        ends = ((60, 60), (320, 320)) if across else ((320, 60), (60, 320))
        cv2.line(truth, *ends, color=(1.0,), thickness=5)
    photo = np.where(truth[..., None] > 0, (170, 110, 60), (200, 205, 210)).astype(np.uint8)
    blurred = cv2.GaussianBlur(truth.astype(np.float32), (0, 0), 4.0)  # the output of a network with cells of 6 pixels
    blurred *= 0.9 / blurred.max()
    assert iou(np.where(blurred > 0.5, 255, 0).astype(np.uint8), truth > 0) < 0.97
    assert iou(mask_from_likelihood(photo, blurred), truth > 0) > 0.99
