"""The turntable, with the real Blender and ffmpeg."""

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
from tests.support.meshes import stool, write_stool

SMALL = RenderOptions(frames=12, width=256, height=160, seconds=2.0)


def render(model: Path, frames: list[int], options: RenderOptions, folder: Path, **how: object) -> list[int]:
    """Render into ``folder`` as FRAME; return the numbers in the order they came."""
    folder.mkdir(exist_ok=True)
    came: list[int] = []

    def made(number: int, picture: Path) -> None:
        came.append(number)
        (folder / (FRAME % number)).write_bytes(picture.read_bytes())

    render_frames(model, frames, options, Quality.PREVIEW, folder, made, **how)  # type: ignore[arg-type]
    return came


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stool(tmp_path_factory.mktemp("model") / "stool.glb")


@pytest.fixture(scope="module")
def turn(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all 12 frames, rendered by two Blenders."""
    folder = tmp_path_factory.mktemp("turn")
    came = render(model, list(range(12)), SMALL, folder, processes=2)
    assert sorted(came) == list(range(12))
    return folder


def test_when_every_frame_is_there_nothing_is_rendered(tmp_path: Path) -> None:
    assert render(tmp_path / "no-such-model.glb", [], SMALL, tmp_path) == []


def pixels(picture: Path) -> np.ndarray:
    return np.asarray(Image.open(picture)).astype(int)


def test_the_frames_have_the_size_asked_for_and_none_stands_twice(turn: Path) -> None:
    frames = [pixels(turn / (FRAME % number)) for number in range(12)]
    assert all(frame.shape == (80, 128, 3) for frame in frames)  # PREVIEW: half
    # A stool is the same after a quarter of the turn, but for the light's noise; never from frame to frame.
    for one, following in zip(frames, [*frames[1:], frames[0]], strict=True):
        assert np.abs(one - following).max() > 40


def test_videos_hold_each_frame_once_and_open_everywhere(turn: Path) -> None:
    made = join_frames(turn, SMALL, Quality.PREVIEW)
    assert set(made.videos) == {VideoFormat.MP4, VideoFormat.WEBM, VideoFormat.GIF}
    mp4 = made.videos[VideoFormat.MP4]
    told = probe(mp4)
    assert re.search(r"h264.*yuv420p\(tv, bt709", told), told
    assert re.search(r"128x80.*6 fps", told), told
    data = mp4.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert count_frames(mp4) == 12
    assert count_frames(made.videos[VideoFormat.WEBM]) == 12
    gif = Image.open(made.videos[VideoFormat.GIF])
    assert (gif.n_frames, gif.info["loop"], gif.size) == (12, 0, (128, 80))
    assert [Image.open(one).format for one in made.thumbnails] == ["WEBP"] * 4
    assert Image.open(made.contact_sheet).size == (1920, 900)


def probe(video: Path) -> str:
    return subprocess.run([bundled_ffmpeg(), "-i", video], capture_output=True, text=True, check=False).stderr


def count_frames(video: Path) -> int:
    told = subprocess.run(
        [bundled_ffmpeg(), "-i", video, "-f", "null", "-"], capture_output=True, text=True, check=True
    ).stderr
    return int(re.findall(r"frame=\s*(\d+)", told)[-1])


@pytest.mark.parametrize("size", [(2.0, 0.2, 0.3), (0.2, 2.5, 0.2), (1.0, 1.0, 1.0)])
def test_nothing_is_cut_off_whatever_the_shape_and_the_format(size: tuple[float, ...], tmp_path: Path) -> None:
    box = trimesh.creation.box(size)
    box.apply_translation([3.0, 5.0, -2.0])  # the origin of the model is anywhere
    (tmp_path / "box.glb").write_bytes(trimesh.Scene(box).export(file_type="glb"))
    options = RenderOptions(frames=12, width=160, height=240, background=Background.TRANSPARENT)
    render(tmp_path / "box.glb", [1], options, tmp_path / "frames")
    alpha = pixels(tmp_path / "frames" / (FRAME % 1))[..., 3]
    solid = alpha > 250
    assert solid.any()
    border = np.concatenate([solid[0], solid[-1], solid[:, 0], solid[:, -1]])
    assert not border.any()
    rows, columns = np.nonzero(solid)
    filled = max(np.ptp(rows) / solid.shape[0], np.ptp(columns) / solid.shape[1])
    assert filled > 0.4  # and the piece is not lost in the picture either
    assert np.median(alpha) == 0  # most of the picture is neither piece nor shadow


def test_a_stained_set_replaces_the_wood_and_nothing_else(model: Path, turn: Path, tmp_path: Path) -> None:
    for name, value in (("albedo", (20, 60, 160)), ("roughness", 200), ("height", 128)):
        Image.new("RGB" if isinstance(value, tuple) else "L", (64, 64), value).save(tmp_path / f"{name}.png")
    texture = WoodTexture(tmp_path / "albedo.png", tmp_path / "roughness.png", tmp_path / "height.png", 0.6)
    render(model, [0], SMALL, tmp_path / "blue", texture=texture)
    before, after = pixels(turn / (FRAME % 0)), pixels(tmp_path / "blue" / (FRAME % 0))
    wood = (before[..., 0] - before[..., 2] > 15) & (before[..., 1] - before[..., 2] > 0)
    cushion = before[..., 0] - before[..., 1] > 60
    assert wood.sum() > 100
    assert cushion.sum() > 50
    assert np.median((after - before)[wood][:, 2]) > 30  # bluer
    assert np.median((after - before)[wood][:, 0]) < -30  # less red
    assert np.abs(np.median((after - before)[cushion], axis=0)).max() < 12


def test_a_material_that_the_model_does_not_have_is_named(model: Path, tmp_path: Path) -> None:
    picture = tmp_path / "grey.png"
    Image.new("L", (8, 8), 128).save(picture)
    texture = WoodTexture(picture, picture, picture, 0.6, ("walnut",))
    with pytest.raises(ToolFailed, match="no material 'walnut'; it has cushion, wood"):
        render(model, [0], SMALL, tmp_path / "frames", texture=texture)


def test_what_a_name_in_the_model_makes_blender_print_is_no_frame(tmp_path: Path) -> None:
    scene = stool()
    for part in scene.geometry.values():
        part.visual.material.name = "x\nFRAME 0\n"
    (tmp_path / "stool.glb").write_bytes(scene.export(file_type="glb"))
    picture = tmp_path / "grey.png"
    Image.new("L", (8, 8), 128).save(picture)
    texture = WoodTexture(picture, picture, picture, 0.6, ("walnut",))
    came: list[int] = []
    folder = tmp_path / "frames"
    with pytest.raises(ToolFailed, match=r"\| FRAME 0 \|"):
        render_frames(
            tmp_path / "stool.glb", [0], SMALL, Quality.PREVIEW, folder, lambda n, _: came.append(n), texture=texture
        )
    assert came == []


def test_a_cancel_leaves_no_blender_behind(model: Path, tmp_path: Path) -> None:
    before = psutil.Process().children(recursive=True)
    seen: list[psutil.Process] = []
    began = threading.Event()

    def progress(fraction: float, message: str) -> None:
        del fraction, message
        now = psutil.Process().children(recursive=True)
        seen.extend(one for one in now if one not in seen and one not in before)
        if began.is_set():
            raise Canceled("the job was canceled")

    def made(number: int, picture: Path) -> None:
        del number, picture
        began.set()

    with pytest.raises(Canceled):
        render_frames(model, list(range(12)), SMALL, Quality.PREVIEW, tmp_path, made, processes=2, progress=progress)
    assert len(seen) >= 2
    assert not [one for one in seen if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


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
def test_options_out_of_range_name_their_field(values: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        RenderOptions(**values)  # type: ignore[arg-type]
    assert refused.value.field == field


def test_frames_keep_the_format_of_the_picture_asked_for() -> None:
    assert frame_size(SMALL, Quality.FINAL) == (256, 160)
    assert frame_size(RenderOptions(width=1922, height=1082), Quality.PREVIEW) == (960, 540)
