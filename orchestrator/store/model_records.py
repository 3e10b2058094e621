"""Records of the deployed model versions, and of the version of each model that serves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, RowMapping

from orchestrator.domain.model_versions import CandidateReport, ModelVersion, Pointer, VersionState
from orchestrator.store.schema import model_pointers, model_versions


class ModelRecords:
    """Queries on model versions and pointers. Each method runs in one transaction and is thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    # ---- versions

    def versions(self, model: str = "", states: Sequence[VersionState] = ()) -> list[ModelVersion]:
        """Return deployed versions, newest first.

        Args:
            model: empty means all models.
            states: empty means all states.
        """
        query = sa.select(model_versions).order_by(model_versions.c.model, model_versions.c.version.desc())
        if model:
            query = query.where(model_versions.c.model == model)
        if states:
            query = query.where(model_versions.c.state.in_([state.value for state in states]))
        return self._select(query)

    def add_candidate(self, candidate: ModelVersion, executor_id: str) -> bool:
        """Insert a version as CHECKING. It replaces a FAILED version with the same number.

        Args:
            executor_id: the replica that checks the candidate.

        Returns:
            False if the version number is in use, or another candidate of the model is being checked.
        """
        now = datetime.now(UTC)
        is_failed = model_versions.c.state == VersionState.FAILED.value
        row = {
            "model": candidate.model,
            "version": candidate.version,
            "state": VersionState.CHECKING.value,
            "sha256": candidate.sha256,
            "size_bytes": candidate.size_bytes,
            "operator": candidate.operator,
            "executor_id": executor_id,
            "create_time": now,
            "beat_time": now,
        }
        try:
            with self.engine.begin() as connection:
                connection.execute(
                    model_versions.delete().where(_has_key(candidate.model, candidate.version), is_failed)
                )
                connection.execute(model_versions.insert().values(row))
        except sa.exc.IntegrityError:
            return False
        return True

    def heartbeat(self, model: str, version: int) -> bool:
        """Record that a candidate is still being checked. Returns False if it is no longer CHECKING."""
        return self._update_candidate(model, version, beat_time=datetime.now(UTC))

    def mark_ready(self, model: str, version: int, report: CandidateReport) -> bool:
        """Change CHECKING to READY. Returns False if the version is no longer CHECKING."""
        return self._update_candidate(model, version, state=VersionState.READY.value, report=report.to_json())

    def mark_failed(self, model: str, version: int, reason: str) -> bool:
        """Change CHECKING to FAILED. Returns False if the version is no longer CHECKING."""
        return self._update_candidate(model, version, state=VersionState.FAILED.value, reason=reason)

    def orphaned_candidates(self, executor_id: str, heartbeat_timeout: timedelta) -> list[ModelVersion]:
        """Return candidates that no replica checks any more.

        Args:
            executor_id: a replica that is starting, whose earlier candidates are all orphaned; empty means none.
            heartbeat_timeout: a candidate without a heartbeat for this long is orphaned, whichever replica checks it.
        """
        is_silent = model_versions.c.beat_time < datetime.now(UTC) - heartbeat_timeout
        is_of_executor = model_versions.c.executor_id == executor_id if executor_id else sa.false()
        is_checking = model_versions.c.state == VersionState.CHECKING.value
        return self._select(sa.select(model_versions).where(is_checking, sa.or_(is_silent, is_of_executor)))

    def retire(self, model: str, version: int) -> bool:
        """Change READY to RETIRED. If a rollback would restore the version, the model loses its rollback version.

        Returns:
            False if the version serves or is not READY.
        """
        with self.engine.begin() as connection:
            _lock_state(connection, model, version)
            serves = sa.select(model_pointers.c.model).where(
                model_pointers.c.model == model, model_pointers.c.version == version
            )
            retired = connection.execute(
                model_versions.update()
                .where(_has_key(model, version), model_versions.c.state == VersionState.READY.value, ~sa.exists(serves))
                .values(state=VersionState.RETIRED.value)
            ).rowcount
            if retired:
                connection.execute(
                    model_pointers.update()
                    .where(model_pointers.c.model == model, model_pointers.c.previous == version)
                    .values(previous=0, revision=model_pointers.c.revision + 1, change_time=datetime.now(UTC))
                )
        return bool(retired)

    def _update_candidate(self, model: str, version: int, **values: Any) -> bool:
        is_checking = model_versions.c.state == VersionState.CHECKING.value
        query = model_versions.update().where(_has_key(model, version), is_checking)
        with self.engine.begin() as connection:
            return bool(connection.execute(query.values(**values)).rowcount)

    def _select(self, query: sa.Select[Any]) -> list[ModelVersion]:
        with self.engine.connect() as connection:
            return [_to_version(row) for row in connection.execute(query).mappings()]

    # ---- pointers

    def pointers(self) -> dict[str, Pointer]:
        """Return the pointer of every model that was ever promoted, by model name."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(model_pointers)).mappings()
            return {row["model"]: Pointer(**{name: row[name] for name in Pointer.__dataclass_fields__}) for row in rows}

    def move_pointer(self, model: str, expected: Pointer, version: int, operator: str) -> bool:
        """Make ``version`` serve. The version that served before becomes the rollback version.

        Args:
            expected: the pointer that the caller read. Its revision must still be current.

        Returns:
            False if the pointer has changed since, or the version is not READY. Nothing is written then.
        """
        row = {
            "version": version,
            "previous": expected.version,
            "revision": expected.revision + 1,
            "operator": operator,
            "change_time": datetime.now(UTC),
        }
        try:
            with self.engine.begin() as connection:
                # A version in the model repository has no row, and therefore no state.
                if _lock_state(connection, model, version) not in (None, VersionState.READY.value):
                    return False
                if expected.revision == 0:
                    connection.execute(model_pointers.insert().values(model=model, **row))
                    return True
                is_unchanged = sa.and_(model_pointers.c.model == model, model_pointers.c.revision == expected.revision)
                return bool(connection.execute(model_pointers.update().where(is_unchanged).values(row)).rowcount)
        except sa.exc.IntegrityError:
            return False


def _lock_state(connection: Connection, model: str, version: int) -> str | None:
    """Return the state of a deployed version and lock its row until the transaction ends."""
    return connection.scalar(sa.select(model_versions.c.state).where(_has_key(model, version)).with_for_update())


def _has_key(model: str, version: int) -> sa.ColumnElement[bool]:
    return sa.and_(model_versions.c.model == model, model_versions.c.version == version)


def _to_version(row: RowMapping) -> ModelVersion:
    return ModelVersion(
        model=row["model"],
        version=row["version"],
        state=VersionState(row["state"]),
        sha256=row["sha256"],
        size_bytes=row["size_bytes"],
        reason=row["reason"],
        operator=row["operator"],
        report=CandidateReport.from_json(row["report"]) if row["report"] else None,
        create_time=row["create_time"],
    )
