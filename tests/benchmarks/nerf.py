"""Measures how well a radiance field shows new views, and its surface.

python -m tests.benchmarks.nerf [--pictures DIR] [--pieces NAME …] [--seconds N] [--looks DIR] [--json FILE]

Each piece stands in a furnished room and is rendered from 56 sides at 200 × 200 on one walk around it. Every seventh
view is held out. The field is trained on the other 48 with the true cameras and masks, so that the benchmark measures
the field and not COLMAP.

PSNR is computed over the whole held-out image in sRGB. The truth is the photo inside its mask and white elsewhere; the
rendered view is composited over white by its coverage. "PSNR inside the mask" counts only the pixels of the mask. The
mean is over the views' PSNR in dB. The training time is from the start of the process to the end of the last step.

The surface is compared with the true mesh at points on both that any third camera sees: F-score at 1 % of the true
diagonal, and chamfer distance (mean of both directions) in percent of it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

from orchestrator.domain.quality import Quality
from orchestrator.geometry.arrays import Floats, Triangles
from orchestrator.geometry.cameras import Camera
from orchestrator.geometry.rasterize import rasterize_mesh
from orchestrator.stages.reconstruct.nerf import QUALITY_SETTINGS, surface_mesh, views_of
from orchestrator.tools.nerf import Surface, render_field, train_field
from tests.benchmarks.orbit.photos import Orbit, render_orbit, ring
from tests.benchmarks.report import Figure, report

PIECES = ("cushion_chair", "chest_of_drawers")
SIDE_PX = 200
VIEWS = 56
HELD_OUT_STEP = 7
FIRST_HELD_OUT = 3
PSNR_BOUND = ">= 24"
SECONDS_BOUND = "<= 900"
SURFACE_POINTS = 40_000
MAX_DISTANCE = 0.01
"""Distance up to which a point counts as correct, as a share of the diagonal."""
OCCLUSION_TOLERANCE = 0.003
"""How far a point may lie behind the visible surface and still count as visible, as a share of the diagonal."""
VISIBILITY_STEP = 3
"""Every third camera determines which points are visible."""
MAX_TRIANGLES = 200_000

Mesh = tuple[Floats, Triangles]


@dataclass(frozen=True)
class Score:
    """The figures of one piece."""

    psnr: tuple[float, ...]  # of the held-out views, dB
    psnr_inside: tuple[float, ...]
    seconds: float
    f_score: float
    chamfer: float  # share of the diagonal


def measure(orbit: Orbit, seconds: float, folder: Path, comparisons: Path | None) -> Score:
    cameras = orbit.cameras
    held_out = list(range(FIRST_HELD_OUT, len(cameras), HELD_OUT_STEP))
    used = [number for number in range(len(cameras)) if number not in held_out]
    started = time.monotonic()
    surface = train_field(
        [orbit.photos[number] for number in used],
        [orbit.masks[number] for number in used],
        views_of([cameras[number] for number in used]),
        replace(QUALITY_SETTINGS[Quality.FINAL].training, seconds=seconds),
        folder,
        progress=ProgressPrinter(),
    )
    training_seconds = time.monotonic() - started
    psnr, psnr_inside = compare_views(orbit, cameras, held_out, folder, comparisons)
    f_score, chamfer = compare_surfaces(surface, orbit, cameras[::VISIBILITY_STEP])
    return Score(psnr, psnr_inside, training_seconds, f_score, chamfer)


def compare_views(
    orbit: Orbit, cameras: list[Camera], held_out: list[int], folder: Path, comparisons: Path | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the PSNR of each held-out view over the whole image and inside its mask."""
    names = [f"held-out-{number:02d}.png" for number in held_out]
    paths = render_field(views_of([cameras[number] for number in held_out]), folder, names)
    psnr, psnr_inside, columns = [], [], []
    for number, path in zip(held_out, paths, strict=True):
        mask = np.asarray(Image.open(orbit.masks[number]))[..., None] > 127
        truth = np.where(mask, np.asarray(Image.open(orbit.photos[number]).convert("RGB")), 255) / 255
        rgba = np.asarray(Image.open(path)) / 255
        rendered = rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]
        error = (rendered - truth) ** 2
        psnr.append(float(-10 * np.log10(error.mean())))
        psnr_inside.append(float(-10 * np.log10(error[mask[..., 0]].mean())))
        columns.append(np.concatenate([truth, rendered, np.clip(4 * np.abs(rendered - truth), 0, 1)]))
    if comparisons:
        comparisons.mkdir(parents=True, exist_ok=True)
        picture = (np.concatenate(columns, 1) * 255).round().astype(np.uint8)
        Image.fromarray(picture).save(comparisons / f"nerf-{orbit.name}.png")
    return tuple(psnr), tuple(psnr_inside)


def compare_surfaces(surface: Surface, orbit: Orbit, cameras: list[Camera]) -> tuple[float, float]:
    """Return the F-score and the chamfer distance of the visible surfaces."""
    diagonal = float(np.linalg.norm(np.ptp(orbit.vertices, axis=0)))
    meshes: tuple[Mesh, Mesh] = (surface_mesh(surface, MAX_TRIANGLES), (orbit.vertices, orbit.triangles))
    points, true_points = (visible_points(*mesh, cameras, OCCLUSION_TOLERANCE * diagonal) for mesh in meshes)
    to_truth, from_truth = cKDTree(true_points).query(points)[0], cKDTree(points).query(true_points)[0]
    precision, recall = ((distance < MAX_DISTANCE * diagonal).mean() for distance in (to_truth, from_truth))
    f_score = float(2 * precision * recall / max(precision + recall, 1e-9))
    return f_score, float((to_truth.mean() + from_truth.mean()) / 2 / diagonal)


def visible_points(vertices: Floats, triangles: Triangles, cameras: list[Camera], tolerance: float) -> Floats:
    """Return up to SURFACE_POINTS points [P, 3] evenly on what at least one camera sees of a mesh."""
    random = np.random.default_rng(1)
    corners = vertices[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    chosen = corners[random.choice(len(triangles), 3 * SURFACE_POINTS, p=area / area.sum())]
    weights = random.random((2, len(chosen), 1))
    weights = np.where(weights.sum(0) > 1, 1 - weights, weights)
    points = chosen[:, 0] + weights[0] * (chosen[:, 1] - chosen[:, 0]) + weights[1] * (chosen[:, 2] - chosen[:, 0])
    visible: NDArray[np.bool_] = np.zeros(len(points), bool)
    for camera in cameras:
        fine = camera.resized(2 * camera.size[0], 2 * camera.size[1])
        surface_depth = rasterize_mesh(fine, vertices, triangles).depth
        pixels, depth = fine.project(points)
        column, row = np.floor(pixels).astype(np.int64).T
        framed = (column >= 0) & (column < fine.size[0]) & (row >= 0) & (row < fine.size[1])
        visible[framed] |= depth[framed] < surface_depth[row[framed], column[framed]] + tolerance
    return points[visible][:SURFACE_POINTS]


class ProgressPrinter:
    """A progress callback that prints a line for every tenth of the work."""

    def __init__(self) -> None:
        self._printed_tenth = -1

    def __call__(self, fraction: float, message: str) -> None:
        if int(fraction * 10) > self._printed_tenth:
            self._printed_tenth = int(fraction * 10)
            print(f"  {fraction:.0%} {message}", flush=True)


def main() -> None:
    default_seconds = QUALITY_SETTINGS[Quality.FINAL].training.seconds
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="folder for the rendered photos, for the next run")
    parser.add_argument("--pieces", nargs="+", default=PIECES)
    parser.add_argument("--seconds", type=float, default=default_seconds, help="time limit of the training")
    parser.add_argument("--looks", type=Path, help="folder for pictures: truth, rendered view, 4 × difference")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.pieces:
            print(name, flush=True)
            pictures = (arguments.pictures or Path(scratch)) / f"{name}-{SIDE_PX}"
            orbit = render_orbit(name, pictures, ring(VIEWS), size=(SIDE_PX, SIDE_PX))
            score = measure(orbit, arguments.seconds, Path(scratch) / "fields" / name, arguments.looks)
            figures += [
                Figure(f"{name}, PSNR held out", float(np.mean(score.psnr)), "dB", PSNR_BOUND),
                Figure(f"{name}, PSNR held out, worst view", min(score.psnr), "dB"),
                Figure(f"{name}, PSNR held out, inside the mask", float(np.mean(score.psnr_inside)), "dB"),
                Figure(f"{name}, learning", score.seconds, "s", SECONDS_BOUND),
                Figure(f"{name}, F-score at 1 % of the diagonal", score.f_score),
                Figure(f"{name}, chamfer", 100 * score.chamfer, "% of the diagonal"),
            ]
    report(f"radiance field, {VIEWS - VIEWS // HELD_OUT_STEP} photos of {SIDE_PX} × {SIDE_PX}", figures, arguments.json)


if __name__ == "__main__":
    main()
