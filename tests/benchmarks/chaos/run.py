"""One run: the cluster, the faults and the clients side by side, and then the checks."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from orchestrator.inference.launch import SHARED_MEMORY, TritonServer
from tests.benchmarks.chaos.audit import Audit, Takeover, install_triggers, running_tools, work_folders
from tests.benchmarks.chaos.cluster import Cluster
from tests.benchmarks.chaos.faults import Fault, Faults
from tests.benchmarks.chaos.workload import Task, Workload, tasks
from tests.benchmarks.report import Figure
from tests.support.running_service import wait_for

TAKEOVER_BOUND_S = 10.0
"""Bound of the issue: a lease is valid for 6 s, and is checked every second."""
SETTLE_S = 90.0
"""Time until the last webhook arrives and the sweeper has removed the folders. A webhook whose process ended during the
attempt is due again after 60 s."""


@dataclass(frozen=True)
class Chaos:
    """The size of a run."""

    jobs: int
    replicas: int
    clients: int  # jobs that are queued or running at a time
    interval_s: tuple[float, float]  # between two faults
    seed: int
    faults: int  # at most
    shares: Mapping[str, float]  # jobs of each kind, in per cent


@dataclass
class Outcome:
    """What happened in a run."""

    seconds: float
    tasks: list[Task]
    faults: list[Fault]
    takeovers: list[Takeover]
    repeated_calls: int
    orphaned_blobs: int
    violations: list[str] = field(default_factory=list)

    def figures(self) -> list[Figure]:
        taken = [takeover.taken_s for takeover in self.takeovers] or [0.0]
        resumed = [takeover.resumed_s for takeover in self.takeovers] or [0.0]
        kinds = Counter(fault.kind for fault in self.faults)
        states = Counter(task.state for task in self.tasks)
        return [
            Figure("jobs", len(self.tasks), "jobs"),
            *(Figure(f"jobs {state or 'without an end'}", count, "jobs") for state, count in sorted(states.items())),
            Figure("duration", self.seconds, "s"),
            *(Figure(f"faults: {kind}", count, "faults") for kind, count in sorted(kinds.items())),
            Figure("kills", sum(count for kind, count in kinds.items() if kind.startswith("kill")), "kills"),
            Figure("calls that the client repeated", self.repeated_calls, "calls"),
            Figure("takeovers", len(self.takeovers), "jobs"),
            Figure("takeover delay, p50", float(np.percentile(taken, 50)), "s"),
            Figure("takeover delay, p99", float(np.percentile(taken, 99)), "s", f"< {TAKEOVER_BOUND_S:g}"),
            Figure("takeover delay, max", max(taken), "s"),
            Figure("time until the next step, p50", float(np.percentile(resumed, 50)), "s"),
            Figure("time until the next step, max", max(resumed), "s"),
            Figure("blobs without a record", self.orphaned_blobs, "blobs"),
            Figure("violations", len(self.violations), "", "== 0"),
        ]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, default=sorted)


def run(chaos: Chaos, folder: Path, triton: TritonServer) -> Outcome:
    """Run the jobs while faults occur, and check what is left."""
    shared_memory = _shared_memory()
    cluster = Cluster(folder, triton, chaos.replicas, install_triggers)
    try:
        addresses = [replica.service.address for replica in cluster.replicas]
        workload = Workload(addresses, cluster.token, tasks(chaos.jobs, chaos.seed, chaos.shares), chaos.seed, folder)
        faults = Faults(cluster, chaos.seed, chaos.interval_s, chaos.faults)
        started = time.monotonic()
        faults.start()
        try:
            workload.run(chaos.clients)
        finally:
            faults.stop()
        seconds = time.monotonic() - started
        violations = [*workload.violations, *(problem for fault in faults.log for problem in fault.problems)]
        violations += _settle(cluster, workload)
        audit = Audit(cluster, workload, faults.log)
        violations += [*audit.job_violations(), *audit.artifact_violations(), *audit.webhook_violations()]
        codes = cluster.stop()
        violations += [f"a replica ended with code {code}" for code in codes if code]
        violations += _tracebacks(cluster)
        workload.close()
    finally:
        cluster.close()
    violations += [f"{name} is left in {SHARED_MEMORY}" for name in _shared_memory() - shared_memory]
    return Outcome(
        seconds,
        workload.tasks,
        sorted(faults.log, key=lambda fault: fault.start_time),
        audit.takeovers(),
        workload.client.repeated,
        len(audit.orphaned_blobs()),
        violations,
    )


def _settle(cluster: Cluster, workload: Workload) -> Sequence[str]:
    """Wait for the last webhooks and for the end of all programs. Return what is left over afterwards."""
    ids = {id for task in workload.tasks for id in task.job_ids}

    def is_settled() -> bool:
        return not (running_tools(cluster) or work_folders(cluster) or ids - workload.receiver.deliveries.keys())

    try:
        wait_for(is_settled, SETTLE_S, 0.5)
    except AssertionError:
        left = [f"the folder {folder} is left" for folder in work_folders(cluster)]
        return [*running_tools(cluster), *left]  # the audit lists the jobs that were not announced
    return []


def _tracebacks(cluster: Cluster) -> list[str]:
    """Return the unexpected errors in the logs."""
    found = []
    for replica in cluster.replicas:
        text = replica.service.log.read_text(errors="replace")
        if count := text.count("Traceback (most recent call last)"):
            found.append(f"the log of {replica.name} contains {count} tracebacks")
    return found


def _shared_memory() -> set[str]:
    """Return the names of shared memory, without that of PostgreSQL and of Triton, which runs on."""
    return {path.name for path in SHARED_MEMORY.iterdir() if not path.name.startswith(("PostgreSQL", "heartwood-"))}
