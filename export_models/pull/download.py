"""One large file over https: capped, resumable, and nothing but the file that was meant."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx2

from orchestrator.errors import InvalidInput, ToolFailed

CHUNK = 1 << 20
TIMEOUT_SECONDS = 60.0
"""For a connection and for each piece of the answer, not for the whole."""


def check(file: Path, size: int, sha256: str) -> Path:
    """``file``, if it is the one that was meant.

    Raises:
        InvalidInput: its size or its SHA-256 is another.
    """
    found = file.stat().st_size
    if found != size:
        raise InvalidInput("file", f"{file.name} has {found} bytes, and must have {size}")
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != sha256:
        raise InvalidInput("file", f"{file.name} has the SHA-256 {digest}, and must have {sha256}")
    return file


def fetch(url: str, target: Path, size: int, sha256: str, client: httpx2.Client | None = None) -> Path:
    """Download to ``target``, which appears only whole and right; a part file beside it is gone on with.

    Args:
        size: in bytes; nothing beyond it is read.

    Raises:
        InvalidInput: the address, or one that it leads to, is not https.
        ToolFailed: the connection ended early: what came is kept, and the next call goes on from there. Or the server
            refuses, or what came is another file: that is removed.
    """
    if target.exists():
        return check(target, size, sha256)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    digest = hashlib.sha256()
    have = 0
    if part.exists() and part.stat().st_size <= size:
        with part.open("rb") as stream:
            while piece := stream.read(CHUNK):
                digest.update(piece)
                have += len(piece)
    if have < size:
        with client or httpx2.Client(timeout=TIMEOUT_SECONDS) as web:
            have, digest = _receive(web, url, part, size, have, digest)
    if digest.hexdigest() != sha256:
        part.unlink()
        raise ToolFailed(f"{url} has the SHA-256 {digest.hexdigest()}, and must have {sha256}; it was thrown away")
    return part.rename(target)


def _receive(
    web: httpx2.Client, url: str, part: Path, size: int, have: int, digest: hashlib._Hash
) -> tuple[int, hashlib._Hash]:
    """Append what is missing to ``part``."""
    web.event_hooks["request"].append(_only_https)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with web.stream("GET", url, headers=headers, follow_redirects=True) as answer:
            if answer.status_code not in (200, 206):
                raise ToolFailed(f"{url} answered {answer.status_code}")
            if answer.status_code == 200:  # the server sends all of it, whatever was asked
                have, digest = 0, hashlib.sha256()
            elif not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                raise ToolFailed(f"{url} sent {answer.headers.get('Content-Range')!r} for bytes {have} and on")
            with part.open("ab" if have else "wb") as stream:
                for piece in answer.iter_bytes():
                    have += len(piece)
                    if have > size:
                        raise ToolFailed(f"{url} sends more than {size} bytes")
                    digest.update(piece)
                    stream.write(piece)
    except httpx2.HTTPError as error:
        raise ToolFailed(f"{url}: {error} after {have} of {size} bytes; call again to go on") from error
    if have < size:
        raise ToolFailed(f"{url} ended after {have} of {size} bytes; call again to go on")
    return have, digest


def _only_https(request: httpx2.Request) -> None:
    if request.url.scheme != "https":
        raise InvalidInput("url", f"{request.url} is not https")
