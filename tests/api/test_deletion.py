"""Files, uploads and jobs are deleted only when no unfinished job uses them."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import asset_pb2, job_pb2, stain_pb2
from tests.support.pictures import jpeg, png, wood_photo
from tests.support.running_service import RunningService

LARGE = jpeg(wood_photo(3000, 2250, seed=60))
"""A stain job takes several seconds for a photo of this size."""


def refusal(error: ApiError) -> tuple[grpc.StatusCode, str]:
    return error.code, error.reason


def test_an_upload_is_deleted_as_a_whole_and_only_when_no_unfinished_job_uses_it(client: Heartwood) -> None:
    first = client.upload_bytes(LARGE, "board.jpg")
    upload_id = first.group_id
    mask = client.upload_bytes(
        png(wood_photo(64, 48)[..., 0]), "mask.png", upload_id=upload_id, kind=asset_pb2.ASSET_KIND_MASK
    )
    job = client.stain(upload_id, stain="walnut")
    with pytest.raises(ApiError) as in_use:
        client.delete_upload(upload_id)
    with pytest.raises(ApiError) as asset_in_use:
        client.delete_asset(first.id)
    assert refusal(in_use.value) == refusal(asset_in_use.value)
    assert in_use.value.code is grpc.StatusCode.FAILED_PRECONDITION
    # The job names the upload, so that all files of the upload count as used.
    assert sorted(violation.partition(" ")[0] for violation in in_use.value.violations) == ["board.jpg", "mask.png"]
    assert all(job.id in violation for violation in in_use.value.violations)
    assert {asset.id for asset in client.list_assets(upload_id)} == {first.id, mask.id}
    client.cancel(job.id)
    *_, ended = client.watch(job.id)
    assert ended.state == job_pb2.JOB_STATE_CANCELED
    assert client.delete_upload(upload_id) == 2
    assert list(client.list_assets(upload_id)) == []
    with pytest.raises(ApiError) as gone:
        client.delete_upload(upload_id)
    assert gone.value.code is grpc.StatusCode.NOT_FOUND


def test_a_job_whose_files_an_unfinished_job_uses_cannot_be_deleted(client: Heartwood, upload_id: str) -> None:
    segment = client.wait(client.segment(upload_id).id)
    photo = segment.segment.photos[0]
    large = client.upload_bytes(LARGE, "board.jpg").group_id
    running = [client.stain(large, stain=name) for name in ("walnut", "ebony")]  # as many as the service has workers
    # The mask of the segment job is an input that is named by its asset id, and not by the id of the job.
    options = stain_pb2.StainOptions(mask_asset_id=photo.foreground.id)
    stain = client.stain(upload_id, stain="walnut", options=options)
    for delete in (
        lambda: client.delete_asset(photo.foreground.id),
        lambda: client.delete_job(segment.id),
    ):
        with pytest.raises(ApiError, match=stain.id) as in_use:
            delete()
        assert refusal(in_use.value) == (grpc.StatusCode.FAILED_PRECONDITION, "FAILED_PRECONDITION")
    for job in (stain, *running):
        client.cancel(job.id)
        list(client.watch(job.id))
    client.delete_job(segment.id)


def test_an_upload_is_refused_in_its_first_message_when_disk_space_is_low(tmp_path: Path, triton_url: str) -> None:
    service = RunningService(tmp_path, triton_url, min_free_disk_mb=1 << 40)
    header = asset_pb2.UploadAssetRequest(header=asset_pb2.UploadAssetRequest.Header(filename="a.jpg"))
    with service.client() as client, pytest.raises(ApiError, match="free disk space") as refused:
        client._call(client._assets.UploadAsset, iter([header]))
    assert refusal(refused.value) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "DISK_FULL")
    assert service.stop() == 0
