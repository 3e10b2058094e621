from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.imaging import guided
from tests.support.wooden_scene import wooden_scene


def slanted_edge(height, width):
    """[H, W] bool: one side of a line that is not aligned with the pixel grid."""
    rows, columns = np.mgrid[:height, :width]
    return (columns - width / 2) + 0.37 * (rows - height / 2) > 0


def test_edges_are_sharper_than_after_bilinear_interpolation():
    truth = slanted_edge(240, 320)
    photo = np.where(truth[..., None], (150, 100, 60), (90, 110, 130)).astype(np.uint8)
    low = cv2.resize(truth.astype(np.float32), (40, 30), interpolation=cv2.INTER_AREA)
    plain = cv2.resize(low, (320, 240), interpolation=cv2.INTER_LINEAR)
    error = np.abs(guided.upsample(low, photo, radius=3) - truth).mean()
    assert error < 0.25 * np.abs(plain - truth).mean()  # a less accurate guide would only halve the error


def test_edges_between_colours_of_equal_brightness_are_followed():
    truth = slanted_edge(240, 320)
    photo = np.where(truth[..., None], (150, 100, 60), (60, 141, 80)).astype(np.uint8)
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    assert np.ptp(grey.astype(int)) <= 2
    low = cv2.resize(truth.astype(np.float32), (40, 30), interpolation=cv2.INTER_AREA)
    plain = cv2.resize(low, (320, 240), interpolation=cv2.INTER_LINEAR)
    assert np.abs(guided.upsample(low, photo, radius=3) - truth).mean() < 0.25 * np.abs(plain - truth).mean()


@settings(deadline=None, max_examples=20)
@given(st.floats(-2, 2), st.integers(1, 40), st.integers(1, 40))
def test_a_constant_map_stays_constant_at_any_resolution(value, height, width):
    photo = np.random.default_rng(0).integers(0, 256, (97, 61, 3), dtype=np.uint8)
    out = guided.upsample(np.full((height, width), value, np.float32), photo)
    assert out.shape == (97, 61)
    assert np.allclose(out, value, atol=2e-3)  # float32, nearly singular systems


def test_strips_are_bit_identical_to_the_whole():
    scene = wooden_scene(101, 77)
    fitted = guided.fit(scene.maps.shading_linear, scene.photo_srgb)
    whole = fitted.rows(scene.photo_srgb, np.arange(101))
    for step in (1, 7, 64):
        image_strips = [
            fitted.rows(scene.photo_srgb[top : top + step], np.arange(top, min(101, top + step)))
            for top in range(0, 101, step)
        ]
        assert np.array_equal(np.concatenate(image_strips, axis=1), whole)


def test_the_result_has_the_channels_of_the_map():
    scene = wooden_scene(100, 80)
    assert guided.upsample(scene.maps.shading_linear, scene.photo_srgb).shape == (100, 80, 3)
    assert guided.upsample(scene.maps.wood, scene.photo_srgb).shape == (100, 80)
