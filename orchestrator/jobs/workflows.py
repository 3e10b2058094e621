"""The durable jobs: each workflow is the list of its steps. A step that has finished is never run again.

A workflow's id is its job's id. Steps hand each other SHA-256s and numbers; pictures stay in the blob store.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypedDict, TypeVar, cast

import structlog
from dbos import DBOS, DBOSConfiguredInstance
from dbos import error as dbos_error

from orchestrator.domain.jobs import Failure, JobState
from orchestrator.errors import Canceled, HeartwoodError, InvalidInput
from orchestrator.jobs import model_steps, photo_steps
from orchestrator.jobs.dependencies import Parts
from orchestrator.jobs.photo_steps import PhotoStep
from orchestrator.jobs.progress import WHOLE, Span, part
from orchestrator.jobs.spec import Kind, PipelineOptions, options_from_json
from orchestrator.jobs.step import Step

log = structlog.get_logger()
Function = TypeVar("Function", bound=Callable[..., Any])

APPLICATION_VERSION = "heartwood-jobs-3"
"""DBOS recovers only jobs of the same version: raise it when a workflow's steps change their order or meaning."""


PIPELINE: dict[Kind, Span] = {
    Kind.SEGMENT: (0.0, 0.08),
    Kind.STAIN: (0.08, 0.2),
    Kind.RECONSTRUCT: (0.2, 0.55),
    Kind.RENDER: (0.55, 0.92),
    Kind.EXPORT: (0.92, 1.0),
}
"""The stages' shares of a pipeline, by the time that they took on two cores."""


class Begun(TypedDict):
    """What a job works on."""

    inputs: list[str]  # ids of its photos, or of its model
    stages: list[str]
    versions: dict[str, str]  # model → the version that the job holds to, whatever is promoted meanwhile


def _can_pass(error: BaseException) -> bool:
    return isinstance(error, HeartwoodError) and error.retryable


def step(function: Function) -> Function:
    """A step that is tried again, for about a minute, while what it needs is away (Triton restarting)."""
    retried = DBOS.step(
        retries_allowed=True, should_retry=_can_pass, interval_seconds=0.5, backoff_rate=1.6, max_attempts=10
    )
    return cast(Function, retried(function))


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
        self._run(job_id, lambda job: {"segment": self._segmented(job_id, job, WHOLE)})

    @DBOS.workflow(name="stain")
    def stain(self, job_id: str) -> None:
        """Analyse each photo, make the maps that no colour changes, then stain it."""
        self._run(job_id, lambda job: {"stain": self._stained(job_id, job, WHOLE)})

    @DBOS.workflow(name="reconstruct")
    def reconstruct(self, job_id: str) -> None:
        """Cut the piece out of each photo, then make the model and its files."""

        def work(job: Begun) -> dict[str, Any]:
            photos = self._segmented(job_id, job, (0.0, 0.15))["photos"]
            return {"reconstruct": self._modelled(job_id, photos, None, (0.15, 1.0))}

        self._run(job_id, work)

    @DBOS.workflow(name="render")
    def render(self, job_id: str) -> None:
        """Render the frames of the turntable, then join them."""
        self._run(job_id, lambda job: {"render": self._rendered(job_id, job["inputs"][0], WHOLE)})

    @DBOS.workflow(name="export")
    def export(self, job_id: str) -> None:
        """Write the model's files."""
        self._run(job_id, lambda job: {"export": self.export_model(job_id, job["inputs"][0], WHOLE)})

    @DBOS.workflow(name="pipeline")
    def pipeline(self, job_id: str) -> None:
        """Segment, stain, reconstruct, render and export, as far as they are asked for."""

        def work(job: Begun) -> dict[str, Any]:
            made = {"segment": self._segmented(job_id, job, PIPELINE[Kind.SEGMENT])}
            photos, stained = made["segment"]["photos"], None
            if Kind.STAIN in job["stages"]:
                made["stain"] = self._stained(job_id, job, PIPELINE[Kind.STAIN])
                stained = made["stain"]["photos"]
            made["reconstruct"] = self._modelled(job_id, photos, stained, PIPELINE[Kind.RECONSTRUCT])
            glb = made["reconstruct"]["files"]["model.glb"]
            if Kind.RENDER in job["stages"]:
                made["render"] = self._rendered(job_id, glb, PIPELINE[Kind.RENDER])
            if Kind.EXPORT in job["stages"]:
                made["export"] = self.export_model(job_id, glb, PIPELINE[Kind.EXPORT])
            return made

        self._run(job_id, work)

    def _run(self, job_id: str, work: Callable[[Begun], dict[str, Any]]) -> None:
        try:
            self.succeed(job_id, work(self.begin(job_id)))
        except Exception as error:  # noqa: BLE001 - whatever it was, the job must end and say so
            cause = (
                error.errors[-1] if isinstance(error, dbos_error.DBOSMaxStepRetriesExceeded) and error.errors else error
            )
            self.fail(job_id, cause)

    # ---- the stages, as lists of steps

    def _segmented(self, job_id: str, job: Begun, span: Span) -> dict[str, Any]:
        count, photos = len(job["inputs"]), []
        for index in range(count):
            analysis = self.analyze(job_id, index, count, job["versions"], span)
            photos.append(self.find_components(job_id, index, count, analysis, span))
        return {"photos": photos}

    def _stained(self, job_id: str, job: Begun, span: Span) -> dict[str, Any]:
        count, photos = len(job["inputs"]), []
        for index in range(count):
            analysis = self.analyze(job_id, index, count, job["versions"], span)
            surface = self.map_surface(job_id, index, count, analysis, span)
            photos.append(self.apply_stain(job_id, index, count, analysis, surface, span))
        return {"photos": photos}

    def _modelled(
        self, job_id: str, photos: list[dict[str, Any]], stained: list[dict[str, Any]] | None, span: Span
    ) -> dict[str, Any]:
        model = self.build_model(job_id, photos, stained, part(span, 0.0, 0.9))
        files = self.convert_model(job_id, model, part(span, 0.9, 1.0))
        return {**model, "files": {**model["files"], **files}}

    def _rendered(self, job_id: str, model: str, span: Span) -> dict[str, Any]:
        frames = self.render_frames(job_id, model, part(span, 0.0, 0.95))
        return self.join_frames(job_id, frames, part(span, 0.95, 1.0))

    # ---- their steps

    @step
    def begin(self, job_id: str) -> Begun:
        """QUEUED → RUNNING; return what the job works on, and its stages."""
        now = datetime.now(UTC)
        self.parts.records.change_job(job_id, (JobState.QUEUED,), state=JobState.RUNNING.value, start_time=now)
        row = self.parts.records.job(None, job_id)
        if row is None or row["state"] != JobState.RUNNING.value:
            raise Canceled("the job was canceled before it started")
        options = options_from_json(row["kind"], row["options"])
        stages = options.stages if isinstance(options, PipelineOptions) else (Kind(row["kind"]),)
        asks_models = Kind.SEGMENT in stages or Kind.STAIN in stages or Kind.RECONSTRUCT in stages
        versions = self.parts.models.versions() if asks_models else {}
        return {"inputs": row["inputs"], "stages": [stage.value for stage in stages], "versions": versions}

    @step
    def analyze(self, job_id: str, index: int, count: int, versions: dict[str, str], span: Span) -> str:
        """The models' maps of one photo, by the versions that the job holds to; return their blob."""
        with PhotoStep.of(self.parts, job_id, index, count, "analyze", part(span, 0.0, 0.4)) as photo:
            return photo_steps.analyze(photo, versions)

    @step
    def find_components(self, job_id: str, index: int, count: int, analysis: str, span: Span) -> dict[str, Any]:
        """Masks, overlay and document of one photo; return them as the result names them."""
        with PhotoStep.of(self.parts, job_id, index, count, "segment", part(span, 0.4, 1.0)) as photo:
            return photo_steps.find_components(photo, analysis)

    @step
    def map_surface(self, job_id: str, index: int, count: int, analysis: str, span: Span) -> dict[str, Any]:
        """Normal, roughness, occlusion, height and ORM of one photo, which no colour changes."""
        with PhotoStep.of(self.parts, job_id, index, count, "surface", part(span, 0.4, 0.7)) as photo:
            return photo_steps.map_surface(photo, analysis)

    @step
    def apply_stain(
        self, job_id: str, index: int, count: int, analysis: str, surface: dict[str, Any], span: Span
    ) -> dict[str, Any]:
        """The stained photo and its files; return them as the result names them."""
        with PhotoStep.of(self.parts, job_id, index, count, "stain", part(span, 0.7, 1.0)) as photo:
            return photo_steps.apply_stain(photo, analysis, surface)

    @step
    def build_model(
        self, job_id: str, photos: list[dict[str, Any]], stained: list[dict[str, Any]] | None, span: Span
    ) -> dict[str, Any]:
        """The model of the photos, or of their stained pictures; return it as the result names it."""
        with Step.of(self.parts, job_id, "reconstruct", span) as step:
            return model_steps.build_model(step, photos, stained)

    @step
    def convert_model(self, job_id: str, model: dict[str, Any], span: Span) -> dict[str, str]:
        """The model for what cannot read GLB; return the assets by name."""
        with Step.of(self.parts, job_id, "convert", span) as step:
            return model_steps.convert_model(step, model)

    @step
    def render_frames(self, job_id: str, model: str, span: Span) -> list[dict[str, Any]]:
        """The frames of the turntable; each is kept as it comes, and none is rendered twice."""
        with Step.of(self.parts, job_id, "render", span) as step:
            return model_steps.render_model(step, model)

    @step
    def join_frames(self, job_id: str, frames: list[dict[str, Any]], span: Span) -> dict[str, Any]:
        """Videos, thumbnails and contact sheet; return them as the result names them."""
        with Step.of(self.parts, job_id, "join", span) as step:
            return model_steps.join_turntable(step, frames)

    @step
    def export_model(self, job_id: str, model: str, span: Span) -> dict[str, Any]:
        """The files of the model that are asked for; return them as the result names them."""
        with Step.of(self.parts, job_id, "export", span) as step:
            return model_steps.export_model(step, model)

    @step
    def succeed(self, job_id: str, result: dict[str, Any]) -> None:
        """RUNNING → SUCCEEDED."""
        photos = result.get("segment", {}).get("photos", [])
        cost = {
            name: sum(photo.get("cost", {}).get(name, 0) for photo in photos)
            for name in ("prompt_tokens", "completion_tokens", "usd")
        }
        self._clear(job_id)
        done = self.parts.records.change_job(
            job_id,
            (JobState.RUNNING,),
            state=JobState.SUCCEEDED.value,
            end_time=datetime.now(UTC),
            result=result,
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
        self._clear(job_id)
        changed = self.parts.records.change_job(
            job_id,
            (JobState.QUEUED, JobState.RUNNING),
            state=state.value,
            end_time=datetime.now(UTC),
            failure=None if state is JobState.CANCELED else failure.__dict__,
            message=failure.message,
        )
        log.info("job_ended", job=job_id, state=state.value, reason=failure.reason, changed=changed)

    def _clear(self, job_id: str) -> None:
        shutil.rmtree(self.parts.work(job_id), ignore_errors=True)


def failure_of(error: BaseException) -> Failure:
    """What the caller is told of ``error``; of an unforeseen one nothing but that it happened."""
    if isinstance(error, InvalidInput):
        return Failure(error.reason, error.message, error.field, error.facts)
    if isinstance(error, HeartwoodError):
        return Failure(error.reason, error.message, "", error.facts)
    return Failure("INTERNAL", "the job failed inside the service; its log says why")
