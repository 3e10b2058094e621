"""A Triton client that loads, calls and unloads individual versions of a model.

Versions in the model repository have the plain model name. A version that an operator deploys has its own Triton name,
such as ``segmentation@2-1f0c9a3b``, and is loaded from memory through Triton's load API. The repository may therefore
be read-only or on another machine, and a broken candidate cannot prevent a server from starting. The suffix is the
start of the file's SHA-256, so a name that is ready always refers to the right file.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from google.protobuf import json_format
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from orchestrator.domain.images import FloatMap
from orchestrator.errors import (
    CandidateRefused,
    FailedPrecondition,
    HeartwoodError,
    ModelFailed,
    ModelTimedOut,
    ModelUnavailable,
)
from orchestrator.inference.shared_tensors import SharedTensors
from orchestrator.inference.tensors import Shapes, Tensors
from orchestrator.inference.triton_control import REFUSED, ControlHeader

PROBE_TIMEOUT_S = 5.0
"""Timeout of metadata, config and readiness calls."""
LOAD_TIMEOUT_S = 300.0
"""Timeout of load and unload calls."""
MODEL_FILE = "model.onnx"
UNAVAILABLE_STATUSES = ("UNAVAILABLE", "CANCELLED", "RESOURCE_EXHAUSTED", "ABORTED")
"""gRPC status codes of faults that pass."""
UNAVAILABLE = re.compile(
    "is not ready|unknown model|unknown version|no available versions|not found"  # not loaded
    "|exiting|stopped accepting|shutting down"  # stopping
    "|Failed to process|is not healthy|health mutex|shared memory"  # the stub processes of the Python backend
    "|out of memory|bad.alloc|[Ff]ailed to allocate|allocation failed|queue size",  # overloaded
)
"""Triton's error messages for a model that is not available at the moment, whatever the status code. They are from the
sources of Triton's core, server, Python backend and ONNX Runtime."""

NO_CONTROL = (
    "Triton refuses its control API without the right header; set HEARTWOOD_TRITON_CONTROL_HEADER to the KEY=VALUE of "
    "its option --grpc-restricted-protocol"
)


@dataclass(frozen=True)
class TensorSpec:
    """An input or output in a model config."""

    name: str
    data_type: str  # such as TYPE_FP32
    dims: tuple[int, ...]  # without the batch dimension; -1 is any size


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of every version of a model."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class InferenceResult:
    """The outputs of one request, [B, …] by name, and its duration."""

    outputs: dict[str, FloatMap]
    seconds: float


class TritonClient:
    """A client for the Triton at ``url`` (gRPC host:port). Thread-safe.

    Every method except ``ready`` raises ModelUnavailable if Triton or the model is not available. Those that use the
    control API raise FailedPrecondition if Triton requires another ``control`` header.

    Args:
        ca: PEM certificates to verify the server with; implies ``tls``. By default those of the system.
        control: the header that this Triton requires for its control API.
    """

    def __init__(
        self, url: str, *, tls: bool = False, ca: Path | None = None, control: ControlHeader | None = None
    ) -> None:
        self.control_metadata = control.metadata if control else None
        root_certificates = str(ca) if ca else None
        self.grpc_client = triton.InferenceServerClient(url, ssl=tls or bool(ca), root_certificates=root_certificates)
        self.shared_tensors = SharedTensors(self.grpc_client, self.control_metadata)

    def close(self) -> None:
        """Close the connection."""
        self.shared_tensors.close()
        self.grpc_client.close()

    def repository_versions(self, model: str) -> list[str]:
        """Return the ready versions in the model repository, oldest first."""
        with heartwood_errors(model, PROBE_TIMEOUT_S):
            metadata = self.grpc_client.get_model_metadata(model, client_timeout=PROBE_TIMEOUT_S)
        return sorted(metadata.versions, key=int)

    def in_repository(self, model: str) -> bool:
        """Return whether the model repository contains a model, loaded or not."""
        with heartwood_errors(model, PROBE_TIMEOUT_S):
            index = self.grpc_client.get_model_repository_index(
                client_timeout=PROBE_TIMEOUT_S, headers=self.control_metadata
            )
        return any(entry.name == model for entry in index.models)

    def load_from_repository(self, model: str, timeout_s: float = LOAD_TIMEOUT_S) -> None:
        """Load a model of the model repository. Raises CandidateRefused if Triton cannot load it in time."""
        try:
            self.grpc_client.load_model(model, client_timeout=timeout_s, headers=self.control_metadata)
        except InferenceServerException as error:
            raise _load_error(error, "the model", timeout_s) from None

    def config(self, model: str) -> Any:
        """Return the ModelConfig that Triton uses, with its defaults filled in."""
        with heartwood_errors(model, PROBE_TIMEOUT_S):
            return self.grpc_client.get_model_config(model, client_timeout=PROBE_TIMEOUT_S).config

    def signature(self, model: str) -> Signature:
        """Return the inputs and outputs of a model."""
        config = self.config(model)
        to_name = model_config_pb2.DataType.Name
        specs = [
            tuple(TensorSpec(tensor.name, to_name(tensor.data_type), tuple(tensor.dims)) for tensor in tensors)
            for tensors in (config.input, config.output)
        ]
        return Signature(*specs)

    def ready(self, name: str, version: str = "") -> bool:
        """Return whether a model version is loaded and ready; an empty version means any."""
        try:
            return bool(self.grpc_client.is_model_ready(name, version, client_timeout=PROBE_TIMEOUT_S))
        except InferenceServerException:
            return False

    def load(self, model: str, name: str, version: str, onnx: bytes) -> None:
        """Load a version as ``name``, with the config of ``model``, or raise CandidateRefused. Others stay loaded."""
        self.load_file(version_config(self.config(model), name), version, onnx)

    def load_file(self, config: Any, version: str, onnx: bytes, timeout_s: float = LOAD_TIMEOUT_S) -> None:
        """Load a file as a version of the model that the ModelConfig describes, or raise CandidateRefused."""
        text = json_format.MessageToJson(config, preserving_proto_field_name=True)
        files = {f"file:{version}/{MODEL_FILE}": onnx}
        try:
            self.grpc_client.load_model(
                config.name, config=text, files=files, client_timeout=timeout_s, headers=self.control_metadata
            )
        except InferenceServerException as error:
            if _is_unavailable(error) and not _needs_control_header(error):
                raise ModelUnavailable("Triton is not available at the moment; try again later") from None
            raise _load_error(error, "the file", timeout_s) from None

    def unload(self, name: str, timeout_s: float = LOAD_TIMEOUT_S) -> None:
        """Unload a deployed version. Triton completes running requests and rejects new ones."""
        with heartwood_errors(name, timeout_s):
            self.grpc_client.unload_model(name, client_timeout=timeout_s, headers=self.control_metadata)

    def infer(self, name: str, version: str, inputs: Tensors, timeout_s: float) -> InferenceResult:
        """Return ``infer_async(…).result()``."""
        return self.infer_async(name, version, inputs, timeout_s).result()

    def infer_async(
        self,
        name: str,
        version: str,
        inputs: Tensors,
        timeout_s: float,
        outputs: Sequence[str] = (),
        shapes: Shapes | None = None,
    ) -> Future[InferenceResult]:
        """Start a request for the named ``outputs`` (empty: all).

        The input ``image`` is [B, 3, H, W] float32 sRGB in [0, 1]. Only the preprocessing model has none. The future's
        ``result()`` raises ModelFailed, or ModelUnavailable, such as if ``timeout_s`` passed.

        Args:
            shapes: the shapes of all ``outputs``, if known. Large outputs then pass through shared memory, if possible.
        """
        region = self.shared_tensors.region(inputs, shapes) if shapes else None
        tensors = region.inputs if region else _grpc_inputs(inputs)
        requested = region.outputs if region else [triton.InferRequestedOutput(output) for output in outputs] or None
        input_shape = next(iter(inputs.values())).shape
        future: Future[InferenceResult] = Future()
        started = time.perf_counter()

        def on_response(result: Any, error: InferenceServerException | None) -> None:
            if region:
                self.shared_tensors.release(region, error)
            if error is not None:
                future.set_exception(_to_heartwood_error(error, name, timeout_s, input_shape))
                return
            try:
                found = region.values(result) if region else _grpc_outputs(result)
                values = {output: np.asarray(array, np.float32) for output, array in found.items()}
            except (TypeError, ValueError) as failure:  # without a result, the caller would wait for ever
                future.set_exception(ModelFailed(f"model {name!r} returned an output that cannot be read: {failure}"))
                return
            future.set_result(InferenceResult(values, time.perf_counter() - started))

        try:
            self.grpc_client.async_infer(
                name, tensors, on_response, model_version=version, outputs=requested, client_timeout=timeout_s
            )
        except InferenceServerException as error:
            on_response(None, error)
        return future


def _grpc_inputs(inputs: Tensors) -> list[triton.InferInput]:
    """Return inputs that contain their values."""
    return [
        triton.InferInput(name, values.shape, np_to_triton_dtype(values.dtype)).set_data_from_numpy(values)
        for name, values in inputs.items()
    ]


def _grpc_outputs(result: Any) -> dict[str, NDArray[Any]]:
    """Return the outputs that a response contains."""
    return {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}


def version_config(config: Any, name: str) -> Any:
    """Return a copy of the ModelConfig for a single version in ``MODEL_FILE`` that Triton serves as ``name``."""
    copy = type(config)()
    copy.CopyFrom(config)
    copy.name = name
    copy.version_policy.Clear()
    copy.version_policy.all.SetInParent()
    copy.default_model_filename = MODEL_FILE
    return copy


@contextmanager
def heartwood_errors(model: str, timeout_s: float) -> Iterator[None]:
    """Convert an error of Triton into ModelUnavailable, ModelFailed or FailedPrecondition."""
    try:
        yield
    except InferenceServerException as error:
        raise _to_heartwood_error(error, model, timeout_s) from None


def _to_heartwood_error(
    error: InferenceServerException, model: str, timeout_s: float, input_shape: Sequence[int] = ()
) -> HeartwoodError:
    if "DEADLINE_EXCEEDED" in str(error.status() or ""):
        return ModelTimedOut(f"model {model!r} did not answer within {timeout_s:.1f} s; try again later")
    if _needs_control_header(error):
        return FailedPrecondition(NO_CONTROL)
    if _is_unavailable(error):
        unavailable = ModelUnavailable(f"model {model!r} is not available on Triton at the moment; try again later")
        unavailable.__cause__ = error
        return unavailable
    request = f"the input (shape {list(input_shape)})" if input_shape else "the request"
    return ModelFailed(f"inference failed: model {model!r} rejected {request}: {first_line(error)}")


def _load_error(error: InferenceServerException, subject: str, timeout_s: float) -> HeartwoodError:
    if _needs_control_header(error):
        return FailedPrecondition(NO_CONTROL)
    if "DEADLINE_EXCEEDED" in str(error.status() or ""):
        return CandidateRefused(f"Triton did not load {subject} within {timeout_s:.0f} s")
    return CandidateRefused(f"Triton cannot load {subject}: {first_line(error)}")


def _needs_control_header(error: InferenceServerException) -> bool:
    return REFUSED in str(error.message() or "")


def _is_unavailable(error: InferenceServerException) -> bool:
    status = str(error.status() or "")
    is_passing = any(name in status for name in UNAVAILABLE_STATUSES)
    return is_passing or bool(UNAVAILABLE.search(str(error.message() or "")))


def first_line(error: InferenceServerException) -> str:
    """Return the first line of Triton's message, with absolute paths replaced by an ellipsis."""
    lines = str(error.message() or "").strip().splitlines() or ["no reason given"]
    return re.sub(r"(?<!\w)/[\w./@+-]+", "…", lines[0])[:300]
