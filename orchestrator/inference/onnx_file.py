"""Looks at an ONNX file before anything loads it: whole, self-contained, of known operators, the model's tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from orchestrator.errors import CandidateRefused
from orchestrator.inference.versions import Signature, Tensor

DOMAINS = frozenset({"", "ai.onnx", "com.microsoft"})
"""Operators of the standard, and those that every onnxruntime brings. Others would need a library of the sender's."""
BATCH_RANK = 4
TYPES = {onnx.TensorProto.FLOAT: "TYPE_FP32"}


def check_onnx(data: bytes, signature: Signature) -> None:
    """Let a file pass that can be served in the place of the model's other versions.

    Raises:
        CandidateRefused: it is no whole ONNX file, names other files, uses operators of unknown domains, or has other
            inputs and outputs.
    """
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError):
        raise CandidateRefused("it is not a whole ONNX file") from None
    known = DOMAINS | {function.domain for function in model.functions}
    for graph in _graphs(model):
        for tensor in _tensors(graph):
            if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
                raise CandidateRefused(
                    f"its tensor {tensor.name[:60]!r} lies in another file; save the model with its weights inside"
                )
        for node in graph.node:
            if node.domain not in known:
                allowed = ", ".join(sorted(domain or "ai.onnx" for domain in DOMAINS - {""}))
                raise CandidateRefused(
                    f"its operator {node.op_type[:60]!r} is of the domain {node.domain[:60]!r}; allowed are {allowed}"
                )
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise CandidateRefused(f"it is not valid ONNX: {str(error).strip().splitlines()[0][:200]}") from None
    weights = {tensor.name for tensor in model.graph.initializer}
    _check_tensors("input", [one for one in model.graph.input if one.name not in weights], signature.inputs)
    _check_tensors("output", list(model.graph.output), signature.outputs)


def _check_tensors(kind: str, found: list[Any], wanted: tuple[Tensor, ...]) -> None:
    names, allowed = sorted(one.name for one in found), sorted(one.name for one in wanted)
    if names != allowed:
        raise CandidateRefused(f"its {kind}s are {', '.join(names) or 'none'}; they must be {', '.join(allowed)}")
    described = {one.name: one.type.tensor_type for one in found}
    for tensor in wanted:
        given = described[tensor.name]
        if TYPES.get(given.elem_type) != tensor.data_type:
            raise CandidateRefused(f"its {kind} {tensor.name} is not of {tensor.data_type}")
        sizes = [one.dim_value if one.HasField("dim_value") else -1 for one in given.shape.dim]
        if len(sizes) != BATCH_RANK or sizes[0] != -1:
            raise CandidateRefused(f"its {kind} {tensor.name} has the shape {sizes}; it must be [any batch, C, H, W]")
        for size, served in zip(sizes[1:], tensor.dims, strict=True):
            if size != served and size != -1:
                expected = [-1, *tensor.dims]
                raise CandidateRefused(
                    f"its {kind} {tensor.name} has the shape {sizes}; it must be {expected}, where -1 is any size"
                )


def _graphs(model: Any) -> Iterator[Any]:
    """The model's graph and functions, and every graph inside them."""
    waiting: list[Any] = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.HasField("g") else []
                waiting += attribute.graphs


def _tensors(graph: Any) -> Iterator[Any]:
    yield from getattr(graph, "initializer", ())
    for sparse in getattr(graph, "sparse_initializer", ()):
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from [attribute.t] if attribute.HasField("t") else []
            yield from attribute.tensors
