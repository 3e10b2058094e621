"""A sparse voxel grid that has values only at the corners of cells near a surface.

Grid coordinates are in voxels: corner (i, j, k) of the dense box is at (i, j, k).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

CORNERS = torch.tensor(list(product((0, 1), repeat=3)))  # [8, 3] offsets of the corners of a cell
RAY_STEPS = 40  # maximum rendered steps of a ray, each one voxel long, in cells with values; later ones count as hidden
BATCH_RAYS = 8192


@dataclass(frozen=True)
class Rays:
    """R rays that pass through cells with values."""

    origins: Tensor  # [R, 3] grid coordinates
    directions: Tensor  # [R, 3] unit
    entry: Tensor  # [R] distance at which the ray enters the box, in voxels
    steps: Tensor  # [R, RAY_STEPS] int16: first steps in cells with values, counted from the entry; padded with -1

    def select(self, rows: Tensor) -> Rays:
        """Return the rays ``rows`` [N]."""
        arrays = (self.origins, self.directions, self.entry, self.steps)
        return Rays(*(select_rows(values, rows) for values in arrays))


@dataclass(frozen=True)
class Grid:
    """A dense box of cells in the world, of which C cells have values at their V corners."""

    low: Tensor  # [3] position of corner (0, 0, 0) in the world
    voxel: float  # side of a cell in the world
    size: tuple[int, int, int]  # corners of the dense box along x, y, z
    cells: Tensor  # [cells of the dense box] int32: row in ``corners``, or -1 for a cell without values
    corners: Tensor  # [C, 8] int64: rows of the values at a cell's corners, in the order of CORNERS
    positions: Tensor  # [V] int64: flat index of each value in the dense box
    neighbours: Tensor  # [V, 6] int64: rows at -x, +x, -y, +y, -z, +z; the row itself if there is no neighbour

    def cell_of(self, points: Tensor) -> Tensor:
        """Return for each of ``points`` [..., 3] the row in ``corners`` of its cell, or -1."""
        last = torch.tensor(self.size, device=points.device) - 1
        cell = torch.floor(points).long()
        inside = ((cell >= 0) & (cell < last)).all(-1)
        cell = torch.minimum(cell.clamp_min(0), last - 1)
        _, ny, nz = self.size
        flat = (cell[..., 0] * (ny - 1) + cell[..., 1]) * (nz - 1) + cell[..., 2]
        return torch.where(inside, select_rows(self.cells, flat), -1)

    def rays(self, origins: Tensor, directions: Tensor) -> tuple[Rays, Tensor]:
        """Return the rays that pass through cells with values, and their indices.

        Args:
            origins: [N, 3] in the world.
            directions: [N, 3] unit.
        """
        origins = (origins - self.low) / self.voxel
        batches = zip(torch.split(origins, BATCH_RAYS), torch.split(directions, BATCH_RAYS), strict=True)
        results = [self._first_steps(*batch) for batch in batches]
        entry = torch.cat([entry for entry, _ in results])
        steps = torch.cat([steps for _, steps in results])
        hit = (steps[:, 0] >= 0).nonzero()[:, 0]
        return Rays(origins, directions, entry, steps).select(hit), hit

    def _first_steps(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``Rays.entry`` and ``Rays.steps`` of rays with ``origins`` in grid coordinates."""
        high = torch.tensor(self.size, device=origins.device, dtype=origins.dtype) - 1
        safe_directions = torch.where(directions.abs() < 1e-9, torch.full_like(directions, 1e-9), directions)
        to_low, to_high = -origins / safe_directions, (high - origins) / safe_directions
        entry = torch.minimum(to_low, to_high).amax(-1).clamp_min(0.0)
        exit = torch.maximum(to_low, to_high).amin(-1)
        longest = int((exit - entry).clamp_min(0.0).max().ceil()) + 1
        t = entry[:, None] + torch.arange(longest, device=origins.device) + 0.5
        used = (self.cell_of(origins[:, None] + t[..., None] * directions[:, None]) >= 0) & (t < exit[:, None])
        slot = used.cumsum(1) - 1
        used &= slot < RAY_STEPS
        steps = torch.full((len(origins), RAY_STEPS), -1, dtype=torch.int16, device=origins.device)
        ray, step = used.nonzero(as_tuple=True)
        steps[ray, slot[ray, step]] = step.to(torch.int16)
        return entry, steps


def cells_touching(corners: Tensor) -> Tensor:
    """Return the cells [X - 1, Y - 1, Z - 1] bool that have any corner in ``corners`` [X, Y, Z] bool."""
    x, y, z = (side - 1 for side in corners.shape)
    touching = torch.zeros(x, y, z, dtype=torch.bool, device=corners.device)
    for i, j, k in CORNERS.tolist():
        touching |= corners[i : x + i, j : y + j, k : z + k]
    return touching


def make_grid(low: Tensor, voxel: float, used: Tensor) -> Grid:
    """Return the grid whose cells ``used`` [X - 1, Y - 1, Z - 1] bool have values."""
    x, y, z = used.shape
    size = (x + 1, y + 1, z + 1)
    count = math.prod(size)
    device = used.device
    cell = used.nonzero()
    cells = torch.full((used.numel(),), -1, dtype=torch.int32, device=device)
    cells[used.flatten()] = torch.arange(len(cell), dtype=torch.int32, device=device)
    stride = torch.tensor([size[1] * size[2], size[2], 1], device=device)
    flat = ((cell[:, None] + CORNERS.to(device)) * stride).sum(-1)
    positions = torch.unique(flat)
    row = torch.full((count,), -1, dtype=torch.int64, device=device)
    own_row = torch.arange(len(positions), device=device)
    row[positions] = own_row
    coordinates = torch.stack([positions // stride[0], positions // stride[1] % size[1], positions % size[2]], -1)
    neighbours = []
    for axis, step in product(range(3), (-1, 1)):
        inside = (coordinates[:, axis] + step >= 0) & (coordinates[:, axis] + step < size[axis])
        neighbour = row[(positions + step * stride[axis]).clamp(0, count - 1)]
        neighbours.append(torch.where(inside & (neighbour >= 0), neighbour, own_row))
    return Grid(low, voxel, size, cells, row[flat], positions, torch.stack(neighbours, -1))


def select_rows(values: Tensor, rows: Tensor) -> Tensor:
    """Return ``values[rows]`` for ``rows`` of any shape. On a CPU this takes half the time, forward and backward."""
    return values.index_select(0, rows.flatten()).view(*rows.shape, *values.shape[1:])


def corner_weights(points: Tensor) -> Tensor:
    """Return the trilinear weights [P, 8] of the corners of the cell around each of ``points`` [P, 3]."""
    x, y, z = (points - torch.floor(points)).unbind(-1)
    xs, ys, zs = (torch.stack([1 - fraction, fraction], -1) for fraction in (x, y, z))
    return (xs[:, :, None, None] * ys[:, None, :, None] * zs[:, None, None, :]).flatten(1)


def trilinear_gradient(points: Tensor, values: Tensor) -> Tensor:
    """Return the gradient [P, 3] at ``points`` [P, 3] of the trilinear interpolation of corner ``values`` [P, 8]."""
    x, y, z = (points - torch.floor(points)).unbind(-1)
    box = values.view(-1, 2, 2, 2)
    along_x = _lerp(_lerp(box[:, 1] - box[:, 0], y), z)
    along_y = _lerp(_lerp(box[:, :, 1] - box[:, :, 0], x), z)
    along_z = _lerp(_lerp(box[..., 1] - box[..., 0], x), y)
    return torch.stack([along_x, along_y, along_z], -1)


def _lerp(pairs: Tensor, fraction: Tensor) -> Tensor:
    """Interpolate ``pairs`` [P, 2, ...] along their second axis by ``fraction`` [P]."""
    return torch.lerp(pairs[:, 0], pairs[:, 1], fraction.view(-1, *[1] * (pairs.dim() - 2)))
