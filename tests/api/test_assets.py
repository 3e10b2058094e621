"""AssetService over real gRPC."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from PIL import Image

from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import asset_pb2
from tests.support.bad_photos import save
from tests.support.photo_bytes import SHORT, entry, exif, jpeg_segment, with_segments
from tests.support.pictures import jpeg, wood_photo

Request = asset_pb2.UploadAssetRequest
PHOTO = jpeg(wood_photo(200, 150, seed=20))


def send(client: Heartwood, *messages: Request) -> asset_pb2.UploadAssetResponse:
    def stream() -> Iterator[Request]:
        yield from messages

    return client._call(client._assets.UploadAsset, stream())


def header(**fields: object) -> Request:
    return Request(header=Request.Header(filename="photo.jpg", **fields))


def chunk(offset: int, data: bytes) -> Request:
    return Request(chunk=Request.Chunk(offset=offset, data=data))


def test_a_photo_is_downloaded_unchanged(client: Heartwood) -> None:
    asset = client.upload_bytes(PHOTO, "../../etc/passwd\\x.jpg")
    assert b"".join(client.read(asset)) == PHOTO
    assert asset.sha256 == hashlib.sha256(PHOTO).hexdigest()
    assert (asset.width, asset.height, asset.media_type) == (200, 150, "image/jpeg")
    assert asset.name == "x.jpg"


def test_a_name_with_invalid_utf8_is_accepted(client: Heartwood) -> None:
    assert client.upload_bytes(PHOTO, b"chair \xff.jpg".decode(errors="surrogateescape")).name == "chair _.jpg"


@pytest.mark.parametrize(
    ("format", "media_type"),
    [
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("HEIF", "image/heic"),
        ("AVIF", "image/avif"),
        ("TIFF", "image/tiff"),
        ("BMP", "image/bmp"),
    ],
)
def test_a_photo_of_every_format_is_accepted(client: Heartwood, format: str, media_type: str) -> None:
    data = save(Image.fromarray(wood_photo(200, 150, seed=20)), format)
    asset = client.upload_bytes(data, f"photo.{format.lower()}")
    assert (asset.width, asset.height, asset.media_type) == (200, 150, media_type)


def test_a_photo_with_broken_exif_data_and_without_end_marker_is_accepted(client: Heartwood) -> None:
    past_the_end, quarter_turn = (0x010F, 2, 4000, b"\xff\xff\0\0"), entry(0x0112, SHORT, 6)
    block = exif(past_the_end, quarter_turn)
    data = with_segments(PHOTO.removesuffix(b"\xff\xd9"), jpeg_segment(0xE1, block))
    asset = client.upload_bytes(data, "photo.jpg")
    assert (asset.width, asset.height, asset.media_type) == (150, 200, "image/jpeg")
    assert b"".join(client.read(asset)) == data


def test_upload_reports_the_bytes_that_were_sent(client: Heartwood, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(PHOTO)
    sent: list[int] = []
    client.upload([photo, photo], on_sent=sent.append)
    assert sum(sent) == 2 * len(PHOTO)


def test_a_download_can_start_at_an_offset(client: Heartwood) -> None:
    asset = client.upload_bytes(PHOTO, "a.jpg")
    request = asset_pb2.DownloadAssetRequest(asset_id=asset.id, offset=1000)
    messages = list(client._assets.DownloadAsset(request, metadata=client._metadata))
    assert b"".join(message.data for message in messages[1:]) == PHOTO[1000:]


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([], "header"),
        ([chunk(0, PHOTO)], "header"),
        ([header(), header()], "chunk"),
        ([header(), chunk(5, PHOTO)], "chunk.offset"),
        ([header(), chunk(0, PHOTO[:100]), chunk(50, PHOTO[100:])], "chunk.offset"),
        ([header(), chunk(0, PHOTO[:100]), chunk(0, PHOTO[:100])], "chunk.offset"),
        ([header(upload_id="x" * (300 << 10)), chunk(0, PHOTO)], "header"),
        ([header(size_bytes=10), chunk(0, PHOTO)], "chunk.data"),
        ([header(size_bytes=len(PHOTO) + 1), chunk(0, PHOTO)], "header.size_bytes"),
        ([header(size_bytes=51 << 20)], "header.size_bytes"),
        ([header(size_bytes=-1)], "header.size_bytes"),
        ([header(sha256="0" * 64), chunk(0, PHOTO)], "header.sha256"),
        ([header(kind=asset_pb2.ASSET_KIND_TEXTURE), chunk(0, PHOTO)], "header.kind"),
        ([header(kind=77), chunk(0, PHOTO)], "header.kind"),
        ([header(), chunk(0, PHOTO[: len(PHOTO) // 2])], "data"),
        ([header()], "data"),
    ],
)
def test_an_invalid_upload_is_refused_with_its_field_and_stores_nothing(
    client: Heartwood, messages: list[Request], field: str
) -> None:
    before = len(list(client.list_assets()))
    with pytest.raises(ApiError) as refused:
        send(client, *messages)
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.field == field
    assert len(list(client.list_assets())) == before


def test_a_name_with_many_marks_on_one_letter_delays_nobody(client: Heartwood) -> None:
    name = "a" + "\u0315\u0300" * 20_000
    started = time.monotonic()
    assert len(client.upload_bytes(PHOTO, f"{name}.jpg").name) == 120
    assert time.monotonic() - started < 1.0


@pytest.mark.parametrize("kind", [asset_pb2.ASSET_KIND_PHOTO, asset_pb2.ASSET_KIND_MASK, asset_pb2.ASSET_KIND_MODEL])
def test_a_refused_file_is_named(client: Heartwood, kind: asset_pb2.AssetKind.ValueType) -> None:
    name = "desk 7.glb" if kind == asset_pb2.ASSET_KIND_MODEL else "desk 7.png"
    with pytest.raises(ApiError, match=name):
        client.upload_bytes(PHOTO[: len(PHOTO) // 2], name, kind=kind)


def test_an_upload_over_the_size_limit_is_refused_before_its_end(client: Heartwood) -> None:
    piece = b"\xff" * (3 << 20)
    with pytest.raises(ApiError) as refused:
        send(client, header(), *(chunk(index * len(piece), piece) for index in range(20)))
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_deleting_a_photo_keeps_bytes_that_another_asset_uses(client: Heartwood) -> None:
    first, second = client.upload_bytes(PHOTO, "1.jpg"), client.upload_bytes(PHOTO, "2.jpg")
    client.delete_asset(first.id)
    assert b"".join(client.read(second)) == PHOTO
    client.delete_asset(second.id)
    with pytest.raises(ApiError) as gone:
        list(client.read(second))
    assert gone.value.code is grpc.StatusCode.NOT_FOUND


def test_signing_a_url_on_a_local_folder_fails_and_names_the_alternative(client: Heartwood) -> None:
    asset = client.upload_bytes(PHOTO, "s.jpg")
    with pytest.raises(ApiError, match="DownloadAsset") as refused:
        client.sign_url(asset.id)
    assert refused.value.code is grpc.StatusCode.FAILED_PRECONDITION


def test_list_assets_filters_by_upload_and_pages(client: Heartwood) -> None:
    group = client.upload_bytes(PHOTO, "1.jpg").group_id
    for name in ("2.jpg", "3.jpg"):
        client.upload_bytes(PHOTO, name, upload_id=group)
    first = client._call(client._assets.ListAssets, asset_pb2.ListAssetsRequest(group_id=group, page_size=2))
    second = client._call(
        client._assets.ListAssets,
        asset_pb2.ListAssetsRequest(group_id=group, page_size=2, page_token=first.next_page_token),
    )
    assert sorted(asset.name for asset in [*first.assets, *second.assets]) == ["1.jpg", "2.jpg", "3.jpg"]
    assert second.next_page_token == ""
