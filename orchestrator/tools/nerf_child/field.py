"""A radiance field with a surface: signed distance and colour features on a sparse voxel grid, and a small network.

Volume rendering of a signed distance as in NeuS (Wang et al. 2021, eq. 13: the opacity of a section follows from the
distances at its ends); explicit grids and a shallow colour network as in DVGO (Sun et al. 2022) and Voxurf (Wu et al.
2022), which learn in minutes what a deep network learns in hours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from orchestrator.tools.nerf_child.grid import Grid, corner_weights, picked, slopes

FEATURES, HIDDEN = 12, 48
STEPS = 40
"""Steps of a ray that count, of one voxel each: those near the surface; what lies behind is hidden."""
FAINT = 1e-3
"""Sections that add less than this to a pixel get no colour."""


@dataclass(frozen=True)
class Seen:
    """What rays see; R of them."""

    color: Tensor  # [R, 3] sRGB in [0, 1], times the coverage
    coverage: Tensor  # [R] in [0, 1]
    slope: Tensor  # [Q, 3] gradients of the distance where colour was looked up; of length 1 in a true distance


class Field(nn.Module):
    """``distance`` [V] in voxels, negative inside; ``features`` [V, FEATURES], the first three are the plain colour."""

    def __init__(self, grid: Grid, distance: Tensor, features: Tensor, network: nn.Module) -> None:
        super().__init__()
        self.grid = grid
        self.distance = nn.Parameter(distance)
        self.features = nn.Parameter(features)
        self.network = network

    def render(
        self, origins: Tensor, directions: Tensor, near: Tensor, steps: Tensor, sharpness: float, shift: Tensor
    ) -> Seen:
        """Return what rays see.

        Args:
            origins: [R, 3] grid coordinates; ``directions`` [R, 3] unit.
            near, steps: of ``Grid.first_steps``.
            sharpness: the inverse width, 1 / voxels, of the surface (``s`` in NeuS).
            shift: [R] in [0, 1), where in each step the distance is taken.
        """
        t = near[:, None] + steps + shift[:, None]
        points = origins[:, None] + t[..., None] * directions[:, None]
        cell = torch.where(steps >= 0, self.grid.cell_of(points), -1)
        valid = cell >= 0
        at = points[valid]
        values = picked(self.distance, picked(self.grid.corners, cell[valid]))
        distance = torch.zeros_like(t).masked_scatter(valid, (values * corner_weights(at)).sum(-1))
        joined = valid[:, :-1] & valid[:, 1:] & (steps[:, 1:] - steps[:, :-1] == 1)
        first, last = distance[:, :-1], distance[:, 1:]
        before, after = torch.sigmoid(first * sharpness), torch.sigmoid(last * sharpness)
        opacity = torch.where(joined, ((before - after) / before.clamp_min(1e-5)).clamp(0.0, 1.0), 0.0)
        through = torch.cumprod(1.0 - opacity, 1)
        weight = opacity * functional.pad(through[:, :-1], (1, 0), value=1.0)
        # The colour of a section is taken where it crosses the surface, else at its end that is nearer.
        with torch.no_grad():
            crossing = (first / torch.where((first - last).abs() < 1e-6, 1e-6, first - last)).clamp(0.0, 1.0)
            ray, section = ((weight > FAINT) & joined).nonzero(as_tuple=True)
            place = origins[ray] + (t[ray, section] + crossing[ray, section])[:, None] * directions[ray]
            row = self.grid.cell_of(place)
            ray, section, place, row = (part[row >= 0] for part in (ray, section, place, row))
        color, slope = self.color(place, row, directions[ray])
        summed = torch.zeros(len(origins), 3, device=t.device).index_add(0, ray, color * weight[ray, section][:, None])
        return Seen(summed, weight.sum(1), slope)

    def color(self, points: Tensor, cells: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the colour and the gradient of the distance [Q, 3] at points in cells, seen along directions."""
        corners = picked(self.grid.corners, cells)
        slope = slopes(points, picked(self.distance, corners))
        normal = functional.normalize(slope, dim=-1, eps=1e-4)
        facing = (directions * normal).sum(-1, keepdim=True)
        mirrored = directions - 2 * facing * normal
        weights = corner_weights(points)
        features = functional.embedding_bag(corners, self.features, mode="sum", per_sample_weights=weights)
        detail = self.network(torch.cat([features, directions, normal, mirrored, facing], -1))
        return torch.sigmoid(features[:, :3] + detail), slope


def color_network() -> nn.Sequential:
    """What is added to the plain colour: how it changes with the direction that it is seen from; nothing at first."""
    last = nn.Linear(HIDDEN, 3)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(FEATURES + 10, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), last)
