import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.imaging import guided
from tests.support.wooden_scene import wooden_scene


def slanted_edge(height, width):
    """[H, W] bool: one side of a line that no pixel grid follows."""
    rows, columns = np.mgrid[:height, :width]
    return (columns - width / 2) + 0.37 * (rows - height / 2) > 0


def test_edges_come_back_sharper_than_from_plain_resize():
    truth = slanted_edge(240, 320)
    photo = np.where(truth[..., None], (150, 100, 60), (90, 110, 130)).astype(np.uint8)
    low = cv2.resize(truth.astype(np.float32), (40, 30), interpolation=cv2.INTER_AREA)
    plain = cv2.resize(low, (320, 240), interpolation=cv2.INTER_LINEAR)
    error = np.abs(guided.upsample(low, photo, radius=3) - truth).mean()
    assert error < 0.25 * np.abs(plain - truth).mean()  # the photo knows the edge; a loose guide would save half


def test_colour_edges_of_one_brightness_are_followed():
    truth = slanted_edge(240, 320)
    photo = np.where(truth[..., None], (150, 100, 60), (60, 141, 80)).astype(np.uint8)
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    assert np.ptp(grey.astype(int)) <= 2
    low = cv2.resize(truth.astype(np.float32), (40, 30), interpolation=cv2.INTER_AREA)
    plain = cv2.resize(low, (320, 240), interpolation=cv2.INTER_LINEAR)
    assert np.abs(guided.upsample(low, photo, radius=3) - truth).mean() < 0.25 * np.abs(plain - truth).mean()


@settings(deadline=None, max_examples=20)
@given(st.floats(-2, 2), st.integers(1, 40), st.integers(1, 40))
def test_a_constant_map_stays_constant_at_any_size(value, height, width):
    photo = np.random.default_rng(0).integers(0, 256, (97, 61, 3), dtype=np.uint8)
    out = guided.upsample(np.full((height, width), value, np.float32), photo)
    assert out.shape == (97, 61)
    assert np.allclose(out, value, atol=2e-3)  # float32 through a nearly singular system


def test_strips_put_together_equal_the_whole_bit_for_bit():
    scene = wooden_scene(101, 77)
    fitted = guided.fit(scene.maps.shading_linear, scene.photo_srgb)
    whole = fitted.rows(scene.photo_srgb, np.arange(101))
    for step in (1, 7, 64):
        parts = [
            fitted.rows(scene.photo_srgb[top : top + step], np.arange(top, min(101, top + step)))
            for top in range(0, 101, step)
        ]
        assert np.array_equal(np.concatenate(parts, axis=1), whole)


def test_channels_come_back_as_the_map_has_them():
    scene = wooden_scene(100, 80)
    assert guided.upsample(scene.maps.shading_linear, scene.photo_srgb).shape == (100, 80, 3)
    assert guided.upsample(scene.maps.wood, scene.photo_srgb).shape == (100, 80)
