"""Downloads one large file over HTTPS: resumable, limited to its expected size, and verified by its hashes."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2

from orchestrator.errors import FailedPrecondition, InvalidInput, ToolFailed

CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 60.0
"""Timeout of the connection and of each read, not of the whole download."""

Report = Callable[[int], None]
"""Receives the number of bytes that exist so far."""


@dataclass(frozen=True)
class Pins:
    """The expected size and hashes of a file.

    Attributes:
        size: in bytes.
        sha256, md5: in hexadecimal. An empty ``md5`` is not checked.
    """

    size: int
    sha256: str
    md5: str = ""


class _Digest:
    """The hashes of a file that is read piece by piece."""

    def __init__(self, pins: Pins) -> None:
        self._pins = pins
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0

    def update(self, data: bytes) -> None:
        """Add the next bytes of the file."""
        self.size += len(data)
        self._sha256.update(data)
        if self._pins.md5:
            self._md5.update(data)

    def problem(self) -> str:
        """Return how the file differs from the pins, or an empty string."""
        if self.size != self._pins.size:
            return f"has {self.size} bytes; expected {self._pins.size}"
        for name, digest, expected in (
            ("SHA-256", self._sha256.hexdigest(), self._pins.sha256),
            ("MD5", self._md5.hexdigest(), self._pins.md5),
        ):
            if expected and digest != expected:
                return f"has the {name} {digest}; expected {expected}"
        return ""


def check(file: Path, pins: Pins) -> Path:
    """Return ``file`` if it matches the pins.

    Raises:
        InvalidInput: the file does not exist, or its size or a hash differs.
    """
    if not file.is_file():
        raise InvalidInput("file", f"{file} is not a file")
    digest = _Digest(pins)
    size = file.stat().st_size
    if size == pins.size:
        _read(file, digest)
    else:
        digest.size = size  # suffices to reject the file
    if problem := digest.problem():
        raise InvalidInput("file", f"{file.name} {problem}")
    return file


def require_space(folder: Path, size: int) -> None:
    """Raise FailedPrecondition unless ``size`` bytes are free on the disk of ``folder``, which need not exist."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < size:
        problem = f"{folder} needs {size / 1e6:.0f} MB, but {free / 1e6:.0f} MB are free"
        raise FailedPrecondition(f"{problem}; free space, or name another folder")


def part_of(target: Path) -> Path:
    """Return the file to which the download of ``target`` goes."""
    return target.with_name(f"{target.name}.part")


def fetch(
    url: str, target: Path, pins: Pins, client: httpx2.Client | None = None, report: Report = lambda _: None
) -> Path:
    """Download ``url`` to ``target``, or verify ``target`` if it exists.

    The download goes to a ``.part`` file, from which an interrupted download resumes. ``target`` is created only after
    the verification.

    Args:
        client: closed after the download; default: a new client.

    Raises:
        InvalidInput: the URL, or one that it redirects to, is not HTTPS. Or ``target`` exists and differs.
        FailedPrecondition: the disk has too little free space.
        ToolFailed: the connection ended early, in which case the next call resumes. Or the server reported an error.
            Or the file differs, or the disk is full, in which cases the ``.part`` file is removed.
    """
    if target.exists():
        return check(target, pins)
    part = part_of(target)
    digest = _Digest(pins)
    if part.exists() and 0 < part.stat().st_size <= pins.size:
        _read(part, digest)
    require_space(target.parent, pins.size - digest.size)
    target.parent.mkdir(parents=True, exist_ok=True)
    if digest.size < pins.size:
        with client or httpx2.Client(timeout=TIMEOUT_SECONDS) as http:
            try:
                digest = _receive(http, url, part, pins, digest, report)
            except OSError as error:
                part.unlink(missing_ok=True)
                reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
                problem = f"{part} could not be written after {digest.size} of {pins.size} bytes: {reason}"
                raise ToolFailed(f"{problem}; the partial download was deleted") from error
    if problem := digest.problem():
        part.unlink()
        raise ToolFailed(f"{url} {problem}; the download was deleted")
    return part.rename(target)


def _read(file: Path, digest: _Digest) -> None:
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)


def _receive(http: httpx2.Client, url: str, part: Path, pins: Pins, digest: _Digest, report: Report) -> _Digest:
    """Append the bytes that follow those in ``digest`` to ``part``, and return the digest of the whole file."""
    http.event_hooks["request"].append(_require_https)
    start = digest.size
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        with http.stream("GET", url, headers=headers, follow_redirects=True) as response:
            if response.status_code not in (200, 206):
                raise ToolFailed(f"{url} returned HTTP status {response.status_code}")
            if response.status_code == 200:  # the server ignores the range and sends the whole file
                digest = _Digest(pins)
            elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                content_range = response.headers.get("Content-Range")
                raise ToolFailed(f"{url} returned the range {content_range!r} instead of bytes {start}-")
            with part.open("ab" if digest.size else "wb") as stream:
                for chunk in response.iter_bytes():
                    digest.update(chunk)
                    if digest.size > pins.size:
                        part.unlink()
                        raise ToolFailed(f"{url} returned more than the expected {pins.size} bytes")
                    stream.write(chunk)
                    report(digest.size)
    except httpx2.HTTPError as error:
        raise ToolFailed(
            f"download of {url} failed after {digest.size} of {pins.size} bytes: {error}; run the command again to "
            "resume"
        ) from error
    if digest.size < pins.size:
        raise ToolFailed(f"{url} ended after {digest.size} of {pins.size} bytes; run the command again to resume")
    return digest


def _require_https(request: httpx2.Request) -> None:
    if request.url.scheme != "https":
        raise InvalidInput("url", f"{request.url} is not HTTPS")
