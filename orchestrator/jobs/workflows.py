"""The durable jobs: each workflow is the list of its steps. A step that has finished is never run again.

A workflow's id is its job's id. Steps hand each other SHA-256s and numbers; pictures stay in the blob store.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import structlog
from dbos import DBOS, DBOSConfiguredInstance
from dbos import error as dbos_error

from orchestrator.domain import Failure, JobState
from orchestrator.errors import Canceled, HeartwoodError, InvalidInput
from orchestrator.jobs import photo_steps
from orchestrator.jobs.parts import Parts
from orchestrator.jobs.photo_steps import PhotoStep
from orchestrator.jobs.spec import options_from_json

log = structlog.get_logger()
Step = TypeVar("Step", bound=Callable[..., Any])

APPLICATION_VERSION = "heartwood-jobs-1"
"""DBOS recovers only jobs of the same version: raise it when a workflow's steps change their order or meaning."""


def _can_pass(error: BaseException) -> bool:
    return isinstance(error, HeartwoodError) and error.retryable


def step(function: Step) -> Step:
    """A step that is tried again, for about a minute, while what it needs is away (Triton restarting)."""
    retried = DBOS.step(
        retries_allowed=True, should_retry=_can_pass, interval_seconds=0.5, backoff_rate=1.6, max_attempts=10
    )
    return cast(Step, retried(function))


@DBOS.dbos_class("Workflows")
class Workflows(DBOSConfiguredInstance):
    """The workflows of one service; ``parts`` is what their steps work with."""

    def __init__(self, parts: Parts) -> None:
        super().__init__("heartwood")
        self.parts = parts

    # ---- the jobs

    @DBOS.workflow(name="segment")
    def segment(self, job_id: str) -> None:
        """Analyse each photo, then find its components."""

        def photo(index: int) -> dict[str, Any]:
            analysis = self.analyze(job_id, index)
            return self.find_components(job_id, index, analysis)

        self._run(job_id, photo)

    @DBOS.workflow(name="stain")
    def stain(self, job_id: str) -> None:
        """Analyse each photo, make the maps that no colour changes, then stain it."""

        def photo(index: int) -> dict[str, Any]:
            analysis = self.analyze(job_id, index)
            surface = self.map_surface(job_id, index, analysis)
            return self.apply_stain(job_id, index, analysis, surface)

        self._run(job_id, photo)

    def _run(self, job_id: str, photo: Callable[[int], dict[str, Any]]) -> None:
        try:
            count = self.begin(job_id)
            self.succeed(job_id, [photo(index) for index in range(count)])
        except Exception as error:  # noqa: BLE001 - whatever it was, the job must end and say so
            cause = (
                error.errors[-1] if isinstance(error, dbos_error.DBOSMaxStepRetriesExceeded) and error.errors else error
            )
            self.fail(job_id, cause)

    # ---- their steps

    @step
    def begin(self, job_id: str) -> int:
        """QUEUED → RUNNING; return the number of photos."""
        now = datetime.now(UTC)
        self.parts.records.change_job(job_id, (JobState.QUEUED,), state=JobState.RUNNING.value, start_time=now)
        row = self.parts.records.job(None, job_id)
        if row is None or row["state"] != JobState.RUNNING.value:
            raise Canceled("the job was canceled before it started")
        return len(row["photos"])

    @step
    def analyze(self, job_id: str, index: int) -> str:
        """The models' maps of one photo; return their blob."""
        with self._photo(job_id, index, "analyze", 0.0, 0.4) as photo:
            return photo_steps.analyze(photo)

    @step
    def find_components(self, job_id: str, index: int, analysis: str) -> dict[str, Any]:
        """Masks, overlay and document of one photo; return them as the result names them."""
        with self._photo(job_id, index, "segment", 0.4, 1.0) as photo:
            return photo_steps.find_components(photo, analysis)

    @step
    def map_surface(self, job_id: str, index: int, analysis: str) -> dict[str, Any]:
        """Normal, roughness, occlusion, height and ORM of one photo, which no colour changes."""
        with self._photo(job_id, index, "surface", 0.4, 0.7) as photo:
            return photo_steps.map_surface(photo, analysis)

    @step
    def apply_stain(self, job_id: str, index: int, analysis: str, surface: dict[str, Any]) -> dict[str, Any]:
        """The stained photo and its files; return them as the result names them."""
        with self._photo(job_id, index, "stain", 0.7, 1.0) as photo:
            return photo_steps.apply_stain(photo, analysis, surface)

    @step
    def succeed(self, job_id: str, photos: list[dict[str, Any]]) -> None:
        """RUNNING → SUCCEEDED."""
        cost = {
            name: sum(photo.get("cost", {}).get(name, 0) for photo in photos)
            for name in ("prompt_tokens", "completion_tokens", "usd")
        }
        done = self.parts.records.change_job(
            job_id,
            (JobState.RUNNING,),
            state=JobState.SUCCEEDED.value,
            end_time=datetime.now(UTC),
            result={"photos": photos},
            cost=cost,
            fraction=1.0,
            stage="done",
            message="done",
        )
        log.info("job_ended", job=job_id, state="SUCCEEDED", changed=done)

    @step
    def fail(self, job_id: str, error: BaseException) -> None:
        """→ CANCELED or FAILED, with the reason."""
        state = JobState.CANCELED if isinstance(error, Canceled) else JobState.FAILED
        failure = failure_of(error)
        if failure.reason == "INTERNAL":
            log.error("job_failed", job=job_id, exc_info=error)
        changed = self.parts.records.change_job(
            job_id,
            (JobState.QUEUED, JobState.RUNNING),
            state=state.value,
            end_time=datetime.now(UTC),
            failure=None if state is JobState.CANCELED else failure.__dict__,
            message=failure.message,
        )
        log.info("job_ended", job=job_id, state=state.value, reason=failure.reason, changed=changed)

    def _photo(self, job_id: str, index: int, name: str, start: float, end: float) -> AbstractContextManager[PhotoStep]:
        row = self.parts.records.job(None, job_id)
        if row is None:
            raise Canceled("the job was deleted")
        options = options_from_json(row["kind"], row["options"])
        return PhotoStep.of(self.parts, row, options, index, name, start, end)


def failure_of(error: BaseException) -> Failure:
    """What the caller is told of ``error``; of an unforeseen one nothing but that it happened."""
    if isinstance(error, InvalidInput):
        return Failure(error.reason, error.message, error.field, error.facts)
    if isinstance(error, HeartwoodError):
        return Failure(error.reason, error.message, "", error.facts)
    return Failure("INTERNAL", "the job failed inside the service; its log says why")
