"""Checks that an ONNX file is complete, with known operators and the expected tensors, before Triton loads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx
from google.protobuf.message import DecodeError, Message

from orchestrator.errors import CandidateRefused
from orchestrator.inference.triton_client import Signature, TensorSpec

DOMAINS = frozenset({"", "ai.onnx", "com.microsoft"})
"""Operator domains that every onnxruntime supports. An operator of another domain needs a custom library."""
EXTERNAL = onnx.TensorProto.EXTERNAL
TYPES = {onnx.TensorProto.FLOAT: "TYPE_FP32", onnx.TensorProto.INT32: "TYPE_INT32"}
"""ONNX element type → data type in a Triton config."""


def check_onnx(data: bytes, signature: Signature) -> None:
    """Raise CandidateRefused unless the file is self-contained ONNX with known operators and this ``signature``."""
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError):
        raise CandidateRefused("the file is not a complete ONNX file") from None
    _check_messages(model)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise CandidateRefused(f"the file is not valid ONNX: {str(error).strip().splitlines()[0][:200]}") from None
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    _check_tensors("input", inputs, signature.inputs)
    _check_tensors("output", list(model.graph.output), signature.outputs)


def _check_messages(model: Any) -> None:
    """Check that all weights are in the file and all operators are of a known domain, in nested graphs as well."""
    known_domains = DOMAINS | {function.domain for function in model.functions}
    for message in _messages(model):
        if isinstance(message, onnx.TensorProto) and (message.data_location == EXTERNAL or message.external_data):
            remedy = "save the model with embedded weights"
            raise CandidateRefused(f"tensor {message.name[:60]!r} is stored in another file; {remedy}")
        if isinstance(message, onnx.NodeProto) and message.domain not in known_domains:
            rule = f"is of the domain {message.domain[:60]!r}; allowed are {', '.join(sorted(DOMAINS - {''}))}"
            raise CandidateRefused(f"operator {message.op_type[:60]!r} {rule}")


def _check_tensors(kind: str, values: list[Any], expected: tuple[TensorSpec, ...]) -> None:
    """Compare the inputs or outputs of the graph (ValueInfoProto) with those of the model."""
    names, expected_names = sorted(value.name for value in values), sorted(tensor.name for tensor in expected)
    if names != expected_names:
        required = ", ".join(expected_names)
        raise CandidateRefused(f"the {kind}s are {', '.join(names) or 'none'}; they must be {required}")
    types = {value.name: value.type.tensor_type for value in values}
    for tensor in expected:
        tensor_type = types[tensor.name]
        if TYPES.get(tensor_type.elem_type) != tensor.data_type:
            raise CandidateRefused(f"{kind} {tensor.name} is not of type {tensor.data_type}")
        shape = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor_type.shape.dim]
        problem = f"{kind} {tensor.name} has the shape {shape}; it must be"
        if len(shape) != 1 + len(tensor.dims) or shape[0] != -1:
            raise CandidateRefused(f"{problem} of rank {1 + len(tensor.dims)} with a free batch size")
        if any(size not in (allowed, -1) for size, allowed in zip(shape[1:], tensor.dims, strict=True)):
            raise CandidateRefused(f"{problem} {[-1, *tensor.dims]}, where -1 is any size")


def _messages(message: Any) -> Iterator[Any]:
    """Yield a protobuf message and all messages in it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for child in [value] if isinstance(value, Message) else value:
                yield from _messages(child)
