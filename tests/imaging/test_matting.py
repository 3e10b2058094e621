"""Mattes follow the edges of the photo, and foreground colours are free of the background."""

from __future__ import annotations

import cv2
import numpy as np

from orchestrator.domain.images import FloatMap, Image
from orchestrator.imaging.matting import alpha_matte, foreground_colors

SIDE = 320
BLUE = (60, 80, 120)
BROWN = (150, 100, 60)


def ladder() -> FloatMap:
    """[SIDE, SIDE] opacity of a frame with two crossed bars."""
    drawing = np.zeros((4 * SIDE, 4 * SIDE), np.float32)
    cv2.rectangle(drawing, (160, 160), (1120, 1120), (1.0,), 160)
    cv2.line(drawing, (160, 160), (1120, 1120), (1.0,), 40)
    cv2.line(drawing, (1120, 160), (160, 1120), (1.0,), 40)
    return np.asarray(cv2.resize(drawing, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)


def photo_of(alpha: FloatMap, seed: int = 0) -> Image:
    noise = np.random.default_rng(seed).normal(0, 2, (SIDE, SIDE, 3))
    blend = alpha[..., None] * np.array(BROWN) + (1 - alpha[..., None]) * np.array(BLUE)
    return np.asarray(np.clip(np.rint(blend + noise), 0, 255), np.uint8)


def test_a_gap_that_the_likelihood_covers_is_transparent() -> None:
    alpha = ladder()
    likelihood = cv2.GaussianBlur(alpha, (0, 0), 2.0)
    likelihood[60:110, 130:190] = 0.9  # the network fills the upper gap next to the crossing
    matte = alpha_matte(photo_of(alpha), likelihood) / 255
    assert np.abs(matte - alpha)[55:115, 125:195].mean() < 0.03


def test_a_handle_with_the_colour_of_the_background_is_opaque() -> None:
    alpha = ladder()
    photo = photo_of(alpha)
    photo[26:34, 150:170] = BLUE
    likelihood = cv2.GaussianBlur(alpha, (0, 0), 2.0)
    likelihood[20:40, 145:175] = 0.97
    assert alpha_matte(photo, likelihood)[26:34, 150:170].min() == 255


def test_foreground_colors_are_free_of_the_background_at_edges_and_outside() -> None:
    alpha = cv2.GaussianBlur(ladder(), (0, 0), 1.0)
    colors = foreground_colors(photo_of(alpha), np.rint(alpha * 255).astype(np.uint8)).astype(float)
    error = np.abs(colors - BROWN).mean(axis=2)
    assert error[(alpha > 0.1) & (alpha < 0.9)].mean() < 6  # 8-bit steps; the noise of the photo is 2
    assert error[alpha == 0].max() < 12


def test_opaque_pixels_keep_the_colours_of_the_photo() -> None:
    alpha = ladder()
    photo = photo_of(alpha)
    colors = foreground_colors(photo, np.rint(alpha * 255).astype(np.uint8))
    assert np.array_equal(colors[alpha == 1], photo[alpha == 1])
