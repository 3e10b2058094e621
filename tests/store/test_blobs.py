"""Blobs are stored whole, separated by tenant, and signed if the store supports it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from orchestrator.errors import FailedPrecondition, NotFound
from orchestrator.store.blobs import DOWNLOAD_CHUNK, Blobs


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs.open("", {}, tmp_path / "blobs")


def test_blob_is_read_whole_and_from_any_offset(blobs: Blobs) -> None:
    data = bytes(range(256)) * (DOWNLOAD_CHUNK // 128)
    sha256 = blobs.put("shop", data)
    assert blobs.get("shop", sha256) == data
    assert b"".join(blobs.stream("shop", sha256, 1000, len(data))) == data[1000:]


def test_blob_of_one_tenant_does_not_exist_for_another(blobs: Blobs) -> None:
    sha256 = blobs.put("shop", b"chair")
    assert not blobs.exists("rival", sha256)
    with pytest.raises(NotFound):
        blobs.get("rival", sha256)


@pytest.mark.parametrize("tenant", ["../../etc", "a/b", "", "ü\0"])
def test_no_tenant_name_escapes_the_folder(blobs: Blobs, tmp_path: Path, tenant: str) -> None:
    blobs.put(tenant, b"chair")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 1
    assert files[0].is_relative_to(tmp_path / "blobs")


def test_blob_can_be_deleted_twice(blobs: Blobs) -> None:
    sha256 = blobs.put("shop", b"chair")
    blobs.delete("shop", sha256)
    blobs.delete("shop", sha256)
    assert not blobs.exists("shop", sha256)


def test_signing_in_a_local_folder_fails_and_names_the_stores_that_can_sign(blobs: Blobs) -> None:
    with pytest.raises(FailedPrecondition, match="s3://"):
        blobs.sign("shop", blobs.put("shop", b"chair"), timedelta(hours=1))


def test_s3_url_is_signed_and_expires(tmp_path: Path) -> None:
    keys = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "secret", "aws_region": "eu-central-1"}
    store = Blobs.open("s3://furniture/heartwood", keys, tmp_path)
    url = store.sign("shop", "ab" * 32, timedelta(minutes=5))
    query = parse_qs(urlsplit(url).query)
    assert query["X-Amz-Expires"] == ["300"]
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert "secret" not in url
