"""Records of webhook deliveries and of the secrets that sign them."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Engine, RowMapping

from orchestrator.domain.jobs import JobRecord
from orchestrator.domain.webhooks import Delivery, DeliveryState, new_secret
from orchestrator.errors import NotFound
from orchestrator.store.database import insert
from orchestrator.store.schema import jobs, webhook_deliveries, webhook_secrets

NAMESPACE = uuid.UUID("6f0f4d0e-7c5b-5a0e-9a55-7a3a9b1b7f55")
"""Of the delivery ids, which follow from the job ids, so that no job is announced twice."""
IS_PENDING = webhook_deliveries.c.state == DeliveryState.PENDING.value


class WebhookRecords:
    """Queries on deliveries and secrets. Each method runs in one transaction and is thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def announce(self, job: JobRecord) -> None:
        """Create the delivery of a finished job, and record in the job that it exists."""
        now = datetime.now(UTC)
        event = f"job.{job.state.value.lower()}"
        id = f"msg_{uuid.uuid5(NAMESPACE, job.id).hex}"
        delivery = Delivery(id, job.tenant, job.id, job.webhook_url, event, now, due_time=now)
        with self.engine.begin() as connection:
            new = insert(connection, webhook_deliveries).values(_to_row(delivery))
            connection.execute(new.on_conflict_do_nothing())  # another replica may have been quicker
            connection.execute(jobs.update().where(jobs.c.id == job.id).values(announced=True))

    def claim(
        self,
        now: datetime,
        per_tenant: int,
        most: int,
        running: Counter[str],
        lease: timedelta,
        without: Collection[str] = (),
    ) -> list[Delivery]:
        """Start attempts of due deliveries, so that each tenant has at most ``per_tenant`` with those ``running``.

        A claimed delivery becomes due again after ``lease``, in case this process ends. Two replicas never claim the
        same one. Those ``without`` are left out: their attempt still runs, and ``redeliver`` made them due again.
        """
        c = webhook_deliveries.c
        rank = sa.func.row_number().over(partition_by=c.tenant, order_by=c.due_time).label("rank")
        due = sa.select(webhook_deliveries, rank).where(IS_PENDING, c.due_time <= now, c.id.not_in(without)).subquery()
        query = sa.select(due).where(due.c.rank <= per_tenant).order_by(due.c.due_time)
        claimed: list[Delivery] = []
        counts = running.copy()
        with self.engine.begin() as connection:
            for row in connection.execute(query).mappings().all():
                if len(claimed) == most:
                    break
                if counts[row["tenant"]] >= per_tenant:
                    continue
                counts[row["tenant"]] += 1
                unchanged = sa.and_(c.id == row["id"], c.due_time == row["due_time"], IS_PENDING)
                start = {"due_time": now + lease, "attempts": row["attempts"] + 1}
                if connection.execute(webhook_deliveries.update().where(unchanged).values(start)).rowcount:
                    claimed.append(_to_delivery({**row, **start}))
        return claimed

    def finish_attempt(
        self, claimed: Delivery, state: DeliveryState, status_code: int, error: str, due_time: datetime | None
    ) -> None:
        """Record the result of an attempt, and when the next one is due, unless the delivery was claimed or started
        again meanwhile."""
        end_time = None if state is DeliveryState.PENDING else datetime.now(UTC)
        changes = {"state": state.value, "status_code": status_code, "error": error, "due_time": due_time}
        with self.engine.begin() as connection:
            is_unchanged = (webhook_deliveries.c.id == claimed.id, webhook_deliveries.c.due_time == claimed.due_time)
            update = webhook_deliveries.update().where(*is_unchanged)
            connection.execute(update.values(**changes, end_time=end_time))

    def redeliver(self, tenant: str, id: str) -> Delivery:
        """Start the attempts of a delivery again. Raises NotFound."""
        c = webhook_deliveries.c
        is_own = sa.and_(c.tenant == tenant, c.id == id)
        again = {"state": DeliveryState.PENDING.value, "attempts": 0, "due_time": datetime.now(UTC), "end_time": None}
        with self.engine.begin() as connection:
            connection.execute(webhook_deliveries.update().where(is_own).values(again))
            row = connection.execute(sa.select(webhook_deliveries).where(is_own)).mappings().one_or_none()
        if row is None:
            raise NotFound("webhook delivery", id)
        return _to_delivery(row)

    def page(
        self,
        tenant: str,
        job_id: str,
        states: Collection[DeliveryState],
        before: tuple[datetime, str] | None,
        limit: int,
    ) -> list[Delivery]:
        """Return deliveries of a tenant, newest first. An empty ``job_id`` or ``states`` means any."""
        c = webhook_deliveries.c
        query = sa.select(webhook_deliveries).where(c.tenant == tenant)
        if job_id:
            query = query.where(c.job_id == job_id)
        if states:
            query = query.where(c.state.in_([state.value for state in states]))
        if before is not None:
            query = query.where(sa.tuple_(c.create_time, c.id) < sa.tuple_(*before))
        query = query.order_by(c.create_time.desc(), c.id.desc()).limit(limit)
        with self.engine.connect() as connection:
            return [_to_delivery(row) for row in connection.execute(query).mappings()]

    def secrets(self, tenant: str) -> list[str]:
        """Return the secrets with which webhooks are signed now, newest first. Creates the first one."""
        c, now = webhook_secrets.c, datetime.now(UTC)
        is_valid = sa.and_(c.tenant == tenant, sa.or_(c.expire_time.is_(None), c.expire_time > now))
        query = sa.select(c.secret).where(is_valid).order_by(c.create_time.desc())
        with self.engine.begin() as connection:
            found = list(connection.scalars(query))
            if not found:
                found = [new_secret()]
                connection.execute(webhook_secrets.insert().values(_secret_row(tenant, found[0], now)))
        return found

    def rotate_secret(self, tenant: str, overlap: timedelta) -> str:
        """Create a new secret. Until ``overlap`` has passed, webhooks are also signed with the earlier ones."""
        c, now, secret = webhook_secrets.c, datetime.now(UTC), new_secret()
        outlives = sa.and_(c.tenant == tenant, sa.or_(c.expire_time.is_(None), c.expire_time > now + overlap))
        with self.engine.begin() as connection:
            connection.execute(webhook_secrets.update().where(outlives).values(expire_time=now + overlap))
            connection.execute(webhook_secrets.insert().values(_secret_row(tenant, secret, now)))
        return secret


def _secret_row(tenant: str, secret: str, now: datetime) -> dict[str, object]:
    return {"id": uuid.uuid4().hex, "tenant": tenant, "secret": secret, "create_time": now}


def _to_row(delivery: Delivery) -> dict[str, object]:
    return {**asdict(delivery), "state": delivery.state.value}


def _to_delivery(row: RowMapping | dict[str, object]) -> Delivery:
    names = Delivery.__dataclass_fields__
    values = {name: value for name, value in row.items() if name in names}
    return Delivery(**{**values, "state": DeliveryState(values["state"])})  # type: ignore[arg-type]
