"""Records of the quotas of tenants, and of what they use."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from orchestrator.domain.tenants import Usage
from orchestrator.store.database import insert
from orchestrator.store.schema import IS_ACTIVE, IS_RELEASED, assets, detector_spending, jobs, tenant_quotas, tokens


class TenantRecords:
    """Queries on tenants. Each method runs in one transaction and is thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def quotas(self, tenant: str) -> dict[str, float]:
        """Return the quotas of a tenant that differ from the defaults, by name."""
        query = sa.select(tenant_quotas.c.quota, tenant_quotas.c.value).where(tenant_quotas.c.tenant == tenant)
        with self.engine.connect() as connection:
            return {row.quota: row.value for row in connection.execute(query)}

    def set_quotas(self, tenant: str, values: Mapping[str, float | None]) -> None:
        """Set some quotas of a tenant. None returns to the default."""
        is_tenant = tenant_quotas.c.tenant == tenant
        changed = {name: value for name, value in values.items() if value is not None}
        rows = [{"tenant": tenant, "quota": name, "value": value} for name, value in changed.items()]
        with self.engine.begin() as connection:
            connection.execute(tenant_quotas.delete().where(is_tenant, tenant_quotas.c.quota.in_(list(values))))
            if rows:
                connection.execute(tenant_quotas.insert(), rows)

    def names(self) -> list[str]:
        """Return the names of the tenants that have tokens or quotas of their own."""
        query = sa.union(sa.select(tokens.c.tenant), sa.select(tenant_quotas.c.tenant))
        with self.engine.connect() as connection:
            return sorted(connection.scalars(query))

    def usage(self, tenant: str, now: datetime) -> Usage:
        """Return what a tenant uses."""
        count = sa.select(sa.func.count()).where(jobs.c.tenant == tenant)
        with self.engine.connect() as connection:
            running = connection.scalar(count.where(IS_RELEASED)) or 0
            active = connection.scalar(count.where(IS_ACTIVE)) or 0
        return Usage(running, active, self.stored_bytes(tenant), self.spent_usd(tenant, now))

    def stored_bytes(self, tenant: str) -> int:
        """Return the size of a tenant's uploads and results. Files with the same content count each."""
        query = sa.select(sa.func.coalesce(sa.func.sum(assets.c.size_bytes), 0)).where(assets.c.tenant == tenant)
        with self.engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def spend(self, tenant: str, usd: float, now: datetime) -> None:
        """Add to what a tenant has spent on paid detectors in this month."""
        first = insert(self.engine, detector_spending).values(tenant=tenant, month=_month(now), usd=usd)
        total = {"usd": detector_spending.c.usd + first.excluded.usd}
        with self.engine.begin() as connection:
            connection.execute(first.on_conflict_do_update(index_elements=["tenant", "month"], set_=total))

    def spent_usd(self, tenant: str, now: datetime) -> float:
        """Return what a tenant has spent on paid detectors in this month."""
        query = sa.select(detector_spending.c.usd).filter_by(tenant=tenant, month=_month(now))
        with self.engine.connect() as connection:
            return float(connection.scalar(query) or 0.0)


def _month(time: datetime) -> str:
    return f"{time:%Y-%m}"
