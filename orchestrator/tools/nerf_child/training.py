"""Learns a field from photos, from coarse to fine, within a given time; goes on where a killed run left off."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, gaussian_filter
from torch import Tensor
from torch.nn import functional

from orchestrator.tools.nerf_child.field import FEATURES, STEPS, Field, color_network
from orchestrator.tools.nerf_child.grid import Grid, cells_touching, make_grid, picked
from orchestrator.tools.nerf_child.photos import HULL_SIDE_PX, Cameras, Photos, find_box, hull, lattice, read_photos

CHECKPOINT = "checkpoint.pt"
SAVE_EVERY_S = 20.0
LEAST_STEPS = 100
"""Of each resolution, however slow the machine: with fewer there is no likeness."""
SHARPEST = 6.0
"""The surface's sharpness at the end of the training, 1 / voxels."""
MARGIN = 3
"""Voxels around the hull."""
BAND = 3.0
"""Voxels on both sides of the surface that are refined."""
MASK_WEIGHT, EIKONAL_WEIGHT, SMOOTH_WEIGHT, PLAIN_WEIGHT = 0.3, 0.02, 0.05, 0.001
GPU_FINER = 1.6
"""A GPU has the time for a finer grid and larger photos."""
MAX_RAYS = 3_000_000
"""Rays of which the steps are kept in memory; of more, this many are drawn."""
REGULAR = 32768
"""Values of the grid whose regularity is looked at in each step."""

Say = Callable[[float, str], None]


@dataclass(frozen=True)
class Level:
    """One resolution."""

    voxels: int  # along the longest side of the box
    photo_px: int  # the photos' longest side
    share: float  # of the steps and of the time
    sharpness: tuple[float, float]  # of the surface at the start and the end, 1 / voxels
    distance_rate: float
    feature_rate: float
    network_rate: float


@dataclass
class State:
    """Where the training is; everything that a killed run needs to go on."""

    level: int
    step: int  # in the level
    seconds: float  # of training
    field: Field
    optimizer: torch.optim.Adam
    dense: Tensor  # [X, Y, Z] signed distance everywhere in voxels, as the level began


def levels(voxels: int, photo_px: int) -> list[Level]:
    """From coarse to fine, each about 1.6 times finer than the one before."""
    sides = [max(24, round(voxels * part)) for part in (0.4, 0.64, 1.0)]
    pixels = [max(64, round(photo_px * part)) for part in (0.5, 0.8, 1.0)]
    return [
        Level(sides[0], pixels[0], 0.15, (0.8, 2.5), 0.1, 0.05, 3e-3),
        Level(sides[1], pixels[1], 0.25, (1.5, 3.5), 0.04, 0.03, 2e-3),
        Level(sides[2], pixels[2], 0.60, (2.0, SHARPEST), 0.02, 0.02, 1e-3),
    ]


def train(job: dict[str, Any], folder: Path, cameras: Cameras, say: Say) -> State:
    """Train as the job says; ``folder`` keeps the state as CHECKPOINT."""
    began = time.monotonic()
    device = cameras.matrices.device
    torch.manual_seed(job["seed"])  # of the first network
    finer_by = GPU_FINER if device.type == "cuda" else 1.0
    plan = levels(round(job["voxels"] * finer_by), round(job["photo_px"] * finer_by))
    state = load_state(folder, device)
    if state is None:
        say(0.0, "carving the masks' hull")
        state = begin(read_photos(job["photos"], job["masks"], cameras, HULL_SIDE_PX), plan)
    saved = state.seconds
    began -= state.seconds
    torch.manual_seed(job["seed"] + state.step)
    for number in range(state.level, len(plan)):
        level = plan[number]
        if number > state.level:
            state = finer(state, level.voxels / plan[number - 1].voxels)
        photos = read_photos(job["photos"], job["masks"], cameras, level.photo_px)
        rays = Rays(state.field.grid, photos, job["seed"] + number)
        steps = max(1, round(level.share * job["steps"]))
        before = sum(one.share for one in plan[:number])
        while True:
            in_time = (state.seconds / job["seconds"] - before) / level.share
            done = max(state.step / steps, min(in_time, state.step / LEAST_STEPS))
            if done >= 1.0:
                break
            loss = learn(state, level, rays, job["rays"], done)
            state.step += 1
            state.seconds = time.monotonic() - began
            if state.step % 10 == 0:
                say(
                    before + level.share * done,
                    f"learning at {level.voxels} voxels, step {state.step}, error {loss:.4f}",
                )
            if state.seconds - saved > SAVE_EVERY_S:
                saved = state.seconds
                save_state(folder, state)
        save_state(folder, state)
    return state


class Rays:
    """The photos' pixels whose rays meet the grid, with the steps that they take through it."""

    def __init__(self, grid: Grid, photos: Photos, seed: int) -> None:
        device = grid.low.device
        camera, pixel, color, cover = [], [], [], []
        for number, mask in enumerate(photos.masks):
            radius = max(2, max(mask.shape) // 16)
            near = functional.max_pool2d(mask[None, None], 2 * radius + 1, 1, radius)[0, 0] > 0.01
            spot = near.nonzero()
            camera.append(torch.full((len(spot),), number, device=device))
            pixel.append(spot.flip(1).float())
            color.append(photos.colors[number][near])
            cover.append(mask[near])
        self.camera, self.pixel = torch.cat(camera), torch.cat(pixel)
        self.color, self.cover = torch.cat(color), torch.cat(cover)
        if len(self.camera) > MAX_RAYS:
            drawn = torch.randperm(len(self.camera), generator=torch.Generator().manual_seed(seed))[:MAX_RAYS]
            self._keep(drawn.to(device))
        origins, directions = photos.cameras.rays(self.camera, self.pixel)
        self.origins, self.directions = grid.to_grid(origins), directions
        self.near, self.steps = grid.first_steps(self.origins, directions, STEPS)
        met = self.steps[:, 0] >= 0
        self._keep(met)
        self.origins, self.directions = self.origins[met], self.directions[met]
        self.near, self.steps = self.near[met], self.steps[met]

    def _keep(self, which: Tensor) -> None:
        self.camera, self.pixel = self.camera[which], self.pixel[which]
        self.color, self.cover = self.color[which], self.cover[which]


def begin(photos: Photos, plan: list[Level]) -> State:
    """The first field: the surface of the masks' visual hull, grey."""
    low, high = find_box(photos)
    voxel = float((high - low).max()) / plan[0].voxels
    shape = [int(side) + 1 for side in ((high - low) / voxel).ceil().tolist()]
    inside = hull(photos, lattice(low, voxel, shape), 0.5 * voxel * photos.cameras.scale_at((low + high) / 2))
    solid = np.pad(inside.view(*shape).cpu().numpy(), MARGIN)
    low = low - MARGIN * voxel
    signed = distance_transform_edt(~solid) - distance_transform_edt(solid)
    dense = torch.from_numpy(gaussian_filter(signed, 0.7)).float().to(low.device)
    grid = make_grid(low, voxel, cells_touching(dense < 2.0))
    distance = dense.flatten()[grid.places]
    features = torch.zeros(len(distance), FEATURES, device=low.device)
    field = Field(grid, distance, features, color_network().to(low.device))
    return State(0, 0, 0.0, field, optimizer(field), dense)


def finer(state: State, ratio: float) -> State:
    """The same field on a grid that is ``ratio`` times finer, of which only a band around the surface is kept."""
    old, field = state.field.grid, state.field
    shape = [int((side - 1) * ratio) + 1 for side in old.size]
    points = lattice(torch.zeros_like(old.low), 1 / ratio, shape)
    dense = resampled(whole_distance(state)[None], points)[0] * ratio
    grid = make_grid(old.low, old.voxel / ratio, cells_touching((dense.abs() < BAND).view(*shape)))
    box = torch.zeros(FEATURES + 1, state.dense.numel(), device=points.device)
    box[:FEATURES, old.places] = field.features.detach().T
    box[FEATURES, old.places] = 1.0
    found = resampled(box.view(FEATURES + 1, *old.size), points[grid.places])
    features = (found[:FEATURES] / found[FEATURES:].clamp_min(1e-3)).T.contiguous()
    new = Field(grid, dense[grid.places], features, field.network)
    return State(state.level + 1, 0, state.seconds, new, optimizer(new), dense.view(*shape))


def resampled(box: Tensor, points: Tensor) -> Tensor:
    """[C, P] trilinear values of ``box`` [C, X, Y, Z] at ``points`` [P, 3] in its grid coordinates."""
    last = torch.tensor(box.shape[1:], device=points.device) - 1
    at = (points / last * 2 - 1).flip(-1)[None, None, None]
    return functional.grid_sample(box[None], at, align_corners=True, padding_mode="border")[0, :, 0, 0]


def whole_distance(state: State) -> Tensor:
    """[X, Y, Z] the signed distance in voxels, with what was not learned as it was before."""
    dense = state.dense.clone()
    dense.view(-1)[state.field.grid.places] = state.field.distance.detach()
    return dense


def optimizer(field: Field) -> torch.optim.Adam:
    groups = [{"params": [field.distance]}, {"params": [field.features]}, {"params": list(field.network.parameters())}]
    return torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-10, fused=True)


def learn(state: State, level: Level, rays: Rays, count: int, done: float) -> float:
    """One step on ``count`` random rays; returns the mean error of the colour. ``done`` of the level in [0, 1]."""
    field, grid = state.field, state.field.grid
    device = grid.low.device
    chosen = torch.randint(len(rays.near), (count,), device=device)
    shift = torch.rand(count, device=device)
    start, end = level.sharpness
    sharpness = start * (end / start) ** done
    seen = field.render(
        picked(rays.origins, chosen),
        picked(rays.directions, chosen),
        rays.near[chosen],
        picked(rays.steps, chosen),
        sharpness,
        shift,
    )
    behind = torch.rand(count, 3, device=device)
    cover = rays.cover[chosen]
    wanted = torch.lerp(behind, rays.color[chosen], cover[:, None])
    error = seen.color + (1.0 - seen.coverage)[:, None] * behind - wanted
    color_loss = functional.huber_loss(error, torch.zeros_like(error), delta=0.1) * 10
    mask_loss = functional.binary_cross_entropy(seen.coverage.clamp(1e-3, 1 - 1e-3), cover)
    eikonal = ((seen.slope.norm(dim=-1) - 1.0) ** 2).mean() if len(seen.slope) else color_loss * 0
    some = torch.randint(len(field.distance), (REGULAR,), device=device)
    near = picked(field.distance, picked(grid.around, some))
    bend = near.mean(1) - picked(field.distance, some)
    across = (near[:, 1::2] - near[:, ::2]).norm(dim=-1) / 2
    bulk = ((across - 1.0) ** 2).mean()
    few = some[:4096]
    plain = (picked(field.features, grid.around[few]).mean(1) - picked(field.features, few)).abs().mean()
    loss = (
        color_loss
        + MASK_WEIGHT * mask_loss
        + EIKONAL_WEIGHT * (eikonal + bulk)
        + SMOOTH_WEIGHT * (bend**2).mean()
        + PLAIN_WEIGHT * plain
    )
    rates = (level.distance_rate, level.feature_rate, level.network_rate)
    for group, rate in zip(state.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate * 0.1**done
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    state.optimizer.step()
    return float(error.detach().abs().mean())


def save_state(folder: Path, state: State) -> None:
    grid = state.field.grid
    stored = {
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
    half = folder / "checkpoint.half"
    torch.save(stored, half)
    half.replace(folder / CHECKPOINT)


def load_state(folder: Path, device: torch.device) -> State | None:
    """The state that a run saved in ``folder``; None where there is none."""
    if not (folder / CHECKPOINT).exists():
        return None
    stored = torch.load(folder / CHECKPOINT, map_location=device, weights_only=True)
    values = stored["field"]
    grid = make_grid(stored["low"], stored["voxel"], stored["used"])
    field = Field(grid, values["distance"], values["features"], color_network().to(device))
    field.load_state_dict(values)
    adam = optimizer(field)
    adam.load_state_dict(stored["optimizer"])
    return State(stored["level"], stored["step"], stored["seconds"], field, adam, stored["dense"])
