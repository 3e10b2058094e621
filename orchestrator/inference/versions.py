"""Versions of a model on one Triton: loaded beside each other, asked by name and number, unloaded.

A version that an operator deployed has a Triton name of its own, ``segmentation@2-1f0c9a3b``, and comes through
Triton's load API with its file: nothing is written into the served repository, so that this works alike on a server
whose disk is not ours, and a broken candidate can't keep a server from starting. The repository's own versions keep
the plain name. The name's end is the file's SHA-256: whoever finds the name ready has the right file.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from google.protobuf import json_format
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import InferenceServerException

from orchestrator.domain.images import FloatMap
from orchestrator.errors import CandidateRefused, DeadlineExceeded, HeartwoodError, ModelFailed, ModelUnavailable

PROBE_TIMEOUT_S = 5.0
LOAD_TIMEOUT_S = 300.0
FILE = "model.onnx"
AWAY = (
    "is not ready",
    "unknown model",
    "unknown version",
    "no available versions",
    "not found",
    "exiting",
    "Failed to process",
)
"""What Triton says of a model that does not answer at the moment."""


@dataclass(frozen=True)
class Tensor:
    """An input or output as the served config names it; -1 is any size."""

    name: str
    data_type: str  # TYPE_FP32, …
    dims: tuple[int, ...]  # without the batch


@dataclass(frozen=True)
class Signature:
    """What every version of a model takes and gives."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class Answer:
    """What a version answered: by output, [B, C, H, W]."""

    outputs: dict[str, FloatMap]
    seconds: float


class TritonVersions:
    """The models of the Triton at ``url`` (gRPC host:port), version by version. Safe from many threads."""

    def __init__(self, url: str) -> None:
        self.client = triton.InferenceServerClient(url)

    def close(self) -> None:
        """Close the connection."""
        self.client.close()

    def repository(self, model: str) -> list[str]:
        """The versions of the served repository that are ready, oldest first.

        Raises:
            ModelUnavailable: Triton or the model does not answer at the moment.
        """
        try:
            metadata = self.client.get_model_metadata(model, client_timeout=PROBE_TIMEOUT_S)
        except InferenceServerException as error:
            raise turned(error, PROBE_TIMEOUT_S) from None
        return sorted(metadata.versions, key=int)

    def config(self, model: str) -> Any:
        """The model's config as the server uses it.

        Raises:
            ModelUnavailable: Triton or the model does not answer at the moment.
        """
        try:
            return self.client.get_model_config(model, client_timeout=PROBE_TIMEOUT_S).config
        except InferenceServerException as error:
            raise turned(error, PROBE_TIMEOUT_S) from None

    def signature(self, model: str) -> Signature:
        """What the model takes and gives."""
        config = self.config(model)
        return Signature(_tensors(config.input), _tensors(config.output))

    def ready(self, name: str, version: str = "") -> bool:
        """Whether the version answers now."""
        try:
            return bool(self.client.is_model_ready(name, version, client_timeout=PROBE_TIMEOUT_S))
        except InferenceServerException:
            return False

    def load(self, model: str, name: str, version: str, onnx: bytes) -> None:
        """Load a version as ``name`` beside those that are there, with the config of the model's plain name.

        Raises:
            CandidateRefused: Triton can't load it.
            ModelUnavailable: Triton does not answer at the moment.
        """
        config = model_config_pb2.ModelConfig()
        config.CopyFrom(self.config(model))
        config.name = name
        config.version_policy.Clear()
        config.version_policy.all.SetInParent()
        config.default_model_filename = FILE
        text = json_format.MessageToJson(config, preserving_proto_field_name=True)
        files = {f"file:{version}/{FILE}": onnx}
        try:
            self.client.load_model(name, config=text, files=files, client_timeout=LOAD_TIMEOUT_S)
        except InferenceServerException as error:
            if _is_away(error):
                raise ModelUnavailable("Triton does not answer at the moment") from None
            raise CandidateRefused(f"Triton could not load it: {_first_line(error)}") from None

    def unload(self, name: str) -> None:
        """Unload a deployed version: requests that it works on are answered, new ones are not taken.

        Raises:
            ModelUnavailable: Triton does not answer at the moment.
        """
        try:
            self.client.unload_model(name, client_timeout=LOAD_TIMEOUT_S)
        except InferenceServerException as error:
            raise turned(error, LOAD_TIMEOUT_S) from None

    def ask(self, name: str, version: str, image: FloatMap, timeout_s: float) -> Answer:
        """As ``start``, but wait for the answer."""
        return self.start(name, version, image, timeout_s).result()

    def start(
        self, name: str, version: str, image: FloatMap, timeout_s: float, outputs: Sequence[str] = ()
    ) -> Future[Answer]:
        """Ask a version for all of its ``outputs``, or for the named ones.

        Args:
            image: [B, 3, H, W] float32, sRGB in [0, 1].

        Returns:
            The answer to come; its ``result()`` raises ModelUnavailable, ModelFailed or DeadlineExceeded.
        """
        tensor = triton.InferInput("image", list(image.shape), "FP32")
        tensor.set_data_from_numpy(image)
        asked = [triton.InferRequestedOutput(output) for output in outputs] or None
        future: Future[Answer] = Future()
        started = time.perf_counter()

        def done(result: Any, error: InferenceServerException | None) -> None:
            if error is not None:
                future.set_exception(turned(error, timeout_s))
                return
            names = [output.name for output in result.get_response().outputs]
            found = {output: _floats(result.as_numpy(output)) for output in names}
            future.set_result(Answer(found, time.perf_counter() - started))

        try:
            self.client.async_infer(
                name, [tensor], done, model_version=version, outputs=asked, client_timeout=timeout_s
            )
        except InferenceServerException as error:
            future.set_exception(turned(error, timeout_s))
        return future


def turned(error: InferenceServerException, timeout_s: float) -> HeartwoodError:
    """What went wrong with a call to Triton, in the words of the error tree."""
    if "DEADLINE_EXCEEDED" in str(error.status() or ""):
        return DeadlineExceeded(f"the models did not answer within {timeout_s:.1f} s")
    if _is_away(error):
        return ModelUnavailable("the models do not answer at the moment")
    return ModelFailed(f"the models refused the photo: {_first_line(error)}")


def _is_away(error: InferenceServerException) -> bool:
    status, text = str(error.status() or ""), str(error.message() or "")
    return "UNAVAILABLE" in status or "CANCELLED" in status or any(word in text for word in AWAY)


def _first_line(error: InferenceServerException) -> str:
    """The first line of what Triton said, without where on its machine the files are."""
    lines = str(error.message() or "").strip().splitlines() or ["no reason given"]
    return re.sub(r"(?<!\w)/[\w./@+-]+", "…", lines[0])[:300]


def _tensors(described: Any) -> tuple[Tensor, ...]:
    return tuple(Tensor(one.name, model_config_pb2.DataType.Name(one.data_type), tuple(one.dims)) for one in described)


def _floats(values: NDArray[Any]) -> FloatMap:
    return np.asarray(values, np.float32)
