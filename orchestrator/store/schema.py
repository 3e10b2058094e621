"""The tables of the records database, which the migrations create; a test compares the two. All times are UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from orchestrator.domain.jobs import JobState

metadata = sa.MetaData()
FINAL_STATES = [state.value for state in JobState if state.is_final]
REVISION = "0010"
"""The newest revision in ``store/migrations/versions``."""


class Time(sa.TypeDecorator[datetime]):
    """A timezone-aware UTC datetime. SQLite does not store the zone, so it is added when a value is read."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


def keys(*names: str) -> list[sa.Column[Any]]:
    """Return text columns of the primary key."""
    return [sa.Column(name, sa.String, primary_key=True) for name in names]


def required(kind: Any, *names: str, **options: Any) -> list[sa.Column[Any]]:
    """Return columns that are not NULL."""
    return [sa.Column(name, kind, nullable=False, **options) for name in names]


assets = sa.Table(
    "assets",
    metadata,
    *keys("id"),
    *required(sa.String, "tenant", "group_id", "kind", "name", "media_type", "sha256", "job_id"),
    *required(sa.BigInteger, "size_bytes"),
    *required(sa.Integer, "width", "height"),
    *required(Time, "create_time"),
    sa.Column("model_versions", sa.JSON),  # model name → version that produced the file; empty or NULL: no model did
    sa.Index("assets_by_group", "tenant", "group_id"),
    sa.Index("assets_by_content", "tenant", "sha256"),
    sa.Index("assets_by_job", "tenant", "job_id"),
    sa.Index("assets_by_size", "tenant", "size_bytes"),
)

# The conditions of partial indexes. SQLite uses such an index only if a query repeats its condition with literals.
IS_UPLOAD = assets.c.job_id == sa.literal_column("''")
IS_RESULT = assets.c.job_id != sa.literal_column("''")
sa.Index("uploads_by_age", assets.c.create_time, assets.c.id, sqlite_where=IS_UPLOAD, postgresql_where=IS_UPLOAD)
sa.Index("results_by_age", assets.c.create_time, assets.c.id, sqlite_where=IS_RESULT, postgresql_where=IS_RESULT)

blobs = sa.Table(  # the files in the object store; a file without a row is orphaned
    "blobs",
    metadata,
    *keys("tenant", "sha256"),
    *required(sa.BigInteger, "size_bytes"),
    sa.Column("unused_time", Time),  # since when nothing may use it; NULL: an asset or a cached result uses it
    *required(sa.Boolean, "marked"),  # it is removed soon; nothing can start to use it without storing it again
    sa.Index("blobs_by_unused_time", "unused_time"),
)
blob_holds = sa.Table(  # the files that unfinished jobs have stored or read from the cache
    "blob_holds", metadata, *keys("tenant", "sha256", "job_id")
)

cache = sa.Table(
    "cache",
    metadata,
    *keys("tenant", "key"),
    *required(sa.JSON, "value"),
    *required(Time, "create_time"),
    sa.Index("cache_by_age", "create_time"),
)
cache_sources = sa.Table(  # the files that a cached value was computed from; deleting any of them deletes the value
    "cache_sources",
    metadata,
    *keys("tenant", "key", "source_sha256"),
    sa.Index("cache_by_source", "tenant", "source_sha256", "key"),
)
cache_blobs = sa.Table(  # the blobs that a cached value refers to
    "cache_blobs", metadata, *keys("tenant", "key", "sha256"), sa.Index("cache_by_blob", "tenant", "sha256")
)

jobs = sa.Table(
    "jobs",
    metadata,
    *keys("id"),
    *required(sa.String, "tenant", "kind", "state", "upload_id", "quality", "webhook_url", "fingerprint"),
    sa.Column("request_id", sa.String),
    sa.Column("owner", sa.String),  # the execution that may write about the job; see ``new_owner``
    *required(sa.String, "stage", "message", default=""),
    *required(sa.JSON, "inputs", "options", "labels"),  # inputs: asset ids of the photos, or of the mesh, at creation
    *required(sa.JSON, "previews", default=list),  # asset ids, in order of appearance
    *required(sa.JSON, "cost", default=dict),
    *(sa.Column(name, sa.JSON(none_as_null=True)) for name in ("result", "failure", "photo_failures")),
    *required(sa.Integer, "priority"),
    *required(sa.Integer, "revision", default=1),  # incremented by every change of the row
    *required(sa.Float, "fraction", default=0.0),
    *required(sa.Boolean, "announced", "cancel_requested", default=False),  # announced: the webhook has been enqueued
    *required(Time, "create_time"),
    *(sa.Column(name, Time) for name in ("deadline", "start_time", "end_time")),
    sa.Column("release_time", Time),  # when it left the queue of its tenant, to be run by the next free worker
    sa.UniqueConstraint("tenant", "request_id"),
    sa.Index("jobs_by_age", "tenant", "create_time", "id"),
    sa.Index("ended_jobs", "end_time", "id"),
)

# The conditions of further partial indexes.
IS_ACTIVE = jobs.c.state.in_([sa.literal_column(f"'{state.value}'") for state in JobState if not state.is_final])
IS_UNANNOUNCED = sa.and_(jobs.c.webhook_url != sa.literal_column("''"), jobs.c.announced.is_(False))
IS_QUEUED = jobs.c.state == sa.literal_column(f"'{JobState.QUEUED.value}'")
IS_WAITING = sa.and_(IS_QUEUED, jobs.c.release_time.is_(None))
IS_RELEASED = sa.and_(IS_ACTIVE, jobs.c.release_time.is_not(None))
sa.Index("active_jobs", jobs.c.tenant, jobs.c.create_time, sqlite_where=IS_ACTIVE, postgresql_where=IS_ACTIVE)
# The columns after create_time let SQLite count the waiting jobs without reading their rows.
IN_ORDER = (jobs.c.tenant, jobs.c.priority, jobs.c.create_time, jobs.c.release_time, jobs.c.state)
sa.Index("queued_jobs", *IN_ORDER, sqlite_where=IS_QUEUED, postgresql_where=IS_QUEUED)
sa.Index("jobs_by_deadline", jobs.c.deadline, sqlite_where=IS_QUEUED, postgresql_where=IS_QUEUED)
sa.Index("released_jobs", jobs.c.tenant, sqlite_where=IS_RELEASED, postgresql_where=IS_RELEASED)
sa.Index("jobs_to_announce", jobs.c.state, sqlite_where=IS_UNANNOUNCED, postgresql_where=IS_UNANNOUNCED)

tokens = sa.Table(
    "tokens",
    metadata,
    *keys("id"),
    *required(sa.String, "tenant", "sha256"),
    *required(sa.JSON, "scopes"),
    *required(Time, "create_time"),
    *(sa.Column(name, Time) for name in ("expire_time", "revoke_time")),
    sa.Index("tokens_by_hash", "sha256", unique=True),
)

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    *keys("id"),
    *required(sa.String, "tenant", "job_id", "url", "event", "state", "error"),
    *required(sa.Integer, "attempts", "status_code"),
    *required(Time, "create_time"),
    *(sa.Column(name, Time) for name in ("due_time", "end_time")),
    sa.Index("deliveries_by_due_time", "state", "due_time"),
    sa.Index("deliveries_by_age", "tenant", "create_time", "id"),
    sa.Index("deliveries_by_end", "end_time"),
)

webhook_secrets = sa.Table(
    "webhook_secrets",
    metadata,
    *keys("id"),
    *required(sa.String, "tenant", "secret"),
    *required(Time, "create_time"),
    sa.Column("expire_time", Time),
    sa.Index("secrets_by_tenant", "tenant"),
)

leases = sa.Table(  # of the running processes
    "leases",
    metadata,
    *keys("executor_id"),
    *required(sa.String, "version"),
    *required(Time, "start_time", "expire_time"),
    *required(sa.Integer, "workers"),
)

tenant_quotas = sa.Table(  # those that differ from the defaults in the settings
    "tenant_quotas", metadata, *keys("tenant", "quota"), *required(sa.Float, "value")
)
tenant_turns = sa.Table(  # virtual time at which a tenant's next job is due; "": the current virtual time
    "tenant_turns", metadata, *keys("tenant"), *required(sa.Float, "turn")
)
detector_spending = sa.Table(  # for paid detectors; month: such as "2026-11"
    "detector_spending", metadata, *keys("tenant", "month"), *required(sa.Float, "usd")
)

tenant_retention = sa.Table(  # what differs from the settings; 0 days: for ever
    "tenant_retention", metadata, *keys("tenant", "kind"), *required(sa.Float, "days")
)
sweeps = sa.Table(  # when each periodic task is due; the process that changes the time does it
    "sweeps", metadata, *keys("name"), *required(Time, "due_time")
)

IS_CHECKING = sa.column("state") == "CHECKING"
model_versions = sa.Table(  # the versions that operators deployed; those in model_repository/ have no row
    "model_versions",
    metadata,
    *keys("model"),
    sa.Column("version", sa.Integer, primary_key=True),
    *required(sa.String, "state", "sha256", "operator", "executor_id"),  # executor_id: the replica that checks it
    *required(sa.String, "reason", default=""),
    *required(sa.BigInteger, "size_bytes"),
    sa.Column("report", sa.JSON),
    *required(Time, "create_time", "beat_time"),  # beat_time: last heartbeat of that replica
    sa.Index("one_candidate_a_model", "model", unique=True, sqlite_where=IS_CHECKING, postgresql_where=IS_CHECKING),
)

model_pointers = sa.Table(  # the serving version; without a row, the newest in model_repository/ serves
    "model_pointers",
    metadata,
    *keys("model"),
    *required(sa.Integer, "version", "previous", "revision"),
    *required(sa.String, "operator"),
    *required(Time, "change_time"),
)
