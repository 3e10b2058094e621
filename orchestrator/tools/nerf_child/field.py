"""A radiance field with a surface: signed distance and colour features on a sparse grid, and a small colour network.

The signed distance is rendered as in NeuS (Wang et al. 2021, eq. 13): the opacity of a section of a ray follows from
the distances at its ends. Explicit grids with a shallow colour network, as in DVGO (Sun et al. 2022) and Voxurf (Wu et
al. 2022), train in minutes what a deep network trains in hours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from orchestrator.tools.nerf_child.grid import Grid, Rays, corner_weights, select_rows, trilinear_gradient

FEATURES = 12  # colour features per grid value
HIDDEN = 48  # width of the colour network
DIRECTION_INPUTS = 10  # further inputs of the colour network: direction, normal and mirrored direction (3 each), cosine
MIN_COLOR_WEIGHT = 1e-3  # sections that contribute less to a pixel get no colour


@dataclass(frozen=True)
class Rendered:
    """The result of rendering R rays."""

    color: Tensor  # [R, 3] sRGB in [0, 1], multiplied by the coverage
    coverage: Tensor  # [R] in [0, 1]
    gradient: Tensor  # [Q, 3] gradients of the distance at the Q coloured points; a true distance has length 1


class Field(nn.Module):
    """The trained values.

    Checkpoints contain the names of the parameters: ``distance`` [V] in voxels, negative inside; ``features``
    [V, FEATURES], of which the first three are the colour independent of the direction; ``network``.
    """

    def __init__(self, grid: Grid, distance: Tensor, features: Tensor, network: nn.Module) -> None:
        super().__init__()
        self.grid = grid
        self.distance = nn.Parameter(distance)
        self.features = nn.Parameter(features)
        self.network = network

    def render(self, rays: Rays, sharpness: float, offset: Tensor) -> Rendered:
        """Render R rays.

        Args:
            sharpness: inverse width of the surface, 1 / voxels (``s`` in NeuS).
            offset: [R] in [0, 1), the position in each step at which the distance is sampled.
        """
        origins, directions, steps = rays.origins, rays.directions, rays.steps
        t = rays.entry[:, None] + steps + offset[:, None]
        distance, valid = self._sample_distance(rays, t)
        consecutive = valid[:, :-1] & valid[:, 1:] & (steps[:, 1:] - steps[:, :-1] == 1)
        start, end = distance[:, :-1], distance[:, 1:]
        start_density, end_density = torch.sigmoid(start * sharpness), torch.sigmoid(end * sharpness)
        alpha = ((start_density - end_density) / start_density.clamp_min(1e-5)).clamp(0.0, 1.0)
        opacity = torch.where(consecutive, alpha, 0.0)
        transmittance = torch.cumprod(1.0 - opacity, 1)
        weight = opacity * functional.pad(transmittance[:, :-1], (1, 0), value=1.0)
        # The colour of a section is sampled where it crosses the surface, otherwise at its nearer end.
        with torch.no_grad():
            crossing = (start / torch.where((start - end).abs() < 1e-6, 1e-6, start - end)).clamp(0.0, 1.0)
            ray, section = ((weight > MIN_COLOR_WEIGHT) & consecutive).nonzero(as_tuple=True)
            points = origins[ray] + (t[ray, section] + crossing[ray, section])[:, None] * directions[ray]
            cells = self.grid.cell_of(points)
            ray, section, points, cells = (values[cells >= 0] for values in (ray, section, points, cells))
        color, gradient = self._color(points, cells, directions[ray])
        summed = torch.zeros(len(origins), 3, device=t.device).index_add(0, ray, color * weight[ray, section][:, None])
        return Rendered(summed, weight.sum(1), gradient)

    def _sample_distance(self, rays: Rays, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distance [R, S] at ``t`` [R, S] along the rays, and whether it is in a cell with values."""
        points = rays.origins[:, None] + t[..., None] * rays.directions[:, None]
        cell = torch.where(rays.steps >= 0, self.grid.cell_of(points), -1)
        valid = cell >= 0
        corner_values = select_rows(self.distance, select_rows(self.grid.corners, cell[valid]))
        interpolated = (corner_values * corner_weights(points[valid])).sum(-1)
        return torch.zeros_like(t).masked_scatter(valid, interpolated), valid

    def _color(self, points: Tensor, cells: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the colour and the gradient of the distance [Q, 3] at points, as seen along ``directions`` [Q, 3]."""
        corners = select_rows(self.grid.corners, cells)
        gradient = trilinear_gradient(points, select_rows(self.distance, corners))
        normal = functional.normalize(gradient, dim=-1, eps=1e-4)
        cosine = (directions * normal).sum(-1, keepdim=True)
        mirrored = directions - 2 * cosine * normal
        weights = corner_weights(points)
        features = functional.embedding_bag(corners, self.features, mode="sum", per_sample_weights=weights)
        view_dependent = self.network(torch.cat([features, directions, normal, mirrored, cosine], -1))
        return torch.sigmoid(features[:, :3] + view_dependent), gradient


def color_network() -> nn.Sequential:
    """Return the network that adds the direction-dependent part of the colour. It starts with zero output."""
    last = nn.Linear(HIDDEN, 3)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.Linear(FEATURES + DIRECTION_INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), last
    )
