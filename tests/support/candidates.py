"""Candidates that tests deploy, made from the newest committed version of a model: valid, changed and broken ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from orchestrator.settings import Settings

REPOSITORY = Settings().model_repository


def newest_version(model: str) -> int:
    """Return the newest version of a model in the repository."""
    return max(int(folder.name) for folder in (REPOSITORY / model).iterdir() if folder.name.isdecimal())


def original(model: str) -> Any:
    """Return the network of the newest version, as a ModelProto."""
    return onnx.load(str(REPOSITORY / model / str(newest_version(model)) / "model.onnx"))


def with_nodes(model: str, output: str, make_nodes: Callable[[str, str], list[Any]]) -> bytes:
    """Return the network with nodes appended to ``output``.

    Args:
        make_nodes: called with the names of the original and of the new output; returns the nodes between them.
    """
    network = original(model)
    inner = f"{output}__inner"
    for node in network.graph.node:
        for names in (node.input, node.output):
            names[:] = [inner if name == output else name for name in names]
    network.graph.node.extend(make_nodes(inner, output))
    return network.SerializeToString()


def constant(name: str, value: Any, dtype: Any = np.float32) -> Any:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(value, dtype)))


def equivalent(model: str, output: str) -> bytes:
    """Return another file with the same outputs."""
    return with_nodes(
        model, output, lambda inner, outer: [helper.make_node("Identity", [inner], [outer], name="equivalent")]
    )


def with_power(model: str, output: str, exponent: float) -> bytes:
    """Return a network that raises ``output`` to the power of ``exponent``."""
    return with_nodes(
        model,
        output,
        lambda inner, outer: [constant("exponent", exponent), helper.make_node("Pow", [inner, "exponent"], [outer])],
    )


def not_finite(model: str, output: str) -> bytes:
    """Return a network whose ``output`` is NaN."""
    return with_nodes(
        model, output, lambda inner, outer: [constant("nan", np.nan), helper.make_node("Mul", [inner, "nan"], [outer])]
    )


def wrong_shape(model: str, output: str) -> bytes:
    """Return a network whose ``output`` lacks 32 rows. The file declares any size, so only running it shows this."""
    names = ["start", "end", "axis"]
    values = [constant(name, [value], np.int64) for name, value in zip(names, (0, -32, 2), strict=True)]
    return with_nodes(
        model, output, lambda inner, outer: [*values, helper.make_node("Slice", [inner, *names], [outer])]
    )


def missing_output(model: str) -> bytes:
    """Return a network without the last output."""
    network = original(model)
    network.graph.output.pop()
    return network.SerializeToString()


def with_operator(model: str, output: str, domain: str) -> bytes:
    """Return a network with an operator of ``domain``."""
    network = onnx.load_model_from_string(
        with_nodes(model, output, lambda inner, outer: [helper.make_node("Anything", [inner], [outer], domain=domain)])
    )
    network.opset_import.append(helper.make_opsetid(domain, 1))
    return network.SerializeToString()


def with_external_weights(model: str, location: str) -> bytes:
    """Return a network with a tensor that is stored in the file ``location``."""
    network = original(model)
    weights = TensorProto(name="external", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value=location)
    network.graph.initializer.append(weights)
    return network.SerializeToString()


def write(folder: Path, data: bytes, evaluation: dict[str, Any] | None = None) -> Path:
    """Write a candidate folder as ``heartwood models deploy`` expects it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(data)
    if evaluation is not None:
        (folder / "evaluation.json").write_text(json.dumps(evaluation))
    return folder


def evaluation(model: str, data: bytes, *, against: int = 1, candidate: float = 0.6) -> dict[str, Any]:
    """Return an evaluation of ``data`` with one figure, whose baseline is 0.5 and where higher is better."""
    return {
        "model": model,
        "sha256": hashlib.sha256(data).hexdigest(),
        "against_version": against,
        "test_split": "a split invented for this test",
        "figures": {"iou": {"candidate": candidate, "baseline": 0.5, "better": "higher"}},
    }


def crashing(model: str, output: str, *, on_load: bool = False) -> bytes:
    """Return a network whose process dies of SIGFPE: the quotient of -2^31 and -1 is too large for an integer.

    Args:
        on_load: both numbers are constants, so onnxruntime divides them when it loads the file.
    """

    def make_nodes(inner: str, outer: str) -> list[Any]:
        dividend = [constant("lowest", [-(2**31)], np.int32)]
        if not on_load:
            dividend = [
                constant("lowest_float", [-(2.0**31)]),
                helper.make_node("ReduceMin", ["image"], ["smallest"], keepdims=0),
                helper.make_node("Min", ["smallest", "lowest_float"], ["dividend"]),
                helper.make_node("Cast", ["dividend"], ["lowest"], to=TensorProto.INT32),
            ]
        return [
            *dividend,
            constant("minus_one", [-1], np.int32),
            helper.make_node("Div", ["lowest", "minus_one"], ["quotient"]),
            helper.make_node("Cast", ["quotient"], ["quotient_float"], to=TensorProto.FLOAT),
            helper.make_node("Add", [inner, "quotient_float"], [outer]),
        ]

    return with_nodes(model, output, make_nodes)


def endless(model: str, output: str) -> bytes:
    """Return a network with a loop of 2^62 iterations."""

    def make_nodes(inner: str, outer: str) -> list[Any]:
        names = {"iteration": TensorProto.INT64, "go_on": TensorProto.BOOL, "sum": TensorProto.FLOAT}
        inputs = [helper.make_tensor_value_info(name, dtype, []) for name, dtype in names.items()]
        outputs = [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, []),
        ]
        body = [
            helper.make_node("Identity", ["go_on"], ["still"]),
            helper.make_node("Add", ["sum", "sum"], ["next"]),
        ]
        return [
            constant("count", 2**62, np.int64),
            constant("true", True, np.bool_),
            constant("start", 0.0),
            helper.make_node(
                "Loop", ["count", "true", "start"], ["total"], body=helper.make_graph(body, "body", inputs, outputs)
            ),
            helper.make_node("Add", [inner, "total"], [outer]),
        ]

    return with_nodes(model, output, make_nodes)


def slow_to_load(model: str, output: str) -> bytes:
    """Return a network with constant products that take many minutes, which onnxruntime computes when it loads it."""
    shape = constant("shape", [8000, 8000], np.int64)
    squares = [helper.make_node("MatMul", [f"square{n}", f"square{n}"], [f"square{n + 1}"]) for n in range(100)]
    return with_nodes(
        model,
        output,
        lambda inner, outer: [
            shape,
            helper.make_node("ConstantOfShape", ["shape"], ["square0"]),
            *squares,
            helper.make_node("ReduceMax", ["square100"], ["total"], keepdims=0),
            helper.make_node("Add", [inner, "total"], [outer]),
        ],
    )


def memory_hungry(model: str, output: str, gigabytes: int) -> bytes:
    """Return a network with a tensor of this size."""
    return with_nodes(
        model,
        output,
        lambda inner, outer: [
            constant("none", [0.0]),
            constant("size", [gigabytes << 28], np.int64),
            helper.make_node("ReduceMax", ["image"], ["largest"], keepdims=0),
            helper.make_node("Mul", ["largest", "none"], ["zero"]),
            helper.make_node("Expand", ["zero", "size"], ["many"]),
            helper.make_node("ReduceMax", ["many"], ["total"], keepdims=0),
            helper.make_node("Add", [inner, "total"], [outer]),
        ],
    )
