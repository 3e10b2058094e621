"""Bearer tokens: whom they belong to, and what they permit."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from orchestrator.errors import InvalidInput

TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
PREFIX = "hw_"


class Scope(str, Enum):
    """What a token permits."""

    JOBS = "jobs"  # the files and jobs of its tenant
    URGENT_JOBS = "jobs:high"  # jobs with the priority HIGH, which start before the jobs of all tenants
    MODELS = "models:admin"  # to deploy and promote models


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True)
class Token:
    """A token without its secret, of which only the hash is stored."""

    id: str
    tenant: str
    scopes: frozenset[Scope]
    sha256: str
    create_time: datetime
    expire_time: datetime | None = None
    revoke_time: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Return whether the token is accepted at this time."""
        return self.revoke_time is None and (self.expire_time is None or now < self.expire_time)


def new_secret() -> str:
    """Return the text of a new token."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """Return the SHA-256 by which the store knows a token."""
    return hashlib.sha256(secret.encode()).hexdigest()


def check_tenant(name: str) -> None:
    """Raise InvalidInput if the name of a tenant is not allowed."""
    if not TENANT.fullmatch(name):
        raise InvalidInput("tenant", f"{name[:80]!r} is not allowed; use 1 to 63 letters, digits, '.', '_' and '-'")


def read_scopes(names: Collection[str]) -> frozenset[Scope]:
    """Return the scopes with these names. Raises InvalidInput if a name is unknown, or there is none."""
    known = {scope.value: scope for scope in Scope}
    for name in names:
        if name not in known:
            raise InvalidInput("scopes", f"{name[:40]!r} is unknown; allowed are {', '.join(known)}")
    if not names:
        raise InvalidInput("scopes", f"there are none; name at least one of {', '.join(known)}")
    return frozenset(known[name] for name in names)
