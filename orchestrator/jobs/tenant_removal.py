"""Deletes a tenant completely: its tokens, jobs, files, cached results, webhooks, settings and history."""

from __future__ import annotations

import time
from dataclasses import dataclass

from dbos import DBOSClient

from orchestrator.domain.retention import TenantRemoval
from orchestrator.domain.tokens import check_tenant
from orchestrator.errors import FailedPrecondition
from orchestrator.jobs.collector import Collector
from orchestrator.jobs.history import forget_jobs
from orchestrator.store.records import Records
from orchestrator.store.tenant_deletion import TenantDeletion

TOKEN_CACHE_S = 2.5
"""A running service may accept a deleted token for 2 s."""
POLL_INTERVAL_S = 0.2
NAMED = ("assets", "cache", "webhook_deliveries", "webhook_secrets", "tokens")
"""Tables that the report names. It does not count rows that only belong to others, such as those of the cache."""
SETTINGS = ("tenant_quotas", "tenant_retention")


@dataclass(frozen=True)
class TenantRemover:
    """Deletes tenants, while services may run.

    Args:
        workflows: the history of all jobs.
        wait_s: time for which running jobs may take to stop.
    """

    records: Records
    collector: Collector
    workflows: DBOSClient
    wait_s: float = 120.0

    def remove(self, tenant: str) -> TenantRemoval:
        """Delete everything of a tenant, and return what was deleted. Repeating it has no effect.

        Raises FailedPrecondition if a running job does not stop in time. The call can be repeated.
        """
        check_tenant(tenant)
        deletion = TenantDeletion(self.records)
        tokens = deletion.delete_tokens(tenant)
        if tokens:
            time.sleep(TOKEN_CACHE_S)
        removal = TenantRemoval(tokens=tokens)
        while (found := self._remove_once(deletion, tenant)) != TenantRemoval():
            removal += found  # again, because a call that had begun may have stored something
        return removal

    def _remove_once(self, deletion: TenantDeletion, tenant: str) -> TenantRemoval:
        self._stop_jobs(deletion, tenant)
        rows = deletion.delete_records(tenant)
        jobs = 0
        while ids := deletion.job_ids(tenant):
            forget_jobs(self.workflows, ids)
            jobs += deletion.delete_jobs(tenant, ids)
        files = self.collector.collect_tenant(tenant)
        assets, cached, deliveries, secrets, tokens = (rows.get(name, 0) for name in NAMED)
        settings = sum(rows.get(name, 0) for name in SETTINGS)
        return TenantRemoval(jobs, assets, cached, files.count, files.size_bytes, deliveries, secrets, tokens, settings)

    def _stop_jobs(self, deletion: TenantDeletion, tenant: str) -> None:
        """Cancel the jobs of a tenant, and wait until they have ended."""
        deadline = time.monotonic() + self.wait_s
        while active := self.records.active_jobs(tenant):
            if ended := deletion.cancel_jobs(tenant):
                self.workflows.cancel_workflows(ended)
            elif time.monotonic() > deadline:
                problem = f"{len(active)} jobs of {tenant} have not stopped within {self.wait_s:g} s"
                raise FailedPrecondition(f"{problem}; delete the tenant again later", job=active[0].id)
            else:
                time.sleep(POLL_INTERVAL_S)
