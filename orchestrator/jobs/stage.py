"""The descriptor of a stage, and the context in which a stage runs as part of a job.

``jobs.stages`` contains one descriptor per stage. Job kinds, pipelines, recovery, progress and results are derived from
the descriptors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast

from dbos import DBOS

from orchestrator.domain.assets import Asset
from orchestrator.domain.segment import DetectorCost
from orchestrator.errors import HeartwoodError
from orchestrator.jobs.dependencies import Dependencies
from orchestrator.jobs.photo_step import PhotoStep
from orchestrator.jobs.progress import WHOLE, Span, subspan
from orchestrator.jobs.step import Step

Options = TypeVar("Options")
Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")


class StageInput(Enum):
    """What a stage works on."""

    PHOTOS = "photos"
    MESH = "mesh"


@dataclass(frozen=True)
class JobInput:
    """The input of a job that is being created, for the checks of its options."""

    dependencies: Dependencies
    tenant: str
    assets: tuple[Asset, ...]  # the photos of the upload, or the mesh

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of each photo in pixels."""
        return [(asset.width, asset.height) for asset in self.assets]


@dataclass(frozen=True)
class StageRun(Generic[Options]):
    """One stage of a running job."""

    dependencies: Dependencies
    job_id: str
    inputs: tuple[str, ...]  # asset ids of the photos, or of the mesh
    versions: Mapping[str, str]  # model → version with which the job began; later promotions do not change it
    options: Options
    span: Span = WHOLE
    results: Mapping[type, object] = field(default_factory=dict)  # of the earlier stages
    made_mesh: str = ""  # asset id of the mesh that an earlier stage made

    @property
    def mesh(self) -> str:
        """Asset id of the mesh to work on: made by an earlier stage, or the input of the job."""
        return self.made_mesh or self.inputs[0]

    def result(self, kind: type[Result]) -> Result | None:
        """The result of an earlier stage, or None if the job does not contain it."""
        return cast(Result | None, self.results.get(kind))

    def of_stage(self, options: Any, span: Span, results: list[object]) -> StageRun[Any]:
        """The run of the next stage, after stages with these ``results``."""
        return replace(self, options=options, span=span, results={type(result): result for result in results})

    def with_mesh(self, asset_id: str) -> StageRun[Options]:
        """The same run, whose later stages work on this mesh."""
        return replace(self, made_mesh=asset_id)

    def within(self, start: float, end: float) -> StageRun[Options]:
        """The same stage, for steps that cover the interval [start, end] of its progress."""
        return replace(self, span=subspan(self.span, start, end))

    def photos(self) -> Iterator[PhotoRun[Options]]:
        """Iterate over the photos; each covers an equal interval of the stage's progress."""
        count = len(self.inputs)
        for index in range(count):
            yield PhotoRun(self.within(index / count, (index + 1) / count), index, count)

    def step(
        self,
        name: str,
        function: Callable[Concatenate[Step, Parameters], Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """Run ``function`` as a durable step and return its result. A finished step never runs again."""

        def execute() -> Result:
            with Step.open(self.dependencies, self.job_id, name, self.span) as step:
                return function(step, *args, **kwargs)

        return durable(name, execute)


@dataclass(frozen=True)
class PhotoRun(Generic[Options]):
    """One stage of a running job, on one photo."""

    run: StageRun[Options]
    index: int
    count: int

    def within(self, start: float, end: float) -> PhotoRun[Options]:
        """The same photo, for steps that cover the interval [start, end] of its progress."""
        return replace(self, run=self.run.within(start, end))

    def step(
        self,
        name: str,
        function: Callable[Concatenate[PhotoStep, Parameters], Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """Like ``StageRun.step``, on this photo."""
        run = self.run

        def execute() -> Result:
            with PhotoStep.open(run.dependencies, run.job_id, name, run.span, self.index, self.count) as photo:
                return function(photo, *args, **kwargs)

        return durable(name, execute)


@dataclass(frozen=True)
class Stage(Generic[Options, Result]):
    """Everything that Heartwood knows about a stage."""

    name: str  # the job kind, and the field name in the protos
    options: type[Options]
    result: type[Result]
    input: StageInput
    weight: float  # run time relative to the other stages, measured on two cores; divides a pipeline's progress
    uses_models: bool  # whether the job pins the serving model versions when it begins
    run: Callable[[StageRun[Options]], Result]  # calls the steps of the stage
    check: Callable[[Options, JobInput], Options] = lambda options, _: options
    """Validates options against the input; returns them with all defaults resolved. Raises InvalidInput, NotFound."""
    requires: Mapping[str, Any] = field(default_factory=dict)
    """Stages whose results this one needs, with the options for jobs that do not set them."""
    output_mesh: Callable[[Result], str] | None = None  # asset id of the mesh that later stages work on
    cost: Callable[[Result], DetectorCost] = lambda _: DetectorCost()


def durable(name: str, function: Callable[[], Result]) -> Result:
    """Run a DBOS step, with retries for about a minute while a service that it needs is unavailable."""
    return DBOS.run_step(
        {
            "name": name,
            "retries_allowed": True,
            "should_retry": _is_retryable,
            "interval_seconds": 0.5,
            "backoff_rate": 1.6,
            "max_attempts": 10,
        },
        function,
    )


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, HeartwoodError) and error.retryable
