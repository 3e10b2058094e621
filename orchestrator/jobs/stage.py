"""The descriptor of a stage, and the context in which a stage runs as part of a job."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar, TypeVarTuple

import structlog
from dbos import DBOS
from dbos import error as dbos_error

from orchestrator.domain.assets import Asset
from orchestrator.domain.segment import DetectorCost
from orchestrator.errors import (
    Canceled,
    DeadlineExceeded,
    DiskFull,
    HeartwoodError,
    JobTakenOver,
    ModelUnavailable,
    StorageUnavailable,
    ToolKilled,
)
from orchestrator.jobs.dependencies import Dependencies, ServiceStopping
from orchestrator.jobs.step import WHOLE, PhotoStep, Span, Step, analyze, subspan
from orchestrator.store.disk_space import is_disk_full

log = structlog.get_logger()
Options = TypeVar("Options")
Result = TypeVar("Result")
Args = TypeVarTuple("Args")

FIRST_DELAY_S = 0.5
"""Delay before ``until_available`` repeats a call. Each further one is ``BACKOFF`` times as long. Not tuned."""
BACKOFF = 1.6
MAX_DELAY_S = 5.0
PATIENCE_S = 60.0
"""Time that a step waits for an endpoint that is unavailable."""
TOOL_PATIENCE_S = 1.0
"""A program that was killed runs again at most twice, because it may be what exhausts the memory."""
MODEL_PATIENCE_S = 300.0
"""Time that a step waits for a model. Triton's restart takes 30 s on a busy machine, and longer with large models."""
ANALYSIS_END = 0.4
"""Share of a photo's progress that its first step, the analysis, covers. Not tuned."""


@dataclass(frozen=True)
class JobInput:
    """The input of a job that is being created, for the checks of its options."""

    dependencies: Dependencies
    tenant: str
    assets: tuple[Asset, ...]  # the photos of the upload, or the mesh
    options: Mapping[str, Any] = field(default_factory=dict)  # requested, of each stage, by name

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of each photo in pixels."""
        return [(asset.width, asset.height) for asset in self.assets]


@dataclass(frozen=True)
class PhotoError:
    """The error of a stage on one photo."""

    stage: str
    error: Exception


@dataclass(frozen=True)
class StageRun(Generic[Options]):
    """One stage of a running job."""

    dependencies: Dependencies
    job_id: str
    inputs: tuple[str, ...]  # asset ids of the photos, or of the mesh
    versions: Mapping[str, str]  # model → version with which the job began; later promotions do not change it
    folders: tuple[str, ...]  # of the results of each photo, by the photos' names; empty if the input is a mesh
    options: Options
    owner: str  # of the job, unique for each execution of its workflow
    mesh: str  # asset id of the mesh to work on: made by an earlier stage, or the input of the job
    span: Span = WHOLE
    results: Mapping[str, Any] = field(default_factory=dict)  # of the earlier stages, by name
    stage: str = ""  # name of the stage
    photo_errors: dict[int, PhotoError] = field(default_factory=dict)  # photo index → why the job leaves it out
    photo_index: int = 0  # of the photo that ``photo_step`` works on
    about: str = ""  # what the steps work on, for messages and logs, such as "photo 1 of 3"

    def step(self, name: str, function: Callable[[Step, *Args], Result], *args: *Args, span: Span = WHOLE) -> Result:
        """Run ``function`` as a durable step that covers ``span`` of the stage. A finished step never runs again."""

        def execute() -> Result:
            job = self.dependencies.records.job(None, self.job_id)
            if job is None:
                raise Canceled("the job was deleted")
            step = Step(self.dependencies, job, name, subspan(self.span, *span), self.owner)
            step.progress(0.0, f"{self.about}: {name}" if self.about else name)
            self.dependencies.disk_space.check()
            log.info("step_started", job=job.id, step=name, about=self.about)
            try:
                result = function(step, *args)
            except JobTakenOver:
                log.info("job_left", job=job.id, step=name)  # DBOS refuses to record the error, and ends the workflow
                raise
            finally:
                if not self.dependencies.stopping.is_set():
                    step.publish_logs()
            log.info("step_finished", job=job.id, step=name, about=self.about)
            return result

        return durable(name, execute, self.dependencies.stopping)

    def photo_step(self, name: str, function: Callable[[PhotoStep, *Args], Result], *args: *Args, span: Span) -> Result:
        """Like ``step``, on one photo."""

        def on_photo(step: Step) -> Result:
            index = self.photo_index
            photo = step.asset(self.inputs[index], "photo")
            return function(PhotoStep(step, index, photo, self.versions, self.folders[index]), *args)

        return self.step(name, on_photo, span=span)

    def each_photo(self, process: Callable[[StageRun[Options], str], Result]) -> tuple[Result, ...]:
        """Analyze each photo, and call ``process`` with a run for this photo only and the photo's analysis.

        A photo that fails does not affect the others: it is added to ``photo_errors``, and this stage and all later
        ones leave it out. If no photo is left, the error of the first one is raised.

        Returns:
            The results for the other photos, in order. The analysis is the SHA-256 of the packed maps.
        """
        results = []
        for run in self._photo_runs():
            try:
                analysis = run.photo_step("analyze", analyze, span=(0.0, ANALYSIS_END))
                results.append(process(run, analysis))
            except Exception as error:
                if not _is_about_photo(error):
                    raise
                self.photo_errors[run.photo_index] = PhotoError(self.stage, error)
        if not results:
            raise next(failed.error for failed in self.photo_errors.values() if failed.stage == self.stage)
        return tuple(results)

    def each_photo_in_one_step(
        self, name: str, function: Callable[[PhotoStep, str, Options], Result]
    ) -> tuple[Result, ...]:
        """Like ``each_photo``, with ``function`` on the photo and its analysis as the only further step."""
        span = (ANALYSIS_END, 1.0)
        return self.each_photo(lambda run, analysis: run.photo_step(name, function, analysis, run.options, span=span))

    def _photo_runs(self) -> Iterator[StageRun[Options]]:
        """Yield a run for each photo that has not failed."""
        count = len(self.inputs)
        for index in range(count):
            if index not in self.photo_errors:
                span = subspan(self.span, index / count, (index + 1) / count)
                yield replace(self, span=span, photo_index=index, about=f"photo {index + 1} of {count}")


def _is_about_photo(error: Exception) -> bool:
    """Return whether an error is about one photo. Other errors end the job: the next photo would fail, too."""
    is_about_job = isinstance(error, Canceled | DeadlineExceeded | JobTakenOver | dbos_error.DBOSException)
    return not (is_about_job or (isinstance(error, HeartwoodError) and error.retryable))


@dataclass(frozen=True)
class Stage(Generic[Options, Result]):
    """The descriptor of a stage."""

    name: str  # the job kind, and the field name in the protos
    options: type[Options]
    result: type[Result]
    weight: float  # run time relative to the other stages, measured on two cores; divides a pipeline's progress
    run: Callable[[StageRun[Options]], Result]  # calls the steps of the stage
    takes_mesh: bool = False  # the input is a mesh; otherwise photos, which the serving models analyze
    check: Callable[[Options, JobInput], Options] = lambda options, _: options
    """Validates options against the input; returns them with all defaults resolved. Raises InvalidInput, NotFound."""
    requires: Mapping[str, Any] = field(default_factory=dict)
    """Stages whose results this one needs, with the options for jobs that do not set them."""
    output_mesh: Callable[[Result], str] | None = None  # asset id of the mesh that later stages work on
    cost: Callable[[Result], DetectorCost] = lambda _: DetectorCost()


def durable(name: str, function: Callable[[], Result], stopping: threading.Event) -> Result:
    """Run ``function`` as a DBOS step, which repeats it as ``until_available`` does."""
    return DBOS.run_step({"name": name}, lambda: until_available(lambda: _with_disk_errors(function), stopping))


def _with_disk_errors(function: Callable[[], Result]) -> Result:
    """Call a function. A write to a full disk raises DiskFull, which is retryable."""
    try:
        return function()
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise DiskFull("the service has no disk space left; try again later") from error


def until_available(function: Callable[[], Result], stopping: threading.Event) -> Result:
    """Call ``function`` until it raises no retryable error, or has waited for as long as ``_patience_s`` says.

    Raises ServiceStopping if the service stops.
    """
    waited, delay = 0.0, FIRST_DELAY_S
    while True:
        try:
            return function()
        except HeartwoodError as error:
            if not error.retryable or waited >= _patience_s(error):
                raise
            log.info("call_repeated", reason=error.reason, waited_s=round(waited, 1))
        if stopping.wait(delay):
            raise ServiceStopping
        waited, delay = waited + delay, min(delay * BACKOFF, MAX_DELAY_S)


def _patience_s(error: HeartwoodError) -> float:
    """Return how long to wait until an error has passed. Without a store, a job can neither continue nor end."""
    if isinstance(error, StorageUnavailable):
        return math.inf
    if isinstance(error, ToolKilled):
        return TOOL_PATIENCE_S
    return MODEL_PATIENCE_S if isinstance(error, ModelUnavailable) else PATIENCE_S
