"""Authentication: a bearer token identifies a tenant and what the caller may do."""

from __future__ import annotations

import os
from asyncio import to_thread
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cachetools import TTLCache

from orchestrator.domain.tokens import Scope, Token, hash_of
from orchestrator.errors import PermissionDenied, Unauthenticated

LIFETIME_S = 2.0
"""Time for which a replica remembers a token, and thus the longest time that a revoked one is still accepted."""
MAX_REMEMBERED = 10_000


@dataclass(frozen=True)
class Caller:
    """The tenant of a call, and what its token permits."""

    tenant: str
    scopes: frozenset[Scope]

    def require(self, scope: Scope, action: str) -> None:
        """Raise PermissionDenied, which names the ``action``, unless the token has the scope."""
        if scope not in self.scopes:
            remedy = f"`heartwood token create {self.tenant} --scopes …,{scope.value}` creates one"
            raise PermissionDenied(
                f"to {action}, the token needs the scope {scope.value!r}; {remedy}", scope=scope.value
            )


class Tokens:
    """The tokens of the service, which are remembered for a short time.

    Its method must be called on the event loop of the server.

    Args:
        find: returns the token with a hash, valid or not, or None.
    """

    def __init__(self, find: Callable[[str], Token | None]) -> None:
        self._find = find
        self._remembered: TTLCache[str, Token | None] = TTLCache(MAX_REMEMBERED, LIFETIME_S)

    async def caller(self, authorization: str) -> Caller:
        """Return the caller with an ``authorization`` value "Bearer TOKEN". Raises Unauthenticated."""
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer" or not secret:
            missing = "the metadata 'authorization: Bearer TOKEN' is missing"
            raise Unauthenticated(f"{missing}; `heartwood token create TENANT` creates a token")
        # The lookup compares hashes, so its duration does not reveal anything about valid tokens.
        sha256 = hash_of(secret.strip())
        try:
            token = self._remembered[sha256]
        except KeyError:
            token = self._remembered[sha256] = await to_thread(self._find, sha256)
        if token is None:
            raise Unauthenticated("the bearer token is unknown; `heartwood token create TENANT` creates one")
        if not token.is_valid(datetime.now(UTC)):
            ended = "revoked" if token.revoke_time else "expired"
            raise Unauthenticated(
                f"the bearer token {token.id} is {ended}; `heartwood token create TENANT` creates one"
            )
        return Caller(token.tenant, token.scopes)


def write_private(file: Path, text: str) -> None:
    """Replace ``file`` atomically with a file that only its owner can read."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = file.with_name(f"{file.name}.{os.getpid()}.new")
    scratch.touch(mode=0o600)
    scratch.write_text(text)
    scratch.replace(file)
