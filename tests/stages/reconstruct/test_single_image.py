"""A model from one photo: by symmetry, of furniture whose shape is known, and by a server on loopback."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh
from PIL import Image
from scipy.spatial import cKDTree

from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import Mode, Provider, ReconstructedMesh, ReconstructOptions
from orchestrator.errors import Canceled, InvalidInput, ToolFailed
from orchestrator.geometry.cameras import Camera
from orchestrator.stages.reconstruct.single_image.single_image import single_image
from tests.support.boxes import CHAIR, camera_at, photo_of
from tests.support.meshes import write_stool
from tests.support.painted_mesh import model_of, overlap, picture, silhouette
from tests.support.trellis_server import made, trellis_server

OPTIONS = ReconstructOptions(mode=Mode.SINGLE_IMAGE, dimensions=Dimensions(height_m=0.95), texture_size=512)
BY_SERVER = ReconstructOptions(mode=Mode.SINGLE_IMAGE, provider=Provider.TRELLIS, dimensions=Dimensions(height_m=0.5))


def written(folder: Path, photo: np.ndarray, mask: np.ndarray) -> tuple[Path, Path]:
    Image.fromarray(photo).save(folder / "photo.png")
    Image.fromarray(mask).save(folder / "mask.png")
    return folder / "photo.png", folder / "mask.png"


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Photo and mask of a chair, three quarters from the front."""
    return written(tmp_path_factory.mktemp("chair"), *photo_of(CHAIR, camera_at(32, 17, CHAIR, (640, 480))))


@pytest.fixture(scope="module")
def chair(taken: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> ReconstructedMesh:
    return single_image(*taken, None, OPTIONS, Quality.PREVIEW, tmp_path_factory.mktemp("model"))


def camera_of(model: ReconstructedMesh) -> Camera:
    assert model.camera is not None
    return Camera(np.array(model.camera.matrix), np.array(model.camera.world_to_camera), model.camera.size)


def behind(model: ReconstructedMesh, camera: Camera) -> Camera:
    """The camera on the other side of the model."""
    del model
    return Camera(camera.matrix, camera.world_to_camera @ np.diag([-1.0, 1.0, -1.0, 1.0]), camera.size)


def test_the_model_has_the_photos_silhouette(chair: ReconstructedMesh, taken: tuple[Path, Path]) -> None:
    mask = np.asarray(Image.open(taken[1])) > 127
    assert overlap(silhouette(camera_of(chair), model_of(chair.glb)), mask) >= 0.95


def test_the_model_is_closed(chair: ReconstructedMesh) -> None:
    mesh = trimesh.load(chair.glb, force="mesh", process=False)
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    assert mesh.is_watertight
    assert mesh.volume > 0


def test_the_model_is_symmetric(chair: ReconstructedMesh) -> None:
    mesh = trimesh.load(chair.glb, force="mesh", process=False)
    points = trimesh.sample.sample_surface(mesh, 20_000, seed=1)[0]
    away, _ = cKDTree(points).query(points * [-1, 1, 1])
    assert np.percentile(away, 95) < 0.02  # two voxels of 1.1 cm


def test_the_model_has_the_dimension_that_was_given_and_stands_on_the_floor(chair: ReconstructedMesh) -> None:
    mesh = trimesh.load(chair.glb, force="mesh", process=False)
    low, high = mesh.bounds
    assert chair.dimensions.height_m == pytest.approx(0.95)
    assert high[1] - low[1] == pytest.approx(0.95, rel=1e-4)
    assert low[1] == pytest.approx(0, abs=1e-5)
    assert (low + high)[[0, 2]] == pytest.approx([0, 0], abs=1e-4)
    assert chair.dimensions.width_m == pytest.approx(0.46, rel=0.15)
    assert chair.dimensions.depth_m == pytest.approx(0.44, rel=0.25)


def test_the_front_shows_what_the_photo_shows(chair: ReconstructedMesh, taken: tuple[Path, Path]) -> None:
    photo, mask = (np.asarray(Image.open(path)) for path in taken)
    shown = picture(camera_of(chair), model_of(chair.glb)).astype(float)
    well_inside = cv2.erode(mask, np.ones((9, 9), np.uint8)) > 0
    difference = np.abs(shown - photo)[well_inside].mean(1)
    assert np.median(difference) < 25  # the light of the picture is another


def test_the_seat_is_blue_and_the_back_is_not_from_either_side(chair: ReconstructedMesh) -> None:
    model = model_of(chair.glb)
    camera = camera_of(chair)
    mirrored = Camera(
        camera.matrix, np.diag([-1, 1, 1, 1.0]) @ camera.world_to_camera @ np.diag([-1, 1, 1, 1.0]), camera.size
    )
    for one in (camera, mirrored):
        shown = picture(one, model).astype(float)
        blue = silhouette(one, model) & (shown[..., 2] > shown[..., 0] * 1.2)
        share = blue.sum() / silhouette(one, model).sum()
        assert 0.1 < share < 0.5


def test_nothing_is_black_from_behind(chair: ReconstructedMesh) -> None:
    camera = behind(chair, camera_of(chair))
    model = model_of(chair.glb)
    shown = picture(camera, model)[silhouette(camera, model)]
    assert len(shown) > 5000
    assert (shown.max(1) < 40).mean() < 0.001


def test_the_report_says_what_is_guessed(chair: ReconstructedMesh) -> None:
    assert chair.report.photos_used == (0,)
    assert "back" in chair.report.advice[0]


def test_a_cancel_stops_the_work(taken: tuple[Path, Path], tmp_path: Path) -> None:
    def cancel(fraction: float, message: str) -> None:
        raise Canceled(f"{fraction} {message}")

    with pytest.raises(Canceled):
        single_image(*taken, None, OPTIONS, Quality.PREVIEW, tmp_path, progress=cancel)
    assert not (tmp_path / "model.glb").exists()


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros((90, 120), np.uint8), "0.00% of the photo"),
        (np.full((90, 120), 255, np.uint8), "all four borders"),
        (np.full((60, 120), 255, np.uint8), "120 × 60"),
    ],
)
def test_a_mask_that_shows_no_piece_is_refused(mask: np.ndarray, words: str, tmp_path: Path) -> None:
    files = written(tmp_path, np.full((90, 120, 3), 200, np.uint8), mask)
    with pytest.raises(InvalidInput, match=words):
        single_image(*files, None, OPTIONS, Quality.PREVIEW, tmp_path)


def test_without_a_server_the_provider_is_refused(taken: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="allowed is 'local'"):
        single_image(*taken, None, BY_SERVER, Quality.PREVIEW, tmp_path)


def test_the_servers_model_is_stood_on_the_floor_in_metres(taken: tuple[Path, Path], tmp_path: Path) -> None:
    sent = write_stool(tmp_path / "sent.glb").read_bytes()
    with trellis_server() as server:
        server.answers = [made(sent)]
        model = single_image(*taken, None, BY_SERVER, Quality.PREVIEW, tmp_path, trellis=server.settings())
    low, high = trimesh.load_scene(model.glb).bounds
    assert high[1] - low[1] == pytest.approx(0.5, rel=1e-4)
    assert low[1] == pytest.approx(0, abs=1e-5)
    assert (low + high)[[0, 2]] == pytest.approx([0, 0], abs=1e-4)
    assert model.dimensions.height_m == pytest.approx(0.5)
    assert model.triangles == sum(len(mesh.faces) for mesh in trimesh.load_scene(model.glb).geometry.values())


@pytest.mark.parametrize("damage", ["no model", "cut short", "reaches out", "a picture"])
def test_what_the_server_sends_is_not_trusted(damage: str, taken: tuple[Path, Path], tmp_path: Path) -> None:
    sent = write_stool(tmp_path / "sent.glb").read_bytes()
    if damage == "no model":
        sent = b"glTF"
    elif damage == "cut short":
        sent = sent[: len(sent) // 2]
    elif damage == "a picture":
        sent = taken[0].read_bytes()
    else:
        text = json.dumps(
            {"asset": {"version": "2.0"}, "buffers": [{"byteLength": 4, "uri": "../../etc/passwd"}], "meshes": []}
        ).encode()
        text += b" " * (-len(text) % 4)
        sent = struct.pack("<4sIIII", b"glTF", 2, 20 + len(text), len(text), 0x4E4F534A) + text
    with trellis_server() as server:
        server.answers = [made(sent)]
        with pytest.raises(ToolFailed, match="image-to-3D server"):
            single_image(*taken, None, BY_SERVER, Quality.PREVIEW, tmp_path, trellis=server.settings())
    assert not (tmp_path / "model.glb").exists()
