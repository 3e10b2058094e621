"""Replaces the serving version of a model without interrupting requests; implements ``ModelService``.

A candidate is loaded on a Triton of its own and compared with the serving version. If it passes, it is stored as a blob
and loaded on the serving Triton. One conditional write to the database promotes it. Every process of the service
follows the database (``rollout.follower``).
"""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from orchestrator.domain.model_roles import ROLE_MODELS, pull_command
from orchestrator.domain.model_versions import (
    MAX_VERSION,
    MODELS,
    DeployOptions,
    ModelStatus,
    ModelVersion,
    Pointer,
    VersionState,
)
from orchestrator.domain.progress import Progress, subrange
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
from orchestrator.inference.candidate_triton import CandidateTriton
from orchestrator.inference.onnx_file import check_onnx
from orchestrator.rollout.candidate import Comparison, Evaluation, check_candidate
from orchestrator.rollout.follower import Follower
from orchestrator.store.model_records import ModelRecords

log = structlog.get_logger()

HEARTBEAT_INTERVAL_S = 5.0
"""Minimum time between two heartbeats of a candidate that is being checked."""


@dataclass
class _Heartbeat:
    """A progress callback that also records the heartbeats of a candidate."""

    records: ModelRecords
    candidate: ModelVersion
    progress: Progress
    last: float = field(default_factory=time.monotonic)

    def report(self, fraction: float, message: str) -> None:
        if time.monotonic() - self.last > HEARTBEAT_INTERVAL_S:
            self.last = time.monotonic()
            self.records.heartbeat(self.candidate.model, self.candidate.version)
        self.progress(fraction, message)


class Rollout:
    """Lists, deploys, promotes and retires model versions on one Triton. Candidates are checked on another one.

    Methods raise NotFound if the model or the version does not exist, ModelUnavailable if Triton or the version is not
    available, and FailedPrecondition if the state of the model or the version does not allow the change.
    """

    def __init__(self, follower: Follower, candidate_triton: CandidateTriton) -> None:
        self._follower = follower
        self._candidate_triton = candidate_triton
        self._records = follower.records
        self._models = follower.models
        self._pointer_lock = threading.Lock()

    def models(self) -> list[ModelStatus]:
        """Return the status of every model, including those of the roles that Triton serves."""
        served = [model for model in ROLE_MODELS.values() if self._models.triton.ready(model)]
        return [self.status(model) for model in (*MODELS, *served)]

    def status(self, model: str) -> ModelStatus:
        """Return a model with its pointer and its versions."""
        if model not in (*MODELS, *ROLE_MODELS.values()):
            raise NotFound("model", model[:80])
        if model not in MODELS and not self._models.triton.ready(model):
            remedy = f"run `{pull_command(model)}` and restart the service"
            raise FailedPrecondition(f"the optional model {model!r} is not on Triton; {remedy}")
        in_repository = [int(version) for version in self._models.triton.repository_versions(model)]
        versions = {number: ModelVersion(model, number, VersionState.READY) for number in in_repository}
        versions |= {version.version: version for version in self._records.versions(model)}
        previous, newest = [0, 0, *in_repository][-2:]  # the last two; 0 for each that does not exist
        pointer = self._records.pointers().get(model, Pointer(newest, previous))
        return ModelStatus(model, pointer, tuple(versions[number] for number in sorted(versions, reverse=True)))

    def deploy(
        self,
        model: str,
        version: int,
        file: Path,
        evaluation: bytes,
        options: DeployOptions,
        operator: str,
        progress: Progress,
    ) -> ModelStatus:
        """Check a candidate on a separate Triton, and promote it if ``options.promote`` is set.

        Args:
            version: number of the new version; 0 means one more than the newest.
            file: the candidate's ONNX file.
            evaluation: the contents of its ``evaluation.json``; empty if it has none.

        Raises:
            InvalidInput: the version number or the evaluation is invalid.
            FailedPrecondition: the version number is in use, another candidate of the model is being checked, or there
                is no Triton to check it on.
            CandidateRefused: a check failed. The file is deleted, and the status of the candidate contains the reason.
            ChangedMeanwhile: the candidate is READY, but another operator changed the serving version during the check.
        """
        before = self.status(model)
        serving = str(before.pointer.version)
        data = file.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        number = _free_version(version, before)
        candidate = ModelVersion(model, number, VersionState.CHECKING, sha256, len(data), operator=operator)
        if not self._records.add_candidate(candidate, self._follower.executor_id):
            raise FailedPrecondition(_describe_conflict(self.status(model), number))
        log.info("candidate_added", model=model, version=number, operator=operator)
        report_progress = _Heartbeat(self._records, candidate, progress).report
        try:
            report_progress(0.0, "checking the file")
            parsed_evaluation = Evaluation.read(evaluation, model, sha256) if evaluation else None
            signature = self._models.triton.signature(model)
            check_onnx(data, signature)
            report_progress(0.05, f"starting a separate Triton for version {number}")
            config = self._models.triton.config(model)
            loading = subrange(report_progress, 0.05, 0.2)
            with self._candidate_triton.load(candidate, data, config, loading) as loaded:
                comparison = Comparison(self._models, loaded, serving, signature)
                report = check_candidate(comparison, options, parsed_evaluation, subrange(report_progress, 0.2, 0.95))
            report_progress(0.95, f"loading version {number} alongside version {serving}")
            self._follower.add(candidate, data)
            if not self._records.mark_ready(model, number, report):
                raise CandidateRefused("the check sent no heartbeat for too long, so it was given up; deploy again")
        except BaseException as error:
            self._refuse(candidate, error)
            raise
        self._follower.sync()
        return self._move_pointer(before, number, operator) if options.promote else self.status(model)

    def _refuse(self, candidate: ModelVersion, error: BaseException) -> None:
        """Record why the candidate failed, and remove it if it was stored already."""
        reason = error.message if isinstance(error, HeartwoodError) else "internal error; see the log of the service"
        reason = "the deployment was canceled" if isinstance(error, Canceled) else reason
        log.warning("candidate_refused", model=candidate.model, version=candidate.version, reason=reason)
        self._records.mark_failed(candidate.model, candidate.version, reason)
        self._follower.remove(candidate)

    def promote(self, model: str, version: int, revision: int | None, operator: str) -> ModelStatus:
        """Make a READY version serve. Raises ChangedMeanwhile if ``revision`` is given and no longer current."""
        return self._move_pointer(self._status_at(model, revision), version, operator)

    def rollback(self, model: str, revision: int | None, operator: str) -> ModelStatus:
        """Make the previously serving version serve again; see ``promote``. A second rollback undoes the first."""
        status = self._status_at(model, revision)
        if not status.pointer.previous:
            problem = f"{model} has no previous version to roll back to"
            raise FailedPrecondition(f"{problem}; version {status.pointer.version} serves")
        return self._move_pointer(status, status.pointer.previous, operator)

    def retire(self, model: str, version: int) -> ModelStatus:
        """Unload a READY version that does not serve, and delete its file. Its number cannot be used again.

        Other processes of the service unload it from their Triton when they follow the database.
        """
        target = _find_version(self.status(model), version)
        subject = f"version {version} of {model}"
        if target.in_repository:
            remedy = "to remove it, delete its folder there"
            raise FailedPrecondition(f"{subject} is part of the model repository; {remedy}")
        with self._pointer_lock:
            if not self._records.retire(model, version):
                if self.status(model).pointer.version == version:
                    raise FailedPrecondition(f"{subject} serves; promote another version first")
                raise FailedPrecondition(f"{subject} is {target.state.value}; it must be READY")
        self._follower.sync()
        self._follower.remove(target)
        return self.status(model)

    def _status_at(self, model: str, revision: int | None) -> ModelStatus:
        """Return the status, and check that the model still has the revision that the caller read."""
        status = self.status(model)
        if revision is not None and revision != status.pointer.revision:
            raise _changed_meanwhile(status)
        return status

    def _move_pointer(self, expected: ModelStatus, version: int, operator: str) -> ModelStatus:
        """Make ``version`` serve, unless the pointer has changed since ``expected`` was read."""
        model = expected.model
        subject = f"version {version} of {model}"
        target = _find_version(self.status(model), version)
        if target.state is not VersionState.READY:
            reason = f" ({target.reason})" if target.reason else ""
            raise FailedPrecondition(f"{subject} is {target.state.value}{reason}; it must be READY")
        if expected.pointer.version == version:
            raise FailedPrecondition(f"{subject} serves already")
        if not self._models.triton.ready(target.triton_name, str(version)):
            raise ModelUnavailable(f"{subject} is not loaded on Triton at the moment; try again later", model=model)
        with self._pointer_lock:
            if not self._records.move_pointer(model, expected.pointer, version, operator):
                raise _changed_meanwhile(self.status(model))
        self._follower.sync()
        log.info("model_promoted", model=model, version=version, before=expected.pointer.version, operator=operator)
        return self.status(model)


def _find_version(status: ModelStatus, number: int) -> ModelVersion:
    for version in status.versions:
        if version.version == number:
            return version
    raise NotFound("version", f"{status.model} {number}")


def _free_version(requested: int, status: ModelStatus) -> int:
    """Return the number of the new version; see ``Rollout.deploy``."""
    if not 0 <= requested <= MAX_VERSION:
        raise InvalidInput("header.version", f"{requested} is not allowed; it must be from 0 to {MAX_VERSION}")
    by_number = {version.version: version for version in status.versions}
    number = requested or max(by_number, default=0) + 1
    if number in by_number and by_number[number].state is not VersionState.FAILED:
        raise FailedPrecondition(_describe_conflict(status, number))
    return number


def _describe_conflict(status: ModelStatus, version: int) -> str:
    """Return why a candidate with this number cannot be added."""
    for other in status.versions:
        if other.state is VersionState.CHECKING:
            subject = f"version {other.version} of {status.model}, deployed by {other.operator!r},"
            return f"{subject} is being checked; wait until the check ends"
    newest = status.versions[0].version if status.versions else 0
    return f"{status.model} already has a version {version}; the next free number is {newest + 1}"


def _changed_meanwhile(status: ModelStatus) -> ChangedMeanwhile:
    pointer = status.pointer
    changed = f"{status.model} was changed{f' by {pointer.operator!r}' if pointer.operator else ''} in the meantime"
    serving = f"version {pointer.version} serves now (revision {pointer.revision})"
    facts = {"model": status.model, "version": pointer.version, "revision": pointer.revision}
    return ChangedMeanwhile(f"{changed}: {serving}; read its status and decide again", **facts)
