"""Downloads one large file over HTTPS: resumable, limited to its expected size, and verified by its SHA-256."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx2

from orchestrator.errors import InvalidInput, ToolFailed

CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 60.0
"""Timeout of the connection and of each read, not of the whole download."""


def check(file: Path, size: int, sha256: str) -> Path:
    """Return ``file`` if it has the expected size in bytes and SHA-256.

    Raises:
        InvalidInput: the size or the hash differs.
    """
    actual_size = file.stat().st_size
    if actual_size != size:
        raise InvalidInput("file", f"{file.name} has {actual_size} bytes; expected {size}")
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != sha256:
        raise InvalidInput("file", f"{file.name} has the SHA-256 {digest}; expected {sha256}")
    return file


def fetch(url: str, target: Path, size: int, sha256: str, client: httpx2.Client | None = None) -> Path:
    """Download ``url`` to ``target``, or verify ``target`` if it exists.

    The download goes to a ``.part`` file, from which an interrupted download resumes. ``target`` is created only after
    the verification.

    Args:
        size: expected size in bytes; a longer response is an error.
        client: closed after the download; default: a new client.

    Raises:
        InvalidInput: the URL, or one that it redirects to, is not HTTPS. Or ``target`` exists and differs.
        ToolFailed: the connection ended early, in which case the next call resumes. Or the server reported an error.
            Or the file differs, in which case it is removed.
    """
    if target.exists():
        return check(target, size, sha256)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    digest = hashlib.sha256()
    received = 0
    if part.exists() and part.stat().st_size <= size:
        with part.open("rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                digest.update(chunk)
                received += len(chunk)
    if received < size:
        with client or httpx2.Client(timeout=TIMEOUT_SECONDS) as http:
            digest = _receive(http, url, part, size, received, digest)
    if digest.hexdigest() != sha256:
        part.unlink()
        raise ToolFailed(f"{url} has the SHA-256 {digest.hexdigest()}; expected {sha256}; the download was deleted")
    return part.rename(target)


def _receive(
    http: httpx2.Client, url: str, part: Path, size: int, received: int, digest: hashlib._Hash
) -> hashlib._Hash:
    """Append the bytes from ``received`` on to ``part`` and return the digest of the whole file."""
    http.event_hooks["request"].append(_require_https)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={received}-"} if received else {})
    try:
        with http.stream("GET", url, headers=headers, follow_redirects=True) as response:
            if response.status_code not in (200, 206):
                raise ToolFailed(f"{url} returned HTTP status {response.status_code}")
            if response.status_code == 200:  # the server ignores the range and sends the whole file
                received, digest = 0, hashlib.sha256()
            elif not response.headers.get("Content-Range", "").startswith(f"bytes {received}-"):
                content_range = response.headers.get("Content-Range")
                raise ToolFailed(f"{url} returned the range {content_range!r} instead of bytes {received}-")
            with part.open("ab" if received else "wb") as stream:
                for chunk in response.iter_bytes():
                    received += len(chunk)
                    if received > size:
                        raise ToolFailed(f"{url} returned more than the expected {size} bytes")
                    digest.update(chunk)
                    stream.write(chunk)
    except httpx2.HTTPError as error:
        raise ToolFailed(
            f"download of {url} failed after {received} of {size} bytes: {error}; run the command again to resume"
        ) from error
    if received < size:
        raise ToolFailed(f"{url} ended after {received} of {size} bytes; run the command again to resume")
    return digest


def _require_https(request: httpx2.Request) -> None:
    if request.url.scheme != "https":
        raise InvalidInput("url", f"{request.url} is not HTTPS")
