"""Turntables, rendered by the real Blender and encoded by the real ffmpeg."""

from __future__ import annotations

import re
import subprocess
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import trimesh
from PIL import Image

from orchestrator.domain.quality import Quality
from orchestrator.domain.render import Background, RenderOptions, VideoFormat
from orchestrator.errors import Canceled, InvalidInput, ToolFailed
from orchestrator.stages.render.turntable import FRAME, WoodTexture, frame_size, join_frames, render_frames
from orchestrator.tools.ffmpeg import bundled_ffmpeg
from tests.support.contained_text import contains_text
from tests.support.meshes import stool, write_stool

SMALL = RenderOptions(frames=12, width=256, height=160, seconds=2.0)


def render(mesh: Path, frames: list[int], options: RenderOptions, folder: Path, **arguments: object) -> list[int]:
    """Render PREVIEW frames into ``folder``; return their numbers in order of completion."""
    folder.mkdir(exist_ok=True)
    completed: list[int] = []

    def keep(number: int, image: Path) -> None:
        completed.append(number)
        (folder / (FRAME % number)).write_bytes(image.read_bytes())

    render_frames(mesh, frames, options, Quality.PREVIEW, folder, keep, **arguments)  # type: ignore[arg-type]
    return completed


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stool(tmp_path_factory.mktemp("mesh") / "stool.glb")


@pytest.fixture(scope="module")
def turn(mesh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all 12 frames, rendered by two Blender processes."""
    folder = tmp_path_factory.mktemp("turn")
    completed = render(mesh, list(range(12)), SMALL, folder, processes=2)
    assert sorted(completed) == list(range(12))
    return folder


@pytest.fixture
def grey_texture(tmp_path: Path) -> WoodTexture:
    """A texture for the material walnut, which no test mesh has."""
    image = tmp_path / "grey.png"
    Image.new("L", (8, 8), 128).save(image)
    return WoodTexture(image, image, image, 0.6, ("walnut",))


def pixels(image: Path) -> np.ndarray:
    return np.asarray(Image.open(image)).astype(int)


def test_no_missing_frames_starts_no_blender(tmp_path: Path) -> None:
    assert render(tmp_path / "no-such-mesh.glb", [], SMALL, tmp_path) == []


def test_frames_have_the_requested_size_and_all_differ(turn: Path) -> None:
    frames = [pixels(turn / (FRAME % number)) for number in range(12)]
    assert all(frame.shape == (80, 128, 3) for frame in frames)  # PREVIEW renders at half size
    # The stool looks the same after a quarter turn, except for noise. Consecutive frames always differ.
    for frame, following in zip(frames, [*frames[1:], frames[0]], strict=True):
        assert np.abs(frame - following).max() > 40


def test_videos_contain_each_frame_once_and_play_everywhere(turn: Path) -> None:
    turntable = join_frames(turn, SMALL, Quality.PREVIEW)
    assert set(turntable.videos) == {VideoFormat.MP4, VideoFormat.WEBM, VideoFormat.GIF}
    mp4 = turntable.videos[VideoFormat.MP4]
    description = probe(mp4)
    assert re.search(r"h264.*yuv420p\(tv, bt709", description), description
    assert re.search(r"128x80.*6 fps", description), description
    data = mp4.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert count_frames(mp4) == 12
    assert count_frames(turntable.videos[VideoFormat.WEBM]) == 12
    gif = Image.open(turntable.videos[VideoFormat.GIF])
    assert (gif.n_frames, gif.info["loop"], gif.size) == (12, 0, (128, 80))
    assert [Image.open(thumbnail).format for thumbnail in turntable.thumbnails] == ["WEBP"] * 4
    assert Image.open(turntable.contact_sheet).size == (1920, 900)
    made = (*turntable.videos.values(), *turntable.thumbnails, turntable.contact_sheet, *turn.glob("*.png"))
    assert not [file.name for file in made if contains_text(file, turn.name)]


def probe(video: Path) -> str:
    """Return ffmpeg's description of a video."""
    return subprocess.run([bundled_ffmpeg(), "-i", video], capture_output=True, text=True, check=False).stderr


def count_frames(video: Path) -> int:
    decode = [bundled_ffmpeg(), "-i", video, "-f", "null", "-"]
    output = subprocess.run(decode, capture_output=True, text=True, check=True).stderr
    return int(re.findall(r"frame=\s*(\d+)", output)[-1])


@pytest.mark.parametrize("size", [(2.0, 0.2, 0.3), (0.2, 2.5, 0.2), (1.0, 1.0, 1.0)])
def test_piece_of_any_shape_fits_into_the_frame_and_fills_it(size: tuple[float, ...], tmp_path: Path) -> None:
    box = trimesh.creation.box(size)
    box.apply_translation([3.0, 5.0, -2.0])  # the piece need not be at the origin
    (tmp_path / "box.glb").write_bytes(trimesh.Scene(box).export(file_type="glb"))
    options = RenderOptions(frames=12, width=160, height=240, background=Background.TRANSPARENT)
    render(tmp_path / "box.glb", [1], options, tmp_path / "frames")
    alpha = pixels(tmp_path / "frames" / (FRAME % 1))[..., 3]
    opaque = alpha > 250
    assert opaque.any()
    border = np.concatenate([opaque[0], opaque[-1], opaque[:, 0], opaque[:, -1]])
    assert not border.any()
    rows, columns = np.nonzero(opaque)
    filled = max(np.ptp(rows) / opaque.shape[0], np.ptp(columns) / opaque.shape[1])
    assert filled > 0.4
    assert np.median(alpha) == 0  # most of the frame is neither piece nor shadow


def test_texture_replaces_the_wood_and_no_other_material(mesh: Path, turn: Path, tmp_path: Path) -> None:
    for name, value in (("albedo", (20, 60, 160)), ("roughness", 200), ("height", 128)):
        Image.new("RGB" if isinstance(value, tuple) else "L", (64, 64), value).save(tmp_path / f"{name}.png")
    texture = WoodTexture(tmp_path / "albedo.png", tmp_path / "roughness.png", tmp_path / "height.png", 0.6)
    render(mesh, [0], SMALL, tmp_path / "blue", texture=texture)
    before, after = pixels(turn / (FRAME % 0)), pixels(tmp_path / "blue" / (FRAME % 0))
    wood = (before[..., 0] - before[..., 2] > 15) & (before[..., 1] - before[..., 2] > 0)
    cushion = before[..., 0] - before[..., 1] > 60
    assert wood.sum() > 100
    assert cushion.sum() > 50
    assert np.median((after - before)[wood][:, 2]) > 30  # bluer
    assert np.median((after - before)[wood][:, 0]) < -30  # less red
    assert np.abs(np.median((after - before)[cushion], axis=0)).max() < 12


def test_unknown_material_is_named_with_the_known_ones(mesh: Path, grey_texture: WoodTexture, tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="no material 'walnut'; it has cushion, wood"):
        render(mesh, [0], SMALL, tmp_path / "frames", texture=grey_texture)


def test_frame_line_printed_by_a_name_in_the_mesh_is_ignored(grey_texture: WoodTexture, tmp_path: Path) -> None:
    scene = stool()
    for geometry in scene.geometry.values():
        geometry.visual.material.name = "x\nFRAME 0\n"
    (tmp_path / "stool.glb").write_bytes(scene.export(file_type="glb"))
    completed: list[int] = []
    with pytest.raises(ToolFailed, match=r"\| FRAME 0 \|"):
        render_frames(
            tmp_path / "stool.glb",
            [0],
            SMALL,
            Quality.PREVIEW,
            tmp_path / "frames",
            lambda number, _: completed.append(number),
            texture=grey_texture,
        )
    assert completed == []


def test_cancel_leaves_no_blender_process(mesh: Path, tmp_path: Path) -> None:
    before = psutil.Process().children(recursive=True)
    started: list[psutil.Process] = []
    first_frame = threading.Event()

    def progress(fraction: float, message: str) -> None:
        del fraction, message
        children = psutil.Process().children(recursive=True)
        started.extend(process for process in children if process not in started and process not in before)
        if first_frame.is_set():
            raise Canceled("the job was canceled")

    def on_frame(number: int, image: Path) -> None:
        del number, image
        first_frame.set()

    with pytest.raises(Canceled):
        render_frames(mesh, list(range(12)), SMALL, Quality.PREVIEW, tmp_path, on_frame, processes=2, progress=progress)
    assert len(started) >= 2
    assert not [process for process in started if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"frames": 10}, "render.frames"),
        ({"width": 1281}, "render.width"),
        ({"height": 8}, "render.height"),
        ({"formats": ()}, "render.formats"),
        ({"elevation_deg": float("nan")}, "render.elevation_deg"),
        ({"seconds": 0.0}, "render.seconds"),
    ],
)
def test_invalid_option_is_named_by_its_field(values: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        RenderOptions(**values)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_preview_halves_the_frame_size_and_keeps_it_even() -> None:
    assert frame_size(SMALL, Quality.FINAL) == (256, 160)
    assert frame_size(RenderOptions(width=1922, height=1082), Quality.PREVIEW) == (960, 540)
