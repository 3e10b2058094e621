"""Photogrammetry against known cameras and shapes.

python -m tests.benchmarks.photogrammetry [--pictures DIR] [--quality final|preview] [--only NAME …] [--json FILE]

Each piece is rendered as an orbit of 36 photos: some in a room full of detail, 800×600, some on a turntable before
plain surroundings with the light standing still. There only the piece tells where the camera was, so the photos are
1600×1200, a sixth of what a phone takes. The masks are the renderer's own: segment's are measured elsewhere.

Ours and the true cameras are put over each other by a similarity (Umeyama 1991) of the camera centres, then the
surfaces by iterated closest points. The F-score (Knapitsch et al. 2017, Tanks and Temples) counts points within 1 % of
the true bounding box's diagonal, of at least 50 000 on each surface. On both surfaces only places count that at least
one camera sees, by z-buffer: no photo shows what is under and inside a piece. A seen place of ours is compared with all
of the true surface. `--masks segment` is not measured here.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import Mode, ReconstructOptions
from orchestrator.geometry.cameras import Camera
from orchestrator.geometry.rasterize import depth_map
from orchestrator.stages.reconstruct.photogrammetry.photogrammetry import photogrammetry, upright_cameras
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
"""Name in ``furniture/picks.toml``, and whether it stands on a turntable."""
PHOTOS = 36
SIZE = {False: (800, 600), True: (1600, 1200)}
"""Of the photos in a room and on a turntable."""
POINTS = 60_000
REACH = 0.01
VIEWS = 12
"""Cameras, evenly around, by which it is judged what can be seen."""
Z_SLACK = 0.004
ICP_ROUNDS = 20

Points = NDArray[np.float64]
Mesh = tuple[Points, NDArray[np.int32]]


def similarity(ours: Points, theirs: Points) -> Points:
    """[4, 4] the rotation, scale and shift that brings ``ours`` [N, 3] nearest to ``theirs`` (Umeyama 1991)."""
    a, b = ours - ours.mean(0), theirs - theirs.mean(0)
    u, size, v = np.linalg.svd(b.T @ a / len(a))
    flip = np.diag([1, 1, np.sign(np.linalg.det(u) * np.linalg.det(v))])
    rotation = u @ flip @ v
    scale = float(np.trace(np.diag(size) @ flip) / (a**2).sum(1).mean())
    moved = np.eye(4)
    moved[:3, :3] = scale * rotation
    moved[:3, 3] = theirs.mean(0) - scale * rotation @ ours.mean(0)
    return moved


def rotation_errors(poses: Poses, orbit: Orbit) -> Points:
    """[N] degrees between our cameras and the true ones, after the similarity of their centres."""
    ours = poses.camera_to_world
    theirs = orbit.camera_to_world[list(poses.placed)]
    turn = similarity(ours[:, :3, 3], theirs[:, :3, 3])[:3, :3]
    turn = turn / np.cbrt(np.linalg.det(turn))
    between = np.swapaxes(theirs[:, :3, :3], 1, 2) @ turn @ ours[:, :3, :3]
    return np.asarray(np.degrees(np.arccos(np.clip((np.trace(between, axis1=1, axis2=2) - 1) / 2, -1, 1))))


def seen_points(mesh: Mesh, cameras: Sequence[Camera], slack: float) -> Points:
    """[POINTS, 3] evenly on what at least one camera sees of the surface."""
    model = trimesh.Trimesh(*mesh, process=False)
    points = np.asarray(trimesh.sample.sample_surface(model, 5 * POINTS, seed=1)[0])
    seen = np.zeros(len(points), bool)
    for camera in cameras:
        nearest = depth_map(camera, *mesh).depth
        pixels, depth = camera.project(points)
        column, row = np.floor(pixels).astype(int).T
        framed = (column >= 0) & (column < camera.size[0]) & (row >= 0) & (row < camera.size[1])
        seen[framed] |= depth[framed] < nearest[row[framed], column[framed]] + slack
    return points[seen][:POINTS]


def scores(ours: Mesh, orbit: Orbit, cameras: Sequence[Camera]) -> tuple[float, float, float]:
    """Precision, recall and F-score of ``ours``, in the orbit's world but for what closest points mend."""
    truth = (orbit.vertices, orbit.triangles)
    diagonal = float(np.linalg.norm(np.ptp(orbit.vertices, axis=0)))
    theirs = seen_points(truth, cameras, Z_SLACK * diagonal)
    whole = cKDTree(
        np.asarray(trimesh.sample.sample_surface(trimesh.Trimesh(*truth, process=False), 400_000, seed=2)[0])
    )
    some = np.asarray(trimesh.sample.sample_surface(trimesh.Trimesh(*ours, process=False), 20_000, seed=3)[0])
    moved = np.eye(4)
    for _ in range(ICP_ROUNDS):
        distance, nearest = whole.query(some)
        good = distance < np.quantile(distance, 0.8)
        step = similarity(some[good], whole.data[nearest[good]])
        some, moved = some @ step[:3, :3].T + step[:3, 3], step @ moved
    mesh = ours[0] @ moved[:3, :3].T + moved[:3, 3], ours[1]
    points = seen_points(mesh, cameras, Z_SLACK * diagonal)
    precision = float((whole.query(points)[0] < REACH * diagonal).mean())
    recall = float((cKDTree(points).query(theirs)[0] < REACH * diagonal).mean())
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


def measure(name: str, turntable: bool, pictures: Path, folder: Path, quality: Quality) -> list[Figure]:
    """Render the orbit where it is missing, reconstruct it, and compare."""
    orbit = render_orbit(
        name,
        pictures / f"{name}-{'turntable' if turntable else 'room'}",
        ring(PHOTOS),
        size=SIZE[turntable],
        turntable=turntable,
    )
    height = float(np.ptp(orbit.vertices[:, 1]))
    options = ReconstructOptions(
        mode=Mode.PHOTOGRAMMETRY, ordered=True, dimensions=Dimensions(height_m=height), max_triangles=100_000
    )
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    made = photogrammetry(orbit.photos, orbit.masks, options, quality, folder)
    seconds = time.monotonic() - began
    poses = read_poses(folder / "poses")
    width, tall = orbit.size
    matrix = np.array([[orbit.focal_px, 0, width / 2], [0, orbit.focal_px, tall / 2], [0, 0, 1]])
    true_cameras = [Camera(matrix, np.linalg.inv(pose), orbit.size) for pose in orbit.camera_to_world]
    # The surface as the stage left it, in the frame of our upright cameras, is put over the true one by the cameras.
    cameras, _ = upright_cameras(poses)
    over = similarity(
        np.stack([camera.position for camera in cameras]), orbit.camera_to_world[list(poses.placed)][:, :3, 3]
    )
    with np.load(folder / "surface.npz") as surface:
        mesh = surface["vertices"] @ over[:3, :3].T + over[:3, 3], surface["triangles"]
    precision, recall, f_score = scores(mesh, orbit, true_cameras[:: PHOTOS // VIEWS])
    errors = rotation_errors(poses, orbit)
    kind = "turntable" if turntable else "room"
    return [
        Figure(f"{name} ({kind}): photos placed", len(poses.placed), "of 36", f">= {PHOTOS}"),
        Figure(f"{name} ({kind}): median rotation error", float(np.median(errors)), "°", "<= 0.5"),
        Figure(f"{name} ({kind}): F-score at 1 %", f_score, "", ">= 0.8"),
        Figure(f"{name} ({kind}): precision", precision),
        Figure(f"{name} ({kind}): recall", recall),
        Figure(f"{name} ({kind}): reprojection error", poses.mean_reprojection_error_px, "px"),
        Figure(f"{name} ({kind}): height over width, ours to true", _shape(made.dimensions, orbit), ""),
        Figure(f"{name} ({kind}): seconds", seconds, "s"),
    ]


def _shape(ours: Dimensions, orbit: Orbit) -> float:
    """How much our proportions (height to the diagonal of the ground) differ from the true ones; 1 is right."""
    size = np.ptp(orbit.vertices, axis=0)
    return (ours.height_m / np.hypot(ours.width_m, ours.depth_m)) / (size[1] / np.hypot(size[0], size[2]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="where the orbits are kept; rendered if missing")
    parser.add_argument("--models", type=Path, help="where the models are kept")
    parser.add_argument("--quality", choices=[quality.value for quality in Quality], default="final")
    parser.add_argument("--only", nargs="*", default=list(PIECES), choices=list(PIECES))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory() as scratch:
        pictures = arguments.pictures or Path(scratch) / "pictures"
        models = arguments.models or Path(scratch) / "models"
        for name in arguments.only:
            figures += measure(name, PIECES[name], pictures, models / name, Quality(arguments.quality))
            report(f"photogrammetry, {arguments.quality}", figures, arguments.json)


if __name__ == "__main__":
    main()
