"""Reconstruction from one photo: locally, of a chair of known shape, and with a loopback image-to-3D server."""

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
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import (
    NO_PROGRAMS,
    Mode,
    Provider,
    ReconstructedMesh,
    ReconstructOptions,
    ReconstructPrograms,
)
from orchestrator.errors import Canceled, InvalidInput, ToolFailed
from orchestrator.geometry.cameras import Camera
from orchestrator.stages.reconstruct.single_image.single_image import single_image
from orchestrator.stages.reconstruct.task import ReconstructTask
from tests.support.boxes import CHAIR, camera_at, photo_of
from tests.support.meshes import write_stool
from tests.support.painted_mesh import intersection_over_union, load_painted_mesh, picture, silhouette
from tests.support.trellis_server import TrellisServer, glb_response, trellis_server

LOCAL = ReconstructOptions(mode=Mode.SINGLE_IMAGE, dimensions=Dimensions(height_m=0.95), texture_size=512)
TRELLIS = ReconstructOptions(mode=Mode.SINGLE_IMAGE, provider=Provider.TRELLIS, dimensions=Dimensions(height_m=0.5))

Shot = tuple[Path, Path]
"""Photo and mask."""


def write_shot(folder: Path, photo: np.ndarray, mask: np.ndarray) -> Shot:
    Image.fromarray(photo).save(folder / "photo.png")
    Image.fromarray(mask).save(folder / "mask.png")
    return folder / "photo.png", folder / "mask.png"


def reconstruct(
    shot: Shot,
    options: ReconstructOptions,
    folder: Path,
    *,
    server: TrellisServer | None = None,
    progress: Progress = no_progress,
) -> ReconstructedMesh:
    photo, mask = shot
    programs = ReconstructPrograms(trellis=server.settings()) if server else NO_PROGRAMS
    return single_image(
        ReconstructTask([photo], [mask], options, Quality.PREVIEW, folder, programs=programs, progress=progress)
    )


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Shot:
    """A three-quarter view of a chair."""
    return write_shot(tmp_path_factory.mktemp("chair"), *photo_of(CHAIR, camera_at(32, 17, CHAIR, (640, 480))))


@pytest.fixture(scope="module")
def chair(shot: Shot, tmp_path_factory: pytest.TempPathFactory) -> ReconstructedMesh:
    return reconstruct(shot, LOCAL, tmp_path_factory.mktemp("result"))


def camera_of(result: ReconstructedMesh) -> Camera:
    assert result.camera is not None
    return Camera(np.array(result.camera.intrinsics), np.array(result.camera.world_to_camera), result.camera.size)


def test_silhouette_is_that_of_the_photo(chair: ReconstructedMesh, shot: Shot) -> None:
    mask = np.asarray(Image.open(shot[1])) > 127
    assert intersection_over_union(silhouette(camera_of(chair), load_painted_mesh(chair.glb)), mask) >= 0.95


def test_mesh_is_watertight(chair: ReconstructedMesh) -> None:
    mesh = trimesh.load(chair.glb, force="mesh", process=False)
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    assert mesh.is_watertight
    assert mesh.volume > 0


def test_mesh_is_symmetric(chair: ReconstructedMesh) -> None:
    mesh = trimesh.load(chair.glb, force="mesh", process=False)
    points = trimesh.sample.sample_surface(mesh, 20_000, seed=1)[0]
    distance, _ = cKDTree(points).query(points * [-1, 1, 1])
    assert np.percentile(distance, 95) < 0.02  # two voxels of 1.1 cm


def test_mesh_has_the_given_height_and_stands_on_the_floor(chair: ReconstructedMesh) -> None:
    mesh = trimesh.load(chair.glb, force="mesh", process=False)
    low, high = mesh.bounds
    assert chair.dimensions.height_m == pytest.approx(0.95)
    assert high[1] - low[1] == pytest.approx(0.95, rel=1e-4)
    assert low[1] == pytest.approx(0, abs=1e-5)
    assert (low + high)[[0, 2]] == pytest.approx([0, 0], abs=1e-4)
    assert chair.dimensions.width_m == pytest.approx(0.46, rel=0.15)
    assert chair.dimensions.depth_m == pytest.approx(0.44, rel=0.25)


def test_front_has_the_colours_of_the_photo(chair: ReconstructedMesh, shot: Shot) -> None:
    photo, mask = (np.asarray(Image.open(path)) for path in shot)
    rendered = picture(camera_of(chair), load_painted_mesh(chair.glb)).astype(float)
    inside = cv2.erode(mask, np.ones((9, 9), np.uint8)) > 0
    difference = np.abs(rendered - photo)[inside].mean(1)
    assert np.median(difference) < 25  # the rendering has different light


def test_seat_is_blue_and_back_is_not_from_both_sides(chair: ReconstructedMesh) -> None:
    mesh = load_painted_mesh(chair.glb)
    camera = camera_of(chair)
    flip = np.diag([-1, 1, 1, 1.0])
    mirrored = Camera(camera.intrinsics, flip @ camera.world_to_camera @ flip, camera.size)
    for view in (camera, mirrored):
        rendered = picture(view, mesh).astype(float)
        blue = silhouette(view, mesh) & (rendered[..., 2] > rendered[..., 0] * 1.2)
        assert 0.1 < blue.sum() / silhouette(view, mesh).sum() < 0.5


def test_back_is_textured(chair: ReconstructedMesh) -> None:
    front = camera_of(chair)
    behind = Camera(front.intrinsics, front.world_to_camera @ np.diag([-1.0, 1.0, -1.0, 1.0]), front.size)
    mesh = load_painted_mesh(chair.glb)
    rendered = picture(behind, mesh)[silhouette(behind, mesh)]
    assert len(rendered) > 5000
    assert (rendered.max(1) < 40).mean() < 0.001


def test_report_states_what_is_inferred(chair: ReconstructedMesh) -> None:
    assert chair.report.photos_used == (0,)
    assert "back" in chair.report.advice[0]


def test_cancel_stops_the_reconstruction(shot: Shot, tmp_path: Path) -> None:
    def cancel(fraction: float, message: str) -> None:
        raise Canceled(f"{fraction} {message}")

    with pytest.raises(Canceled):
        reconstruct(shot, LOCAL, tmp_path, progress=cancel)
    assert not (tmp_path / "model.glb").exists()


SPECKS = np.zeros((90, 120), np.uint8)
SPECKS[::6, ::6] = 255  # 300 pixels, each less than 1 % of all


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((90, 120), np.uint8), "0.00% of the photo"),
        (SPECKS, "0.00% of the photo"),
        (np.full((90, 120), 255, np.uint8), "all four borders"),
        (np.full((60, 120), 255, np.uint8), "120 × 60"),
    ],
    ids=["empty", "only noise", "full", "wrong size"],
)
def test_unusable_mask_is_rejected(mask: np.ndarray, message: str, tmp_path: Path) -> None:
    shot = write_shot(tmp_path, np.full((90, 120, 3), 200, np.uint8), mask)
    with pytest.raises(InvalidInput, match=message):
        reconstruct(shot, LOCAL, tmp_path)


def test_trellis_is_rejected_without_a_server(shot: Shot, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="use 'local'"):
        reconstruct(shot, TRELLIS, tmp_path)


def test_servers_mesh_is_scaled_and_placed_on_the_floor(shot: Shot, tmp_path: Path) -> None:
    glb = write_stool(tmp_path / "sent.glb").read_bytes()
    with trellis_server() as server:
        server.responses = [glb_response(glb)]
        result = reconstruct(shot, TRELLIS, tmp_path, server=server)
    scene = trimesh.load_scene(result.glb)
    low, high = scene.bounds
    assert high[1] - low[1] == pytest.approx(0.5, rel=1e-4)
    assert low[1] == pytest.approx(0, abs=1e-5)
    assert (low + high)[[0, 2]] == pytest.approx([0, 0], abs=1e-4)
    assert result.dimensions.height_m == pytest.approx(0.5)
    assert result.triangles == sum(len(mesh.faces) for mesh in scene.geometry.values())


@pytest.mark.parametrize("damage", ["no GLB", "truncated", "external file", "an image"])
def test_invalid_response_of_the_server_is_rejected(damage: str, shot: Shot, tmp_path: Path) -> None:
    glb = write_stool(tmp_path / "sent.glb").read_bytes()
    if damage == "no GLB":
        glb = b"glTF"
    elif damage == "truncated":
        glb = glb[: len(glb) // 2]
    elif damage == "an image":
        glb = shot[0].read_bytes()
    else:
        text = json.dumps(
            {"asset": {"version": "2.0"}, "buffers": [{"byteLength": 4, "uri": "../../etc/passwd"}], "meshes": []}
        ).encode()
        text += b" " * (-len(text) % 4)
        glb = struct.pack("<4sIIII", b"glTF", 2, 20 + len(text), len(text), 0x4E4F534A) + text
    with trellis_server() as server:
        server.responses = [glb_response(glb)]
        with pytest.raises(ToolFailed, match="image-to-3D server"):
            reconstruct(shot, TRELLIS, tmp_path, server=server)
    assert not (tmp_path / "model.glb").exists()
