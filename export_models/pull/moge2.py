"""MoGe-2 (Wang et al. 2025): normals, and depth in metres, of one photo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from export_models.pull.entry import Entry, Slot, architecture
from orchestrator.errors import InvalidInput

INSTALL = (
    "pip install -e '.[pull]' && pip install --no-deps dlr-moge==2.0.0 dlr-utils3d==1.3 dlr-pipeline==1.0.0 "
    "(its other requirements bring a second OpenCV and are not used)"
)
TOKENS = 1800
"""Patches that it looks at; its authors suggest 1200 to 2500."""
MAX_BATCH = 4
GRID = 64
"""Points a side that the shift is solved on, as its authors do."""
OCTAVES, STEPS, REFINEMENTS = 8, 33, 3
"""Nearest depths that are tried: 2^±8 of the depth's range, and then thrice around the best, 16 times finer each."""
LIMITS = (
    "The camera's axis is taken to go through the middle of the picture: send the photo itself (sides multiples of "
    "32), not one filled up to a square. Where `valid` is low, as in the sky, normal and depth mean nothing. No stage "
    "of Heartwood asks for it by itself: it has no roughness, so it does not stand in for `surface_estimation`."
)


class Surface(nn.Module):
    """MoGe-2 with Heartwood's camera frame, and the shift of its depth solved in the graph."""

    def __init__(self, model: nn.Module, tokens: int = TOKENS) -> None:
        super().__init__()
        self.model = model
        self.tokens = tokens

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return normal, depth and where they hold.

        Args:
            image: [B, 3, H, W] float32 sRGB in [0, 1]; H and W multiples of 32.

        Returns:
            normal [B, 3, H, W] unit, camera space (+X right, +Y up, +Z to the camera); depth [B, 1, H, W] along the
            camera's axis in metres; valid [B, 1, H, W] in [0, 1].
        """
        found = self.model(image, torch.tensor(self.tokens))
        points = found["points"].permute(0, 3, 1, 2)
        valid = found["mask"][:, None]
        normal = found["normal"].permute(0, 3, 1, 2) * torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1)  # from OpenCV's
        depth = points[:, 2:] + depth_shift(points, valid).view(-1, 1, 1, 1)
        return normal, depth * found["metric_scale"].view(-1, 1, 1, 1), valid


def depth_shift(points: Tensor, valid: Tensor) -> Tensor:
    """What makes the points lie on the rays of one camera when it is added to their depth, [B].

    With it a focal length f exists with f · xy / (z + shift) = uv. Its authors solve that by Levenberg–Marquardt,
    which does not export; here the least error is searched over the nearest depth, f being linear.

    Args:
        points: [B, 3, H, W] x, y, z in OpenCV's frame, up to a scale and a shift of z.
        valid: [B, 1, H, W]; what is above 0.5 counts.
    """
    height, width = points.shape[-2:]
    columns, rows = torch.arange(width), torch.arange(height)
    across = (2 * columns + 1 - width).float()[None, :].expand(height, width)
    down = (2 * rows + 1 - height).float()[:, None].expand(height, width)
    uv = torch.stack([across, down])[None].expand(points.shape[0], -1, -1, -1)
    stacked = torch.cat([points, uv, (valid > 0.5).float()], dim=1)
    small = F.interpolate(stacked, size=(GRID, GRID), mode="nearest").flatten(2)
    xy, z, counts = small[:, :2], small[:, 2], small[:, 5]
    uv = small[:, 3:5] / (small[:, 3:5] * counts[:, None]).abs().amax((1, 2), keepdim=True).clamp_min(1.0)

    far = torch.full_like(z, 1e6)
    nearest = torch.where(counts > 0, z, far).amin(1)
    reach = (torch.where(counts > 0, z, -far).amax(1) - nearest).clamp_min(1e-6)
    octave = torch.zeros_like(nearest)
    width_octaves = float(OCTAVES)
    for _ in range(1 + REFINEMENTS):
        tried = octave[:, None] + torch.linspace(-width_octaves, width_octaves, STEPS)  # [B, K]
        shifts = reach[:, None] * torch.pow(2.0, tried) - nearest[:, None]
        seen = xy[:, None] / (z[:, None, None] + shifts[:, :, None, None]).clamp_min(1e-6)  # [B, K, 2, N]
        weights = counts[:, None, None]
        focal = (weights * seen * uv[:, None]).sum((2, 3)) / (weights * seen * seen).sum((2, 3)).clamp_min(1e-12)
        error = (weights * (focal[:, :, None, None] * seen - uv[:, None]) ** 2).sum((2, 3))
        octave = tried.gather(1, error.argmin(1, keepdim=True))[:, 0]
        width_octaves /= (STEPS - 1) / 2
    shift = reach * torch.pow(2.0, octave) - nearest
    return torch.where(counts.sum(1) > 1, shift, torch.zeros_like(shift))


def load(file: Path) -> nn.Module:
    """The network with the weights of a ``model.pt`` of the Hub.

    Raises:
        FailedPrecondition: its architecture is not installed.
        InvalidInput: the file lacks weights, or has no normals.
    """
    moge = architecture("moge.model.v2", INSTALL)
    stored = torch.load(file, map_location="cpu", weights_only=True)
    model = moge.MoGeModel(**stored["model_config"])
    missing = model.load_state_dict(stored["model"], strict=False).missing_keys
    if missing or not hasattr(model, "normal_head"):
        raise InvalidInput(
            "file", f"{file.name} is no MoGe-2 with normals: it lacks {missing[:3] or 'the normal head'}"
        )
    model.onnx_compatible_mode = True
    loaded: nn.Module = model.eval()
    return loaded


def convert(file: Path) -> list[Entry]:
    """One model."""
    return entries(load(file))


def entries(model: Any, tokens: int = TOKENS) -> list[Entry]:
    """The model at a number of tokens; fewer are faster and coarser."""
    sides = ("height", "width")
    return [
        Entry(
            name="moge2_surface",
            network=Surface(model, tokens).eval(),
            inputs=(Slot("image", (3, -1, -1), "sRGB in [0, 1], sides multiples of 32", sides),),
            outputs=(
                Slot("normal", (3, -1, -1), "unit, camera space: +X right, +Y up, +Z to the camera", sides),
                Slot("depth", (1, -1, -1), "along the camera's axis, in metres as it guesses them", sides),
                Slot("valid", (1, -1, -1), "likelihood that both mean something", sides),
            ),
            examples=(torch.rand(2, 3, 256, 320),),
            max_batch=MAX_BATCH,
            limits=LIMITS,
        )
    ]
