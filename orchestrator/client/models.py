"""Manages the versions of the served models: ``Heartwood(…).models``."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from orchestrator.client.uploads import read_file, upload_requests
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import model_pb2, model_pb2_grpc

MODEL_FILE = "model.onnx"
EVALUATION_FILE = "evaluation.json"


class Models:
    """Lists models and replaces their serving versions, for operators. Calls the API with the client's methods."""

    def __init__(
        self, stub: model_pb2_grpc.ModelServiceStub, call: Callable[..., Any], stream: Callable[..., Any]
    ) -> None:
        self._stub = stub
        self._call = call
        self._stream = stream

    def list(self) -> list[model_pb2.Model]:
        """Return all models."""
        return list(self._call(self._stub.ListModels, model_pb2.ListModelsRequest()).models)

    def status(self, model: str) -> model_pb2.Model:
        """Return a model with all of its versions."""
        return self._model(self._stub.GetModelStatus, model_pb2.GetModelStatusRequest(model=model))

    def deploy(
        self,
        model: str,
        candidate: str | os.PathLike[str],
        *,
        version: int = 0,
        promote: bool = True,
        accept_difference: bool = False,
        shadow_share: float = 0.0,
        shadow_requests: int = 50,
        shadow_timeout_s: float = 600.0,
        on_progress: Callable[[float, str], None] | None = None,
    ) -> model_pb2.Model:
        """Upload a candidate, wait until the service has checked it, and promote it if it passes.

        An exception in ``on_progress``, such as KeyboardInterrupt, also ends the deployment on the service.

        Args:
            candidate: an ONNX file, or a folder with ``model.onnx`` and optionally ``evaluation.json``.
            version: number of the new version. 0 uses the name of the candidate's folder if that is a number, and
                one more than the newest version otherwise.
            promote: whether a candidate that passes the checks becomes the serving version. If false, it only becomes
                READY.
            accept_difference: accept outputs that differ from those of the serving version.
            shadow_share: share of the live requests, 0 to 1, that are also sent to the candidate for comparison.
            shadow_requests: number of live requests that the candidate must answer within ``shadow_timeout_s``.
            on_progress: called with the fraction done in [0, 1] and a message.

        Raises InvalidInput if the candidate does not exist or cannot be read.
        """
        file = Path(candidate, MODEL_FILE) if Path(candidate).is_dir() else Path(candidate)
        if not file.is_file():
            remedy = f"name an ONNX file, or a folder that contains {MODEL_FILE}"
            raise InvalidInput(str(candidate), f"there is no file {file}; {remedy}")
        evaluation = file.with_name(EVALUATION_FILE)
        folder_name = file.parent.resolve().name
        folder_version = int(folder_name) if folder_name.isdecimal() else 0
        requests = upload_requests(
            model_pb2.DeployModelRequest,
            read_file(file),
            model=model,
            version=version or folder_version,
            evaluation_json=read_file(evaluation) if evaluation.is_file() else b"",
            accept_difference=accept_difference,
            no_promote=not promote,
            shadow_share=shadow_share,
            shadow_requests=shadow_requests,
            shadow_timeout=timedelta(seconds=shadow_timeout_s),
        )
        deployed = model_pb2.Model()
        with closing(self._stream(self._stub.DeployModel, requests)) as responses:
            for response in responses:
                deployed = response.model
                if on_progress is not None:
                    on_progress(response.fraction, response.message)
        return deployed

    def promote(self, model: str, version: int, revision: int | None = None) -> model_pb2.Model:
        """Make a READY version serve.

        With a ``revision``, the call fails with reason CHANGED_MEANWHILE if the model has another revision now.
        """
        request = model_pb2.PromoteModelRequest(model=model, version=version, revision=revision)
        return self._model(self._stub.PromoteModel, request)

    def rollback(self, model: str, revision: int | None = None) -> model_pb2.Model:
        """Restore the version that served before the last change. See ``promote`` for ``revision``."""
        return self._model(self._stub.RollbackModel, model_pb2.RollbackModelRequest(model=model, revision=revision))

    def retire(self, model: str, version: int) -> model_pb2.Model:
        """Unload a version that does not serve, and delete its file."""
        return self._model(self._stub.RetireModel, model_pb2.RetireModelRequest(model=model, version=version))

    def _model(self, method: Any, request: Message) -> model_pb2.Model:
        """Call a method and return the model in its response."""
        model: model_pb2.Model = self._call(method, request).model
        return model
