"""Measures the reconstruction from one photo by its silhouettes, from the photo's view and from eight others.

python -m tests.benchmarks.single_image [--pictures DIR] [--pieces NAME …] [--preview] [--models] [--json FILE]

Each piece of ``furniture/picks.toml`` is rendered once, in a three-quarter view from slightly above. The stage gets
this photo and its true mask, and estimates the camera itself. With ``--models`` it also gets the maps of the models.

Given view: the mesh as the estimated camera sees it, against the mask of the photo.

Other views: eight azimuths, 40° apart, at the elevation of the photo. A photo does not determine the scale, so a
similarity aligns the mesh with the true piece. Its rotation is the one between the estimated and the true camera, so an
error of the estimated azimuth or elevation rotates the mesh and counts. Its scale and translation place the centre of
the mesh's bounding box at the distance of the true piece, at the pixel and with the size at which the estimated camera
sees it, so the two silhouettes coincide in the given view. Nothing is fitted to the other views.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PillowImage

from orchestrator.domain.images import Image
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import Mode, ReconstructOptions
from orchestrator.geometry.arrays import Floats
from orchestrator.geometry.cameras import Camera
from orchestrator.imaging.surfaces import decide_by_surface
from orchestrator.stages.reconstruct.single_image.single_image import single_image
from orchestrator.stages.reconstruct.task import ReconstructTask
from tests.benchmarks.furniture.catalogue import read_picks
from tests.benchmarks.orbit.photos import Orbit, render_orbit
from tests.benchmarks.report import Figure, report
from tests.benchmarks.running_models import triton_models
from tests.support.painted_mesh import (
    PaintedMesh,
    intersection_over_union,
    load_painted_mesh,
    picture,
    silhouette,
)

OTHER_VIEWS = 8
VIEW_SIZE = (400, 300)
GIVEN_BOUND = ">= 0.95"
OTHER_BOUND = ">= 0.6"
SHEET_AZIMUTHS_DEG = (0, 90, 150, 180)
"""Azimuths of the pictures on the sheet, from the front of the piece."""


@dataclass(frozen=True)
class Score:
    """Intersection over union of the silhouettes of one piece."""

    given: float
    others: tuple[float, ...]
    seconds: float = 0.0


def rotated(camera: Camera, angle_deg: float, centre: Floats) -> Camera:
    """Return the camera rotated around the vertical axis through ``centre``."""
    angle = np.radians(angle_deg)
    transform = np.eye(4)
    transform[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    transform[:3, 3] = centre - transform[:3, :3] @ centre
    return Camera(camera.intrinsics, camera.world_to_camera @ np.linalg.inv(transform), camera.size)


def aligned(mesh: PaintedMesh, estimated: Camera, true: Camera, true_centre: Floats) -> PaintedMesh:
    """Return the mesh aligned with the true piece, as described at the top of this file."""
    centre = (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    (pixel,), (depth,) = estimated.project(centre[None])
    true_depth = true.project(true_centre[None])[1][0]
    scale = (true_depth / true.intrinsics[0, 0]) / (depth / estimated.intrinsics[0, 0])
    rotation = true.world_to_camera[:3, :3].T @ estimated.world_to_camera[:3, :3]
    in_camera = np.linalg.inv(true.intrinsics) @ [*pixel, 1.0] * true_depth
    position = true.world_to_camera[:3, :3].T @ (in_camera - true.world_to_camera[:3, 3])
    vertices = (mesh.vertices - centre) @ rotation.T * scale + position
    return PaintedMesh(vertices, mesh.triangles, mesh.uv, mesh.texture)


def evaluate(orbit: Orbit, mesh: PaintedMesh, estimated: Camera) -> tuple[Score, PaintedMesh]:
    """Return the scores of ``mesh`` and the mesh aligned with the true piece.

    Args:
        orbit: one photo.
        estimated: camera of the photo in the frame of ``mesh``.
    """
    mask = np.asarray(PillowImage.open(orbit.masks[0])) > 127
    (true,) = orbit.cameras
    truth = PaintedMesh(orbit.vertices, orbit.triangles)
    aligned_mesh = aligned(mesh, estimated, true, orbit.centre)
    others = []
    for number in range(1, OTHER_VIEWS + 1):
        camera = rotated(true.resized(*VIEW_SIZE), 360 * number / (OTHER_VIEWS + 1), orbit.centre)
        others.append(intersection_over_union(silhouette(camera, aligned_mesh), silhouette(camera, truth)))
    return Score(intersection_over_union(silhouette(estimated, mesh), mask), tuple(others)), aligned_mesh


def sheet(orbit: Orbit, azimuth_deg: float, mesh: PaintedMesh) -> Image:
    """Return pictures from the photo's view and from all around, of the mesh in the first row and the truth below."""
    camera = orbit.cameras[0].resized(*VIEW_SIZE)
    cameras = [camera, *(rotated(camera, shown - azimuth_deg, orbit.centre) for shown in SHEET_AZIMUTHS_DEG)]
    photo = cv2.resize(np.asarray(PillowImage.open(orbit.photos[0])), VIEW_SIZE, interpolation=cv2.INTER_AREA)
    truth = PaintedMesh(orbit.vertices, orbit.triangles)
    return np.vstack([np.hstack([photo, *(picture(view, shown) for view in cameras)]) for shown in (mesh, truth)])


def figures_of(scores: dict[str, Score]) -> list[Figure]:
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
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=Path("build/single_image"), help="photos, meshes and sheets")
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
            photo = np.asarray(PillowImage.open(orbit.photos[0]))
            maps = decide_by_surface(photo, models.analyze(photo)) if models else None
            start = time.monotonic()
            result = single_image(ReconstructTask(orbit.photos, orbit.masks, options, quality, folder, maps=maps))
            seconds = time.monotonic() - start
            assert result.camera is not None
            estimated = Camera(
                np.array(result.camera.intrinsics), np.array(result.camera.world_to_camera), result.camera.size
            )
            score, mesh = evaluate(orbit, load_painted_mesh(result.glb), estimated)
            scores[name] = Score(score.given, score.others, seconds)
            PillowImage.fromarray(sheet(orbit, azimuth_deg, mesh)).save(folder / "sheet.jpg", quality=90)
            print(f"{name}: {score.given:.3f}, {np.mean(score.others):.3f}, {seconds:.0f} s", flush=True)
    report("single_image", figures_of(scores), arguments.json)


if __name__ == "__main__":
    main()
