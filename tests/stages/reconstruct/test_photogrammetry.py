"""Photogrammetry with the real COLMAP, on photos of the armchair."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
import trimesh
from PIL import Image
from scipy.spatial import cKDTree

from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import Mode, ReconstructedMesh, ReconstructOptions
from orchestrator.errors import Canceled, InvalidInput, ToolFailed
from orchestrator.stages.reconstruct import camera_poses
from orchestrator.stages.reconstruct.photogrammetry import photogrammetry as stage
from orchestrator.stages.reconstruct.photogrammetry.photogrammetry import (
    MIN_SILHOUETTE_OVERLAP,
    photogrammetry,
    silhouette_overlap,
)
from orchestrator.stages.reconstruct.task import ReconstructTask
from orchestrator.tools.colmap import read_poses, solve_poses
from tests.support.armchair import HEIGHT_M, armchair, color_at, write_photos
from tests.support.painted_sphere import camera_ring, photograph, sphere_mesh, sphere_texture

OPTIONS = ReconstructOptions(
    mode=Mode.PHOTOGRAMMETRY, dimensions=Dimensions(height_m=HEIGHT_M), texture_size=1024, max_triangles=12_000
)
SIZE = (400, 320)


@dataclass(frozen=True)
class Capture:
    """Photos of the armchair and their reconstruction."""

    photos: list[Path]
    masks: list[Path]
    folder: Path
    result: ReconstructedMesh


def reconstruct(
    photos: list[Path], masks: list[Path], folder: Path, progress: Progress = no_progress
) -> ReconstructedMesh:
    return photogrammetry(ReconstructTask(photos, masks, OPTIONS, Quality.PREVIEW, folder, progress=progress))


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    """The armchair from 16 photos. The first one shows the front."""
    folder = tmp_path_factory.mktemp("armchair")
    photos, masks = write_photos([360 * number / 16 for number in range(16)], SIZE, folder / "photos")
    return Capture(photos, masks, folder / "work", reconstruct(photos, masks, folder / "work"))


def mesh_of(result: ReconstructedMesh) -> trimesh.Trimesh:
    return next(iter(trimesh.load_scene(result.glb).geometry.values()))


def test_mesh_is_close_to_the_piece_in_metres_upright_and_front_first(capture: Capture) -> None:
    truth = trimesh.Trimesh(*armchair(), process=False)
    points = np.asarray(trimesh.sample.sample_surface(mesh_of(capture.result), 20_000, seed=1)[0])
    true_points = np.asarray(trimesh.sample.sample_surface(truth, 60_000, seed=1)[0])
    diagonal = float(np.linalg.norm(truth.extents))
    # The mesh is compared without alignment. A pixel is 4 mm wide. No photo shows the seat from below, so points near
    # its underside are excluded; above the seat, everything is visible except where the boxes touch.
    points = points[(points[:, 1] > 0.31) | (points[:, 1] < 0.2)]
    visible_points = true_points[true_points[:, 1] > 0.43]
    to_truth = cKDTree(true_points).query(points)[0] / diagonal
    from_truth = cKDTree(points).query(visible_points)[0] / diagonal
    assert np.median(to_truth) < 0.01
    assert np.percentile(to_truth, 95) < 0.03
    assert np.median(from_truth) < 0.01
    size = capture.result.dimensions
    assert size.height_m == pytest.approx(HEIGHT_M)
    assert (size.width_m, size.depth_m) == pytest.approx((0.6, 0.56), rel=0.05)


def test_texture_has_the_colours_of_the_surface(capture: Capture) -> None:
    mesh = mesh_of(capture.result)
    points, face = trimesh.sample.sample_surface(mesh, 20_000, seed=1)
    weights = trimesh.triangles.points_to_barycentric(mesh.triangles[face], points)
    uv = np.einsum("pk,pkd->pd", weights, np.asarray(mesh.visual.uv)[mesh.faces[face]])
    texture = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"))
    row, column = ((1 - uv[:, 1]) * 1024).astype(int), (uv[:, 0] * 1024).astype(int)
    colors = texture[np.clip(row, 0, 1023), np.clip(column, 0, 1023)].astype(int)
    error = np.abs(colors - color_at(np.asarray(points))).mean(1)
    # A texture that is mirrored, rotated or shifted by a chart has an error of 50 levels, like two random points.
    assert np.median(error) < 20
    assert colors.min(1).max() < 250
    assert (colors.max(1) < 8).mean() < 0.005  # the surface has no black points


def test_report_lists_the_used_photos(capture: Capture) -> None:
    report = capture.result.report
    assert report.photos == 16
    assert report.photos_used == tuple(range(16))
    assert report.coverage_deg == pytest.approx(360)
    assert 0 < report.mean_reprojection_error_px < 1
    assert report.advice == ()


def test_repeated_call_continues_after_the_last_finished_phase(
    capture: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("this phase has already finished")

    shutil.copytree(capture.folder / "poses", tmp_path / "poses")
    (tmp_path / "surface.part.npz").write_bytes(b"incomplete")
    monkeypatch.setattr(camera_poses, "solve_poses", fail)
    with pytest.raises(Canceled):  # interrupts the next phase
        reconstruct(capture.photos, capture.masks, tmp_path, cancel_at("depth of"))
    shutil.copy(capture.folder / "surface.npz", tmp_path)
    monkeypatch.setattr(stage, "reconstruct_surface", fail)
    repeated = reconstruct(capture.photos, capture.masks, tmp_path)
    assert repeated.triangles == capture.result.triangles
    assert repeated.report == capture.result.report
    monkeypatch.setattr(stage, "bake_from_photos", fail)
    assert reconstruct(capture.photos, capture.masks, tmp_path) == repeated


def test_advice_names_the_missing_side(tmp_path: Path) -> None:
    azimuths = [0, 20, 40, 60, 80, 180, 270]
    photos, masks = write_photos(azimuths, SIZE, tmp_path / "photos")
    report = reconstruct(photos, masks, tmp_path / "work").report
    assert report.photos_used[:5] == (0, 1, 2, 3, 4)
    advice = " ".join(report.advice)
    assert "2 of 7 photos could not be placed" in advice
    assert "between photos 5 and 6" in advice or "no features in common with any other photo: photos 6" in advice
    assert report.coverage_deg == pytest.approx(120, abs=5)
    assert "no photo shows the piece from 100° to 340°" in advice


def test_photos_without_overlap_are_rejected_with_a_reason(tmp_path: Path) -> None:
    photos, masks = write_photos([0, 120, 240], SIZE, tmp_path / "photos")
    with pytest.raises(ToolFailed, match="3 of 3 photos could not be placed: "):
        reconstruct(photos, masks, tmp_path / "work")


@pytest.mark.parametrize(
    ("value", "reason"), [(0, "no piece was found"), (255, "could not be separated from the background")]
)
def test_photos_with_unusable_masks_are_named(value: int, reason: str, tmp_path: Path) -> None:
    photos, masks = write_photos([0, 20, 40], (80, 64), tmp_path / "photos")
    Image.new("L", (80, 64), value).save(masks[1])
    with pytest.raises(ToolFailed, match=f"only 2 of 3 photos show the piece: photo 2 is left out: .*{reason}"):
        reconstruct(photos, masks, tmp_path / "work")


def test_two_photos_are_too_few(tmp_path: Path) -> None:
    photos, masks = write_photos([0, 20], (80, 64), tmp_path / "photos")
    with pytest.raises(InvalidInput, match="2 given"):
        reconstruct(photos, masks, tmp_path / "work")


def test_same_photos_give_the_same_cameras(capture: Capture, tmp_path: Path) -> None:
    first, second = read_poses(capture.folder / "poses"), solve_poses(capture.photos, capture.masks, tmp_path)
    assert (second.match_counts == first.match_counts).all()
    assert second.placed == first.placed
    assert np.array_equal(second.world_to_camera, first.world_to_camera)


def test_cancel_ends_colmap(capture: Capture, tmp_path: Path) -> None:
    with pytest.raises(Canceled):
        reconstruct(capture.photos, capture.masks, tmp_path, cancel_at("finding features"))
    running = [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any("colmap_child" in argument for argument in process.info["cmdline"] or ())
        and any(str(tmp_path) in argument for argument in process.info["cmdline"])
    ]
    assert running == []


def cancel_at(text: str) -> Callable[[float, str], None]:
    """Return a progress callback that cancels at the first message that contains ``text``."""

    def progress(_: float, message: str) -> None:
        if text in message:
            raise Canceled("stop")

    return progress


def test_surface_that_contradicts_the_masks_has_a_low_overlap() -> None:
    cameras = camera_ring(12, distance=4, size=(200, 160), focal=230)
    masks = [photograph(camera, sphere_texture())[1] for camera in cameras]
    vertices, triangles = sphere_mesh(3)
    assert silhouette_overlap(cameras, masks, vertices, triangles) > 0.95
    assert silhouette_overlap(cameras, masks, vertices * [0.2, 1, 0.2], triangles) < MIN_SILHOUETTE_OVERLAP
