"""Records of the bearer tokens, which all replicas share."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Engine, RowMapping

from orchestrator.domain.tokens import Scope, Token, check_tenant, hash_of, new_secret
from orchestrator.errors import FailedPrecondition, NotFound
from orchestrator.store.schema import tokens


class TokenRecords:
    """Queries on tokens. Each method runs in one transaction and is thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def create(self, tenant: str, scopes: Collection[Scope], lifetime: timedelta | None = None) -> tuple[str, Token]:
        """Create a token that expires after ``lifetime`` (None: never). Return its secret, which is not stored.

        Raises InvalidInput if the name of the tenant is not allowed.
        """
        check_tenant(tenant)
        secret, now = new_secret(), datetime.now(UTC)
        expire_time = now + lifetime if lifetime else None
        token = Token(uuid.uuid4().hex[:12], tenant, frozenset(scopes), hash_of(secret), now, expire_time)
        self._insert([token])
        return secret, token

    def find(self, sha256: str) -> Token | None:
        """Return the token with this hash, valid or not, or None."""
        found = self._select(sa.select(tokens).where(tokens.c.sha256 == sha256))
        return found[0] if found else None

    def of_tenant(self, tenant: str = "") -> list[Token]:
        """Return the tokens of a tenant (empty: of all), newest first."""
        query = sa.select(tokens).order_by(tokens.c.create_time.desc(), tokens.c.id)
        return self._select(query.where(tokens.c.tenant == tenant) if tenant else query)

    def revoke(self, id: str) -> Token:
        """Make a token invalid from now on, and return it. Raises NotFound."""
        return self._change(id, revoke_time=datetime.now(UTC))

    def rotate(self, id: str, overlap: timedelta) -> tuple[str, Token]:
        """Create a token with the tenant, scopes and lifetime of another one, which expires after ``overlap``.

        Return its secret and the token. Raises NotFound, or FailedPrecondition if the old token is not valid any more.
        """
        now = datetime.now(UTC)
        old = self._change(id, expire_time=now + overlap, only_valid_at=now)
        lifetime = old.expire_time - old.create_time if old.expire_time else None
        return self.create(old.tenant, old.scopes, lifetime)

    def import_file(self, file: Path, operators: Collection[str]) -> None:
        """Import the tokens of a file of Heartwood 0.1.0 (hash → tenant), if it exists, and delete it."""
        if not file.exists():
            return
        now, known = datetime.now(UTC), {token.sha256 for token in self.of_tenant()}
        imported = [
            Token(uuid.uuid4().hex[:12], tenant, _scopes_of(tenant, operators), sha256, now)
            for sha256, tenant in json.loads(file.read_text()).items()
            if sha256 not in known
        ]
        self._insert(imported)
        file.unlink()

    def _insert(self, new: Collection[Token]) -> None:
        rows = [{**vars(token), "scopes": sorted(token.scopes)} for token in new]
        if rows:
            with self.engine.begin() as connection:
                connection.execute(tokens.insert(), rows)

    def _change(self, id: str, only_valid_at: datetime | None = None, **changes: datetime) -> Token:
        """Change a token. Return it as it was before."""
        with self.engine.begin() as connection:
            row = connection.execute(sa.select(tokens).where(tokens.c.id == id)).mappings().one_or_none()
            if row is None:
                raise NotFound("token", id)
            if only_valid_at and not _to_token(row).is_valid(only_valid_at):
                raise FailedPrecondition(f"token {id!r} is not valid any more; create a new one")
            connection.execute(tokens.update().where(tokens.c.id == id).values(**changes))
        return _to_token(row)

    def _select(self, query: sa.Select[tuple[object, ...]]) -> list[Token]:
        with self.engine.connect() as connection:
            return [_to_token(row) for row in connection.execute(query).mappings()]


def _scopes_of(tenant: str, operators: Collection[str]) -> frozenset[Scope]:
    return frozenset(Scope) if tenant in operators else frozenset({Scope.JOBS, Scope.URGENT_JOBS})


def _to_token(row: RowMapping) -> Token:
    return Token(**{**row, "scopes": frozenset(map(Scope, row["scopes"]))})
