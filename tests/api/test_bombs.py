"""Files that are made to exhaust the service are refused, and other tenants do not notice them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import asset_pb2
from tests.support.bombs import json_bomb, png_bomb, scan_bomb
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService, wait_for

PHOTO = jpeg(wood_photo(200, 150))
MODEL = asset_pb2.ASSET_KIND_MODEL
BOMBS = {
    "scans.jpg": lambda: scan_bomb(50),
    "pixels.png": png_bomb,
    "numbers.gltf": json_bomb,
}
MAX_LIST_S = 1.0
"""Maximum time of ListJobs beside bombs. It was 13 s when the service decoded files itself. Alone it takes a few
milliseconds; the tests share two cores with other programs, which may delay any call by some tenths of a second."""
MAX_UPLOAD_S = 10.0
"""Maximum time of an upload beside bombs. Bombs of one tenant leave half of the processes to others, but the four
processes share two cores."""


@pytest.fixture(scope="module")
def bombed(tmp_path_factory: pytest.TempPathFactory, triton_url: str) -> Iterator[RunningService]:
    """A service in which a file may take 1 s of CPU time, and a tenant may upload 128 MB at a time."""
    limits = {"decode_cpu_s": 1, "max_waiting_uploads": 4, "upload_spool_mb": 512, "max_requests_per_s": 10_000}
    service = RunningService(tmp_path_factory.mktemp("bombed"), triton_url, **limits)
    yield service
    assert service.stop() == 0, service.log.read_text()
    assert not list((service.data_dir / "uploads").iterdir())


def upload(client: Heartwood, name: str, data: bytes) -> asset_pb2.Asset:
    return client.upload_bytes(data, name, kind=MODEL if name.endswith("gltf") else asset_pb2.ASSET_KIND_PHOTO)


def messages(name: str, data: bytes) -> Iterator[asset_pb2.UploadAssetRequest]:
    kind = MODEL if name.endswith("gltf") else asset_pb2.ASSET_KIND_PHOTO
    header = asset_pb2.UploadAssetRequest.Header(filename=name, kind=kind)
    yield asset_pb2.UploadAssetRequest(header=header)
    for offset in range(0, len(data), 1 << 20):
        chunk = asset_pb2.UploadAssetRequest.Chunk(offset=offset, data=data[offset : offset + (1 << 20)])
        yield asset_pb2.UploadAssetRequest(chunk=chunk)


def start(client: Heartwood, name: str, data: bytes) -> grpc.Future:
    return client._assets.UploadAsset.future(messages(name, data), metadata=client._metadata)


@pytest.mark.parametrize("name", BOMBS)
def test_another_tenant_notices_nothing_of_bombs(bombed: RunningService, name: str) -> None:
    data = BOMBS[name]()
    memory = psutil.Process(bombed.process.pid).memory_info().rss
    with bombed.client("attacker") as attacker, bombed.client("neighbour") as neighbour:
        bombs = [start(attacker, name, data) for _ in range(4)]
        waited = []
        end = time.monotonic() + 3
        while time.monotonic() < end:
            bombs = [start(attacker, name, data) if bomb.done() else bomb for bomb in bombs]
            started = time.monotonic()
            assert list(neighbour.jobs()) == []
            waited.append(time.monotonic() - started)
        started = time.monotonic()
        assert upload(neighbour, "board.jpg", PHOTO).width == 200
        upload_s = time.monotonic() - started
        grown = psutil.Process(bombed.process.pid).memory_info().rss - memory
        for bomb in bombs:
            bomb.cancel()
    assert max(waited) < MAX_LIST_S
    assert upload_s < MAX_UPLOAD_S
    assert grown < 200 << 20  # one decoded photo of 100 megapixels has 300 MB


def test_a_photo_with_thousands_of_scans_is_refused_with_the_rule(bombed: RunningService) -> None:
    with bombed.client() as client, pytest.raises(ApiError, match=r"s\.jpg.*50 scans") as refused:
        upload(client, "s.jpg", scan_bomb(3000, 64))
    assert (refused.value.code, refused.value.field) == (grpc.StatusCode.INVALID_ARGUMENT, "data")


def test_a_photo_that_takes_too_much_time_is_refused_with_the_rule(bombed: RunningService) -> None:
    with bombed.client() as client, pytest.raises(ApiError, match=r"s\.jpg.*more than 1 s of CPU time") as refused:
        upload(client, "s.jpg", scan_bomb(50))
    assert (refused.value.code, refused.value.field) == (grpc.StatusCode.INVALID_ARGUMENT, "data")


def test_uploads_beyond_the_queue_are_told_when_to_retry(bombed: RunningService) -> None:
    with bombed.client("impatient") as client:
        calls = [start(client, "s.jpg", scan_bomb(50)) for _ in range(8)]
        refused = wait_for(lambda: [call for call in calls if _code(call) is grpc.StatusCode.RESOURCE_EXHAUSTED], 60)
        for call in calls:
            call.cancel()
    assert "wait to be checked" in refused[0].details()
    assert _retry_delay_s(refused[0]) > 0


def test_a_tenant_cannot_fill_the_disk_with_uploads(bombed: RunningService) -> None:
    release = threading.Event()

    def endless() -> Iterator[asset_pb2.UploadAssetRequest]:
        yield from messages("a.glb.gltf", bytes(100 << 20))
        release.wait(60)

    folder = bombed.data_dir / "uploads"
    with bombed.client("hoarder") as client, bombed.client("neighbour") as neighbour:
        first = client._assets.UploadAsset.future(endless(), metadata=client._metadata)
        wait_for(lambda: sum(file.stat().st_size for file in folder.iterdir()) >= 100 << 20, 60)
        assert folder.stat().st_mode & 0o077 == 0
        second = start(client, "b.jpg", bytes(40 << 20))
        assert second.exception().code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert _retry_delay_s(second) > 0
        assert upload(neighbour, "board.jpg", PHOTO).width == 200
        first.cancel()
        wait_for(lambda: not list(folder.iterdir()), 10)  # an aborted upload leaves nothing
        release.set()


def test_what_a_crash_left_of_an_upload_is_removed_at_the_start(tmp_path: Path, triton_url: str) -> None:
    leftover = tmp_path / "uploads" / "0123"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half a photo")
    service = RunningService(tmp_path, triton_url)
    assert not leftover.exists()
    assert service.stop() == 0


def _code(call: grpc.Future) -> grpc.StatusCode | None:
    return call.code() if call.done() else None


def _retry_delay_s(error: grpc.RpcError) -> float:
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in rpc_status.from_call(error).details)
    return float(retry.retry_delay.ToTimedelta().total_seconds())
