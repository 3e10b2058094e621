"""Records of the deployed model versions, and of the version of each model that serves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.engine import Connection, Engine

from orchestrator.domain.model_versions import CandidateReport, ModelVersion, Pointer, VersionState
from orchestrator.store.database import insert
from orchestrator.store.schema import model_pointers, model_versions

VERSION = TypeAdapter(ModelVersion)
"""Converts rows to versions. The report, a JSON document, becomes a ``CandidateReport``."""


class ModelRecords:
    """Queries on model versions and pointers. Each method runs in one transaction and is thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def versions(self, model: str = "", states: Sequence[VersionState] = ()) -> list[ModelVersion]:
        """Return deployed versions by model, newest first. An empty argument means all models or all states."""
        query = sa.select(model_versions).order_by(model_versions.c.model, model_versions.c.version.desc())
        if model:
            query = query.where(model_versions.c.model == model)
        if states:
            query = query.where(model_versions.c.state.in_([state.value for state in states]))
        return self._select(query)

    def add_candidate(self, candidate: ModelVersion, executor_id: str) -> bool:
        """Insert a CHECKING version, which the replica ``executor_id`` checks. Replaces a FAILED one of this number.

        Returns False if the version number is in use, or another candidate of the model is being checked.
        """
        now = datetime.now(UTC)
        key = _has_key(candidate.model, candidate.version)
        row = {name: getattr(candidate, name) for name in ("model", "version", "sha256", "size_bytes", "operator")}
        row |= {"state": VersionState.CHECKING.value, "executor_id": executor_id, "create_time": now, "beat_time": now}
        try:
            with self.engine.begin() as connection:
                connection.execute(model_versions.delete().where(key, _has_state(VersionState.FAILED)))
                connection.execute(model_versions.insert().values(row))
        except sa.exc.IntegrityError:
            return False
        return True

    def heartbeat(self, model: str, version: int) -> bool:
        """Record that a candidate is still being checked. Returns False if it is no longer CHECKING."""
        return self._update_candidate(model, version, beat_time=datetime.now(UTC))

    def mark_ready(self, model: str, version: int, report: CandidateReport) -> bool:
        """Change CHECKING to READY. Returns False if the version is no longer CHECKING."""
        return self._update_candidate(model, version, state=VersionState.READY.value, report=asdict(report))

    def mark_failed(self, model: str, version: int, reason: str) -> bool:
        """Change CHECKING to FAILED. Returns False if the version is no longer CHECKING."""
        return self._update_candidate(model, version, state=VersionState.FAILED.value, reason=reason)

    def orphaned_candidates(self, live: Collection[str], heartbeat_timeout: timedelta) -> list[ModelVersion]:
        """Return the candidates without a recent heartbeat, and those that no ``live`` process checks."""
        has_timed_out = model_versions.c.beat_time < datetime.now(UTC) - heartbeat_timeout
        is_abandoned = model_versions.c.executor_id.not_in(live)
        is_orphaned = (_has_state(VersionState.CHECKING), sa.or_(has_timed_out, is_abandoned))
        return self._select(sa.select(model_versions).where(*is_orphaned))

    def retire(self, model: str, version: int) -> bool:
        """Change READY to RETIRED. Returns False if the version serves or is not READY."""
        pointer = model_pointers.c
        serves = sa.exists(sa.select(pointer.model).where(pointer.model == model, pointer.version == version))
        retire = model_versions.update().where(_has_key(model, version), _has_state(VersionState.READY), ~serves)
        reset_rollback = model_pointers.update().where(pointer.model == model, pointer.previous == version)
        changes = {"previous": 0, "revision": pointer.revision + 1, "change_time": datetime.now(UTC)}
        with self.engine.begin() as connection:
            _lock_state(connection, model, version)
            retired = connection.execute(retire.values(state=VersionState.RETIRED.value)).rowcount
            if retired:  # a rollback must not restore the version
                connection.execute(reset_rollback.values(changes))
        return bool(retired)

    def _update_candidate(self, model: str, version: int, **values: Any) -> bool:
        query = model_versions.update().where(_has_key(model, version), _has_state(VersionState.CHECKING))
        with self.engine.begin() as connection:
            return bool(connection.execute(query.values(**values)).rowcount)

    def _select(self, query: sa.Select[Any]) -> list[ModelVersion]:
        with self.engine.connect() as connection:
            return [VERSION.validate_python(dict(row)) for row in connection.execute(query).mappings()]

    def pointers(self) -> dict[str, Pointer]:
        """Return the pointer of every model that was ever promoted, by model name."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(model_pointers)).mappings()
            return {row["model"]: Pointer(**{name: row[name] for name in Pointer.__dataclass_fields__}) for row in rows}

    def move_pointer(self, model: str, expected: Pointer, version: int, operator: str) -> bool:
        """Make ``version`` serve. The version that served before becomes the rollback version.

        Returns False if the pointer has changed since the caller read ``expected``, or the version is not READY.
        """
        row: dict[str, Any] = {"version": version, "previous": expected.version, "revision": expected.revision + 1}
        row |= {"operator": operator, "change_time": datetime.now(UTC)}
        with self.engine.begin() as connection:
            # A version in the model repository has no row, and therefore no state.
            if _lock_state(connection, model, version) not in (None, VersionState.READY.value):
                return False
            if expected.revision == 0:
                first = insert(connection, model_pointers).values(model=model, **row).on_conflict_do_nothing()
                return connection.scalar(first.returning(model_pointers.c.model)) is not None
            is_unchanged = sa.and_(model_pointers.c.model == model, model_pointers.c.revision == expected.revision)
            return bool(connection.execute(model_pointers.update().where(is_unchanged).values(row)).rowcount)


def _lock_state(connection: Connection, model: str, version: int) -> str | None:
    """Return the state of a deployed version and lock its row until the transaction ends."""
    return connection.scalar(sa.select(model_versions.c.state).where(_has_key(model, version)).with_for_update())


def _has_key(model: str, version: int) -> sa.ColumnElement[bool]:
    return sa.and_(model_versions.c.model == model, model_versions.c.version == version)


def _has_state(state: VersionState) -> sa.ColumnElement[bool]:
    return model_versions.c.state == state.value
