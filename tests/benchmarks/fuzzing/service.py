"""Prepares a running service for a fuzz run: callers, ids that they know, and what no caller may learn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood
from orchestrator.domain.tokens import ALL_SCOPES, Scope
from orchestrator.protocol.heartwood.v1 import job_pb2
from orchestrator.store.token_records import TokenRecords
from tests.benchmarks.fuzzing.calls import Target
from tests.benchmarks.fuzzing.findings import Finding
from tests.support.mesh_bytes import glb, gltf
from tests.support.pictures import jpeg, wood_photo
from tests.support.running_service import RunningService, wait_for

TENANT = "fuzz"
MARK = "kept-secret"
"""Part of the names and labels of another tenant, which no reply may contain."""
MODEL_NAMES = ("segmentation", "intrinsic_decomposition", "surface_estimation", "image_preprocess", "material_pipeline")
UNFINISHED = (job_pb2.JOB_STATE_QUEUED, job_pb2.JOB_STATE_RUNNING)
REASONS = frozenset({"INVALID_INPUT", "NO_WOOD_FOUND", "NO_PIECE_FOUND", "NOT_FOUND", "DEADLINE_EXCEEDED"})
"""The reasons for which a job may fail because of its request."""
JOBS_END_S = 180.0


class Stock:
    """A photo, a 3D model and a finished job of a tenant, which are made again when a caller has deleted one."""

    def __init__(self, client: Heartwood, name: str) -> None:
        self._client, self._name = client, name
        self._ids: dict[str, str] = {}

    def ids(self) -> tuple[str, ...]:
        """Return the ids of the upload, its photo, the model, its file, and the job."""
        client, ids = self._client, self._ids
        files = {asset.id for asset in client.list_assets()}
        if ids.get("photo") not in files:
            photo = client.upload_bytes(jpeg(wood_photo(96, 64)), f"{self._name}.jpg")
            ids |= {"photo": photo.id, "upload": photo.group_id}
        if ids.get("mesh") not in files:
            mesh = client.upload_bytes(glb(gltf()), f"{self._name}.glb", kind=6)
            ids |= {"mesh": mesh.id, "model": mesh.group_id}
        if ids.get("job") not in {job.id for job in client.jobs()}:
            job = client.stain(ids["upload"], stain="walnut", labels={"name": self._name})
            client.wait(job.id)
            ids["job"] = job.id
        return tuple(ids.values())


@contextmanager
def target_of(service: RunningService) -> Iterator[Target]:
    """Create tenants, tokens, files and jobs."""
    with service.client("victim") as victim, service.client(TENANT) as own:
        victim_ids, stock = Stock(victim, MARK).ids(), Stock(own, "board")

        def words() -> tuple[str, ...]:
            for job in own.jobs(UNFINISHED):
                own.cancel(job.id)
            return (*stock.ids(), *victim_ids, *MODEL_NAMES)

        yield Target(service.address, _tokens(service), words, (MARK, str(service.data_dir)))


def damage(service: RunningService) -> list[Finding]:
    """Return what the calls have damaged: files of another tenant, jobs in a wrong state, and errors in the log."""
    problems = []
    with service.client("victim") as victim, service.client(TENANT) as own:
        names = {asset.name for asset in victim.list_assets()}
        if not {f"{MARK}.jpg", f"{MARK}.glb"} <= names or len(list(victim.jobs())) != 1:
            problems.append("a file or the job of another tenant was deleted")
        wait_for(lambda: not list(own.jobs(UNFINISHED)), JOBS_END_S)
        problems += [problem for job in own.jobs() if (problem := job_problem(job))]
    if "Traceback" in (text := service.log.read_text()):
        problems.append(f"the log has a stack trace: {text[text.index('Traceback') :][:2000]}")
    return [Finding("call", problem, "the whole run") for problem in problems]


def job_problem(job: job_pb2.Job) -> str:
    """Describe why a job did not end as it should; empty if it did."""
    if job.state in UNFINISHED:
        return f"job {job.spec} has not ended"
    if job.state == job_pb2.JOB_STATE_FAILED and (error := ApiError.from_status(job.error)).reason not in REASONS:
        return f"job {job.spec} failed: {error.reason}: {error.message}"
    return ""


def _tokens(service: RunningService) -> dict[str, str]:
    """Create a token of each kind of caller."""
    engine = service.open_database()
    records = TokenRecords(engine)
    tenant, _ = records.create(TENANT, {Scope.JOBS, Scope.URGENT_JOBS})
    admin, _ = records.create(TENANT, ALL_SCOPES)
    expired, _ = records.create(TENANT, ALL_SCOPES, timedelta(seconds=-1))
    revoked, token = records.create(TENANT, ALL_SCOPES)
    records.revoke(token.id)
    engine.dispose()
    return {"tenant": tenant, "admin": admin, "nobody": "", "expired": expired, "revoked": revoked}
