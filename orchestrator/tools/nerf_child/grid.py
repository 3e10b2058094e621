"""A sparse voxel grid: values live on the corners of the cells near a surface, and nowhere else.

Lengths are in voxels, "grid coordinates": corner (i, j, k) of the dense box stands at (i, j, k).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CORNERS = torch.tensor([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
"""[8, 3] where the corners of a cell stand."""
RAYS_AT_ONCE = 8192


@dataclass(frozen=True)
class Grid:
    """Where the box stands in the world, and which of its cells hold values."""

    low: Tensor  # [3] world, where corner (0, 0, 0) stands
    voxel: float  # world length of a cell's side
    size: tuple[int, int, int]  # corners along x, y, z
    cells: Tensor  # [cells of the box] int32: row in ``corners``, or -1 for a cell without values
    corners: Tensor  # [C, 8] int64: rows of the values at the cell's corners, in the order of CORNERS
    places: Tensor  # [V] int64: the flat index in the box of each row of values
    around: Tensor  # [V, 6] int64: rows of the neighbours at -x, +x, -y, +y, -z, +z; the row itself where there is none

    def to_grid(self, points: Tensor) -> Tensor:
        return (points - self.low) / self.voxel

    def cell_of(self, points: Tensor) -> Tensor:
        """[...] the row in ``corners`` of the cell that each point [..., 3] lies in, or -1."""
        last = torch.tensor(self.size, device=points.device) - 1
        cell = torch.floor(points).long()
        inside = ((cell >= 0) & (cell < last)).all(-1)
        cell = torch.minimum(cell.clamp_min(0), last - 1)
        _, ny, nz = self.size
        flat = (cell[..., 0] * (ny - 1) + cell[..., 1]) * (nz - 1) + cell[..., 2]
        return torch.where(inside, picked(self.cells, flat), -1)

    def first_steps(self, origins: Tensor, directions: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return where rays enter the box [R], in voxels, and their first ``count`` steps through cells with values.

        A step is one voxel long. The numbers [R, count] int16 count from the entry; -1 fills up.
        """
        near, steps = [], []
        for start in range(0, len(origins), RAYS_AT_ONCE):
            some = slice(start, start + RAYS_AT_ONCE)
            entry, number = self._march(origins[some], directions[some], count)
            near.append(entry)
            steps.append(number)
        return torch.cat(near), torch.cat(steps)

    def _march(self, origins: Tensor, directions: Tensor, count: int) -> tuple[Tensor, Tensor]:
        high = torch.tensor(self.size, device=origins.device, dtype=origins.dtype) - 1
        safe = torch.where(directions.abs() < 1e-9, torch.full_like(directions, 1e-9), directions)
        to_low, to_high = -origins / safe, (high - origins) / safe
        near = torch.minimum(to_low, to_high).amax(-1).clamp_min(0.0)
        far = torch.maximum(to_low, to_high).amin(-1)
        longest = int((far - near).clamp_min(0.0).max().ceil()) + 1
        at = torch.arange(longest, device=origins.device)
        t = near[:, None] + at + 0.5
        used = (self.cell_of(origins[:, None] + t[..., None] * directions[:, None]) >= 0) & (t < far[:, None])
        place = used.cumsum(1) - 1
        used &= place < count
        steps = torch.full((len(origins), count), -1, dtype=torch.int16, device=origins.device)
        ray, step = used.nonzero(as_tuple=True)
        steps[ray, place[ray, step]] = step.to(torch.int16)
        return near, steps


def cells_touching(active: Tensor) -> Tensor:
    """[X - 1, Y - 1, Z - 1] bool: the cells with any corner in ``active`` [X, Y, Z] bool."""
    x, y, z = (side - 1 for side in active.shape)
    used = torch.zeros(x, y, z, dtype=torch.bool, device=active.device)
    for i, j, k in CORNERS.tolist():
        used |= active[i : x + i, j : y + j, k : z + k]
    return used


def make_grid(low: Tensor, voxel: float, used: Tensor) -> Grid:
    """Return the grid whose cells ``used`` [X - 1, Y - 1, Z - 1] bool hold values."""
    size = (used.shape[0] + 1, used.shape[1] + 1, used.shape[2] + 1)
    count = size[0] * size[1] * size[2]
    device = used.device
    cell = used.nonzero()
    cells = torch.full((used.numel(),), -1, dtype=torch.int32, device=device)
    cells[used.flatten()] = torch.arange(len(cell), dtype=torch.int32, device=device)
    stride = torch.tensor([size[1] * size[2], size[2], 1], device=device)
    flat = ((cell[:, None] + CORNERS.to(device)) * stride).sum(-1)
    places = torch.unique(flat)
    row = torch.full((count,), -1, dtype=torch.int64, device=device)
    row[places] = torch.arange(len(places), device=device)
    around = []
    position = torch.stack([places // stride[0], places // stride[1] % size[1], places % size[2]], -1)
    for axis in range(3):
        for step in (-1, 1):
            inside = (position[:, axis] + step >= 0) & (position[:, axis] + step < size[axis])
            found = row[(places + step * stride[axis]).clamp(0, count - 1)]
            around.append(torch.where(inside & (found >= 0), found, torch.arange(len(places), device=device)))
    return Grid(low, voxel, size, cells, row[flat], places, torch.stack(around, -1))


def picked(values: Tensor, rows: Tensor) -> Tensor:
    """``values[rows]`` for any shape of ``rows``; on a CPU this is twice as fast, there and back."""
    return values.index_select(0, rows.flatten()).view(*rows.shape, *values.shape[1:])


def corner_weights(points: Tensor) -> Tensor:
    """[P, 8] trilinear weights of the corners of the cell around each point [P, 3]."""
    x, y, z = (points - torch.floor(points)).unbind(-1)
    xs, ys, zs = (torch.stack([1 - part, part], -1) for part in (x, y, z))
    return (xs[:, :, None, None] * ys[:, None, :, None] * zs[:, None, None, :]).flatten(1)


def slopes(points: Tensor, values: Tensor) -> Tensor:
    """[P, 3] the gradient at the points [P, 3] of the trilinear interpolation of corner values [P, 8]."""
    x, y, z = (points - torch.floor(points)).unbind(-1)
    box = values.view(-1, 2, 2, 2)

    def mix(pair: Tensor, by: Tensor) -> Tensor:
        return torch.lerp(pair[:, 0], pair[:, 1], by.view(-1, *[1] * (pair.dim() - 2)))

    along_x = mix(mix(box[:, 1] - box[:, 0], y), z)
    along_y = mix(mix(box[:, :, 1] - box[:, :, 0], x), z)
    along_z = mix(mix(box[..., 1] - box[..., 0], x), y)
    return torch.stack([along_x, along_y, along_z], -1)
