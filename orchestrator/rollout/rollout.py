"""Replaces the models' versions while requests go on: what ``ModelService`` does.

A candidate is kept in the blob store, loaded beside the version that serves, checked, and promoted by one write to the
database, which every process of the service follows (``rollout.follower``).
"""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

import structlog

from orchestrator.domain.model_versions import (
    MAX_VERSION,
    DeployOptions,
    ModelStatus,
    ModelVersion,
    Pointer,
    VersionState,
)
from orchestrator.domain.progress import Progress, no_progress, subrange
from orchestrator.errors import (
    Canceled,
    CandidateRefused,
    ChangedMeanwhile,
    FailedPrecondition,
    HeartwoodError,
    InvalidInput,
    ModelUnavailable,
    NotFound,
)
from orchestrator.inference.models import MODELS, TritonModels
from orchestrator.inference.onnx_file import check_onnx
from orchestrator.rollout.candidate import Pair, check_candidate
from orchestrator.rollout.evaluation import Evaluation
from orchestrator.rollout.follower import OWNER, Follower
from orchestrator.store.blobs import Blobs
from orchestrator.store.model_records import ModelRecords

log = structlog.get_logger()

BEAT_S = 5.0
"""How often the check of a candidate says that it still goes on."""


class Rollout:
    """The versions of every model, on one Triton."""

    def __init__(
        self, records: ModelRecords, blobs: Blobs, models: TritonModels, follower: Follower, executor_id: str
    ) -> None:
        self._records = records
        self._blobs = blobs
        self._models = models
        self._follower = follower
        self._executor_id = executor_id
        self._change = threading.Lock()

    # ---- look

    def models(self) -> list[ModelStatus]:
        """Every model."""
        return [self.status(model) for model in MODELS]

    def status(self, model: str) -> ModelStatus:
        """A model, and its versions, newest first.

        Raises:
            NotFound: there is no such model.
            ModelUnavailable: Triton or the model's plain name does not answer at the moment.
        """
        _check_model(model)
        repository = [int(version) for version in self._models.triton.repository(model)]
        deployed = self._records.versions(model)
        known = {one.version for one in deployed}
        own = [ModelVersion(model, version, VersionState.READY) for version in repository if version not in known]
        versions = sorted([*deployed, *own], key=lambda one: one.version, reverse=True)
        pointer = self._records.pointers().get(model)
        if pointer is None:
            older = repository[-2] if len(repository) > 1 else 0
            pointer = Pointer(repository[-1] if repository else 0, older)
        return ModelStatus(model, pointer, tuple(versions))

    # ---- change

    def deploy(
        self,
        model: str,
        version: int,
        file: Path,
        evaluation: bytes,
        options: DeployOptions,
        operator: str,
        progress: Progress = no_progress,
    ) -> ModelStatus:
        """Check a candidate beside the version that serves; promote it when it passes, unless told otherwise.

        Args:
            version: 0 takes the number after the newest.
            file: its ONNX file.
            evaluation: its ``evaluation.json``, or nothing.

        Raises:
            NotFound: there is no such model.
            InvalidInput: the number or the evaluation is not allowed.
            FailedPrecondition: the number is taken, or another candidate of the model is being checked.
            CandidateRefused: it failed a check. It is unloaded and its file is gone; the status tells the reason.
            ChangedMeanwhile: it passed, and is ready; but somebody else changed what serves, so it was not promoted.
        """
        before = self.status(model)
        data = file.read_bytes()
        candidate = ModelVersion(
            model=model,
            version=_free_number(version, before),
            state=VersionState.CHECKING,
            sha256=hashlib.sha256(data).hexdigest(),
            size_bytes=len(data),
            operator=operator,
        )
        if not self._records.claim(candidate, self._executor_id):
            raise FailedPrecondition(_why_taken(self.status(model), candidate.version))
        log.info("candidate", model=model, version=candidate.version, operator=operator)
        try:
            self._check(candidate, data, evaluation, options, before.pointer, self._beating(candidate, progress))
        except BaseException as error:
            self._refuse(candidate, error)
            raise
        self._follower.sync()
        if not options.promote:
            return self.status(model)
        return self._move(before, candidate.version, operator)

    def _check(
        self,
        candidate: ModelVersion,
        data: bytes,
        evaluation: bytes,
        options: DeployOptions,
        serving: Pointer,
        progress: Progress,
    ) -> None:
        triton, model, version = self._models.triton, candidate.model, str(candidate.version)
        progress(0.0, "looking at the file")
        measured = Evaluation.read(evaluation, model, candidate.sha256) if evaluation else None
        signature = triton.signature(model)
        check_onnx(data, signature)
        self._blobs.put(OWNER, data)
        progress(0.05, f"loading version {version} beside version {serving.version}")
        triton.load(model, candidate.triton_name, version, data)
        pair = Pair(self._models, candidate, str(serving.version), signature)
        report = check_candidate(pair, options, measured, subrange(progress, 0.2, 1.0))
        if not self._records.pass_candidate(model, candidate.version, report):
            raise CandidateRefused("its check took too long without a sign of life")

    def _beating(self, candidate: ModelVersion, progress: Progress) -> Progress:
        last = time.monotonic()

        def report(fraction: float, message: str) -> None:
            nonlocal last
            if time.monotonic() - last > BEAT_S:
                last = time.monotonic()
                self._records.beat(candidate.model, candidate.version)
            progress(fraction, message)

        return report

    def _refuse(self, candidate: ModelVersion, error: BaseException) -> None:
        told = error.message if isinstance(error, HeartwoodError) else "the service failed; its log says why"
        reason = "the deploy was canceled" if isinstance(error, Canceled) else told
        log.warning("candidate_refused", model=candidate.model, version=candidate.version, reason=reason)
        self._records.fail(candidate.model, candidate.version, reason)
        self._follower.remove(candidate)

    def promote(self, model: str, version: int, revision: int | None, operator: str) -> ModelStatus:
        """Let a ready version serve, everywhere and at once.

        Args:
            revision: of the model as the caller saw it; None takes it as it is now.

        Raises:
            NotFound: there is no such model or version.
            FailedPrecondition: the version is not ready, or serves already.
            ChangedMeanwhile: somebody else changed what serves.
        """
        return self._move(self._seen(model, revision), version, operator)

    def rollback(self, model: str, revision: int | None, operator: str) -> ModelStatus:
        """Let the version serve again that served before; a second rollback undoes the first.

        Raises:
            NotFound: there is no such model.
            FailedPrecondition: there is nothing to go back to.
            ChangedMeanwhile: somebody else changed what serves.
        """
        seen = self._seen(model, revision)
        if not seen.pointer.previous:
            raise FailedPrecondition(f"{model} has no version to go back to; version {seen.pointer.version} serves")
        return self._move(seen, seen.pointer.previous, operator)

    def retire(self, model: str, version: int) -> ModelStatus:
        """Unload a deployed version that does not serve, and forget its file; its number is not used again.

        Raises:
            NotFound: there is no such model or version.
            FailedPrecondition: it serves, is part of the repository, or is not ready.
        """
        one = _version(self.status(model), version)
        if one.in_repository:
            raise FailedPrecondition(
                f"version {version} of {model} is part of the served repository; take it out there"
            )
        with self._change:
            if not self._records.retire(model, version):
                serves = self.status(model).pointer.version == version
                state = "serves; promote another first" if serves else f"is {one.state.value}"
                raise FailedPrecondition(f"version {version} of {model} {state}")
        self._follower.sync()
        self._follower.remove(one)
        return self.status(model)

    def _seen(self, model: str, revision: int | None) -> ModelStatus:
        seen = self.status(model)
        if revision is not None and revision != seen.pointer.revision:
            raise _changed(seen)
        return seen

    def _move(self, seen: ModelStatus, version: int, operator: str) -> ModelStatus:
        model = seen.model
        one = _version(self.status(model), version)
        if one.state is not VersionState.READY:
            reason = f": {one.reason}" if one.reason else ""
            raise FailedPrecondition(f"version {version} of {model} is {one.state.value}{reason}")
        if seen.pointer.version == version:
            raise FailedPrecondition(f"version {version} of {model} serves already")
        if not self._models.triton.ready(one.triton_name, str(version)):
            raise ModelUnavailable(f"version {version} of {model} does not answer at the moment", model=model)
        with self._change:
            if not self._records.move(model, seen.pointer, version, operator):
                raise _changed(self.status(model))
        self._follower.sync()
        log.info("model_promoted", model=model, version=version, before=seen.pointer.version, operator=operator)
        return self.status(model)


def _check_model(model: str) -> None:
    if model not in MODELS:
        raise NotFound("model", model[:80])


def _version(status: ModelStatus, version: int) -> ModelVersion:
    for one in status.versions:
        if one.version == version:
            return one
    raise NotFound("version", f"{status.model} {version}")


def _free_number(asked: int, status: ModelStatus) -> int:
    if not 0 <= asked <= MAX_VERSION:
        raise InvalidInput("header.version", f"{asked} is not allowed; it must be from 0 to {MAX_VERSION}")
    taken = {one.version: one for one in status.versions}
    number = asked or max(taken, default=0) + 1
    if number in taken and taken[number].state is not VersionState.FAILED:
        raise FailedPrecondition(_why_taken(status, number))
    return number


def _why_taken(status: ModelStatus, version: int) -> str:
    for one in status.versions:
        if one.state is VersionState.CHECKING:
            return f"version {one.version} of {status.model} is being checked for {one.operator!r}; wait for its end"
    newest = status.versions[0].version if status.versions else 0
    return f"{status.model} has a version {version} already; the next free number is {newest + 1}"


def _changed(now: ModelStatus) -> ChangedMeanwhile:
    pointer = now.pointer
    by = f" by {pointer.operator!r}" if pointer.operator else ""
    return ChangedMeanwhile(
        f"{now.model} was changed{by} meanwhile: version {pointer.version} serves now (revision {pointer.revision}); "
        "look at its status, then decide again",
        model=now.model,
        version=pointer.version,
        revision=pointer.revision,
    )
