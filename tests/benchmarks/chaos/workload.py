"""Jobs of all kinds, and a client that submits each one until a replica has accepted it."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar

import grpc

from orchestrator.client.client import ApiError, Heartwood, JobSettings
from orchestrator.protocol.heartwood.v1 import (
    export_pb2,
    job_pb2,
    pipeline_pb2,
    reconstruct_pb2,
    render_pb2,
    segment_pb2,
)
from orchestrator.protocol.heartwood.v1.job_pb2 import Job
from tests.support.meshes import write_stool
from tests.support.pictures import jpeg, wood_photo

Result = TypeVar("Result")

SHARES = {"segment": 32, "stain": 32, "cutout": 28, "export": 5, "pipeline": 1, "render": 1, "reconstruct": 1}
"""Jobs of each kind, in per cent. A pipeline, a turntable and a reconstruction take ten times as long as the others."""
CANCELED_SHARE, DEADLINE_SHARE = 0.05, 0.04
JOBS_PER_PHOTO = 15
"""Jobs with the same photo share its analysis in the cache, so that a part of the jobs is quick."""
CALL_S = 5.0
"""Timeout of a call. A replica may be suspended."""
RETRY_S = 0.3
POLL_S = 0.5
PROGRESS_JOBS = 50
"""The progress is printed after this number of jobs."""
JOB_S = 900.0
"""Time in which a job must end once it is accepted. Not tuned: a job that is lost never ends."""
PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED)
"""Codes after which a client repeats a call. DEADLINE_EXCEEDED is the timeout of the call itself."""
FINAL = (job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELED)


@dataclass
class Task:
    """One job: what is requested, and what the client sees."""

    number: int
    kind: str
    seed: int
    is_canceled: bool = False
    deadline_s: float = 0.0  # after the request; 0 means none
    job_ids: set[str] = field(default_factory=set)  # of all replies to the request; must be one
    state: str = ""  # final
    reason: str = ""  # of the failure
    seconds: float = 0.0

    @property
    def request_id(self) -> str:
        return f"chaos-{self.number}"


def tasks(count: int, seed: int, shares: Mapping[str, float]) -> list[Task]:
    """Return about ``count`` jobs, of each kind of ``shares`` at least one, in random order."""
    chance = random.Random(seed)  # noqa: S311
    kinds = [kind for kind, share in shares.items() for _ in range(max(1, round(share * count / 100)))]
    chance.shuffle(kinds)
    made = []
    for number, kind in enumerate(kinds):
        draw = chance.random()
        deadline_s = chance.uniform(3.0, 9.0) if CANCELED_SHARE < draw < CANCELED_SHARE + DEADLINE_SHARE else 0.0
        made.append(Task(number, kind, chance.randrange(1 << 30), draw < CANCELED_SHARE, deadline_s))
    return made


class Receiver:
    """Receives webhooks: the delivery ids and the states that were announced for each job."""

    def __init__(self) -> None:
        self.deliveries: dict[str, list[tuple[str, str]]] = defaultdict(list)
        deliveries = self.deliveries

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                deliveries[event["data"]["job_id"]].append((self.headers["webhook-id"], event["data"]["state"]))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/done"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Client:
    """Calls any of the replicas, and repeats a call on another one while the reason passes."""

    def __init__(self, addresses: Sequence[str], token: str, seed: int) -> None:
        self._replicas = [Heartwood(address, token, timeout_s=CALL_S) for address in addresses]
        self._chance = random.Random(seed)  # noqa: S311
        self.repeated = 0
        self.stopping = threading.Event()

    def call(self, function: Callable[[Heartwood], Result], known: Callable[[Result], None] = lambda _: None) -> Result:
        """Call a replica until one replies. Raises ApiError for an error that does not pass."""
        end = time.monotonic() + JOB_S
        while True:
            try:
                result = function(self._chance.choice(self._replicas))
                known(result)
                return result
            except ApiError as error:
                is_late = error.field == "deadline"  # it passed while a replica was suspended
                if not is_late and error.code not in PASSING:
                    raise
                self.repeated += 1
                if time.monotonic() > end or self.stopping.wait(RETRY_S):
                    raise

    def close(self) -> None:
        for replica in self._replicas:
            replica.close()


class Workload:
    """Submits tasks from several threads, each of which waits until its job has ended."""

    def __init__(self, addresses: Sequence[str], token: str, planned: Sequence[Task], seed: int, folder: Path) -> None:
        self.tasks = list(planned)
        self.receiver = Receiver()
        self.client = Client(addresses, token, seed)
        self.violations: list[str] = []
        self._uploads = [
            self.client.call(lambda replica, n=n: replica.upload_bytes(jpeg(wood_photo(320, 240, n)), f"{n}.jpg"))
            for n in range(max(2, len(self.tasks) // JOBS_PER_PHOTO))
        ]
        stool = write_stool(folder / "stool.glb")
        self._model_id = self.client.call(lambda replica: replica.upload_model(stool))

    def run(self, threads: int) -> None:
        """Run all tasks, and print the progress. Returns when each job has ended, or has not ended in time."""
        started = time.monotonic()
        with ThreadPoolExecutor(threads, thread_name_prefix="client") as pool:
            try:
                futures = [pool.submit(self._run, task) for task in self.tasks]
                for count, future in enumerate(as_completed(futures), 1):
                    future.result()
                    if count % PROGRESS_JOBS == 0:
                        seconds = time.monotonic() - started
                        print(f"{count} of {len(futures)} jobs ended after {seconds:.0f} s", flush=True)
            except BaseException:
                self.client.stopping.set()  # such as after Ctrl+C
                raise

    def close(self) -> None:
        self.client.close()
        self.receiver.close()

    def _run(self, task: Task) -> None:
        started = time.monotonic()
        try:
            self.client.call(lambda replica: self._submit(task, replica), lambda job: task.job_ids.add(job.id))
            job_id = next(iter(task.job_ids))
            if task.is_canceled:
                time.sleep(task.seed % 1000 / 500)
                self.client.call(lambda replica: replica.cancel(job_id))
            job = self._wait(job_id)
        except ApiError as error:
            problem = f"{error.code.name} {error.reason}: {error.message}"
            self.violations.append(
                f"task {task.number} ({task.kind}) was not accepted, or its job did not end: {problem}"
            )
            return
        task.seconds = time.monotonic() - started
        task.state = job_pb2.JobState.Name(job.state).removeprefix("JOB_STATE_")
        task.reason = ApiError.from_status(job.error).reason if job.HasField("error") else ""

    def _wait(self, job_id: str) -> Job:
        end = time.monotonic() + JOB_S
        while True:
            job: Job = self.client.call(lambda replica: replica.job(job_id))
            if job.state in FINAL:
                return job
            if time.monotonic() > end or self.client.stopping.wait(POLL_S):
                raise ApiError(grpc.StatusCode.DEADLINE_EXCEEDED, "", f"job {job_id} is {job.state} after {JOB_S} s")

    def _submit(self, task: Task, replica: Heartwood) -> Job:
        deadline = datetime.now(UTC) + timedelta(seconds=task.deadline_s) if task.deadline_s else None
        settings: JobSettings = {
            "quality": job_pb2.QUALITY_PREVIEW,
            "request_id": task.request_id,
            "webhook_url": self.receiver.url,
            "deadline": deadline,
        }
        photo = self._uploads[task.seed % len(self._uploads)].group_id
        return SUBMIT[task.kind](replica, photo, self._model_id, settings)


def _pipeline(replica: Heartwood, photo: str, _: str, settings: JobSettings) -> Job:
    options = pipeline_pb2.PipelineOptions(segment=segment_pb2.SegmentOptions())
    options.stain.stain = "cherry"
    return replica.run(photo, options, **settings)


def _export(replica: Heartwood, _: str, model: str, settings: JobSettings) -> Job:
    formats = [export_pb2.MODEL_FORMAT_OBJ, export_pb2.MODEL_FORMAT_STL]
    return replica.export(model, export_pb2.ExportOptions(formats=formats), **settings)


def _render(replica: Heartwood, _: str, model: str, settings: JobSettings) -> Job:
    formats = [render_pb2.VIDEO_FORMAT_MP4]
    options = render_pb2.RenderOptions(frames=12, width=64, height=64, formats=formats)
    return replica.render(model, options, **settings)


def _reconstruct(replica: Heartwood, photo: str, _: str, settings: JobSettings) -> Job:
    mode = reconstruct_pb2.RECONSTRUCT_MODE_SINGLE_IMAGE
    return replica.reconstruct(photo, reconstruct_pb2.ReconstructOptions(mode=mode), **settings)


SUBMIT: dict[str, Callable[[Heartwood, str, str, JobSettings], Job]] = {
    "segment": lambda replica, photo, _, settings: replica.segment(photo, made_of="wood", **settings),
    "stain": lambda replica, photo, _, settings: replica.stain(photo, stain="walnut", made_of="wood", **settings),
    "cutout": lambda replica, photo, _, settings: replica.cutout(photo, **settings),
    "pipeline": _pipeline,
    "export": _export,
    "render": _render,
    "reconstruct": _reconstruct,
}
