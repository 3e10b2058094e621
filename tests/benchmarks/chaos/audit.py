"""Checks what a run has left: jobs that ended once, complete results, no orphans; and measures the takeovers."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from tests.benchmarks.chaos.cluster import DRAIN_S, Cluster
from tests.benchmarks.chaos.faults import POSTGRESQL, TERMINATE, Fault
from tests.benchmarks.chaos.workload import Task, Workload

FINAL = ("SUCCEEDED", "FAILED", "CANCELED")
EXPECTED = {"SUCCEEDED"}
"""Final states of a job that nobody canceled and that has no deadline. Faults pass, so they fail no job."""
VARYING = ("logs/", "frames/")
"""Folders of files that a job need not have: logs of programs, and frames that show the progress of a slow render."""
UUID = re.compile(r"^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$")
TRIGGERS = """
CREATE TABLE chaos_job_changes (
    seq bigserial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), job text, before text, after text
);
CREATE FUNCTION chaos_log_job() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO chaos_job_changes (job, before, after) VALUES (
        COALESCE(NEW.id, OLD.id), CASE WHEN TG_OP <> 'INSERT' THEN OLD.state END,
        CASE WHEN TG_OP <> 'DELETE' THEN NEW.state END);
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_jobs AFTER INSERT OR DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION chaos_log_job();
CREATE TRIGGER chaos_job_states AFTER UPDATE ON jobs FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION chaos_log_job();
CREATE TABLE chaos_workflow_changes (
    seq bigserial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), job text, status text, executor text
);
CREATE FUNCTION chaos_log_workflow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO chaos_workflow_changes (job, status, executor) VALUES (NEW.workflow_uuid, NEW.status, NEW.executor_id);
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_workflows AFTER UPDATE ON dbos.workflow_status FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.executor_id IS DISTINCT FROM NEW.executor_id)
    EXECUTE FUNCTION chaos_log_workflow();
"""
"""Logs every change of the state of a job and of the owner of a workflow, inside the transaction that makes it."""


def install_triggers(database_url: str) -> None:
    """Let the database log what the checks need."""
    engine = sa.create_engine(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(TRIGGERS)
    engine.dispose()


@dataclass(frozen=True)
class Takeover:
    """A job that another process got from one that was killed, suspended or cut off."""

    job: str
    fault: Fault
    taken_s: float  # from ``_loss_time`` to the return of the job to the queue, without the time without PostgreSQL
    resumed_s: float  # to its next step; includes the time in which it waited for a free worker


class Audit:
    """The state of the databases, the blobs and the processes after a run."""

    def __init__(self, cluster: Cluster, workload: Workload, faults: Sequence[Fault]) -> None:
        self._cluster, self._workload, self._faults = cluster, workload, faults
        engine = sa.create_engine(cluster.postgresql.url)
        with engine.connect() as connection:

            def rows(query: str) -> list[dict[str, Any]]:
                return [dict(row) for row in connection.execute(sa.text(query)).mappings()]

            self.jobs = {row["id"]: row for row in rows("SELECT * FROM jobs")}
            self.assets = rows("SELECT * FROM assets")
            self._cached_blobs = rows("SELECT * FROM cache_blobs")
            self._job_changes = rows("SELECT *, extract(epoch FROM at)::float AS s FROM chaos_job_changes ORDER BY seq")
            workflows = "SELECT *, extract(epoch FROM at)::float AS s FROM chaos_workflow_changes ORDER BY seq"
            self._workflow_changes = rows(workflows)
            statuses = rows("SELECT workflow_uuid, status FROM dbos.workflow_status")
            self._workflows = {row["workflow_uuid"]: row["status"] for row in statuses}
        engine.dispose()

    def job_violations(self) -> Iterator[str]:
        """Yield each job that was lost, ran into two ends, or ended otherwise than it should."""
        ends = Counter(change["job"] for change in self._job_changes if change["after"] in FINAL)
        left = [change for change in self._job_changes if change["before"] in FINAL]
        yield from (f"job {change['job']} changed from {change['before']} to {change['after']}" for change in left)
        known: set[str] = set()
        for task in self._workload.tasks:
            if len(task.job_ids) != 1:
                yield f"task {task.number} ({task.kind}) became {len(task.job_ids)} jobs"
            known |= task.job_ids
            for id in task.job_ids:
                yield from self._violations_of(task, id, ends[id])
        for id in self.jobs.keys() - known:
            yield f"job {id} ({self.jobs[id]['kind']}) was accepted, but no client knows it"

    def _violations_of(self, task: Task, id: str, ends: int) -> Iterator[str]:
        name = f"job {id} ({task.kind})"
        job = self.jobs.get(id)
        if job is None:
            yield f"{name} was lost"
            return
        if ends != 1:
            yield f"{name} ended {ends} times"
        if job["state"] != task.state:
            yield f"{name} is {job['state']}, but the client saw {task.state or 'no end'}"
        allowed = EXPECTED | ({"CANCELED"} if task.is_canceled else set()) | ({"FAILED"} if task.deadline_s else set())
        reasons = {"DEADLINE_EXCEEDED"} if task.deadline_s else set()
        if job["state"] not in allowed or (job["state"] == "FAILED" and job["failure"]["reason"] not in reasons):
            yield f"{name} is {job['state']}: {job['failure'] or job['message']}"
        if job["photo_failures"]:
            yield f"{name} left out photos: {job['photo_failures']}"
        if self._workflows.get(id) == "PENDING":
            yield f"{name} ended, but its workflow has not"

    def artifact_violations(self) -> Iterator[str]:
        """Yield each file that is missing, duplicated, damaged or orphaned."""
        by_job: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for asset in self.assets:
            by_job[asset["job_id"]].append(asset)
            blob = self._blob(asset["tenant"], asset["sha256"])
            if not blob.exists():
                yield f"the blob of {asset['name']} of job {asset['job_id']} is missing"
            elif hashlib.sha256(blob.read_bytes()).hexdigest() != asset["sha256"]:
                yield f"the blob of {asset['name']} of job {asset['job_id']} is damaged"
        for cached in self._cached_blobs:
            if not self._blob(cached["tenant"], cached["sha256"]).exists():
                yield f"a blob of the cached result {cached['key']} is missing"
        for id in by_job.keys() - self.jobs.keys() - {""}:
            yield f"{len(by_job[id])} files belong to job {id}, which does not exist"
        yield from self._result_violations(by_job)

    def _result_violations(self, by_job: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
        """Compare the files of each job that succeeded with its result, and with other jobs of its kind."""
        usual: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
        names_of: dict[str, tuple[str, ...]] = {}
        for id, job in self.jobs.items():
            if job["state"] != "SUCCEEDED":
                continue
            files = by_job[id]
            missing = _asset_ids(job["result"]) - {asset["id"] for asset in self.assets}
            if missing:
                yield f"job {id} ({job['kind']}): {len(missing)} files of its result are missing"
            names = [asset["name"] for asset in files if not asset["name"].startswith(VARYING)]
            if len(set(names)) != len(names):
                yield f"job {id} ({job['kind']}) has two files with the same name"
            names_of[id] = tuple(sorted(re.sub(r"^\d+/|\d+", "*", name) for name in names))
            usual[job["kind"]][names_of[id]] += 1
        for id, found in names_of.items():
            kind = self.jobs[id]["kind"]
            expected = usual[kind].most_common(1)[0][0]
            if found != expected:
                yield f"job {id} ({kind}) has the files {found}, but others have {expected}"

    def orphaned_blobs(self) -> list[Path]:
        """Return the blobs that no record refers to, and files that are no blobs."""
        referenced = {self._blob(row["tenant"], row["sha256"]) for row in (*self.assets, *self._cached_blobs)}
        return [path for path in self._cluster.blobs.rglob("*") if path.is_file() and path not in referenced]

    def webhook_violations(self) -> Iterator[str]:
        """Yield each job that was not announced, or with several ids, or with a state that it does not have."""
        for id, job in self.jobs.items():
            deliveries = self._workload.receiver.deliveries.get(id, [])
            ids, states = {delivery for delivery, _ in deliveries}, {state for _, state in deliveries}
            if len(ids) != 1:
                yield f"job {id} was announced with {len(ids)} ids"
            if states - {job["state"]}:
                yield f"job {id} is {job['state']}, but was announced as {sorted(states)}"

    def takeovers(self) -> list[Takeover]:
        """Return the jobs that another process got from one that a fault had hit."""
        down = [(fault.start_time, fault.end_time) for fault in self._faults if fault.target == POSTGRESQL]
        hits = [fault for fault in self._faults if fault.target.startswith("replica-") and "tool" not in fault.kind]
        changes: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for change in self._workflow_changes:
            changes[change["job"]].append(change)
        found = []
        for job, sequence in changes.items():
            for number in range(1, len(sequence)):
                before, after = sequence[number - 1], sequence[number]
                if (before["status"], after["status"]) != ("PENDING", "ENQUEUED"):
                    continue
                is_owner = [fault for fault in hits if before["executor"].split("-")[-2] == str(fault.process)]
                causes = [fault for fault in is_owner if fault.start_time < after["s"]]
                if not causes:
                    continue
                fault = max(causes, key=lambda each: each.start_time)
                since = max(_loss_time(fault), before["s"])
                resumed = sequence[number + 1]["s"] if number + 1 < len(sequence) else after["s"]
                outage = sum(max(0.0, min(end, after["s"]) - max(start, since)) for start, end in down)
                found.append(Takeover(job, fault, after["s"] - since - outage, resumed - since - outage))
        return found

    def _blob(self, tenant: str, sha256: str) -> Path:
        folder = hashlib.sha256(tenant.encode()).hexdigest()[:16]
        return self._cluster.blobs / folder / sha256[:2] / sha256


def _loss_time(fault: Fault) -> float:
    """Return when a replica lost its jobs. One that gets SIGTERM first runs them on for ``drain_s``."""
    return fault.start_time + (DRAIN_S if fault.kind == TERMINATE else 0.0)


def running_tools(cluster: Cluster) -> list[str]:
    """Return the programs that work in the folder of a job. After all jobs have ended, there is none."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if str(cluster.folder) in process.cwd() and "/work/" in process.cwd():
                found.append(f"process {process.pid} ({process.name()}) runs in {process.cwd()}")
    return found


def work_folders(cluster: Cluster) -> list[str]:
    """Return the working folders of jobs. After all jobs have ended, there is none."""
    return [str(path.relative_to(cluster.folder)) for path in cluster.folder.glob("replica-*/work/*")]


def _asset_ids(document: Any) -> set[str]:
    """Return the values of a result that are ids of files: of the fields ``…asset_id``."""
    if isinstance(document, dict):
        own = {value for name, value in document.items() if name.endswith("asset_id") and isinstance(value, str)}
        return {id for id in own if UUID.match(id)}.union(*(_asset_ids(value) for value in document.values()))
    if isinstance(document, list):
        return set().union(*map(_asset_ids, document))
    return set()
