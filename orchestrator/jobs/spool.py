"""Receives uploads in files, so that the service never holds a whole upload in memory."""

from __future__ import annotations

import hashlib
import shutil
import threading
import uuid
from collections import Counter
from contextlib import suppress
from pathlib import Path

from orchestrator.errors import InvalidInput, ResourceExhausted

TENANT_SHARE = 4
"""One tenant has at most one TENANT_SHARE-th of the space. Not tuned."""


class SpooledFile:
    """A file that is being received."""

    def __init__(self, spool: Spool, path: Path, tenant: str, kind: str, limit: int) -> None:
        self.path = path
        self.size = 0  # bytes
        self._spool, self._tenant, self._kind, self._limit = spool, tenant, kind, limit
        self._hash = hashlib.sha256()
        self._lock = threading.Lock()  # the call may end, and remove the file, while a thread still writes
        self._file = path.open("xb")

    def write(self, chunk: bytes) -> None:
        """Append bytes. Raises InvalidInput if the file becomes too large, and ResourceExhausted if space is short."""
        with self._lock:
            size = self.size + len(chunk)
            if size > self._limit:
                rule = f"a {self._kind} has at most {self._limit} bytes"
                raise InvalidInput("header.size_bytes", f"{size} is not allowed; {rule}")
            if self._file.closed:
                return
            self._spool.reserve(self._tenant, len(chunk))
            self.size = size
            self._hash.update(chunk)
            self._file.write(chunk)
            self._file.flush()

    @property
    def sha256(self) -> str:
        """Of the bytes so far, in hex."""
        return self._hash.hexdigest()

    def remove(self) -> None:
        """Remove the file."""
        with self._lock:
            if not self._file.closed:
                with suppress(OSError):  # the disk is full
                    self._file.close()
                self.path.unlink(missing_ok=True)
                self._spool.release(self._tenant, self.size)


class Spool:
    """A private folder of the uploads that are being received.

    Args:
        folder: is emptied, because an earlier process may have left files in it.
        space: maximum size of all files together, in bytes.
    """

    def __init__(self, folder: Path, space: int) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        self._folder, self._space = folder, space
        self._used: Counter[str] = Counter()
        self._lock = threading.Lock()

    def file(self, tenant: str, kind: str, limit: int) -> SpooledFile:
        """Return a new file for a ``kind`` of upload with at most ``limit`` bytes. The caller removes it."""
        return SpooledFile(self, self._folder / uuid.uuid4().hex, tenant, kind, limit)

    def reserve(self, tenant: str, size: int) -> None:
        """Take space for a tenant. Raises ResourceExhausted."""
        with self._lock:
            if self._used[tenant] + size > self._space // TENANT_SHARE:
                problem = f"the tenant's running uploads exceed {self._space // TENANT_SHARE} bytes"
                raise ResourceExhausted(f"{problem}; wait until one has ended", most=self._space // TENANT_SHARE)
            if self._used.total() + size > self._space:
                raise ResourceExhausted("too many files are being uploaded; try again later", most=self._space)
            self._used[tenant] += size

    def release(self, tenant: str, size: int) -> None:
        """Return space of a tenant."""
        with self._lock:
            self._used[tenant] -= size
            if not self._used[tenant]:
                del self._used[tenant]
