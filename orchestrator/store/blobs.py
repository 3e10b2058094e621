"""Content-addressed bytes of each tenant, on a local folder, S3, GCS or Azure (obstore)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import obstore
from obstore.exceptions import NotFoundError
from obstore.store import LocalStore, from_url

from orchestrator.errors import FailedPrecondition, NotFound

DOWNLOAD_CHUNK = 1 << 20


class Blobs:
    """Bytes by tenant and SHA-256. The same bytes are stored once; a blob, once there, never changes."""

    def __init__(self, store: Any) -> None:
        self._store = store

    @classmethod
    def open(cls, url: str, options: dict[str, str], default_dir: Path) -> Blobs:
        """Open the store at ``url`` (obstore's schemes), or the local folder ``default_dir`` when it is empty."""
        if url:
            return cls(from_url(url, config=cast(Any, options) or None))
        default_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(LocalStore(prefix=default_dir))

    def put(self, tenant: str, data: bytes) -> str:
        """Store ``data`` and return its SHA-256 in hex. A reader sees the whole blob or none."""
        sha256 = hashlib.sha256(data).hexdigest()
        if not self.exists(tenant, sha256):
            obstore.put(self._store, _key(tenant, sha256), data)
        return sha256

    def exists(self, tenant: str, sha256: str) -> bool:
        try:
            obstore.head(self._store, _key(tenant, sha256))
        except (NotFoundError, FileNotFoundError):
            return False
        return True

    def get(self, tenant: str, sha256: str) -> bytes:
        """Return the whole blob.

        Raises:
            NotFound: it was deleted.
        """
        try:
            return bytes(obstore.get(self._store, _key(tenant, sha256)).bytes())
        except (NotFoundError, FileNotFoundError):
            raise NotFound("file", sha256) from None

    def stream(self, tenant: str, sha256: str, offset: int, size: int) -> Iterator[bytes]:
        """Yield the blob from ``offset`` to its end in pieces of at most 1 MiB."""
        while offset < size:
            length = min(DOWNLOAD_CHUNK, size - offset)
            try:
                piece = bytes(obstore.get_range(self._store, _key(tenant, sha256), start=offset, length=length))
            except (NotFoundError, FileNotFoundError):
                raise NotFound("file", sha256) from None
            yield piece
            offset += length

    def delete(self, tenant: str, sha256: str) -> None:
        """Forget the blob; no error when it is gone already."""
        try:
            obstore.delete(self._store, _key(tenant, sha256))
        except (NotFoundError, FileNotFoundError):
            return

    def sign(self, tenant: str, sha256: str, lifetime: timedelta) -> str:
        """Return a URL that reads the blob without a token until ``lifetime`` is over.

        Raises:
            FailedPrecondition: the store is a local folder, which has no URLs.
        """
        if isinstance(self._store, LocalStore):
            raise FailedPrecondition(
                "signed URLs need an object store (HEARTWOOD_BLOB_URL=s3://…, gs://… or az://…); "
                "this service keeps its files in a local folder: use DownloadAsset",
                store="local",
            )
        return str(obstore.sign(self._store, "GET", _key(tenant, sha256), lifetime))


def _key(tenant: str, sha256: str) -> str:
    # A tenant's name is chosen by the operator; hashing it keeps any name a valid and private path.
    owner = hashlib.sha256(tenant.encode()).hexdigest()[:16]
    return f"{owner}/{sha256[:2]}/{sha256}"
