"""``ModelService``: lists the models and their versions, and replaces the version that serves."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from asyncio import to_thread
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from orchestrator.api.auth import Tokens
from orchestrator.api.convert import from_proto, to_proto
from orchestrator.api.fields import chunks_of, header_of, without_pauses
from orchestrator.api.limits import CallLimits
from orchestrator.api.servicer import Servicer, call, stream
from orchestrator.domain.model_versions import DeployOptions, ModelStatus, ModelVersion
from orchestrator.domain.progress import Progress
from orchestrator.domain.tokens import Scope
from orchestrator.errors import Canceled, InvalidInput
from orchestrator.jobs.service import JobService
from orchestrator.protocol.heartwood.v1 import model_pb2, model_pb2_grpc
from orchestrator.rollout.rollout import Rollout
from orchestrator.settings import Settings

Header: TypeAlias = model_pb2.DeployModelRequest.Header

POLL_S = 0.1
"""Interval at which the progress of a deployment is sent."""


class ModelServicer(Servicer, model_pb2_grpc.ModelServiceServicer):
    """Implements ``ModelService`` of ``model.proto``."""

    scope = Scope.MODELS
    action = "manage models"

    def __init__(
        self, jobs: JobService, tokens: Tokens, limits: CallLimits, rollout: Rollout, settings: Settings
    ) -> None:
        super().__init__(jobs, tokens, limits)
        self.rollout = rollout
        self.settings = settings

    @call
    def ListModels(self, _: model_pb2.ListModelsRequest, __: str) -> model_pb2.ListModelsResponse:
        return model_pb2.ListModelsResponse(models=map(_model_to_proto, self.rollout.models()))

    @call
    def GetModelStatus(self, request: model_pb2.GetModelStatusRequest, __: str) -> model_pb2.GetModelStatusResponse:
        return model_pb2.GetModelStatusResponse(model=_model_to_proto(self.rollout.status(request.model)))

    @stream
    async def DeployModel(
        self, requests: AsyncIterator[model_pb2.DeployModelRequest], tenant: str
    ) -> AsyncGenerator[model_pb2.DeployModelResponse, None]:
        requests = without_pauses(requests, self.settings.upload_idle_s)
        header: Header = await header_of(requests)
        options = _deploy_options(header)
        await to_thread(self.rollout.status, header.model)  # rejects an unknown model before the upload
        with tempfile.TemporaryDirectory(prefix="candidate-", dir=self.settings.root) as folder:
            onnx_path = Path(folder) / "model.onnx"
            with onnx_path.open("wb") as file:
                await _receive_file(requests, header, file, self.settings.max_model_mb << 20)
            deploy = partial(
                self.rollout.deploy, header.model, header.version, onnx_path, header.evaluation_json, options, tenant
            )
            async for response in _stream_progress(deploy):
                yield response

    @call
    def PromoteModel(self, request: model_pb2.PromoteModelRequest, tenant: str) -> model_pb2.PromoteModelResponse:
        status = self.rollout.promote(request.model, request.version, _revision(request), tenant)
        return model_pb2.PromoteModelResponse(model=_model_to_proto(status))

    @call
    def RollbackModel(self, request: model_pb2.RollbackModelRequest, tenant: str) -> model_pb2.RollbackModelResponse:
        status = self.rollout.rollback(request.model, _revision(request), tenant)
        return model_pb2.RollbackModelResponse(model=_model_to_proto(status))

    @call
    def RetireModel(self, request: model_pb2.RetireModelRequest, __: str) -> model_pb2.RetireModelResponse:
        status = self.rollout.retire(request.model, request.version)
        return model_pb2.RetireModelResponse(model=_model_to_proto(status))


def _deploy_options(header: Header) -> DeployOptions:
    converted: dict[str, Any] = {"promote": not header.no_promote}
    if header.HasField("shadow_timeout"):
        timeout = header.shadow_timeout  # a timedelta cannot hold every Duration
        converted["shadow_timeout_s"] = timeout.seconds + timeout.nanos / 1e9
    return from_proto(header, DeployOptions, "header", **converted)


def _revision(request: model_pb2.PromoteModelRequest | model_pb2.RollbackModelRequest) -> int | None:
    """The revision that the caller expects, or None."""
    if request.revision < 0:
        raise InvalidInput("revision", f"{request.revision} is not allowed; it must be at least 0, or absent")
    return request.revision if request.HasField("revision") else None


def _model_to_proto(status: ModelStatus) -> model_pb2.Model:
    pointer = status.pointer
    versions = [_version_to_proto(version, serves=version.version == pointer.version) for version in status.versions]
    converted = {"serving_version": pointer.version, "rollback_version": pointer.previous, "versions": versions}
    return to_proto(pointer, model_pb2.Model, name=status.model, **converted)


def _version_to_proto(version: ModelVersion, *, serves: bool) -> model_pb2.ModelVersion:
    converted: dict[str, Any] = {"state": model_pb2.MODEL_VERSION_STATE_SERVING} if serves else {}
    if version.report:
        against = version.report.against
        converted["report"] = to_proto(version.report, model_pb2.ModelReport, against_version=against)
    return to_proto(version, model_pb2.ModelVersion, **converted)


async def _receive_file(requests: AsyncIterator[Any], header: Header, file: BinaryIO, max_bytes: int) -> None:
    """Write the uploaded chunks to ``file``, and check them against ``max_bytes`` and the header."""
    _check_size("header.size_bytes", header.size_bytes, max_bytes)
    size, digest = 0, hashlib.sha256()
    async for chunk in chunks_of(requests, header.size_bytes):
        size += len(chunk)
        _check_size("chunk.data", size, max_bytes)
        digest.update(chunk)
        await to_thread(file.write, chunk)
    if not size:
        raise InvalidInput("chunk", "the upload is empty; send a header, then the ONNX file in chunks")
    if header.sha256 and digest.hexdigest() != header.sha256:
        mismatch = f"{header.sha256[:64]!r} does not match the uploaded bytes, whose SHA-256 is {digest.hexdigest()}"
        raise InvalidInput("header.sha256", mismatch)


def _check_size(field: str, size: int, max_bytes: int) -> None:
    if not 0 <= size <= max_bytes:
        raise InvalidInput(field, f"{size} bytes are not allowed; at most {max_bytes} (HEARTWOOD_MAX_MODEL_MB)")


class _LatestProgress:
    """Passes the progress of a deployment from its thread to the event loop."""

    def __init__(self) -> None:
        self.latest = model_pb2.DeployModelResponse()
        self.canceled = False  # the next report raises Canceled

    def report(self, fraction: float, message: str) -> None:
        if self.canceled:
            raise Canceled("the caller ended the deployment")
        self.latest = model_pb2.DeployModelResponse(fraction=max(fraction, self.latest.fraction), message=message)


async def _stream_progress(deploy: Callable[[Progress], ModelStatus]) -> AsyncIterator[model_pb2.DeployModelResponse]:
    """Yield the progress of ``deploy``, then the resulting model. Cancel ``deploy`` when the caller disconnects."""
    progress = _LatestProgress()
    # A deployment can take minutes. It gets a thread of its own, so that it does not occupy the shared thread pool.
    executor = ThreadPoolExecutor(1, "deploy")
    work = asyncio.get_running_loop().run_in_executor(executor, deploy, progress.report)
    sent = progress.latest
    try:
        while not work.done():
            await asyncio.wait([work], timeout=POLL_S)
            if progress.latest != sent:
                sent = progress.latest
                yield sent
        status = await work
    finally:
        progress.canceled = True
        if not work.done():
            await asyncio.wait([work])  # the caller deletes the uploaded file afterwards
        executor.shutdown(wait=False)
    yield model_pb2.DeployModelResponse(fraction=1.0, message="done", model=_model_to_proto(status))
