"""Converts render passes to images with ground truth, and saves and loads them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from export_models.dataset.photograph import expose
from export_models.dataset.samples import read_passes

BACKGROUND = "background"
CLASSES = ("wood", "fabric", "metal", "plastic", "paint", "stone")
"""Surface classes of the pieces. ``material`` is 0 for the background, else 1 + the index in this tuple."""
MATERIAL_NAMES = (BACKGROUND, *CLASSES)
"""Names of the values of ``material``."""
MIN_ALBEDO = 0.02
"""Albedo below which photo / albedo is dominated by noise."""


@dataclass(frozen=True)
class FurniturePicture:
    """One path-traced photo of a piece with its ground truth.

    albedo_linear × shading_linear equals the linear photo where ``valid``. Masks are true where the class covers at
    least half of the pixel.
    """

    name: str
    photo_srgb: NDArray[np.uint8]  # [H, W, 3]
    albedo_linear: NDArray[np.float32]  # [H, W, 3] base colour, linear RGB in [0, 1]
    shading_linear: NDArray[np.float32]  # [H, W, 3] linear, >= 0, with highlights; 0 where not valid
    valid: NDArray[np.bool_]  # [H, W] every albedo channel > MIN_ALBEDO, no clipped photo channel
    normal: NDArray[np.float32]  # [H, W, 3] unit, camera space: +X right, +Y up, +Z to the camera
    roughness: NDArray[np.float32]  # [H, W] in [0, 1]
    ambient_occlusion: NDArray[np.float32]  # [H, W] in [0, 1], 1 is unoccluded; rays of 0.5 m
    depth: NDArray[np.float32]  # [H, W] distance from the camera plane in metres
    wood: NDArray[np.bool_]  # [H, W] wood of the piece
    foreground: NDArray[np.bool_]  # [H, W] the piece
    material: NDArray[np.uint8]  # [H, W] index into MATERIAL_NAMES
    credit: str  # model, author and licence in one line


def load(directory: Path) -> list[FurniturePicture]:
    """Load all finished images in ``directory``, sorted by name.

    Raises:
        FileNotFoundError: there are none.
    """
    folders = sorted(path.parent for path in Path(directory).glob("*/meta.json"))
    if not folders:
        raise FileNotFoundError(
            f"there are no images in {directory}; run python -m tests.benchmarks.furniture.render --out {directory}"
        )
    return [load_one(folder) for folder in folders]


def load_one(folder: Path) -> FurniturePicture:
    """Load an image from its folder with ``photo.png``, ``truth.npz`` and ``meta.json``."""
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    with np.load(folder / "truth.npz") as truth, Image.open(folder / "photo.png") as photo:
        return FurniturePicture(folder.name, np.asarray(photo.convert("RGB")), **truth, credit=meta["credit"])


def save_picture(exr: Path, folder: Path, meta: dict[str, object]) -> None:
    """Write the passes of a render to ``folder``. ``meta.json`` is written last, which marks the image as finished."""
    passes = read_passes(exr)
    world_to_camera = np.array(json.loads(exr.with_suffix(".json").read_text())["camera_to_world"]).T
    linear = expose(passes["Combined"][..., :3])
    albedo = np.clip(passes["albedo"][..., :3], 0.0, 1.0)
    valid = (albedo > MIN_ALBEDO).all(-1) & (linear < 1.0).all(-1)
    shading = np.where(valid[..., None], linear / np.maximum(albedo, MIN_ALBEDO), 0.0)
    normal = passes["Normal"] @ world_to_camera.T
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
    coverage = np.stack([passes[f"class_{name}"][..., 0] for name in CLASSES])
    foreground = coverage.sum(0) >= 0.5
    truth = {
        "albedo_linear": albedo,
        "shading_linear": shading,
        "normal": normal,
        "roughness": passes["roughness"][..., 0],
        "ambient_occlusion": np.clip(passes["AO"].mean(-1), 0.0, 1.0),
        "depth": passes["Depth"][..., 0],
    }
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        folder / "truth.npz",
        **{name: values.astype(np.float32) for name, values in truth.items()},
        valid=valid,
        wood=coverage[CLASSES.index("wood")] >= 0.5,
        foreground=foreground,
        material=np.where(foreground, 1 + coverage.argmax(0), 0).astype(np.uint8),
    )
    Image.fromarray(to_srgb(linear)).save(folder / "photo.png")
    (folder / "meta.json").write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")


def to_srgb(linear: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Linear RGB in [0, 1] to sRGB bytes (IEC 61966-2-1)."""
    curved = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(curved * 255), np.uint8)
