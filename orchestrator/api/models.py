"""``ModelService``: lists the models and their versions, and replaces the version that serves."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from grpc.aio import ServicerContext

from orchestrator.api import model_messages as messages
from orchestrator.api.auth import Tokens
from orchestrator.api.chunks import chunks_of, header_of
from orchestrator.api.servicer import Servicer, call, in_thread, stream
from orchestrator.domain.model_versions import ModelStatus
from orchestrator.domain.progress import Progress
from orchestrator.errors import Canceled, InvalidInput, PermissionDenied
from orchestrator.jobs.service import JobService
from orchestrator.protocol.heartwood.v1 import model_pb2, model_pb2_grpc
from orchestrator.rollout.rollout import Rollout
from orchestrator.settings import Settings

POLL_S = 0.1
"""Interval at which the progress of a deployment is sent."""


class ModelServicer(Servicer, model_pb2_grpc.ModelServiceServicer):
    """Implements ``ModelService`` of ``model.proto``. Only operators may call it."""

    def __init__(self, jobs: JobService, tokens: Tokens, rollout: Rollout, settings: Settings) -> None:
        super().__init__(jobs, tokens)
        self.rollout = rollout
        self.settings = settings

    def tenant(self, context: ServicerContext) -> str:
        """Return the caller's tenant, which must be an operator.

        Raises:
            Unauthenticated: the token is missing or unknown.
            PermissionDenied: the tenant is not an operator.
        """
        tenant = super().tenant(context)
        if tenant not in self.settings.operators:
            raise PermissionDenied(
                f"tenant {tenant!r} is not an operator and may not manage models; add it to HEARTWOOD_OPERATORS of the "
                "service"
            )
        return tenant

    @call
    async def ListModels(
        self, _: model_pb2.ListModelsRequest, __: ServicerContext, ___: str
    ) -> model_pb2.ListModelsResponse:
        statuses = await in_thread(self.rollout.models)
        return model_pb2.ListModelsResponse(models=[messages.model_to_proto(status) for status in statuses])

    @call
    async def GetModelStatus(
        self, request: model_pb2.GetModelStatusRequest, _: ServicerContext, __: str
    ) -> model_pb2.GetModelStatusResponse:
        status = await in_thread(self.rollout.status, request.model)
        return model_pb2.GetModelStatusResponse(model=messages.model_to_proto(status))

    @stream
    async def DeployModel(
        self, requests: AsyncIterator[model_pb2.DeployModelRequest], _: ServicerContext, tenant: str
    ) -> AsyncIterator[model_pb2.DeployModelResponse]:
        header: model_pb2.DeployModelRequest.Header = await header_of(requests)
        options = messages.deploy_options(header)
        await in_thread(self.rollout.status, header.model)  # rejects an unknown model before the upload
        with tempfile.TemporaryDirectory(prefix="candidate-", dir=self.settings.root) as folder:
            onnx_path = Path(folder) / "model.onnx"
            with onnx_path.open("wb") as file:
                await _receive_file(requests, header, file, self.settings.max_model_mb << 20)

            def deploy(progress: Progress) -> ModelStatus:
                evaluation = header.evaluation_json
                return self.rollout.deploy(
                    header.model, header.version, onnx_path, evaluation, options, tenant, progress
                )

            async for response in _stream_progress(deploy):
                yield response

    @call
    async def PromoteModel(
        self, request: model_pb2.PromoteModelRequest, _: ServicerContext, tenant: str
    ) -> model_pb2.PromoteModelResponse:
        revision = messages.revision(request)
        status = await in_thread(self.rollout.promote, request.model, request.version, revision, tenant)
        return model_pb2.PromoteModelResponse(model=messages.model_to_proto(status))

    @call
    async def RollbackModel(
        self, request: model_pb2.RollbackModelRequest, _: ServicerContext, tenant: str
    ) -> model_pb2.RollbackModelResponse:
        status = await in_thread(self.rollout.rollback, request.model, messages.revision(request), tenant)
        return model_pb2.RollbackModelResponse(model=messages.model_to_proto(status))

    @call
    async def RetireModel(
        self, request: model_pb2.RetireModelRequest, _: ServicerContext, __: str
    ) -> model_pb2.RetireModelResponse:
        status = await in_thread(self.rollout.retire, request.model, request.version)
        return model_pb2.RetireModelResponse(model=messages.model_to_proto(status))


async def _receive_file(
    requests: AsyncIterator[model_pb2.DeployModelRequest],
    header: model_pb2.DeployModelRequest.Header,
    file: BinaryIO,
    max_bytes: int,
) -> None:
    """Write the uploaded chunks to ``file``.

    Raises:
        InvalidInput: the chunks are out of order or too large, or do not match the size and hash in the header.
    """
    _check_size("header.size_bytes", header.size_bytes, max_bytes)
    size, digest = 0, hashlib.sha256()
    async for chunk in chunks_of(requests, header.size_bytes):
        size += len(chunk)
        _check_size("chunk.data", size, max_bytes)
        digest.update(chunk)
        await in_thread(file.write, chunk)
    if not size:
        raise InvalidInput("chunk", "the upload is empty; send a header, then the ONNX file in chunks")
    if header.sha256 and digest.hexdigest() != header.sha256:
        raise InvalidInput(
            "header.sha256",
            f"{header.sha256[:64]!r} does not match the uploaded bytes, whose SHA-256 is {digest.hexdigest()}",
        )


def _check_size(field: str, size: int, max_bytes: int) -> None:
    if not 0 <= size <= max_bytes:
        raise InvalidInput(field, f"{size} bytes; allowed are at most {max_bytes} (HEARTWOOD_MAX_MODEL_MB)")


class _LatestProgress:
    """Passes the progress of a deployment from its thread to the event loop."""

    def __init__(self) -> None:
        self.latest = model_pb2.DeployModelResponse()
        self._canceled = threading.Event()

    def cancel(self) -> None:
        """Let the next report raise Canceled."""
        self._canceled.set()

    def report(self, fraction: float, message: str) -> None:
        if self._canceled.is_set():
            raise Canceled("the caller ended the deployment")
        self.latest = model_pb2.DeployModelResponse(fraction=max(fraction, self.latest.fraction), message=message)


async def _stream_progress(
    deploy: Callable[[Progress], ModelStatus],
) -> AsyncIterator[model_pb2.DeployModelResponse]:
    """Run ``deploy`` in a thread. Yield its progress, then the resulting model.

    When the caller disconnects, the next progress report of ``deploy`` raises Canceled.
    """
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
        progress.cancel()
        if not work.done():
            await asyncio.wait([work])  # the caller deletes the uploaded file afterwards
        executor.shutdown(wait=False)
    yield model_pb2.DeployModelResponse(fraction=1.0, message="done", model=messages.model_to_proto(status))
