"""How well a radiance field shows views that it was not given, and its surface.

python -m tests.benchmarks.nerf [--pictures DIR] [--pieces NAME …] [--seconds N] [--looks DIR] [--json FILE]

Each piece stands in a furnished room and is rendered from 56 sides at 200 × 200 on one walk around it; every seventh
view is held out and the field learns from the other 48, with the true cameras and masks: it is the field that is
measured, not COLMAP.

PSNR is taken over the whole held-out picture, in sRGB: the truth is the photo inside its mask and white elsewhere, the
field's view is composed over white by its own coverage. ``psnr inside`` counts the mask's pixels only. The mean is that
of the views' PSNR in dB. Seconds are the whole learning, from the start of the process to the end of the last step,
rendering not counted.

The surface is compared with the true mesh by points on both that any third camera sees: F-score at 1 % of the true
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
from orchestrator.geometry.cameras import Camera, Floats
from orchestrator.geometry.mesh import Triangles
from orchestrator.geometry.rasterize import depth_map
from orchestrator.stages.reconstruct.nerf import EFFORT, surface_mesh, views_of
from orchestrator.tools.nerf import render_field, train_field
from tests.benchmarks.orbit.photos import Orbit, render_orbit, ring
from tests.benchmarks.report import Figure, report

PIECES = ("cushion_chair", "chest_of_drawers")
SIDE_PX, VIEWS, EVERY, FIRST = 200, 56, 7, 3
PSNR_BOUND, SECONDS_BOUND = ">= 24", "<= 900"
POINTS, REACH, SLACK, SEEN_EVERY = 40_000, 0.01, 0.003, 3
MAX_TRIANGLES = 200_000


@dataclass(frozen=True)
class Score:
    """Of one piece."""

    psnr: tuple[float, ...]  # of the held-out views, dB
    inside: tuple[float, ...]
    seconds: float
    f_score: float
    chamfer: float  # share of the diagonal


def cameras_of(orbit: Orbit) -> list[Camera]:
    width, height = orbit.size
    matrix = np.array([[orbit.focal_px, 0, width / 2], [0, orbit.focal_px, height / 2], [0, 0, 1.0]])
    return [Camera(matrix, np.linalg.inv(pose), orbit.size) for pose in orbit.camera_to_world]


def measure(orbit: Orbit, seconds: float, folder: Path, looks: Path | None) -> Score:
    cameras = cameras_of(orbit)
    held = list(range(FIRST, len(cameras), EVERY))
    given = [number for number in range(len(cameras)) if number not in held]
    began = time.monotonic()
    surface = train_field(
        [orbit.photos[number] for number in given],
        [orbit.masks[number] for number in given],
        views_of([cameras[number] for number in given]),
        replace(EFFORT[Quality.FINAL].training, seconds=seconds),
        folder,
        progress=Said(),
    )
    taken = time.monotonic() - began
    names = [f"held-out-{number:02d}.png" for number in held]
    pictures = render_field(views_of([cameras[number] for number in held]), folder, names)
    whole, inside, rows = [], [], []
    for number, picture in zip(held, pictures, strict=True):
        mask = np.asarray(Image.open(orbit.masks[number]))[..., None] > 127
        truth = np.where(mask, np.asarray(Image.open(orbit.photos[number]).convert("RGB")), 255) / 255
        seen = np.asarray(Image.open(picture)) / 255
        made = seen[..., :3] * seen[..., 3:] + 1 - seen[..., 3:]
        error = (made - truth) ** 2
        whole.append(-10 * np.log10(error.mean()))
        inside.append(-10 * np.log10(error[mask[..., 0]].mean()))
        rows.append(np.concatenate([truth, made, np.clip(4 * np.abs(made - truth), 0, 1)]))
    if looks:
        looks.mkdir(parents=True, exist_ok=True)
        picture = (np.concatenate(rows, 1) * 255).round().astype(np.uint8)
        Image.fromarray(picture).save(looks / f"nerf-{orbit.name}.png")
    f_score, chamfer = compare(
        surface_mesh(surface, MAX_TRIANGLES), (orbit.vertices, orbit.triangles), cameras[::SEEN_EVERY]
    )
    return Score(tuple(whole), tuple(inside), taken, f_score, chamfer)


def compare(
    made: tuple[Floats, Triangles], truth: tuple[Floats, Triangles], cameras: list[Camera]
) -> tuple[float, float]:
    """F-score and chamfer distance of the parts that are seen."""
    diagonal = float(np.linalg.norm(np.ptp(truth[0], axis=0)))
    ours, theirs = (seen_points(*mesh, cameras, SLACK * diagonal) for mesh in (made, truth))
    to_truth, to_ours = cKDTree(theirs).query(ours)[0], cKDTree(ours).query(theirs)[0]
    precision, recall = ((distance < REACH * diagonal).mean() for distance in (to_truth, to_ours))
    return float(2 * precision * recall / max(precision + recall, 1e-9)), float(
        (to_truth.mean() + to_ours.mean()) / 2 / diagonal
    )


def seen_points(vertices: Floats, triangles: Triangles, cameras: list[Camera], slack: float) -> Floats:
    """[P, 3] points spread evenly over what any camera sees of a mesh."""
    random = np.random.default_rng(1)
    corners = vertices[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    chosen = corners[random.choice(len(triangles), 3 * POINTS, p=area / area.sum())]
    across = random.random((2, len(chosen), 1))
    across = np.where(across.sum(0) > 1, 1 - across, across)
    points = chosen[:, 0] + across[0] * (chosen[:, 1] - chosen[:, 0]) + across[1] * (chosen[:, 2] - chosen[:, 0])
    seen: NDArray[np.bool_] = np.zeros(len(points), bool)
    for camera in cameras:
        large = camera.resized(2 * camera.size[0], 2 * camera.size[1])
        depth = depth_map(large, vertices, triangles).depth
        pixels, distance = large.project(points)
        column, row = np.floor(pixels).astype(np.int64).T
        framed = (column >= 0) & (column < large.size[0]) & (row >= 0) & (row < large.size[1])
        seen[framed] |= distance[framed] < depth[row[framed], column[framed]] + slack
    return points[seen][:POINTS]


class Said:
    """Prints a line for every tenth of the work."""

    def __init__(self) -> None:
        self.tenth = -1

    def __call__(self, fraction: float, message: str) -> None:
        if int(fraction * 10) > self.tenth:
            self.tenth = int(fraction * 10)
            print(f"  {fraction:.0%} {message}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="keeps the rendered photos for the next run")
    parser.add_argument("--pieces", nargs="+", default=PIECES)
    parser.add_argument("--seconds", type=float, default=EFFORT[Quality.FINAL].training.seconds, help="of learning")
    parser.add_argument("--looks", type=Path, help="gets pictures: truth, the field's view, four times the difference")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.pieces:
            print(name, flush=True)
            kept = (arguments.pictures or Path(scratch)) / f"{name}-{SIDE_PX}"
            orbit = render_orbit(name, kept, ring(VIEWS), size=(SIDE_PX, SIDE_PX))
            score = measure(orbit, arguments.seconds, Path(scratch) / "fields" / name, arguments.looks)
            figures += [
                Figure(f"{name}, PSNR held out", float(np.mean(score.psnr)), "dB", PSNR_BOUND),
                Figure(f"{name}, PSNR held out, worst view", min(score.psnr), "dB"),
                Figure(f"{name}, PSNR held out, inside the mask", float(np.mean(score.inside)), "dB"),
                Figure(f"{name}, learning", score.seconds, "s", SECONDS_BOUND),
                Figure(f"{name}, F-score at 1 % of the diagonal", score.f_score),
                Figure(f"{name}, chamfer", 100 * score.chamfer, "% of the diagonal"),
            ]
    report(f"radiance field, {VIEWS - VIEWS // EVERY} photos of {SIDE_PX} × {SIDE_PX}", figures, arguments.json)


if __name__ == "__main__":
    main()
