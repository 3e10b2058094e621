"""Learns or shows a field, as the job's ``verb`` says; prints ``PROGRESS <fraction> <message>``.

``train`` writes ``surface.npz`` (the signed distance in voxels [X, Y, Z], where its first corner stands, the voxel's
side) and keeps the field as a checkpoint; ``render`` writes what given cameras see as PNG with alpha.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from orchestrator.tools.nerf_child.field import STEPS
from orchestrator.tools.nerf_child.photos import Cameras
from orchestrator.tools.nerf_child.training import SHARPEST, State, load_state, train, whole_distance

PIXELS_AT_ONCE = 16384


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(job["folder"])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cameras = Cameras(
        torch.tensor(job["matrices"], dtype=torch.float32, device=device),
        torch.tensor(job["world_to_camera"], dtype=torch.float32, device=device),
        torch.tensor(job["sizes"], dtype=torch.float32, device=device),
    )
    if job["verb"] == "train":
        try:
            state = train(job, folder, cameras, say)
        except ValueError as error:  # the photos' fault, not ours: no trace
            raise SystemExit(str(error)) from None
        write_surface(folder, state)
    else:
        render(job, folder, cameras)


def say(fraction: float, message: str) -> None:
    print(f"PROGRESS {fraction:.4f} {message}", flush=True)


def write_surface(folder: Path, state: State) -> None:
    grid = state.field.grid
    half = folder / "surface.half.npz"
    np.savez(half, distance=whole_distance(state).cpu().numpy(), low=grid.low.cpu().numpy(), voxel=grid.voxel)
    half.replace(folder / "surface.npz")


@torch.no_grad()
def render(job: dict[str, Any], folder: Path, cameras: Cameras) -> None:
    device = cameras.matrices.device
    state = load_state(folder, device)
    if state is None:
        raise SystemExit("there is no trained field")
    for number, name in enumerate(job["names"]):
        say(number / len(job["names"]), f"view {number + 1} of {len(job['names'])}")
        width, height = (int(side) for side in job["sizes"][number])
        row, column = torch.meshgrid(
            torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
        )
        pixels = torch.stack([column, row], -1).view(-1, 2).float()
        parts = [view(state, cameras, number, some) for some in torch.split(pixels, PIXELS_AT_ONCE)]
        picture = (torch.cat(parts).view(height, width, 4) * 255).round().clamp(0, 255).byte()
        target = folder / name
        half = target.with_suffix(".half.png")
        Image.fromarray(picture.cpu().numpy()).save(half, compress_level=1)
        half.replace(target)


def view(state: State, cameras: Cameras, number: int, pixels: torch.Tensor) -> torch.Tensor:
    """[P, 4] colour and coverage in [0, 1] of pixels [P, 2]."""
    field = state.field
    origins, directions = cameras.rays(torch.full((len(pixels),), number, device=pixels.device), pixels)
    origins = field.grid.to_grid(origins)
    near, steps = field.grid.first_steps(origins, directions, STEPS)
    met = steps[:, 0] >= 0
    origins, directions, near, steps = origins[met], directions[met], near[met], steps[met]
    seen = field.render(origins, directions, near, steps, SHARPEST, torch.full_like(near, 0.5))
    picture = torch.zeros(len(pixels), 4, device=pixels.device)
    color = (seen.color / seen.coverage[:, None].clamp_min(1e-4)).clamp(0, 1)
    picture[met] = torch.cat([color, seen.coverage[:, None]], -1)
    return picture


if __name__ == "__main__":
    main()
