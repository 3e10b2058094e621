"""The quotas of tenants, which replicas remember for a short time, and the checks of them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from cachetools import TTLCache

from orchestrator.domain.tenants import QUOTA_TYPES, Quotas, Usage
from orchestrator.errors import QuotaExceeded
from orchestrator.settings import Settings
from orchestrator.store.tenant_records import TenantRecords

LIFETIME_S = 2.0
"""Time after which a replica notices that the operator has changed a quota."""
MAX_REMEMBERED = 10_000
GB = 10**9


class TenantQuotas:
    """The quotas of all tenants. Thread-safe."""

    def __init__(self, settings: Settings, records: TenantRecords) -> None:
        self.records = records
        self.defaults = default_quotas(settings)
        self._remembered: TTLCache[str, Quotas] = TTLCache(MAX_REMEMBERED, LIFETIME_S)
        self._lock = threading.Lock()

    def remembered(self, tenant: str) -> Quotas | None:
        """Return the quotas of a tenant if they are in memory."""
        with self._lock:
            return self._remembered.get(tenant)

    def of(self, tenant: str) -> Quotas:
        """Return the quotas of a tenant."""
        quotas = self.remembered(tenant)
        if quotas is None:
            quotas = self.defaults.changed(self.records.quotas(tenant))
            with self._lock:
                self._remembered[tenant] = quotas
        return quotas

    def usage(self, tenant: str) -> Usage:
        """Return what a tenant uses."""
        return self.records.usage(tenant, datetime.now(UTC))

    def most_bytes(self, tenant: str) -> float:
        """Return how much the tenant may store."""
        return self.of(tenant).stored_gb * GB

    def check_space(self, tenant: str, size_bytes: int) -> None:
        """Raise QuotaExceeded if the tenant may not store ``size_bytes`` more."""
        if self.records.stored_bytes(tenant) + size_bytes > self.most_bytes(tenant):
            raise self.space_exceeded(tenant, size_bytes)

    def space_exceeded(self, tenant: str, size_bytes: int) -> QuotaExceeded:
        """Return the error about a tenant that may not store ``size_bytes`` more."""
        most, stored = self.of(tenant).stored_gb, self.records.stored_bytes(tenant)
        problem = f"the tenant stores {stored / GB:.3g} GB of at most {most:g} GB"
        more = f" and cannot store {size_bytes:,} bytes more" if size_bytes else ""
        return QuotaExceeded(f"{problem}{more}; delete files or jobs", quota="stored_gb", most=f"{most:g}")

    def check_detector_budget(self, tenant: str) -> None:
        """Raise QuotaExceeded if the tenant has spent its budget for paid detectors in this month."""
        most, spent = self.of(tenant).detector_usd, self.records.spent_usd(tenant, datetime.now(UTC))
        if spent >= most:
            problem = f"the tenant has spent {spent:.2f} USD of {most:g} USD for paid detectors in this month (UTC)"
            raise QuotaExceeded(f"{problem}; use the detector 'local'", quota="detector_usd", most=f"{most:g}")

    def spend(self, tenant: str, usd: float) -> None:
        """Add to what the tenant has spent on paid detectors in this month."""
        self.records.spend(tenant, usd, datetime.now(UTC))


def default_quotas(settings: Settings) -> Quotas:
    """Return the quotas of a tenant without quotas of its own."""
    limits = {name: getattr(settings, f"max_{name}") for name in QUOTA_TYPES if name != "weight"}
    return Quotas(weight=1.0, **limits)
