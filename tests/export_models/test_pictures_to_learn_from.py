"""What the pictures and the losses promise to whoever learns from them."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from export_models.dataset.generate import shared_out
from export_models.dataset.photograph import photograph
from export_models.dataset.samples import Sample
from export_models.export import CHECKOUT
from export_models.learning.batches import collate, mirror, to_device
from export_models.learning.examples import IGNORED_CLASS, make_example, recolor_parts
from export_models.learning.losses import class_loss

LIE = """
import json, numpy as np
from export_models.dataset.blender.scene import covered
square = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
corners = np.array(square + [(x, y, height) for height in {heights} for x, y, _ in square], float)
faces = [(at, at + 1, at + 2) for at in range(0, len(corners), 4)]
faces += [(at, at + 2, at + 3) for at in range(0, len(corners), 4)]
print(json.dumps(covered(corners, np.array(faces)).tolist()))
"""


def covered(heights: list[float]) -> list[bool]:
    """Which triangles are left out of squares at 0 and at ``heights``: first half of each, then the others."""
    done = subprocess.run(
        [sys.executable, "-c", LIE.format(heights=heights)], cwd=CHECKOUT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-1500:]
    found: list[bool] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def test_of_faces_that_lie_on_each_other_one_is_kept() -> None:
    lower, upper, lower_too, upper_too = covered([0.0])
    assert [lower + upper, lower_too + upper_too] == [1, 1]


def test_faces_that_only_face_each_other_are_kept() -> None:
    assert covered([0.02, 0.5]) == [False] * 6


def test_blenders_share_no_core_while_there_is_one_for_each() -> None:
    assert shared_out([0, 1, 2, 5], 2) == [[0, 1], [2, 5]]
    assert shared_out([0, 1, 5], 3) == [[0], [1], [5]]
    assert shared_out([4, 7], 3) == [[4], [7], [4]]


@pytest.mark.parametrize("light", [(2.0, 1.0, 0.4), (0.7, 1.0, 1.4)])
def test_a_camera_takes_out_most_of_the_lights_colour(light: tuple[float, float, float]) -> None:
    albedo = np.full((64, 64, 3), 0.5, np.float32)
    albedo[32:] = (0.6, 0.2, 0.1)
    casts = []
    for seed in range(40):
        truth, photo = photograph(albedo * np.float32(light), albedo, np.random.default_rng(seed))
        assert (photo.dtype, photo.shape) == (np.uint8, albedo.shape)
        left = truth / albedo
        assert np.allclose(left, left[0, 0], rtol=1e-4)  # the light that is left is even, as it was
        casts.append(np.log(left[0, 0, 0] / left[0, 0, 2]))
    assert abs(np.mean(casts)) < 0.4 * abs(np.log(light[0] / light[2]))  # it takes out three fifths at least
    assert np.std(casts) > 0.05  # and errs


def test_the_loss_of_classes_is_nothing_for_the_truth_and_pixels_that_do_not_count_do_not() -> None:
    truth = torch.randint(0, 5, (2, 16, 16), generator=torch.Generator().manual_seed(0))
    sure = 20.0 * torch.nn.functional.one_hot(truth, 5).permute(0, 3, 1, 2).float()
    assert float(class_loss(sure, truth)) < 0.01
    ignored = truth.clone()
    ignored[:, :8] = IGNORED_CLASS
    wrong_there = sure.clone()
    wrong_there[:, :, :8] = -wrong_there[:, :, :8]
    assert float(class_loss(wrong_there, ignored)) < 0.01
    assert float(class_loss(wrong_there, truth)) > 1.0


def test_parts_in_other_colours_stand_in_the_same_light() -> None:
    random = np.random.default_rng(3)
    albedo = random.uniform(0.05, 0.9, (32, 32, 3)).astype(np.float32)
    light = random.uniform(0.2, 2.0, (32, 32, 3)).astype(np.float32)
    part = np.repeat(np.arange(4), 8)[:, None].repeat(32, 1)
    radiance, changed = recolor_parts(albedo * light, albedo, part, random)
    assert np.allclose(radiance / changed, light, rtol=1e-4)
    assert changed.max() <= 0.95 + 1e-6
    assert all(np.abs(changed[part == one] / albedo[part == one] - 1).mean() > 0.02 for one in range(4))


def slanted(side: int) -> Sample:
    """A board that looks up to the right, in front of a wall."""
    piece = np.zeros((side, side), np.uint8)
    piece[side // 4 :, : side // 2] = 1
    normal = np.where(piece[..., None] > 0, np.float32([0.6, 0.0, 0.8]), np.float32([0, 0, 1]))
    flat = np.full((side, side), 0.5, np.float32)
    albedo = np.where(piece[..., None] > 0, np.float32([0.5, 0.3, 0.2]), np.float32([0.6, 0.6, 0.6]))
    return Sample("slanted", albedo * 2, albedo, normal, flat, flat, flat * 4, piece, piece, {"source": {}})


def test_a_batch_in_a_mirror_is_the_same_scene_the_other_way_round() -> None:
    random = np.random.default_rng(5)
    batch = to_device(collate([make_example(slanted(48), 32, random) for _ in range(3)]), torch.device("cpu"))
    seen = mirror(batch)
    assert batch["image"].min() >= 0
    assert batch["image"].max() <= 1
    assert torch.equal(seen["component"], batch["component"].flip(-1))
    on_piece = (batch["foreground"] > 0).expand_as(batch["normal"])
    assert float(batch["normal"][:, :1][on_piece[:, :1]].mean()) > 0.5  # to the right
    assert float(seen["normal"][:, :1][on_piece[:, :1].flip(-1)].mean()) < -0.5  # to the left
    twice = mirror(seen)
    assert all(torch.equal(twice[name], values) for name, values in batch.items())
