"""Pictures of the data set on one sheet: the photo, then what is true of it. ``python -m … DIR --out SHEET.jpg``."""

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
from export_models.dataset.photograph import exposed
from export_models.dataset.samples import Sample, read
from orchestrator.imaging.color import encode_srgb

Pixels = NDArray[np.uint8]
SIDE_PX = 160


def row(sample: Sample) -> Pixels:
    """[SIDE_PX, 8 × SIDE_PX, 3] photo, albedo, shading, normal, roughness, AO, component, material."""
    linear = exposed(sample.radiance)
    shading = linear / np.maximum(sample.albedo, 0.02)
    tiles = [
        encode_srgb(linear),
        encode_srgb(sample.albedo),
        encode_srgb(shading / max(float(np.percentile(shading, 95)), 1e-6)),
        (sample.normal + 1) / 2,
        np.repeat(sample.roughness[..., None], 3, -1),
        np.repeat(sample.ambient_occlusion[..., None], 3, -1),
        palette(len(COMPONENTS))[sample.component],
        palette(len(MATERIALS))[np.where(sample.foreground, sample.material, 0)],
    ]
    return strip(tiles, SIDE_PX)


def strip(pictures: Sequence[NDArray[Any]], side: int) -> Pixels:
    """[side, N × side, 3] the pictures [H, W, 3] of values in [0, 1] beside each other."""
    small = [cv2.resize(np.asarray(one, np.float32), (side, side), interpolation=cv2.INTER_AREA) for one in pictures]
    return np.asarray(np.round(np.clip(np.hstack(small), 0, 1) * 255), np.uint8)


def palette(count: int) -> NDArray[np.float32]:
    """[count, 3] sRGB colours that are easy to tell apart; the first is dark grey."""
    colors = [(0.2, 0.2, 0.2)]
    colors += [
        colorsys.hsv_to_rgb(i * 0.618 % 1, 0.55 + 0.35 * (i % 2), 0.95 - 0.25 * (i % 3)) for i in range(count - 1)
    ]
    return np.array(colors, np.float32)


def sheet(files: list[Path]) -> Image.Image:
    """One row for each sample."""
    return Image.fromarray(np.vstack([row(read(file)) for file in files]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=12, help="samples, evenly over the folder")
    arguments = parser.parse_args()
    files = sorted(arguments.folder.glob("*.npz"))
    chosen = [files[at] for at in np.linspace(0, len(files) - 1, min(arguments.rows, len(files))).astype(int)]
    sheet(chosen).save(arguments.out, quality=88)
    print(arguments.out)


if __name__ == "__main__":
    main()
