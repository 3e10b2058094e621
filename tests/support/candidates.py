"""Candidates that tests deploy, made from the newest committed version: the same network, another, and broken ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from orchestrator.settings import load

REPOSITORY = load().model_repository


def newest(model: str) -> int:
    """The repository's newest version of a model."""
    return max(int(folder.name) for folder in (REPOSITORY / model).iterdir() if folder.name.isdecimal())


def original(model: str) -> Any:
    """The network of the newest version."""
    return onnx.load(str(REPOSITORY / model / str(newest(model)) / "model.onnx"))


def changed(model: str, output: str, nodes: Callable[[str, str], list[Any]]) -> bytes:
    """The network with ``nodes(inside, output)`` between what made ``output`` and its name."""
    network = original(model)
    inside = f"{output}__inside"
    for node in network.graph.node:
        for names in (node.input, node.output):
            names[:] = [inside if name == output else name for name in names]
    network.graph.node.extend(nodes(inside, output))
    return network.SerializeToString()


def constant(name: str, value: Any, dtype: Any = np.float32) -> Any:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(value, dtype)))


def same(model: str, output: str, note: str = "") -> bytes:
    """The same answers from another file."""
    return changed(model, output, lambda a, b: [helper.make_node("Identity", [a], [b], name=f"same{note}")])


def raised(model: str, output: str, power: float) -> bytes:
    """Another network: ``output`` to the ``power``."""
    return changed(model, output, lambda a, b: [constant("k", power), helper.make_node("Pow", [a, "k"], [b])])


def not_finite(model: str, output: str) -> bytes:
    return changed(model, output, lambda a, b: [constant("k", np.nan), helper.make_node("Mul", [a, "k"], [b])])


def wrong_shape(model: str, output: str) -> bytes:
    """Half of the height, which the file does not tell: its sizes are free."""
    names = ["start", "end", "axis"]
    values = [constant(name, [value], np.int64) for name, value in zip(names, (0, -32, 2), strict=True)]
    return changed(model, output, lambda a, b: [*values, helper.make_node("Slice", [a, *names], [b])])


def other_outputs(model: str) -> bytes:
    network = original(model)
    network.graph.output.pop()
    return network.SerializeToString()


def with_operator(model: str, output: str, domain: str) -> bytes:
    network = onnx.load_model_from_string(
        changed(model, output, lambda a, b: [helper.make_node("Anything", [a], [b], domain=domain)])
    )
    network.opset_import.append(helper.make_opsetid(domain, 1))
    return network.SerializeToString()


def with_weights_elsewhere(model: str, location: str) -> bytes:
    network = original(model)
    weights = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value=location)
    network.graph.initializer.append(weights)
    return network.SerializeToString()


def write(folder: Path, data: bytes, evaluation: dict[str, Any] | None = None) -> Path:
    """A folder as ``heartwood models deploy`` takes it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(data)
    if evaluation is not None:
        (folder / "evaluation.json").write_text(json.dumps(evaluation))
    return folder


def evaluation(model: str, data: bytes, *, against: int = 1, candidate: float = 0.6) -> dict[str, Any]:
    """An evaluation of ``data`` against a baseline of 0.5, where more is better."""
    return {
        "model": model,
        "sha256": hashlib.sha256(data).hexdigest(),
        "against_version": against,
        "test_split": "a split that this test made up",
        "figures": {"iou": {"candidate": candidate, "baseline": 0.5, "better": "higher"}},
    }
