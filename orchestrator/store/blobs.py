"""A content-addressed blob store for each tenant, in a local folder, S3, GCS or Azure (obstore)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, cast

import obstore
import structlog
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, from_url

from orchestrator.errors import DiskFull, FailedPrecondition, NotFound, StorageUnavailable
from orchestrator.store.disk_space import is_disk_full

log = structlog.get_logger()

DOWNLOAD_CHUNK = 1 << 20
"""Size in bytes of the chunks of ``Blobs.stream``."""
MISSING_ERRORS = (NotFoundError, FileNotFoundError)
"""The errors of obstore for a blob that does not exist."""


class BlobObject(NamedTuple):
    """An object of the store."""

    key: str
    size_bytes: int
    change_time: datetime


class Blobs:
    """Stores bytes by tenant and SHA-256. Equal bytes of a tenant are stored once, and a blob never changes.

    Every method raises StorageUnavailable if the store does not answer or refuses the call, and DiskFull if it is full.
    """

    def __init__(self, store: Any) -> None:
        self._store = store

    @classmethod
    def open(cls, url: str, options: dict[str, str], default_dir: Path) -> Blobs:
        """Open the store at ``url`` with ``options`` of obstore; an empty ``url`` means the folder ``default_dir``.

        Raises FailedPrecondition if the URL or an option is invalid.
        """
        if url:
            # An operator who gives an address without TLS wants to use it.
            client_options = {"allow_http": any(value.startswith("http://") for value in options.values())}
            try:
                return cls(from_url(url, config=cast(Any, options) or None, client_options=cast(Any, client_options)))
            except BaseException as error:  # obstore panics on some invalid options
                if isinstance(error, KeyboardInterrupt | SystemExit):
                    raise
                problem = f"the object store cannot be opened: {str(error).partition(chr(10))[0]}"
                remedy = "check HEARTWOOD_BLOB_URL and HEARTWOOD_BLOB_OPTIONS"
                raise FailedPrecondition(f"{problem}; {remedy}") from None
        default_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(LocalStore(prefix=default_dir))

    @property
    def folder(self) -> Path | None:
        """The folder of a local store; None for a remote one."""
        return Path(str(self._store.prefix)) if isinstance(self._store, LocalStore) else None

    def put(self, tenant: str, data: bytes) -> str:
        """Store ``data`` atomically and return its SHA-256 in hex."""
        sha256 = hashlib.sha256(data).hexdigest()
        self._put(tenant, sha256, data)
        return sha256

    def put_file(self, tenant: str, file: Path, sha256: str) -> None:
        """Store a file, whose SHA-256 is given in hex, atomically and in parts."""
        self._put(tenant, sha256, file)

    def _put(self, tenant: str, sha256: str, content: bytes | Path) -> None:
        if not self.exists(tenant, sha256):
            with _storage_errors():
                obstore.put(self._store, blob_key(tenant, sha256), content)

    def exists(self, tenant: str, sha256: str) -> bool:
        """Return whether the tenant has the blob."""
        with _storage_errors(), suppress(*MISSING_ERRORS):
            return bool(obstore.head(self._store, blob_key(tenant, sha256)))
        return False

    def check(self) -> None:
        """Raise StorageUnavailable if the store cannot be read."""
        self.exists("", "check")

    def get(self, tenant: str, sha256: str) -> bytes:
        """Return the whole blob, or raise NotFound."""
        with _storage_errors(sha256):
            return bytes(obstore.get(self._store, blob_key(tenant, sha256)).bytes())

    def stream(self, tenant: str, sha256: str, offset: int, size: int) -> Iterator[bytes]:
        """Yield the blob of ``size`` bytes from ``offset`` to its end in chunks of at most 1 MiB, or raise NotFound."""
        while offset < size:
            length = min(DOWNLOAD_CHUNK, size - offset)
            with _storage_errors(sha256):
                chunk = bytes(obstore.get_range(self._store, blob_key(tenant, sha256), start=offset, length=length))
            yield chunk
            offset += length

    def read(self, key: str) -> Iterator[bytes]:
        """Yield the blob with a ``blob_key`` in chunks, or raise NotFound."""
        with _storage_errors(key):
            for chunk in obstore.get(self._store, key).stream(min_chunk_size=DOWNLOAD_CHUNK):
                yield bytes(chunk)

    def write(self, key: str, file: Path) -> None:
        """Store a file under its ``blob_key``, unless a blob of the same size has that key."""
        with _storage_errors():
            with suppress(*MISSING_ERRORS):
                if obstore.head(self._store, key)["size"] == file.stat().st_size:
                    return
            obstore.put(self._store, key, file)

    def delete(self, tenant: str, sha256: str) -> None:
        """Delete the blob if it exists."""
        self.delete_object(blob_key(tenant, sha256))

    def listed(self) -> Iterator[list[BlobObject]]:
        """Yield all objects of the store, in lists of bounded length."""
        with _storage_errors():
            for page in obstore.list(self._store):
                yield [BlobObject(str(item["path"]), int(item["size"]), item["last_modified"]) for item in page]

    def delete_object(self, key: str) -> None:
        """Delete the object with a key of ``listed`` if it exists."""
        with _storage_errors(), suppress(*MISSING_ERRORS):
            obstore.delete(self._store, key)

    def sign(self, tenant: str, sha256: str, lifetime: timedelta) -> str:
        """Return a URL for a download without a token, or raise FailedPrecondition if the store is a local folder."""
        if isinstance(self._store, LocalStore):
            problem = "signed URLs need an object store, but this service stores its files in a local folder"
            remedy = "set HEARTWOOD_BLOB_URL to s3://…, gs://… or az://…, or use DownloadAsset"
            raise FailedPrecondition(f"{problem}; {remedy}", store="local")
        with _storage_errors():
            return str(obstore.sign(self._store, "GET", blob_key(tenant, sha256), lifetime))


@contextmanager
def _storage_errors(sha256: str = "") -> Iterator[None]:
    """Convert the errors of obstore into StorageUnavailable, or into NotFound if the blob ``sha256`` is missing.

    The errors of obstore contain addresses and keys, so they go only to the log.
    """
    try:
        yield
    except MISSING_ERRORS:
        raise NotFound("file", sha256) from None
    except (BaseError, OSError) as error:
        if is_disk_full(error):
            raise DiskFull("the object store has no disk space left; try again later, or free some") from None
        log.warning("object_store_failed", error=type(error).__name__, detail=str(error).partition("\n")[0][:300])
        message = "the object store does not answer, or refuses the service's credentials; try again later"
        raise StorageUnavailable(message, store="objects") from None


def blob_key(tenant: str, sha256: str) -> str:
    """Return the key of a blob, whose last part is the SHA-256."""
    # The operator chooses tenant names freely. The hash makes any name a valid path that does not reveal it.
    return f"{hashlib.sha256(tenant.encode()).hexdigest()[:16]}/{sha256[:2]}/{sha256}"


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
