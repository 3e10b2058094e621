"""The state of a training and its checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from orchestrator.tools.nerf_child.field import Field, color_network
from orchestrator.tools.nerf_child.grid import make_grid

CHECKPOINT_NAME = "checkpoint.pt"


@dataclass
class State:
    """Everything that an interrupted training needs to continue."""

    level: int  # index of the resolution
    step: int  # within the level
    seconds: float  # spent on the training
    field: Field
    optimizer: torch.optim.Adam
    dense: Tensor  # [X, Y, Z] signed distance of the whole box in voxels at the start of the level


def make_optimizer(field: Field) -> torch.optim.Adam:
    """Return an optimizer with one group each for the distance, the features and the network."""
    groups = [{"params": [field.distance]}, {"params": [field.features]}, {"params": list(field.network.parameters())}]
    return torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-10, fused=True)


def dense_distance(state: State) -> Tensor:
    """Return the signed distance [X, Y, Z] in voxels: the trained one on the grid, the initial one elsewhere."""
    dense = state.dense.clone()
    dense.view(-1)[state.field.grid.positions] = state.field.distance.detach()
    return dense


def save_checkpoint(folder: Path, state: State) -> None:
    """Write the state to CHECKPOINT_NAME. The file is replaced when it is complete."""
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
