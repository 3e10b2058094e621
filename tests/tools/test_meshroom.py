"""Meshroom is started, followed and stopped as its command line wants; ``meshroom_batch`` beside this file plays it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest
import trimesh

from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import Engine, Mode, ReconstructedMesh, ReconstructOptions
from orchestrator.errors import Canceled, ToolFailed
from orchestrator.stages.reconstruct.photogrammetry.photogrammetry import photogrammetry
from tests.support.armchair import write_photos

PLAYED = Path(__file__).with_name("meshroom_batch")
OPTIONS = ReconstructOptions(
    mode=Mode.PHOTOGRAMMETRY, engine=Engine.MESHROOM, dimensions=Dimensions(height_m=0.5), texture_size=512
)


def make(folder: Path, heard: list[tuple[float, str]], *, program: str = str(PLAYED)) -> ReconstructedMesh:
    photos, masks = write_photos([0, 20, 40], (80, 64), folder / "taken")

    def progress(fraction: float, message: str) -> None:
        heard.append((fraction, message))
        if "FeatureMatching" in message and folder.name == "hangs":
            raise Canceled("stop")

    return photogrammetry(photos, masks, OPTIONS, Quality.FINAL, folder, meshroom=program, progress=progress)


def test_its_textured_obj_becomes_a_glb_in_metres(tmp_path: Path) -> None:
    heard: list[tuple[float, str]] = []
    model = make(tmp_path / "works", heard)
    # The box is 2 × 1 × 1; its height was said to be half a metre.
    size = model.dimensions
    assert (size.width_m, size.height_m, size.depth_m) == pytest.approx((1.0, 0.5, 0.5))
    mesh = next(iter(trimesh.load_scene(model.glb).geometry.values()))
    assert mesh.bounds[0] == pytest.approx([-0.5, 0, -0.25])
    texture = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"))
    assert texture.shape == (512, 512, 3)
    for side, color in ((-0.5, (200, 30, 30)), (0.5, (30, 30, 200))):
        corner = np.flatnonzero(np.isclose(mesh.vertices[:, 0], side))[0]
        u, v = mesh.visual.uv[corner]
        shown = texture[min(int((1 - v) * 512), 511), min(int(u * 512), 511)].astype(int)
        assert np.abs(shown - color).max() < 25  # JPEG
    assert model.report.photos_used == (0, 1, 2)
    steps = [message for _, message in heard if message.startswith("Meshroom: ")]
    assert steps[-1] == "Meshroom: Publish, step 12 of 12"
    assert [fraction for fraction, _ in heard] == sorted(fraction for fraction, _ in heard)


def test_it_is_told_the_masks_and_sees_only_the_piece(tmp_path: Path) -> None:
    model = make(tmp_path / "works", [])
    log = model.extras[0].read_text()
    assert "Overrides FeatureExtraction.masksFolder=" in log
    assert "Overrides Texturing.textureSide=512" in log
    assert sorted(one.name for one in (tmp_path / "works/meshroom/masks").iterdir()) == [
        "0000.png",
        "0001.png",
        "0002.png",
    ]


def test_its_failure_is_told_in_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(
        ToolFailed, match=r"Meshroom failed at StructureFromMotion: .*Failed to find an initial pair automatically"
    ) as caught:
        make(tmp_path / "fails", [])
    assert str(tmp_path) not in caught.value.message


def test_cancel_ends_it(tmp_path: Path) -> None:
    with pytest.raises(Canceled):
        make(tmp_path / "hangs", [])
    alive = [one for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(one.info["cmdline"] or ())]
    assert alive == []


def test_without_a_program_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="Meshroom is not set up"):
        make(tmp_path / "works", [], program="")
