"""Writes a contact sheet of samples: ``python -m export_models.dataset.contact_sheet FOLDER --out SHEET.jpg``.

Each row shows one sample: photo, albedo, shading, normal, roughness, ambient occlusion, component, material.
"""

from __future__ import annotations

import argparse
import colorsys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from export_models.baselines.segmentation import COMPONENTS, MATERIALS
from export_models.dataset.photograph import expose
from export_models.dataset.samples import Sample, read_sample
from orchestrator.imaging.color import encode_srgb

Pixels = NDArray[np.uint8]
TILE_PX = 160


def sample_row(sample: Sample) -> Pixels:
    """Return one row [TILE_PX, 8 × TILE_PX, 3] of the sheet."""
    linear = expose(sample.radiance)
    shading = linear / np.maximum(sample.albedo, 0.02)
    tiles = [
        encode_srgb(linear),
        encode_srgb(sample.albedo),
        encode_srgb(shading / max(float(np.percentile(shading, 95)), 1e-6)),
        (sample.normal + 1) / 2,
        np.repeat(sample.roughness[..., None], 3, -1),
        np.repeat(sample.ambient_occlusion[..., None], 3, -1),
        class_colors(len(COMPONENTS))[sample.component],
        class_colors(len(MATERIALS))[np.where(sample.foreground, sample.material, 0)],
    ]
    return join_tiles(tiles, TILE_PX)


def join_tiles(images: Sequence[NDArray[Any]], size: int) -> Pixels:
    """Place images [H, W, 3] in [0, 1] side by side, each resized to ``size``; return [size, N × size, 3]."""
    tiles = [cv2.resize(np.asarray(image, np.float32), (size, size), interpolation=cv2.INTER_AREA) for image in images]
    return np.asarray(np.round(np.clip(np.hstack(tiles), 0, 1) * 255), np.uint8)


def class_colors(count: int) -> NDArray[np.float32]:
    """Return ``count`` distinguishable sRGB colours [count, 3]; the first is dark grey."""
    colors = [(0.2, 0.2, 0.2)]
    colors += [
        colorsys.hsv_to_rgb(i * 0.618 % 1, 0.55 + 0.35 * (i % 2), 0.95 - 0.25 * (i % 3)) for i in range(count - 1)
    ]
    return np.array(colors, np.float32)


def contact_sheet(files: Sequence[Path]) -> Image.Image:
    """Return a sheet with one row for each sample file."""
    return Image.fromarray(np.vstack([sample_row(read_sample(file)) for file in files]))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with the samples (*.npz)")
    parser.add_argument("--out", type=Path, required=True, help="image file to write")
    parser.add_argument("--rows", type=int, default=12, help="number of samples, evenly spaced over the folder")
    arguments = parser.parse_args()
    files = sorted(arguments.folder.glob("*.npz"))
    if not files:
        parser.error(f"{arguments.folder} contains no .npz files")
    indices = np.linspace(0, len(files) - 1, min(arguments.rows, len(files))).astype(int)
    contact_sheet([files[index] for index in indices]).save(arguments.out, quality=88)
    print(arguments.out)


if __name__ == "__main__":
    main()
