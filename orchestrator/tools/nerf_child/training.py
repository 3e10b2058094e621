"""Trains a field from photos, from coarse to fine, within a given time. Continues an interrupted training."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, gaussian_filter
from torch import Tensor
from torch.nn import functional

from orchestrator.domain.progress import Progress
from orchestrator.tools.nerf import Training
from orchestrator.tools.nerf_child.field import FEATURES, Field, color_network
from orchestrator.tools.nerf_child.grid import cells_touching, make_grid, select_rows
from orchestrator.tools.nerf_child.photos import Cameras, Photos, TrainingPixels, read_photos, training_pixels
from orchestrator.tools.nerf_child.visual_hull import find_bounds, inside_hull, lattice

CHECKPOINT_NAME = "checkpoint.pt"
SAVE_INTERVAL_S = 20.0
MIN_LEVEL_STEPS = 100  # at each resolution on a slow machine; with fewer, the field does not resemble the piece
HULL_SIDE_PX = 384  # maximum longer side of the masks for the initial visual hull
HULL_SMOOTHING_VOXELS = 0.7  # standard deviation of the filter that smooths the initial distance; not tuned
HULL_BAND_VOXELS = 2.0  # the first grid covers the inside of the hull and this much outside it; not tuned
HULL_MARGIN_VOXELS = 3  # empty voxels around the hull
SURFACE_BAND_VOXELS = 3.0  # finer grids have values up to this distance on both sides of the surface; not tuned
FINAL_SHARPNESS = 6.0  # sharpness of the surface at the end of the training, 1 / voxels
GPU_RESOLUTION = 1.6  # factor on the resolution of the grid and the photos with CUDA
REGULARIZED_VALUES = 32768  # number of random grid values that are regularised in each step
REGULARIZED_FEATURES = 4096  # number of them whose features are regularised too

COLOR_WEIGHT = 10.0  # weight of the colour error; not tuned
HUBER_DELTA = 0.1  # colour errors above this count linearly, smaller ones quadratically; not tuned
# Weight of the cross entropy between rendered coverage and mask. Raised from 0.1, together with the wider margin in
# ``photos.MASK_MARGIN_DIVISOR``. Not measured separately.
MASK_WEIGHT = 0.3
EIKONAL_WEIGHT = 0.02  # weight of the deviation of the distance's gradient from length 1; not tuned
CURVATURE_WEIGHT = 0.05  # weight of the squared Laplacian of the distance; not tuned
FEATURE_SMOOTHNESS_WEIGHT = 0.001  # weight of the Laplacian of the features; not tuned
RATE_DECAY = 0.1  # learning rates fall to this share until the end of a level; not tuned


@dataclass(frozen=True)
class Level:
    """One resolution of the training."""

    voxels: int  # along the longest side of the box
    photo_px: int  # maximum longer side of the photos
    share: float  # of all steps and of the time
    start_sharpness: float  # of the surface, 1 / voxels
    end_sharpness: float
    rates: tuple[float, float, float]  # learning rates of the distance, the features and the network


def levels(voxels: int, photo_px: int) -> list[Level]:
    """Return the resolutions from coarse to fine, each about 1.6 times finer than the one before. Not tuned."""
    sides = [max(24, round(voxels * factor)) for factor in (0.4, 0.64, 1.0)]
    px = [max(64, round(photo_px * factor)) for factor in (0.5, 0.8, 1.0)]
    return [
        Level(sides[0], px[0], share=0.15, start_sharpness=0.8, end_sharpness=2.5, rates=(0.1, 0.05, 3e-3)),
        Level(sides[1], px[1], share=0.25, start_sharpness=1.5, end_sharpness=3.5, rates=(0.04, 0.03, 2e-3)),
        Level(sides[2], px[2], share=0.6, start_sharpness=2.0, end_sharpness=FINAL_SHARPNESS, rates=(0.02, 0.02, 1e-3)),
    ]


@dataclass
class State:
    """Everything that an interrupted training needs to continue."""

    level: int  # index of the resolution
    step: int  # within the level
    seconds: float  # spent on the training
    field: Field
    optimizer: torch.optim.Adam
    dense: Tensor  # [X, Y, Z] signed distance of the whole box in voxels at the start of the level


def train(
    photos: Sequence[str], masks: Sequence[str], cameras: Cameras, training: Training, folder: Path, report: Progress
) -> State:
    """Train a field and return its final state. Checkpoints are saved in ``folder``.

    Raises:
        ValueError: the masks do not overlap in space.
    """
    started = time.monotonic()
    device = cameras.intrinsics.device
    torch.manual_seed(training.seed)  # for the initial weights of the network
    resolution = GPU_RESOLUTION if device.type == "cuda" else 1.0
    plan = levels(round(training.voxels * resolution), round(training.photo_px * resolution))
    state = load_checkpoint(folder, device)
    if state is None:
        report(0.0, "carving the visual hull")
        state = initial_state(read_photos(photos, masks, cameras, HULL_SIDE_PX), plan[0].voxels)
    started -= state.seconds  # so that the time before an interruption counts
    torch.manual_seed(training.seed + state.step)
    for number in range(state.level, len(plan)):
        level = plan[number]
        if number > state.level:
            state = refine(state, level.voxels / plan[number - 1].voxels)
        level_photos = read_photos(photos, masks, cameras, level.photo_px)
        pixels = training_pixels(state.field.grid, level_photos, training.seed + number)
        done_before = sum(earlier.share for earlier in plan[:number])
        saved = state.seconds
        while (done := level_progress(state, level, training, done_before)) < 1.0:
            error = train_step(state, level, pixels, training.rays, done)
            state.step += 1
            state.seconds = time.monotonic() - started
            if state.step % 10 == 0:
                message = f"training at {level.voxels} voxels, step {state.step}, error {error:.4f}"
                report(done_before + level.share * done, message)
            if state.seconds - saved > SAVE_INTERVAL_S:
                saved = state.seconds
                save_checkpoint(folder, state)
        save_checkpoint(folder, state)
    return state


def level_progress(state: State, level: Level, training: Training, done_before: float) -> float:
    """Return the share of ``level`` that is done. ``done_before`` is the total share of the earlier levels."""
    steps = max(1, round(level.share * training.steps))
    done_by_time = (state.seconds / training.seconds - done_before) / level.share
    return max(state.step / steps, min(done_by_time, state.step / MIN_LEVEL_STEPS))


def initial_state(photos: Photos, voxels: int) -> State:
    """Return a grey field, ``voxels`` along its longest side, whose surface is the visual hull of the masks."""
    low, high = find_bounds(photos)
    voxel = float((high - low).max()) / voxels
    shape = [int(side) + 1 for side in ((high - low) / voxel).ceil().tolist()]
    growth_px = 0.5 * voxel * photos.cameras.pixels_per_unit((low + high) / 2)
    inside = inside_hull(photos, lattice(low, voxel, shape), growth_px)
    solid = np.pad(inside.view(*shape).cpu().numpy(), HULL_MARGIN_VOXELS)
    low = low - HULL_MARGIN_VOXELS * voxel
    distance = distance_transform_edt(~solid) - distance_transform_edt(solid)
    dense = torch.from_numpy(gaussian_filter(distance, HULL_SMOOTHING_VOXELS)).float().to(low.device)
    grid = make_grid(low, voxel, cells_touching(dense < HULL_BAND_VOXELS))
    features = torch.zeros(len(grid.positions), FEATURES, device=low.device)
    field = Field(grid, dense.flatten()[grid.positions], features, color_network().to(low.device))
    return State(0, 0, 0.0, field, make_optimizer(field), dense)


def refine(state: State, ratio: float) -> State:
    """Return the field on a grid that is ``ratio`` times finer and has values only in a band around the surface."""
    field, grid = state.field, state.field.grid
    shape = [int((side - 1) * ratio) + 1 for side in grid.size]
    points = lattice(torch.zeros_like(grid.low), 1 / ratio, shape)
    dense = _resample(dense_distance(state)[None], points)[0] * ratio
    used = cells_touching((dense.abs() < SURFACE_BAND_VOXELS).view(*shape))
    fine_grid = make_grid(grid.low, grid.voxel / ratio, used)
    # The last channel is the weight of the features: 1 where the old grid has values.
    box = torch.zeros(FEATURES + 1, state.dense.numel(), device=points.device)
    box[:FEATURES, grid.positions] = field.features.detach().T
    box[FEATURES, grid.positions] = 1.0
    resampled = _resample(box.view(FEATURES + 1, *grid.size), points[fine_grid.positions])
    features = (resampled[:FEATURES] / resampled[FEATURES:].clamp_min(1e-3)).T.contiguous()
    fine_field = Field(fine_grid, dense[fine_grid.positions], features, field.network)
    return State(state.level + 1, 0, state.seconds, fine_field, make_optimizer(fine_field), dense.view(*shape))


def _resample(box: Tensor, points: Tensor) -> Tensor:
    """Return the trilinear values [C, P] of ``box`` [C, X, Y, Z] at ``points`` [P, 3] in its grid coordinates."""
    last = torch.tensor(box.shape[1:], device=points.device) - 1
    normalized = (points / last * 2 - 1).flip(-1)[None, None, None]
    return functional.grid_sample(box[None], normalized, align_corners=True, padding_mode="border")[0, :, 0, 0]


def train_step(state: State, level: Level, pixels: TrainingPixels, count: int, done: float) -> float:
    """Optimise the field on ``count`` random pixels and return the mean absolute colour error.

    Args:
        done: share of the level that is done, in [0, 1].
    """
    device = state.field.grid.low.device
    selected = torch.randint(len(pixels.coverage), (count,), device=device)
    offset = torch.rand(count, device=device)
    sharpness = level.start_sharpness * (level.end_sharpness / level.start_sharpness) ** done
    rendered = state.field.render(pixels.rays.select(selected), sharpness, offset)
    # A random background makes the coverage observable in the colour.
    background = torch.rand(count, 3, device=device)
    coverage = pixels.coverage[selected]
    target = torch.lerp(background, pixels.color[selected], coverage[:, None])
    error = rendered.color + (1.0 - rendered.coverage)[:, None] * background - target
    color_loss = functional.huber_loss(error, torch.zeros_like(error), delta=HUBER_DELTA) * COLOR_WEIGHT
    mask_loss = functional.binary_cross_entropy(rendered.coverage.clamp(1e-3, 1 - 1e-3), coverage)
    gradient = rendered.gradient
    eikonal_loss = ((gradient.norm(dim=-1) - 1.0) ** 2).mean() if len(gradient) else color_loss * 0  # no points
    loss = color_loss + MASK_WEIGHT * mask_loss + _regularization(state.field, eikonal_loss)
    for group, rate in zip(state.optimizer.param_groups, level.rates, strict=True):
        group["lr"] = rate * RATE_DECAY**done
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    state.optimizer.step()
    return float(error.detach().abs().mean())


def _regularization(field: Field, eikonal_loss: Tensor) -> Tensor:
    """Return the weighted regularisation of random grid values, plus ``eikonal_loss`` of the rendered points."""
    grid = field.grid
    selected = torch.randint(len(field.distance), (REGULARIZED_VALUES,), device=grid.low.device)
    neighbours = select_rows(field.distance, select_rows(grid.neighbours, selected))
    laplacian = neighbours.mean(1) - select_rows(field.distance, selected)
    gradient_length = (neighbours[:, 1::2] - neighbours[:, ::2]).norm(dim=-1) / 2
    grid_eikonal_loss = ((gradient_length - 1.0) ** 2).mean()
    rows = selected[:REGULARIZED_FEATURES]
    feature_laplacian = select_rows(field.features, grid.neighbours[rows]).mean(1) - select_rows(field.features, rows)
    loss: Tensor = (
        EIKONAL_WEIGHT * (eikonal_loss + grid_eikonal_loss)
        + CURVATURE_WEIGHT * (laplacian**2).mean()
        + FEATURE_SMOOTHNESS_WEIGHT * feature_laplacian.abs().mean()
    )
    return loss


def make_optimizer(field: Field) -> torch.optim.Adam:
    """Return an optimizer with one group for each of ``Level.rates``."""
    groups = [{"params": [field.distance]}, {"params": [field.features]}, {"params": list(field.network.parameters())}]
    return torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-10, fused=True)


def dense_distance(state: State) -> Tensor:
    """Return the signed distance [X, Y, Z] in voxels: the trained one on the grid, the initial one elsewhere."""
    dense = state.dense.clone()
    dense.view(-1)[state.field.grid.positions] = state.field.distance.detach()
    return dense


def save_checkpoint(folder: Path, state: State) -> None:
    grid = state.field.grid
    checkpoint = {
        "level": state.level,
        "step": state.step,
        "seconds": state.seconds,
        "low": grid.low,
        "voxel": grid.voxel,
        "used": (grid.cells >= 0).view(*(side - 1 for side in grid.size)),
        "field": state.field.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "dense": state.dense,
    }
    partial = folder / "checkpoint.part"
    torch.save(checkpoint, partial)
    partial.replace(folder / CHECKPOINT_NAME)


def load_checkpoint(folder: Path, device: torch.device) -> State | None:
    """Return the state that was saved in ``folder``, or None."""
    if not (folder / CHECKPOINT_NAME).exists():
        return None
    checkpoint = torch.load(folder / CHECKPOINT_NAME, map_location=device, weights_only=True)
    values = checkpoint["field"]
    grid = make_grid(checkpoint["low"], checkpoint["voxel"], checkpoint["used"])
    field = Field(grid, values["distance"], values["features"], color_network().to(device))
    field.load_state_dict(values)
    optimizer = make_optimizer(field)
    optimizer.load_state_dict(checkpoint["optimizer"])
    return State(checkpoint["level"], checkpoint["step"], checkpoint["seconds"], field, optimizer, checkpoint["dense"])
