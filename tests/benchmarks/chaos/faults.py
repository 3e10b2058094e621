"""Faults at seeded random times: processes are killed or suspended, and replicas are cut off from what they need."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from tests.benchmarks.chaos.cluster import Cluster, Replica, has_ended, stub_processes
from tests.support.running_service import wait_for

CHILDREN_END_S = 15.0
"""Time in which the programs of a killed replica must end, on a busy machine. It takes milliseconds on a quiet one."""
POSTGRESQL = "postgresql"
TERMINATE = "terminate replica"
TRITON = "triton"


@dataclass
class Fault:
    """One fault, as the log contains it."""

    kind: str
    target: str = ""  # name of a replica, or of the shared server; empty if there was nothing to hit
    start_time: float = 0.0  # seconds since the epoch
    end_time: float = 0.0  # when the cause was removed, such as by starting the replica again
    process: int = 0  # id of the process that was killed or suspended
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """How often each fault occurs relative to the others, and how long it lasts in seconds."""

    weight: float
    seconds: tuple[float, float]


PLANS = {
    "kill replica": Plan(4, (0.5, 3)),
    "stop replica": Plan(3, (2, 12)),
    TERMINATE: Plan(1, (0.5, 2)),
    "stall database of replica": Plan(2, (1, 12)),
    "refuse database of replica": Plan(2, (1, 12)),
    "stall triton of replica": Plan(1, (1, 8)),
    "refuse triton of replica": Plan(1, (1, 8)),
    "kill tool": Plan(1, (0, 0)),
    "stop tool": Plan(1, (1, 4)),
    "kill stub": Plan(1, (0, 0)),
    "stop stub": Plan(1, (1, 5)),
    "kill triton": Plan(1, (0, 0)),
    "stop triton": Plan(1, (1, 5)),
    "kill postgresql backend": Plan(1, (0, 0)),
    "kill postgresql": Plan(1, (1, 4)),
    "stop postgresql": Plan(1, (1, 5)),
}
"""Suspensions and cuts of a replica last longer than a lease in about half of the cases."""


class Faults:
    """Injects faults until it is stopped. Faults of different targets overlap.

    Args:
        interval_s: shortest and longest time between two faults.
        most: maximum number of faults.
    """

    def __init__(self, cluster: Cluster, seed: int, interval_s: tuple[float, float], most: int) -> None:
        self.log: list[Fault] = []
        self._cluster = cluster
        self._chance = random.Random(seed)  # noqa: S311
        self._interval_s = interval_s
        self._most = most
        self._bag: list[str] = []
        self._stopping = threading.Event()
        self._busy = {POSTGRESQL: threading.Lock(), TRITON: threading.Lock()}
        self._pool = ThreadPoolExecutor(len(cluster.replicas) + len(self._busy), thread_name_prefix="fault")
        self._thread = threading.Thread(target=self._run, name="faults")
        self._methods: dict[str, Callable[[Fault, float, random.Random], None]] = {
            "kill replica": self._kill_replica,
            "stop replica": self._stop_replica,
            TERMINATE: self._terminate_replica,
            "stall database of replica": self._stall_database,
            "refuse database of replica": self._refuse_database,
            "stall triton of replica": self._stall_triton,
            "refuse triton of replica": self._refuse_triton,
            "kill tool": self._kill_tool,
            "stop tool": self._stop_tool,
            "kill stub": self._kill_stub,
            "stop stub": self._stop_stub,
            "kill triton": self._kill_triton,
            "stop triton": self._stop_triton,
            "kill postgresql backend": self._kill_backend,
            "kill postgresql": self._kill_postgresql,
            "stop postgresql": self._stop_postgresql,
        }

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Begin no further fault, and wait until the effects of all are removed."""
        self._stopping.set()
        self._thread.join()
        self._pool.shutdown()

    def _run(self) -> None:
        for _ in range(self._most):
            if self._stopping.wait(self._chance.uniform(*self._interval_s)):
                return
            kind = self._next_kind()
            fault, seconds = Fault(kind), self._chance.uniform(*PLANS[kind].seconds)
            chance = random.Random(self._chance.randrange(1 << 30))  # noqa: S311
            self._pool.submit(self._inject, fault, seconds, chance)

    def _next_kind(self) -> str:
        """Draw a kind from a shuffled bag, so that each one occurs as often as its weight says."""
        if not self._bag:
            self._bag = [kind for kind in PLANS for _ in range(round(PLANS[kind].weight))]
            self._chance.shuffle(self._bag)
        return self._bag.pop()

    def _inject(self, fault: Fault, seconds: float, chance: random.Random) -> None:
        fault.start_time = time.time()
        try:
            self._methods[fault.kind](fault, seconds, chance)
        except psutil.NoSuchProcess:
            fault.target = ""  # it ended first
        except Exception as error:  # noqa: BLE001 - the fault must appear in the log
            fault.problems.append(f"{fault.kind}: {type(error).__name__}: {error}")
        fault.end_time = time.time()
        if fault.target:
            self.log.append(fault)

    # ---- replicas

    def _with_replica(self, fault: Fault, chance: random.Random, harm: Callable[[Replica], None]) -> None:
        """Harm a replica that no other fault harms at the moment, if there is one."""
        for replica in chance.sample(self._cluster.replicas, len(self._cluster.replicas)):
            if replica.busy.acquire(blocking=False):
                try:
                    fault.target, fault.process = replica.name, replica.service.process.pid
                    fault.start_time = time.time()
                    harm(replica)
                finally:
                    replica.busy.release()
                return

    def _kill_replica(self, fault: Fault, seconds: float, chance: random.Random) -> None:
        def harm(replica: Replica) -> None:
            programs = replica.process.children(recursive=True)
            fault.start_time = time.time()
            replica.service.kill()
            with suppress(AssertionError):
                wait_for(lambda: all(map(has_ended, programs)), CHILDREN_END_S)
            alive = [program for program in programs if not has_ended(program)]
            fault.problems += [f"process {program.pid} outlived its killed replica" for program in alive]
            time.sleep(seconds)
            replica.start_again()

        self._with_replica(fault, chance, harm)

    def _stop_replica(self, fault: Fault, seconds: float, chance: random.Random) -> None:
        self._with_replica(fault, chance, lambda replica: _suspend([replica.process], seconds))

    def _terminate_replica(self, fault: Fault, seconds: float, chance: random.Random) -> None:
        def harm(replica: Replica) -> None:
            code = replica.service.stop()
            if code:
                fault.problems.append(f"{replica.name} ended with code {code} after SIGTERM")
            time.sleep(seconds)
            replica.start_again()

        self._with_replica(fault, chance, harm)

    def _stall_database(self, fault: Fault, seconds: float, chance: random.Random) -> None:
        def harm(replica: Replica) -> None:
            replica.database.stall()
            time.sleep(seconds)
            replica.database.restore()

        self._with_replica(fault, chance, harm)

    def _refuse_database(self, fault: Fault, seconds: float, chance: random.Random) -> None:
        def harm(replica: Replica) -> None:
            replica.database.refuse()
            time.sleep(seconds)
            replica.database.restore()

        self._with_replica(fault, chance, harm)

    def _stall_triton(self, fault: Fault, seconds: float, chance: random.Random) -> None:
        def harm(replica: Replica) -> None:
            replica.triton.stall()
            time.sleep(seconds)
            replica.triton.restore()

        self._with_replica(fault, chance, harm)

    def _refuse_triton(self, fault: Fault, seconds: float, chance: random.Random) -> None:
        def harm(replica: Replica) -> None:
            replica.triton.refuse()
            time.sleep(seconds)
            replica.triton.restore()

        self._with_replica(fault, chance, harm)

    def _kill_tool(self, fault: Fault, _: float, chance: random.Random) -> None:
        if tools := self._tools():
            name, tool = chance.choice(tools)
            fault.target, fault.process = name, tool.pid
            tool.kill()

    def _stop_tool(self, fault: Fault, seconds: float, chance: random.Random) -> None:
        if tools := self._tools():
            name, tool = chance.choice(tools)
            fault.target, fault.process = name, tool.pid
            _suspend([tool], seconds)

    def _tools(self) -> list[tuple[str, psutil.Process]]:
        """Return the programs that work on a job, with the names of their replicas."""
        found = []
        for replica in self._cluster.replicas:
            with suppress(psutil.NoSuchProcess):
                for process in replica.process.children(recursive=True):
                    with suppress(psutil.Error):
                        if "/work/" in process.cwd().removeprefix(str(self._cluster.folder)):
                            found.append((replica.name, process))
        return found

    # ---- Triton

    def _with_server(self, fault: Fault, server: str, harm: Callable[[], None]) -> None:
        """Harm a shared server, unless another fault harms it at the moment."""
        if self._busy[server].acquire(blocking=False):
            try:
                fault.target, fault.start_time = server, time.time()
                harm()
            finally:
                self._busy[server].release()

    def _kill_stub(self, fault: Fault, _: float, chance: random.Random) -> None:
        def harm() -> None:
            if stubs := stub_processes(self._cluster.triton):
                stub = chance.choice(stubs)
                fault.process = stub.pid
                stub.kill()
                time.sleep(3)  # the supervisor notices it within 2 s
                self._cluster.wait_for_triton()

        self._with_server(fault, TRITON, harm)

    def _stop_stub(self, fault: Fault, seconds: float, chance: random.Random) -> None:
        def harm() -> None:
            if stubs := stub_processes(self._cluster.triton):
                stub = chance.choice(stubs)
                fault.process = stub.pid
                _suspend([stub], seconds)

        self._with_server(fault, TRITON, harm)

    def _kill_triton(self, fault: Fault, _: float, __: random.Random) -> None:
        def harm() -> None:
            fault.process = self._cluster.triton.pid
            os.kill(fault.process, signal.SIGKILL)
            time.sleep(1)
            self._cluster.wait_for_triton()

        self._with_server(fault, TRITON, harm)

    def _stop_triton(self, fault: Fault, seconds: float, __: random.Random) -> None:
        def harm() -> None:
            fault.process = self._cluster.triton.pid
            _suspend([psutil.Process(fault.process)], seconds)

        self._with_server(fault, TRITON, harm)

    # ---- PostgreSQL

    def _kill_backend(self, fault: Fault, _: float, chance: random.Random) -> None:
        """Kill one backend. PostgreSQL then ends all others and recovers."""

        def harm() -> None:
            if backends := self._cluster.postgresql.backends():
                backend = chance.choice(backends)
                fault.process = backend.pid
                backend.kill()
                wait_for(self._cluster.postgresql.answers, 60)

        self._with_server(fault, POSTGRESQL, harm)

    def _kill_postgresql(self, fault: Fault, seconds: float, _: random.Random) -> None:
        def harm() -> None:
            fault.process = self._cluster.postgresql.postmaster().pid
            self._cluster.postgresql.kill()
            time.sleep(seconds)
            self._cluster.postgresql.start()

        self._with_server(fault, POSTGRESQL, harm)

    def _stop_postgresql(self, fault: Fault, seconds: float, _: random.Random) -> None:
        def harm() -> None:
            postmaster = self._cluster.postgresql.postmaster()
            fault.process = postmaster.pid
            _suspend([postmaster, *postmaster.children()], seconds)

        self._with_server(fault, POSTGRESQL, harm)


def _suspend(processes: Sequence[psutil.Process], seconds: float) -> None:
    """Send SIGSTOP, and SIGCONT after some time."""
    try:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        time.sleep(seconds)
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()
