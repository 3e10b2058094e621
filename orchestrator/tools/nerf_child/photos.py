"""The photos as tensors, their cameras and rays, and the visual hull of their masks (Laurentini 1994)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

HULL_SIDE_PX = 384
WRONG_MASKS = 0.05
"""Of the photos that may call a place background although it belongs to the piece."""
MIN_FRAMED = 0.5
"""Of the photos that must have a place in their frame, to say anything of it."""
POINTS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class Cameras:
    """Pinholes; N of them. OpenCV axes, the middle of the first pixel is (0.5, 0.5)."""

    matrices: Tensor  # [N, 3, 3]
    world_to_camera: Tensor  # [N, 4, 4]
    sizes: Tensor  # [N, 2] width, height

    def resized(self, sizes: Tensor) -> Cameras:
        scale = torch.cat([sizes / self.sizes, torch.ones_like(self.matrices[:, 0, :1])], -1)
        return Cameras(self.matrices * scale[:, :, None], self.world_to_camera, sizes)

    def rays(self, camera: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """[R, 3] origins and unit directions in the world of the pixels [R, 2] (their middles) of cameras [R]."""
        turn = self.world_to_camera[:, :3, :3].transpose(1, 2)
        origin = -(turn @ self.world_to_camera[:, :3, 3:])[..., 0]
        back = turn @ torch.linalg.inv(self.matrices)
        flat = torch.cat([pixels + 0.5, torch.ones_like(pixels[:, :1])], -1)
        return origin[camera], functional.normalize((back[camera] @ flat[..., None])[..., 0], dim=-1)

    def scale_at(self, place: Tensor) -> float:
        """Pixels a unit of length at a place [3] of the world, in the median of the cameras."""
        distance = (self.world_to_camera[:, :3, :3] @ place + self.world_to_camera[:, :3, 3]).norm(dim=-1)
        return float((self.matrices[:, 0, 0] / distance).median())

    def project(self, number: int, points: Tensor) -> tuple[Tensor, Tensor]:
        """[P, 2] pixels and [P] depths of points [P, 3] in one camera."""
        seen = points @ self.world_to_camera[number, :3, :3].T + self.world_to_camera[number, :3, 3]
        flat = seen @ self.matrices[number].T
        return flat[:, :2] / flat[:, 2:].clamp_min(1e-9), seen[:, 2]


@dataclass(frozen=True)
class Photos:
    """Photos of a size. The colours are those of the piece alone: what mixes in from behind at its edge is left out."""

    colors: tuple[Tensor, ...]  # [H, W, 3] float32 sRGB in [0, 1]
    masks: tuple[Tensor, ...]  # [H, W] float32, how much of the pixel the piece covers
    cameras: Cameras


def read_photos(photos: Sequence[str], masks: Sequence[str], cameras: Cameras, longest_px: int) -> Photos:
    """Read the pictures, made smaller where they are longer than ``longest_px``."""
    device = cameras.matrices.device
    colors, covers = [], []
    for photo, mask in zip(photos, masks, strict=True):
        with Image.open(photo) as opened:
            color = np.asarray(opened.convert("RGB"), np.float32) / 255
        with Image.open(mask) as opened:
            cover = np.asarray(opened.convert("L"), np.float32)[..., None] / 255
        both = torch.from_numpy(np.concatenate([color * cover, color, cover], -1)).permute(2, 0, 1)[None]
        factor = longest_px / max(color.shape[:2])
        if factor < 1:
            size = [max(1, round(side * factor)) for side in color.shape[:2]]
            both = functional.interpolate(both, size=size, mode="area")
        both = both[0].permute(1, 2, 0).to(device)
        cover_small = both[..., 6]
        inside = both[..., :3] / cover_small[..., None].clamp_min(1e-4)
        colors.append(torch.where(cover_small[..., None] > 0.01, inside, both[..., 3:6]))
        covers.append(cover_small)
    sizes = torch.tensor([[cover.shape[1], cover.shape[0]] for cover in covers], dtype=torch.float32, device=device)
    return Photos(tuple(colors), tuple(covers), cameras.resized(sizes))


def hull(photos: Photos, points: Tensor, blur_px: float) -> Tensor:
    """[P] bool: whether the masks, grown by ``blur_px``, have the points [P, 3] on the piece."""
    radius = max(0, round(blur_px))
    grown = [
        functional.max_pool2d(mask[None, None], 2 * radius + 1, 1, radius)[0, 0] if radius else mask
        for mask in photos.masks
    ]
    inside = torch.zeros(len(points), dtype=torch.int32, device=points.device)
    framed = torch.zeros_like(inside)
    for start in range(0, len(points), POINTS_AT_ONCE):
        some = slice(start, start + POINTS_AT_ONCE)
        for number, mask in enumerate(grown):
            pixels, depth = photos.cameras.project(number, points[some])
            column, row = torch.floor(pixels).long().unbind(-1)
            height, width = mask.shape
            seen = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (depth > 0)
            covered = mask[row.clamp(0, height - 1), column.clamp(0, width - 1)] > 0.5
            framed[some] += seen
            inside[some] += seen & covered
    wrong = (WRONG_MASKS * framed).floor()
    return (inside >= framed - wrong) & (framed >= max(2.0, MIN_FRAMED * len(grown)))


def find_box(photos: Photos) -> tuple[Tensor, Tensor]:
    """Return the lowest and highest corner [3] of the visual hull.

    Raises:
        ValueError: the masks have no place in common.
    """
    cameras = photos.cameras
    device = cameras.matrices.device
    used = [number for number, mask in enumerate(photos.masks) if float(mask.max()) > 0.5]
    if len(used) < 2:
        raise ValueError("fewer than two masks show a piece")
    spots = [(photos.masks[number] > 0.5).nonzero().float() for number in used]
    number = torch.tensor(used, device=device)
    middles = torch.stack([spot.mean(0).flip(0) for spot in spots])
    origins, directions = cameras.rays(number, middles)
    across = torch.eye(3, device=device) - directions[:, :, None] * directions[:, None, :]
    middle = torch.linalg.lstsq(across.sum(0), (across @ origins[..., None]).sum(0)).solution[:, 0]
    reach = torch.stack([(spot - spot.mean(0)).norm(dim=-1).max() for spot in spots])
    distance = (origins - middle).norm(dim=-1)
    radius = float((reach / cameras.matrices[number, 0, 0] * distance).max()) * 1.1
    low, high = middle - radius, middle + radius
    for count in (48, 64):
        voxel = float((high - low).max()) / count
        shape = [int(side) + 2 for side in ((high - low) / voxel).tolist()]
        within = hull(photos, lattice(low, voxel, shape), 0.7 * voxel * cameras.scale_at(middle))
        inside = within.view(*shape).nonzero()
        if not len(inside):
            raise ValueError("the masks have no place in common: do they show the same piece?")
        low, high = low + (inside.amin(0) - 1) * voxel, low + (inside.amax(0) + 1) * voxel
    return low, high


def lattice(low: Tensor, voxel: float, shape: Sequence[int]) -> Tensor:
    """[P, 3] the corners of a box of voxels in the world, the last axis fastest."""
    axes = [low[axis] + voxel * torch.arange(count, device=low.device) for axis, count in enumerate(shape)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).view(-1, 3)
