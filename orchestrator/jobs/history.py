"""Finds and deletes the history of jobs in the database of DBOS: the workflow of a job and the results of its steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from dbos import DBOS, DBOSClient, WorkflowStatus

UNFINISHED = ["PENDING", "ENQUEUED", "DELAYED"]
FINISHED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
END_TIMEOUT_S = 2.0
"""Time that a workflow has to end after its job. It does so within milliseconds."""
POLL_INTERVAL_S = 0.05
PAGE = 500
"""Workflows that one query looks up or deletes."""


Workflows: TypeAlias = type[DBOS] | DBOSClient
"""DBOS in the service, and its client in a command."""


def forget_jobs(workflows: Workflows, job_ids: Sequence[str]) -> None:
    """Delete the history of jobs that have ended. It stays if it does not end, and ``forget_lost`` deletes it later."""
    for start in range(0, len(job_ids), PAGE):
        ids = list(job_ids[start : start + PAGE])
        deadline = time.monotonic() + END_TIMEOUT_S
        while unfinished := _ids(workflows, workflow_ids=ids, status=UNFINISHED):
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_INTERVAL_S)
        if ended := [id for id in ids if id not in unfinished]:
            workflows.delete_workflows(ended)


def forget_lost(workflows: Workflows, known_jobs: Callable[[Collection[str]], set[str]], age: timedelta) -> int:
    """Delete the history that ended before ``age`` and whose job does not exist any more. Return how many."""
    before, offset, lost_count = (datetime.now(UTC) - age).isoformat(), 0, 0
    while ids := _ids(workflows, status=FINISHED, completed_before=before, limit=PAGE, offset=offset):
        lost = ids - known_jobs(ids)
        if lost:
            workflows.delete_workflows(sorted(lost))
        lost_count += len(lost)
        offset += len(ids) - len(lost)
    return lost_count


def _ids(workflows: Workflows, **filters: Any) -> set[str]:
    return {str(workflow.workflow_id) for workflow in find_workflows(workflows, **filters)}


def find_workflows(workflows: Workflows, **filters: Any) -> list[WorkflowStatus]:
    """Return the workflows that match filters of ``list_workflows``, without their arguments and results."""
    return workflows.list_workflows(**filters, load_input=False, load_output=False)
