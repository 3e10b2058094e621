"""One bad photo does not cost the others: the job leaves it out and says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from google.rpc import error_details_pb2

from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import (
    cutout_pb2,
    job_pb2,
    pipeline_pb2,
    reconstruct_pb2,
    segment_pb2,
    stain_pb2,
)
from tests.support.cli import run_in_process
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService

BOARD = jpeg(wood_photo(320, 240, seed=1))
SECOND_BOARD = jpeg(wood_photo(320, 240, seed=2))
BLANK = jpeg(np.full((240, 320, 3), 255, np.uint8))


def upload(client: Heartwood, **photos: bytes) -> str:
    group = ""
    for name, data in photos.items():
        group = client.upload_bytes(data, f"{name}.jpg", upload_id=group).group_id
    return group


def reason(failure: job_pb2.PhotoFailure) -> str:
    info = error_details_pb2.ErrorInfo()
    assert failure.error.details[0].Unpack(info)
    return info.reason


def test_a_stain_job_leaves_out_the_photo_without_wood_and_names_it(client: Heartwood) -> None:
    group = upload(client, first=BOARD, wall=BLANK, last=SECOND_BOARD)
    job = client.wait(client.stain(group, stain="walnut").id)
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED
    (failure,) = job.photo_failures
    assert (failure.photo, failure.name, failure.stage) == (1, "wall.jpg", "stain")
    assert reason(failure) == "NO_WOOD_FOUND"
    photos = {asset.name: asset.id for asset in client.list_assets(group_id=group)}
    assert failure.photo_asset_id == photos["wall.jpg"]
    assert [photo.photo_asset_id for photo in job.stain.photos] == [photos["first.jpg"], photos["last.jpg"]]
    assert "photos left out: 1" in job.progress.message


def test_a_cutout_job_leaves_out_the_photo_without_piece(client: Heartwood) -> None:
    group = upload(client, wall=BLANK, board=BOARD)
    spec = job_pb2.JobSpec(cutout=cutout_pb2.CutoutOptions())
    job = client.wait(client.create_job(spec, group).id)
    (failure,) = job.photo_failures
    assert (failure.photo, failure.stage, reason(failure)) == (0, "cutout", "NO_PIECE_FOUND")
    assert len(job.cutout.photos) == 1


def test_a_job_fails_only_if_every_photo_failed_and_then_lists_all(client: Heartwood) -> None:
    group = upload(client, wall=BLANK, ceiling=BLANK[:-2] + b"\xff\xd9")
    job_id = client.stain(group, stain="walnut").id
    with pytest.raises(ApiError, match="no wood was found"):
        client.wait(job_id)
    job = client.job(job_id)
    assert job.state == job_pb2.JOB_STATE_FAILED
    assert [failure.name for failure in job.photo_failures] == ["wall.jpg", "ceiling.jpg"]


def test_later_stages_of_a_pipeline_leave_out_the_photo_too(client: Heartwood) -> None:
    group = upload(client, board=BOARD, wall=BLANK)
    options = pipeline_pb2.PipelineOptions(
        segment=segment_pb2.SegmentOptions(),
        cutout=cutout_pb2.CutoutOptions(),
        stain=stain_pb2.StainOptions(stain="walnut", strength=0.5),
    )
    options.reconstruct.mode = reconstruct_pb2.RECONSTRUCT_MODE_SINGLE_IMAGE
    job = client.wait(client.create_job(job_pb2.JobSpec(pipeline=options), group, quality=job_pb2.QUALITY_PREVIEW).id)
    assert [(failure.name, failure.stage) for failure in job.photo_failures] == [("wall.jpg", "cutout")]
    assert len(job.pipeline.segment.photos) == 2
    assert len(job.pipeline.stain.photos) == len(job.pipeline.cutout.photos) == 1
    assert job.pipeline.reconstruct.report.photos == 1


def test_the_command_line_prints_which_photos_were_left_out(service: RunningService, tmp_path: Path) -> None:
    (tmp_path / "board.jpg").write_bytes(BOARD)
    (tmp_path / "wall.jpg").write_bytes(BLANK)
    photos = [tmp_path / "board.jpg", tmp_path / "wall.jpg"]
    access = ("--server", service.address, "--token", service.token("shop"))
    result = run_in_process("stain", *photos, "--stain", "walnut", "--out", tmp_path / "out", *access)
    assert result.exit_code == 0, result.stderr
    assert "warning photo 2 (wall.jpg) was left out: no wood was found" in " ".join(result.stderr.split())
    assert list((tmp_path / "out").rglob("preview.png"))
