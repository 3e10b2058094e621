"""Downloads use HTTPS, resume, are verified, and leave nothing half-written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from export_models.pull.download import Pins, check, fetch, part_of
from orchestrator.errors import FailedPrecondition, InvalidInput, ToolFailed
from tests.support.file_server import FileServer

CONTENT = bytes(range(256)) * 5000
SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PINS = Pins(SIZE, SHA256, hashlib.md5(CONTENT, usedforsecurity=False).hexdigest())
FILE = "/file"


@pytest.fixture
def server() -> Iterator[FileServer]:
    running = FileServer({FILE: CONTENT})
    yield running
    running.close()


def fetch_from(server: FileServer, target: Path, pins: Pins = PINS) -> Path:
    return fetch(server.url(FILE), target, pins, server.client())


def test_an_interrupted_download_resumes(server: FileServer, tmp_path: Path) -> None:
    target = tmp_path / "weights.bin"
    server.stops_after = 700_000
    with pytest.raises(ToolFailed, match=f"after 700000 of {SIZE} bytes"):
        fetch_from(server, target)
    assert not target.exists()
    server.stops_after = None
    assert fetch_from(server, target).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=700000-"]
    assert fetch_from(server, target) == target
    assert len(server.ranges) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["weights.bin"]


@pytest.mark.parametrize(
    ("pins", "problem"),
    [
        (Pins(SIZE, "0" * 64), f"has the SHA-256 {SHA256}; expected {'0' * 64}; the download was deleted"),
        (Pins(SIZE, SHA256, "0" * 32), f"has the MD5 {PINS.md5}; expected {'0' * 32}; the download was deleted"),
        (Pins(SIZE - 1, SHA256), f"returned more than the expected {SIZE - 1} bytes"),
    ],
)
def test_a_download_that_differs_from_its_pins_is_deleted(
    server: FileServer, tmp_path: Path, pins: Pins, problem: str
) -> None:
    with pytest.raises(ToolFailed, match=problem):
        fetch_from(server, tmp_path / "weights.bin", pins)
    assert list(tmp_path.iterdir()) == []


def test_redirects_to_plain_http_are_rejected(server: FileServer, tmp_path: Path) -> None:
    server.redirects[FILE] = "http://localhost:1/file"
    with pytest.raises(InvalidInput, match="http://localhost:1/file is not HTTPS"):
        fetch_from(server, tmp_path / "weights.bin")
    server.redirects[FILE], server.files["/moved"] = server.url("/moved"), CONTENT
    assert fetch_from(server, tmp_path / "weights.bin").read_bytes() == CONTENT


def test_a_full_disk_leaves_no_partial_download(server: FileServer, tmp_path: Path) -> None:
    target = tmp_path / "weights.bin"
    part_of(target).symlink_to("/dev/full")  # every write fails as on a full disk
    with pytest.raises(ToolFailed, match="the disk is full; the partial download was deleted"):
        fetch_from(server, target)
    assert list(tmp_path.iterdir()) == []
    assert fetch_from(server, target).read_bytes() == CONTENT


def test_too_little_space_is_reported_before_the_download(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match=r"needs 1000000000000 MB, but \d+ MB are free"):
        fetch_from(server, tmp_path / "new" / "weights.bin", Pins(10**18, SHA256))
    assert server.ranges == []
    assert list(tmp_path.iterdir()) == []


def test_a_local_file_is_verified(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    with pytest.raises(InvalidInput, match=r"model\.pt is not a file"):
        check(file, PINS)
    file.write_bytes(b"something else")
    with pytest.raises(InvalidInput, match=f"model.pt has 14 bytes; expected {SIZE}"):
        check(file, PINS)
    with pytest.raises(InvalidInput, match="expected " + "0" * 64):
        check(file, Pins(14, "0" * 64))
    file.write_bytes(CONTENT)
    assert check(file, PINS) == file
