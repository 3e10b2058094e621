"""The outline of a larger model replaces that of ``segmentation``; the parts keep their proportions."""

from __future__ import annotations

import numpy as np

from orchestrator.inference.roles.birefnet import SIDE, to_inputs, with_foreground
from tests.support.wooden_scene import wooden_scene

MAPS = wooden_scene().maps


def test_the_photo_is_stretched_to_the_square() -> None:
    photo = np.zeros((300, 700, 3), np.uint8)
    photo[:, 350:] = 255
    image = to_inputs(photo)["image"]
    assert image.shape == (1, 3, SIDE, SIDE)
    assert image[..., : SIDE // 2 - 2].max() == 0
    assert image[..., SIDE // 2 + 2 :].min() == 1


def test_the_foreground_is_that_of_the_model_and_parts_keep_their_proportions() -> None:
    height, width = MAPS.foreground.shape
    foreground = np.tile(np.linspace(0, 1, SIDE, dtype=np.float32), (SIDE, 1))
    changed = with_foreground(MAPS, {"foreground": foreground[None, None]})
    assert np.abs(changed.foreground - np.linspace(0, 1, width)[None]).max() < 0.01
    assert np.allclose(changed.component.sum(axis=0), 1, atol=1e-5)
    row, column = np.unravel_index(int(MAPS.foreground.argmax()), (height, width))
    before, after = (maps.component[:, row, column].copy() for maps in (MAPS, changed))
    background = MAPS.component_names.index("background")
    before[background] = after[background] = 0
    assert np.allclose(before / before.sum(), after / after.sum(), atol=1e-3)


def test_a_pixel_that_was_certainly_background_gets_some_part() -> None:
    changed = with_foreground(MAPS, {"foreground": np.ones((1, 1, SIDE, SIDE), np.float32)})
    assert np.isfinite(changed.component).all()
    assert changed.foreground.min() > 0.99
