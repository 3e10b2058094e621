"""The radiance field, with the real PyTorch, on photos of a painted ball whose cameras are known."""

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
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import Mode, ReconstructOptions
from orchestrator.errors import Canceled, InvalidInput, ToolFailed
from orchestrator.stages.reconstruct.nerf import nerf, surface_mesh, views_of
from orchestrator.tools.nerf import Surface, Training, render_field, train_field
from tests.support.ball import look_at, paint, photograph, ring_of

SIZE, FOCAL, DISTANCE = (96, 96), 140.0, 3.6
SHORT = Training(seconds=600.0, steps=400, voxels=50, photo_px=96, rays=1536)
CAMERAS = [
    *ring_of(14, distance=DISTANCE, size=SIZE, focal=FOCAL),
    *(look_at((x, -1.2, z), size=SIZE, focal=FOCAL) for x, z in ((3.4, 0.3), (-0.2, 3.4), (-3.4, -0.3), (0.2, -3.4))),
]
UNSEEN = look_at((1.3, 0.6, 3.4), size=SIZE, focal=FOCAL)


def shoot(folder: Path) -> tuple[list[Path], list[Path]]:
    """The photos and masks of the ball from CAMERAS."""
    folder.mkdir()
    painting = paint()
    photos, masks = [], []
    for number, camera in enumerate(CAMERAS):
        photo, mask = photograph(camera, painting)
        photos.append(folder / f"photo-{number:02d}.png")
        masks.append(folder / f"mask-{number:02d}.png")
        cv2.imwrite(str(photos[-1]), photo[..., ::-1])
        cv2.imwrite(str(masks[-1]), mask)
    return photos, masks


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[Path]]:
    return shoot(tmp_path_factory.mktemp("ball") / "shots")


def write_poses(folder: Path, photos: list[Path], masks: list[Path]) -> None:
    """What COLMAP would have found, had it been asked."""
    (folder / "flat").mkdir(parents=True)
    for number, (photo, mask) in enumerate(zip(photos, masks, strict=True)):
        shutil.copy(photo, folder / "flat" / f"photo-{number:04d}.png")
        shutil.copy(mask, folder / "flat" / f"mask-{number:04d}.png")
    views, count = views_of(CAMERAS), len(CAMERAS)
    nothing = np.zeros(0, np.int64)
    np.savez(
        folder / "poses.npz",
        placed=np.arange(count),
        matrices=views.matrices,
        world_to_camera=views.world_to_camera,
        sizes=views.sizes,
        points=np.zeros((0, 3)),
        colors=np.zeros((0, 3), np.uint8),
        seen_photo=nothing,
        seen_point=nothing,
        error=0.5,
        matches=np.full((count, count), 100),
        masked=True,
    )


class Stopped:
    """A progress that keeps what it is told, and cancels at a message with certain words."""

    def __init__(self, at: str = "") -> None:
        self.at = at
        self.messages: list[str] = []
        self.children: list[psutil.Process] = []

    def __call__(self, fraction: float, message: str) -> None:
        assert 0.0 <= fraction <= 1.0
        self.messages.append(message)
        known = set(self.children)
        self.children += [one for one in psutil.Process().children(recursive=True) if one not in known]
        if self.at and self.at in message:
            raise Canceled("the job was canceled")


@pytest.fixture(scope="module")
def learned(shots: tuple[list[Path], list[Path]], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Surface]:
    """The field of the ball; its training was killed once, at the second resolution, and went on."""
    folder = tmp_path_factory.mktemp("field")
    before = psutil.Process().children(recursive=True)
    stopped = Stopped(at="at 32 voxels")
    with pytest.raises(Canceled):
        train_field(*shots, views_of(CAMERAS), SHORT, folder, progress=stopped)
    alive = [one for one in stopped.children if one not in before and one.is_running()]
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE], "a cancel left the child alive"
    assert any("at 24 voxels" in message for message in stopped.messages)
    going_on = Stopped()
    surface = train_field(*shots, views_of(CAMERAS), SHORT, folder, progress=going_on)
    assert not any("at 24 voxels" in message or "hull" in message for message in going_on.messages)
    assert any("at 50 voxels" in message for message in going_on.messages)
    return folder, surface


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((one.astype(float) - other.astype(float)) ** 2) / 255**2))


def test_a_view_that_no_photo_has_shows_the_paint(learned: tuple[Path, Surface]) -> None:
    (picture,) = render_field(views_of([UNSEEN]), learned[0], ["unseen.png"])
    photo, mask = photograph(UNSEEN, paint())
    truth = np.where(mask[..., None] > 127, photo, 255)
    clear = np.asarray(Image.open(picture), np.float64)
    cover = clear[..., 3:] / 255
    made = clear[..., :3] * cover + 255 * (1 - cover)
    # The true silhouette, filled with the ball's mean colour: more than a visual hull knows.
    flat = np.where(mask[..., None] > 127, photo[mask > 127].mean(0), 255)
    assert psnr(made, truth) > max(24.0, psnr(flat, truth) + 4.0)
    outline_px = 2 * np.sqrt(np.pi * (mask > 127).sum())
    assert np.abs(cover[..., 0] - mask / 255).sum() < 0.75 * outline_px  # the mask is hard, the field's edge is not


def test_the_surface_is_the_balls(learned: tuple[Path, Surface]) -> None:
    vertices, triangles = surface_mesh(learned[1], 20_000)
    radius = np.linalg.norm(vertices, axis=1)
    assert abs(np.median(radius) - 1.0) < 0.02
    assert np.percentile(np.abs(radius - 1.0), 95) < 0.06  # a voxel is 0.04; the photos see the poles flatly
    ball = trimesh.Trimesh(vertices, triangles)
    assert ball.is_watertight
    assert ball.volume == pytest.approx(4 / 3 * np.pi, rel=0.06)  # and its triangles look outwards


def test_hollows_that_nothing_sees_into_are_filled() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(24) - 11.5] * 3, indexing="ij"), -1)
    radius = np.linalg.norm(grid, axis=-1)
    shell = np.maximum(radius - 9, 5 - radius).astype(np.float32)
    vertices, triangles = surface_mesh(Surface(shell, np.zeros(3), 1.0), 20_000)
    assert trimesh.Trimesh(vertices, triangles).body_count == 1
    assert np.linalg.norm(vertices - 11.5, axis=1).min() > 7


def test_the_stage_goes_on_after_its_last_finished_part(
    learned: tuple[Path, Surface], shots: tuple[list[Path], list[Path]], tmp_path: Path
) -> None:
    shutil.copytree(learned[0], tmp_path / "field")
    write_poses(tmp_path / "poses", *shots)
    options = ReconstructOptions(mode=Mode.NERF, dimensions=Dimensions(height_m=0.5), texture_size=512)
    told = Stopped()
    made = nerf(*shots, options, Quality.PREVIEW, tmp_path, progress=told)
    assert not any("learning" in message for message in told.messages)
    assert made.report.photos_used == tuple(range(len(CAMERAS)))
    assert made.report.coverage_deg == pytest.approx(360.0)
    assert made.dimensions.height_m == pytest.approx(0.5)
    assert made.dimensions.width_m == pytest.approx(0.5, rel=0.06)
    model = trimesh.load(made.glb, force="mesh")
    assert model.bounds[0][1] == pytest.approx(0.0, abs=1e-6)
    assert len(model.faces) == made.triangles
    assert made.preview is not None
    assert Image.open(made.preview).size == (240, 240)
    video = made.extras[0]
    assert video.suffix == ".mp4"
    again = Stopped()
    assert nerf(*shots, options, Quality.PREVIEW, tmp_path, progress=again) == made
    assert not any("mesh" in message or "view 1" in message for message in again.messages)


def test_masks_that_share_no_place_are_refused_in_plain_words(
    shots: tuple[list[Path], list[Path]], tmp_path: Path
) -> None:
    wrong = []
    for number in range(len(CAMERAS)):
        mask = np.zeros(SIZE[::-1], np.uint8)
        mask[:10, :10] = 255 * (number % 2)
        mask[-10:, -10:] = 255 * (1 - number % 2)
        wrong.append(tmp_path / f"{number}.png")
        cv2.imwrite(str(wrong[-1]), mask)
    with pytest.raises(ToolFailed, match="the masks have no place in common") as refused:
        train_field(shots[0], wrong, views_of(CAMERAS), SHORT, tmp_path / "field")
    assert "Traceback" not in refused.value.message


def test_without_pytorch_the_message_says_what_to_install(
    shots: tuple[list[Path], list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # noqa: ARG005 - as it is called
    with pytest.raises(ToolFailed, match=r"PyTorch is not installed: pip install 'heartwood\[nerf\]'"):
        train_field(*shots, views_of(CAMERAS), SHORT, tmp_path)


def test_two_photos_are_too_few(shots: tuple[list[Path], list[Path]], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="2 given"):
        train_field(shots[0][:2], shots[1][:2], views_of(CAMERAS[:2]), SHORT, tmp_path)
