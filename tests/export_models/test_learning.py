"""Training examples, batches and losses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from export_models.baselines.segmentation import MATERIALS
from export_models.dataset.colors import MAX_ALBEDO
from export_models.dataset.samples import Sample
from export_models.learning.batches import collate, mirror, to_device
from export_models.learning.config import read_config
from export_models.learning.examples import IGNORED_CLASS, crop_beside_piece, make_example
from export_models.learning.losses import class_loss, pooled_material_loss
from export_models.learning.recoloring import recolor_parts, refinish
from export_models.learning.state import TrainingState
from export_models.train import CONFIG


def test_class_loss_is_near_zero_for_the_ground_truth_and_skips_ignored_pixels() -> None:
    target = torch.randint(0, 5, (2, 16, 16), generator=torch.Generator().manual_seed(0))
    correct = 20.0 * torch.nn.functional.one_hot(target, 5).permute(0, 3, 1, 2).float()
    assert float(class_loss(correct, target)) < 0.01
    half_ignored = target.clone()
    half_ignored[:, :8] = IGNORED_CLASS
    half_wrong = correct.clone()
    half_wrong[:, :, :8] = -half_wrong[:, :, :8]
    assert float(class_loss(half_wrong, half_ignored)) < 0.01
    assert float(class_loss(half_wrong, target)) > 1.0


def material_batch() -> dict[str, torch.Tensor]:
    """Return one image of two surfaces below a strip of background.

    The left surface is part 1 of material 2, and the right one, 4 columns wide, is part 3 of material 1.
    """
    columns = (torch.arange(16) < 12).expand(1, 16, 16)
    material, component = torch.where(columns, 2, 1), torch.where(columns, 1, 3)
    foreground = (torch.arange(16) >= 4).float()[None, None, :, None].expand(1, 1, 16, 16)
    return {"material": material, "component": component, "foreground": foreground}


def test_the_loss_per_surface_judges_the_mean_over_each_surface() -> None:
    batch = material_batch()
    correct = 10.0 * torch.nn.functional.one_hot(batch["material"], 5).permute(0, 3, 1, 2).float()
    assert float(pooled_material_loss(correct, batch)) < 0.01
    spotted = correct.clone()
    spotted[:, :, ::4] = spotted[:, :, ::4].roll(1, 1)  # a quarter of the rows is wrong, the mean is not
    assert float(pooled_material_loss(spotted, batch)) < 0.05
    small_wrong = correct.clone()
    small_wrong[..., 12:] = small_wrong[..., 12:].roll(1, 1)  # a quarter of the area, with weight 1 / (1 + sqrt 3)
    assert 10 / (1 + 3**0.5) * 0.99 < float(pooled_material_loss(small_wrong, batch)) < 10 / (1 + 3**0.5) * 1.01


def test_the_loss_per_surface_ignores_background_and_padding() -> None:
    batch = material_batch()
    correct = 10.0 * torch.nn.functional.one_hot(batch["material"], 5).permute(0, 3, 1, 2).float()
    correct[:, :, :4] = 0.0
    assert float(pooled_material_loss(correct, batch)) < 0.01
    nothing = batch | {"foreground": torch.zeros(1, 1, 16, 16)}
    assert float(pooled_material_loss(correct, nothing)) == 0.0


def test_recolored_parts_keep_their_light() -> None:
    rng = np.random.default_rng(3)
    albedo = rng.uniform(0.05, 0.9, (32, 32, 3)).astype(np.float32)
    light = rng.uniform(0.2, 2.0, (32, 32, 3)).astype(np.float32)
    part = np.repeat(np.arange(4), 8)[:, None].repeat(32, 1)
    radiance, recolored = recolor_parts(albedo * light, albedo, part, rng)
    assert np.allclose(radiance / recolored, light, rtol=1e-4)
    assert recolored.max() <= 0.95 + 1e-6
    assert all(np.abs(recolored[part == number] / albedo[part == number] - 1).mean() > 0.02 for number in range(4))


def board(colors: np.ndarray, light: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the radiance and albedo of a matt board of these colours [3] or [H, W, 3] under a light [H, W, 1]."""
    albedo = np.broadcast_to(colors, (*light.shape[:2], 3)).astype(np.float32)
    return (albedo + 0.04) * light.astype(np.float32), albedo  # 4 % is reflected whatever the colour is


def test_refinished_wood_keeps_its_light_and_its_figure() -> None:
    light = np.linspace(0.3, 1.2, 32)[:, None, None].repeat(32, 1)
    figure = np.where(np.arange(32) % 8 < 4, 1.2, 0.8)[None, :, None]
    radiance, albedo = board(np.array([0.3, 0.2, 0.1]) * figure, light)
    wood = np.full((32, 32), MATERIALS.index("wood"), np.uint8)
    colors = []
    for seed in range(12):
        new_radiance, new_albedo, material = refinish(
            radiance, albedo, wood, np.ones((32, 32), bool), np.random.default_rng(seed)
        )
        assert np.allclose(new_radiance, (new_albedo + 0.04) * light, rtol=1e-4)
        contrast = new_albedo[0, 0] / new_albedo[0, 4]
        if (material == MATERIALS.index("painted")).all():
            assert (contrast < 1.05).all()  # an opaque coat
        else:
            assert (material == wood).all()
            assert ((contrast > 1.05) | (new_albedo[0, 0] >= MAX_ALBEDO)).all()
        colors.append(new_albedo.mean((0, 1)))
    assert np.ptp(np.mean(colors, 1)) > 0.3  # from dark to light finishes


def test_refinishing_leaves_metal_and_the_surroundings_unchanged() -> None:
    light = np.ones((24, 24, 1))
    radiance, albedo = board(np.array([0.1, 0.1, 0.1]), light)
    material = np.full((24, 24), MATERIALS.index("painted"), np.uint8)
    material[:, :8] = MATERIALS.index("metal")
    on_piece = np.ones((24, 24), bool)
    on_piece[:, 16:] = False
    new_radiance, new_albedo, new_material = refinish(radiance, albedo, material, on_piece, np.random.default_rng(2))
    for columns in (slice(0, 8), slice(16, 24)):
        assert (new_radiance[:, columns] == radiance[:, columns]).all()
        assert (new_albedo[:, columns] == albedo[:, columns]).all()
    assert (new_albedo[:, 8:16] != albedo[:, 8:16]).all()
    assert (new_material == material).all()


def test_a_light_coat_on_a_dark_piece_has_no_bright_outline() -> None:
    light = np.ones((32, 32, 1))
    colors = np.full((32, 32, 3), 0.9)
    colors[8:24, 8:24] = 0.02
    colors[8, 8:24] = 0.5  # pixels that show the white background in part
    radiance, albedo = board(colors, light)
    material = np.full((32, 32), MATERIALS.index("painted"), np.uint8)
    on_piece = np.zeros((32, 32), bool)
    on_piece[8:24, 8:24] = True
    for seed in range(12):
        new_radiance, _, _ = refinish(radiance, albedo, material, on_piece, np.random.default_rng(seed))
        inside = new_radiance[12, 12]
        assert (new_radiance[8, 12:20] <= np.maximum(inside, radiance[0, 0]) + 1e-6).all()


def tilted_board(size: int) -> Sample:
    """Return a sample of a board at the left, whose normal points to the right, in front of a wall."""
    piece = np.zeros((size, size), np.uint8)
    piece[size // 4 :, : size // 2] = 1
    normal = np.where(piece[..., None] > 0, np.float32([0.6, 0.0, 0.8]), np.float32([0, 0, 1]))
    half = np.full((size, size), 0.5, np.float32)
    albedo = np.where(piece[..., None] > 0, np.float32([0.5, 0.3, 0.2]), np.float32([0.6, 0.6, 0.6]))
    return Sample("tilted board", albedo * 2, albedo, normal, half, half, half * 4, piece, piece, {"source": {}})


def test_a_crop_beside_the_piece_does_not_show_it() -> None:
    component = np.zeros((96, 96), np.uint8)
    component[30:96, 10:60] = 1
    for seed in range(20):
        crop = crop_beside_piece(component, 32, np.random.default_rng(seed))
        assert crop is not None
        assert crop.nearest(component).max() == 0
    component[:] = 1
    assert crop_beside_piece(component, 32, np.random.default_rng(0)) is None


def test_a_mirrored_batch_shows_the_mirrored_scene() -> None:
    rng = np.random.default_rng(5)
    batch = to_device(collate([make_example(tilted_board(48), 32, rng) for _ in range(3)]), torch.device("cpu"))
    mirrored = mirror(batch)
    assert batch["image"].min() >= 0
    assert batch["image"].max() <= 1
    assert torch.equal(mirrored["component"], batch["component"].flip(-1))
    on_piece = (batch["foreground"] > 0).expand_as(batch["normal"])
    assert float(batch["normal"][:, :1][on_piece[:, :1]].mean()) > 0.5  # to the right
    assert float(mirrored["normal"][:, :1][on_piece[:, :1].flip(-1)].mean()) < -0.5  # to the left
    twice = mirror(mirrored)
    assert all(torch.equal(twice[name], values) for name, values in batch.items())


def test_the_result_of_a_training_may_keep_a_share_of_its_start(tmp_path: Path) -> None:
    config = read_config(CONFIG)
    first, second = (
        TrainingState.create(config.model_copy(update={"seed": seed}), None, None, torch.device("cpu"))
        for seed in (1, 2)
    )
    first.save_weights(tmp_path / "start.pt")
    second.save_weights(tmp_path / "plain.pt")
    second.save_weights(tmp_path / "mixed.pt", tmp_path / "start.pt", 0.25)
    start, plain, mixed = (
        torch.load(tmp_path / f"{name}.pt", weights_only=True)["heads.material.1.weight"].float()
        for name in ("start", "plain", "mixed")
    )
    assert torch.allclose(mixed, 0.25 * start + 0.75 * plain, atol=1e-3)
    assert not torch.allclose(mixed, plain, atol=1e-2)
