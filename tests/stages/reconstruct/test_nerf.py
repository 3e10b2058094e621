"""The radiance field with the real PyTorch, on photos of a painted sphere with known cameras."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
import trimesh
from PIL import Image

from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.progress import Progress
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import Mode, ReconstructedMesh, ReconstructOptions
from orchestrator.errors import Canceled, InvalidInput, ToolFailed
from orchestrator.stages.reconstruct.nerf import nerf, surface_mesh, views_of
from orchestrator.stages.reconstruct.task import ReconstructTask
from orchestrator.tools.nerf import Surface, Training, render_field, train_field
from tests.support.painted_sphere import camera_ring, look_at, photograph, sphere_texture

SIZE = (96, 96)
FOCAL = 140.0
SHORT_TRAINING = Training(seconds=600.0, steps=400, voxels=50, photo_px=96, rays=1536)
CAMERAS = [
    *camera_ring(14, distance=3.6, size=SIZE, focal=FOCAL),
    *(look_at((x, -1.2, z), size=SIZE, focal=FOCAL) for x, z in ((3.4, 0.3), (-0.2, 3.4), (-3.4, -0.3), (0.2, -3.4))),
]
NEW_CAMERA = look_at((1.3, 0.6, 3.4), size=SIZE, focal=FOCAL)

Shots = tuple[list[Path], list[Path]]
"""Photos and masks."""


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Shots:
    """Photos and masks of the sphere from CAMERAS."""
    folder = tmp_path_factory.mktemp("sphere")
    texture = sphere_texture()
    photos, masks = [], []
    for number, camera in enumerate(CAMERAS):
        photo, mask = photograph(camera, texture)
        photos.append(folder / f"photo-{number:02d}.png")
        masks.append(folder / f"mask-{number:02d}.png")
        cv2.imwrite(str(photos[-1]), photo[..., ::-1])
        cv2.imwrite(str(masks[-1]), mask)
    return photos, masks


def write_poses(folder: Path, photos: list[Path], masks: list[Path]) -> None:
    """Write the true cameras as a result of COLMAP."""
    (folder / "flat").mkdir(parents=True)
    for number, (photo, mask) in enumerate(zip(photos, masks, strict=True)):
        shutil.copy(photo, folder / "flat" / f"photo-{number:04d}.png")
        shutil.copy(mask, folder / "flat" / f"mask-{number:04d}.png")
    views, count = views_of(CAMERAS), len(CAMERAS)
    np.savez(
        folder / "poses.npz",
        placed=np.arange(count),
        matrices=views.intrinsics,
        world_to_camera=views.world_to_camera,
        sizes=views.sizes,
        points=np.zeros((0, 3)),
        error=0.5,
        matches=np.full((count, count), 100),
    )


class ProgressRecorder:
    """A progress callback that records messages and child processes, and cancels at a message with a given text."""

    def __init__(self, cancel_at: str = "") -> None:
        self.messages: list[str] = []
        self.children: list[psutil.Process] = []
        self._cancel_at = cancel_at

    def __call__(self, fraction: float, message: str) -> None:
        assert 0.0 <= fraction <= 1.0
        self.messages.append(message)
        known = set(self.children)
        self.children += [child for child in psutil.Process().children(recursive=True) if child not in known]
        if self._cancel_at and self._cancel_at in message:
            raise Canceled("the job was canceled")

    def saw(self, *texts: str) -> bool:
        return any(text in message for message in self.messages for text in texts)


@pytest.fixture(scope="module")
def trained(shots: Shots, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Surface]:
    """The field of the sphere. Its training was canceled at the second resolution and then continued."""
    folder = tmp_path_factory.mktemp("field")
    children_before = psutil.Process().children(recursive=True)
    canceled = ProgressRecorder(cancel_at="at 32 voxels")
    with pytest.raises(Canceled):
        train_field(*shots, views_of(CAMERAS), SHORT_TRAINING, folder, progress=canceled)
    children = [child for child in canceled.children if child not in children_before and child.is_running()]
    alive = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
    assert not alive, "the child process survived the cancellation"
    assert canceled.saw("at 24 voxels")
    continued = ProgressRecorder()
    surface = train_field(*shots, views_of(CAMERAS), SHORT_TRAINING, folder, progress=continued)
    assert not continued.saw("at 24 voxels", "hull")
    assert continued.saw("at 50 voxels")
    return folder, surface


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a.astype(float) - b.astype(float)) ** 2) / 255**2))


def test_new_view_shows_the_texture(trained: tuple[Path, Surface]) -> None:
    (path,) = render_field(views_of([NEW_CAMERA]), trained[0], ["new_view.png"])
    photo, mask = photograph(NEW_CAMERA, sphere_texture())
    truth = np.where(mask[..., None] > 127, photo, 255)
    rgba = np.asarray(Image.open(path), np.float64)
    coverage = rgba[..., 3:] / 255
    rendered = rgba[..., :3] * coverage + 255 * (1 - coverage)
    # The baseline is the true silhouette in the mean colour of the sphere: more than a visual hull provides.
    baseline = np.where(mask[..., None] > 127, photo[mask > 127].mean(0), 255)
    assert psnr(rendered, truth) > max(24.0, psnr(baseline, truth) + 4.0)
    outline_px = 2 * np.sqrt(np.pi * (mask > 127).sum())
    assert np.abs(coverage[..., 0] - mask / 255).sum() < 0.75 * outline_px  # the field's edge is soft, the mask's not


def test_surface_is_the_sphere(trained: tuple[Path, Surface]) -> None:
    vertices, triangles = surface_mesh(trained[1], 20_000)
    radius = np.linalg.norm(vertices, axis=1)
    assert abs(np.median(radius) - 1.0) < 0.02
    assert np.percentile(np.abs(radius - 1.0), 95) < 0.06  # a voxel is 0.04; the photos see the poles at a low angle
    mesh = trimesh.Trimesh(vertices, triangles)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(4 / 3 * np.pi, rel=0.06)  # positive: the triangles face outward


def test_enclosed_cavities_are_filled() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(24) - 11.5] * 3, indexing="ij"), -1)
    radius = np.linalg.norm(grid, axis=-1)
    shell = np.maximum(radius - 9, 5 - radius).astype(np.float32)
    vertices, triangles = surface_mesh(Surface(shell, np.zeros(3), 1.0), 20_000)
    assert trimesh.Trimesh(vertices, triangles).body_count == 1
    assert np.linalg.norm(vertices - 11.5, axis=1).min() > 7


def test_repeated_call_continues_after_the_last_finished_phase(
    trained: tuple[Path, Surface], shots: Shots, tmp_path: Path
) -> None:
    options = ReconstructOptions(mode=Mode.NERF, dimensions=Dimensions(height_m=0.5), texture_size=512)

    def reconstruct(progress: Progress) -> ReconstructedMesh:
        return nerf(ReconstructTask(*shots, options, Quality.PREVIEW, tmp_path, progress=progress))

    shutil.copytree(trained[0], tmp_path / "field")
    write_poses(tmp_path / "poses", *shots)
    first = ProgressRecorder()
    result = reconstruct(first)
    assert not first.saw("training")
    assert result.report.photos_used == tuple(range(len(CAMERAS)))
    assert result.report.coverage_deg == pytest.approx(360.0)
    assert result.dimensions.height_m == pytest.approx(0.5)
    assert result.dimensions.width_m == pytest.approx(0.5, rel=0.06)
    mesh = trimesh.load(result.glb, force="mesh")
    assert mesh.bounds[0][1] == pytest.approx(0.0, abs=1e-6)
    assert len(mesh.faces) == result.triangles
    assert result.preview is not None
    assert Image.open(result.preview).size == (240, 240)
    assert result.extras[0].suffix == ".mp4"
    second = ProgressRecorder()
    assert reconstruct(second) == result
    assert not second.saw("mesh", "view 1")


def test_masks_without_a_common_hull_are_rejected(shots: Shots, tmp_path: Path) -> None:
    masks = []
    for number in range(len(CAMERAS)):
        mask = np.zeros(SIZE[::-1], np.uint8)
        mask[:10, :10] = 255 * (number % 2)
        mask[-10:, -10:] = 255 * (1 - number % 2)
        masks.append(tmp_path / f"{number}.png")
        cv2.imwrite(str(masks[-1]), mask)
    with pytest.raises(ToolFailed, match="the visual hull of the masks is empty") as caught:
        train_field(shots[0], masks, views_of(CAMERAS), SHORT_TRAINING, tmp_path / "field")
    assert "Traceback" not in caught.value.message


def test_missing_pytorch_is_reported_with_the_install_command(
    shots: Shots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ToolFailed, match=r"PyTorch is not installed; run: pip install 'heartwood\[nerf\]'"):
        train_field(*shots, views_of(CAMERAS), SHORT_TRAINING, tmp_path)


def test_two_photos_are_too_few(shots: Shots, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="2 given"):
        train_field(shots[0][:2], shots[1][:2], views_of(CAMERAS[:2]), SHORT_TRAINING, tmp_path)
