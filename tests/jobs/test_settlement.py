"""Jobs end even if their workflow was lost, has ended before them, or does not run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import sqlalchemy as sa

from orchestrator.client.client import Heartwood
from orchestrator.domain.jobs import JobState
from orchestrator.protocol.heartwood.v1 import job_pb2
from orchestrator.store.records import Records
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService, wait_for

SWEEP_S = 40.0
"""Time in which the sweeper settles a job: two checks, 10 s apart, and the job itself on a busy machine."""
SUCCEEDED, FAILED, CANCELED = job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELED
WORKFLOWS = sa.table(
    "workflow_status", *map(sa.column, ("workflow_uuid", "status", "executor_id", "queue_name", "owner_xid"))
)
STEPS = sa.table("operation_outputs", sa.column("workflow_uuid"))
NO_QUEUE = "no-worker-takes-from-this-queue"


@dataclass
class Harm:
    """A service, and what a test changes behind its back in its two databases."""

    service: RunningService
    client: Heartwood
    records: Records
    workflows: sa.Engine

    def finished_job(self) -> str:
        """Run a job and return its id."""
        upload = self.client.upload_bytes(jpeg(wood_photo()), "board.jpg").group_id
        return self.client.wait(self.client.segment(upload, quality=job_pb2.QUALITY_PREVIEW).id).id

    def make_unfinished(self, job_id: str, state: JobState = JobState.RUNNING, **changes: Any) -> None:
        """Change a finished job back."""
        changes = {"end_time": None, "result": None, "state": state, **changes}
        assert self.records.change_job(job_id, (JobState.SUCCEEDED,), **changes)

    def workflow(self, job_id: str, **changes: Any) -> None:
        """Change the row of the workflow of a job, or delete it if nothing is given. Forget its steps."""
        is_job = WORKFLOWS.c.workflow_uuid == job_id
        with self.workflows.begin() as connection:
            connection.execute(STEPS.delete().where(STEPS.c.workflow_uuid == job_id))
            connection.execute(
                WORKFLOWS.update().where(is_job).values(changes) if changes else WORKFLOWS.delete().where(is_job)
            )

    def executor_of(self, job_id: str) -> str:
        with self.workflows.connect() as connection:
            return str(connection.scalar(sa.select(WORKFLOWS.c.executor_id).where(WORKFLOWS.c.workflow_uuid == job_id)))


@pytest.fixture(scope="module")
def harm(tmp_path_factory: pytest.TempPathFactory, triton_url: str) -> Iterator[Harm]:
    folder = tmp_path_factory.mktemp("settlement")
    service = RunningService(folder, triton_url)
    records = Records.open("", folder / "heartwood.sqlite")
    workflows = sa.create_engine(f"sqlite:///{folder / 'jobs.sqlite'}")
    with service.client() as client:
        yield Harm(service, client, records, workflows)
    records.close()
    workflows.dispose()
    assert service.stop() == 0


def missing(harm: Harm) -> str:
    job_id = harm.finished_job()
    harm.workflow(job_id)
    harm.make_unfinished(job_id)
    return job_id


def ended_before_its_job(harm: Harm) -> str:
    job_id = harm.finished_job()
    harm.make_unfinished(job_id)
    return job_id


def failed_before_its_job(harm: Harm) -> str:
    job_id = harm.finished_job()
    harm.workflow(job_id, status="ERROR")
    harm.make_unfinished(job_id)
    return job_id


def took_too_many_processes(harm: Harm) -> str:
    job_id = harm.finished_job()
    harm.workflow(job_id, status="MAX_RECOVERY_ATTEMPTS_EXCEEDED")
    harm.make_unfinished(job_id)
    return job_id


def taken_but_never_started(harm: Harm) -> str:
    job_id = harm.finished_job()
    harm.make_unfinished(job_id)
    harm.workflow(job_id, status="PENDING", executor_id=harm.executor_of(job_id))
    return job_id


def canceled_while_it_waits_for_a_worker(harm: Harm) -> str:
    job_id = harm.finished_job()
    harm.workflow(job_id, status="ENQUEUED", queue_name=NO_QUEUE)
    harm.make_unfinished(job_id)
    harm.client.cancel(job_id)
    return job_id


def too_late_while_it_waits_for_a_worker(harm: Harm) -> str:
    job_id = harm.finished_job()
    harm.workflow(job_id, status="ENQUEUED", queue_name=NO_QUEUE)
    harm.make_unfinished(job_id, start_time=datetime.now(UTC) - timedelta(hours=3))
    return job_id


Settled: TypeAlias = dict[Callable[[Harm], str], job_pb2.Job]
CASES: dict[Callable[[Harm], str], tuple[job_pb2.JobState.ValueType, str]] = {
    missing: (SUCCEEDED, ""),
    ended_before_its_job: (SUCCEEDED, ""),
    failed_before_its_job: (FAILED, "INTERNAL"),
    took_too_many_processes: (FAILED, "INTERNAL"),
    taken_but_never_started: (SUCCEEDED, ""),
    canceled_while_it_waits_for_a_worker: (CANCELED, ""),
    too_late_while_it_waits_for_a_worker: (FAILED, "DEADLINE_EXCEEDED"),
}
"""What happened to a workflow → the final state of the job, and the reason."""


@pytest.fixture(scope="module")
def left_folder(harm: Harm) -> Path:
    """The working folder of a job that has ended."""
    folder = harm.service.data_dir / "work" / harm.finished_job()
    (folder / "render").mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def settled(harm: Harm, left_folder: Path) -> Settled:  # noqa: ARG001 - the sweeper removes the folder meanwhile
    """The job of each case. All cases wait for the sweeper at the same time."""
    ids = {case: case(harm) for case in CASES}

    def is_settled() -> bool:
        return all(harm.client.job(id).state in (SUCCEEDED, FAILED, CANCELED) for id in ids.values())

    wait_for(is_settled, SWEEP_S, 0.2)
    return {case: harm.client.job(id) for case, id in ids.items()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_job_whose_workflow_does_not_run_ends(settled: Settled, case: Callable[[Harm], str]) -> None:
    state, reason = CASES[case]
    assert settled[case].state == state
    assert bool(settled[case].segment.photos) == (state == SUCCEEDED)
    details = [detail for detail in settled[case].error.details if b"heartwood" in detail.value]
    assert [reason in str(detail.value) for detail in details] == ([True] if reason else [])


def test_a_job_that_its_process_gets_back_is_written_by_the_new_execution_only(harm: Harm) -> None:
    upload = harm.client.upload_bytes(jpeg(wood_photo(1600, 1200, seed=42)), "board.jpg").group_id
    job_id = harm.client.stain(upload, stain="walnut").id
    wait_for(lambda: "surface" in steps(harm.service, "step_started", job_id), 60, 0.01)
    with harm.workflows.begin() as connection:  # as a takeover does
        returned = WORKFLOWS.update().values(status="ENQUEUED", owner_xid=None)
        connection.execute(returned.where(WORKFLOWS.c.workflow_uuid == job_id))
    assert harm.client.wait(job_id).state == SUCCEEDED
    wait_for(lambda: "surface" in steps(harm.service, "job_left", job_id), 30)
    ends = [event for event in harm.service.events("job_ended") if event["job"] == job_id]
    assert [event["changed"] for event in ends] == [True], json.dumps(ends)
    assert steps(harm.service, "step_finished", job_id).count("surface") == 1


def steps(service: RunningService, event: str, job_id: str) -> list[str]:
    return [entry["step"] for entry in service.events(event) if entry["job"] == job_id]


def test_the_folder_of_a_job_that_ended_elsewhere_is_removed(settled: Settled, left_folder: Path) -> None:
    assert settled
    wait_for(lambda: not left_folder.exists(), SWEEP_S)
