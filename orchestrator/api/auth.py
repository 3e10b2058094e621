"""Authentication: a bearer token identifies a tenant. The token file contains only SHA-256 hashes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from pathlib import Path

from orchestrator.errors import InvalidInput, Unauthenticated

TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Tokens:
    """The tokens in a file. The file is read again after it has changed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp: tuple[int, int] | None = None  # modification time in ns and size of the file that was read
        self._tenants: dict[str, str] = {}  # SHA-256 of the token → tenant

    def tenant(self, authorization: str) -> str:
        """The tenant of an ``authorization`` value "Bearer TOKEN". Raises Unauthenticated unless the token is known."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            missing = "the metadata 'authorization: Bearer TOKEN' is missing"
            raise Unauthenticated(f"{missing}; `heartwood token TENANT` creates a token")
        self._read()
        # The lookup compares hashes, so its duration does not reveal anything about valid tokens.
        tenant = self._tenants.get(hashlib.sha256(token.strip().encode()).hexdigest())
        if tenant is None:
            raise Unauthenticated("the bearer token is unknown; `heartwood token TENANT` creates one")
        return tenant

    def _read(self) -> None:
        try:
            stat = self._file.stat()
            if (stat.st_mtime_ns, stat.st_size) != self._stamp:
                self._tenants = json.loads(self._file.read_text())
                self._stamp = (stat.st_mtime_ns, stat.st_size)
        except FileNotFoundError:
            self._tenants, self._stamp = {}, None


def add_token(file: Path, tenant: str) -> str:
    """Create a token and add its hash to ``file``. Raises InvalidInput if the name of the tenant is not allowed."""
    if not TENANT.fullmatch(tenant):
        raise InvalidInput("tenant", f"{tenant[:80]!r} is not allowed; use 1 to 63 letters, digits, '.', '_' and '-'")
    known = json.loads(file.read_text()) if file.exists() else {}
    token = "hw_" + secrets.token_urlsafe(32)
    known[hashlib.sha256(token.encode()).hexdigest()] = tenant
    write_private(file, json.dumps(known, indent=1))
    return token


def write_private(file: Path, text: str) -> None:
    """Replace ``file`` atomically with a file that only its owner can read."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = file.with_name(f"{file.name}.{os.getpid()}.new")
    scratch.touch(mode=0o600)
    scratch.write_text(text)
    scratch.replace(file)
