"""Trains or renders a radiance field, depending on the ``command`` of the job.

``train`` writes ``surface.npz`` (the arrays of ``tools.nerf.Surface``) and checkpoints of the field. ``render`` writes
the views of given cameras as RGBA PNG files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from orchestrator.tools.child_process import report
from orchestrator.tools.nerf import Training
from orchestrator.tools.nerf_child.photos import Cameras
from orchestrator.tools.nerf_child.training import FINAL_SHARPNESS, State, dense_distance, load_checkpoint, train

BATCH_PIXELS = 16384  # pixels that are rendered at once, to limit memory


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(job["folder"])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    arrays = {name: torch.tensor(values, dtype=torch.float32, device=device) for name, values in job["cameras"].items()}
    cameras = Cameras(**arrays)
    if job["command"] == "train":
        try:
            state = train(job["photos"], job["masks"], cameras, Training(**job["training"]), folder, report)
        except ValueError as error:
            raise SystemExit(str(error)) from None  # the input is invalid; a traceback would not help
        write_surface(folder, state)
    else:
        render(job["names"], folder, cameras)


def write_surface(folder: Path, state: State) -> None:
    grid = state.field.grid
    partial = folder / "surface.part.npz"
    np.savez(partial, distance=dense_distance(state).cpu().numpy(), low=grid.low.cpu().numpy(), voxel=grid.voxel)
    partial.replace(folder / "surface.npz")


@torch.no_grad()
def render(names: list[str], folder: Path, cameras: Cameras) -> None:
    """Write the view of each camera to the file in ``names``."""
    device = cameras.intrinsics.device
    state = load_checkpoint(folder, device)
    if state is None:
        raise SystemExit("the folder contains no trained field")
    for number, name in enumerate(names):
        report(number / len(names), f"view {number + 1} of {len(names)}")
        width, height = (int(side) for side in cameras.sizes[number].tolist())
        pixels = torch.ones(height, width, device=device).nonzero().flip(1).float()  # [H·W, 2] column, row
        batches = [_render_pixels(state, cameras, number, batch) for batch in torch.split(pixels, BATCH_PIXELS)]
        image = (torch.cat(batches).view(height, width, 4) * 255).round().clamp(0, 255).byte()
        target = folder / name
        partial = target.with_suffix(".part.png")
        Image.fromarray(image.cpu().numpy()).save(partial, compress_level=1)
        partial.replace(target)


def _render_pixels(state: State, cameras: Cameras, number: int, pixels: Tensor) -> Tensor:
    """Return colour and coverage [P, 4] in [0, 1] of ``pixels`` [P, 2] of one camera."""
    origins, directions = cameras.rays(torch.full((len(pixels),), number, device=pixels.device), pixels)
    rays, hit = state.field.grid.rays(origins, directions)
    rendered = state.field.render(rays, FINAL_SHARPNESS, torch.full_like(rays.entry, 0.5))
    image = torch.zeros(len(pixels), 4, device=pixels.device)
    color = (rendered.color / rendered.coverage[:, None].clamp_min(1e-4)).clamp(0, 1)
    image[hit] = torch.cat([color, rendered.coverage[:, None]], -1)
    return image


if __name__ == "__main__":
    main()
