"""What an operator's client does with the models' versions: ``Heartwood(…).models``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration

from orchestrator.client.errors import ApiError
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import model_pb2, model_pb2_grpc

CHUNK = 1 << 20
MODEL_FILE, EVALUATION_FILE = "model.onnx", "evaluation.json"

Told = Callable[[float, str], None]


class Models:
    """Looks at the models' versions and replaces them. Every method raises ``ApiError``."""

    def __init__(self, stub: model_pb2_grpc.ModelServiceStub, metadata: Any, call: Callable[..., Any]) -> None:
        self._stub = stub
        self._metadata = metadata
        self._call = call

    def list(self) -> list[model_pb2.Model]:
        """Every model."""
        return list(self._call(self._stub.ListModels, model_pb2.ListModelsRequest()).models)

    def status(self, model: str) -> model_pb2.Model:
        """A model and all of its versions."""
        request = model_pb2.GetModelStatusRequest(model=model)
        found: model_pb2.Model = self._call(self._stub.GetModelStatus, request).model
        return found

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
        told: Told | None = None,
    ) -> model_pb2.Model:
        """Upload a candidate, have it checked, and promoted when it passes.

        Args:
            candidate: an ONNX file, or a folder with ``model.onnx`` and, if it has one, ``evaluation.json``. A folder
                whose name is a number gives the version's, unless ``version`` does.
            told: called with the fraction done and what is being done.

        Raises:
            InvalidInput: the candidate is not there.
        """
        file, evaluation, number = find_candidate(Path(candidate))
        data = _read(file)
        header = model_pb2.DeployModelRequest.Header(
            model=model,
            version=version or number,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            evaluation_json=_read(evaluation) if evaluation else b"",
            accept_difference=accept_difference,
            no_promote=not promote,
            shadow_share=shadow_share,
            shadow_requests=shadow_requests,
            shadow_timeout=Duration(nanos=int(1e9 * (shadow_timeout_s % 1)), seconds=int(shadow_timeout_s)),
        )

        def messages() -> Iterator[model_pb2.DeployModelRequest]:
            yield model_pb2.DeployModelRequest(header=header)
            for offset in range(0, len(data), CHUNK):
                chunk = model_pb2.DeployModelRequest.Chunk(offset=offset, data=data[offset : offset + CHUNK])
                yield model_pb2.DeployModelRequest(chunk=chunk)

        call = self._stub.DeployModel(messages(), metadata=self._metadata)
        deployed = model_pb2.Model()
        try:
            for answer in call:
                deployed = answer.model
                if told is not None:
                    told(answer.fraction, answer.message)
        except grpc.RpcError as error:
            raise ApiError.from_call(error) from None
        finally:
            call.cancel()  # Ctrl-C ends the check too; one that has ended stays as it is
        return deployed

    def promote(self, model: str, version: int, revision: int | None = None) -> model_pb2.Model:
        """Let a ready version serve; ``revision`` is the model's as the caller saw it, None takes any."""
        request = model_pb2.PromoteModelRequest(model=model, version=version, revision=revision)
        changed: model_pb2.Model = self._call(self._stub.PromoteModel, request).model
        return changed

    def rollback(self, model: str, revision: int | None = None) -> model_pb2.Model:
        """Let the version serve again that served before."""
        request = model_pb2.RollbackModelRequest(model=model, revision=revision)
        changed: model_pb2.Model = self._call(self._stub.RollbackModel, request).model
        return changed

    def retire(self, model: str, version: int) -> model_pb2.Model:
        """Unload a version that does not serve, and delete its file."""
        request = model_pb2.RetireModelRequest(model=model, version=version)
        changed: model_pb2.Model = self._call(self._stub.RetireModel, request).model
        return changed


def find_candidate(candidate: Path) -> tuple[Path, Path | None, int]:
    """The ONNX file, the evaluation where there is one, and the version that the folder's name gives (0: none).

    Raises:
        InvalidInput: there is no ONNX file.
    """
    file = candidate / MODEL_FILE if candidate.is_dir() else candidate
    if not file.is_file():
        raise InvalidInput(str(candidate), f"there is no file {file}; name an ONNX file or a folder with {MODEL_FILE}")
    evaluation = file.with_name(EVALUATION_FILE)
    folder = file.parent.resolve().name
    return file, evaluation if evaluation.is_file() else None, int(folder) if folder.isdecimal() else 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(str(path), f"it can't be read: {error.strerror}") from None
