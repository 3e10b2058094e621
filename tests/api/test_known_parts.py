"""What callers state about materials and parts, and the masks that they edit, over real gRPC."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import grpc
import numpy as np
import pytest

from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import asset_pb2, job_pb2, made_of_pb2, segment_pb2, stain_pb2
from tests.support.pictures import jpeg, png, wood_box, wood_photo
from tests.support.running_service import RunningService

Job = job_pb2.Job
LEFT, TOP, RIGHT, BOTTOM = wood_box()
MIDDLE = (LEFT + RIGHT) // 2
INSIDE = 12
"""Distance from the edges of the board at which pixels certainly show wood."""


def picture(client: Heartwood, asset: asset_pb2.Asset) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(b"".join(client.read(asset)), np.uint8), cv2.IMREAD_UNCHANGED)


def mask_id(client: Heartwood, mask: np.ndarray) -> str:
    return client.upload_bytes(png(mask), "mask.png", kind=asset_pb2.ASSET_KIND_MASK).id


def stain(client: Heartwood, upload_id: str, **options: object) -> Job:
    return client.wait(client.stain(upload_id, stain="ebony", options=stain_pb2.StainOptions(**options)).id)


def stained_columns(client: Heartwood, job: Job, photo: int = 0) -> np.ndarray:
    """Return which columns of the board are stained, without its edges."""
    mask = picture(client, job.stain.photos[photo].wood_mask)[TOP + INSIDE : BOTTOM - INSIDE]
    return (mask > 127).mean(axis=0) > 0.9


@pytest.fixture(scope="module")
def segmented(client: Heartwood, upload_id: str) -> Job:
    """A segment job that found the board as two overlapping parts, "plank" and "top"."""
    box = segment_pb2.Box(left=LEFT - 20, top=TOP - 20, right=RIGHT + 20, bottom=BOTTOM + 20)
    prompts = [segment_pb2.Prompt(name=name, box=box) for name in ("plank", "top")]
    return client.wait(client.segment(upload_id, segment_pb2.SegmentOptions(prompts=prompts)).id)


@pytest.fixture
def half(client: Heartwood, segmented: Job) -> str:
    """An upload of the plank's mask without its right half."""
    mask = picture(client, segmented.segment.photos[0].components[0].mask)
    mask[:, MIDDLE:] = 0
    return mask_id(client, mask)


def test_a_stain_uses_the_edited_mask_of_a_part(client: Heartwood, upload_id: str, segmented: Job, half: str) -> None:
    edit = stain_pb2.EditedMask(part="plank-1", mask_asset_id=half)
    job = stain(client, upload_id, segment_job_id=segmented.id, parts=["plank"], masks=[edit])
    columns = stained_columns(client, job)
    assert columns[LEFT + INSIDE : MIDDLE - 2].all()
    assert not columns[MIDDLE + 2 :].any()
    before = cv2.imdecode(np.frombuffer(jpeg(wood_photo()), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(picture(client, job.stain.photos[0].preview)[:, MIDDLE + 2 :], before[:, MIDDLE + 2 :])
    assert job.spec.stain.parts == ["plank"]
    assert list(job.spec.stain.masks) == [edit]


def test_the_same_edit_of_another_job_has_its_own_result(
    client: Heartwood, upload_id: str, segmented: Job, half: str
) -> None:
    edit = stain_pb2.EditedMask(part="plank-1", mask_asset_id=half)
    both = stain(client, upload_id, segment_job_id=segmented.id, masks=[edit])
    plank = segment_pb2.SegmentOptions(prompts=segmented.spec.segment.prompts[:1])
    only_plank = client.wait(client.segment(upload_id, plank).id)
    alone = stain(client, upload_id, segment_job_id=only_plank.id, masks=[edit])
    assert stained_columns(client, both)[LEFT + INSIDE : RIGHT - INSIDE].all()  # the right half is still in the top
    assert not stained_columns(client, alone)[MIDDLE + 2 :].any()


def test_a_part_of_the_job_is_stained_where_its_mask_is(client: Heartwood, upload_id: str, segmented: Job) -> None:
    by_name = stain(client, upload_id, segment_job_id=segmented.id, parts=["Tabletop"])
    assert by_name.spec.stain.parts == ["top"]
    assert stained_columns(client, by_name)[LEFT + INSIDE : RIGHT - INSIDE].all()
    by_instance = stain(client, upload_id, segment_job_id=segmented.id, parts=["top-1"])
    assert by_instance.stain.photos[0].preview.sha256 == by_name.stain.photos[0].preview.sha256


def test_an_edited_mask_of_the_wood_is_stained_exactly(client: Heartwood, upload_id: str, segmented: Job) -> None:
    mask = np.zeros((480, 640), np.uint8)
    mask[100:140, 200:300] = 255
    edit = stain_pb2.EditedMask(part="wood", mask_asset_id=mask_id(client, mask))
    job = stain(client, upload_id, segment_job_id=segmented.id, masks=[edit])
    assert np.array_equal(picture(client, job.stain.photos[0].wood_mask), mask)


def test_an_edited_mask_of_the_piece_limits_the_stain(client: Heartwood, upload_id: str, segmented: Job) -> None:
    piece = picture(client, segmented.segment.photos[0].foreground)
    piece[:, :MIDDLE] = 0
    edit = stain_pb2.EditedMask(part="foreground", mask_asset_id=mask_id(client, piece))
    columns = stained_columns(client, stain(client, upload_id, segment_job_id=segmented.id, masks=[edit]))
    assert not columns[:MIDDLE].any()
    assert columns[MIDDLE + INSIDE : RIGHT - INSIDE].all()


def test_a_part_that_the_caller_states_to_be_metal_is_not_stained(
    client: Heartwood, upload_id: str, segmented: Job, half: str
) -> None:
    edit = stain_pb2.EditedMask(part="plank-1", mask_asset_id=half)
    metal = made_of_pb2.PartMaterial(part="plank", material="steel")
    options = {"segment_job_id": segmented.id, "masks": [edit]}
    columns = stained_columns(client, stain(client, upload_id, made_of=[metal], **options))
    assert not columns[LEFT + INSIDE : MIDDLE - INSIDE].any()
    assert columns[MIDDLE + INSIDE : RIGHT - INSIDE].all()


def test_a_stain_knows_what_the_segment_job_was_told(client: Heartwood, upload_id: str) -> None:
    segment_job = client.wait(client.segment(upload_id, made_of={"": "wood", "legs": "steel"}).id)
    told = [("", "wood"), ("leg", "metal")]
    assert [(known.part, known.material) for known in segment_job.spec.segment.made_of] == told
    own = made_of_pb2.PartMaterial(part="leg", material="oak")
    job = stain(client, upload_id, segment_job_id=segment_job.id, made_of=[own])
    assert [(known.part, known.material) for known in job.spec.stain.made_of] == [("", "wood"), ("leg", "wood")]


def test_a_wooden_piece_is_stained_although_the_models_see_no_wood(client: Heartwood) -> None:
    photo = wood_photo(seed=31)
    photo[TOP:BOTTOM, LEFT:RIGHT] = (42, 40, 44)  # black, without grain
    upload = client.upload_bytes(jpeg(photo), "black.jpg").group_id
    with pytest.raises(ApiError, match=r"stain\.made_of") as refused:
        stain(client, upload)
    assert refused.value.reason == "NO_WOOD_FOUND"
    job = client.wait(client.stain(upload, stain="ebony", made_of="wood").id)
    assert stained_columns(client, job)[LEFT + INSIDE : RIGHT - INSIDE].mean() > 0.9


def test_parts_that_no_photo_shows_are_reported(client: Heartwood, upload_id: str) -> None:
    with pytest.raises(ApiError, match="no photo shows wood in the parts drawer") as refused:
        client.wait(client.stain(upload_id, stain="ebony", parts=["drawers"]).id)
    assert refused.value.reason == "NO_WOOD_FOUND"


def test_photos_that_show_none_of_the_parts_stay_unchanged(client: Heartwood) -> None:
    first = client.upload_bytes(jpeg(wood_photo(320, 240, seed=32)), "front.jpg")
    client.upload_bytes(jpeg(wood_photo(320, 240, seed=33)), "back.jpg", upload_id=first.group_id)
    box = segment_pb2.Box(left=30, top=30, right=290, bottom=210)
    options = segment_pb2.SegmentOptions(prompts=[segment_pb2.Prompt(name="top", box=box, photo=1)])
    segment_job = client.wait(client.segment(first.group_id, options).id)
    job = stain(client, first.group_id, segment_job_id=segment_job.id, parts=["top"])
    front, back = job.stain.photos
    assert (front.wood_share, front.reached_color) == (0.0, "")
    assert back.wood_share > 0.2


def test_a_second_upload_of_the_same_photo_can_use_the_job(client: Heartwood, segmented: Job) -> None:
    again = client.upload_bytes(jpeg(wood_photo()), "again.jpg").group_id
    assert stain(client, again, segment_job_id=segmented.id, parts=["plank"]).stain.photos[0].wood_share > 0.2


def test_a_preview_stain_uses_masks_at_full_resolution(client: Heartwood) -> None:
    upload = client.upload_bytes(jpeg(wood_photo(1600, 1200, seed=34)), "large.jpg").group_id
    segment_job = client.wait(client.segment(upload).id)
    part = segment_job.segment.photos[0].components[0].instance
    options = stain_pb2.StainOptions(segment_job_id=segment_job.id, parts=[part])
    job = client.wait(client.stain(upload, stain="ebony", options=options, quality=job_pb2.QUALITY_PREVIEW).id)
    assert (job.stain.photos[0].width, job.stain.photos[0].height) == (1024, 768)


def refused(client: Heartwood, upload_id: str, **options: object) -> ApiError:
    with pytest.raises(ApiError) as error:
        client.stain(upload_id, stain="ebony", options=stain_pb2.StainOptions(**options))
    return error.value


@pytest.mark.parametrize(
    ("edit", "field", "message"),
    [
        ({"photo": 1, "part": "plank-1"}, "photo", "the upload has photos 0 to 0"),
        ({"photo": -1, "part": "plank-1"}, "photo", "the upload has photos 0 to 0"),
        ({"part": "plank"}, "part", "photo 0 has the masks plank-1, top-1, foreground, wood"),
        ({"part": ""}, "part", "photo 0 has the masks"),
        ({"part": "plank-1", "size": (64, 48)}, "mask_asset_id", "it must have the size of the mask .*, 640×480"),
        ({"part": "plank-1", "color": "red"}, "mask_asset_id", "the mask has colours"),
        ({"part": "plank-1", "kind": "PHOTO"}, "mask_asset_id", "is a photo; upload it with the kind MASK"),
    ],
)
def test_an_edited_mask_that_does_not_fit_is_refused(
    client: Heartwood, upload_id: str, segmented: Job, edit: dict[str, object], field: str, message: str
) -> None:
    fields = {name: edit[name] for name in ("photo", "part") if name in edit}
    width, height = edit.get("size", (640, 480))
    mask = np.zeros((height, width, 3) if "color" in edit else (height, width), np.uint8)
    mask[: height // 2, :, ...] = (255, 0, 0) if "color" in edit else 255
    kind = asset_pb2.AssetKind.Value(f"ASSET_KIND_{edit.get('kind', 'MASK')}")
    asset = client.upload_bytes(png(mask), "mask.png", kind=kind)
    masks = [stain_pb2.EditedMask(mask_asset_id=asset.id, **fields)]
    error = refused(client, upload_id, segment_job_id=segmented.id, masks=masks)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.field == f"spec.stain.masks[0].{field}"
    with pytest.raises(ApiError, match=message):
        raise error


def test_two_edits_of_the_same_mask_are_refused(client: Heartwood, upload_id: str, segmented: Job, half: str) -> None:
    other = mask_id(client, np.zeros((480, 640), np.uint8))
    masks = [stain_pb2.EditedMask(part="plank-1", mask_asset_id=id) for id in (half, other)]
    assert refused(client, upload_id, segment_job_id=segmented.id, masks=masks).field == "spec.stain.masks[1]"


def test_parts_that_the_segment_job_did_not_find_are_refused(client: Heartwood, upload_id: str, segmented: Job) -> None:
    error = refused(client, upload_id, segment_job_id=segmented.id, parts=["plank", "drawer"])
    assert error.field == "spec.stain.parts[1]"
    assert "allowed are plank, top" in error.message


def test_a_job_on_other_photos_is_refused(client: Heartwood, segmented: Job) -> None:
    other = client.upload_bytes(jpeg(wood_photo(seed=35)), "other.jpg").group_id
    error = refused(client, other, segment_job_id=segmented.id)
    assert error.field == "spec.stain.segment_job_id"
    assert "did not process photo 0 of the upload, 'other.jpg'" in error.message


def test_a_job_without_masks_is_refused(client: Heartwood, upload_id: str) -> None:
    stain_job = stain(client, upload_id)
    error = refused(client, upload_id, segment_job_id=stain_job.id)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "is a stain job without a segment result" in error.message


def test_an_unfinished_or_canceled_job_is_refused(client: Heartwood) -> None:
    upload = client.upload_bytes(jpeg(wood_photo(4000, 3000, seed=36)), "large.jpg").group_id
    segment_job = client.segment(upload)
    error = refused(client, upload, segment_job_id=segment_job.id)
    assert error.code is grpc.StatusCode.FAILED_PRECONDITION
    assert "wait until it has succeeded" in error.message
    client.cancel(segment_job.id)
    with pytest.raises(ApiError, match="canceled"):
        client.wait(segment_job.id)
    error = refused(client, upload, segment_job_id=segment_job.id)
    assert error.code is grpc.StatusCode.FAILED_PRECONDITION
    assert "is CANCELED; create another one" in error.message


@pytest.fixture
def rival(service: RunningService) -> Iterator[Heartwood]:
    with service.client("rival-of-parts") as rival:
        yield rival


def test_jobs_and_masks_of_another_tenant_are_not_found(
    client: Heartwood, rival: Heartwood, upload_id: str, segmented: Job
) -> None:
    upload = rival.upload_bytes(jpeg(wood_photo()), "board.jpg").group_id
    assert refused(rival, upload, segment_job_id=segmented.id).code is grpc.StatusCode.NOT_FOUND
    foreign = mask_id(rival, np.zeros((480, 640), np.uint8))
    masks = [stain_pb2.EditedMask(part="plank-1", mask_asset_id=foreign)]
    assert refused(client, upload_id, segment_job_id=segmented.id, masks=masks).code is grpc.StatusCode.NOT_FOUND
    assert refused(client, upload_id, segment_job_id="nope").code is grpc.StatusCode.NOT_FOUND


def test_a_segment_job_in_use_is_not_deleted(client: Heartwood) -> None:
    upload = client.upload_bytes(jpeg(wood_photo(3000, 2250, seed=37)), "large.jpg").group_id
    segment_job = client.wait(client.segment(upload).id)
    part = segment_job.segment.photos[0].components[0].instance
    options = stain_pb2.StainOptions(segment_job_id=segment_job.id, parts=[part])
    stain_job = client.stain(upload, stain="ebony", options=options)
    with pytest.raises(ApiError, match="uses the result") as in_use:
        client.delete_job(segment_job.id)
    assert in_use.value.code is grpc.StatusCode.FAILED_PRECONDITION
    client.cancel(stain_job.id)
    with pytest.raises(ApiError, match="canceled"):
        client.wait(stain_job.id)
    client.delete_job(segment_job.id)


def test_results_have_the_names_of_the_photos(client: Heartwood) -> None:
    first = client.upload_bytes(jpeg(wood_photo(160, 120, seed=38)), "Tisch vorn.jpg")
    for name, seed in (("tisch vorn.JPG", 39), ("???.jpg", 40)):
        client.upload_bytes(jpeg(wood_photo(160, 120, seed=seed)), name, upload_id=first.group_id)
    job = client.wait(client.segment(first.group_id).id)
    names = [photo.overlay.name for photo in job.segment.photos]
    assert names == ["Tisch vorn/overlay.png", "tisch vorn-2/overlay.png", "photo/overlay.png"]
