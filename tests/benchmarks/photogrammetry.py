"""Measures photogrammetry against known cameras and shapes.

python -m tests.benchmarks.photogrammetry [--pictures DIR] [--models DIR] [--quality final|preview] [--only NAME …]
    [--json FILE]

Each piece is rendered as an orbit of 36 photos: some pieces in a room full of detail at 800 × 600, some on a turntable
with a plain background and light that stands still. On a turntable only the piece shows how it turned, so these photos
are 1600 × 1200, a sixth of a phone's resolution. The masks are the renderer's. Masks from ``segment`` are measured by
other benchmarks.

The estimated world is aligned with the true one by a similarity of the camera centres (Umeyama 1991), and the surfaces
by iterated closest points. The F-score (Knapitsch et al. 2017, Tanks and Temples) counts points within 1 % of the true
bounding box's diagonal, among up to 60 000 points on each surface. Only points that at least one camera sees count,
because no photo shows the underside and the inside of a piece. Visible points of the reconstruction are compared with
the whole true surface.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import Mode, ReconstructOptions
from orchestrator.geometry.arrays import Floats
from orchestrator.geometry.cameras import Camera
from orchestrator.geometry.rasterize import rasterize_mesh
from orchestrator.stages.reconstruct.camera_poses import upright_cameras
from orchestrator.stages.reconstruct.photogrammetry.photogrammetry import photogrammetry
from orchestrator.stages.reconstruct.task import ReconstructTask
from orchestrator.tools.colmap import Poses, read_poses
from tests.benchmarks.orbit.photos import Orbit, render_orbit, ring
from tests.benchmarks.report import Figure, report

PIECES = {
    "cushion_chair": False,
    "round_table": False,
    "television_cabinet": False,
    "bedside_table": True,
    "side_chair": True,
}
"""Name in ``furniture/picks.toml``, and whether the piece stands on a turntable."""
PHOTOS = 36
ROOM_SIZE = (800, 600)
TURNTABLE_SIZE = (1600, 1200)
SURFACE_POINTS = 60_000
MAX_DISTANCE = 0.01
"""Distance up to which a point counts as correct, as a share of the diagonal."""
VISIBILITY_CAMERAS = 12
"""Number of cameras, evenly around the piece, that determine which points are visible."""
OCCLUSION_TOLERANCE = 0.004
"""How far a point may lie behind the visible surface and still count as visible, as a share of the diagonal."""
ICP_ROUNDS = 20
ICP_QUANTILE = 0.8
"""Share of the points, those with the smallest distance, that align the surfaces."""

Mesh = tuple[Floats, NDArray[np.int32]]


@dataclass(frozen=True)
class SurfaceScores:
    precision: float
    recall: float

    @property
    def f_score(self) -> float:
        return 2 * self.precision * self.recall / max(self.precision + self.recall, 1e-9)


def similarity(source: Floats, target: Floats) -> Floats:
    """Return the similarity transform [4, 4] that aligns ``source`` with ``target`` [N, 3] (Umeyama 1991)."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, size, v = np.linalg.svd(b.T @ a / len(a))
    flip = np.diag([1, 1, np.sign(np.linalg.det(u) * np.linalg.det(v))])
    rotation = u @ flip @ v
    scale = float(np.trace(np.diag(size) @ flip) / (a**2).sum(1).mean())
    transform = np.eye(4)
    transform[:3, :3] = scale * rotation
    transform[:3, 3] = target.mean(0) - scale * rotation @ source.mean(0)
    return transform


def transformed(points: Floats, transform: Floats) -> Floats:
    return np.asarray(points @ transform[:3, :3].T + transform[:3, 3])


def rotation_errors_deg(poses: Poses, orbit: Orbit) -> Floats:
    """Return the angle [N] between the estimated and the true cameras after alignment of their centres."""
    estimated = np.linalg.inv(poses.world_to_camera)
    true = orbit.camera_to_world[list(poses.placed)]
    rotation = similarity(estimated[:, :3, 3], true[:, :3, 3])[:3, :3]
    rotation = rotation / np.cbrt(np.linalg.det(rotation))
    difference = np.swapaxes(true[:, :3, :3], 1, 2) @ rotation @ estimated[:, :3, :3]
    cosine = (np.trace(difference, axis1=1, axis2=2) - 1) / 2
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def surface_points(mesh: Mesh, count: int, seed: int) -> Floats:
    return np.asarray(trimesh.sample.sample_surface(trimesh.Trimesh(*mesh, process=False), count, seed=seed)[0])


def visible_points(mesh: Mesh, cameras: Sequence[Camera], tolerance: float) -> Floats:
    """Return up to SURFACE_POINTS points [P, 3] evenly on what at least one camera sees of the surface."""
    points = surface_points(mesh, 5 * SURFACE_POINTS, seed=1)
    visible = np.zeros(len(points), bool)
    for camera in cameras:
        surface_depth = rasterize_mesh(camera, *mesh).depth
        pixels, depth = camera.project(points)
        column, row = np.floor(pixels).astype(int).T
        framed = (column >= 0) & (column < camera.size[0]) & (row >= 0) & (row < camera.size[1])
        visible[framed] |= depth[framed] < surface_depth[row[framed], column[framed]] + tolerance
    return points[visible][:SURFACE_POINTS]


def evaluate_surface(mesh: Mesh, orbit: Orbit, cameras: Sequence[Camera]) -> SurfaceScores:
    """Compare ``mesh``, already aligned by the cameras, with the true surface."""
    true_mesh = (orbit.vertices, orbit.triangles)
    diagonal = float(np.linalg.norm(np.ptp(orbit.vertices, axis=0)))
    tolerance = OCCLUSION_TOLERANCE * diagonal
    true_surface = cKDTree(surface_points(true_mesh, 400_000, seed=2))
    samples = surface_points(mesh, 20_000, seed=3)
    alignment = np.eye(4)
    for _ in range(ICP_ROUNDS):
        distance, nearest = true_surface.query(samples)
        close = distance < np.quantile(distance, ICP_QUANTILE)
        step = similarity(samples[close], true_surface.data[nearest[close]])
        samples, alignment = transformed(samples, step), step @ alignment
    points = visible_points((transformed(mesh[0], alignment), mesh[1]), cameras, tolerance)
    true_points = visible_points(true_mesh, cameras, tolerance)
    return SurfaceScores(
        precision=float((true_surface.query(points)[0] < MAX_DISTANCE * diagonal).mean()),
        recall=float((cKDTree(points).query(true_points)[0] < MAX_DISTANCE * diagonal).mean()),
    )


def measure(name: str, turntable: bool, pictures: Path, folder: Path, quality: Quality) -> list[Figure]:
    """Render the orbit if it is missing, reconstruct it and compare the result with the truth."""
    kind = "turntable" if turntable else "room"
    size = TURNTABLE_SIZE if turntable else ROOM_SIZE
    orbit = render_orbit(name, pictures / f"{name}-{kind}", ring(PHOTOS), size=size, turntable=turntable)
    height = float(np.ptp(orbit.vertices[:, 1]))
    options = ReconstructOptions(
        mode=Mode.PHOTOGRAMMETRY, ordered=True, dimensions=Dimensions(height_m=height), max_triangles=100_000
    )
    shutil.rmtree(folder, ignore_errors=True)
    started = time.monotonic()
    result = photogrammetry(ReconstructTask(orbit.photos, orbit.masks, options, quality, folder))
    seconds = time.monotonic() - started
    poses = read_poses(folder / "poses")
    # ``surface.npz`` is in the world of the upright estimated cameras.
    cameras, _ = upright_cameras(poses)
    centres = np.stack([camera.position for camera in cameras])
    to_true_world = similarity(centres, orbit.camera_to_world[list(poses.placed)][:, :3, 3])
    with np.load(folder / "surface.npz") as surface:
        mesh = transformed(surface["vertices"], to_true_world), surface["triangles"]
    scores = evaluate_surface(mesh, orbit, orbit.cameras[:: PHOTOS // VISIBILITY_CAMERAS])
    rotation_error = float(np.median(rotation_errors_deg(poses, orbit)))
    return [
        Figure(f"{name} ({kind}): photos placed", len(poses.placed), "of 36", f">= {PHOTOS}"),
        Figure(f"{name} ({kind}): median rotation error", rotation_error, "°", "<= 0.5"),
        Figure(f"{name} ({kind}): F-score at 1 %", scores.f_score, "", ">= 0.8"),
        Figure(f"{name} ({kind}): precision", scores.precision),
        Figure(f"{name} ({kind}): recall", scores.recall),
        Figure(f"{name} ({kind}): reprojection error", poses.mean_reprojection_error_px, "px"),
        Figure(f"{name} ({kind}): height over width, ours to true", proportion_ratio(result.dimensions, orbit), ""),
        Figure(f"{name} ({kind}): seconds", seconds, "s"),
    ]


def proportion_ratio(dimensions: Dimensions, orbit: Orbit) -> float:
    """Return the ratio of height to ground diagonal, relative to the true ratio."""
    size = np.ptp(orbit.vertices, axis=0)
    true_ratio = size[1] / np.hypot(size[0], size[2])
    return float(dimensions.height_m / np.hypot(dimensions.width_m, dimensions.depth_m) / true_ratio)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="folder for the orbits, which are rendered if missing")
    parser.add_argument("--models", type=Path, help="folder for the reconstructions")
    parser.add_argument("--quality", choices=[quality.value for quality in Quality], default="final")
    parser.add_argument("--only", nargs="*", default=list(PIECES), choices=list(PIECES))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory() as scratch:
        pictures = arguments.pictures or Path(scratch) / "pictures"
        meshes = arguments.models or Path(scratch) / "meshes"
        for name in arguments.only:
            figures += measure(name, PIECES[name], pictures, meshes / name, Quality(arguments.quality))
            report(f"photogrammetry, {arguments.quality}", figures, arguments.json)


if __name__ == "__main__":
    main()
