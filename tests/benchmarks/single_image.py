"""How well one photo becomes a model: silhouettes against the true shape, from the photo's view and eight others.

python -m tests.benchmarks.single_image [--pictures DIR] [--pieces NAME …] [--preview] [--models] [--json FILE]

Each piece of ``furniture/picks.toml`` is rendered once, three quarters from the front, a little from above. The stage
gets that photo and its true mask; where the camera stood, how it looked and what lens it had, it must find itself.
With ``--models`` it also gets the maps of the real models.

Given view: the model seen by the camera that the stage says it estimated, against the photo's mask.

Other views: eight azimuths, 40° apart, at the photo's elevation. A photo tells no scale, so one similarity brings the
model to the true piece. Its rotation is the one between the estimated and the true camera, nothing else: an error of
the estimated azimuth or elevation turns the model and counts. Its scale and shift put the middle of the model's
bounding box to the pixel and the size in pixels at which the estimated camera sees it, as far away as the middle of
the true piece: in the given view the two silhouettes coincide. Nothing is fitted to the other views.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pictures

from orchestrator.domain.images import Image
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import Mode, ReconstructedMesh, ReconstructOptions
from orchestrator.geometry.cameras import Camera, Floats
from orchestrator.stages.reconstruct.single_image.single_image import single_image
from tests.benchmarks.furniture.catalogue import read_picks
from tests.benchmarks.orbit.photos import Orbit, render_orbit
from tests.benchmarks.report import Figure, report
from tests.benchmarks.running_models import triton_models
from tests.support.painted_mesh import Painted, model_of, overlap, picture, silhouette

OTHER_VIEWS, VIEW_SIZE = 8, (400, 300)
GIVEN_BOUND, OTHER_BOUND = ">= 0.95", ">= 0.6"
SHOWN_DEG = (0, 90, 150, 180)
"""Azimuths of the pictures, from the front of the piece."""


@dataclass(frozen=True)
class Score:
    """Of one piece."""

    given: float
    others: tuple[float, ...]
    seconds: float


def turned(camera: Camera, turn_deg: float, middle: Floats) -> Camera:
    """The camera moved around the vertical through ``middle``."""
    angle = np.radians(turn_deg)
    move = np.eye(4)
    move[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    move[:3, 3] = middle - move[:3, :3] @ middle
    return Camera(camera.matrix, camera.world_to_camera @ np.linalg.inv(move), camera.size)


def aligned(model: Painted, estimated: Camera, true: Camera, true_middle: Floats) -> Painted:
    """The model beside the true piece, as the module says."""
    middle = (model.vertices.min(0) + model.vertices.max(0)) / 2
    (pixel,), (far,) = estimated.project(middle[None])
    true_far = true.project(true_middle[None])[1][0]
    scale = (true_far / true.matrix[0, 0]) / (far / estimated.matrix[0, 0])
    turn = true.world_to_camera[:3, :3].T @ estimated.world_to_camera[:3, :3]
    in_camera = np.linalg.inv(true.matrix) @ [*pixel, 1.0] * true_far
    place = true.world_to_camera[:3, :3].T @ (in_camera - true.world_to_camera[:3, 3])
    return Painted((model.vertices - middle) @ turn.T * scale + place, model.triangles, model.uv, model.texture)


def measured(orbit: Orbit, made: ReconstructedMesh, seconds: float) -> tuple[Score, Painted, Camera]:
    assert made.camera is not None
    model = model_of(made.glb)
    mask = np.asarray(Pictures.open(orbit.masks[0])) > 127
    estimated = Camera(np.array(made.camera.matrix), np.array(made.camera.world_to_camera), made.camera.size)
    width, height = orbit.size
    matrix = np.array([[orbit.focal_px, 0, width / 2], [0, orbit.focal_px, height / 2], [0, 0, 1.0]])
    true = Camera(matrix, np.linalg.inv(orbit.camera_to_world[0]), orbit.size)
    truth = Painted(orbit.vertices, orbit.triangles)
    middle = (truth.vertices.min(0) + truth.vertices.max(0)) / 2
    beside = aligned(model, estimated, true, middle)
    small = true.resized(*VIEW_SIZE)
    others = []
    for number in range(1, OTHER_VIEWS + 1):
        camera = turned(small, 360 * number / (OTHER_VIEWS + 1), middle)
        others.append(overlap(silhouette(camera, beside), silhouette(camera, truth)))
    return Score(overlap(silhouette(estimated, model), mask), tuple(others), seconds), beside, small


def sheet(orbit: Orbit, azimuth_deg: float, model: Painted, camera: Camera) -> Image:
    """The photo, then the model and below it the true shape: from the photo's view and from all around."""
    truth = Painted(orbit.vertices, orbit.triangles)
    middle = (truth.vertices.min(0) + truth.vertices.max(0)) / 2
    cameras = [camera, *(turned(camera, shown - azimuth_deg, middle) for shown in SHOWN_DEG)]
    photo = cv2.resize(np.asarray(Pictures.open(orbit.photos[0])), VIEW_SIZE, interpolation=cv2.INTER_AREA)
    rows = [np.hstack([photo, *(picture(one, mesh) for one in cameras)]) for mesh in (model, truth)]
    return np.vstack(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=Path("build/single_image"), help="photos, models and sheets")
    parser.add_argument("--pieces", nargs="*", default=[])
    parser.add_argument("--preview", action="store_true", help="reconstruct at PREVIEW instead of FINAL")
    parser.add_argument("--models", action="store_true", help="give the stage the maps of the real models")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    quality = Quality.PREVIEW if arguments.preview else Quality.FINAL
    options = ReconstructOptions(mode=Mode.SINGLE_IMAGE, texture_size=1024)
    scores: dict[str, Score] = {}
    with ExitStack() as stack:
        models = stack.enter_context(triton_models()) if arguments.models else None
        for pick in read_picks()["pick"]:
            name, azimuth_deg = pick["name"], pick["azimuth_deg"]
            if arguments.pieces and name not in arguments.pieces:
                continue
            folder = arguments.pictures / name
            orbit = render_orbit(name, folder, [(azimuth_deg, pick["elevation_deg"])], turntable=True)
            maps = models.analyze(np.asarray(Pictures.open(orbit.photos[0]))) if models else None
            start = time.monotonic()
            made = single_image(orbit.photos[0], orbit.masks[0], maps, options, quality, folder)
            score, model, camera = measured(orbit, made, time.monotonic() - start)
            scores[name] = score
            Pictures.fromarray(sheet(orbit, azimuth_deg, model, camera)).save(folder / "sheet.jpg", quality=90)
            print(f"{name}: {score.given:.3f}, {np.mean(score.others):.3f}, {score.seconds:.0f} s", flush=True)
    given = [score.given for score in scores.values()]
    others = [float(np.mean(score.others)) for score in scores.values()]
    figures = [
        Figure("pieces", len(scores), "", ">= 6"),
        Figure("IoU from the given view, mean", float(np.mean(given)), "", GIVEN_BOUND),
        Figure("IoU from the given view, lowest piece", min(given), "", GIVEN_BOUND),
        Figure("IoU over eight other views, mean", float(np.mean(others)), "", OTHER_BOUND),
        Figure("IoU over eight other views, lowest piece", min(others), "", OTHER_BOUND),
        Figure("seconds a piece, mean", float(np.mean([score.seconds for score in scores.values()])), "s"),
    ]
    for name, score in scores.items():
        figures.append(Figure(f"{name}, given view", score.given))
        figures.append(Figure(f"{name}, other views", float(np.mean(score.others))))
    report("single_image", figures, arguments.json)


if __name__ == "__main__":
    main()
