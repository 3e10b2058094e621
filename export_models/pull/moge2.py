"""Converts MoGe-2 (Wang et al. 2025): normals and metric depth of a single photo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from export_models.pull import install_commands
from export_models.pull.repository_entry import RepositoryEntry, TensorSpec
from export_models.pull.torch_network import import_architecture, network_entry
from orchestrator.domain.model_roles import Role
from orchestrator.errors import InvalidInput

TOKENS = 1800
"""Number of image patches. The authors recommend 1200 to 2500."""
SHIFT_GRID = 64
"""Side of the grid of points from which the depth shift is computed; the authors use the same."""
SEARCH_OCTAVES = 8
"""The nearest depth is searched from 2⁻⁸ to 2⁸ times the depth range."""
SEARCH_STEPS = 33
"""Candidates per search."""
SEARCH_REFINEMENTS = 3
"""Number of further searches around the best candidate, each over a 16 times smaller range."""
LIMITS = (
    "The optical axis is assumed to pass through the centre of the image: send the photo itself, with sides that are "
    "multiples of 32, rather than a photo padded to a square. Where `valid` is low, as in the sky, normal and depth "
    "are meaningless. The model does not replace `surface_estimation` entirely, because it has no roughness."
)
MIN_DEPTH = 1e-3
"""Smallest depth in metres. Where ``valid`` is low, the network's depth may be 0 or negative."""


class Surface(nn.Module):
    """MoGe-2 in Heartwood's camera space, with the shift of its depth solved in the graph."""

    def __init__(self, model: nn.Module, tokens: int = TOKENS) -> None:
        super().__init__()
        self.model = model
        self.tokens = tokens

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Estimate normals, depth and their validity.

        Args:
            image: [B, 3, H, W] float32 sRGB in [0, 1]; H and W multiples of 32.

        Returns:
            normal [B, 3, H, W] unit, camera space (+X right, +Y up, +Z towards the camera); depth [B, 1, H, W] along
            the optical axis in metres; valid [B, 1, H, W] likelihood in [0, 1] that both are meaningful.
        """
        outputs = self.model(image, torch.tensor(self.tokens))
        points = outputs["points"].permute(0, 3, 1, 2)
        valid = outputs["mask"][:, None]
        from_opencv = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1)
        normal = outputs["normal"].permute(0, 3, 1, 2) * from_opencv
        depth = points[:, 2:] + depth_shift(points, valid).view(-1, 1, 1, 1)
        metres = (depth * outputs["metric_scale"].view(-1, 1, 1, 1)).clamp_min(MIN_DEPTH)
        return normal, metres, valid


def depth_shift(points: Tensor, valid: Tensor) -> Tensor:
    """Return the depth offset [B] that moves the points onto the rays of one pinhole camera.

    With the right shift, a focal length f exists such that f · xy / (z + shift) = uv. The authors solve this by
    Levenberg–Marquardt, which does not export to ONNX. Here, the shift is found by a search over the nearest depth; for
    each candidate the best f has a closed form.

    Args:
        points: [B, 3, H, W] x, y, z in OpenCV's camera space, up to scale and an offset of z.
        valid: [B, 1, H, W]; points above 0.5 are used.
    """
    xy, z, uv, weight = _sampled_points(points, valid)
    far = torch.full_like(z, 1e6)
    nearest = torch.where(weight > 0, z, far).amin(1)
    depth_range = (torch.where(weight > 0, z, -far).amax(1) - nearest).clamp_min(1e-6)
    best_octave = torch.zeros_like(nearest)
    half_width = float(SEARCH_OCTAVES)
    for _ in range(1 + SEARCH_REFINEMENTS):
        octaves = best_octave[:, None] + torch.linspace(-half_width, half_width, SEARCH_STEPS)  # [B, K]
        shifts = depth_range[:, None] * torch.pow(2.0, octaves) - nearest[:, None]
        projected = xy[:, None] / (z[:, None, None] + shifts[:, :, None, None]).clamp_min(1e-6)  # [B, K, 2, N]
        weights = weight[:, None, None]
        correlation = (weights * projected * uv[:, None]).sum((2, 3))
        focal = correlation / (weights * projected * projected).sum((2, 3)).clamp_min(1e-12)
        error = (weights * (focal[:, :, None, None] * projected - uv[:, None]) ** 2).sum((2, 3))
        best_octave = octaves.gather(1, error.argmin(1, keepdim=True))[:, 0]
        half_width /= (SEARCH_STEPS - 1) / 2
    shift = depth_range * torch.pow(2.0, best_octave) - nearest
    return torch.where(weight.sum(1) > 1, shift, torch.zeros_like(shift))


def _sampled_points(points: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return xy [B, 2, N], z [B, N], image coordinates uv [B, 2, N] and weights [B, N] on a grid of N positions.

    uv is centred and scaled so that the valid points are within [-1, 1].
    """
    height, width = points.shape[-2:]
    columns, rows = torch.arange(width), torch.arange(height)
    across = (2 * columns + 1 - width).float()[None, :].expand(height, width)
    down = (2 * rows + 1 - height).float()[:, None].expand(height, width)
    uv = torch.stack([across, down])[None].expand(points.shape[0], -1, -1, -1)
    stacked = torch.cat([points, uv, (valid > 0.5).float()], dim=1)
    sampled = F.interpolate(stacked, size=(SHIFT_GRID, SHIFT_GRID), mode="nearest").flatten(2)
    xy, z, uv, weight = sampled[:, :2], sampled[:, 2], sampled[:, 3:5], sampled[:, 5]
    return xy, z, uv / (uv * weight[:, None]).abs().amax((1, 2), keepdim=True).clamp_min(1.0), weight


def load(file: Path) -> nn.Module:
    """Load a ``model.pt`` of the Hub.

    Raises:
        FailedPrecondition: the architecture is not installed.
        InvalidInput: the file lacks weights or the normal head.
    """
    moge = import_architecture("moge.model.v2", install_commands.MOGE)
    stored = torch.load(file, map_location="cpu", weights_only=True)
    model = moge.MoGeModel(**stored["model_config"])
    missing = model.load_state_dict(stored["model"], strict=False).missing_keys
    if missing or not hasattr(model, "normal_head"):
        raise InvalidInput(
            "file", f"{file.name} is not a MoGe-2 with normals: it lacks {missing[:3] or 'the normal head'}"
        )
    model.onnx_compatible_mode = True
    loaded: nn.Module = model.eval()
    return loaded


def convert(file: Path) -> RepositoryEntry:
    """Convert a checkpoint of any size."""
    return entry(load(file))


def entry(model: Any, tokens: int = TOKENS) -> RepositoryEntry:
    """Return the entry with a fixed number of tokens. Fewer tokens are faster and give coarser maps."""
    sides = ("height", "width")
    inputs = (TensorSpec("image", (3, -1, -1), "sRGB in [0, 1], sides multiples of 32", sides),)
    outputs = (
        TensorSpec("normal", (3, -1, -1), "unit, camera space: +X right, +Y up, +Z towards the camera", sides),
        TensorSpec("depth", (1, -1, -1), "estimated depth along the optical axis, in metres", sides),
        TensorSpec("valid", (1, -1, -1), "likelihood that normal and depth are meaningful", sides),
    )
    examples = (torch.rand(2, 3, 256, 320),)
    return network_entry(Role.GEOMETRY, Surface(model, tokens), inputs, outputs, examples, LIMITS)
