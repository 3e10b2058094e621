"""JobService over real gRPC."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import cv2
import grpc
import numpy as np
import pytest

from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import asset_pb2, cutout_pb2, job_pb2, segment_pb2, stain_pb2
from tests.support.pictures import jpeg, png, wood_box, wood_photo
from tests.support.running_service import RunningService, wait_for


def picture(client: Heartwood, asset: object) -> np.ndarray:
    data = np.frombuffer(b"".join(client.read(asset)), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_UNCHANGED)


def test_stain_job_returns_all_documented_files(client: Heartwood, upload_id: str) -> None:
    job = client.wait(client.stain(upload_id, stain="walnut").id)
    (photo,) = job.stain.photos
    names = ("albedo", "normal", "roughness", "ambient_occlusion", "height_map", "orm", "wood_mask", "preview")
    for name in names:
        asset = getattr(photo, name)
        assert picture(client, asset).shape[:2] == (480, 640), name
        assert asset.media_type == "image/png"
    assert picture(client, photo.before_after).shape[1] <= 2048
    # 2 is a just noticeable difference side by side; the film solver targets the mean exactly.
    assert photo.delta_e <= 2.0
    assert set(job.stain.model_versions) >= {"intrinsic_decomposition", "surface_estimation", "segmentation"}


def test_segment_job_returns_masks_at_the_resolution_of_the_photo(client: Heartwood, upload_id: str) -> None:
    job = client.wait(client.segment(upload_id).id)
    (photo,) = job.segment.photos
    assert photo.components
    for part in photo.components:
        mask = picture(client, part.mask)
        assert mask.shape == (480, 640)
        assert mask.dtype == np.uint8
        assert 0 <= part.confidence <= 1
    left, top, right, bottom = wood_box()
    board = np.zeros((480, 640), bool)
    board[top:bottom, left:right] = True
    wood = picture(client, photo.wood) > 127
    # The board is the only wood. 0.8 is the target for real photos, and this picture is easier.
    assert (wood & board).sum() / (wood | board).sum() >= 0.8
    document = json.loads(b"".join(client.read(photo.document)))
    assert {part["name"] for part in document["components"]} == set(job.segment.components)


def test_a_box_prompt_becomes_a_mask_that_follows_image_edges(client: Heartwood, upload_id: str) -> None:
    left, top, right, bottom = wood_box()
    box = segment_pb2.Box(left=left - 20, top=top - 20, right=right + 20, bottom=bottom + 20)
    options = segment_pb2.SegmentOptions(prompts=[segment_pb2.Prompt(name="top", box=box)])
    job = client.wait(client.segment(upload_id, options).id)
    (part,) = [part for part in job.segment.photos[0].components if part.name == "top"]
    mask = picture(client, part.mask) > 127
    board = np.zeros((480, 640), bool)
    board[top:bottom, left:right] = True
    # The box itself has an IoU of 0.80; a mask that follows the edges must be clearly better.
    assert (mask & board).sum() / (mask | board).sum() >= 0.92
    assert part.detector == segment_pb2.DETECTOR_KIND_PROMPTS


def test_stain_job_stains_every_photo_of_the_upload(client: Heartwood) -> None:
    first = client.upload_bytes(jpeg(wood_photo(320, 240, seed=1)), "a.jpg")
    client.upload_bytes(jpeg(wood_photo(200, 300, seed=2)), "b.jpg", upload_id=first.group_id)
    job = client.wait(client.stain(first.group_id, color="#5A3B2E").id)
    assert [(photo.width, photo.height) for photo in job.stain.photos] == [(320, 240), (200, 300)]


def test_watch_reports_each_state_in_order_and_progress_never_decreases(client: Heartwood) -> None:
    upload = client.upload_bytes(jpeg(wood_photo(900, 700, seed=3)), "c.jpg").group_id
    seen = list(client.watch(client.stain(upload, stain="cherry").id))
    states = [job.state for job in seen]
    assert states[-1] == job_pb2.JOB_STATE_SUCCEEDED
    assert sorted(states) == states
    fractions = [job.progress.fraction for job in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert {"analyze", "surface", "stain"} & {job.progress.stage for job in seen}


def test_preview_quality_limits_the_photo_to_1024_pixels(client: Heartwood) -> None:
    upload = client.upload_bytes(jpeg(wood_photo(1600, 1200, seed=4)), "d.jpg").group_id
    job = client.wait(client.stain(upload, stain="walnut", quality=job_pb2.QUALITY_PREVIEW).id)
    assert job.stain.photos[0].width == 1024
    assert picture(client, job.stain.photos[0].preview).shape[:2] == (768, 1024)


def test_a_second_stain_reuses_the_cached_surface_maps(client: Heartwood) -> None:
    upload = client.upload_bytes(jpeg(wood_photo(640, 480, seed=5)), "e.jpg").group_id
    first = client.wait(client.stain(upload, stain="walnut").id)
    second = client.wait(client.stain(upload, stain="cherry").id)
    # The maps that do not depend on the colour come from the cache: same content, new asset.
    assert first.stain.photos[0].normal.sha256 == second.stain.photos[0].normal.sha256
    assert first.stain.photos[0].normal.id != second.stain.photos[0].normal.id
    assert first.stain.photos[0].preview.sha256 != second.stain.photos[0].preview.sha256


def test_the_same_request_id_creates_one_job(client: Heartwood, upload_id: str) -> None:
    first = client.stain(upload_id, stain="walnut", request_id="once")
    again = client.stain(upload_id, stain="walnut", request_id="once")
    assert first.id == again.id
    with pytest.raises(ApiError) as refused:
        client.stain(upload_id, stain="cherry", request_id="once")
    assert refused.value.code is grpc.StatusCode.ALREADY_EXISTS
    assert refused.value.reason == "REQUEST_ID_REUSED"
    client.wait(first.id)


def test_ids_of_another_tenant_are_not_found(client: Heartwood, service: RunningService, upload_id: str) -> None:
    job = client.wait(client.stain(upload_id, stain="walnut").id)
    asset_id = job.stain.photos[0].albedo.id
    with service.client("rival") as rival:
        calls = [
            lambda: rival.job(job.id),
            lambda: rival.cancel(job.id),
            lambda: rival.delete_job(job.id),
            lambda: list(rival.watch(job.id)),
            lambda: list(rival.read(asset_id)),
            lambda: rival.delete_asset(asset_id),
            lambda: rival.stain(upload_id, stain="walnut"),
            lambda: rival.sign_url(asset_id),
            lambda: rival.upload_bytes(jpeg(wood_photo()), "x.jpg", upload_id=upload_id),
        ]
        for call in calls:
            with pytest.raises(ApiError) as refused:
                call()
            assert refused.value.code is grpc.StatusCode.NOT_FOUND
        assert list(rival.jobs()) == []
        assert list(rival.list_assets()) == []
    assert client.job(job.id).state == job_pb2.JOB_STATE_SUCCEEDED


def test_canceling_a_running_job_ends_it_for_good(client: Heartwood) -> None:
    upload = client.upload_bytes(jpeg(wood_photo(4000, 3000, seed=6)), "large.jpg").group_id
    job = client.stain(upload, stain="walnut")
    wait_for(lambda: client.job(job.id).state == job_pb2.JOB_STATE_RUNNING, 20)
    assert client.cancel(job.id).cancel_requested
    with pytest.raises(ApiError, match="canceled"):
        client.wait(job.id)
    ended = client.job(job.id)
    assert ended.state == job_pb2.JOB_STATE_CANCELED
    assert not ended.HasField("stain")
    assert client.cancel(job.id).state == job_pb2.JOB_STATE_CANCELED
    time.sleep(1)
    assert client.job(job.id) == ended


def test_canceling_a_queued_job_ends_it_immediately(client: Heartwood) -> None:
    upload = client.upload_bytes(jpeg(wood_photo(4000, 3000, seed=7)), "large.jpg").group_id
    running = [client.stain(upload, stain=name) for name in ("walnut", "cherry")]
    queued = client.stain(upload, stain="ebony", priority=job_pb2.PRIORITY_LOW)
    assert client.cancel(queued.id).state == job_pb2.JOB_STATE_CANCELED
    for job in running:
        client.cancel(job.id)
        wait_for(lambda id=job.id: client.job(id).state == job_pb2.JOB_STATE_CANCELED, 60)


def test_canceling_a_succeeded_job_changes_nothing(client: Heartwood, upload_id: str) -> None:
    job = client.wait(client.stain(upload_id, stain="walnut").id)
    assert client.cancel(job.id) == job


def test_a_job_past_its_deadline_fails_with_deadline_exceeded(client: Heartwood) -> None:
    upload = client.upload_bytes(jpeg(wood_photo(4000, 3000, seed=8)), "large.jpg").group_id
    # Analyzing 12 megapixels takes longer than a second on two cores; creating the job takes far less.
    job = client.stain(upload, stain="walnut", deadline=datetime.now(UTC) + timedelta(seconds=1.0))
    with pytest.raises(ApiError) as failed:
        client.wait(job.id)
    assert failed.value.reason == "DEADLINE_EXCEEDED"
    assert client.job(job.id).state == job_pb2.JOB_STATE_FAILED


def test_staining_a_photo_without_wood_fails_with_no_wood_found(client: Heartwood) -> None:
    blue = np.full((200, 300, 3), (40, 90, 200), np.uint8)
    upload = client.upload_bytes(jpeg(blue), "blue.jpg").group_id
    with pytest.raises(ApiError) as failed:
        client.wait(client.stain(upload, stain="walnut").id)
    assert failed.value.reason == "NO_WOOD_FOUND"


def test_list_jobs_filters_by_label_and_pages_newest_first(client: Heartwood, upload_id: str) -> None:
    made = [client.stain(upload_id, stain="walnut", labels={"order": "o-17"}).id for _ in range(3)]
    for id in made:
        client.wait(id)
    assert [job.id for job in client.jobs(labels={"order": "o-17"})] == made[::-1]
    assert list(client.jobs(labels={"order": "none"})) == []
    page = client._call(client._jobs.ListJobs, job_pb2.ListJobsRequest(labels={"order": "o-17"}, page_size=2))
    assert [job.id for job in page.jobs] == made[:0:-1]
    rest = job_pb2.ListJobsRequest(labels={"order": "o-17"}, page_size=2, page_token=page.next_page_token)
    assert [job.id for job in client._call(client._jobs.ListJobs, rest).jobs] == made[:1]


def test_deleting_a_job_deletes_its_files_but_not_the_photos(client: Heartwood, upload_id: str) -> None:
    job = client.wait(client.stain(upload_id, color="#112233").id)
    client.delete_job(job.id)
    with pytest.raises(ApiError) as gone:
        list(client.read(job.stain.photos[0].albedo))
    assert gone.value.code is grpc.StatusCode.NOT_FOUND
    assert client.wait(client.stain(upload_id, color="#112233").id).stain.photos[0].albedo.sha256


def test_an_uploaded_mask_limits_where_the_photo_is_stained(client: Heartwood, upload_id: str) -> None:
    mask = np.zeros((480, 640), np.uint8)
    mask[200:280, 250:400] = 255
    mask_id = client.upload_bytes(png(mask), "mask.png", kind=asset_pb2.ASSET_KIND_MASK).id
    options = stain_pb2.StainOptions(mask_asset_id=mask_id)
    job = client.wait(client.stain(upload_id, stain="ebony", options=options).id)
    before = cv2.imdecode(np.frombuffer(jpeg(wood_photo()), np.uint8), cv2.IMREAD_COLOR)
    after = picture(client, job.stain.photos[0].preview)
    outside = cv2.dilate(mask, np.ones((7, 7))) == 0
    assert np.array_equal(before[outside], after[outside])
    assert after[220:260, 300:350].mean() < before[220:260, 300:350].mean()


def test_cutout_job_returns_a_trimmed_piece_and_its_frame(client: Heartwood, upload_id: str) -> None:
    job = client.wait(client.cutout(upload_id).id)
    (photo,) = job.cutout.photos
    image = picture(client, photo.image)
    assert image.shape == (photo.height, photo.width, 4)
    assert photo.image.media_type == "image/png"
    # The trimmed image has the size of its frame in the photo, and contains the piece.
    assert photo.frame.right - photo.frame.left == photo.width
    assert photo.frame.bottom - photo.frame.top == photo.height
    assert (image[..., 3] == 255).any()
    assert 0 < photo.piece_share < 1
    assert set(job.cutout.model_versions) >= {"segmentation"}


def test_cutout_job_fills_the_background_and_keeps_the_frame_of_the_photo(client: Heartwood, upload_id: str) -> None:
    options = cutout_pb2.CutoutOptions(
        background="#204060", trim=False, shadow=False, format=cutout_pb2.CUTOUT_FORMAT_WEBP
    )
    (photo,) = client.wait(client.cutout(upload_id, options).id).cutout.photos
    assert (photo.width, photo.height) == (640, 480)
    assert photo.image.media_type == "image/webp"
    assert not photo.HasField("shadow")
    # Blue, green and red of the corner, which is background; lossy WebP may differ by a few levels.
    assert np.allclose(picture(client, photo.image)[0, 0, :3], (0x60, 0x40, 0x20), atol=4)


def test_a_deleted_result_file_disappears_from_the_reply(client: Heartwood, upload_id: str) -> None:
    job = client.wait(client.stain(upload_id, color="#334455").id)
    assert client.job(job.id).stain.photos[0].HasField("orm")
    client.delete_asset(job.stain.photos[0].orm.id)
    photo = client.job(job.id).stain.photos[0]
    assert not photo.HasField("orm")
    assert photo.HasField("albedo")


def test_a_photo_too_large_for_webp_fails_with_the_path_of_the_format(client: Heartwood) -> None:
    upload = client.upload_bytes(jpeg(wood_photo(16_400, 64, seed=9)), "panorama.jpg").group_id
    options = stain_pb2.StainOptions(format=stain_pb2.TEXTURE_FORMAT_WEBP)
    with pytest.raises(ApiError) as failed:
        client.wait(client.stain(upload, stain="walnut", options=options).id)
    assert failed.value.reason == "INVALID_INPUT"
    assert failed.value.field == "stain.format"
