"""Commands that check the storage, change the retention of a tenant, and delete a tenant."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import grpc
import pytest

from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import asset_pb2, job_pb2
from orchestrator.store.blobs import blob_key
from orchestrator.store.schema import metadata
from tests.support.cli import Cli
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService

TENANT = "leaving"


def rows_of_tenant(service: RunningService, tenant: str) -> dict[str, int]:
    """The number of rows of a tenant in each table that has some."""
    with closing(sqlite3.connect(service.data_dir / "heartwood.sqlite")) as database:
        tables = [table.name for table in metadata.sorted_tables if "tenant" in table.c]
        count = "SELECT COUNT(*) FROM {} WHERE tenant = ?"
        counts = {name: database.execute(count.format(name), [tenant]).fetchone()[0] for name in tables}
    return {name: count for name, count in counts.items() if count}


def histories(service: RunningService, job_ids: list[str]) -> int:
    with closing(sqlite3.connect(service.data_dir / "jobs.sqlite")) as database:
        return sum(
            database.execute("SELECT COUNT(*) FROM workflow_status WHERE workflow_uuid = ?", [id]).fetchone()[0]
            for id in job_ids
        )


def test_a_tenant_is_deleted_completely_while_the_service_runs(service: RunningService, cli: Cli) -> None:
    data = {"HEARTWOOD_DATA_DIR": str(service.data_dir)}
    token = service.token(TENANT)
    with Heartwood(service.address, token) as client, service.client("staying") as other:
        photo = jpeg(wood_photo(640, 480, seed=61))
        staying = other.upload_bytes(photo, "board.jpg")
        job = client.wait(client.stain(client.upload_bytes(photo, "board.jpg").group_id, stain="walnut").id)
        large = client.upload_bytes(jpeg(wood_photo(3000, 2250, seed=62)), "large.jpg").group_id
        running = client.stain(large, stain="ebony")
        cli("tenant", "retention", TENANT, "uploads=30", **data)
        deleted = cli("tenant", "delete", TENANT, "--yes", **data)
        assert deleted.exit_code == 0, deleted
        assert "jobs 2" in deleted.output
        assert "tokens 1" in deleted.output
        with pytest.raises(ApiError) as refused:
            client.job(job.id)
        assert refused.value.code is grpc.StatusCode.UNAUTHENTICATED
        assert rows_of_tenant(service, TENANT) == {}
        assert histories(service, [job.id, running.id]) == 0
        folder = service.data_dir / "blobs" / blob_key(TENANT, "").partition("/")[0]
        assert [path for path in folder.rglob("*") if path.is_file()] == []
        assert b"".join(other.read(staying)) == photo
    again = cli("tenant", "delete", TENANT, "--yes", **data)
    assert again.exit_code == 0
    assert "jobs 0" in again.output


def test_an_upload_that_ends_after_its_tenant_was_deleted_stores_nothing(service: RunningService, cli: Cli) -> None:
    photo, is_deleted = jpeg(wood_photo(640, 480, seed=63)), threading.Event()
    request = asset_pb2.UploadAssetRequest

    def messages() -> Iterator[asset_pb2.UploadAssetRequest]:
        yield request(header=request.Header(filename="board.jpg"))
        yield request(chunk=request.Chunk(offset=0, data=photo[:100]))
        is_deleted.wait(60)
        yield request(chunk=request.Chunk(offset=100, data=photo[100:]))

    with Heartwood(service.address, service.token(TENANT)) as client, ThreadPoolExecutor() as threads:
        client.usage()
        upload = threads.submit(client._call, client._assets.UploadAsset, messages())
        time.sleep(0.5)
        assert cli("tenant", "delete", TENANT, "--yes", HEARTWOOD_DATA_DIR=str(service.data_dir)).exit_code == 0
        is_deleted.set()
        with pytest.raises(ApiError) as refused:
            upload.result()
    assert refused.value.code is grpc.StatusCode.UNAUTHENTICATED
    assert rows_of_tenant(service, TENANT) == {}


def test_a_tenant_is_not_deleted_without_a_confirmation(service: RunningService, cli: Cli) -> None:
    with service.client("undecided") as client:
        client.upload_bytes(jpeg(wood_photo(64, 48)), "board.jpg")
        refused = cli("tenant", "delete", "undecided", HEARTWOOD_DATA_DIR=str(service.data_dir))
        assert refused.exit_code == 1
        assert len(list(client.list_assets())) == 1


def test_deleting_a_job_deletes_its_history(service: RunningService) -> None:
    with service.client("staying") as client:
        job = client.segment(client.upload_bytes(jpeg(wood_photo(64, 48, seed=3)), "board.jpg").group_id)
        *_, ended = client.watch(job.id)
        assert ended.state != job_pb2.JOB_STATE_RUNNING
        assert histories(service, [job.id]) == 1
        client.delete_job(job.id)
        assert histories(service, [job.id]) == 0


def test_the_retention_of_a_tenant_is_shown_and_changed(cli: Cli) -> None:
    assert "uploads ever (default)" in cli("tenant", "retention", "shop").output
    changed = cli("tenant", "retention", "shop", "uploads=30", "jobs=0").output
    assert "uploads 30 days" in changed
    assert "jobs ever results" not in changed
    assert "uploads ever (default)" in cli("tenant", "retention", "shop", "uploads=default").output


@pytest.mark.parametrize("change", ["uploads=soon", "photos=3", "uploads=-1", "uploads=nan", "uploads"])
def test_an_invalid_retention_is_refused(cli: Cli, change: str) -> None:
    refused = cli("tenant", "retention", "shop", change)
    assert refused.exit_code == 2
    assert change.partition("=")[0] in refused.errors


def test_the_storage_check_reports_orphaned_and_missing_files(service: RunningService, cli: Cli) -> None:
    data = {"HEARTWOOD_DATA_DIR": str(service.data_dir), "HEARTWOOD_BLOB_GRACE_S": "0"}
    with service.client("checked") as client:
        asset = client.upload_bytes(jpeg(wood_photo(64, 48, seed=4)), "board.jpg")
    file = service.data_dir / "blobs" / blob_key("checked", asset.sha256)
    orphan = service.data_dir / "blobs" / blob_key("checked", "0" * 64)
    orphan.parent.mkdir(parents=True, exist_ok=True)
    orphan.write_bytes(b"orphan")
    assert "orphaned 1, 0 kB" in cli("storage", "check", **data).output
    assert cli("storage", "check", "--remove", **data).exit_code == 0
    assert not orphan.exists()
    file.rename(file.with_suffix(".moved"))
    missing = cli("storage", "check", **data)
    assert missing.exit_code == 3
    assert asset.sha256 in missing.errors
    file.with_suffix(".moved").rename(file)
