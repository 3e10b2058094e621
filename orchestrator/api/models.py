"""ModelService: look at the models' versions, and replace the one that serves."""

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
from orchestrator.jobs.service import Jobs
from orchestrator.protocol.heartwood.v1 import model_pb2, model_pb2_grpc
from orchestrator.rollout.rollout import Rollout

POLL_S = 0.1


class ModelServicer(Servicer, model_pb2_grpc.ModelServiceServicer):
    """See ``model.proto``."""

    def __init__(self, jobs: Jobs, tokens: Tokens, rollout: Rollout) -> None:
        super().__init__(jobs, tokens)
        self.rollout = rollout

    def tenant(self, context: ServicerContext) -> str:
        """The caller's tenant, which is an operator's.

        Raises:
            Unauthenticated: the token is missing or unknown.
            PermissionDenied: the tenant is no operator.
        """
        tenant = super().tenant(context)
        if tenant not in self.parts.settings.operators:
            raise PermissionDenied(
                f"tenant {tenant!r} may not operate models; the service's HEARTWOOD_OPERATORS names those who may"
            )
        return tenant

    @call
    async def ListModels(
        self, _: model_pb2.ListModelsRequest, __: ServicerContext, ___: str
    ) -> model_pb2.ListModelsResponse:
        found = await in_thread(self.rollout.models)
        return model_pb2.ListModelsResponse(models=[messages.model(one) for one in found])

    @call
    async def GetModelStatus(
        self, request: model_pb2.GetModelStatusRequest, _: ServicerContext, __: str
    ) -> model_pb2.GetModelStatusResponse:
        status = await in_thread(self.rollout.status, request.model)
        return model_pb2.GetModelStatusResponse(model=messages.model(status))

    @stream
    async def DeployModel(
        self, requests: AsyncIterator[model_pb2.DeployModelRequest], _: ServicerContext, tenant: str
    ) -> AsyncIterator[model_pb2.DeployModelResponse]:
        header: model_pb2.DeployModelRequest.Header = await header_of(requests)
        options = messages.deploy_options(header)
        await in_thread(self.rollout.status, header.model)
        with tempfile.TemporaryDirectory(prefix="candidate-", dir=self.parts.settings.root) as folder:
            file = Path(folder) / "model.onnx"
            with file.open("wb") as opened:
                await _receive(requests, header, opened, self.parts.settings.max_model_mb << 20)

            def deploy(progress: Progress) -> ModelStatus:
                evaluation = header.evaluation_json
                return self.rollout.deploy(header.model, header.version, file, evaluation, options, tenant, progress)

            async for answer in _told(deploy):
                yield answer

    @call
    async def PromoteModel(
        self, request: model_pb2.PromoteModelRequest, _: ServicerContext, tenant: str
    ) -> model_pb2.PromoteModelResponse:
        revision = messages.revision(request)
        status = await in_thread(self.rollout.promote, request.model, request.version, revision, tenant)
        return model_pb2.PromoteModelResponse(model=messages.model(status))

    @call
    async def RollbackModel(
        self, request: model_pb2.RollbackModelRequest, _: ServicerContext, tenant: str
    ) -> model_pb2.RollbackModelResponse:
        status = await in_thread(self.rollout.rollback, request.model, messages.revision(request), tenant)
        return model_pb2.RollbackModelResponse(model=messages.model(status))

    @call
    async def RetireModel(
        self, request: model_pb2.RetireModelRequest, _: ServicerContext, __: str
    ) -> model_pb2.RetireModelResponse:
        status = await in_thread(self.rollout.retire, request.model, request.version)
        return model_pb2.RetireModelResponse(model=messages.model(status))


async def _receive(
    requests: AsyncIterator[model_pb2.DeployModelRequest],
    header: model_pb2.DeployModelRequest.Header,
    file: BinaryIO,
    most: int,
) -> None:
    """Write the chunks into ``file``.

    Raises:
        InvalidInput: they are out of order, too large, or not what the header promised.
    """
    _check_size("header.size_bytes", header.size_bytes, most)
    size, sha256 = 0, hashlib.sha256()
    async for piece in chunks_of(requests, header.size_bytes):
        size += len(piece)
        _check_size("chunk.data", size, most)
        sha256.update(piece)
        await in_thread(file.write, piece)
    if not size:
        raise InvalidInput("chunk", "the upload is empty; send a header, then the model's file in chunks")
    if header.sha256 and sha256.hexdigest() != header.sha256:
        raise InvalidInput("header.sha256", "it is not that of the bytes that came")


def _check_size(field: str, size: int, most: int) -> None:
    if not 0 <= size <= most:
        raise InvalidInput(field, f"{size} bytes; a model's file may have at most {most}")


async def _told(deploy: Callable[[Progress], ModelStatus]) -> AsyncIterator[model_pb2.DeployModelResponse]:
    """Run ``deploy`` in a thread and yield its progress, then the model; end it when nobody listens any more."""
    gone = threading.Event()
    latest = (0.0, "")

    def progress(fraction: float, message: str) -> None:
        nonlocal latest
        if gone.is_set():
            raise Canceled("the caller ended the deploy")
        latest = (max(fraction, latest[0]), message)

    thread = ThreadPoolExecutor(1, "deploy")  # its own: it may work for minutes
    work = asyncio.get_running_loop().run_in_executor(thread, deploy, progress)
    told = latest
    try:
        while not work.done():
            await asyncio.wait([work], timeout=POLL_S)
            if latest != told:
                told = latest
                yield model_pb2.DeployModelResponse(fraction=told[0], message=told[1])
        status = await work
    finally:
        gone.set()
        if not work.done():
            await asyncio.wait([work])  # its file must stay until it has ended
        thread.shutdown(wait=False)
    yield model_pb2.DeployModelResponse(fraction=1.0, message="done", model=messages.model(status))
