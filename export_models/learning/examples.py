"""Training examples: random crops of rendered images, recoloured and photographed by a simulated camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from export_models.baselines.segmentation import MATERIALS
from export_models.dataset.photograph import max_channel, min_channel, photograph
from export_models.dataset.samples import Sample
from export_models.learning.recoloring import recolor_parts, refinish
from orchestrator.inference.letterbox import pad_to_square

IGNORED_CLASS = 255
"""Class of pixels that the loss ignores."""
GLASS = MATERIALS.index("glass")

MIN_ALBEDO = 0.02
"""Albedo below which a surface is too dark to separate albedo from shading."""
MIN_EXPOSED = 0.004
"""Linear pixel value below which noise dominates."""
MAX_EXPOSED = 0.97
"""Linear pixel value above which a photo may be clipped."""
MAX_DEPTH_M = 60.0
"""Depth in metres beyond which a pixel counts as background without a surface."""
MIN_DEPTH_M = 0.05
"""Depth in metres to which smaller values are raised before the logarithm."""

# Augmentation. Not tuned, unless stated otherwise.
WHOLE_SHARE = 0.5
"""Share of the examples that are not cropped along their longer side."""
MIN_CROP = 0.55
"""Smallest longer side of a crop, as a share of the side of the image."""
LETTERBOX_SHARE = 0.35
"""Share of the examples that are not square. They are padded to a square as the service does: below or on the right,
by repetition of the edge."""
MIN_ASPECT = 0.55
"""Smallest ratio of the shorter to the longer side of these examples."""
EMPTY_SHARE = 0.02
"""Share of the examples that show only the surroundings of the piece, so that blank photos contain no piece."""
MIN_EMPTY_PX = 24
"""Smallest side of such a crop."""
RECOLORED_SHARE = 0.2
"""Share of the examples whose parts get arbitrary other colours. A larger share would hide which colours shops sell in
which material."""
REFINISHED_SHARE = 0.5
"""Share of the examples whose materials get other colours in which shops sell them."""


@dataclass(frozen=True)
class Example:
    """One input of the network and its ground truth; arrays are [C, H, W] with H = W unless stated otherwise."""

    image: NDArray[np.uint8]  # sRGB
    log_shading: NDArray[np.float32]  # log of linear photo / albedo, before clipping
    shading_valid: NDArray[np.bool_]  # [1, H, W]
    normal: NDArray[np.float32]
    surface_valid: NDArray[np.bool_]  # [1, H, W] a surface nearer than MAX_DEPTH_M
    roughness: NDArray[np.float32]
    ambient_occlusion: NDArray[np.float32]
    log_depth: NDArray[np.float32]  # log of metres
    component: NDArray[np.uint8]  # [H, W]
    foreground: NDArray[np.int8]  # [1, H, W] 1 on the piece, 0 on the background, -1 on padding
    material: NDArray[np.uint8]  # [H, W]


@dataclass(frozen=True)
class Crop:
    """A window of a rendered image, and the size of the photo that shows it. All values are in pixels."""

    top: int
    left: int
    height: int
    width: int
    rows: int
    columns: int
    is_shrunk: bool

    def smooth(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Cut out and resample continuous values."""
        return self._resized(values, cv2.INTER_AREA if self.is_shrunk else cv2.INTER_LINEAR)

    def nearest(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Cut out and resample classes, or values that must not be mixed."""
        return self._resized(values, cv2.INTER_NEAREST)

    def _resized(self, values: NDArray[Any], interpolation: int) -> NDArray[np.float32]:
        window = values[self.top : self.top + self.height, self.left : self.left + self.width].astype(np.float32)
        return np.asarray(cv2.resize(window, (self.columns, self.rows), interpolation=interpolation), np.float32)


def random_crop(full: int, side: int, rng: np.random.Generator) -> Crop:
    """Draw a crop of an image of ``full``² pixels, shown in a photo whose longer side is ``side``."""
    longer = full if rng.random() < WHOLE_SHARE else int(full * rng.uniform(MIN_CROP, 1.0))
    ratio = rng.uniform(MIN_ASPECT, 1.0) if rng.random() < LETTERBOX_SHARE else 1.0
    shares = (1.0, ratio) if rng.random() < 0.5 else (ratio, 1.0)
    height, width = (int(longer * share) for share in shares)
    rows, columns = (int(side * share) for share in shares)
    top, left = int(rng.integers(full - height + 1)), int(rng.integers(full - width + 1))
    return Crop(top, left, height, width, rows, columns, is_shrunk=side < longer)


def crop_beside_piece(component: NDArray[np.uint8], side: int, rng: np.random.Generator) -> Crop | None:
    """Draw a square crop that does not show the piece, or None if there is too little space beside it.

    Args:
        component: [H, W] class of each pixel; H = W.
        side: height and width of the photo, in pixels.
    """
    rows, columns = (np.flatnonzero((component > 0).any(axis=axis)) for axis in (1, 0))
    full = len(component)
    if not len(rows):
        return random_crop(full, side, rng)
    below, right = int(rows[-1]) + 1, int(columns[-1]) + 1
    spaces = [  # top, left, height and width of the space on each side of the piece
        (0, 0, int(rows[0]), full),
        (below, 0, full - below, full),
        (0, 0, full, int(columns[0])),
        (0, right, full, full - right),
    ]
    top, left, height, width = max(spaces, key=lambda space: min(space[2:]))
    if min(height, width) < MIN_EMPTY_PX:
        return None
    size = int(rng.integers(MIN_EMPTY_PX, min(height, width) + 1))
    top, left = top + int(rng.integers(height - size + 1)), left + int(rng.integers(width - size + 1))
    return Crop(top, left, size, size, side, side, is_shrunk=side < size)


def make_example(sample: Sample, side: int, rng: np.random.Generator) -> Example:
    """Draw one training example of ``side``² pixels from a rendered image."""
    crop = crop_beside_piece(sample.component, side, rng) if rng.random() < EMPTY_SHARE else None
    crop = crop or random_crop(sample.component.shape[0], side, rng)
    radiance, albedo = crop.smooth(sample.radiance), crop.smooth(sample.albedo)
    classes = [crop.nearest(values).astype(np.uint8) for values in (sample.component, sample.material)]
    coloring = rng.random()
    if coloring < RECOLORED_SHARE:
        part = classes[0].astype(int) * len(MATERIALS) + classes[1]
        radiance, albedo = recolor_parts(radiance, albedo, part, rng)
    elif coloring < RECOLORED_SHARE + REFINISHED_SHARE:
        radiance, albedo, classes[1] = refinish(radiance, albedo, classes[1], classes[0] > 0, rng)
    exposed, photo = photograph(radiance, albedo, rng, in_catalogue=sample.in_catalogue)

    exposed, photo, albedo = (pad_to_square(values, side) for values in (exposed, photo, albedo))
    normal = pad_to_square(crop.smooth(sample.normal), side)
    depth = pad_to_square(crop.nearest(sample.depth), side)
    component, material = (pad_to_square(values, side) for values in classes)

    normal_length = np.linalg.norm(normal, axis=-1, keepdims=True)
    has_surface = (normal_length[..., 0] > 0.5) & (depth > 0) & (depth < MAX_DEPTH_M)
    measurable = shading_is_measurable(albedo, exposed, material)
    in_photo = np.pad(np.ones((crop.rows, crop.columns), bool), ((0, side - crop.rows), (0, side - crop.columns)))
    foreground = np.where(in_photo, component > 0, -1).astype(np.int8)
    material = np.where(component > 0, material, np.uint8(0))
    if not sample.meta["source"].get("components", True):  # a model whose parts have no labels
        component = np.where(component > 0, np.uint8(IGNORED_CLASS), component)
    log_shading = np.log(np.maximum(exposed, MIN_EXPOSED) / np.maximum(albedo, MIN_ALBEDO))
    return Example(
        image=photo.transpose(2, 0, 1),
        log_shading=log_shading.transpose(2, 0, 1),
        shading_valid=(measurable & in_photo)[None],
        normal=(normal / np.maximum(normal_length, 1e-6)).transpose(2, 0, 1),
        surface_valid=(has_surface & in_photo)[None],
        roughness=pad_to_square(crop.smooth(sample.roughness), side)[None],
        ambient_occlusion=pad_to_square(crop.smooth(sample.ambient_occlusion), side)[None],
        log_depth=np.log(np.clip(depth, MIN_DEPTH_M, MAX_DEPTH_M))[None],
        component=np.where(in_photo, component, np.uint8(IGNORED_CLASS)),
        foreground=foreground[None],
        material=np.where(in_photo, material, np.uint8(IGNORED_CLASS)),
    )


def shading_is_measurable(
    albedo: NDArray[np.float32], exposed: NDArray[np.float32], material: NDArray[Any]
) -> NDArray[np.bool_]:
    """Return [H, W]: where a photo determines albedo and shading. It does not on black, clipped or glass surfaces.

    Args:
        albedo: [H, W, 3] linear.
        exposed: [H, W, 3] linear photo before clipping and noise.
        material: [H, W] index into MATERIALS.
    """
    in_range = (
        (min_channel(albedo) > MIN_ALBEDO) & (min_channel(exposed) > MIN_EXPOSED) & (max_channel(exposed) < MAX_EXPOSED)
    )
    return np.asarray(in_range & (material != GLASS))
