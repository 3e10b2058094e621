"""Meshroom's command line, progress, errors and cancellation, with the fake ``meshroom_batch`` next to this file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest
import trimesh

from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import Engine, Mode, ReconstructedMesh, ReconstructOptions, ReconstructPrograms
from orchestrator.errors import Canceled, ToolFailed
from orchestrator.stages.reconstruct.photogrammetry.photogrammetry import photogrammetry
from orchestrator.stages.reconstruct.task import ReconstructTask
from tests.support.armchair import write_photos

FAKE_MESHROOM = Path(__file__).with_name("meshroom_batch")
OPTIONS = ReconstructOptions(
    mode=Mode.PHOTOGRAMMETRY, engine=Engine.MESHROOM, dimensions=Dimensions(height_m=0.5), texture_size=512
)


def reconstruct(
    folder: Path, reports: list[tuple[float, str]], *, program: str = str(FAKE_MESHROOM)
) -> ReconstructedMesh:
    """Run the fake, which behaves as the name of ``folder`` says, and collect its progress in ``reports``."""
    photos, masks = write_photos([0, 20, 40], (80, 64), folder / "input")

    def progress(fraction: float, message: str) -> None:
        reports.append((fraction, message))
        if "FeatureMatching" in message and folder.name == "hangs":
            raise Canceled("stop")

    return photogrammetry(
        ReconstructTask(
            photos, masks, OPTIONS, Quality.FINAL, folder, programs=ReconstructPrograms(program), progress=progress
        )
    )


def test_textured_obj_becomes_a_glb_in_metres(tmp_path: Path) -> None:
    reports: list[tuple[float, str]] = []
    result = reconstruct(tmp_path / "works", reports)
    size = result.dimensions  # the fake's box is 2 × 1 × 1; the requested height is 0.5 m
    assert (size.width_m, size.height_m, size.depth_m) == pytest.approx((1.0, 0.5, 0.5))
    mesh = next(iter(trimesh.load_scene(result.glb).geometry.values()))
    assert mesh.bounds[0] == pytest.approx([-0.5, 0, -0.25])
    texture = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"))
    assert texture.shape == (512, 512, 3)
    for x, color in ((-0.5, (200, 30, 30)), (0.5, (30, 30, 200))):
        vertex = np.flatnonzero(np.isclose(mesh.vertices[:, 0], x))[0]
        u, v = mesh.visual.uv[vertex]
        sampled = texture[min(int((1 - v) * 512), 511), min(int(u * 512), 511)].astype(int)
        assert np.abs(sampled - color).max() < 25  # JPEG
    assert result.report.photos_used == (0, 1, 2)
    steps = [message for _, message in reports if message.startswith("Meshroom: ")]
    assert steps[-1] == "Meshroom: Publish, step 12 of 12"
    assert [fraction for fraction, _ in reports] == sorted(fraction for fraction, _ in reports)


def test_meshroom_gets_masks_and_texture_size(tmp_path: Path) -> None:
    result = reconstruct(tmp_path / "works", [])
    log = result.extras[0].read_text()
    assert "Overrides FeatureExtraction.masksFolder=" in log
    assert "Overrides Texturing.textureSide=512" in log
    masks = sorted(path.name for path in (tmp_path / "works/meshroom/masks").iterdir())
    assert masks == ["0000.png", "0001.png", "0002.png"]


def test_error_contains_meshrooms_message_and_no_path(tmp_path: Path) -> None:
    with pytest.raises(
        ToolFailed, match=r"Meshroom failed at StructureFromMotion: .*Failed to find an initial pair automatically"
    ) as caught:
        reconstruct(tmp_path / "fails", [])
    assert str(tmp_path) not in caught.value.message


def test_cancel_ends_meshroom(tmp_path: Path) -> None:
    with pytest.raises(Canceled):
        reconstruct(tmp_path / "hangs", [])
    running = [
        process for process in psutil.process_iter(["cmdline"])
        if str(tmp_path) in " ".join(process.info["cmdline"] or ())
    ]  # fmt: skip
    assert running == []


def test_missing_configuration_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="Meshroom is not configured"):
        reconstruct(tmp_path / "works", [], program="")
