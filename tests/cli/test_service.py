"""Commands against a running service."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from orchestrator.cli.session import connect, local_token, running_address
from orchestrator.errors import FailedPrecondition, ToolFailed
from orchestrator.protocol.heartwood.v1 import job_pb2
from orchestrator.service import STOP_S
from orchestrator.settings import DEMO_PHOTOS, Settings
from tests.support.cli import Cli
from tests.support.pictures import wood_photo
from tests.support.running_service import RunningService, wait_for

CHAIR = DEMO_PHOTOS / "cushion_chair.jpg"
SERVER_ONLY = ("numpy", "scipy", "skimage", "cv2", "dbos", "sqlalchemy", "orchestrator.service", "orchestrator.jobs")


@pytest.fixture
def data_dir(service: RunningService) -> dict[str, str]:
    """The environment in which commands find the running service by its data folder."""
    return {"HEARTWOOD_DATA_DIR": str(service.data_dir)}


def test_segment_saves_masks_and_prints_the_parts(cli: Cli, data_dir: dict[str, str], tmp_path: Path) -> None:
    result = cli("segment", CHAIR, "--preview", "--out", tmp_path / "out", **data_dir)
    assert result.exit_code == 0, result.errors
    assert re.search(r"1 leg-1 \w+ \d+%", result.output)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"overlay.png", "wood.png", "foreground.png"} <= names
    listed = cli("jobs", "list", **data_dir)
    assert re.search(r"segment SUCCEEDED 100%", listed.output)


def test_stain_uses_the_masks_that_the_user_edited(cli: Cli, data_dir: dict[str, str], tmp_path: Path) -> None:
    photos = []
    for name, seed in (("front", 1), ("back", 2)):
        photos.append(tmp_path / f"{name}.png")
        Image.fromarray(wood_photo(320, 240, seed=seed)).save(photos[-1])
    masks = tmp_path / "masks"
    assert cli("segment", *photos, "--out", masks, **data_dir).exit_code == 0
    assert {path.name for path in masks.iterdir()} == {"front", "back", "job.json"}
    wood = Image.open(masks / "back" / "wood.png").convert("RGB")  # paint programs add channels
    wood.paste((0, 0, 0), (160, 0, 320, 240))
    wood.save(masks / "back" / "wood.png")
    arguments = ("stain", "--stain", "ebony", "--masks", masks, "--out", tmp_path / "out")
    result = cli(*arguments, photos[1], **data_dir)  # only one of the photos
    assert result.exit_code == 0, result.errors
    assert f"edited {masks / 'back' / 'wood.png'}" in result.output.replace("\n", "")
    stained = np.asarray(Image.open(tmp_path / "out" / "wood_mask.png"))
    assert not stained[:, 160:].any()
    assert (stained[60:180, 60:150] > 127).mean() > 0.95
    unedited = cli(*arguments, photos[0], **data_dir)
    assert f"no mask of these photos in {masks} was edited" in unedited.output.replace("\n", "")
    Image.new("L", (160, 120)).save(masks / "front" / "foreground.png")
    refused = cli(*arguments, photos[0], **data_dir)
    assert refused.exit_code == 2
    assert "the mask is 160×120 pixels; it must have the size of the mask that it replaces, 320×240" in refused.errors


def test_cutout_saves_the_piece_with_an_alpha_channel(cli: Cli, data_dir: dict[str, str], tmp_path: Path) -> None:
    result = cli("cutout", CHAIR, "--preview", "--out", tmp_path / "out", **data_dir)
    assert result.exit_code == 0, result.errors
    assert re.search(r"1 \d+ × \d+ \d+% (yes|no)", result.output)
    images = [Image.open(path) for path in (tmp_path / "out").iterdir()]
    assert images
    assert all(image.mode == "RGBA" for image in images)


def test_segment_imports_nothing_of_the_service(data_dir: dict[str, str], tmp_path: Path) -> None:
    command = ["-X", "importtime", "-m", "orchestrator.cli", "segment", str(CHAIR), "--preview", "--out", str(tmp_path)]
    completed = subprocess.run(
        [sys.executable, *command], env={**os.environ, **data_dir}, capture_output=True, text=True, check=True
    )
    imported = {line.rpartition("|")[2].strip() for line in completed.stderr.splitlines()}
    assert "grpc" in imported
    assert not imported & set(SERVER_ONLY)


def test_photo_that_cannot_be_decoded_exits_with_code_2(cli: Cli, data_dir: dict[str, str], tmp_path: Path) -> None:
    text = tmp_path / "notes.jpg"
    text.write_text("not a photo")
    result = cli("segment", text, **data_dir)
    assert result.exit_code == 2
    assert result.errors.startswith("error ")


def test_job_commands_report_an_unknown_job(cli: Cli, data_dir: dict[str, str]) -> None:
    for command in ("watch", "cancel"):
        result = cli("jobs", command, "no-such-job", **data_dir)
        assert result.exit_code != 0
        assert "no-such-job" in result.errors


def test_jobs_watch_prints_the_final_state(cli: Cli, data_dir: dict[str, str], service: RunningService) -> None:
    with connect(Settings(data_dir=service.data_dir)) as client:
        job = client.segment(client.upload([CHAIR]), quality=job_pb2.QUALITY_PREVIEW)
    result = cli("jobs", "watch", job.id, **data_dir)
    assert result.exit_code == 0, result.errors
    assert f"{job.id} segment SUCCEEDED" in result.output


def test_token_is_accepted_by_the_running_service(cli: Cli, data_dir: dict[str, str], service: RunningService) -> None:
    token = cli("token", "create", "cli-tenant", **data_dir).output
    result = cli("jobs", "list", "--server", service.address, "--token", token)
    assert result.exit_code == 0, result.errors
    assert "SUCCEEDED" not in result.output  # the jobs of other tenants are invisible


def test_second_service_on_the_same_data_folder_is_refused(cli: Cli, data_dir: dict[str, str]) -> None:
    result = cli("up", "--listen", "127.0.0.1:0", **data_dir)
    assert result.exit_code == 1
    assert "another Heartwood service already uses the data folder" in result.errors


def test_stale_service_file_is_ignored(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    settings.service_file.write_text(json.dumps({"address": "127.0.0.1:1", "pid": 2**22 + 1}))
    assert running_address(settings) == ""


def test_missing_local_token_is_reported_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="local_token"):
        local_token(Settings(data_dir=tmp_path))


def test_service_that_does_not_start_is_reported_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTWOOD_MODEL_REPOSITORY", str(tmp_path / "missing"))
    with pytest.raises(ToolFailed, match=r"exited with code 1: .*service\.log"), connect(Settings(data_dir=tmp_path)):
        pass


def test_the_service_of_a_command_ends_when_the_command_is_killed(tmp_path: Path, triton_url: str) -> None:
    settings = Settings(data_dir=tmp_path)
    environment = {**os.environ, "HEARTWOOD_DATA_DIR": str(tmp_path), "HEARTWOOD_TRITON_URL": triton_url}
    arguments = ["segment", str(CHAIR), "--out", str(tmp_path / "out")]
    command = subprocess.Popen([sys.executable, "-m", "orchestrator.cli", *arguments], env=environment)
    wait_for(settings.service_file.exists, 60)
    service = psutil.Process(json.loads(settings.service_file.read_text())["pid"])
    command.kill()
    command.wait()
    try:
        service.wait(settings.drain_s + STOP_S)
    except psutil.TimeoutExpired:
        service.kill()
        raise
