"""Manages the versions of the served models, for operators: ``Heartwood(…).models``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from orchestrator.client.errors import ApiError
from orchestrator.client.uploads import upload_requests
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import model_pb2, model_pb2_grpc

MODEL_FILE = "model.onnx"
EVALUATION_FILE = "evaluation.json"


class Models:
    """Lists models and replaces their serving versions. Every method raises ``ApiError`` if the call fails."""

    def __init__(self, stub: model_pb2_grpc.ModelServiceStub, metadata: Any, call: Callable[..., Any]) -> None:
        self._stub = stub
        self._metadata = metadata
        self._call = call

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
        """Upload a candidate and wait until the service has checked it and, unless disabled, promoted it.

        An exception in ``on_progress``, such as KeyboardInterrupt, ends the deployment on the service as well.

        Args:
            candidate: an ONNX file, or a folder with ``model.onnx`` and optionally ``evaluation.json``.
            version: number of the new version. 0 uses the name of the candidate's folder if that is a number, and
                one more than the newest version otherwise.
            promote: make the candidate serve if it passes the checks. Otherwise it becomes READY.
            accept_difference: accept outputs that differ from those of the serving version.
            shadow_share: share of the live requests, from 0 to 1, that the candidate also receives for comparison.
            shadow_requests: number of live requests that the candidate must answer, if the share is above 0.
            shadow_timeout_s: time limit for these requests.
            on_progress: called with the fraction done in [0, 1] and a message.

        Raises:
            InvalidInput: the candidate does not exist or cannot be read.
        """
        file = Path(candidate, MODEL_FILE) if Path(candidate).is_dir() else Path(candidate)
        if not file.is_file():
            remedy = f"name an ONNX file, or a folder that contains {MODEL_FILE}"
            raise InvalidInput(str(candidate), f"there is no file {file}; {remedy}")
        evaluation = file.with_name(EVALUATION_FILE)
        folder_name = file.parent.resolve().name
        folder_version = int(folder_name) if folder_name.isdecimal() else 0
        data = _read(file)
        header = model_pb2.DeployModelRequest.Header(
            model=model,
            version=version or folder_version,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            evaluation_json=_read(evaluation) if evaluation.is_file() else b"",
            accept_difference=accept_difference,
            no_promote=not promote,
            shadow_share=shadow_share,
            shadow_requests=shadow_requests,
            shadow_timeout=Duration(nanos=int(1e9 * (shadow_timeout_s % 1)), seconds=int(shadow_timeout_s)),
        )
        call = self._stub.DeployModel(
            upload_requests(model_pb2.DeployModelRequest, header, data), metadata=self._metadata
        )
        deployed = model_pb2.Model()
        try:
            for response in call:
                deployed = response.model
                if on_progress is not None:
                    on_progress(response.fraction, response.message)
        except grpc.RpcError as error:
            raise ApiError.from_call(error) from None
        finally:
            call.cancel()  # has no effect on a call that is complete
        return deployed

    def promote(self, model: str, version: int, revision: int | None = None) -> model_pb2.Model:
        """Make a READY version serve.

        Args:
            revision: the model's revision that the caller read. The call fails with reason CHANGED_MEANWHILE if the
                model has another revision now. None skips this check.
        """
        request = model_pb2.PromoteModelRequest(model=model, version=version, revision=revision)
        return self._model(self._stub.PromoteModel, request)

    def rollback(self, model: str, revision: int | None = None) -> model_pb2.Model:
        """Make the version serve that served before the last change. See ``promote`` for ``revision``."""
        return self._model(self._stub.RollbackModel, model_pb2.RollbackModelRequest(model=model, revision=revision))

    def retire(self, model: str, version: int) -> model_pb2.Model:
        """Unload a version that does not serve, and delete its file."""
        return self._model(self._stub.RetireModel, model_pb2.RetireModelRequest(model=model, version=version))

    def _model(self, method: Any, request: Message) -> model_pb2.Model:
        """Call a method and return the model in its response."""
        model: model_pb2.Model = self._call(method, request).model
        return model


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(str(path), f"the file cannot be read: {error.strerror}") from None
