"""The jobs of a tenant that is deleted end where they run."""

from __future__ import annotations

from orchestrator.domain.jobs import JobState
from orchestrator.store.leases import Leases, new_owner
from orchestrator.store.records import Records
from orchestrator.store.tenant_deletion import TenantDeletion
from tests.support.records import job_record


def test_a_job_ends_at_once_only_if_no_live_process_runs_it(records: Records) -> None:
    leases, deletion = Leases(records.engine), TenantDeletion(records)
    leases.renew("live", "version", workers=1)
    waiting = job_record()
    orphaned, running = (job_record(state=JobState.RUNNING, owner=new_owner(process)) for process in ("dead", "live"))
    for job in (waiting, orphaned, running):
        records.add_job(job, max_active=10)
    assert set(deletion.cancel_jobs("shop")) == {waiting.id, orphaned.id}
    (left,) = records.active_jobs("shop")
    assert (left.id, left.state, left.cancel_requested) == (running.id, JobState.RUNNING, True)
    leases.release("live")
    assert deletion.cancel_jobs("shop") == [running.id]
