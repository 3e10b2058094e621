"""Adapts BiRefNet (Zheng et al. 2024), as rembg publishes it in ONNX: the likelihood of the foreground.

The published graph accepts one normalised image and returns logits. The adapted graph contains the normalisation and
the sigmoid, and applies the published graph to each image of a batch in turn (ONNX operator Scan). A batch therefore
needs no more memory than one image, which already takes several GB.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export_models.pull.repository_entry import RepositoryEntry, TensorSpec
from orchestrator.domain.model_roles import ROLE_MODELS, Role
from orchestrator.errors import InvalidInput
from orchestrator.inference.roles.birefnet import SIDE

MEAN = (0.485, 0.456, 0.406)
"""Mean of the training images per sRGB channel (ImageNet), as in rembg."""
STD = (0.229, 0.224, 0.225)
"""Standard deviation of the training images per sRGB channel (ImageNet), as in rembg."""
PREFIX = "heartwood_"
"""Start of the names that the adaptation adds to the graph."""
LIMITS = (
    "Stretch the photo to the square, as the authors do. Unlike rembg, Heartwood does not stretch the result to the "
    "full range, because a photo without a piece must not have a foreground. Images of a batch are processed in turn."
)


def convert(file: Path) -> RepositoryEntry:
    """Return the entry of a published ONNX file. Raises InvalidInput if it is not BiRefNet for images of SIDE²."""
    return RepositoryEntry(
        name=ROLE_MODELS[Role.FOREGROUND],
        inputs=(TensorSpec("image", (3, SIDE, SIDE), "sRGB in [0, 1]"),),
        outputs=(TensorSpec("foreground", (1, SIDE, SIDE), "likelihood of the foreground, in [0, 1]"),),
        export=lambda target: export(file, target),
        limits=LIMITS,
        tools={"onnx": metadata.version("onnx")},
    )


def export(file: Path, target: Path) -> float:
    """Write the adapted graph, and return how much it differs from the published one; see ``RepositoryEntry``."""
    published = _read(file)
    onnx.save(_adapted(published), str(target))
    onnx.checker.check_model(str(target))
    images = np.random.default_rng(0).random((2, 3, SIDE, SIDE), np.float32)
    mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    logits = np.concatenate([_run(file, (image[None] - mean) / std) for image in images])
    expected = 1 / (1 + np.exp(-logits))
    return float(np.abs(_run(target, images) - expected).max()) / max(float(expected.max()), 1e-6)


def _read(file: Path) -> Any:
    """Return the published graph (ModelProto). Raises InvalidInput if its tensors are not those of BiRefNet."""
    try:
        model = onnx.load(str(file))
    except (DecodeError, ValueError):
        raise InvalidInput("file", f"{file.name} is not a complete ONNX file") from None
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [_shape(value) for value in model.graph.input if value.name not in weights]
    outputs = [_shape(value) for value in model.graph.output[:1]]
    if inputs != [[3, SIDE, SIDE]] or outputs != [[1, SIDE, SIDE]]:
        expected = f"one input [1, 3, {SIDE}, {SIDE}] and the output [1, 1, {SIDE}, {SIDE}]"
        raise InvalidInput("file", f"{file.name} is not BiRefNet: expected {expected}, found {inputs} and {outputs}")
    return model


def _shape(value: Any) -> list[int]:
    """Return the shape of a tensor without the batch dimension, 0 for sizes that the graph does not fix."""
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim[1:]]


def _adapted(published: Any) -> Any:
    """Return the adapted graph, see above. Reuses the nodes and weights of ``published``."""
    graph = published.graph
    weights = {tensor.name for tensor in graph.initializer}
    image_input = next(value for value in graph.input if value.name not in weights)
    names = {
        name: f"{PREFIX}{name}" for name in ("one", "logits", "normalized", "centered", "mean", "std", "axis", "all")
    }

    def tensor(name: str, shape: list[Any]) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    def constant(name: str, values: NDArray[Any]) -> Any:
        return numpy_helper.from_array(values, names[name])

    body = helper.make_graph(
        [
            helper.make_node("Unsqueeze", [names["one"], names["axis"]], [image_input.name]),
            *graph.node,
            helper.make_node("Squeeze", [graph.output[0].name, names["axis"]], [names["logits"]]),
        ],
        f"{PREFIX}one_image",
        [tensor(names["one"], [3, SIDE, SIDE])],
        [tensor(names["logits"], [1, SIDE, SIDE])],
        [*graph.initializer, constant("axis", np.array([0], np.int64))],
    )
    outer = helper.make_graph(
        [
            helper.make_node("Sub", ["image", names["mean"]], [names["centered"]]),
            helper.make_node("Div", [names["centered"], names["std"]], [names["normalized"]]),
            helper.make_node("Scan", [names["normalized"]], [names["all"]], num_scan_inputs=1, body=body),
            helper.make_node("Sigmoid", [names["all"]], ["foreground"]),
        ],
        "birefnet",
        [tensor("image", ["batch", 3, SIDE, SIDE])],
        [tensor("foreground", ["batch", 1, SIDE, SIDE])],
        [
            constant(name, np.array(values, np.float32).reshape(3, 1, 1))
            for name, values in (("mean", MEAN), ("std", STD))
        ],
    )
    return helper.make_model(
        outer,
        opset_imports=published.opset_import,
        ir_version=published.ir_version,
        functions=published.functions,
        producer_name="heartwood",
    )


def _run(file: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the first output of a graph for its only input."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    name = session.get_outputs()[0].name
    return np.asarray(session.run([name], {session.get_inputs()[0].name: images})[0], np.float32)
