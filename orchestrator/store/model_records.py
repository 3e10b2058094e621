"""What the service knows of its models' versions, and which of them serve."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, RowMapping

from orchestrator.domain.model_versions import CandidateReport, ModelVersion, Pointer, VersionState
from orchestrator.store.schema import model_pointers, model_versions


class ModelRecords:
    """Queries in the words of the domain. Every method is one transaction and safe from any thread."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    # ---- versions

    def versions(self, model: str = "", states: Sequence[VersionState] = ()) -> list[ModelVersion]:
        """The deployed versions of one model or of all, newest first; in one of ``states`` where any are named."""
        query = sa.select(model_versions).order_by(model_versions.c.model, model_versions.c.version.desc())
        if model:
            query = query.where(model_versions.c.model == model)
        if states:
            query = query.where(model_versions.c.state.in_([state.value for state in states]))
        with self.engine.connect() as connection:
            return [_version(row) for row in connection.execute(query).mappings()]

    def claim(self, candidate: ModelVersion, executor_id: str) -> bool:
        """Write a version as CHECKING; a failed one of its number is replaced.

        Returns:
            False where its number is taken, or another candidate of the model is being checked.
        """
        now = datetime.now(UTC)
        failed = sa.and_(_is(candidate.model, candidate.version), model_versions.c.state == VersionState.FAILED.value)
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
                connection.execute(model_versions.delete().where(failed))
                connection.execute(model_versions.insert().values(row))
        except sa.exc.IntegrityError:
            return False
        return True

    def beat(self, model: str, version: int) -> bool:
        """Say that a candidate is still worked on; False where it isn't a candidate any more."""
        return self._change_candidate(model, version, beat_time=datetime.now(UTC))

    def pass_candidate(self, model: str, version: int, report: CandidateReport) -> bool:
        """CHECKING → READY; False where it isn't a candidate any more."""
        return self._change_candidate(model, version, state=VersionState.READY.value, report=report.to_json())

    def fail(self, model: str, version: int, reason: str) -> bool:
        """CHECKING → FAILED; False where it isn't a candidate any more."""
        return self._change_candidate(model, version, state=VersionState.FAILED.value, reason=reason)

    def abandoned(self, executor_id: str, silent_for: timedelta) -> list[ModelVersion]:
        """Candidates that nobody works on: this replica's own of before it started, and those silent for so long.

        Args:
            executor_id: empty asks only for the silent ones.
        """
        silent = model_versions.c.beat_time < datetime.now(UTC) - silent_for
        mine = model_versions.c.executor_id == executor_id if executor_id else sa.false()
        query = sa.select(model_versions).where(
            model_versions.c.state == VersionState.CHECKING.value, sa.or_(silent, mine)
        )
        with self.engine.connect() as connection:
            return [_version(row) for row in connection.execute(query).mappings()]

    def retire(self, model: str, version: int) -> bool:
        """READY → RETIRED, unless it serves; a rollback doesn't go to it any more. False where it can't be."""
        with self.engine.begin() as connection:
            _hold(connection, model, version)
            serves = sa.select(model_pointers.c.model).where(
                model_pointers.c.model == model, model_pointers.c.version == version
            )
            done = connection.execute(
                model_versions.update()
                .where(_is(model, version), model_versions.c.state == VersionState.READY.value, ~sa.exists(serves))
                .values(state=VersionState.RETIRED.value)
            ).rowcount
            if done:
                connection.execute(
                    model_pointers.update()
                    .where(model_pointers.c.model == model, model_pointers.c.previous == version)
                    .values(previous=0, revision=model_pointers.c.revision + 1, change_time=datetime.now(UTC))
                )
        return bool(done)

    def _change_candidate(self, model: str, version: int, **values: Any) -> bool:
        checking = model_versions.c.state == VersionState.CHECKING.value
        query = model_versions.update().where(_is(model, version), checking)
        with self.engine.begin() as connection:
            return bool(connection.execute(query.values(**values)).rowcount)

    # ---- which one serves

    def pointers(self) -> dict[str, Pointer]:
        """By model; one that nobody ever changed has none."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(model_pointers)).mappings()
            return {row["model"]: Pointer(**{name: row[name] for name in Pointer.__dataclass_fields__}) for row in rows}

    def move(self, model: str, seen: Pointer, version: int, operator: str) -> bool:
        """Let ``version`` serve from now on, and the one that served be what a rollback goes to.

        Args:
            seen: the pointer as the caller saw it.

        Returns:
            False where the pointer has changed since, or the version has been retired; then nothing is written.
        """
        row = {
            "version": version,
            "previous": seen.version,
            "revision": seen.revision + 1,
            "operator": operator,
            "change_time": datetime.now(UTC),
        }
        try:
            with self.engine.begin() as connection:
                if _hold(connection, model, version) not in (None, VersionState.READY.value):
                    return False
                if seen.revision == 0:
                    connection.execute(model_pointers.insert().values(model=model, **row))
                    return True
                unchanged = sa.and_(model_pointers.c.model == model, model_pointers.c.revision == seen.revision)
                return bool(connection.execute(model_pointers.update().where(unchanged).values(row)).rowcount)
        except sa.exc.IntegrityError:
            return False


def _hold(connection: Connection, model: str, version: int) -> str | None:
    """The state of a deployed version, which nobody else changes before this transaction ends."""
    return connection.scalar(sa.select(model_versions.c.state).where(_is(model, version)).with_for_update())


def _is(model: str, version: int) -> sa.ColumnElement[bool]:
    return sa.and_(model_versions.c.model == model, model_versions.c.version == version)


def _version(row: RowMapping) -> ModelVersion:
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
